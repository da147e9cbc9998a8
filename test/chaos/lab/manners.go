package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Row 16: callers without manners, among others. Everybody looks at the session first, so whoever gets what an earlier
// holder has left says so, and the others' calls fail of it.

const (
	mannersSize    = 8
	mannersCallers = 24
	mannersFor     = 5 * time.Second
)

func manners() []Row {
	return []Row{
		{
			ID: "16-session", Short: true, Bounds: []Bound{NothingFails}, Run: badManners,
			Fault: fmt.Sprintf("half of the calls leave transactions, unread results, settings, roles, advisory locks, temporary tables, "+
				"LISTEN, PREPARE or cursors behind, end by Goexit, or close the connection, for %v", mannersFor),
		},
		{
			ID: "16-stale", Short: true, Bounds: []Bound{NothingFails}, Run: staleness,
			Fault: fmt.Sprintf("sessions and transactions used after their release, and released twice, for %v", staleFor),
		},
		{
			ID: "16-forget", Bounds: []Bound{NothingFails}, Run: forgetfulness,
			Fault: fmt.Sprintf("every fourth call forgets to release, for %v; deadlines of %v", forgetfulFor, forgetfulPatience),
		},
	}
}

// strangeness is what a session has that the one who was just given it did not bring there, in words; empty if nothing. It is
// sent as a text, for only then does the server say the same time twice outside a transaction.
const strangeness = `select concat_ws(', ',
	case when now() <> statement_timestamp() then 'an open transaction' end,
	case when current_user <> a.usename or session_user <> a.usename then 'another role' end,
	(select 'settings' from pg_settings where source = 'session' limit 1),
	case when current_setting('lab.mark', true) <> '' then 'a setting of somebody''s own' end,
	(select 'advisory locks' from pg_locks where locktype = 'advisory' and pid = a.pid limit 1),
	(select 'temporary tables' from pg_class where relnamespace = pg_my_temp_schema() limit 1),
	(select 'channels' from pg_listening_channels() limit 1),
	(select 'prepared statements' from pg_prepared_statements where from_sql limit 1),
	(select 'cursors' from pg_cursors where is_holdable limit 1))
	from pg_stat_activity a where a.pid = pg_backend_pid()`

// finds counts what was found where it should not have been, by name.
type finds struct {
	mu     sync.Mutex
	looked int
	of     map[string]int
}

func (f *finds) add(what ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = make(map[string]int)
	}
	for _, w := range what {
		f.of[w]++
	}
}

// String lists them by name; empty if there are none.
func (f *finds) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(f.of)) {
		all = append(all, fmt.Sprintf("%s %d times", what, f.of[what]))
	}
	return strings.Join(all, ", ")
}

// look looks at a session that somebody was just given.
func (f *finds) look(ctx context.Context, s Session) error {
	f.mu.Lock()
	f.looked++
	f.mu.Unlock()
	var strange string
	if err := s.QueryRow(ctx, strangeness, pgx.QueryExecModeSimpleProtocol).Scan(&strange); err != nil {
		f.add("a session that cannot be used")
		return err
	}
	if strange != "" {
		f.add(strings.Split(strange, ", ")...)
	}
	return nil
}

// vice is one way to leave a session to the next caller. How it ends for the caller itself does not matter. Of transactions
// that it leaves open, nobody is ever to see the key.
type vice func(ctx context.Context, s Session, key int64) error

var vices = []vice{
	says("begin; insert into inserted values (:key)"),
	says("begin; insert into inserted values (:key); select 1/0"),
	says("begin; set local work_mem = '1MB'; savepoint a; insert into inserted values (:key)"),
	says("set work_mem = '1MB'"),
	says("set search_path = nowhere"),
	says("set default_transaction_read_only = on"),
	says("select set_config('lab.mark', 'somebody was here', false)"),
	says("set role pg_monitor"),
	says("set session authorization pg_monitor"),
	says("select pg_advisory_lock(pg_backend_pid())"),
	says("select pg_try_advisory_lock_shared(pg_backend_pid(), 1)"),
	says("create temporary table mine (n int)"),
	says("listen lab"),
	says("prepare mine as select 1"),
	says("begin; declare mine cursor with hold for select generate_series(1, 9); commit"),
	leavesRowsUnread,
	closesTheConnection,
	endsItsGoroutine,
}

func says(statements string) vice {
	return func(ctx context.Context, s Session, key int64) error {
		text := strings.ReplaceAll(statements, ":key", strconv.FormatInt(key, 10))
		_, err := s.Exec(ctx, text, pgx.QueryExecModeSimpleProtocol)
		return err
	}
}

func leavesRowsUnread(ctx context.Context, s Session, _ int64) error {
	rows, err := s.Query(ctx, longResult)
	if err == nil {
		rows.Next()
	}
	return err
}

func closesTheConnection(ctx context.Context, s Session, _ int64) error {
	return raw(s, func(c *pgx.Conn) error { return c.Close(ctx) })
}

func endsItsGoroutine(ctx context.Context, s Session, key int64) error {
	_ = says("begin; insert into inserted values (:key)")(ctx, s, key)
	runtime.Goexit()
	return nil
}

// raw gives f the connection of a session.
func raw(s Session, f func(*pgx.Conn) error) error {
	switch s := s.(type) {
	case *poolactor.Lease:
		return s.Raw(f)
	case *pgxpool.Conn:
		return f(s.Conn())
	default:
		return f(s.(*pgx.Conn))
	}
}

// guests are callers of whom some have no manners.
type guests struct {
	finds
	ghosts []int64 // the keys of those
}

// call makes one call: half of them have no manners.
func (g *guests) call(w *workload) (err error) {
	ended := make(chan struct{})
	go func() { // the caller may end its goroutine
		defer close(ended)
		if rand.IntN(2) == 0 {
			err = g.polite(w)
		} else {
			err = g.rude(w)
		}
	}()
	<-ended
	return err
}

// rude makes a call that leaves something behind, of a kind left to chance.
func (g *guests) rude(w *workload) error {
	key := w.keys.Add(1)
	return w.run(context.Background(), func(ctx context.Context, s Session) error {
		if err := g.look(ctx, s); err != nil {
			return err
		}
		g.mu.Lock()
		g.ghosts = append(g.ghosts, key)
		g.mu.Unlock()
		_ = vices[rand.IntN(len(vices))](ctx, s, key)
		return nil
	})
}

var errNotMine = errors.New("lab: the answer was not to this caller's question")

// polite makes a call that leaves nothing behind, and minds whether the answers are its own.
func (g *guests) polite(w *workload) error {
	key := w.keys.Add(1)
	err := w.run(context.Background(), func(ctx context.Context, s Session) error {
		if err := g.look(ctx, s); err != nil {
			return err
		}
		var answer int64
		if err := s.QueryRow(ctx, "select $1::bigint", key).Scan(&answer); err != nil {
			return err
		}
		if answer != key {
			g.add("somebody else's answer")
			return errNotMine
		}
		_, err := insert(ctx, s, key)
		return err
	})
	w.inserted(key, err)
	return err
}

func badManners(ctx context.Context, l *Lab, k Kind) (Result, error) {
	g := &guests{}
	setup := Setup{Callers: mannersCallers, Load: g.call, Tuning: Tuning{Size: mannersSize}}
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, server *postgres.Server) error {
		Pass(ctx, mannersFor)
		x.load.end()
		x.Note("%d of %d calls left something behind", len(g.ghosts), g.looked)
		x.found(&g.finds)
		if pool := x.Pool(); pool != nil && pool.Stat().Cleanings > int64(len(g.ghosts)) {
			x.Fail("%d sessions were cleaned: those that merely look change something, and the row shows nothing", pool.Stat().Cleanings)
		}
		x.allPlaces(ctx)
		return errors.Join(x.noGhosts(ctx, g.ghosts), x.clean(ctx, server.DSN()))
	})
}

// found holds what callers have found against the pool.
func (x *Experiment) found(f *finds) {
	if f.looked == 0 {
		x.Fail("nobody looked: the row shows nothing")
	}
	if all := f.String(); all != "" {
		x.Against("found in %d looks: %s", f.looked, all)
	}
}

// noGhosts looks for rows of transactions that their callers have left open: a later caller has committed them.
func (x *Experiment) noGhosts(ctx context.Context, keys []int64) error {
	conn, err := pgx.Connect(ctx, x.setup.Audit)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var n int
	if err := conn.QueryRow(ctx, "select count(*) from inserted where key = any($1)", keys).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		x.Against("%d rows of %d transactions that were left open are there", n, len(keys))
	}
	return nil
}

// clean asks another session what those of the pool still have when nobody uses them.
func (x *Experiment) clean(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var busy, locks int
	rested := until(ctx, 5*time.Second, func() bool {
		err = conn.QueryRow(ctx, "select count(*) filter (where state <> 'idle'), "+
			"(select count(*) from pg_locks where locktype = 'advisory') "+others).Scan(&busy, &locks)
		return err != nil || busy+locks == 0
	})
	if !rested {
		x.Against("at rest: %d sessions are not idle, %d advisory locks are held", busy, locks)
	}
	return err
}
