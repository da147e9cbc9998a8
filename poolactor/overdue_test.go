package poolactor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// heard collects the events of some kinds until the pool ends.
func heard(t *testing.T, p *Pool, kinds ...EventKind) func() []Event {
	var (
		mu  sync.Mutex
		all []Event
	)
	events := p.Events(t.Context())
	go func() {
		for e := range events {
			for _, kind := range kinds {
				if e.Kind == kind {
					mu.Lock()
					all = append(all, e)
					mu.Unlock()
				}
			}
		}
	}()
	return func() []Event {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func TestAnOverdueLeaseIsToldAboutOnce(t *testing.T) {
	var log bytes.Buffer
	writer := zerolog.SyncWriter(&log)
	change := func(c *Config) {
		logger := zerolog.New(writer)
		c.LeaseWarnAfter, c.RecordStacks, c.MaxSize, c.Logger = time.Minute, true, 1, &logger
	}
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		told := heard(t, p, EventOverdue, EventRevoked)
		for n := 1; n <= 2; n++ {
			l, err := p.Acquire(WithLabel(t.Context(), "report"))
			require.NoError(t, err)
			pass(59 * time.Second)
			require.Len(t, told(), n-1)
			require.False(t, p.Holders()[0].Overdue)
			pass(25 * time.Minute)
			require.Len(t, told(), n, "once for each lease")
			e := told()[n-1]
			require.Equal(t, EventOverdue, e.Kind)
			require.Equal(t, "report", e.Label)
			require.Equal(t, p.Holders()[0].PID, e.PID)
			require.Contains(t, e.Stack, "TestAnOverdueLease")
			require.GreaterOrEqual(t, e.Held, time.Minute)
			require.LessOrEqual(t, e.Held, time.Minute+janitorEvery)
			require.True(t, p.Holders()[0].Overdue)
			require.Equal(t, 1, one(t, t.Context(), l, "select 1"), "it is good all the same")
			l.Release()
		}
		require.Equal(t, 1, server.Dials())
	})
	require.Equal(t, 2, bytes.Count(log.Bytes(), []byte(`"event":"overdue"`)))
	for line := range bytes.Lines(log.Bytes()) {
		if bytes.Contains(line, []byte(`"event":"overdue"`)) {
			for _, part := range []string{`"level":"warn"`, `"label":"report"`, `"pid":`, `"held":6`, "TestAnOverdueLease"} {
				require.Contains(t, string(line), part)
			}
		}
	}
}

func TestAnOldLeaseIsTakenAway(t *testing.T) {
	change := func(c *Config) { c.LeaseMaxAge, c.RecordStacks, c.MaxSize = time.Minute, true, 1 }
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		told := heard(t, p, EventOverdue, EventRevoked)
		ctx := t.Context()
		old, err := p.Acquire(WithLabel(ctx, "stubborn"))
		require.NoError(t, err)
		pid := server.PIDs()[0]
		tx, err := old.Begin(ctx)
		require.NoError(t, err)
		running := make(chan error, 1)
		go func() {
			_, err := old.Exec(ctx, "select pg_sleep(7200)")
			running <- err
		}()
		next := parked(ctx, p)
		pass(59 * time.Second)
		synctest.Wait()
		require.Empty(t, running)
		began := time.Now()
		require.ErrorIs(t, <-running, ErrRevoked, "what runs on it fails")
		l := <-next
		require.LessOrEqual(t, time.Since(began), 3*time.Second, "its place serves the next")
		require.Zero(t, stay(server, []uint32{pid}), "on another connection")
		require.Positive(t, server.Cancels(), "the server need not find out by itself that nobody listens any more")

		_, err = old.Exec(ctx, "select 1")
		require.Equal(t, ErrRevoked, err)
		_, err = old.Hijack()
		require.Equal(t, ErrRevoked, err)
		_, err = tx.Exec(ctx, "select 1")
		require.ErrorIs(t, err, ErrRevoked)
		require.ErrorIs(t, tx.Commit(ctx), ErrRevoked)
		require.NotErrorIs(t, tx.Commit(ctx), ErrOutcomeUnknown, "it was never sent")
		require.ErrorIs(t, old.Raw(func(*pgx.Conn) error { return nil }), ErrRevoked)
		old.Release()
		_, err = old.Exec(ctx, "select 1")
		require.Equal(t, ErrReleased, err)

		require.Equal(t, 1, one(t, ctx, l, "select 1"), "the next holder was not disturbed")
		require.Equal(t, 1, p.Stat().Leased)
		l.Release()
		require.EqualValues(t, 1, p.Stat().Revoked)
		require.Len(t, told(), 1, "who is told that a lease is gone need not be told that it is overdue")
		e := told()[0]
		require.Equal(t, EventRevoked, e.Kind)
		require.Equal(t, "stubborn", e.Label)
		require.Equal(t, pid, e.PID)
		require.Contains(t, e.Stack, "TestAnOldLease")
		require.GreaterOrEqual(t, e.Held, time.Minute)
	})
}

// Also a lease that is never touched again gives its place back, and one that is released late harms nobody, whether its
// place is vacant, serves somebody, or rests.
func TestALateReleaseOfARevokedLease(t *testing.T) {
	change := func(c *Config) { c.LeaseMaxAge, c.MaxSize = 10*time.Second, 1 }
	for name, between := range map[string]func(t *testing.T, p *Pool) (after func()){
		"vacant": func(*testing.T, *Pool) func() { return func() {} },
		"leased": func(t *testing.T, p *Pool) func() {
			l := acquired(t, p)
			return func() { require.Equal(t, 1, one(t, t.Context(), l, "select 1")); l.Release() }
		},
		"resting": func(t *testing.T, p *Pool) func() { acquired(t, p).Release(); return func() {} },
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
				old := acquired(t, p)
				pass(12 * time.Second)
				synctest.Wait()
				require.Zero(t, p.Stat().Total())
				require.Zero(t, server.Connections())
				after := between(t, p)
				open := server.PIDs()
				old.Discard()
				after()
				require.Len(t, open, stay(server, open), "what took its place stays")
			})
		})
	}
}

// Rows and batches that are being read when their lease is taken away say so.
func TestResultsOfARevokedLease(t *testing.T) {
	change := func(c *Config) { c.LeaseMaxAge, c.MaxSize = 10*time.Second, 1 }
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		ctx := t.Context()
		rows, err := p.Query(ctx, "select 1 from generate_series(1, 100000)")
		require.NoError(t, err)
		require.True(t, rows.Next())
		pass(12 * time.Second)
		next := acquired(t, p)
		for rows.Next() {
		}
		require.ErrorIs(t, rows.Err(), ErrRevoked)
		require.Equal(t, 1, one(t, ctx, next, "select 1"))
		next.Release()

		var b pgx.Batch
		b.Queue("select pg_sleep(60)")
		require.ErrorIs(t, p.SendBatch(ctx, &b).Close(), ErrRevoked)
		require.ErrorIs(t, p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select pg_sleep(60)")
			return err
		}), ErrRevoked)
		runs := 0
		require.ErrorIs(t, p.Retry(ctx, RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
			runs++
			_, err := tx.Exec(ctx, "select pg_sleep(60)")
			return err
		}), ErrRevoked)
		require.Equal(t, 1, runs, "it would be as slow again")
	})
}

// Leases that come and go are never old, however long that goes on and however busy the pool is.
func TestBusyConnectionsAreNotOldLeases(t *testing.T) {
	change := func(c *Config) { c.LeaseWarnAfter, c.LeaseMaxAge, c.MaxSize = time.Second, 2*time.Second, 2 }
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		told := heard(t, p, EventOverdue, EventRevoked)
		stop := busy(t, p, 5)
		pass(time.Minute)
		stop()
		require.Empty(t, told())
		require.EqualValues(t, 0, p.Stat().Revoked)
	})
}

func TestTheLimitsOfLeases(t *testing.T) {
	const off, unset = -1, 0
	for _, c := range []struct{ warn, age, wantWarn, wantAge time.Duration }{
		{unset, unset, 5 * time.Minute, 0},
		{unset, off, 5 * time.Minute, 0},
		{off, unset, 0, 0},
		{unset, time.Minute, time.Minute, time.Minute},
		{unset, time.Hour, 5 * time.Minute, time.Hour},
		{off, time.Minute, 0, time.Minute},
		{time.Second, time.Minute, time.Second, time.Minute},
		{time.Hour, unset, time.Hour, 0},
	} {
		cfg := fakeConfig(fakepg.New())
		cfg.LeaseWarnAfter, cfg.LeaseMaxAge = c.warn, c.age
		cfg, err := cfg.withDefaults()
		require.NoError(t, err)
		require.Equal(t, []time.Duration{c.wantWarn, c.wantAge}, []time.Duration{cfg.LeaseWarnAfter, cfg.LeaseMaxAge}, "%v", c)
	}
	cfg := fakeConfig(fakepg.New())
	cfg.LeaseWarnAfter, cfg.LeaseMaxAge = time.Hour, time.Minute
	_, err := New(cfg)
	require.ErrorContains(t, err, "LeaseWarnAfter 1h0m0s is longer than LeaseMaxAge 1m0s")
}

// New limits hold for leases that are out already.
func TestLimitsOfLeasesChangeLive(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		told := heard(t, p, EventOverdue, EventRevoked)
		l := acquired(t, p)
		pass(time.Minute)
		require.Error(t, p.LimitLeases(2*time.Minute, time.Minute))
		pass(time.Minute)
		require.Empty(t, told())
		require.NoError(t, p.LimitLeases(time.Minute, 0))
		require.True(t, p.Holders()[0].Overdue)
		pass(2 * time.Second)
		require.Len(t, told(), 1)
		require.NoError(t, p.LimitLeases(-1, 3*time.Minute))
		pass(30 * time.Second)
		require.Equal(t, 1, one(t, t.Context(), l, "select 1"))
		pass(30 * time.Second)
		require.ErrorIs(t, l.Ping(t.Context()), ErrRevoked)
		require.NoError(t, p.LimitLeases(0, 0))
		l = acquired(t, p)
		pass(20 * time.Minute)
		require.NoError(t, l.Ping(t.Context()))
		l.Release()
		require.Len(t, told(), 2)
	})
}

// What stands beside the word of a lease that is not granted yet may be that of the lease before.
func TestALeaseThatIsNotGrantedHasNoAge(t *testing.T) {
	p, _ := still(t, 1)
	require.NoError(t, p.LimitLeases(time.Minute, time.Minute))
	tok := put(p, 0, free)
	s := tok.slot
	label := "the one before"
	s.label.Store(&label)
	gen, ok := tok.claim()
	require.True(t, ok)
	p.watchLease(s, int64(time.Hour))
	require.Equal(t, leased, s.word.Load().state())
	require.Equal(t, []Holder{{Slot: 0}}, p.Holders())

	s.acquired.Store(int64(time.Hour))
	s.open(gen)
	p.watchLease(s, int64(time.Hour))
	require.Equal(t, leased, s.word.Load().state())
	p.finished.Store(true) // no closer: there is no connection
	p.crew.dismiss()
	require.False(t, s.revoke(gen-1), "only that lease")
	require.True(t, s.revoke(gen))
	require.Equal(t, doomed, s.word.Load().state())
	require.False(t, s.revoke(gen))
}

// A statement may end at the very moment in which its lease is taken away.
func TestWhatThePoolCutsOffTellsNothing(t *testing.T) {
	for flag, tells := range map[word]bool{flagRevoked: false, flagSevere: false, 0: true} {
		p, _ := still(t, 1)
		s := put(p, 0, doomed, flag).slot
		p.learn(s, s.conn.Load(), io.EOF)
		require.Equal(t, tells, s.ok.Load() == distrusted, "%b", flag)
	}
}

// Revocations at any instant: each of them ends one lease, and nobody else notices.
func TestRevocationsUnderLoad(t *testing.T) {
	const size, callers = 4, 12
	a := newArena(t, size)
	stop := make(chan struct{})
	var trouble, wg sync.WaitGroup
	trouble.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(300)) * time.Microsecond):
			}
			s := a.p.all()[rand.IntN(size)]
			if w := s.word.Load(); s.granted(w) && s.revoke(w.gen()) {
				a.p.startCloser(s)
			}
		}
	})
	for range callers {
		wg.Go(func() {
			for range scale(t, 300) {
				l, err := a.p.Acquire(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				pid := l.conn.PID()
				for range rand.IntN(4) {
					var got uint32
					if err = l.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&got); err == nil && got != pid {
						t.Errorf("a lease of %d was answered by %d", pid, got)
					}
					if err != nil && !errors.Is(err, ErrRevoked) {
						t.Error(err)
					}
				}
				if err == nil && rand.IntN(2) == 0 {
					_, _ = l.Exec(t.Context(), "begin") // left to the cleaner
				}
				l.Release()
			}
		})
	}
	wg.Wait()
	close(stop)
	trouble.Wait()
	require.Positive(t, a.p.Stat().Revoked)
	a.quiet(size)
	a.everybodyServed(32, yield)
}
