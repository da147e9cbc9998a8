package retry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// host is one server of the configuration.
type host struct {
	name string
	port uint16
}

// place is one address of a host.
type place struct {
	host
	network, address string // as DialFunc takes them
}

// way is one way to reach a server: one call of DialFunc leads one way.
type way struct {
	place
	encrypted bool
}

// candidate is a way together with what its TLS needs.
type candidate struct {
	way
	tls *tls.Config // nil: in the clear
}

// entry is one line of the configuration: a host in one TLS mode. sslmode=prefer makes two of each host.
type entry struct {
	host
	tls *tls.Config
}

func entriesOf(cfg *pgconn.Config) []entry {
	entries := []entry{{host{cfg.Host, cfg.Port}, cfg.TLSConfig}}
	for _, f := range cfg.Fallbacks {
		entries = append(entries, entry{host{f.Host, f.Port}, f.TLSConfig})
	}
	return entries
}

// hostsOf lists the hosts of the configuration, each once.
func hostsOf(entries []entry) []host {
	var hosts []host
	for _, e := range entries {
		if !slices.Contains(hosts, e.host) {
			hosts = append(hosts, e.host)
		}
	}
	return hosts
}

// unresolved is a host whose name led nowhere.
type unresolved struct {
	host host
	err  error
}

// resolve looks every name up, each once, and lists the ways to the servers in the order in which pgx tries them.
func resolve(ctx context.Context, entries []entry, lookup pgconn.LookupFunc) ([]candidate, []unresolved) {
	var (
		found  []candidate
		failed []unresolved
	)
	known := make(map[host][]place)
	for _, e := range entries {
		places, seen := known[e.host]
		if !seen {
			var err error
			if places, err = placesOf(ctx, e.host, lookup); err != nil {
				failed = append(failed, unresolved{e.host, err})
			}
			known[e.host] = places
		}
		for _, p := range places {
			found = append(found, candidate{way{p, e.tls != nil}, e.tls})
		}
	}
	return found, failed
}

// placesOf lists the addresses of one host. A lookup may answer with ip:port, which overrides the port.
func placesOf(ctx context.Context, h host, lookup pgconn.LookupFunc) ([]place, error) {
	if network, address := pgconn.NetworkAddress(h.name, h.port); network == "unix" {
		return []place{{h, network, address}}, nil
	}
	addresses, err := lookup(ctx, h.name)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot look the name up: %w", h.name, err)
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("%s: the name has no address", h.name)
	}
	var places []place
	for _, a := range addresses {
		ip, port := a, h.port
		if splitIP, splitPort, err := net.SplitHostPort(a); err == nil {
			n, err := strconv.ParseUint(splitPort, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("%s: the lookup answered with a port that is none: %w", h.name, errors.Unwrap(err))
			}
			ip, port = splitIP, uint16(n)
		}
		network, address := pgconn.NetworkAddress(ip, port)
		if p := (place{h, network, address}); !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	return places, nil
}
