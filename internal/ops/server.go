package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// Bounds of one request and of the connection it comes by. Answers are small and wait for nothing.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 10 * time.Second
	answerTimeout = 10 * time.Second
	idleTimeout   = time.Minute
	headerBytes   = 16 << 10
)

// DrainTimeout is how long a Server waits for requests under way when it is stopped.
const DrainTimeout = 5 * time.Second

// Server is the HTTP server, a service of the tree.
type Server struct {
	handler http.Handler
	address string
	log     *zerolog.Logger

	mu    sync.Mutex
	first net.Listener // of the first life; nil once it was taken
}

// Listen takes the port, so that one which is not to be had is known before anything else starts. Port 0 is a free one.
func Listen(host string, port int) (net.Listener, error) {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, cannotListen(address, err)
	}
	return l, nil
}

// NewServer makes a server that accepts from l, which it takes over. Until Serve is called, Close gives the port back.
// A nil logger is silent.
func NewServer(l net.Listener, h http.Handler, log *zerolog.Logger) *Server {
	if log == nil {
		silent := zerolog.Nop()
		log = &silent
	}
	return &Server{handler: h, address: l.Addr().String(), log: log, first: l}
}

// cannotListen says what a person can do about it.
func cannotListen(address string, err error) error {
	hint := "set ops.host and ops.port (OPS_HOST, OPS_PORT) to an address of this machine"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another program has the port (ss -ltnp shows which, perhaps another one of these): set ops.port (OPS_PORT) to a free one, or to 0 for any"
	case errors.Is(err, syscall.EACCES):
		hint = "ports below 1024 are for root: set ops.port (OPS_PORT) to a higher one"
	}
	return fmt.Errorf("the ops server cannot listen on %s: %w; %s", address, err, hint)
}

// Address is host:port. It stays the same over all lives.
func (s *Server) Address() string { return s.address }

// URL leads to the page.
func (s *Server) URL() string { return "http://" + s.address + "/" }

// String names the service.
func (s *Server) String() string { return "ops" }

// Close gives the port of a server back that was never served.
func (s *Server) Close() error {
	if l := s.takeFirst(); l != nil {
		return l.Close()
	}
	return nil
}

func (s *Server) takeFirst() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.first
	s.first = nil
	return l
}

// Serve answers requests until ctx ends. Then it takes no new ones, and lets those under way end, for DrainTimeout.
func (s *Server) Serve(ctx context.Context) error {
	l := s.takeFirst()
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", s.address); err != nil {
			return cannotListen(s.address, err)
		}
	}
	server := &http.Server{
		Handler: s.handler, ErrorLog: log.New(lines{s.log}, "", 0),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerBytes,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the ops server stopped accepting: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), DrainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		s.log.Warn().Str("event", "requests_cut_off").Str("actor", "ops").AnErr("cause", err).Msg("requests were cut off: the ops server stops")
		_ = server.Close() // nothing is left to save
	}
	<-ended
	return ctx.Err()
}

// lines writes what net/http has to say to the log.
type lines struct{ log *zerolog.Logger }

var _ io.Writer = lines{}

// Write logs one message.
func (l lines) Write(p []byte) (int, error) {
	l.log.Warn().Str("event", "http_trouble").Str("actor", "ops").Str("cause", strings.TrimSpace(string(p))).Msg("trouble in the ops server")
	return len(p), nil
}
