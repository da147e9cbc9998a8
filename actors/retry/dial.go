package retry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
)

// dialer opens connections for orders, each in the goroutine that asks. What it learns it keeps over crashes of the
// actor.
type dialer struct {
	cfg    Config
	book   *book
	budget *budget
	usual  *errand // what every dial goes by, unless BeforeConnect changes it

	hookFailed atomic.Pointer[time.Time] // when BeforeConnect failed last
}

func newDialer(cfg Config) *dialer {
	d := &dialer{cfg: cfg, book: newBook(), budget: newBudget()}
	d.usual = d.errand(cfg.ConnConfig)
	return d
}

// errand is what one dial goes by.
type errand struct {
	*dialer
	conn       *pgx.ConnConfig
	dialFunc   pgconn.DialFunc
	cancelFunc pgconn.DialFunc
	lookupFunc pgconn.LookupFunc
	entries    []entry
	hosts      []host
	redact     redactor
}

func (d *dialer) errand(c *pgx.ConnConfig) *errand {
	entries := entriesOf(&c.Config)
	return &errand{
		dialer: d, conn: c, dialFunc: d.cfg.Dial, cancelFunc: d.cfg.CancelDial, lookupFunc: d.cfg.Lookup,
		entries: entries, hosts: hostsOf(entries), redact: newRedactor(c),
	}
}

// prepare lets BeforeConnect change what the dial goes by. What fails there fails this attempt, and is told without the
// secrets that the hook has fetched by then.
func (d *dialer) prepare(ctx context.Context) (e *errand, f *failure) {
	if d.cfg.BeforeConnect == nil {
		return d.usual, nil
	}
	c := d.cfg.ConnConfig.Copy()
	c.DialFunc, c.LookupFunc = d.cfg.Dial, d.cfg.Lookup
	before := entriesOf(&c.Config)
	defer func() { // also by runtime.Goexit
		if now := time.Now(); e == nil {
			d.hookFailed.Store(&now)
		}
	}()
	defer func() {
		if v := recover(); v != nil {
			broken := &errand{dialer: d, redact: newRedactor(c)}
			e, f = nil, broken.redact.failure(broken.panicked("BeforeConnect", v, debug.Stack()))
		}
	}()
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	if err := d.cfg.BeforeConnect(ctx, c); err != nil {
		return nil, newRedactor(c).failure(&hookError{"BeforeConnect", err})
	}
	moveAlong(c, before)
	e = d.errand(c)
	if c.DialFunc != nil {
		e.dialFunc = c.DialFunc
	}
	if d.cfg.cancelsAsItDials {
		e.cancelFunc = e.dialFunc
	}
	if c.LookupFunc != nil {
		e.lookupFunc = c.LookupFunc
	}
	return e, nil
}

// hookPause is for how long no scout is sent after BeforeConnect has failed: a scout is to hear from the server, and whatever
// the hook asks is not there to be asked by each of them.
const hookPause = time.Second

// hookRests tells whether BeforeConnect has failed a short time ago.
func (d *dialer) hookRests(now time.Time) bool {
	at := d.hookFailed.Load()
	return at != nil && now.Sub(*at) < hookPause
}

// moveAlong lets the other TLS mode of a host go where a hook has sent that host: without, the second attempt would go to
// the server from which the hook has turned away. A hook that has put the hosts into another order has turned away from none.
func moveAlong(c *pgx.ConnConfig, before []entry) {
	after := entriesOf(&c.Config)
	same := func(a, b entry) bool { return a.host == b.host }
	if !slices.EqualFunc(before[1:], after[1:], same) {
		return
	}
	for _, other := range c.Fallbacks {
		if (host{other.Host, other.Port}) == before[0].host {
			other.Host, other.Port = c.Host, c.Port
		}
	}
}

// errYielded is why a dial is cancelled that has to make room for a newer one.
var errYielded = errors.New("gave way to a newer dial")

// errUnfit stands for pgx's NotPreferredError, which would make pgx dial a second time.
var errUnfit = errors.New("not the kind of server that target_session_attrs prefers")

// dial leads one order along the ways to the server until one lets it log in. begun is told when an attempt begins, and
// whether it goes the preferred way.
func (d *dialer) dial(ctx context.Context, given circumstances, begun func(preferred bool)) (*backend.Conn, *failure) {
	e, f := d.prepare(ctx)
	if f != nil {
		return nil, f
	}
	return e.run(ctx, given, begun)
}

// run does what dial is for.
func (e *errand) run(ctx context.Context, given circumstances, begun func(preferred bool)) (*backend.Conn, *failure) {
	begun(true)
	candidates, lost := e.resolve(ctx)
	t := newTour(e.book, candidates, given, time.Now())
	for ctx.Err() == nil && len(candidates) > 0 {
		now := time.Now()
		c, preferred, ok := t.next(now, func(p place) bool { return e.budget.spent(p.address, now) < detourBudget })
		if !ok {
			break
		}
		begun(preferred)
		conn, s := e.attempt(ctx, c, given.outage)
		if conn != nil {
			return conn, nil
		}
		t.note(s)
	}
	if c, ok := t.fallback(); ok && ctx.Err() == nil {
		begun(false)
		conn, s := e.attempt(ctx, c, true)
		if conn != nil {
			return conn, nil
		}
		t.note(s)
	}
	return nil, e.outcome(ctx, t, lost)
}

// outcome makes one failure of all that a tour met.
func (e *errand) outcome(ctx context.Context, t *tour, lost []unresolved) *failure {
	shown, parts := t.shown(), t.failures()
	for _, u := range lost {
		shown[u.host] = Transient
		parts = append(parts, e.redact.failure(u.err))
	}
	if len(parts) == 0 {
		return e.redact.failure(context.Cause(ctx)) // cancelled before the first attempt
	}
	return summary(e.book.judge(e.hosts, shown), parts)
}

// resolve looks the names up within the connect time-out.
func (e *errand) resolve(ctx context.Context) ([]candidate, []unresolved) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	return resolve(ctx, e.entries, e.lookup)
}

// attempt tries one way, again and at once without a parameter that the server does not take.
func (e *errand) attempt(ctx context.Context, c candidate, anyKind bool) (*backend.Conn, stage) {
	for {
		began, cfg := time.Now(), e.configFor(c, anyKind)
		conn, connected, err := e.open(ctx, cfg)
		if err == nil {
			now := time.Now()
			e.book.loggedIn(c.way, now.Sub(began), now)
			e.budget.clear()
			return conn, stage{}
		}
		if !e.drop(cfg, err) {
			return nil, e.conclude(c, connected, err)
		}
	}
}

// open makes one attempt: one call of DialFunc. It reports whether somebody is there: the call brought a socket, and
// nobody left us waiting.
func (e *errand) open(ctx context.Context, cfg *pgx.ConnConfig) (conn *backend.Conn, connected bool, err error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	var answered atomic.Bool
	where := "connecting"
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		e.budget.spend(address, time.Now())
		socket, err := e.dialFunc(ctx, network, address)
		answered.Store(err == nil)
		return socket, err
	}
	conn, err = backend.Open(ctx, cfg, backend.Options{Dial: dial, CancelDial: e.cancelFunc, Greet: e.greet(&where)})
	if err == nil {
		return conn, true, nil
	}
	var broken *backend.PanicError
	if errors.As(err, &broken) {
		return nil, answered.Load(), e.panicked(where, broken.Value, broken.Stack)
	}
	var (
		server *pgconn.PgError
		letIn  *insideError
	)
	if ctx.Err() != nil && !errors.As(err, &server) && !errors.As(err, &letIn) {
		return nil, false, e.silence(ctx)
	}
	return nil, answered.Load(), err
}

// silence says that an attempt took too long.
func (d *dialer) silence(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errYielded):
		return fmt.Errorf("no log-in within %v: %w", d.book.patience(), cause)
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("no log-in within %v", d.cfg.ConnectTimeout)
	default:
		return cause
	}
}

// conclude turns the error of one attempt into a stage of the tour.
func (e *errand) conclude(c candidate, connected bool, err error) stage {
	f := e.redact.failure(err)
	if f.class == Unsupported { // and it cannot be left out
		f.class = Refused
	}
	if from := fmt.Sprintf("%s (%s): ", c.address, c.name); !strings.HasPrefix(f.text, from) { // pgx begins so
		f.text = from + f.text
	}
	s := stage{candidate: c, err: f, reach: unreached}
	letIn := new(insideError)
	switch {
	case errors.Is(err, errUnfit):
		s.reach = unfit
	case errors.As(err, &letIn):
		s.reach = spoke
	case refusesTLS(err), f.server != nil && f.server.Code == codeInvalidAuthorization:
		s.reach = declined
	case f.server != nil, f.class == Refused:
		s.reach = spoke
	case connected:
		s.reach = cut
	}
	return s
}

// drop leaves an optional parameter out of all later attempts, if that is what the server asks for.
func (e *errand) drop(cfg *pgx.ConnConfig, err error) bool {
	var server *pgconn.PgError
	if Classify(err) != Unsupported || !errors.As(err, &server) {
		return false
	}
	name := optionalParameter(server)
	if _, sent := cfg.RuntimeParams[name]; !sent {
		return false
	}
	if e.book.drop(name) {
		e.line(zerolog.WarnLevel, "parameter_dropped").Str("parameter", name).Str("cause", e.redact.clean(server.Error())).
			Msg("the server does not take a start-up parameter: going on without it")
	}
	return true
}

// configFor leads pgx one way only, so that one attempt is one call of DialFunc. Unless any kind of server will do, one
// that is not of the preferred kind fails the attempt without pgx dialling again.
func (e *errand) configFor(c candidate, anyKind bool) *pgx.ConnConfig {
	cfg := e.conn.Copy()
	cfg.Host, cfg.Port, cfg.TLSConfig, cfg.Fallbacks = c.name, c.port, c.tls, nil
	cfg.ConnectTimeout = 0 // the context's deadline is the bound
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{c.address}, nil }
	for _, name := range e.book.without() {
		delete(cfg.RuntimeParams, name)
	}
	if validate := cfg.ValidateConnect; validate != nil {
		cfg.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			err := validate(ctx, conn)
			if other := new(pgconn.NotPreferredError); errors.As(err, &other) {
				if err = errUnfit; anyKind {
					return nil
				}
			}
			return inside(err)
		}
	}
	if greet := cfg.AfterConnect; greet != nil {
		cfg.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error { return inside(greet(ctx, conn)) }
	}
	return cfg
}

// greet is what AfterConnect does to a connection that the server has let in; nil: nothing. It notes where we are.
func (e *errand) greet(where *string) func(context.Context, *pgx.Conn) error {
	hook := e.cfg.AfterConnect
	if hook == nil {
		return nil
	}
	return func(ctx context.Context, conn *pgx.Conn) error {
		*where = "AfterConnect"
		if err := hook(ctx, conn); err != nil {
			return inside(&hookError{"AfterConnect", err})
		}
		return nil
	}
}

// hookError is what a hook of Config returned.
type hookError struct {
	name string
	err  error
}

func (e *hookError) Error() string { return e.name + ": " + e.err.Error() }
func (e *hookError) Unwrap() error { return e.err }

// insideError is an error of a hook that pgx runs when the server has let us in.
type insideError struct{ error }

func (e *insideError) Unwrap() error { return e.error }

func inside(err error) error {
	if err == nil {
		return nil
	}
	return &insideError{err}
}

// bounded applies the connect time-out.
func (d *dialer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.cfg.ConnectTimeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d.cfg.ConnectTimeout)
}

// lookup resolves a name. A panic fails this attempt only.
func (e *errand) lookup(ctx context.Context, name string) (addresses []string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = e.panicked("connecting", v, debug.Stack())
		}
	}()
	return e.lookupFunc(ctx, name)
}

// panicked reports a panic of foreign code and makes an error of it.
func (e *errand) panicked(where string, value any, stack []byte) error {
	text := e.redact.clean(fmt.Sprintf("panic while connecting: %v", value))
	if where != "connecting" {
		text = e.redact.clean(fmt.Sprintf("panic in %s: %v", where, value))
	}
	err := errors.New(text)
	e.cfg.Panicked(where, err, string(stack))
	return err
}

// line begins a line about the target.
func (d *dialer) line(level zerolog.Level, event string) *zerolog.Event {
	t := d.cfg.Target
	return d.cfg.Logger.WithLevel(level).Str("event", event).Str("actor", "retry").
		Str("host", t.Host).Uint16("port", t.Port).Str("database", t.Database).Str("user", t.User)
}
