package multiplex

import (
	"fmt"
	"strings"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
)

// Verdict says where a statement may run.
type Verdict uint8

const (
	// Elsewhere: on a connection of its own, because its text does not make clear that it may share.
	Elsewhere Verdict = iota
	// Shared: beside the statements of others.
	Shared
	// Refused: nowhere without a lease that its caller holds, because it is about the session or a transaction.
	Refused
)

// Class is what a text has told about a statement.
type Class struct {
	Verdict Verdict
	// Why says what is refused.
	Why string
	// Reads: it can be read again, and nobody can tell. All functions in it are known to change nothing.
	Reads bool
}

// Classify reads the text of a statement. It is no parser: it knows the words that matter, and where they may stand.
func Classify(sql string) Class {
	if strings.IndexByte(sql, 0) >= 0 {
		return Class{Verdict: Elsewhere} // a message would end there, and the neighbours' with it
	}
	tokens, clear := tokenize(sql)
	if !clear || len(tokens) == 0 {
		return Class{Verdict: Elsewhere}
	}
	for _, t := range tokens {
		if t.kind == semicolon {
			return Class{Verdict: Refused, Why: "several statements in one text"}
		}
	}
	first := firstWord(tokens)
	if why, ok := refusedFirst[first]; ok {
		return Class{Verdict: Refused, Why: why}
	}
	if why := refusedWithin(tokens); why != "" {
		return Class{Verdict: Refused, Why: why}
	}
	if !sharing[first] || !plain(tokens) || backend.MayChange(sql) {
		return Class{Verdict: Elsewhere}
	}
	return Class{Verdict: Shared, Reads: reads(tokens)}
}

// tokenize cuts a text, without the semicolons at its end; false: it is not clear.
func tokenize(sql string) ([]token, bool) {
	l := lexer{rest: sql}
	var tokens []token
	for {
		switch t := l.next(); t.kind {
		case end:
			for len(tokens) > 0 && tokens[len(tokens)-1].kind == semicolon {
				tokens = tokens[:len(tokens)-1]
			}
			return tokens, true
		case unclear:
			return nil, false
		default:
			tokens = append(tokens, t)
		}
	}
}

// firstWord is the word that says what a statement does; a query may begin with parentheses.
func firstWord(tokens []token) string {
	for _, t := range tokens {
		if t.kind == word {
			return t.text
		}
		if t.text != "(" {
			return ""
		}
	}
	return ""
}

// sharing are the words with which statements begin that may share.
var sharing = setOf("select insert update delete merge values table with")

// refusedFirst are those with which statements begin that are about the session, or about a transaction.
var refusedFirst = map[string]string{}

func init() {
	for what, words := range map[string]string{
		"%s is about a transaction":        "begin start commit end rollback abort savepoint release lock",
		"%s changes the session":           "set reset discard load",
		"%s is about notifications":        "listen unlisten",
		"%s is about prepared statements":  "prepare execute deallocate",
		"%s is about cursors":              "declare fetch move close",
		"%s sends data beside its answers": "copy",
	} {
		for _, w := range strings.Fields(words) {
			refusedFirst[w] = fmt.Sprintf(what, strings.ToUpper(w))
		}
	}
}

// refusedWithin looks for what must not share wherever it stands: names of functions that are about the session, and
// temporary tables.
func refusedWithin(tokens []token) string {
	for i, t := range tokens {
		if t.kind != word && t.kind != quoted {
			continue
		}
		name := t.text
		switch {
		case name == "pg_temp" || strings.HasPrefix(name, "pg_temp_"):
			return "pg_temp holds what is temporary"
		case called(tokens, i) && isSessionLock(name):
			return name + "() locks for the session"
		case called(tokens, i) && sessionFunctions[name]:
			return name + "() is about the session"
		case t.kind == word && (name == "temp" || name == "temporary") && makesTemporary(tokens, i):
			return "a temporary table belongs to the session"
		}
	}
	return ""
}

func isSessionLock(name string) bool {
	return (strings.HasPrefix(name, "pg_advisory_") || strings.HasPrefix(name, "pg_try_advisory_")) &&
		!strings.Contains(name, "_xact_")
}

// sessionFunctions change the session, or tell of what others have done in it, or go on in it.
var sessionFunctions = setOf("set_config currval lastval pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup")

// makesTemporary tells whether the "temp" at i is that of CREATE TEMP or INTO TEMP, wherever they stand: EXPLAIN ANALYZE runs
// what comes behind it.
func makesTemporary(tokens []token, i int) bool {
	switch {
	case behind(tokens, i, "local", "global"):
		i--
	case behind(tokens, i, "replace") && behind(tokens, i-1, "or"):
		i -= 2
	}
	return behind(tokens, i, "create", "into")
}

// plain tells whether nothing in a statement is of the kind that is not to share although the first word may: SELECT INTO,
// which makes a table; locks until the end of a transaction; functions that reach for other sessions.
func plain(tokens []token) bool {
	for i, t := range tokens {
		if t.kind != word && t.kind != quoted {
			continue
		}
		switch {
		case t.kind == word && t.text == "into" && !behind(tokens, i, "insert", "merge"):
			return false
		case strings.HasPrefix(t.text, "pg_advisory_"), strings.HasPrefix(t.text, "pg_try_advisory_"),
			strings.HasPrefix(t.text, "pg_replication_origin_"), strings.HasPrefix(t.text, "dblink"), elsewhereNames[t.text]:
			return false
		}
	}
	return true
}

// elsewhereNames are those of functions and views that are about the session in some way.
var elsewhereNames = setOf("pg_settings setseed pg_export_snapshot pg_backend_pid pg_my_temp_schema " +
	"set_config currval lastval pg_cursors pg_prepared_statements lo_open lo_import lo_creat lo_create " +
	"pg_create_physical_replication_slot pg_create_logical_replication_slot")

func behind(tokens []token, i int, words ...string) bool {
	if i == 0 || tokens[i-1].kind != word {
		return false
	}
	for _, w := range words {
		if tokens[i-1].text == w {
			return true
		}
	}
	return false
}

// reads tells whether a statement only reads, whatever is called in it.
func reads(tokens []token) bool {
	for i, t := range tokens {
		switch {
		case t.kind == word && writing[t.text]:
			return false
		case t.kind != word && t.kind != quoted || !called(tokens, i) || aliased(tokens, i):
		case t.kind == quoted || !harmless[t.text] || foreign(tokens, i):
			return false
		}
	}
	return true
}

// called tells whether a parenthesis follows the name at i.
func called(tokens []token, i int) bool {
	return i+1 < len(tokens) && tokens[i+1].kind == symbol && tokens[i+1].text == "("
}

// foreign tells whether the name at i is that of something in a schema which is not the server's own.
func foreign(tokens []token, i int) bool {
	return i > 1 && tokens[i-1].text == "." && tokens[i-2].text != "pg_catalog"
}

// aliased tells whether the word at i only names what stands before it: "as t(a, b)", "with t(a, b) as".
func aliased(tokens []token, i int) bool { return behind(tokens, i, "as", "with", "recursive") }

// writing are words that a statement which only reads does without; "for update" locks, which is repeated at no harm, but is
// left out with the others.
var writing = setOf("insert update delete merge truncate call nextval setval lock")

// harmless are words that may stand before a parenthesis in a statement that only reads: key words, types with a length, and
// functions that compute.
var harmless = setOf(`
	select from where and or not in on as by having using values with exists any all some over filter within group union
	intersect except limit offset then else when case between like ilike similar is distinct only lateral array row
	rows range groups partition order join left right inner outer cross full natural materialized recursive return
	char character varchar numeric decimal bit varbit time timestamp timestamptz timetz interval float precision
	count sum min max avg bool_and bool_or every string_agg array_agg json_agg jsonb_agg json_object_agg jsonb_object_agg
	stddev variance row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
	coalesce nullif greatest least cast extract overlay position substring trim
	lower upper length char_length octet_length btrim ltrim rtrim lpad rpad left right replace translate repeat reverse
	split_part starts_with strpos substr concat concat_ws format initcap md5 sha256 ascii chr encode decode quote_ident
	quote_literal to_char to_date to_number to_timestamp regexp_replace regexp_match regexp_matches regexp_split_to_array
	string_to_array array_to_string unnest array_length cardinality array_append array_prepend array_cat array_position
	array_remove generate_series generate_subscripts
	abs ceil ceiling floor round trunc mod power sqrt exp ln log sign div gcd lcm random pi sin cos tan
	now clock_timestamp statement_timestamp transaction_timestamp date_trunc date_part age make_date make_interval
	make_timestamp justify_days justify_hours
	to_json to_jsonb row_to_json json_build_object jsonb_build_object json_build_array jsonb_build_array jsonb_set
	json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text json_each jsonb_each
	jsonb_typeof json_typeof jsonb_array_length json_array_length
	to_tsvector to_tsquery plainto_tsquery websearch_to_tsquery ts_rank
	gen_random_uuid pg_typeof pg_sleep pg_table_size pg_total_relation_size pg_relation_size pg_database_size
	current_setting current_schema current_database version grouping rollup cube sets
	int4range int8range numrange tsrange tstzrange daterange lower_inc upper_inc isempty`)

func setOf(words string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}
