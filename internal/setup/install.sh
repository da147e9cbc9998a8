#!/bin/sh
# Installs the named packages of Debian or Ubuntu, as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
# A root shell opened with plain su lacks the folders that dpkg looks for.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

apt-get update -qq || echo 'setup: the lists of packages could not be updated, trying with what they hold' >&2

# On its own, the package would create a cluster and start a server on port 5432. Only the binaries are wanted.
drop_in=/etc/postgresql-common/createcluster.d/supervised-setup.conf
trap 'rm -f "$drop_in"' EXIT
mkdir -p "${drop_in%/*}"
echo 'create_main_cluster = false' >"$drop_in"

# What is left of the output is what went wrong.
apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" >/dev/null
