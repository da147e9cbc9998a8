package backend

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// callbacks are what a user can supply for a handshake.
var callbacks = map[string]func(c *tls.Config, hook func()){
	"VerifyPeerCertificate": func(c *tls.Config, hook func()) {
		c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { hook(); return nil }
	},
	"VerifyConnection": func(c *tls.Config, hook func()) {
		c.VerifyConnection = func(tls.ConnectionState) error { hook(); return nil }
	},
}

// pgx shakes hands for the cancel request of a connection that broke, in a goroutine of its own.
func TestACallbackOfTLSPanicsInNoGoroutineOfPGX(t *testing.T) {
	for name, install := range callbacks {
		t.Run(name, func(t *testing.T) {
			cfg := realConfig(t, true)
			var handshakes atomic.Int64
			install(cfg.TLSConfig, func() {
				if handshakes.Add(1) > 1 {
					panic("oh")
				}
			})
			c := open(t, cfg, Options{})
			broke := make(chan error, 1)
			go func() {
				_, err := c.PGX().Exec(t.Context(), "select pg_sleep(600)")
				broke <- err
			}()
			requireSoon(t, func() bool { return !c.link.idle.Load() })
			c.Sever()
			require.Error(t, <-broke)
			requireSoon(t, func() bool { return handshakes.Load() > 1 })
			shut(t, c)
		})
	}
}

func TestACallbackOfTLSPanicsInOpen(t *testing.T) {
	oops := errors.New("oops")
	for name, install := range callbacks {
		cfg := realConfig(t, true)
		install(cfg.TLSConfig, func() { panic(oops) })
		_, err := Open(t.Context(), cfg, Options{})
		var p *PanicError
		require.ErrorAs(t, err, &p, name)
		require.ErrorIs(t, err, oops)
		require.Contains(t, string(p.Stack), "handshake_test.go")
	}
}
