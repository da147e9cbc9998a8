package fakepg

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// firstPID is the process id of the first connection; each later one gets the next. No PID is used twice.
const firstPID = 1000

// Server is an in-memory PostgreSQL. Its methods are safe from any goroutine and, but for Dial and Close, do not wait.
type Server struct {
	sessions sync.WaitGroup // one per connection that was accepted

	mu      sync.Mutex // guards all below; held for a few instructions, never while anybody waits
	mode    mode
	frozen  bool
	changed chan struct{} // closed and replaced when mode or frozen changes

	delay         time.Duration
	cancelDelay   time.Duration
	refusal       *failure
	refusedParams map[string]string // parameter -> SQLSTATE
	password      *string           // nil: nobody is asked for one
	standby       bool
	script        func(sql string) *Scripted // nil: there is none

	open    map[*session]struct{} // every accepted connection that has not ended
	backend map[uint32]*session   // those of them that are logged in
	ports   int                   // client ports handed out
	nextPID uint32

	facts facts
}

// mode is what becomes of a dial.
type mode int

const (
	serving     mode = iota
	stopped          // refused
	behindProxy      // accepted by something that answers nothing
	closed           // refused, for ever
)

// New returns a running server.
func New() *Server {
	return &Server{
		changed:       make(chan struct{}),
		refusedParams: make(map[string]string),
		open:          make(map[*session]struct{}),
		backend:       make(map[uint32]*session),
		nextPID:       firstPID,
		facts:         facts{startUps: make(map[uint32]map[string]string)},
	}
}

// Close kills every connection, refuses all further dials, and returns when every goroutine of the server has ended.
func (s *Server) Close() {
	s.kill(closed)
	s.sessions.Wait()
}

// Config returns a configuration for pgx that leads to this server. It is the caller's own. It panics if a PG* variable
// of the environment is such that pgx can make no configuration at all.
func (s *Server) Config() *pgx.ConnConfig {
	cfg, err := pgx.ParseConfig(DSN)
	if err != nil {
		panic(fmt.Sprintf("fakepg: the environment spoils the configuration: %v", err))
	}
	cfg.DialFunc = s.Dial
	cfg.LookupFunc = s.Lookup
	return cfg
}

// Lookup is a pgconn.LookupFunc without a network: an IP address stays what it is, every other name is at Address.
func (s *Server) Lookup(ctx context.Context, host string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: host, IsTimeout: true, UnwrapErr: err}
	}
	if net.ParseIP(host) != nil {
		return []string{host}, nil
	}
	return []string{Address}, nil
}

// Dial is a pgconn.DialFunc; cancel requests may come through it, too, and are told apart in the facts when they have
// said what they are. It waits only while the server is frozen, and then not longer than ctx.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.count(func(f *facts) { f.dials++ })
	return s.connect(ctx, network, addr, true)
}

// CancelDial is a Dial that is not counted as one, for those who dial for cancel requests through a function apart.
func (s *Server) CancelDial(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.connect(ctx, network, addr, false)
}

func (s *Server) connect(ctx context.Context, network, addr string, counted bool) (net.Conn, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, dialError(network, addr, err)
		}
		conn, changed := s.accept(network, addr, counted)
		switch {
		case conn != nil:
			return conn, nil
		case changed == nil:
			return nil, dialError(network, addr, os.NewSyscallError("connect", syscall.ECONNREFUSED))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// accept opens a connection and starts its session. Without a connection, the channel says when to ask again; without
// both, the dial is refused.
func (s *Server) accept(network, addr string, counted bool) (*socket, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == stopped || s.mode == closed {
		return nil, nil
	}
	if s.frozen {
		return nil, s.changed
	}
	s.ports++
	here := address{network, addr}
	client, server := socketPair(address{network, fmt.Sprintf("192.0.2.2:%d", s.ports)}, here)
	session := newSession(s, server)
	session.counted = counted
	session.unanswered = s.mode == behindProxy
	s.open[session] = struct{}{}
	s.sessions.Go(session.run)
	return client, nil
}

// leave forgets a session that has ended.
func (s *Server) leave(session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, session)
	if s.backend[session.pid] == session {
		delete(s.backend, session.pid)
	}
}

// register logs a session in: it gets its PID and its key, and counts as a connection. It reports false if the server
// does not let anybody in any more.
func (s *Server) register(session *session, parameters map[string]string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode != serving || session.ended() {
		return false
	}
	session.pid = s.nextPID
	s.nextPID++
	session.key = secretKey(session.pid)
	s.backend[session.pid] = session
	s.facts.logIns++
	s.facts.peak = max(s.facts.peak, len(s.connected()))
	s.facts.startUps[session.pid] = parameters
	return true
}

// secretKey differs from PID to PID in every byte that matters.
func secretKey(pid uint32) []byte {
	return binary.BigEndian.AppendUint32(nil, pid*2654435761)
}

// address is a network and an address as they were dialled.
type address struct{ network, text string }

func (a address) Network() string { return a.network }
func (a address) String() string  { return a.text }

func dialError(network, addr string, err error) error {
	return &net.OpError{Op: "dial", Net: network, Addr: address{network, addr}, Err: err}
}
