// Package pgxpool_test holds poolactor/pgxpool against the package whose place it takes, github.com/jackc/pgx/v5/pgxpool.
//
// A case is a function that runs twice, on a pool of each package over the same server, and says what it saw. Both have to
// say the same, unless the case is marked as a difference: then it names the row of MIGRATING.md that gives the reason, and
// what each of both says. The rows of that table and the marks in these are the same set.
package pgxpool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// behaviour is one thing that pgxpool does.
type behaviour struct {
	name string
	run  func(*side)
	// differs says that ours does it otherwise; nil: it does the same.
	differs *difference
	// fatal: their side may end the process, or never end itself, so each side has a process of its own.
	fatal bool
}

// difference is what a row of MIGRATING.md gives the reason for.
type difference struct {
	row          string // its first cell
	theirs, ours []string
}

// caseTimeout is more than any case takes.
const caseTimeout = 20 * time.Second

// side is a case on one of both pools.
type side struct {
	ours   bool
	ctx    context.Context
	dsn    string
	direct *pgx.Conn // a connection beside the pool
	notes  []string
	after  []func()
}

// failure is how a case ends that cannot go on.
type failure struct{ error }

// ok ends the case if something failed that the case takes for granted.
func (s *side) ok(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// note takes down what was observed.
func (s *side) note(what string) { s.notes = append(s.notes, what) }

func (s *side) say(format string, args ...any) { s.note(fmt.Sprintf(format, args...)) }

// ends notes how something ended.
func (s *side) ends(err error) { s.note(kind(err)) }

// pool opens a pool of this side, which is closed at the end of the case.
func (s *side) pool(set settings) pool {
	p, err := s.open(set)
	s.ok(err)
	return p
}

func (s *side) open(set settings) (pool, error) {
	open := openTheirs
	if s.ours {
		open = openOurs
	}
	p, err := open(s.dsn, set)
	if err == nil {
		s.after = append(s.after, p.Close)
	}
	return p, err
}

func (s *side) acquire(p pool) conn {
	c, err := p.Acquire(s.ctx)
	s.ok(err)
	s.after = append(s.after, c.Release) // in case the case ends early: Close would wait for it
	return c
}

func pid(c conn) uint32 { return c.Conn().PgConn().PID() }

// pidOf is the process behind whatever connection the next statement gets.
func (s *side) pidOf(q statements) (n uint32) {
	s.ok(q.QueryRow(s.ctx, "select pg_backend_pid()").Scan(&n))
	return n
}

func (s *side) exec(q interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, sql string, args ...any,
) {
	_, err := q.Exec(s.ctx, sql, args...)
	s.ok(err)
}

// terminate ends server processes, and returns when they are gone.
func (s *side) terminate(pids ...uint32) {
	for _, n := range pids {
		s.exec(s.direct, "select pg_terminate_backend($1, 5000)", n)
	}
}

// table makes an empty table for this case.
func (s *side) table(columns string) (name string) {
	name = "conformance"
	s.exec(s.direct, "drop table if exists "+name)
	s.exec(s.direct, "create table "+name+" ("+columns+")")
	return name
}

func (s *side) count(from string) (n int) {
	s.ok(s.direct.QueryRow(s.ctx, "select count(*) from "+from).Scan(&n))
	return n
}

// until waits for what happens by itself.
func (s *side) until(what string, happened func() bool) {
	for end := time.Now().Add(5 * time.Second); !happened(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.ok(fmt.Errorf("in vain: %s", what))
		}
	}
}

// within is a context that ends soon.
func (s *side) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(s.ctx, d)
	s.after = append(s.after, cancel)
	return ctx
}

// panics says what f panicked with; empty: it did not.
func panics(f func()) (what string) {
	defer func() {
		if v := recover(); v != nil {
			what = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

// errHook is what hooks return in these cases.
var errHook = errors.New("the hook says no")

// kind is what a program can find out about an error.
func kind(err error) string {
	var answer *pgconn.PgError
	var malformed *pgconn.ParseConfigError
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	case errors.As(err, &answer):
		return "PgError " + answer.Code
	case errors.Is(err, pgx.ErrNoRows):
		return "no rows"
	case errors.Is(err, pgx.ErrTooManyRows):
		return "too many rows"
	case errors.Is(err, pgx.ErrTxClosed):
		return "tx closed"
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return "commit rolled back"
	case errors.Is(err, errHook):
		return "the hook's"
	case errors.Is(err, poolactor.ErrReleased):
		return "released"
	case errors.Is(err, poolactor.ErrRevoked):
		return "revoked"
	case errors.As(err, &malformed):
		return "malformed"
	case strings.Contains(err.Error(), "closed pool"):
		return "closed pool"
	case strings.Contains(err.Error(), "busy"):
		return "busy"
	case strings.Contains(err.Error(), "too many failed attempts acquiring connection"):
		return "too many attempts"
	default:
		return "another"
	}
}

// play runs one case on one side.
func play(b behaviour, isOurs bool, dsn string) (notes []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()
	direct, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	s := &side{ours: isOurs, ctx: ctx, dsn: dsn, direct: direct}
	defer func() { err = errors.Join(err, direct.Close(context.Background())) }()
	defer func() { err = errors.Join(err, s.end()) }()
	defer func() {
		if v := recover(); v != nil {
			f, ours := v.(failure)
			if !ours {
				panic(v)
			}
			err = fmt.Errorf("after %q: %w", s.notes, f.error)
		}
	}()
	b.run(s)
	return s.notes, nil
}

// end undoes what the case has begun, the last first.
func (s *side) end() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, f := range slices.Backward(s.after) {
			f()
		}
	}()
	select {
	case <-done:
		return nil
	case <-time.After(caseTimeout):
		return errors.New("the case leaves something behind for which Close waits")
	}
}

// The variables by which this program knows that it is to play one side of a fatal case.
const (
	childCase = "CONFORMANCE_CASE"
	childSide = "CONFORMANCE_SIDE"
	childDSN  = "CONFORMANCE_DSN"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(childCase); name != "" {
		playAlone(name)
		return
	}
	pgtest.Main(m)
}

func playAlone(name string) {
	i := slices.IndexFunc(behaviours, func(b behaviour) bool { return b.name == name })
	notes, err := play(behaviours[i], os.Getenv(childSide) == "ours", os.Getenv(childDSN))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	if err := json.NewEncoder(os.Stdout).Encode(notes); err != nil {
		os.Exit(3)
	}
}

// playApart plays one side of a case in a process of its own.
func playApart(b behaviour, name, dsn string) (notes []string, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.Command(program)
	child.Env = append(os.Environ(), childCase+"="+b.name, childSide+"="+name, childDSN+"="+dsn)
	var out, complaint bytes.Buffer
	child.Stdout, child.Stderr = &out, &complaint
	err = child.Run()
	if strings.Contains(complaint.String(), "panic: ") && child.ProcessState.ExitCode() == 2 {
		return []string{"the process ended"}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, complaint.String())
	}
	return notes, json.Unmarshal(out.Bytes(), &notes)
}

func TestConformance(t *testing.T) {
	dsn := pgtest.Server(t).DSN()
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			told := map[string][]string{}
			for _, name := range []string{"theirs", "ours"} {
				var err error
				if b.fatal {
					told[name], err = playApart(b, name, dsn)
				} else {
					told[name], err = play(b, name == "ours", dsn)
				}
				require.NoError(t, err, name)
				require.NotEmpty(t, told[name], "%s: a case that sees nothing", name)
			}
			if b.differs == nil {
				require.Equal(t, told["theirs"], told["ours"], "pgxpool's, and ours")
				return
			}
			require.Equal(t, b.differs.theirs, told["theirs"], "pgxpool's")
			require.Equal(t, b.differs.ours, told["ours"])
			require.NotEqual(t, told["theirs"], told["ours"], "this is no difference")
		})
	}
}

// pgxpoolRows are the first cells of the table in MIGRATING.md.
func pgxpoolRows(t *testing.T) (rows []string) {
	text, err := os.ReadFile("../../../MIGRATING.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## From pgxpool\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if cell, rest, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| ") {
			require.Len(t, strings.Split(rest, " | "), 3, "a row is: what, pgxpool, this, why: %s", line)
			rows = append(rows, cell)
		}
	}
	require.NotEmpty(t, rows)
	return rows[1:] // without the head
}

func TestTheTableHoldsTheDifferences(t *testing.T) {
	rows := pgxpoolRows(t)
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(rows))), len(rows), "each row once")
	marked := map[string]bool{}
	for _, b := range behaviours {
		if b.differs != nil {
			require.Contains(t, rows, b.differs.row, "%s: no such row", b.name)
			marked[b.differs.row] = true
		}
	}
	for _, row := range rows {
		require.True(t, marked[row], "no case shows this difference: %s", row)
	}
}

func TestThereAreManyCases(t *testing.T) {
	names := map[string]bool{}
	for _, b := range behaviours {
		names[b.name] = true
	}
	require.Len(t, names, len(behaviours), "each name once")
	require.GreaterOrEqual(t, len(names), 80)
}
