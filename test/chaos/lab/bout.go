package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// bout is one round of a siege.
type bout struct {
	*siege
	number  int
	called  atomic.Int64 // how many calls have begun
	x       *Experiment
	autopsy *autopsy
	dooms   []Fault // that ended every backend; of the server's lane
	hurried atomic.Int64
	over    context.Context // ends with the last fault of the server's lane
	end     context.CancelFunc

	mu     sync.Mutex
	done   []string // what was done to the pool, in order
	broken []string
}

// fail notes that something is wrong.
func (b *bout) fail(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = append(b.broken, fmt.Sprintf(format, args...))
}

func (b *bout) tell(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := time.Since(b.x.began).Seconds()
	b.done = append(b.done, fmt.Sprintf("%6.2f s  ", at)+fmt.Sprintf(format, args...))
}

// round sets callers on the pool, lets every lane do its steps, and judges.
func (s *siege) round(ctx context.Context, number int) error {
	b := &bout{siege: s, number: number, autopsy: &autopsy{}}
	b.over, b.end = context.WithCancel(ctx)
	defer b.end()
	setup := Setup{
		Callers: soakCallers, Patience: patience, Think: soakThink, Resets: s.place.proxy.Resets,
		Tuning: Tuning{Size: soakSize},
	}
	b.x = &Experiment{Kind: Ours, setup: setup, pool: s.pool, meter: s.meter, began: time.Now(), late: watchLateness()}
	b.x.late.watchThreads()
	b.x.load = startCalling(s.pool, soakCallers, habits{patience: patience, think: soakThink, load: b.load})
	err := b.besiege(context.WithoutCancel(ctx), number)
	b.x.load.end()
	b.x.late.stop()
	b.judge(context.WithoutCancel(ctx))
	s.report(b, number)
	b.forget()
	return err
}

// forget lets go of what was recorded: pgx keeps the contexts of a connection's last queries, and through them the round.
func (b *bout) forget() {
	load := b.x.load
	load.mu.Lock()
	defer load.mu.Unlock()
	load.calls, load.backends, load.acked, load.unknown, load.again = nil, nil, nil, nil, nil
	load.load, b.x.late, b.autopsy, b.done = nil, nil, nil, nil
}

// besiege runs all lanes. The server's has so many steps, the others go on as long as it does.
func (b *bout) besiege(ctx context.Context, number int) error {
	var others sync.WaitGroup
	failures := make([]error, len(lanes))
	walk := func(lane, steps int) {
		plan := newPlan(b.Seed, number, lane)
		for range steps {
			step := plan.next()
			b.pass(step.pause)
			if b.over.Err() != nil {
				return
			}
			b.tell("%s", step.what)
			if failures[lane] = step.do(ctx, b); failures[lane] != nil {
				failures[lane] = fmt.Errorf("%s: %w", step.what, failures[lane])
				b.end()
				return
			}
		}
	}
	for lane := range lanes[1:] {
		others.Go(func() { walk(lane+1, endless) })
	}
	walk(0, stepsInRound)
	b.end()
	others.Wait()
	return errors.Join(failures...)
}

// pass lets time pass, until the round is over at most.
func (b *bout) pass(d time.Duration) { Pass(b.over, d) }

// judge holds the round against the rule and its rows against the table, and empties that.
func (b *bout) judge(ctx context.Context) {
	blamed := make(map[*Backend]bool)
	b.x.Excuse(func(c Call) bool {
		if c.Granted.IsZero() || blamed[c.Backend] || !b.excuses(c) {
			return false
		}
		blamed[c.Backend] = true
		return true
	})
	b.x.judge()
	r := &b.x.result
	if r.Forbidden > 0 {
		b.fail("%d failures that the rule forbids, such as: %v", r.Forbidden, r.Examples)
	}
	b.broken = append(b.broken, r.Broken...)
	b.overshot()
	rows, err := b.x.load.audit(ctx, b.place.server.DSN())
	if err == nil {
		err = execute(ctx, b.place.server.DSN(), "set lock_timeout = '20s'", "truncate inserted")
	}
	switch {
	case err != nil:
		b.fail("the table could not be read and emptied: %v", err)
	case rows.Missing+rows.Doubled+rows.Strange > 0:
		b.fail("%d acknowledged rows missing, %d doubled, %d that were rolled back are there", rows.Missing, rows.Doubled, rows.Strange)
	}
	r.Rows = rows
	r.Dials, r.Busiest = b.meter.count(b.x.outages)
	b.meter.forget()
	b.place.proxy.ForgetResets()
}

// report adds the round to what was found.
func (s *siege) report(b *bout, number int) {
	r, f := &b.x.result, &s.found
	f.Calls += len(b.x.load.calls)
	f.Failed += r.FailedHolding
	f.Hurried += int(b.hurried.Load())
	f.Rows += r.Rows.Acknowledged
	f.Dials += r.Dials
	f.Crashes = int(s.crashes.Load())
	f.Longest = max(f.Longest, r.Longest)
	if s.Progress != nil {
		fmt.Fprintf(s.Progress, "%5.0f s  round %d: %d calls, %d failed holding (%d excused by this machine's delays), %d rows, %d dials (%d in 5 s of an outage), longest %v; %d steps\n",
			time.Since(s.began).Seconds(), number, len(b.x.load.calls), r.FailedHolding, b.x.excused, r.Rows.Acknowledged, r.Dials, r.Busiest,
			r.Longest.Round(time.Millisecond), len(b.done))
	}
	if len(b.broken) == 0 {
		return
	}
	for _, broken := range b.broken[:min(mostShown, len(b.broken))] {
		s.wrong("round %d: %s", number, broken)
	}
	for _, done := range b.done {
		s.wrong("    %s", done)
	}
}

// overshot notes if there were more sockets and dials than the pool may have, since the last look.
func (b *bout) overshot() {
	peak := b.meter.peak.Load()
	b.found.Peak = max(b.found.Peak, int(peak))
	if most := b.bound.Load(); peak > most {
		b.fail("%d sockets and dials at once, %d are allowed", peak, most)
	}
}

// excuses tells whether a call failed because its backend was ended, and had not been dead for longer than the grace when
// the call got it.
func (b *bout) excuses(c Call) bool {
	died, dead := b.autopsy.of(c.Backend.PID)
	if !dead {
		return slices.ContainsFunc(b.dooms, func(f Fault) bool {
			return !c.Ended.Before(f.At) && !c.Granted.After(f.DeadBy.Add(soakGrace))
		})
	}
	late := c.Granted.Sub(died)
	if late > soakGrace && late-b.x.late.heldUp(died, c.Granted) <= soakGrace {
		b.x.excused++
		return true
	}
	return late <= soakGrace
}

// What callers do: mostly calls of the usual mix, some by message, some in a hurry, some that look whether the session is
// clean.
const (
	usual = iota
	byMail
	inHurry
	looking
)

// errand is what one call is to be.
type errand struct {
	kind     int
	patience time.Duration // of a call in a hurry
}

// errandOf is what the n-th call of a round is to be. It follows from the seed, whoever makes the call.
func errandOf(seed uint64, round int, n int64) errand {
	r := rand.New(rand.NewPCG(^seed, uint64(round)<<32|uint64(n)))
	switch r.IntN(16) {
	case 0, 1:
		return errand{kind: inHurry, patience: time.Duration(r.Int64N(int64(30 * time.Millisecond)))}
	case 2, 3:
		return errand{kind: looking}
	case 4:
		return errand{kind: byMail}
	default:
		return errand{kind: usual}
	}
}

// load makes the next call of the round.
func (b *bout) load(w *workload) error {
	switch e := errandOf(b.Seed, b.number, b.called.Add(1)); e.kind {
	case inHurry:
		return b.hurry(w, e.patience)
	case looking:
		return b.look(w)
	case byMail:
		return askByMessage(w)
	default:
		return w.call()
	}
}

// hurry makes a call with a deadline of its own, at which it may end. Else it is judged like any other.
func (b *bout) hurry(w *workload, patience time.Duration) error {
	c := w.try(context.Background(), patience, func(ctx context.Context, s Session) error {
		_, err := s.Exec(ctx, "select pg_sleep(0.01)")
		return err
	})
	if errors.Is(c.Err, context.DeadlineExceeded) && c.Ended.Sub(c.Began) >= patience {
		b.hurried.Add(1)
		return c.Err
	}
	w.note(c)
	return c.Err
}

// look makes a call that reads what its session is like.
func (b *bout) look(w *workload) error {
	return w.run(context.Background(), func(ctx context.Context, s Session) error {
		var found string
		err := s.QueryRow(ctx, session, pgx.QueryExecModeExec).Scan(&found)
		if err == nil && found != b.clean {
			b.fail("a lease found its session changed: %s, instead of %s", found, b.clean)
		}
		return err
	})
}

// session is what a lease can find changed.
const session = `select concat_ws(' | ',
	current_setting('statement_timeout'), current_setting('search_path'), current_setting('timezone'),
	current_setting('work_mem'), nullif(current_setting('app.tenant', true), ''),
	session_user, current_user, current_setting('role'),
	(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) || ' locks',
	(select count(*) from pg_class where relpersistence = 't' and relnamespace = pg_my_temp_schema()) || ' temporary',
	(select count(*) from pg_listening_channels()) || ' channels',
	(select count(*) from pg_prepared_statements where from_sql) || ' prepared',
	(select count(*) from pg_cursors where is_holdable) || ' cursors',
	coalesce(pg_current_xact_id_if_assigned()::text, 'no transaction'))`
