package backend

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// TestMain watches for goroutines that outlive the tests, once the server that they share is down.
func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

type suite struct{ m *testing.M }

func (s suite) Run() int {
	code := s.m.Run()
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			println("closing the server: " + err.Error())
			return max(code, 1)
		}
	}
	return code
}

// shared is the real server, which speaks TLS to whoever asks for it. The first test that needs it starts it.
var shared struct {
	once   sync.Once
	server *postgres.Server
	err    error
}

// realServer returns the real server of this package's tests.
func realServer(t testing.TB) *postgres.Server {
	t.Helper()
	shared.once.Do(func() {
		cert, key, err := selfSigned()
		if err != nil {
			shared.err = err
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		shared.server, shared.err = postgres.Start(ctx, postgres.Options{
			Settings: map[string]string{"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"},
			Files:    map[string][]byte{"server.crt": cert, "server.key": key},
		})
	})
	if missing := (*postgres.NotFoundError)(nil); errors.As(shared.err, &missing) {
		t.Skip("no PostgreSQL is installed on this machine")
	}
	require.NoError(t, shared.err)
	return shared.server
}

// selfSigned makes a certificate for 127.0.0.1, in PEM.
func selfSigned() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "127.0.0.1"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// parse reads a connection string, completed by more keywords.
func parse(t testing.TB, dsn string) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	return cfg
}

// realConfig leads to the real server; encrypted says whether with TLS.
func realConfig(t testing.TB, encrypted bool) *pgx.ConnConfig {
	t.Helper()
	server := realServer(t)
	mode := "disable"
	if encrypted {
		mode = "require"
	}
	return parse(t, "host="+server.Host()+" port="+portOf(server.Address())+" user="+server.User()+
		" dbname="+server.Database()+" sslmode="+mode)
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// open opens a connection that is closed with the test.
func open(t testing.TB, cfg *pgx.ConnConfig, o Options) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := Open(ctx, cfg, o)
	require.NoError(t, err)
	t.Cleanup(func() { shut(t, c) })
	return c
}

func shut(t testing.TB, c *Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, c.Close(ctx))
}

// dialer counts what it dials and what of it is still open.
type dialer struct {
	next   func(ctx context.Context, network, address string) (net.Conn, error) // nil: the default dialer
	dials  atomic.Int64
	opened atomic.Int64
}

func (d *dialer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.dials.Add(1)
	next := d.next
	if next == nil {
		next = DefaultDialer.DialContext
	}
	conn, err := next(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.opened.Add(1)
	return &countedConn{Conn: conn, opened: &d.opened}, nil
}

// countedConn is a socket whose first Close is counted.
type countedConn struct {
	net.Conn
	opened *atomic.Int64
	once   sync.Once
}

func (c *countedConn) NetConn() net.Conn { return c.Conn }

func (c *countedConn) Close() error {
	c.once.Do(func() { c.opened.Add(-1) })
	return c.Conn.Close()
}
