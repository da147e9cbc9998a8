package retry

import (
	"context"
	"math"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// Config says whom to dial and how. Zero values mean the defaults named here, negative ones off.
type Config struct {
	// ConnConfig names the server or servers. It must come from pgx.ParseConfig and is copied by New. Its
	// DialFunc, LookupFunc and ConnectTimeout are not used.
	ConnConfig *pgx.ConnConfig

	// Dial opens every socket for a connection, CancelDial every socket for a cancel request, Lookup resolves every
	// name. nil: a net.Dialer with keepalive, Dial, the system's resolver. They must return when their context ends: a
	// life of the actor ends when all of them have. A panic in one of them fails that attempt only.
	Dial       pgconn.DialFunc
	CancelDial pgconn.DialFunc
	Lookup     pgconn.LookupFunc

	// BeforeConnect may change the configuration of one order before it is dialled: a password that was just fetched, say,
	// or the server. It gets a copy of ConnConfig, in which DialFunc and LookupFunc are those named above; its time is not
	// held against the server. AfterConnect makes a connection ready that the server has let in. nil: nothing. Both
	// have ConnectTimeout, and must return when their context ends; an error or a panic of theirs fails that attempt only.
	// errors.Is and errors.As find an error of theirs in the cause of an outage, whose text never quotes it unredacted.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error
	AfterConnect  func(context.Context, *pgx.Conn) error
	// Panicked is told of each panic of foreign code: the hook ("connecting": anything else), an error without secrets, and
	// the stack. It must be quick. nil: nobody is told.
	Panicked func(where string, err error, stack string)

	// ConnectTimeout bounds one attempt: one address, from dialling to the completed log-in. Default 10 s; off:
	// unbounded.
	ConnectTimeout time.Duration

	// Initial is the wait after the first failed attempt of an outage; each further wait is twice as long, up to Max.
	// Defaults 500 ms and 30 s. Initial off: no wait. Max off: no cap.
	Initial, Max time.Duration
	// MaxRetries is after how many attempts more than one callers without a deadline give up. It is only told in log
	// lines: failing callers is the pool's. Default 5.
	MaxRetries int
	// Jitter is the largest fraction of a wait that chance takes off. Default 0.1.
	Jitter float64
	// MaxDials bounds how many orders are dialled at the same time. Default 4; off: no bound. An outage ends within
	// its bounds only with 3 or more.
	MaxDials int

	// Logger gets one line for each scheduled attempt that failed (WARN), and for each scout that did (DEBUG); when an
	// outage begins and ends is told by the pool. nil is silent.
	Logger *zerolog.Logger
	// Target is how log lines name the server. Default: the first host of ConnConfig.
	Target messages.Target

	cancelsAsItDials bool // there was no CancelDial
}

const (
	defaultConnectTimeout = 10 * time.Second
	defaultInitial        = 500 * time.Millisecond
	defaultMax            = 30 * time.Second
	defaultMaxRetries     = 5
	defaultJitter         = 0.1
	defaultMaxDials       = 4
)

// withDefaults fills defaults in and replaces "off" by the value that does it.
func (c Config) withDefaults() Config {
	c.ConnectTimeout = choose(c.ConnectTimeout, defaultConnectTimeout, 0)
	c.Initial = choose(c.Initial, defaultInitial, 0)
	c.Max = choose(c.Max, defaultMax, 0)
	c.MaxRetries = choose(c.MaxRetries, defaultMaxRetries, 0)
	c.Jitter = choose(c.Jitter, defaultJitter, 0)
	c.MaxDials = choose(c.MaxDials, defaultMaxDials, math.MaxInt)
	if c.Dial == nil {
		c.Dial = backend.DefaultDialer.DialContext
	}
	if c.CancelDial == nil {
		c.CancelDial, c.cancelsAsItDials = c.Dial, true
	}
	if c.Lookup == nil {
		c.Lookup = net.DefaultResolver.LookupHost
	}
	if c.Panicked == nil {
		c.Panicked = func(string, error, string) {}
	}
	if c.Logger == nil {
		silent := zerolog.Nop()
		c.Logger = &silent
	}
	if c.ConnConfig != nil {
		c.ConnConfig = c.ConnConfig.Copy()
		if c.Target == (messages.Target{}) {
			cc := c.ConnConfig
			c.Target = messages.Target{Host: cc.Host, Port: cc.Port, Database: cc.Database, User: cc.User}
		}
	}
	return c
}

func choose[T int | float64 | time.Duration](value, standard, off T) T {
	switch {
	case value == 0:
		return standard
	case value < 0:
		return off
	default:
		return value
	}
}
