#!/usr/bin/env bash
# Writes the root folder of a PostgreSQL container, made of the PostgreSQL that is installed on this machine, to standard
# output as a tar archive. It is for machines that reach no image registry; Linux only, needs no privileges:
#
#   PG_BINDIR=/usr/lib/postgresql/15/bin ./image.sh | docker import --change 'USER 999:999' \
#       --change 'ENTRYPOINT ["/entrypoint"]' --change 'CMD ["postgres"]' - NAME
#
# The container understands POSTGRES_HOST_AUTH_METHOD as the official image does. Its first start makes the data.
set -euo pipefail

bindir=${PG_BINDIR:?the folder that holds initdb and postgres}
config=$bindir/pg_config
[ -x "$config" ] || config=pg_config
# The server finds these by their place relative to its own, so they keep their places.
sharedir=$("$config" --sharedir)
libdir=$("$config" --pkglibdir)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{usr,etc,tmp,run,var,proc,sys,dev,data}

# Where /lib is a link to /usr/lib, it is one in the container.
for dir in bin lib lib64 sbin; do
	if [ -L "/$dir" ]; then
		ln -s "$(readlink "/$dir")" "$root/$dir"
		mkdir -p "$root/usr/$dir"
	fi
done
ln -s /run "$root/var/run"

# put FILE... copies files to the same place, and what is a link as the file that it leads to.
put() {
	local file dir
	for file; do
		dir=$(realpath "$(dirname "$file")")
		mkdir -p "$root$dir"
		cp -L "$file" "$root$dir/"
	done
}

# libraries FILE... lists the libraries that programs and libraries need, the loader included.
libraries() {
	ldd "$@" 2>/dev/null | sed -n 's/^.* => \(\/[^ ]*\) (.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | sort -u
}

programs=("$bindir"/{postgres,initdb,pg_ctl} /bin/sh)
for name in cat chmod ls mkdir rm sleep; do
	programs+=("$(command -v "$name")")
done
put "${programs[@]}"

# Modules without the just-in-time compiler: LLVM is larger than all the rest.
mapfile -t modules < <(find "$libdir" -maxdepth 1 -name '*.so' ! -name 'llvmjit*')
put "${modules[@]}"
mapfile -t needed < <(libraries "${programs[@]}" "${modules[@]}")
put "${needed[@]}"

mkdir -p "$root$sharedir"
cp -R "$sharedir/." "$root$sharedir"
rm -rf "$root$sharedir/man"
# Debian keeps some of these files elsewhere and links to them.
find "$root$sharedir" -xtype l -delete
for dir in /usr/share/zoneinfo /usr/lib/locale/C.utf8; do
	[ -d "$dir" ] || continue
	mkdir -p "$root$dir"
	cp -RP "$dir/." "$root$dir"
done

printf 'root:x:0:0::/:/bin/sh\npostgres:x:999:999::/data:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
cat >"$root/entrypoint" <<END
#!/bin/sh
set -e
export PATH=$bindir:/usr/bin:/bin PGDATA=/data/cluster
if [ ! -s "\$PGDATA/PG_VERSION" ]; then
	method=\${POSTGRES_HOST_AUTH_METHOD:-reject}
	initdb --username=postgres --no-sync --encoding=UTF8 --locale=C --wal-segsize=1 --auth-local=trust --auth-host="\$method"
	printf '%s\n' "host all all all \$method" >>"\$PGDATA/pg_hba.conf"
	printf '%s\n' "listen_addresses = '*'" "unix_socket_directories = ''" >>"\$PGDATA/postgresql.conf"
fi
exec "\$@"
END
chmod 755 "$root/entrypoint"
chmod 1777 "$root/tmp"

tar -C "$root" --owner=0 --group=0 --numeric-owner --exclude=./data -cf "$work/root.tar" .
tar -C "$root" --owner=999 --group=999 --numeric-owner -rf "$work/root.tar" ./data
cat "$work/root.tar"
