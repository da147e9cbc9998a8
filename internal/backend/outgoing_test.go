package backend

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// say writes messages as pgx does: whole ones, joined.
func say(t testing.TB, messages ...pgproto3.FrontendMessage) []byte {
	t.Helper()
	var stream []byte
	for _, m := range messages {
		var err error
		stream, err = m.Encode(stream)
		require.NoError(t, err)
	}
	return stream
}

func query(text string) pgproto3.FrontendMessage { return &pgproto3.Query{String: text} }

func parseAs(name, text string) pgproto3.FrontendMessage {
	return &pgproto3.Parse{Name: name, Query: text, ParameterOIDs: []uint32{23, 25}}
}

func bindTo(name string) pgproto3.FrontendMessage {
	return &pgproto3.Bind{DestinationPortal: "portal", PreparedStatement: name, Parameters: [][]byte{[]byte("set x"), nil}}
}

const (
	changing = "set work_mem = '1MB'"
	locking  = "select pg_advisory_lock($1)"
)

func TestOutgoing(t *testing.T) {
	for name, c := range map[string]struct {
		messages []pgproto3.FrontendMessage
		want     Changes
	}{
		"nothing":                      {nil, 0},
		"a query":                      {[]pgproto3.FrontendMessage{query(changing)}, ChangedSettings},
		"a harmless one":               {[]pgproto3.FrontendMessage{query("select 1"), &pgproto3.Sync{}}, 0},
		"the second":                   {[]pgproto3.FrontendMessage{query("select 1"), query(locking), query("select 2")}, ChangedLocks},
		"an unnamed statement":         {[]pgproto3.FrontendMessage{parseAs("", locking), bindTo(""), &pgproto3.Execute{}, &pgproto3.Sync{}}, ChangedLocks},
		"a named one, prepared":        {[]pgproto3.FrontendMessage{parseAs("a", locking), &pgproto3.Describe{ObjectType: 'S', Name: "a"}, &pgproto3.Sync{}}, 0},
		"a named one, run":             {[]pgproto3.FrontendMessage{parseAs("a", locking), bindTo("a"), &pgproto3.Execute{Portal: "portal"}}, ChangedLocks},
		"another one, run":             {[]pgproto3.FrontendMessage{parseAs("a", locking), parseAs("b", "select $1"), bindTo("b")}, 0},
		"prepared twice":               {[]pgproto3.FrontendMessage{parseAs("a", locking), parseAs("a", "select 1"), bindTo("a")}, ChangedLocks},
		"prepared thrice":              {[]pgproto3.FrontendMessage{parseAs("a", locking), parseAs("a", changing), bindTo("a")}, ChangedLocks | ChangedSettings},
		"closed, perhaps":              {[]pgproto3.FrontendMessage{parseAs("a", locking), &pgproto3.Close{ObjectType: 'S', Name: "a"}, bindTo("a")}, ChangedLocks},
		"a parameter is no text":       {[]pgproto3.FrontendMessage{parseAs("a", "select $1"), bindTo("a")}, 0},
		"the data of a COPY":           {[]pgproto3.FrontendMessage{&pgproto3.CopyData{Data: []byte(changing)}, &pgproto3.CopyDone{}}, 0},
		"behind the end of a COPY":     {[]pgproto3.FrontendMessage{&pgproto3.CopyFail{Message: "no"}, query(changing)}, ChangedSettings},
		"a function by its number":     {[]pgproto3.FrontendMessage{&pgproto3.FunctionCall{Function: 2880}}, ChangedAnything},
		"no more than the server sees": {[]pgproto3.FrontendMessage{query("select 1\x00; " + changing)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := outgoing{started: true}
			require.Equal(t, c.want, o.scan(say(t, c.messages...)), "at once")
			require.False(t, o.lost)
			o = outgoing{started: true}
			var seen Changes
			for _, m := range c.messages {
				seen |= o.scan(say(t, m))
			}
			require.Equal(t, c.want, seen, "one by one")
		})
	}
}

func TestTheStartUpMessageHasNoType(t *testing.T) {
	var o outgoing
	require.Zero(t, o.scan(say(t, &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "app"}})))
	require.Zero(t, o.scan(say(t, &pgproto3.PasswordMessage{Password: "set work_mem = 1"})))
	require.Equal(t, ChangedSettings, o.scan(say(t, query(changing))))
}

func TestPiecesOfMessagesCanBeAnything(t *testing.T) {
	whole := say(t, query("select 1"))
	for _, piece := range [][]byte{
		whole[:1], whole[:4], whole[:len(whole)-1], append(whole, 'Q'), whole[3:],
		binary.BigEndian.AppendUint32([]byte{'Q'}, 3), binary.BigEndian.AppendUint32([]byte{'Q'}, math.MaxUint32),
	} {
		o := outgoing{started: true}
		require.Equal(t, ChangedAnything, o.scan(piece), "%q", piece)
		require.Equal(t, ChangedAnything, o.scan(whole), "there is no way back into step")
	}
}

func TestPreparedStatementsAreForgottenWhenThereAreTooMany(t *testing.T) {
	o := outgoing{started: true}
	for i := range maxKnown {
		require.Zero(t, o.scan(say(t, parseAs(strconv.Itoa(i), locking))))
	}
	require.Zero(t, o.scan(say(t, parseAs("harmless", "select 1"), bindTo("harmless"))))
	require.Zero(t, o.scan(say(t, parseAs("0", locking))), "known already")
	require.Equal(t, ChangedPrepared, o.scan(say(t, parseAs("too many", locking))), "asks for a cleaning")
	require.Len(t, o.known, maxKnown)
	require.Equal(t, ChangedLocks, o.scan(say(t, bindTo("7"))))
	require.Equal(t, ChangedAnything, o.scan(say(t, bindTo("harmless"))), "whatever is not known may be one of too many")
	o.forget()
	require.Zero(t, o.scan(say(t, parseAs("harmless", "select 1"), bindTo("harmless"), bindTo("7"))))
}

// FuzzOutgoing: whatever is sent, nothing is read out of bounds, and whole messages say the same one by one.
func FuzzOutgoing(f *testing.F) {
	f.Add(say(f, query(changing), parseAs("", locking), bindTo("")))
	f.Add(say(f, parseAs("a", locking), bindTo("a"), &pgproto3.Execute{}, &pgproto3.Sync{}))
	f.Add(say(f, &pgproto3.CopyData{Data: []byte("a")}, &pgproto3.FunctionCall{}, &pgproto3.Terminate{}))
	f.Add([]byte{'P', 0, 0, 0, 4, 'B', 0, 0, 0, 5, 'a', 'Q', 0, 0, 0, 4})
	f.Add([]byte{'B', 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, p []byte) {
		joined, single := outgoing{started: true}, outgoing{started: true}
		want := joined.scan(p)
		var seen Changes
		for rest := p; len(rest) > 0; {
			n := len(rest)
			if _, _, after, ok := cutMessage(rest); ok {
				n -= len(after)
			}
			seen |= single.scan(rest[:n])
			rest = rest[n:]
		}
		if joined.lost { // then what went before it does not matter any more
			require.Equal(t, ChangedAnything, want)
			require.Equal(t, ChangedAnything, seen&ChangedAnything)
		} else {
			require.Equal(t, want, seen)
		}
		require.Equal(t, joined, single)
	})
}

// BenchmarkOutgoing says what is added to the usual round trip of pgx: a prepared statement by its name, when none that
// changes something is known, and when one is.
func BenchmarkOutgoing(b *testing.B) {
	name := "stmtcache_" + strings.Repeat("a1b2c3", 8)
	run := say(b, bindTo(name), &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{})
	for _, known := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("known=%d", known), func(b *testing.B) {
			o := outgoing{started: true}
			for i := range known {
				o.scan(say(b, parseAs("stmtcache_"+strconv.Itoa(i), changing)))
			}
			b.ReportAllocs()
			for b.Loop() {
				o.scan(run)
			}
		})
	}
}

// ways are how a statement can get to the server.
var ways = map[string]func(ctx context.Context, conn *pgx.Conn, sql string) error{
	"simple": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		_, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
	},
	"cached": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		return drain(conn.Query(ctx, sql, pgx.QueryExecModeCacheStatement))
	},
	"described": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		return drain(conn.Query(ctx, sql, pgx.QueryExecModeCacheDescribe))
	},
	"describe and exec": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		return drain(conn.Query(ctx, sql, pgx.QueryExecModeDescribeExec))
	},
	"exec": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		return drain(conn.Query(ctx, sql, pgx.QueryExecModeExec))
	},
	"batch": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		var b pgx.Batch
		b.Queue("select 1")
		b.Queue(sql)
		return conn.SendBatch(ctx, &b).Close()
	},
	"batch past the frontend": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		var b pgconn.Batch
		b.ExecParams("select 1", nil, nil, nil, nil)
		b.ExecParams(sql, nil, nil, nil, nil)
		return conn.PgConn().ExecBatch(ctx, &b).Close()
	},
	"pipeline": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		p := conn.PgConn().StartPipeline(ctx)
		p.SendQueryParams("select 1", nil, nil, nil, nil)
		p.SendQueryParams(sql, nil, nil, nil, nil)
		if err := p.Sync(); err != nil {
			return err
		}
		return p.Close()
	},
	"pipeline of prepared statements": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		sd, err := conn.Prepare(ctx, sql, sql)
		if err != nil {
			return err
		}
		p := conn.PgConn().StartPipeline(ctx)
		p.SendQueryPrepared(sd.Name, nil, nil, nil)
		if err := p.Sync(); err != nil {
			return err
		}
		return p.Close()
	},
	"transaction": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
	},
	"copy": func(ctx context.Context, conn *pgx.Conn, sql string) error {
		if !strings.HasPrefix(sql, "select") {
			_, err := conn.Exec(ctx, sql)
			return err
		}
		_, err := conn.PgConn().CopyTo(ctx, io.Discard, "copy ("+sql+") to stdout")
		return err
	},
}

func drain(rows pgx.Rows, err error) error {
	rows.Close()
	if err != nil {
		return err
	}
	return rows.Err()
}

func TestChangesOnTheWire(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		for name, way := range ways {
			t.Run(fmt.Sprintf("tls=%v/%s", encrypted, name), func(t *testing.T) {
				c := open(t, realConfig(t, encrypted), Options{})
				require.Equal(t, encrypted, c.TLS())
				require.Zero(t, c.Changes(), "a fresh connection")
				for _, s := range []struct {
					sql  string
					want Changes
				}{
					{"select '; set work_mem = 1' = $$CSET$$ from generate_series(1, 1000)", ChangedSettings}, // a false alarm
					{"select 1", 0},
					{"set work_mem = '5MB'", ChangedSettings},
					{"set local work_mem = '6MB'", 0},
					{"set role none", ChangedSettings},
					{"reset all", ChangedSettings},
					{"select set_config('work_mem', '7MB', false)", ChangedSettings},
					{"select set_config('a.b', '7MB', true)", 0},
					{"select pg_advisory_lock(1)", ChangedLocks},
					{"select pg_advisory_xact_lock(1)", 0},
					{"create temp table if not exists mine (a int)", ChangedTemporary},
					{"listen something", ChangedListening},
					{"notify something", 0},
					{"do 'begin null; end'", ChangedAnything},
				} {
					for range 2 { // the second time, the statement may be prepared
						c.ClearChanges()
						require.NoError(t, way(t.Context(), c.PGX(), s.sql), s.sql)
						want := s.want
						if encrypted && name == "batch past the frontend" {
							want = ChangedAnything // it went by unseen
						}
						require.Equal(t, want, c.Changes(), s.sql)
					}
				}
			})
		}
	}
}

// What has no extended protocol, or only one way.
func TestMoreChangesOnTheWire(t *testing.T) {
	c := open(t, realConfig(t, false), Options{})
	for sql, want := range map[string]Changes{
		"prepare p as select 1": ChangedPrepared,
		"begin; declare held cursor with hold for select 1; commit": ChangedCursors,
		"begin; declare unheld cursor for select 1; commit":         0,
		"deallocate all": Deallocated,
		"load 'plpgsql'": ChangedLibraries,
		"discard all":    Deallocated,
		"discard plans":  0,
		"unlisten *":     ChangedListening,
		"begin; set local work_mem = '6MB'; set work_mem = '7MB'; rollback":      ChangedSettings,
		"begin; set local work_mem = '6MB'; set transaction read only; rollback": 0,
	} {
		c.ClearChanges()
		_, err := c.PGX().Exec(t.Context(), sql)
		require.NoError(t, err)
		require.Equal(t, want, c.Changes(), sql)
	}
	// The commit fails, and no tag says that the statement was prepared.
	_, err := c.PGX().Exec(t.Context(), `create temp table one (a int primary key);
		create temp table two (a int references one deferrable initially deferred)`)
	require.NoError(t, err)
	c.ClearChanges()
	_, err = c.PGX().Exec(t.Context(), "insert into two values (1); prepare survivor as select 1")
	require.ErrorContains(t, err, "23503")
	require.Equal(t, ChangedPrepared, c.Changes())
	_, err = c.PGX().Exec(t.Context(), "execute survivor")
	require.NoError(t, err, "it was prepared")
}

func TestWhatGoesPastPgxCanBeAnything(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		c := open(t, realConfig(t, encrypted), Options{})
		pg := c.PGX().PgConn()
		require.NoError(t, pg.SyncConn(t.Context()))
		_, err := pg.Conn().Write(say(t, query(changing)))
		require.NoError(t, err)
		require.NotZero(t, c.Changes()&ChangedSettings)
		for {
			m, err := pg.ReceiveMessage(t.Context())
			require.NoError(t, err)
			if _, ok := m.(*pgproto3.ReadyForQuery); ok {
				break
			}
		}
		require.True(t, c.Fit())
	}
}

func TestWhatHooksSetUpIsNoChange(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		cfg := realConfig(t, encrypted)
		cfg.AfterConnect = func(ctx context.Context, pg *pgconn.PgConn) error {
			if _, err := pg.Prepare(ctx, "mine", "select 1", nil); err != nil {
				return err
			}
			return pg.Exec(ctx, "set work_mem = '5MB'; listen something").Close()
		}
		c := open(t, cfg, Options{})
		require.Zero(t, c.Changes())
		require.Equal(t, ChangedSettings|ChangedListening|ChangedPrepared, c.SetUp())
		plain := open(t, realConfig(t, encrypted), Options{})
		require.Zero(t, plain.SetUp())
	}
}

func TestForgetStatements(t *testing.T) {
	c := open(t, realConfig(t, false), Options{})
	ctx := t.Context()
	var n int
	ask := func() error { return c.PGX().QueryRow(ctx, "select $1::int", 3).Scan(&n) }
	require.NoError(t, ask())
	require.NoError(t, c.PGX().PgConn().Exec(ctx, "deallocate all").Close())
	require.ErrorContains(t, ask(), "26000", "pgx relies on what is gone")
	require.NoError(t, ask())
	require.NoError(t, drain(c.PGX().Query(ctx, locking, 1)))
	require.NotEmpty(t, c.link.sent.known)
	require.NoError(t, c.PGX().PgConn().Exec(ctx, "deallocate all").Close())
	c.ForgetStatements()
	require.True(t, c.Fit())
	require.Empty(t, c.link.sent.known)
	require.NoError(t, ask())
	c.ForgetStatements()
	require.True(t, c.Fit())
}

func TestDropNotifications(t *testing.T) {
	c := open(t, realConfig(t, false), Options{})
	ctx := t.Context()
	_, err := c.PGX().Exec(ctx, "listen something; notify something, 'a'; notify something, 'b'")
	require.NoError(t, err)
	_, err = c.PGX().Exec(ctx, "unlisten *")
	require.NoError(t, err)
	c.DropNotifications()
	require.True(t, c.Fit())
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err = c.PGX().WaitForNotification(short)
	require.Error(t, err, "none is left")
	fresh := open(t, realConfig(t, false), Options{})
	fresh.DropNotifications()
	require.True(t, fresh.Fit())
}
