package poolactor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

// Config says how a pool behaves. The zero value of every field but ConnConfig means its default; for durations and
// counts a negative value means off (none, never, unlimited), where the field allows that.
type Config struct {
	// ConnConfig says which server to connect to and as whom. It must come from ParseConfig or pgx.ParseConfig. The
	// pool copies it; its DialFunc, LookupFunc and context watcher are replaced by the pool's own. ValidateConnect, which
	// target_session_attrs sets, is called again over an open connection that nobody uses, after a statement on it was
	// refused with 25006 or after signs that the server is gone: what it objects to is closed.
	ConnConfig *pgx.ConnConfig

	// MinSize is how many connections the pool keeps open, also when nobody calls. Default 0.
	MinSize int
	// MaxSize is how many connections the pool has at most, those being opened and closed included. Default 20; at
	// least 1. The bounds that README promises for outages need 3.
	MaxSize int
	// MinIdle is how many connections the pool tries to keep unused, within MaxSize. Default 0.
	MinIdle int

	// ConnectTimeout bounds one attempt to open a connection, log-in included. Default 10 s; cannot be off.
	ConnectTimeout time.Duration
	// StatementTimeout is sent to the server as the start-up parameter statement_timeout, in whole milliseconds.
	// 0 and off: the server's own setting rules. A session that changes it is reset to it before reuse; see Reset.
	StatementTimeout time.Duration
	// AcquireTimeout bounds the wait of calls whose context has no deadline. Default off.
	AcquireTimeout time.Duration
	// MaxWaiters is how many calls may wait for connections that others hold. One more fails at once, with an
	// *ExhaustedError that matches ErrTooManyWaiters. As many more may wait as there are connections that are free or
	// can be opened: they wait for nobody. In an outage nothing can be opened, so the limit is as it stands, and one more
	// fails with an *UnavailableError that matches ErrTooManyWaiters; while the pool is suspended it holds as well. A call
	// that was let in is never turned away later, whatever its turn brings it: not by a dead connection, not between the
	// attempts of Retry. Default off.
	MaxWaiters int
	// ShedByDeadline tells a call at once, with an *ExhaustedError that matches ErrShed, if its deadline (or
	// AcquireTimeout) would pass before a connection becomes free: if all leases last as long as they lately did, by the
	// number of calls that wait already and the ages of the leases that are out. That is a forecast; where leases differ
	// much it is too short rather than too long. Nobody is shed while a connection is free or can be opened, in an
	// outage or a suspension, whose length is not known, or before the first lease has ended. Where leases have become
	// shorter, the pool finds out from those of callers that need not wait. It costs a clock reading per lease. Default
	// false.
	//
	// The forecast is Little's law (J. D. C. Little, "A Proof for the Queuing Formula: L = λW", 1961): with n connections out
	// for s each, the k-th in the queue waits for k·s/n, from which the age of each lease that is out is taken. That hopeless
	// requests are turned away early, by what the queue is seen to do and not by its length, is the advice of "Fail at Scale"
	// (B. Maurer, ACM Queue 13/8, 2015) and of DAGOR ("Overload Control for Scaling WeChat Microservices", 2018).
	ShedByDeadline bool
	// DrainTimeout is how long Close waits for leases to come back before it revokes them. Default 10 s.
	DrainTimeout time.Duration

	// MaxLifetime is the age at which a connection is replaced. In an outage, in which nothing could take its place, it
	// serves on. Default 1 h.
	MaxLifetime time.Duration
	// MaxLifetimeJitter takes up to this much off MaxLifetime, at random for each connection, so that connections
	// opened together do not leave together. Default a tenth of MaxLifetime.
	MaxLifetimeJitter time.Duration
	// MaxIdleTime closes connections above MinSize and MinIdle that nobody used for this long. Default 30 min.
	MaxIdleTime time.Duration

	// ClientCheckInterval is sent as the start-up parameter client_connection_check_interval (PostgreSQL 14 and
	// later), so that the server notices during a statement that its client is gone. Default 2 s.
	ClientCheckInterval time.Duration
	// KeepaliveIdle is sent as the start-up parameter tcp_keepalives_idle, in whole seconds, together with an interval
	// of a third of it and three probes, so that the backend of a client that vanished does not stay. Default 30 s.
	KeepaliveIdle time.Duration

	// LeaseWarnAfter is how long a lease may be held before the pool tells about it, once: a WARN line and an
	// EventOverdue with its label, the server process, the time, and where it was acquired if RecordStacks is set.
	// Holders marks it. Leases are looked at once a second. Default 5 min, or LeaseMaxAge if that is less.
	LeaseWarnAfter time.Duration
	// LeaseMaxAge is how long a lease may be held before the pool takes it away, up to a second later: what runs on
	// it is cancelled at the server and fails with ErrRevoked, as does every later use; its place serves others, with a
	// new connection; and an ERROR line and an EventRevoked say whose it was. That includes leases of the pool's own
	// methods, so it must be longer than the longest statement and transaction. Default off. Pool.LimitLeases changes
	// both.
	LeaseMaxAge time.Duration

	// Shared says how statements share connections. The zero value is its default.
	Shared SharedConfig

	// Reset says what is done about a session between two leases. Default ResetSmart.
	Reset ResetPolicy

	// Retry says how connections are opened while the server does not let anybody in, Health how dead ones are found, and
	// Supervision how the pool's actors are restarted when they crash. The zero values are their defaults.
	Retry       RetryConfig
	Health      HealthConfig
	Supervision SupervisionConfig

	// RecordStacks keeps the stack of every Acquire, for Holders, for errors that name holders, and for the reports of
	// forgotten, overdue and revoked leases. It costs 0.3 to 0.8 microseconds per acquire. Default false.
	RecordStacks bool

	// Logger receives one line per event. nil is silent. One goroutine of the pool writes to it, so nothing waits for a
	// writer that is slow or panics: what it does not take in time is lost, and a WARN says how many lines that were.
	// The end of the pool waits a second for its last lines.
	Logger *zerolog.Logger

	// BeforeConnect may change what the next connection goes by: the password, from wherever a fresh one comes, or the
	// server. It gets a copy of ConnConfig with the start-up parameters that the pool adds, and with DialFunc and LookupFunc
	// as they stand here, which it may change, too. In an outage it is called for every attempt, 16 times a second (once, if
	// it is what fails): what is dear to fetch is to be kept for as long as it is valid. AfterConnect makes a connection ready that the server has let
	// in: types, session settings. It must leave it unclosed, with all rows read, in no transaction.
	//
	// Both have ConnectTimeout and must return when their context ends. An error of theirs is a dial that failed, which
	// callers wait out as they do an outage; errors.Is and errors.As find it in what they get in the end. An answer of the
	// server's to AfterConnect that will not change (no privilege, no such type) is a refusal, as if it came in the log-in.
	//
	// BeforeClose is called before a connection is closed whose holder has given it back; those that were taken away, or
	// lost in the middle of a statement, are closed without. The place of the connection stays taken until it returns, and
	// a pool does not end before.
	//
	// All three run in goroutines of the pool, several at a time. A panic in one of the first two fails that dial, one in
	// BeforeClose changes nothing; each is an ERROR line and an event. nil: nothing.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error
	AfterConnect  func(context.Context, *pgx.Conn) error
	BeforeClose   func(*pgx.Conn)

	// Tracer is told of every lease, and of more if it is a PoolTracer or a DialTracer as well; nil costs nothing. Tracers
	// joins several. Statements have a tracer of their own: ConnConfig.Tracer takes any pgx.QueryTracer as it is.
	Tracer Tracer

	// DialFunc opens every socket for a connection, CancelDialFunc every socket for a cancel request, LookupFunc
	// resolves every name. nil: a net.Dialer with keepalive, DialFunc, the system's resolver. They run in goroutines
	// of the pool; a panic in one of them fails that attempt only.
	DialFunc       pgconn.DialFunc
	CancelDialFunc pgconn.DialFunc
	LookupFunc     pgconn.LookupFunc

	upkeep time.Duration // between two rounds of the janitor; 0: janitorEvery
}

// RetryConfig says how connections are opened while the server does not let anybody in.
type RetryConfig struct {
	// Initial is the wait after the first failed attempt; each further wait is twice as long, up to Max.
	// Default 500 ms (0.1 s to 10 s) and 30 s (at most 60 s).
	Initial, Max time.Duration
	// Jitter is the fraction by which each wait is shortened at most, at random. Default 0.2.
	Jitter float64
	// MaxRetries is how many scheduled attempts a call without a deadline sees fail after the first, before it gives
	// up. Default 5; off: it gives up at the first.
	MaxRetries int
	// MaxDials is how many connections are opened at the same time. Default 4; at least 1, and at least 3 for the
	// bounds that README promises.
	MaxDials int
	// FailFast makes calls with a deadline give up as early as those without one.
	FailFast bool
}

// HealthConfig says how dead connections are found.
type HealthConfig struct {
	// Interval is the time between two rounds of checks of unused connections. Default 0.5 s.
	Interval time.Duration
	// Timeout is how long an acquire waits for the check of one connection before it tries another; it grows to four
	// times the last good round trip. Default 1 s; cannot be off.
	Timeout time.Duration
	// OnAcquire says what a connection must show before it is handed out. Default CheckIdle.
	OnAcquire CheckPolicy
}

// CheckPolicy says what a connection must show before it is handed out.
type CheckPolicy uint8

// The policies. Whatever the policy, a connection is verified with SELECT 1 after signs that the server is gone.
const (
	// CheckIdle asks for nothing if the server answered on the connection within the last millisecond, for a look at
	// the socket (no round trip) within the last second, and for an answer to SELECT 1 after that.
	CheckIdle CheckPolicy = iota
	// CheckAlways asks for an answer to SELECT 1 every time.
	CheckAlways
	// CheckNever asks for nothing.
	CheckNever
)

// ResetPolicy says what is done about a session between two leases. Whatever the policy, a transaction that is still
// open is rolled back, or the connection is closed where that takes longer than a check may; a connection that is busy,
// has unread rows or was closed by its holder is closed; and when a holder made the server forget prepared statements,
// pgx forgets its own.
type ResetPolicy uint8

// The policies. What a hook of ConnConfig (AfterConnect) has set up, the server cannot bring back: a session whose
// cleaning would undo that is closed instead. Start-up parameters (ConnConfig.RuntimeParams) survive every cleaning.
const (
	// ResetSmart cleans a session that was seen to have changed, in one round trip that does what is needed; one that
	// was not costs none. Seen are, in what is sent and in the tags of the answers: SET, SET ROLE, SET SESSION
	// AUTHORIZATION, RESET, set_config(); temporary tables, views, sequences and whatever names pg_temp; session-level
	// advisory locks; LISTEN; the statements PREPARE and DECLARE WITH HOLD; DO blocks, which may do all of this; and LOAD,
	// after which the connection is closed. SET LOCAL does not count, nor does set_config() of a setting with a dot in its
	// name, with a parameter or a plain text for its value, and true behind that. To look costs a statement that pgx
	// runs by its name about 20 ns, and one that is sent as a text about 0.7 ns for each of its bytes.
	//
	// Not seen is what functions, procedures, triggers, rules and views do inside. Left as they are: what DISCARD ALL
	// would not undo either (LOAD excepted), currval and lastval of sequences, statements that were prepared under a name
	// by pgx.Tx.Prepare or pgx.Conn.Prepare (unless the server is made to forget all), and types registered with pgx.
	ResetSmart ResetPolicy = iota
	// ResetNone cleans nothing, but for what was changed in a lease that used Lease.Raw.
	ResetNone
	// ResetFull runs DISCARD ALL after every lease, also of a single statement: one round trip during which the
	// connection serves nobody, and all statements are prepared anew by the next lease (another round trip for each, if
	// pgx caches them: the exec modes QueryExecModeExec and QueryExecModeSimpleProtocol spare that).
	ResetFull
)

// ParseConfig reads a connection string: a postgres:// URL or keywords and values, completed by the PG* variables, the
// password file and the service file as pgx does it. Everything else in the result has its default.
func ParseConfig(dsn string) (Config, error) {
	cc, err := pgx.ParseConfig(dsn)
	if err != nil {
		return Config{}, fmt.Errorf("poolactor: connection string: %w", withoutDSN(err))
	}
	return Config{ConnConfig: cc}, nil
}

// withoutDSN keeps the reason of a parse error and drops the connection string that pgx quotes with it.
func withoutDSN(err error) error {
	var pe *pgconn.ParseConfigError
	if !errors.As(err, &pe) {
		return err
	}
	if cause := errors.Unwrap(pe); cause != nil {
		var number *strconv.NumError
		if errors.As(cause, &number) {
			return fmt.Errorf("a number is malformed: %w", number.Err)
		}
	}
	return errors.New("it is not a valid postgres:// URL or keyword string, or one of its settings has a value that is not allowed")
}

// The defaults, which config.yml repeats for the daemon.
const (
	defaultMaxSize        = 20
	defaultConnectTimeout = 10 * time.Second
	defaultDrainTimeout   = 10 * time.Second
	defaultMaxLifetime    = time.Hour
	defaultMaxIdleTime    = 30 * time.Minute
	defaultLeaseWarnAfter = 5 * time.Minute
	defaultClientCheck    = 2 * time.Second
	defaultKeepaliveIdle  = 30 * time.Second
	defaultInitial        = 500 * time.Millisecond
	defaultMaxBackoff     = 30 * time.Second
	defaultMaxRetries     = 5
	defaultMaxDials       = 4
	defaultShared         = 4
	defaultInterval       = 500 * time.Millisecond
	defaultHealthTimeout  = time.Second
	defaultJitter         = 0.2
)

// withDefaults returns the configuration with every default filled in and off written as zero, or what is wrong
// with it.
func (c Config) withDefaults() (Config, error) {
	if c.ConnConfig == nil {
		return c, errors.New("poolactor: Config.ConnConfig is missing: use ParseConfig")
	}
	c.ConnConfig = c.ConnConfig.Copy()
	fill(&c.MaxSize, defaultMaxSize)
	fill(&c.ConnectTimeout, defaultConnectTimeout)
	fill(&c.DrainTimeout, defaultDrainTimeout)
	fill(&c.MaxLifetime, defaultMaxLifetime)
	fill(&c.MaxLifetimeJitter, max(c.MaxLifetime/10, 0))
	fill(&c.MaxIdleTime, defaultMaxIdleTime)
	fill(&c.LeaseWarnAfter, leaseWarnAfter(c.LeaseMaxAge))
	fill(&c.ClientCheckInterval, defaultClientCheck)
	fill(&c.KeepaliveIdle, defaultKeepaliveIdle)
	fill(&c.Retry.Initial, defaultInitial)
	fill(&c.Retry.Max, max(defaultMaxBackoff, c.Retry.Initial))
	fill(&c.Retry.MaxRetries, defaultMaxRetries)
	fill(&c.Retry.MaxDials, defaultMaxDials)
	fill(&c.Retry.Jitter, defaultJitter)
	fill(&c.Shared.Connections, defaultShared)
	fill(&c.Health.Interval, defaultInterval)
	fill(&c.Health.Timeout, defaultHealthTimeout)
	if err := c.check(); err != nil {
		return c, fmt.Errorf("poolactor: %w", err)
	}
	for _, off := range []*time.Duration{
		&c.StatementTimeout, &c.AcquireTimeout, &c.DrainTimeout, &c.MaxLifetime, &c.MaxLifetimeJitter, &c.MaxIdleTime,
		&c.LeaseWarnAfter, &c.LeaseMaxAge, &c.ClientCheckInterval, &c.KeepaliveIdle, &c.Health.Interval,
	} {
		*off = max(*off, 0)
	}
	for _, off := range []*int{&c.MinSize, &c.MinIdle, &c.MaxWaiters, &c.Retry.MaxRetries, &c.Shared.Connections} {
		*off = max(*off, 0)
	}
	c.Retry.Jitter = max(c.Retry.Jitter, 0)
	return c, nil
}

// leaseWarnAfter is the default of LeaseWarnAfter: it comes before the lease is taken away.
func leaseWarnAfter(maxAge time.Duration) time.Duration {
	if maxAge > 0 {
		return min(maxAge, defaultLeaseWarnAfter)
	}
	return defaultLeaseWarnAfter
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check says which field is out of its range.
func (c Config) check() error {
	switch {
	case c.MaxSize < 1:
		return fmt.Errorf("MaxSize is %d: at least 1", c.MaxSize)
	case c.MaxSize > maxSlots:
		return fmt.Errorf("MaxSize is %d: at most %d", c.MaxSize, maxSlots)
	case c.MinSize > c.MaxSize:
		return fmt.Errorf("MinSize %d is larger than MaxSize %d", c.MinSize, c.MaxSize)
	case c.MinIdle > c.MaxSize:
		return fmt.Errorf("MinIdle %d is larger than MaxSize %d", c.MinIdle, c.MaxSize)
	case c.LeaseMaxAge > 0 && c.LeaseWarnAfter > c.LeaseMaxAge:
		return fmt.Errorf("LeaseWarnAfter %v is longer than LeaseMaxAge %v", c.LeaseWarnAfter, c.LeaseMaxAge)
	case c.ConnectTimeout < 0:
		return errors.New("ConnectTimeout cannot be off")
	case c.Health.Timeout < 0:
		return errors.New("Health.Timeout cannot be off")
	case c.Health.OnAcquire > CheckNever:
		return fmt.Errorf("Health.OnAcquire is %d: CheckIdle, CheckAlways or CheckNever", c.Health.OnAcquire)
	case c.Reset > ResetFull:
		return fmt.Errorf("the policy Reset is %d: ResetSmart, ResetNone or ResetFull", c.Reset)
	case c.Retry.Initial < 100*time.Millisecond || c.Retry.Initial > 10*time.Second:
		return fmt.Errorf("Retry.Initial is %v: 100ms to 10s", c.Retry.Initial)
	case c.Retry.Max < c.Retry.Initial || c.Retry.Max > time.Minute:
		return fmt.Errorf("Retry.Max is %v: from Retry.Initial to 1m", c.Retry.Max)
	case c.Retry.MaxDials < 1:
		return fmt.Errorf("Retry.MaxDials is %d: at least 1", c.Retry.MaxDials)
	case c.Retry.Jitter > 1:
		return fmt.Errorf("Retry.Jitter is %v: at most 1", c.Retry.Jitter)
	default:
		return nil
	}
}

// connConfig is what every dial starts from: the user's, with the start-up parameters that the pool adds. A parameter
// that the user set stays as it is.
func (c Config) connConfig() *pgx.ConnConfig {
	cc := c.ConnConfig.Copy()
	params := map[string]string{}
	if ms := whole(c.StatementTimeout, time.Millisecond); ms > 0 {
		params["statement_timeout"] = strconv.FormatInt(ms, 10)
	}
	if ms := whole(c.ClientCheckInterval, time.Millisecond); ms > 0 {
		params["client_connection_check_interval"] = strconv.FormatInt(ms, 10)
	}
	if s := whole(c.KeepaliveIdle, time.Second); s > 0 && !isSocketPath(cc.Host) {
		params["tcp_keepalives_idle"] = strconv.FormatInt(s, 10)
		params["tcp_keepalives_interval"] = strconv.FormatInt(max(s/3, 1), 10)
		params["tcp_keepalives_count"] = "3"
	}
	maps.Copy(params, cc.RuntimeParams)
	cc.RuntimeParams = params
	return cc
}

// whole is a duration in units, rounded up: the server takes 0 for none.
func whole(d, unit time.Duration) int64 { return int64((d + unit - 1) / unit) }

func isSocketPath(host string) bool { return host != "" && (host[0] == '/' || host[0] == '@') }

// target names the server, without secrets.
func (c Config) target() messages.Target {
	cc := c.ConnConfig
	return messages.Target{Host: cc.Host, Port: cc.Port, Database: cc.Database, User: cc.User}
}

// address writes a target for people: user@host:port/database.
func address(t messages.Target) string {
	host := t.Host
	if !isSocketPath(host) {
		host = net.JoinHostPort(host, strconv.Itoa(int(t.Port)))
	}
	return fmt.Sprintf("%s@%s/%s", t.User, host, t.Database)
}
