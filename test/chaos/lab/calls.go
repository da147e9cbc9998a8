package lab

import (
	"context"
	"math/rand/v2"
)

// The usual mix of calls. Half of them hold a connection while they work, the other half leave it to the pool which one they
// get: what the pool repeats by itself, as ours may and database/sql does, happens only there.

// Kinds of calls; two in four read.
const (
	inserting = iota
	sleeping
	reading
	results = 4
)

const (
	aSleep = "select pg_sleep(0.02)"
	aRead  = "select $1::int"
)

// call makes one call, of a kind left to chance.
func (w *workload) call() error {
	kind, holds := rand.IntN(4), rand.IntN(2) == 0
	if w.results && kind >= reading {
		kind = results
	}
	switch {
	case kind == inserting:
		return w.insertKey(holds)
	case kind == results:
		return w.run(context.Background(), w.readResult)
	case holds:
		return w.run(context.Background(), func(ctx context.Context, s Session) error {
			if kind == sleeping {
				_, err := s.Exec(ctx, aSleep)
				return err
			}
			var n int
			return s.QueryRow(ctx, aRead, 1).Scan(&n)
		})
	default:
		c := w.leave(func(ctx context.Context) error {
			if kind == sleeping {
				return w.pool.Exec(ctx, aSleep)
			}
			var n int
			return w.pool.Scan(ctx, &n, aRead, 1)
		})
		w.note(c)
		return c.Err
	}
}

// leave makes one call that leaves it to the pool which connection it gets.
func (w *workload) leave(f func(context.Context) error) Call {
	return w.timed(context.Background(), w.patience, func(ctx context.Context, c *Call) error {
		s := &sight{load: w}
		defer func() { c.Granted, c.Backend = s.end() }()
		return f(context.WithValue(ctx, sightKey{}, s))
	})
}

// insertKey makes one call that inserts a key: by a transaction of the caller's, by one that the pool makes, or by a single
// statement. A key that is known not to be there is inserted again by a later call; of one that may be there, nobody knows.
func (w *workload) insertKey(holds bool) error {
	key := w.nextKey()
	var c Call
	unknown := false // whether the key may be there after an error
	switch {
	case holds:
		c = w.try(context.Background(), w.patience, func(ctx context.Context, s Session) (err error) {
			unknown, err = insert(ctx, s, key)
			return err
		})
	case rand.IntN(2) == 0:
		c = w.leave(func(ctx context.Context) (err error) {
			unknown, err = w.pool.Insert(ctx, key)
			return err
		})
	default:
		c = w.leave(func(ctx context.Context) error { return w.pool.Exec(ctx, inserts, key) })
		unknown = !c.Granted.IsZero()
	}
	w.note(c)
	if c.Err != nil && !unknown {
		w.notInserted(key)
	} else {
		w.inserted(key, c.Err)
	}
	return c.Err
}

// insert puts a key into the table, by a transaction. After an error it tells whether the key may be there: COMMIT was sent.
func insert(ctx context.Context, s Session, key int64) (unknown bool, err error) {
	tx, err := s.Begin(ctx)
	if err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, inserts, key); err != nil {
		_ = tx.Rollback(ctx) // pgxpool and database/sql keep the transaction open else
		return false, err
	}
	return true, tx.Commit(ctx)
}

// nextKey is a key that nobody has inserted: one that is known not to be there although somebody tried, or a new one.
func (w *workload) nextKey() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.again); n > 0 {
		key := w.again[n-1]
		w.again = w.again[:n-1]
		w.repeated++
		return key
	}
	return w.keys.Add(1)
}

// notInserted notes that a key is not there, and may be inserted again.
func (w *workload) notInserted(key int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.again = append(w.again, key)
}

// inserted notes what a caller was told of the insert of a key.
func (w *workload) inserted(key int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.acked = append(w.acked, key)
	} else {
		w.unknown = append(w.unknown, key)
	}
}

// longResult has a hundred thousand bytes and a bit: enough to be cut in its middle.
const longResult = "select repeat('x', 1000) from generate_series(1, 100)"

// readResult reads a long result. What ends it in its middle is counted.
func (w *workload) readResult(ctx context.Context, s Session) error {
	rows, err := s.Query(ctx, longResult)
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	if rows.Err() != nil && n > 0 {
		w.halves.Add(1)
	}
	return rows.Err()
}
