package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	host = "127.0.0.1"

	// DefaultUser is the superuser of a server that was given no other name.
	DefaultUser = "postgres"
	// DefaultDatabase is the database that every server has.
	DefaultDatabase = "postgres"
)

// Errors of a [Server] that is not in the right state.
var (
	ErrClosed     = errors.New("postgres: the server is closed")
	ErrNotRunning = errors.New("postgres: the server is not running")
)

// Options say what a server is like. The zero value is a server that trusts everybody on this machine, for
// tests only: whoever logs in is its superuser, and so can do what its operating-system user can.
type Options struct {
	// Dir is the folder under which the server makes its own folder; empty means where the system keeps temporary
	// files. If the server runs as another user (see the package's description), that user must be able to enter it.
	Dir string
	// Port is the TCP port on 127.0.0.1; 0 means a free one. Either way the server keeps it over its restarts.
	Port int
	// User is the superuser; empty means [DefaultUser].
	User string
	// Password makes the server ask for it, by scram-sha-256; empty means that everybody on this machine is let in.
	Password string
	// Database is created if it is not [DefaultDatabase], which empty means.
	Database string
	// Settings are the server's parameters, beside and above the package's own. Those which the package depends on
	// (the address, the port, where the log goes and how its lines begin) are refused.
	Settings map[string]string
	// HBA are lines for pg_hba.conf that come before the package's own.
	HBA []string
	// Files are written into the server's data folder, readable by it alone: certificates and keys.
	Files map[string][]byte
	// Template is what the data folder is copied from; nil means a fresh initdb. A server with a User or a Password
	// of its own takes none.
	Template *Template
	// Primary makes the server a standby that follows this running one, which must ask for no password: the data are
	// copied from it, so User and Database are the same, and what is written there arrives here. It lets clients in,
	// to read, until [Server.Promote]. Of the primary's settings it has those that were set by ALTER SYSTEM. With the
	// primary's setting synchronous_standby_names = '*', whatever was acknowledged is here.
	Primary *Server
	// Logger tells of starts and ends; nil is silent.
	Logger *zerolog.Logger
}

func (o Options) check() error {
	for name := range reserved(0) {
		if _, ok := o.Settings[name]; ok {
			return fmt.Errorf("postgres: setting %s is the server's own", name)
		}
	}
	if p := o.Primary; p != nil && (p.password != "" || o.Password != "") {
		return errors.New("postgres: no server with a password has a standby, or is one")
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("postgres: port %d: 0 to 65535 are allowed", o.Port)
	}
	return nil
}

// Server is a private PostgreSQL server. It is safe for concurrent use; [Server.Close] must be called.
type Server struct {
	cluster  cluster
	user     string
	password string
	database string
	logger   zerolog.Logger
	log      *os.File

	closing context.Context // ends with Close
	close   context.CancelFunc

	turn    chan struct{} // held by whoever starts the server, or closes it, and uses these three:
	pinned  bool          // the port stays as it is
	proven  bool          // the server has listened on it
	created bool          // the database exists

	mu      sync.Mutex
	port    int
	closed  bool       // Close has begun
	current *process   // the last one that was started
	past    []*process // whose log may still be open
	changed chan struct{}
}

// Prepare makes a server's data without starting it: for [Server.Serve], which starts it. ctx bounds only Prepare.
func Prepare(ctx context.Context, o Options) (_ *Server, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Server{
		user: o.User, password: o.Password, database: o.Database,
		port: o.Port, pinned: o.Port != 0,
		logger: zerolog.Nop(), turn: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if p := o.Primary; p != nil {
		s.user, s.database, s.created = p.user, p.database, true
	}
	if s.user == "" {
		s.user = DefaultUser
	}
	if s.database == "" {
		s.database = DefaultDatabase
	}
	if o.Logger != nil {
		s.logger = *o.Logger
	}
	if s.cluster, err = newCluster(o.Dir, s.logger); err != nil {
		return nil, err
	}
	if err := s.fill(ctx, o); err != nil {
		return nil, errors.Join(err, s.cluster.folder.remove())
	}
	s.closing, s.close = context.WithCancel(context.Background())
	return s, nil
}

// fill makes all that the server's folder holds.
func (s *Server) fill(ctx context.Context, o Options) (err error) {
	if !s.pinned {
		if err := s.choosePort(); err != nil {
			return err
		}
	}
	settings := maps.Clone(defaults)
	maps.Copy(settings, LogSettings())
	maps.Copy(settings, o.Settings)
	switch {
	case o.Primary != nil:
		settings["primary_conninfo"] = o.Primary.conninfo()
		err = s.cluster.backUp(ctx, settings["primary_conninfo"])
	case o.Template != nil && s.user == DefaultUser && s.password == "":
		err = s.cluster.copyFrom(o.Template.cluster.data())
	default:
		err = s.cluster.make(ctx, s.user, s.password)
	}
	if err != nil {
		return err
	}
	method := "trust"
	if s.password != "" {
		method = "scram-sha-256"
	}
	access := append([]string(nil), o.HBA...)
	for _, databases := range []string{"all", "replication"} { // all is all but that
		access = append(access, "host "+databases+" all "+host+"/32 "+method)
	}
	if err := s.cluster.configure(settings, access, o.Files); err != nil {
		return err
	}
	s.log, err = os.OpenFile(s.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return err
}

// conninfo is a keyword string for servers and programs that follow this one.
func (s *Server) conninfo() string {
	user := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s.user)
	return fmt.Sprintf("host=%s port=%d user='%s' sslmode=disable", host, s.Port(), user)
}

// Start makes a server and starts it; it returns when the server lets clients in. Before that it removes what servers of
// dead processes have left behind in the same place. ctx bounds only Start. If no PostgreSQL is installed, the error is
// a *[NotFoundError].
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := Prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.StartAgain(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// DSN is a connection string for the server: a URL with the password, if there is one.
func (s *Server) DSN() string {
	u := url.URL{
		Scheme: "postgres", User: url.User(s.user), Host: s.Address(), Path: "/" + s.database,
		RawQuery: "sslmode=disable",
	}
	if s.password != "" {
		u.User = url.UserPassword(s.user, s.password)
	}
	return u.String()
}

// Host is the address that the server listens on.
func (s *Server) Host() string { return host }

// Port is the TCP port that the server listens on. It is final once the server has let clients in.
func (s *Server) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port
}

// Address is host:port.
func (s *Server) Address() string { return net.JoinHostPort(host, strconv.Itoa(s.Port())) }

// User is the superuser's name.
func (s *Server) User() string { return s.user }

// Password is what the server asks for; empty if it asks for none.
func (s *Server) Password() string { return s.password }

// Database is the name of the database that DSN leads to.
func (s *Server) Database() string { return s.database }

// Dir is the server's own folder. Close removes it.
func (s *Server) Dir() string { return s.cluster.folder.path }

// LogPath is the file that holds the log of all the server's lives.
func (s *Server) LogPath() string { return s.cluster.folder.join("server.log") }

// Log reads the log of all the server's lives. What a client just caused may not be in it yet.
func (s *Server) Log() ([]Line, error) {
	text, err := os.ReadFile(s.LogPath())
	if err != nil {
		return nil, err
	}
	return ParseLog(string(text)), nil
}

// PID is the postmaster's process id, 0 if it is not running.
func (s *Server) PID() int {
	if p := s.now(); p != nil {
		return p.pid
	}
	return 0
}

// AcceptedAt is when the running server began to let clients in, by its own log, in milliseconds; zero if it does not
// yet, or is not running.
func (s *Server) AcceptedAt() time.Time {
	p := s.now()
	if p == nil {
		return time.Time{}
	}
	if at := p.readyAt.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// String names the server by its address.
func (s *Server) String() string { return "postgres " + s.Address() }

// GoString is String: %#v must not print the password.
func (s *Server) GoString() string { return s.String() }

// now returns the running process, nil if there is none.
func (s *Server) now() *process {
	if p := s.latest(); p != nil && p.running() {
		return p
	}
	return nil
}

// latest is the process that was started last, whether it runs or not; nil before the first start.
func (s *Server) latest() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}
