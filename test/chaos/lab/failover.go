package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// Row 11: two servers, of which one takes writes, and changes of who that is. A commit is acknowledged when the standby
// has it, too, so whatever callers were told has to be found on the one that takes writes in the end.

// following is what the time is called from a standby's promotion to the first success on it.
const following = "the first success after a promotion"

// readOnly is what a server answers to a write that it does not take.
const readOnly = "25006"

func failovers() []Row {
	// Eighty for the server that was left, and one a second for the other.
	bounds := []Bound{HitsSomebody, DialsWithin(85), TookWithin(following, recovery)}
	return []Row{{
		ID: "11", Fault: "host=a,b read-write: primary killed, standby promoted 1 s later, old primary back as a standby; " +
			"new primary killed, down 2 s",
		Timed: true, Bounds: append(bounds, FirstWithin(recovery)), Run: onPair(nil, failOver),
	}, {
		ID: "11-demote", Fault: "host=a,b read-write: primary turned read-only with all its sessions, standby promoted 1 s later",
		Timed: true, Short: true, Bounds: bounds, Run: onPair(nil, demote),
	}, {
		ID: "11-user", Fault: "host=a,b read-write: a quarter of the calls write in a READ ONLY transaction of their own",
		Bounds: []Bound{NothingFails}, Run: onPair(writers, writeReadOnly),
	}}
}

// pair is a primary and a standby that has whatever the primary acknowledges.
type pair struct {
	lab  *Lab
	a, b *postgres.Server
}

func (l *Lab) pair(ctx context.Context) (*pair, error) {
	a, err := l.server(ctx, postgres.Options{Settings: map[string]string{"synchronous_standby_names": "*"}})
	if err != nil {
		return nil, err
	}
	b, err := l.server(ctx, postgres.Options{Primary: a})
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return &pair{lab: l, a: a, b: b}, nil
}

func (p *pair) close() error { return errors.Join(p.b.Close(), p.a.Close()) }

// dsn leads to whichever of both takes writes.
func (p *pair) dsn() string {
	return fmt.Sprintf("host=%s,%s port=%d,%d user=%s dbname=%s sslmode=disable target_session_attrs=read-write",
		p.a.Host(), p.b.Host(), p.a.Port(), p.b.Port(), p.a.User(), p.a.Database())
}

// onPair makes an experiment with two servers out of what is done to them. tune may change the setup.
func onPair(tune func(*Setup), do func(context.Context, *Experiment, *pair) error) func(context.Context, *Lab, Kind) (Result, error) {
	return func(ctx context.Context, l *Lab, k Kind) (Result, error) {
		p, err := l.pair(ctx)
		if err != nil {
			return Result{}, err
		}
		defer p.close()
		s := Setup{DSN: p.dsn()}
		if tune != nil {
			tune(&s)
		}
		x, err := Begin(ctx, k, s)
		if err != nil {
			return Result{}, err
		}
		err = do(ctx, x, p)
		return x.Finish(ctx), err
	}
}

// promote makes the standby a primary, and measures how soon somebody succeeds.
func (x *Experiment) promote(ctx context.Context, p *pair, f *Fault) error {
	before := p.b.AcceptedAt()
	if err := p.b.Promote(); err != nil {
		return err
	}
	if !until(ctx, eventually, func() bool { return p.b.AcceptedAt().After(before) }) {
		return errors.New("lab: the standby was not promoted")
	}
	promoted := p.b.AcceptedAt()
	if first := x.First(ctx, f, promoted, 0); !first.IsZero() {
		x.Took(following, first.Sub(promoted), x.late.seen())
	}
	return nil
}

// comeBack replaces the dead primary by a standby of the new one, at the same address.
func (p *pair) comeBack(ctx context.Context) error {
	port := p.a.Port()
	if err := p.a.Close(); err != nil {
		return err
	}
	a, err := p.lab.server(ctx, postgres.Options{Port: port, Primary: p.b})
	if err != nil {
		return err
	}
	p.a = a
	return nil
}

// misdirected is how many writes have come to a server that takes none, by its own log.
func misdirected(server *postgres.Server) (n int, err error) {
	lines, err := server.Log()
	for _, line := range lines {
		if line.Code == readOnly && line.Severity == "ERROR" {
			n++
		}
	}
	return n, err
}

// failOver is the death of the primary. When that is back as a standby, the new one dies, too, and starts again: meanwhile
// the only server that lets anybody in is one that takes no writes.
func failOver(ctx context.Context, x *Experiment, p *pair) error {
	x.lookAfterBackends()
	f, err := x.endAll(ctx, p.a, p.a.Kill, func() error { Pass(ctx, time.Second); return nil })
	if err != nil {
		return err
	}
	if err := x.promote(ctx, p, f); err != nil {
		return err
	}
	Pass(ctx, time.Second)
	if err := p.comeBack(ctx); err != nil {
		return err
	}
	f, err = x.endAll(ctx, p.b, p.b.Kill, func() error {
		Pass(ctx, 2*time.Second)
		return p.b.StartAgain(ctx)
	})
	if err != nil {
		return err
	}
	x.First(ctx, f, p.b.AcceptedAt(), 0)
	Pass(ctx, 500*time.Millisecond)
	return x.spared(p.a, p.b)
}

// spared holds that no write came to a standby.
func (x *Experiment) spared(servers ...*postgres.Server) error {
	for _, server := range servers {
		n, err := misdirected(server)
		if err != nil {
			return err
		}
		if n > 0 {
			x.Fail("%d writes came to a standby", n)
		}
	}
	return nil
}

// demote is a change of roles that kills nobody: the old primary goes on serving every session, and refuses to write. No
// pool can know that before a write is refused, so each of its sessions may fail one call.
func demote(ctx context.Context, x *Experiment, p *pair) error {
	f := x.Strike(ctx)
	err := execute(ctx, p.a.DSN(), "alter system set default_transaction_read_only = on", "select pg_reload_conf()")
	if err != nil {
		return err
	}
	Pass(ctx, time.Second)
	if err := x.promote(ctx, p, f); err != nil {
		return err
	}
	Pass(ctx, 2*time.Second)
	n, err := misdirected(p.a)
	if err != nil {
		return err
	}
	left, err := count(ctx, p.a.DSN(), "select count(*) "+others)
	if err != nil {
		return err
	}
	x.Note("%d writes were refused", n)
	if left > 0 {
		x.Fail("%d connections are still to the server that takes no writes", left)
	}
	blamed := make(map[*Backend]bool)
	x.Excuse(func(c Call) bool {
		if code(c.Err) != readOnly || c.Ended.Before(f.At) || blamed[c.Backend] {
			return false
		}
		blamed[c.Backend] = true
		return true
	})
	return x.spared(p.b)
}

// count runs a query whose answer is a number.
func count(ctx context.Context, dsn, sql string) (n int, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, sql).Scan(&n)
	return n, err
}

// writers are callers some of whom try to write where they said that they would not.
func writers(s *Setup) { s.Load = (*workload).sometimesReadOnly }

// writeReadOnly: what a caller's own transaction refuses is no sign of a failover, so no connection is closed for it.
func writeReadOnly(ctx context.Context, x *Experiment, p *pair) error {
	x.Busy(ctx)
	ended := x.meter.ended.Load()
	Pass(ctx, 5*time.Second)
	closed := x.meter.ended.Load() - ended
	refused, err := misdirected(p.a)
	if err != nil {
		return err
	}
	x.Note("%d writes were refused", refused)
	if refused == 0 {
		return errors.New("lab: nobody wrote in a READ ONLY transaction")
	}
	if closed > 0 {
		x.Fail("%d connections were closed", closed)
	}
	return nil
}

// sometimesReadOnly makes one call; every fourth writes in a READ ONLY transaction, which has to be refused.
func (w *workload) sometimesReadOnly() error {
	if rand.IntN(4) > 0 {
		return w.call()
	}
	return w.run(context.Background(), func(ctx context.Context, s Session) error {
		if _, err := s.Exec(ctx, "begin read only"); err != nil {
			return err
		}
		_, refused := s.Exec(ctx, "insert into inserted values ($1)", -1)
		if _, err := s.Exec(ctx, "rollback"); err != nil {
			return err
		}
		if code(refused) != readOnly {
			return fmt.Errorf("a write in a READ ONLY transaction: %w", refused)
		}
		return nil
	})
}
