// Package ports finds TCP ports for servers that go down and come back on the same one.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range that the kernel uses for outgoing connections (32768-60999 on Linux,
// 49152-65535 on macOS). Above, a client that dials while the server is down can get the server's own port as its
// local one: it then talks to itself, and the server cannot come back.
const (
	lowest  = 20000
	highest = 32767
)

// attempts is how many ports are tried; a machine on which all of them are taken has other problems.
const attempts = 100

// Free returns a TCP port on 127.0.0.1 that nobody listens on now and that no outgoing connection will take.
// Somebody else may still take it before it is used.
func Free() (int, error) {
	l, err := Listen()
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// Listen listens on such a port.
func Listen() (net.Listener, error) {
	var last error
	for range attempts {
		port := lowest + rand.IntN(highest-lowest+1)
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return l, nil
		}
		last = err
	}
	return nil, fmt.Errorf("ports: none of %d ports from %d to %d is free: %w", attempts, lowest, highest, last)
}
