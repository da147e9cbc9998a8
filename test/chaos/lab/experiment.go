package lab

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

const (
	defaultSize    = 20
	defaultCallers = 32
	// eventually bounds each wait for something that has to happen.
	eventually = time.Minute
	// closing is how long a pool may take to close, by default: a peer waits for as long as a connection is out.
	closing = time.Minute
	// afterlife is how long the backends of a killed postmaster live on at most.
	afterlife = 750 * time.Millisecond
)

// Setup says what an experiment begins with.
type Setup struct {
	DSN      string
	Audit    string        // where the table is looked at afterwards; empty: DSN
	Callers  int           // default 32; negative: none
	Patience time.Duration // each call's deadline; default 30 s
	Think    time.Duration // the longest pause between two calls of one caller; default none
	Results  bool          // half of the calls read a long result
	Closing  time.Duration // how long the pool may take to close; default 1 min
	// Log reads the server's log; nil: it is not to be had.
	Log func() ([]postgres.Line, error)
	// Resets lists the connections that a proxy on the way has reset: each is a fault to whoever holds that connection.
	Resets func() []faultproxy.Reset
	// Load makes one call of a caller; nil: the usual mix. Whoever sets it notes the calls, as far as they can be judged.
	Load   func(*workload) error
	Tuning Tuning
}

// differs tells where a setup is not the usual one, for readers of the table.
func (s Setup) differs() string {
	var all []string
	add := func(differs bool, format string, args ...any) {
		if differs {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(s.Tuning.Size != defaultSize, "%d connections", s.Tuning.Size)
	add(s.Callers < 0, "callers of the row's own")
	add(s.Callers >= 0 && s.Callers != defaultCallers, "%d callers", s.Callers)
	add(s.Patience != patience, "deadlines of %v", s.Patience)
	add(s.Load != nil, "calls of the row's own")
	add(s.Results, "half of the calls read a long result")
	add(s.Think > 0, "pauses of up to %v between calls", s.Think)
	return strings.Join(all, ", ")
}

// Experiment is one pool under one workload and some faults.
type Experiment struct {
	Kind   Kind
	setup  Setup
	pool   subject
	meter  *meter
	load   *workload
	late   *lateness
	watch  *observer
	began  time.Time
	busy   time.Time // when every connection was in use for the first time
	before residue

	faults  []*Fault
	autopsy *autopsy // nil: nobody looks after single backends
	outages []outage
	excuse  func(Call) bool
	excused int        // failures that came too late, as far as this machine's delays do not explain it
	later   sync.Mutex // of FailLater
	result  Result
}

// outage is a time in which dials are bounded: from a fault until the server accepts again. Whoever dials then opens what it
// needs, and on a fast machine has done so before the first call has ended.
type outage struct{ from, to time.Time }

// residue is what a pool may leave behind.
type residue struct{ goroutines, descriptors int }

func look() residue {
	r := residue{goroutines: runtime.NumGoroutine(), descriptors: -1}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		r.descriptors = len(entries)
	}
	return r
}

// Begin opens a pool of a kind, makes the table, and sets callers on it. It returns when every connection is in use.
func Begin(ctx context.Context, kind Kind, s Setup) (*Experiment, error) {
	if s.Callers == 0 {
		s.Callers = defaultCallers
	}
	if s.Patience == 0 {
		s.Patience = patience
	}
	if s.Tuning.Size == 0 {
		s.Tuning.Size = defaultSize
	}
	if s.Tuning.ConnWait == 0 {
		s.Tuning.ConnWait = 10 * time.Second
	}
	if s.Closing == 0 {
		s.Closing = closing
	}
	if s.Audit == "" {
		s.Audit = s.DSN
	}
	x := &Experiment{Kind: kind, setup: s, meter: &meter{dialer: s.Tuning.Dial}, before: look(), began: time.Now()}
	if err := makeTable(ctx, s.Audit); err != nil {
		return nil, err
	}
	var err error
	if x.pool, err = open(ctx, kind, s.DSN, s.Tuning, x.meter); err != nil {
		return nil, err
	}
	x.watch = observe(s.Audit)
	h := habits{patience: s.Patience, think: s.Think, results: s.Results, load: s.Load}
	x.load, x.late = startCalling(x.pool, s.Callers, h), watchLateness()
	if s.Load == nil && !x.Busy(ctx) {
		x.Finish(ctx)
		return nil, fmt.Errorf("lab: the connections of %s were never all in use", kind)
	}
	x.busy = time.Now()
	return x, nil
}

func makeTable(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "drop table if exists inserted; create table inserted (key bigint not null); "+
		"grant all on inserted to public")
	return err
}

// Busy waits until every connection is in use: then a fault hits leases. Where callers think between calls, one in use
// will do. It returns false if that does not happen.
func (x *Experiment) Busy(ctx context.Context) bool {
	want := int64(min(x.setup.Tuning.Size, max(x.setup.Callers, 0)))
	if x.setup.Think > 0 {
		want = 1
	}
	return until(ctx, eventually, func() bool { return x.load.holding.Load() >= want })
}

// until polls every millisecond, for facts about a workload that nobody announces.
func until(ctx context.Context, bound time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

// Pass lets real time pass during a fault: its length is what the experiment is about.
func Pass(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Strike waits until every connection is in use and begins a fault. Whoever strikes says when all backends were dead; a
// fault without that excuses nobody.
func (x *Experiment) Strike(ctx context.Context) *Fault {
	x.steady(ctx)
	return x.StrikeNow()
}

// steady waits until the callers have gone on for so long that there is a rate to come back to, the first window being that in
// which they begin, and until every connection is in use.
func (x *Experiment) steady(ctx context.Context) {
	Pass(ctx, time.Until(x.busy.Add((rateWindows+1)*rateWindow)))
	x.Busy(ctx)
}

// StrikeNow begins a fault whoever may hold a lease.
func (x *Experiment) StrikeNow() *Fault {
	x.late.reset()
	f := &Fault{At: time.Now()}
	x.faults = append(x.faults, f)
	return f
}

// Excuse lets a row judge failures itself: those that f takes are not held against the failure rule.
func (x *Experiment) Excuse(f func(Call) bool) { x.excuse = f }

// Accepted waits for the first success and for the former rate after the server accepted again, and notes both. control
// is how late anybody would have been; at least as late as this machine was from then on. What was granted before the old backends
// were dead does not count.
func (x *Experiment) Accepted(ctx context.Context, f *Fault, accepted time.Time, control time.Duration) {
	if !x.First(ctx, f, accepted, control).IsZero() && x.setup.Think == 0 { // few callers who think have no rate
		x.regained(ctx, f, accepted, control)
	}
}

// regained is the second part of Accepted: it waits until the rate is what it was before the first fault.
func (x *Experiment) regained(ctx context.Context, f *Fault, accepted time.Time, control time.Duration) {
	former := x.load.goods().former(x.faults[0].At)
	if former == 0 {
		x.Against("nobody had called for long enough before the fault: there is no rate to come back to")
		return
	}
	var rate time.Time
	until(ctx, 15*time.Second, func() bool {
		rate = x.load.goods().recovered(former, later(accepted, f.DeadBy))
		if rate.IsZero() {
			Pass(ctx, rateWindow/5)
		}
		return !rate.IsZero()
	})
	if rate.IsZero() {
		x.Against("the former rate was not reached again")
		return
	}
	control = max(control, x.late.since(accepted))
	x.result.Rate = append(x.result.Rate, rate.Sub(accepted))
	x.result.RateControl = append(x.result.RateControl, control)
}

// First waits for the first success alone, and returns when it was; zero if there was none.
func (x *Experiment) First(ctx context.Context, f *Fault, accepted time.Time, control time.Duration) (first time.Time) {
	until(ctx, eventually, func() bool {
		first = x.load.firstSuccess(later(accepted, f.DeadBy))
		return !first.IsZero()
	})
	if first.IsZero() {
		x.Fail("nobody succeeded within %v of the server accepting again", eventually)
		return first
	}
	control = max(control, x.late.since(accepted))
	x.result.First = append(x.result.First, first.Sub(accepted))
	x.result.Control = append(x.result.Control, control)
	x.outages = append(x.outages, outage{f.At, accepted})
	return first
}

// Fail notes that a bound was not kept.
func (x *Experiment) Fail(format string, args ...any) {
	x.result.Broken = append(x.result.Broken, fmt.Sprintf(format, args...))
}

// Against notes what speaks against a pool: ours has not kept a bound then; of a peer, readers are told.
func (x *Experiment) Against(format string, args ...any) {
	if x.Pool() != nil {
		x.Fail(format, args...)
	} else {
		x.Note(format, args...)
	}
}

// FailLater is Fail for goroutines of a row.
func (x *Experiment) FailLater(format string, args ...any) {
	x.later.Lock()
	defer x.later.Unlock()
	x.Fail(format, args...)
}

// Took notes how long something took, and the same for a control: how long it would have taken without a pool.
func (x *Experiment) Took(what string, took, control time.Duration) {
	x.result.Took = append(x.result.Took, timing{What: what, Took: took, Control: control})
}

// Note adds something for readers of the table.
func (x *Experiment) Note(format string, args ...any) {
	x.result.Notes = append(x.result.Notes, fmt.Sprintf(format, args...))
}

// Pool is our pool, or nil if a peer is under test.
func (x *Experiment) Pool() *ours {
	if o, ok := x.pool.(ours); ok {
		return &o
	}
	return nil
}

// Finish ends the calls, closes the pool and gives what was measured.
func (x *Experiment) Finish(ctx context.Context) Result {
	x.load.end()
	x.late.stop()
	x.watch.end()
	r := &x.result
	r.Seen, r.Log = x.watch.seen, x.serverLog()
	r.Pool, r.Calls, r.Max = x.Kind, len(x.load.calls), x.setup.Tuning.Size
	r.Setup, r.Errors = x.setup.differs(), failuresOf(x.load.calls)
	x.load.date(x.watch)
	x.judge()
	r.Peak = int(x.meter.peak.Load())
	r.Dials, r.Busiest = x.meter.count(x.outages)
	rows, err := x.load.audit(ctx, x.setup.Audit)
	if err != nil {
		x.Fail("the table could not be read: %v", err)
	}
	r.Rows = rows
	r.LeasesLeft, r.Backends = x.pool.Leased(), onServer(ctx, x.setup.Audit)
	x.close(ctx)
	until(ctx, 3*time.Second, func() bool {
		r.BackendsLeft = onServer(ctx, x.setup.Audit)
		return r.BackendsLeft == 0
	})
	return *r
}

// serverLog sums up what the server has complained about.
func (x *Experiment) serverLog() []failure {
	if x.setup.Log == nil {
		return nil
	}
	lines, err := x.setup.Log()
	if err != nil {
		x.Fail("the server's log could not be read: %v", err)
	}
	var complaints []string
	for _, line := range lines {
		switch line.Severity {
		case "WARNING", "ERROR", "FATAL", "PANIC":
			complaints = append(complaints, line.Severity+": "+line.Text)
		}
	}
	return mostFrequent(complaints)
}

// onServer is how many backends serve clients, by the account of the server; negative: it was not to be had.
func onServer(ctx context.Context, dsn string) int {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return -1
	}
	defer conn.Close(ctx)
	found, err := backends(ctx, conn)
	if err != nil {
		return -1
	}
	return len(found)
}

// close closes the pool and counts what it leaves, also if it does not end: that is what it leaves, then.
func (x *Experiment) close(ctx context.Context) {
	r := &x.result
	closed := make(chan error, 1)
	go func() { closed <- x.pool.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			x.Against("the pool did not close in order: %v", err)
		}
	case <-time.After(x.setup.Closing):
		x.Against("the pool did not close within %v", x.setup.Closing)
	}
	var after residue
	until(ctx, 3*time.Second, func() bool {
		after = look()
		return after.goroutines <= x.before.goroutines && after.descriptors <= x.before.descriptors
	})
	r.GoroutinesLeft = max(0, after.goroutines-x.before.goroutines)
	r.DescriptorsLeft = max(0, after.descriptors-x.before.descriptors)
	r.SocketsLeft = int(x.meter.now.Load())
}
