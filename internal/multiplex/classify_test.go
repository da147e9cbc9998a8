package multiplex

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClassify(t *testing.T) {
	const reads, writes, elsewhere, refused = "reads", "writes", "elsewhere", "refused"
	for sql, want := range map[string]string{
		"select 1":                     reads,
		" -- a comment\nSELECT 1 ;; ":  reads,
		"/* a /* b */ c */ (select 1)": reads,
		"values (1), (2)":              reads,
		"table t":                      reads,
		"with x(a, b) as (select 1, 2) select a from x": reads,
		"select count(*), max(a) from t as u(a)":        reads,
		"select pg_catalog.lower($1), a::numeric(10,2)": reads,
		"select 'begin; commit'":                        reads,
		`select ';' as "a;""b"`:                         reads,
		"select $a$;$a$, $$;$$, E'\\';', b'1', x'f'":    reads,
		"select temp, into_x from weather":              reads,
		"select * from t where a in (select b from u)":  reads,

		"select f()":                         writes,
		`select "Lower"(a) from t`:           writes,
		"select other.lower($1)":             writes,
		"select nextval('s')":                writes,
		"select * from t for update":         writes,
		"insert into t values ($1)":          writes,
		"INSERT INTO t SELECT 1 returning a": writes,
		"update t set a = 1":                 writes,
		"delete from t":                      writes,

		"merge into t using u on a = b when matched then delete":   writes,
		"with x as (insert into t values (1) returning a) table x": writes,

		"select 1into t":                                              elsewhere, // before version 15
		"select 1e5, 1.5e-3, .5":                                      reads,
		"select ran\u212A(1)":                                         writes, // it is not rank
		"select pg_replication_origin_session_setup('a')":             elsewhere,
		"select pg_create_physical_replication_slot('a', true, true)": elsewhere,

		"":                       elsewhere,
		"-- only that":           elsewhere,
		"explain select 1":       elsewhere,
		"show all":               elsewhere,
		"create table t (a int)": elsewhere,
		"create function f() returns void language sql as 'select 1'": elsewhere,
		"call p()":                        elsewhere,
		"do $$begin end$$":                elsewhere,
		"notify a":                        elsewhere,
		"vacuum":                          elsewhere,
		"select 1 into t":                 elsewhere,
		"select pg_advisory_xact_lock(1)": elsewhere,
		"select dblink_connect('x')":      elsewhere,
		"select * from pg_settings":       elsewhere,
		`select 'a\'`:                     elsewhere,
		`select U&"\0061"(1)`:             elsewhere,
		"select 'open":                    elsewhere,
		"select $a$ open":                 elsewhere,
		"select /* open":                  elsewhere,
		`select "open`:                    elsewhere,
		"select 'set_config('":            elsewhere, // the wire's watch would believe it
		"select 'a\x00b'":                 elsewhere,
		"name_of_a_prepared_statement":    elsewhere,

		"begin":                       refused,
		"\tCoMMiT":                    refused,
		"set x = 1":                   refused,
		"copy t to stdout":            refused,
		"select 1; select 2":          refused,
		"select 1;;select 2":          refused,
		"create temp table t (a int)": refused,
		"create or replace temporary view v as select 1":  refused,
		"select 1 into temporary t":                       refused,
		"select 1 into local temp t":                      refused,
		"create global temporary table t (a int)":         refused,
		"explain analyze create temp table t as select 1": refused,
		"explain analyze select 1 into temp t":            refused,
		"select pg_backup_start('a')":                     refused,
		"select * from pg_temp.t":                         refused,
		"select * from pg_temp_3.t":                       refused,
		"select pg_advisory_lock(1)":                      refused,
		"select PG_TRY_ADVISORY_LOCK_SHARED (1)":          refused,
		`select "pg_advisory_unlock"(1)`:                  refused,
		"select set_config('a.b', $1, true)":              refused,
		"insert into t values (currval('s'))":             refused,
	} {
		c := Classify(sql)
		got := elsewhere
		switch {
		case c.Verdict == Refused:
			got = refused
			require.NotEmpty(t, c.Why)
		case c.Verdict == Shared && c.Reads:
			got = reads
		case c.Verdict == Shared:
			got = writes
		}
		require.Equal(t, want, got, sql)
	}
}

// FuzzClassify holds the classifier to what no text may get past: a word of its own that ends or begins something for the
// session, hidden nowhere.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{
		"select 1", "select 'a''b'", "select $$ ; $$", "/* /* */ */ begin", "select 1 -- ;\n; commit", `select "a""b"`,
		"select E'\\''", "with a as (select 1) table a", "select $1, $tag$ $tag$", "select U&'x'",
	} {
		f.Add(s, uint8(len(s)))
	}
	f.Fuzz(func(t *testing.T, sql string, at uint8) {
		c := Classify(sql)
		if c.Verdict != Shared {
			return
		}
		tokens, clear := tokenize(sql)
		require.True(t, clear)
		require.True(t, sharing[firstWord(tokens)])
		for _, token := range tokens {
			require.NotEqual(t, semicolon, token.kind)
		}
		// What follows a statement that may share cannot be shared with it, unless it is hidden in what was open.
		require.Equal(t, Refused, Classify(sql+"\n; commit").Verdict)
		require.Equal(t, Refused, Classify("begin; "+sql).Verdict)
		// Nor do comments and blanks around it.
		require.Equal(t, c, Classify("/* ; begin */ "+sql+"\n-- ; commit"))
		require.Equal(t, c, Classify("\t-- begin\n"+sql+" /* '"+`"`+" $$ */ ;"))
		if !strings.ContainsAny(sql, "'\"$-/*") {
			require.Equal(t, c, Classify(strings.ReplaceAll(sql, " ", " /*;'*/\n")))
		}
		// Upper case makes no other statement of it.
		if foreign := func(r rune) bool { return r >= 0x80 }; !strings.ContainsAny(sql, `'"$`) && !strings.ContainsFunc(sql, foreign) {
			require.Equal(t, c.Verdict, Classify(strings.ToUpper(strings.ToLower(sql))).Verdict)
		}
	})
}
