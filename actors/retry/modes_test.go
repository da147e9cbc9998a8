package retry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestPreferWithoutTLSFallsBackAndRemembers(t *testing.T) {
	inWorld(t, 8, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=prefer")
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.Len(t, w.calls.all(), 2, "with TLS, then in the clear")
		w.order(3, false)
		require.Len(t, w.calls.all(), 5, "in the clear at once")
		w.server.Stop()
		w.order(1, false)
		w.server.Start()
		w.pass(time.Second)
		w.order(1, true)
		require.Equal(t, 1, w.server.Connections())
		require.Len(t, w.calls.all(), 7)
		w.pass(time.Minute)
		w.order(1, false)
		require.Len(t, w.calls.all(), 9, "TLS is offered again after a minute")
	})
}

func TestPreferFindsTheRightModeWhenTheFirstContactComesLate(t *testing.T) {
	inWorld(t, 8, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=prefer")
		w.server.Stop()
	}, func(t *testing.T, w *world) {
		callOff := w.demand(1, true)
		defer callOff()
		w.pass(9900 * time.Millisecond)
		w.server.Start()
		w.pass(75 * time.Millisecond)
		require.Equal(t, 1, w.pool.count(opened))
	})
}

func TestWhoAsksForPatienceIsNotAskedInTheOtherMode(t *testing.T) {
	inWorld(t, 8, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=allow")
		w.server.Refuse("57P03", "the database system is starting up")
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.Len(t, w.calls.all(), 1)
		require.ErrorContains(t, w.pool.known().Cause, "starting up")
	})
}

func TestAServerWithoutTLSRefusesWhoRequiresIt(t *testing.T) {
	inWorld(t, 8, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=require")
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.True(t, w.pool.known().Refused)
		require.ErrorContains(t, w.pool.known().Cause, "server refused TLS connection")
	})
}

// tlsFront speaks TLS in front of a server, and lets nobody in without.
type tlsFront struct {
	server *fakepg.Server
	config *tls.Config
	joined sync.WaitGroup
}

func newTLSFront(t *testing.T, server *fakepg.Server) *tlsFront {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "db.test"}, DNSNames: []string{"db.test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return &tlsFront{server: server, config: &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}}
}

func (f *tlsFront) dial(ctx context.Context, network, address string) (net.Conn, error) {
	back, err := f.server.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	f.joined.Go(func() {
		defer back.Close()
		defer far.Close()
		request := make([]byte, 8)
		if _, err := io.ReadFull(far, request); err != nil || request[4] != 4 || request[5] != 210 {
			return // not the request for TLS
		}
		_, _ = far.Write([]byte{'S'})
		encrypted := tls.Server(far, f.config)
		f.joined.Go(func() {
			_, _ = io.Copy(back, encrypted)
			_ = back.Close()
		})
		_, _ = io.Copy(encrypted, back)
	})
	return near, nil
}

func TestAServerWithTLSIsReachedByIt(t *testing.T) {
	var front *tlsFront
	inWorld(t, 8, func(w *world) {
		front = newTLSFront(w.t, w.server)
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=prefer")
		w.cfg.Dial = front.dial
	}, func(t *testing.T, w *world) {
		w.order(2, false)
		require.Equal(t, 2, w.pool.count(opened))
		require.Len(t, w.calls.all(), 2)
		require.True(t, w.pool.conns[0].TLS())
		w.pool.closeAll()
		front.joined.Wait()
	})
}

func TestACertificateThatDoesNotVerifyIsARefusal(t *testing.T) {
	var front *tlsFront
	inWorld(t, 8, func(w *world) {
		front = newTLSFront(w.t, w.server)
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=verify-full")
		w.cfg.Dial = front.dial
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.True(t, w.pool.known().Refused)
		require.ErrorContains(t, w.pool.known().Cause, "certificate")
		front.joined.Wait()
	})
}

func TestHbaMayAskForTheOtherMode(t *testing.T) {
	inWorld(t, 8, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=allow")
		front := newTLSFront(w.t, w.server)
		w.t.Cleanup(front.joined.Wait)
		refusing := fakepg.New()
		w.t.Cleanup(refusing.Close)
		refusing.Refuse("28000", "no pg_hba.conf entry for host, no encryption")
		w.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if len(w.calls.all())%2 == 1 {
				return refusing.Dial(ctx, network, address)
			}
			return front.dial(ctx, network, address)
		}
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.Equal(t, 1, w.pool.count(opened))
		require.True(t, w.pool.conns[0].TLS())
		require.Empty(t, w.pool.published())
		w.pool.closeAll()
		synctest.Wait()
	})
}

func TestHooksThatFailAfterTheLogInAreTransient(t *testing.T) {
	inWorld(t, 8, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=allow")
		w.cfg.ConnConfig.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			return conn.Exec(ctx, "fail 22012").Close()
		}
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.False(t, w.pool.known().Refused)
		require.ErrorContains(t, w.pool.known().Cause, "22012")
		require.Len(t, w.calls.all(), 1, "the mode was right")
		require.Zero(t, w.server.Connections())
	})
}
