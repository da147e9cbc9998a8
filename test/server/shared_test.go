package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// crowd keeps shared connections open until the test ends or the returned function is called: some callers that do nothing
// but share.
func crowd(t *testing.T, p *poolactor.Pool) (disperse func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var callers sync.WaitGroup
	for range 6 {
		callers.Go(func() {
			for ctx.Err() == nil {
				_, _ = p.Shared().Exec(ctx, "select 'one of a crowd'")
			}
		})
	}
	disperse = func() { cancel(); callers.Wait() }
	t.Cleanup(disperse)
	require.Eventually(t, func() bool { return p.Stat().Shared > 0 }, patience, time.Millisecond)
	return disperse
}

// outcome is all that a caller can see of a statement.
type outcome struct {
	columns []pgconn.FieldDescription
	rows    [][]any
	raw     [][]string
	tag     string
	err     string
}

// runner is what runs the same statements both ways.
type runner interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

func outcomeOf(t *testing.T, q runner, sql string, args ...any) (o outcome) {
	t.Helper()
	rows, err := q.Query(within(t, patience), sql, args...)
	if err == nil {
		o.columns = slices.Clone(rows.FieldDescriptions()) // over a lease they are the connection's own
		for rows.Next() {
			values, err := rows.Values()
			require.NoError(t, err)
			o.rows = append(o.rows, values)
			var raw []string
			for _, v := range rows.RawValues() {
				raw = append(raw, fmt.Sprintf("%q", v))
			}
			o.raw = append(o.raw, raw)
		}
		rows.Close()
		o.tag = rows.CommandTag().String()
		err = rows.Err()
	}
	o.err = described(err)
	if err != nil {
		o.columns, o.tag = nil, "" // pgx leaves what came before the error
	}
	return o
}

// described is what two errors have to have in common.
func described(err error) string {
	var said *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &said):
		return said.Code + " " + said.Message + " " + said.Detail + " " + said.ConstraintName
	default:
		return err.Error()
	}
}

// corpus is what runs both ways. Each is run several times, so that it is prepared by its second time, and shared then.
var corpus = []struct {
	sql  string
	args []any
}{
	{"select $1::int", []any{7}},
	{"select $1::int, $2::text, $3::bool, $4::float8, $5::timestamptz", []any{nil, "ä'\\", true, 1.5, time.Unix(1e9, 0)}},
	{"select null::int, ''::text, '{}'::int[], null::text[]", nil},
	{"select $1::int[], $2::text[], $3::jsonb, $4::bytea", []any{[]int{1, 2}, []string{"a", "b,c"}, map[string]any{"k": 1}, []byte{0, 1, 255}}},
	{"select length($1), $2::text", []any{strings.Repeat("x", 300_000), "behind it"}},
	{"select 'a\x00b'", nil},
	{"select $1::text", []any{"a\x00b"}},
	{"select $1::numeric, $2::uuid, $3::date, $4::interval", []any{"12345.678901", "9b2f3c7e-5a0f-4d39-9f0e-0d9b6a3c1a11", time.Unix(0, 0).UTC(), time.Hour}},
	{"select '1.2.3.4'::inet, 'x'::char(3), 12::smallint, 9::bigint, 'a'::name, '(1,2)'::point, int4range(1, 5)", nil},
	{"select row(1, 'a'), array[row(1, 2)]", nil},
	{"select", nil},
	{"select 1 where false", nil},
	{"select g, repeat('x', g) from generate_series(1, 50) g", nil},
	{"select g from generate_series(1, 255) g", nil},
	{"select g from generate_series(1, 256) g", nil},
	{"select g from generate_series(1, 257) g", nil},
	{"select g from generate_series(1, $1) g", []any{20000}},
	{"select repeat('x', $1)", []any{1 << 20}},
	{"values (1, 'a'), (2, null)", nil},
	{"table shared_corpus", nil},
	{"with x as (select 1 as n) select n + $1 from x", []any{41}},
	{"insert into shared_corpus (id, name) values ($1, $2) on conflict (id) do update set name = excluded.name", []any{1, "one"}},
	{"insert into shared_corpus (id, name) values ($1, $2) on conflict (id) do update set name = excluded.name returning id, name", []any{2, "two"}},
	{"update shared_corpus set name = $2 where id = $1", []any{2, "zwei"}},
	{"update shared_corpus set name = $2 where id = $1", []any{99, "nobody"}},
	{"delete from shared_corpus where id > $1", []any{100}},
	{"merge into shared_corpus c using (values (4, 'four')) v(id, name) on c.id = v.id when matched then update set name = v.name when not matched then insert (id, name) values (v.id, v.name)", nil},
	{"insert into shared_corpus (id, name) values ($1, $2)", []any{1, "again"}},               // 23505
	{"insert into shared_corpus (id, name, parent) values ($1, $2, $3)", []any{5, "x", 4711}}, // 23503, at the end only
	{"select 1 / $1::int", []any{0}},
	{"select 10 / (3 - g) from generate_series(1, 5) g", nil}, // rows, and then an error
	{"select $1::int", []any{"no number"}},
	{"select $1::text::int", []any{"no number"}},
	{"select nothing from nowhere", nil},
	{"selekt 1", nil},
	{"select $1", nil},
	{"select $1::int", []any{1, 2}},
	{"select @n::int + @m::int", []any{pgx.NamedArgs{"n": 1, "m": 2}}},
	{"select $1::int", []any{pgx.QueryExecModeSimpleProtocol, 7}},
	{"select $1::int", []any{pgx.QueryResultFormats{0}, 7}},
	{"select shared_noise($1)", []any{"hear"}}, // a notice
	{"create table if not exists shared_made (n int)", nil},
	{"show server_version", nil},
	{"explain (costs off) select 1", nil},
	{"", nil},
	{"-- nothing\n", nil},
	{"select pg_advisory_xact_lock(1)", nil},
	{"select $1::shared_mood, array['sad']::shared_mood[]", []any{"glad"}},
	{"select 1; ", nil},
	{"select 'begin; set x' as \"set\" -- commit", nil},
}

func TestSharedGivesTheSameResults(t *testing.T) {
	var mu sync.Mutex
	var notices []string
	p := open(t, func(c *poolactor.Config) {
		c.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			mu.Lock()
			defer mu.Unlock()
			notices = append(notices, n.Message)
		}
	})
	beside := connect(t, pgtest.Server(t).DSN())
	_, err := beside.Exec(within(t, patience), `
		drop table if exists shared_corpus, shared_made; drop type if exists shared_mood cascade;
		create type shared_mood as enum ('sad', 'glad');
		create table shared_corpus (id int primary key, name text, parent int references shared_corpus deferrable initially deferred);
		insert into shared_corpus values (3, 'three', null);
		create or replace function shared_noise(text) returns text language plpgsql as 'begin raise notice ''%'', $1; return $1; end'`)
	require.NoError(t, err)
	crowd(t, p)
	for _, s := range corpus {
		for range 4 {
			lease := outcomeOf(t, p, s.sql, s.args...)
			shared := outcomeOf(t, p.Shared(), s.sql, s.args...)
			require.Equal(t, lease, shared, s.sql)
			tag, err := p.Exec(within(t, patience), s.sql, s.args...)
			sharedTag, sharedErr := p.Shared().Exec(within(t, patience), s.sql, s.args...)
			require.Equal(t, described(err), described(sharedErr), s.sql)
			if err == nil {
				require.Equal(t, tag, sharedTag, s.sql)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	require.Contains(t, notices, "hear")
	require.Greater(t, p.Stat().Shared, int64(len(corpus)))
}

func TestSharedRefusesWhatIsAboutTheSession(t *testing.T) {
	p := open(t, nil)
	for _, sql := range []string{
		"begin", "START TRANSACTION", "commit", "end", "rollback", "abort", "savepoint a", "release a", "lock table x",
		"set a.b = 1", " /* x /* y */ */ SET a.b = 1", "reset all", "discard all", "load 'x'", "listen x", "unlisten *",
		"prepare a as select 1", "execute a", "deallocate all", "prepare transaction 'x'", "commit prepared 'x'",
		"copy x from stdin", "COPY (select 1) to stdout",
		"declare c cursor for select 1", "fetch c", "move c", "close c",
		"create temp table x (n int)", "create local temporary table x (n int)", "select 1 into temp x",
		"select 1 into local temporary x", "explain analyze create temp table x as select 1", "select pg_backup_start('x')",
		"select pg_advisory_lock(1)", "select pg_try_advisory_lock(1)", "select pg_catalog.pg_advisory_unlock_all()",
		`select "pg_advisory_lock"(1)`, "select set_config('a.b', '1', false)", "select currval('x')", "select lastval()",
		"select * from pg_temp.x", "select 1; select 2", "insert into x values (1); select 1",
	} {
		_, err := p.Shared().Exec(within(t, patience), sql)
		require.ErrorIs(t, err, poolactor.ErrNotShared, sql)
		_, err = p.Shared().Query(within(t, patience), sql)
		require.ErrorIs(t, err, poolactor.ErrNotShared, sql)
		require.ErrorIs(t, p.Shared().QueryRow(within(t, patience), sql).Scan(), poolactor.ErrNotShared, sql)
		b := &pgx.Batch{}
		b.Queue(sql)
		require.ErrorIs(t, p.Shared().SendBatch(within(t, patience), b).Close(), poolactor.ErrNotShared, sql)
		require.Contains(t, err.Error(), "lease")
	}
	require.Zero(t, p.Stat().Acquired)
}

// Each caller gets its own outcome, whatever its neighbours on the connection do: an error at once, or one when its
// transaction is to be committed.
func TestSharedNeighboursDoNotMixTheirOutcomes(t *testing.T) {
	const callers, each = 48, 60
	p := open(t, nil)
	table(t, "shared_mixed", "id int primary key, parent int references shared_mixed deferrable initially deferred")
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			ctx := within(t, patience)
			for i := range each {
				id := caller*each + i
				switch i % 5 {
				case 0:
					_, err := p.Shared().Exec(ctx, "insert into shared_mixed values ($1, $2)", id, id)
					check(t, err, "")
				case 1:
					_, err := p.Shared().Exec(ctx, "insert into shared_mixed values ($1, $2)", id, -1)
					check(t, err, "23503")
				case 2:
					_, err := p.Shared().Exec(ctx, "insert into shared_mixed values ($1, null)", id-2)
					check(t, err, "23505")
				case 3:
					check(t, p.Shared().QueryRow(ctx, "select 1 / ($1::int - $1::int)", id).Scan(new(int)), "22012")
				default:
					var got int
					err := p.Shared().QueryRow(ctx, "insert into shared_mixed values ($1, null) returning id", id).Scan(&got)
					check(t, err, "")
					if got != id {
						t.Errorf("%d instead of %d", got, id)
					}
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, callers*each*2/5, ask[int](t, p, "select count(*) from shared_mixed"))
	require.Positive(t, p.Stat().Shared)
}

func check(t *testing.T, err error, code string) {
	t.Helper()
	var said *pgconn.PgError
	switch {
	case err == nil && code == "":
	case errors.As(err, &said) && said.Code == code:
	default:
		t.Errorf("%v instead of %q", err, code)
	}
}

// The types of a result change under prepared statements; nobody gets an error for it.
func TestSharedStatementsArePreparedAnewAfterDDL(t *testing.T) {
	p := open(t, nil)
	table(t, "shared_ddl", "a int")
	crowd(t, p)
	beside := connect(t, pgtest.Server(t).DSN())
	value := "1"
	columns := func() []string {
		var names []string
		for _, c := range outcomeOf(t, p.Shared(), "select * from shared_ddl where a = $1", value).columns {
			names = append(names, fmt.Sprint(c.Name, c.DataTypeOID))
		}
		return names
	}
	for range 8 {
		require.Equal(t, []string{"a23"}, columns())
	}
	for i, change := range []struct {
		sql  string
		want []string
	}{
		{"alter table shared_ddl add b text", []string{"a23", "b25"}},
		{"alter table shared_ddl alter a type bigint", []string{"a20", "b25"}},
		{"alter table shared_ddl alter b type int using null", []string{"a20", "b23"}},
		{"alter table shared_ddl drop b", []string{"a20"}},
		{"alter table shared_ddl alter a type text", []string{"a25"}}, // no longer comparable with what $1 was
		{"drop table shared_ddl; create table shared_ddl (a date)", []string{"a1082"}},
	} {
		_, err := beside.Exec(within(t, patience), change.sql)
		require.NoError(t, err)
		if strings.HasSuffix(change.sql, "date)") {
			value = "2026-01-01"
		}
		for range 8 {
			o := outcomeOf(t, p.Shared(), "select * from shared_ddl where a = $1", value)
			require.Empty(t, o.err, i)
			require.Equal(t, change.want, columns())
		}
	}
}

// Whoever gives up leaves at once; what it has sent is answered for nobody, and nobody else notices.
func TestSharedCallersGiveUp(t *testing.T) {
	p := open(t, nil)
	crowd(t, p)
	warm := func() {
		for range 4 {
			_, err := p.Shared().Exec(within(t, patience), "select pg_sleep($1::float8)", 0.0001)
			require.NoError(t, err)
		}
	}
	warm()
	for range 5 {
		began := time.Now()
		_, err := p.Shared().Exec(within(t, 20*time.Millisecond), "select pg_sleep($1::float8)", 0.05)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(began), 5*time.Second)
		warm()
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Shared().Exec(cancelled, "select pg_sleep($1::float8)", 0.05)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, poolactor.ErrOutcomeUnknown)
}

func TestSharedConnectionsComeBack(t *testing.T) {
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 5 })
	disperse := crowd(t, p)
	require.NoError(t, p.Suspend(within(t, patience)), "with callers at work")
	require.Zero(t, p.Stat().Leased)
	require.NoError(t, p.Resume())
	before := p.Stat().Shared
	require.Eventually(t, func() bool { return p.Stat().Shared > before }, patience, time.Millisecond, "and on it goes")
	require.NoError(t, p.Evict(within(t, patience), 0))
	require.Eventually(t, func() bool { return p.Stat().Sharing > 0 }, patience, time.Millisecond)
	require.NoError(t, p.Resize(within(t, patience), 0, 1))
	require.Eventually(t, func() bool { return p.Stat().Sharing == 0 }, patience, time.Millisecond, "one connection is for leases")
	require.NoError(t, p.Resize(within(t, patience), 0, 5))
	require.Eventually(t, func() bool { return p.Stat().Sharing > 0 }, patience, time.Millisecond)
	disperse()
	require.Eventually(t, func() bool { return p.Stat().Sharing == 0 }, patience, time.Millisecond, "nobody shares them")
	require.Zero(t, ask[int](t, p, "select count(*) from pg_prepared_statements where name like 'shared%'"), "they are as they were")
	crowd(t, p)
	require.NoError(t, p.Shutdown(within(t, patience)))
}

// A slow statement delays few others, and from its second time on nobody.
func TestASlowSharedStatementDelaysFewOthers(t *testing.T) {
	p := open(t, nil)
	crowd(t, p)
	for range 4 {
		_, err := p.Shared().Exec(within(t, patience), "select pg_sleep($1::float8)", 0.0)
		require.NoError(t, err)
	}
	var delayed sync.Map
	var group sync.WaitGroup
	stop := make(chan struct{})
	for caller := range 64 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				_, err := p.Shared().Exec(context.Background(), "select $1::int", caller)
				check(t, err, "")
				if time.Since(began) > 250*time.Millisecond {
					delayed.Store(caller, true)
				}
			}
		})
	}
	_, err := p.Shared().Exec(within(t, patience), "select pg_sleep($1::float8)", 0.5)
	require.NoError(t, err)
	close(stop)
	group.Wait()
	n := 0
	delayed.Range(func(any, any) bool { n++; return true })
	require.LessOrEqual(t, n, 10)
}

// A result that is too large for others is the same as over a lease, and nothing of it happens twice.
func TestLargeSharedResults(t *testing.T) {
	p := open(t, nil)
	table(t, "shared_large", "n int")
	crowd(t, p)
	beside := connect(t, pgtest.Server(t).DSN())
	_, err := beside.Exec(within(t, patience), `create or replace function shared_write(n int) returns int language sql as
		'insert into shared_large values (n) returning n'`)
	require.NoError(t, err)
	for round := range 4 {
		rows, err := p.Shared().Query(within(t, patience), "select shared_write(g) from generate_series(1, $1::int) g", 1000)
		require.NoError(t, err)
		got, err := pgx.CollectRows(rows, pgx.RowTo[int])
		require.NoError(t, err)
		require.Len(t, got, 1000)
		require.Equal(t, 1000*(round+1), ask[int](t, p, "select count(*) from shared_large"))
		rows, err = p.Shared().Query(within(t, patience), "update shared_large set n = n returning repeat('x', 1000)")
		require.NoError(t, err)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Len(t, all, 1000*(round+1))
	}
}

func TestSharedBatches(t *testing.T) {
	p := open(t, nil)
	table(t, "shared_batch", "n int primary key")
	crowd(t, p)
	for i := range 4 {
		b := &pgx.Batch{}
		b.Queue("insert into shared_batch values ($1)", i)
		b.Queue("select n from shared_batch order by n")
		results := p.Shared().SendBatch(within(t, patience), b)
		tag, err := results.Exec()
		require.NoError(t, err)
		require.Equal(t, "INSERT 0 1", tag.String())
		rows, err := results.Query()
		require.NoError(t, err)
		got, err := pgx.CollectRows(rows, pgx.RowTo[int])
		require.NoError(t, err)
		require.Len(t, got, i+1)
		require.NoError(t, results.Close())

		b = &pgx.Batch{}
		b.Queue("insert into shared_batch values ($1)", 100+i)
		b.Queue("insert into shared_batch values ($1)", i)
		check(t, p.Shared().SendBatch(within(t, patience), b).Close(), "23505")
		require.Equal(t, i+1, ask[int](t, p, "select count(*) from shared_batch"), "all of it or nothing")
	}
}

// What a batch says, result by result, is what it says over a lease.
func TestSharedBatchesSayTheSame(t *testing.T) {
	p := open(t, nil)
	table(t, "shared_said", "n int primary key, parent int references shared_said deferrable initially deferred")
	crowd(t, p)
	for name, queue := range map[string]func(say func(string, ...any), b *pgx.Batch){
		"results one by one": func(_ func(string, ...any), b *pgx.Batch) {
			b.Queue("select $1::int", 1)
			b.Queue("select g from generate_series(1, $1::int) g", 5)
			b.Queue("delete from shared_said")
			b.Queue("select @a::int + 1", pgx.NamedArgs{"a": 1})
		},
		"an error in the middle": func(_ func(string, ...any), b *pgx.Batch) {
			b.Queue("insert into shared_said values (1, null)")
			b.Queue("select 1 / (3 - g) from generate_series(1, 5) g")
			b.Queue("select 1")
		},
		"an error at the end": func(_ func(string, ...any), b *pgx.Batch) {
			b.Queue("insert into shared_said values (1, 99)")
			b.Queue("select 1")
		},
		"no such table": func(_ func(string, ...any), b *pgx.Batch) {
			b.Queue("select 1")
			b.Queue("select 1 from nowhere")
		},
		"nothing": func(func(string, ...any), *pgx.Batch) {},
		"functions": func(say func(string, ...any), b *pgx.Batch) {
			b.Queue("select 7").QueryRow(func(row pgx.Row) error {
				var n int
				err := row.Scan(&n)
				say("row", n, err)
				return err
			})
			b.Queue("delete from shared_said").Exec(func(tag pgconn.CommandTag) error { say("tag", tag); return nil })
			b.Queue("select g from generate_series(1, 3) g").Query(func(rows pgx.Rows) error {
				got, err := pgx.CollectRows(rows, pgx.RowTo[int])
				say("rows", got, err)
				return err
			})
			b.Queue("select 1 where false").QueryRow(func(row pgx.Row) error { return row.Scan(new(int)) })
			b.Queue("select 8").QueryRow(func(pgx.Row) error { say("never"); return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 4 {
				var said [2][]string
				for i, q := range []runner{p, p.Shared()} {
					say := func(format string, args ...any) { said[i] = append(said[i], format+fmt.Sprintln(args...)) }
					b := &pgx.Batch{}
					queue(say, b)
					results := q.SendBatch(within(t, patience), b)
					if name == "results one by one" || strings.HasPrefix(name, "an error") {
						tag, err := results.Exec()
						say("tag", tag, described(err))
						rows, err := results.Query()
						say("query", described(err))
						for rows.Next() {
							values, err := rows.Values()
							say("values", values, err)
						}
						say("rows", described(rows.Err()))
						_, err = results.Exec()
						say("third", described(err) != "")
						err = results.QueryRow().Scan(new(int))
						say("fourth", err != nil)
					}
					say("tx", results.Tx())
					say("close", described(results.Close()), described(results.Close()))
				}
				require.Equal(t, said[0], said[1])
			}
		})
	}
}

// ledger counts what became of inserts of numbers that nobody else inserts.
type ledger struct {
	mu                  sync.Mutex
	done, unknown, none map[int]bool
}

func (l *ledger) note(t *testing.T, n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.done[n] = true
	case errors.Is(err, poolactor.ErrOutcomeUnknown):
		l.unknown[n] = true
	default:
		l.none[n] = true // over a lease, whose loss says no more
	}
}

// hold holds what is in the table against what callers were told.
func (l *ledger) hold(t *testing.T, there []int) {
	t.Helper()
	seen := map[int]bool{}
	for _, n := range there {
		require.False(t, seen[n], "%d is there twice", n)
		seen[n] = true
		require.True(t, l.done[n] || l.unknown[n] || l.none[n], n)
	}
	for n := range l.done {
		require.True(t, seen[n], "%d was acknowledged and is not there", n)
	}
}

// Backends are terminated under load, again and again: no row is lost, and none is there twice.
func TestSharedStatementsSurviveTheLossOfTheirConnections(t *testing.T) {
	for name, kill := range map[string]func(t *testing.T, server *postgres.Server){
		"terminated": func(t *testing.T, server *postgres.Server) {
			beside := connect(t, server.DSN())
			defer func() { require.NoError(t, beside.Close(context.Background())) }()
			for range 10 {
				_, err := beside.Exec(within(t, patience), `select pg_terminate_backend(pid), pg_sleep(0.03) from pg_stat_activity
					where backend_type = 'client backend' and pid <> pg_backend_pid()`)
				require.NoError(t, err)
			}
		},
		"killed": func(t *testing.T, server *postgres.Server) {
			for range 3 {
				require.NoError(t, server.Kill())
				require.NoError(t, server.StartAgain(within(t, patience)))
				require.NoError(t, server.WaitAccepting(within(t, patience)))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := pgtest.Own(t, postgres.Options{})
			cfg, err := poolactor.ParseConfig(server.DSN())
			require.NoError(t, err)
			p, err := poolactor.Open(t.Context(), cfg)
			require.NoError(t, err)
			defer func() { require.NoError(t, p.Close()) }()
			_, err = p.Exec(within(t, patience), "create table numbers (n int); create table again (n int primary key)")
			require.NoError(t, err)
			l := &ledger{done: map[int]bool{}, unknown: map[int]bool{}, none: map[int]bool{}}
			var repeated sync.Map
			var group sync.WaitGroup
			stop := make(chan struct{})
			for caller := range 32 {
				group.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						n := caller*1_000_000 + i
						_, err := p.Shared().Exec(within(t, patience), "insert into numbers values ($1)", n)
						l.note(t, n, err)
						_, err = p.Shared().Idempotent().Exec(within(t, patience), "insert into again values ($1) on conflict do nothing", n)
						if err == nil {
							repeated.Store(n, true)
						} else if errors.Is(err, poolactor.ErrOutcomeUnknown) {
							t.Error(err)
						}
					}
				})
			}
			require.Eventually(t, func() bool { return p.Stat().Shared > 1000 }, patience, time.Millisecond)
			kill(t, server)
			before := p.Stat().Shared
			require.Eventually(t, func() bool { return p.Stat().Shared > before+1000 }, patience, time.Millisecond)
			close(stop)
			group.Wait()
			rows, err := p.Query(within(t, patience), "select n from numbers")
			require.NoError(t, err)
			there, err := pgx.CollectRows(rows, pgx.RowTo[int])
			require.NoError(t, err)
			l.hold(t, there)
			rows, err = p.Query(within(t, patience), "select n from again")
			require.NoError(t, err)
			there, err = pgx.CollectRows(rows, pgx.RowTo[int])
			require.NoError(t, err)
			in := map[int]bool{}
			for _, n := range there {
				in[n] = true
			}
			repeated.Range(func(n, _ any) bool { require.True(t, in[n.(int)], n); return true })
			t.Log(len(l.done), "done,", len(l.unknown), "unknown,", len(l.none), "failed over a lease")
			if name == "terminated" { // the backends of a killed postmaster end between two statements, mostly
				require.NotZero(t, len(l.unknown)+len(l.none))
			}
		})
	}
}

// Text that the lexer cannot read for sure, and everything with effects that a text shows, goes to a lease; it runs all the
// same.
func TestSharedInDoubtLeases(t *testing.T) {
	p := open(t, nil)
	crowd(t, p)
	for _, sql := range []string{
		`select 'a\b'`, `select E'\''`, "select $$;$$", "explain select 1", "select pg_backend_pid()",
		"do $$ begin perform 1; end $$", "select 1 into shared_into_" + strings.Repeat("x", 3), "drop table shared_into_xxx",
	} {
		_, err := p.Shared().Exec(within(t, patience), sql)
		require.NoError(t, err, sql)
	}
}

// Rows of a shared statement are scanned as all rows are, with the same errors.
func TestSharedRowsAreScannedAsOthersAre(t *testing.T) {
	p := open(t, nil)
	crowd(t, p)
	ctx := within(t, patience)
	for name, scan := range map[string]func(q runner) error{
		"a row": func(q runner) error {
			var a int
			var b *string
			err := q.QueryRow(ctx, "select 1, null::text").Scan(&a, &b)
			return errors.Join(err, fmt.Errorf("%v %v", a, b))
		},
		"the first of several": func(q runner) error {
			var a int
			err := q.QueryRow(ctx, "select g from generate_series(3, 9) g").Scan(&a)
			return errors.Join(err, fmt.Errorf("%v", a))
		},
		"no row":        func(q runner) error { return q.QueryRow(ctx, "select 1 where false").Scan(new(int)) },
		"too few":       func(q runner) error { return q.QueryRow(ctx, "select 1, 2").Scan(new(int)) },
		"not null":      func(q runner) error { return q.QueryRow(ctx, "select null::int").Scan(new(int)) },
		"another type":  func(q runner) error { return q.QueryRow(ctx, "select 'x'::text").Scan(new(time.Time)) },
		"nothing of it": func(q runner) error { return q.QueryRow(ctx, "select 1, 2").Scan(nil, new(int)) },
		"structs": func(q runner) error {
			rows, err := q.Query(ctx, "select g as id, 'n' || g as name, array[g, g] as many from generate_series(1, 3) g")
			if err != nil {
				return err
			}
			got, err := pgx.CollectRows(rows, pgx.RowToStructByName[struct {
				ID   int
				Name string
				Many []int64
			}])
			return errors.Join(err, fmt.Errorf("%v", got))
		},
		"an error among the rows": func(q runner) error {
			rows, err := q.Query(ctx, "select g::text from generate_series(1, 3) g")
			if err != nil {
				return err
			}
			n := 0
			for rows.Next() {
				n++
				if err := rows.Scan(new(time.Time)); err == nil {
					return errors.New("scanned")
				}
			}
			return errors.Join(rows.Err(), fmt.Errorf("after %d rows, %v", n, rows.CommandTag()))
		},
		"closed early": func(q runner) error {
			rows, err := q.Query(ctx, "select 10 / (3 - g) from generate_series(1, 5) g")
			if err != nil {
				return err
			}
			rows.Close()
			rows.Close()
			return errors.Join(rows.Err(), fmt.Errorf("%v", rows.Next()))
		},
		"wide rows": func(q runner) error { // fewer than are asked for, and too much to keep
			rows, err := q.Query(ctx, "select repeat('x', 10000) from generate_series(1, 100)")
			if err != nil {
				return err
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			return errors.Join(err, fmt.Errorf("%d", len(got)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 4 {
				require.Equal(t, described(scan(p)), described(scan(p.Shared())))
			}
		})
	}
}
