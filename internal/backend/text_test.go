package backend

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// texts are statements and what is to be seen in them.
var texts = map[string]Changes{
	"":                                     0,
	" ;; ":                                 0,
	"-- ping":                              0,
	"select 1":                             0,
	"begin isolation level serializable":   0,
	"insert into t values ($1, $2)":        0,
	"update t set a = $1 where b = $2":     0,
	"update t\nset\nlocal = 1":             0,
	"select setting from sets":             0,
	"delete from t; select 1; commit":      0,
	"create table t (a int); drop table t": 0,
	"insert into t values (1) on conflict do nothing": 0,

	// Settings.
	"set work_mem = '1MB'":        ChangedSettings,
	"SET\tROLE x":                 ChangedSettings,
	"Set Session Authorization x": ChangedSettings,
	"set session characteristics as transaction read only": ChangedSettings,
	"set":                  ChangedSettings,
	`set "Local" = 1`:      ChangedSettings,
	"set locale = 'x'":     ChangedSettings,
	"set/**/work_mem to 1": ChangedSettings,
	"-- name: Change :exec\nset work_mem = 1":                            ChangedSettings,
	"--\rset work_mem = 1":                                               ChangedSettings,
	"/* a /* b */ c; */ set work_mem = 1":                                ChangedSettings,
	"/**//**/\n set work_mem = 1":                                        ChangedSettings,
	"select 1;set work_mem = 1":                                          ChangedSettings,
	"select 1; -- set\n /* ; */ set work_mem = 1":                        ChangedSettings,
	"begin; set local work_mem = 1; set work_mem = 1":                    ChangedSettings | saidLocal,
	"set local work_mem = 1":                                             saidLocal,
	"SET/* this once */LOCAL role x":                                     saidLocal,
	"set -- this once\n local role x":                                    saidLocal,
	"set transaction read only":                                          saidLocal,
	"set constraints all deferred":                                       0,
	"/* set work_mem = 1 */ select 1":                                    0,
	"-- set work_mem = 1":                                                0,
	"/* set work_mem = 1":                                                0,
	"select 'a; set work_mem = 1'":                                       ChangedSettings, // a false alarm
	strings.Repeat("-- no end of comments\n", 1000) + "select 1":         ChangedAnything,
	"select set_config('work_mem', $1, false)":                           ChangedSettings,
	"SELECT Pg_Catalog.SET_CONFIG ('a.b', $1, FALSE)":                    ChangedSettings,
	`select "set_config"('a.b', 'c', true)`:                              ChangedSettings,
	"select set_config($1, $2, $3)":                                      ChangedSettings,
	"select set_config('search_path', $1, true)":                         ChangedSettings,
	"select set_config('a.b', $1, $2)":                                   ChangedSettings,
	"select set_config('a.b', f(', true)'), false)":                      ChangedSettings,
	"select set_config('a.b', 'it''s', true)":                            ChangedSettings,
	"select set_config('a.b', E'\\', true)', false)":                     ChangedSettings,
	"select set_config('a.b', $1, true) || set_config('a.b', $1, false)": ChangedSettings,
	"select set_config('app.user', $1, true)":                            0,
	"select set_config( 'app.user.id' , $12::text,TRUE ), now()":         0,
	"select pg_catalog.set_config('app.user', 'Ada, Countess', true)":    0,
	"select set_config":                                                  ChangedSettings,
	"update pg_settings set setting = '1MB' where name = 'work_mem'":     ChangedSettings,
	"select * from pg_settings":                                          0,

	// Temporary objects.
	"create temp table t (a int)":                      ChangedTemporary,
	"CREATE TEMPORARY TABLE t AS SELECT 1":             ChangedTemporary,
	"create local temp table t (a int)":                ChangedTemporary,
	"create global\n\ttemporary table t (a int)":       ChangedTemporary,
	"create or replace temp view v as select 1":        ChangedTemporary,
	"create temp sequence s":                           ChangedTemporary,
	"select * into temp x from t":                      ChangedTemporary,
	"select * into\ntemporary\ntable x from t":         ChangedTemporary,
	"with a as (select 1) select * into temp b from a": ChangedTemporary,
	"create /* scratch */ temp table t ()":             ChangedTemporary,
	"create -- scratch\n temp table t ()":              ChangedTemporary,
	"create -- scratch\n\n--more\r\ntemp table t ()":   ChangedTemporary,
	"create table pg_temp.t ()":                        ChangedTemporary,
	"CREATE FUNCTION PG_TEMP.f() returns int return 1": ChangedTemporary,
	"explain analyze create temp table t as select 1":  ChangedTemporary,
	"set search_path = pg_temp":                        ChangedSettings | ChangedTemporary,
	"select temp, temporary from weather":              0,
	"insert into weather (temp) values ($1)":           0,
	"select attempts, temperature, template from t":    0,
	"create table template (a int)":                    0,
	"create temperature":                               0,
	"create tempé":                                     0,
	"temp":                                             0,
	"-- all of it\nselect\ntemp from weather":          0,

	// Locks.
	"select pg_advisory_lock(1)":                 ChangedLocks,
	"SELECT PG_TRY_ADVISORY_LOCK($1, $2)":        ChangedLocks,
	"select pg_advisory_lock_shared(1)":          ChangedLocks,
	"select pg_advisory_xact_lock(1)":            0,
	"select pg_try_advisory_xact_lock_shared(1)": 0,
	"select pg_advisory_unlock(1)":               0,

	// Statements, cursors, libraries, blocks.
	"prepare p as select 1":                                  ChangedPrepared,
	"insert into t values (1); PREPARE p as select 1":        ChangedPrepared,
	"prepare transaction 'x'":                                0,
	"select prepare from recipes":                            0,
	"declare c cursor for select 1":                          0,
	"declare c cursor WITH HOLD for select 1":                ChangedCursors,
	"begin; declare c cursor with hold for select 1; commit": ChangedCursors,
	"select hold from declare":                               0,
	"load 'auto_explain'":                                    ChangedLibraries,
	"do $$ begin end $$":                                     ChangedAnything,
	"do'begin end'":                                          ChangedAnything,
	"do$$":                                                   0, // one word
	"drop table t":                                           0,
}

func TestTexts(t *testing.T) {
	for text, want := range texts {
		require.Equal(t, want, textChanges([]byte(text)), "%q", text)
	}
}

// wordsThatMatter are what the reading of texts turns on.
var wordsThatMatter = []string{
	"set", "local", "transaction", "constraints", "work_mem", "=", "'1MB'", ";", "--", "/*", "*/", "\n", " ", "\t", "'", "$$",
	"create", "temp", "temporary", "table", "t", "()", "into", "pg_temp", ".", "select", "1", "from", "hold", "declare",
	"pg_advisory_lock", "pg_advisory_xact_lock", "(", ")", ",", "set_config", "pg_settings", "update", "true", "prepare",
	"do", "load", "\"", "é", "_", "a.b",
}

// FuzzTexts: no text makes the reader read out of bounds, in upper case it means the same, and what was seen in a text
// is seen behind any other statement, too.
func FuzzTexts(f *testing.F) {
	for text := range texts {
		f.Add(text)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		f.Add(randomText(r, wordsThatMatter))
	}
	f.Fuzz(func(t *testing.T, text string) {
		seen := textChanges([]byte(text))
		require.Zero(t, seen&^(ChangedAnything|ChangedLibraries|saidLocal))
		require.Equal(t, seen, textChanges(upper(text)))
		if seen != ChangedAnything { // that can come from comments without an end
			require.Equal(t, seen, textChanges([]byte("select 1;"+text)))
			require.Equal(t, seen, textChanges([]byte(text+"\n;select 1")))
		}
	})
}

// upper changes ASCII letters alone.
func upper(text string) []byte {
	return []byte(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, text))
}

func randomText(r *rand.Rand, words []string) string {
	var text strings.Builder
	for range 1 + r.IntN(20) {
		text.WriteString(words[r.IntN(len(words))])
		if r.IntN(3) > 0 {
			text.WriteString(" ")
		}
	}
	return text.String()
}

// TestNoTextHidesAChange: however a text is written, if the server has changed a setting, created a temporary table or
// taken a lock because of it, that was seen.
func TestNoTextHidesAChange(t *testing.T) {
	c := open(t, realConfig(t, false), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := rand.New(rand.NewPCG(7, 8))
	found := map[Changes]int{}
	for range 600 {
		text := randomScript(r)
		c.ClearChanges()
		_ = c.PGX().PgConn().Exec(ctx, text).Close() // some fail
		seen := c.Changes()
		if c.InTx() {
			require.NoError(t, c.PGX().PgConn().Exec(ctx, "rollback").Close())
		}
		var settings, temporary, locks bool
		require.NoError(t, c.PGX().QueryRow(ctx, `select
			exists (select from pg_settings where name = 'work_mem' and setting <> reset_val),
			exists (select from pg_class where relpersistence = 't' and relnamespace = pg_my_temp_schema()),
			exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())`,
			pgx.QueryExecModeSimpleProtocol).Scan(&settings, &temporary, &locks))
		for kind, changed := range map[Changes]bool{
			ChangedSettings: settings, ChangedTemporary: temporary, ChangedLocks: locks,
		} {
			if changed {
				found[kind]++
				require.NotZero(t, seen&kind, "kind %b: %q", kind, text)
			}
		}
		require.NoError(t, c.PGX().PgConn().Exec(ctx, "discard all").Close())
	}
	require.Len(t, found, 3)
	for kind, n := range found {
		require.Greater(t, n, 20, "kind %b", kind)
	}
}

// randomScript is some statements, written in some way, now and then with a mistake in it.
func randomScript(r *rand.Rand) string {
	statements := []string{
		"select 1", "select ' ; set work_mem = 1 ; '", "begin", "commit", "set work_mem = '1MB'", "set local work_mem = '2MB'",
		"set session work_mem to '3MB'", "select set_config ( 'work_mem' , '5MB' , false )", "set transaction read write",
		"select set_config ( 'work_mem' , '6MB' , true )", "update pg_settings set setting = '2048' where name = 'work_mem'",
		"create temp table t ( )", "create local temporary table t ( )", "create table pg_temp . t ( )", "select 1 into temp t",
		"create temp view t as select 1", "select pg_advisory_lock ( 1 )", "select pg_try_advisory_lock_shared ( 2 )",
		"select pg_advisory_xact_lock ( 3 )", "do $$begin perform set_config('work_mem', '7MB', false); end$$",
		"do 'begin execute ''set work_mem = 1024''; end'", "select 1 / 0",
	}
	blanks := []string{" ", "  ", "\n", "\t\n", " /**/ ", "/* ; set */", " -- x\n", "--;\r", " /* /* */ -- */ ", "\n-- set local\n"}
	blank := func() string {
		if r.IntN(3) > 0 {
			return " "
		}
		return blanks[r.IntN(len(blanks))]
	}
	var text strings.Builder
	for range 1 + r.IntN(3) {
		text.WriteString(blank())
		for word := range strings.FieldsSeq(statements[r.IntN(len(statements))]) {
			switch r.IntN(60) {
			case 0: // left out
			case 1:
				text.Write(upper(word))
			default:
				text.WriteString(word)
			}
			text.WriteString(blank())
		}
		text.WriteString(";")
	}
	return text.String()
}

func TestTextsAllocateNothing(t *testing.T) {
	text := []byte(ordinary)
	require.Zero(t, testing.AllocsPerRun(100, func() { textChanges(text) }))
}

const ordinary = "select o.id, o.created_at, c.name, o.total from orders o join customers c on c.id = o.customer_id where o.id = $1"

// BenchmarkTexts says what reading a text costs: a statement of everyday length, and data written into a long one.
func BenchmarkTexts(b *testing.B) {
	for name, text := range map[string][]byte{
		"select": []byte(ordinary),
		"begin":  []byte("begin"),
		"local":  []byte("select set_config('app.user', $1, true)"),
		"64KB":   bytes.Repeat([]byte(ordinary), 1<<16/len(ordinary)),
	} {
		b.Run(fmt.Sprintf("%s=%dB", name, len(text)), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				textChanges(text)
			}
		})
	}
}
