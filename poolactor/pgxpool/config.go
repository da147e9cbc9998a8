package pgxpool

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/door"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// ShouldPingParams is what ShouldPing decides by.
type ShouldPingParams struct {
	Conn         *pgx.Conn     // the one that is about to be handed out
	IdleDuration time.Duration // since its last release, or since it was opened
}

// Config says how a pool behaves. It must come from [ParseConfig], and may be changed after that. The hooks run in the
// goroutine that acquires or releases, or in one of the pool's; each may be nil.
type Config struct {
	// ConnConfig says which server to connect to and as whom. Its DialFunc and LookupFunc are used; its context watcher is
	// replaced by the pool's own. A Tracer that is an [AcquireTracer] or a [ReleaseTracer] is told of those as well.
	ConnConfig *pgx.ConnConfig

	// BeforeConnect is called before each dial, with a copy of ConnConfig that it may change: a fresh password, another
	// server. An error is a dial that failed, which callers wait out. The context has the values of that of
	// [NewWithConfig], and the connect time-out (10 s, unless ConnConfig says otherwise). In an outage it is called before
	// each attempt, up to 16 times a second while somebody waits, about once while nobody does or if it is what fails: what
	// is dear to fetch is to be kept for as long as it is good.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error

	// AfterConnect makes a connection ready before anybody has it: types, session settings. An error is a dial that failed.
	// The context is as for BeforeConnect.
	AfterConnect func(context.Context, *pgx.Conn) error

	// BeforeAcquire is called before a connection is handed out: false closes it, and the call takes another.
	//
	// Deprecated: use PrepareConn, which this does nothing beside.
	BeforeAcquire func(context.Context, *pgx.Conn) bool

	// PrepareConn is called before a connection is handed out:
	//
	//   - true and no error: it is handed out;
	//   - true and an error: it goes back to the pool, and the call fails with that error;
	//   - false and an error: it is closed, and the call fails with that error;
	//   - false and no error: it is closed, and the call takes another.
	//
	// A panic closes it, and is the call's error.
	PrepareConn func(context.Context, *pgx.Conn) (bool, error)

	// AfterRelease is called, in a goroutine of the pool, when a connection has come back that is fit for use: false, or a
	// panic, closes it.
	AfterRelease func(*pgx.Conn) bool

	// BeforeClose is called before a connection is closed whose holder has given it back.
	BeforeClose func(*pgx.Conn)

	// ShouldPing decides whether a connection is to answer before it is handed out; one that does not is closed, and the
	// call takes another. nil: the pool looks at each socket itself, and asks the server where a connection has been silent
	// for a second.
	ShouldPing func(context.Context, ShouldPingParams) bool

	// MaxConnLifetime is the age at which a connection is replaced. 0 and less: never. ParseConfig says 1 h.
	MaxConnLifetime time.Duration

	// MaxConnLifetimeJitter is what chance adds to MaxConnLifetime at most, for each connection. 0: nothing.
	MaxConnLifetimeJitter time.Duration

	// MaxConnIdleTime closes connections above MinConns and MinIdleConns that nobody has used for this long. 0 and less: at
	// every look. ParseConfig says 30 min.
	MaxConnIdleTime time.Duration

	// PingTimeout is how long a call waits for the ping of a connection before it takes another. With ShouldPing, the
	// connection is closed then, and 0 is as long as the call's context allows; a ping that its caller has left has another
	// minute. Without ShouldPing, 0 is 1 s, four times the last good round trip is granted if that is more, and the
	// connection has up to the connect time-out to answer, and stays if it does.
	PingTimeout time.Duration

	// MaxConns is how many connections there are at most; at least 1. ParseConfig says 4, or the number of processors if
	// that is more. More than 65 536 are as good as that.
	MaxConns int32

	// MinConns is how many connections are kept open.
	MinConns int32

	// MinIdleConns is how many connections are kept unused, within MaxConns.
	MinIdleConns int32

	// HealthCheckPeriod is how often lifetimes and idle times are looked at; more than a second is as good as that. Whether
	// connections are alive the pool looks for itself, twice a second.
	HealthCheckPeriod time.Duration

	// Tune may change how the supervised pool below is set up, when all of the above has gone into it: what has no field
	// here. It is called once, by [NewWithConfig]. nil: nothing.
	Tune func(*poolactor.Config)

	createdByParseConfig bool
}

// Copy returns a deep copy, but for what pgx.ConnConfig.Copy shares: the TLS configuration.
func (c *Config) Copy() *Config {
	other := *c
	other.ConnConfig = c.ConnConfig.Copy()
	return &other
}

// ConnString is the connection string that [ParseConfig] was given, password included.
func (c *Config) ConnString() string { return c.ConnConfig.ConnString() }

// mostConns is the size beyond which a pool does not grow: far beyond what a server takes, and small enough to have a
// place ready for each.
const mostConns = 1 << 16

// longestUpkeep is the longest time between two looks at lifetimes.
const longestUpkeep = time.Second

// supervised is the configuration of the pool below.
func (p *Pool) supervised(ctx context.Context) (poolactor.Config, error) {
	c := p.config
	if c.MaxConns < 1 {
		return poolactor.Config{}, fmt.Errorf("pgxpool: MaxConns is %d: at least 1", c.MaxConns)
	}
	size := min(c.MaxConns, mostConns)
	s := poolactor.Config{
		ConnConfig:     c.ConnConfig,
		DialFunc:       c.ConnConfig.DialFunc,
		LookupFunc:     c.ConnConfig.LookupFunc,
		ConnectTimeout: max(c.ConnConfig.ConnectTimeout, 0),
		MaxSize:        int(size),
		MinSize:        int(min(c.MinConns, size)),
		MinIdle:        int(min(c.MinIdleConns, size)),
		MaxIdleTime:    max(c.MaxConnIdleTime, 1),
		BeforeClose:    p.beforeClose,
		Health:         poolactor.HealthConfig{Timeout: max(c.PingTimeout, 0)},
	}
	s.MaxLifetime, s.MaxLifetimeJitter = lifetime(c.MaxConnLifetime, c.MaxConnLifetimeJitter)
	if c.ShouldPing != nil {
		s.Health.OnAcquire = poolactor.CheckNever
	}
	if hook := c.BeforeConnect; hook != nil {
		s.BeforeConnect = func(dial context.Context, cc *pgx.ConnConfig) error { return hook(valued{dial, ctx}, cc) }
	}
	if hook := c.AfterConnect; hook != nil {
		s.AfterConnect = func(dial context.Context, conn *pgx.Conn) error { return hook(valued{dial, ctx}, conn) }
	}
	if c.BeforeClose == nil && c.ShouldPing == nil {
		s.BeforeClose = nil
	}
	door.Upkeep(&s, upkeep(c.HealthCheckPeriod))
	if c.Tune != nil {
		c.Tune(&s)
	}
	return s, nil
}

// lifetime says in the pool's words, which take the jitter off, what pgxpool says by adding it.
func lifetime(least, jitter time.Duration) (most, off time.Duration) {
	if least <= 0 {
		return -1, -1
	}
	jitter = min(jitter, math.MaxInt64-least)
	if jitter <= 0 {
		return least, -1
	}
	return least + jitter, jitter
}

func upkeep(period time.Duration) time.Duration {
	if period <= 0 {
		return longestUpkeep
	}
	return min(period, longestUpkeep)
}

// valued is a context with the values of another behind its own.
type valued struct {
	context.Context
	behind context.Context
}

func (v valued) Value(key any) any {
	if value := v.Context.Value(key); value != nil {
		return value
	}
	return v.behind.Value(key)
}
