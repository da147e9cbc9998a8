package poolotel

import (
	"net"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// target is the server as the conventions describe it.
type target poolactor.Target

func targetOf(t poolactor.Target) target { return target(t) }

// isSocket tells whether the host is the folder of a Unix socket, to which no port belongs.
func (t target) isSocket() bool {
	return strings.HasPrefix(t.Host, "/") || strings.HasPrefix(t.Host, "@")
}

// name is what the conventions suggest for a pool that has none.
func (t target) name() string {
	host := t.Host
	if !t.isSocket() {
		host = net.JoinHostPort(host, strconv.Itoa(int(t.Port)))
	}
	return host + "/" + t.Database
}

func (t target) attributes() []attribute.KeyValue {
	all := []attribute.KeyValue{
		semconv.DBSystemNamePostgreSQL, semconv.DBNamespace(t.Database), semconv.ServerAddress(t.Host),
	}
	if !t.isSocket() {
		all = append(all, semconv.ServerPort(int(t.Port)))
	}
	return all
}
