package demo

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// audit is what the table says about the keys.
type audit struct {
	acknowledged int // keys whose commit was acknowledged
	missing      int // of these, are not in the table
	twice        int // keys that are there more than once
	ghosts       int // keys that are there although their transaction never got to its commit, or that nobody made
	unknown      int // keys whose commit's answer was lost
	arrived      int // of these, are in the table
}

// sound tells whether the table is as it must be.
func (a audit) sound() bool { return a.missing == 0 && a.twice == 0 && a.ghosts == 0 }

// readTable compares the table with what the callers know.
func readTable(ctx context.Context, dsn string, callers []*keys) (audit, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return audit{}, err
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(ctx, "select key, count(*) from demo group by key")
	if err != nil {
		return audit{}, err
	}
	a := newAuditor(callers)
	var key, count int64
	if _, err := pgx.ForEachRow(rows, []any{&key, &count}, func() error {
		a.see(key, count)
		return nil
	}); err != nil {
		return audit{}, errors.Join(errors.New("demo: the table could not be read"), err)
	}
	return a.close(), nil
}

// auditor compares row by row.
type auditor struct {
	audit
	callers []*keys
	seen    int // acknowledged keys that are in the table
}

func newAuditor(callers []*keys) *auditor {
	a := &auditor{callers: callers}
	for _, k := range callers {
		for _, o := range k.outcomes {
			switch o {
			case acknowledged:
				a.acknowledged++
			case unknown:
				a.unknown++
			case failed:
			}
		}
	}
	return a
}

// see takes a key of the table, which holds it count times.
func (a *auditor) see(key, count int64) {
	if count > 1 {
		a.twice++
	}
	caller, number := key>>numberBits, key&(1<<numberBits-1)
	if caller < 0 || caller >= int64(len(a.callers)) || number >= int64(len(a.callers[caller].outcomes)) {
		a.ghosts++
		return
	}
	switch a.callers[caller].outcomes[number] {
	case acknowledged:
		a.seen++
	case unknown:
		a.arrived++
	case failed:
		a.ghosts++
	}
}

func (a *auditor) close() audit {
	a.missing = a.acknowledged - a.seen
	return a.audit
}
