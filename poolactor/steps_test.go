package poolactor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// The steps of the hand-off one by one, on a pool whose actor does not run.

func unrun(t *testing.T) *Pool {
	t.Helper()
	server := fakepg.New()
	t.Cleanup(server.Close)
	p, err := New(fakeConfig(server))
	require.NoError(t, err)
	return p
}

// setWord sets a slot's word as if history had led there.
func setWord(s *slot, w word) { s.word.v.Store(uint64(w)) }

func lifeOf(p *Pool) *life { return &life{p: p, timer: time.NewTimer(time.Hour)} }

func TestAStaleTokenClaimsNothing(t *testing.T) {
	p := unrun(t)
	s := p.all()[0]
	setWord(s, word(0).to(free).nextToken())
	_, ok := (&token{slot: s, tid: 0}).claim()
	require.False(t, ok, "the token before")
	current := &token{slot: s, tid: 1}
	gen, ok := current.claim()
	require.True(t, ok)
	require.EqualValues(t, 1, gen)
	_, ok = current.claim()
	require.False(t, ok, "it is leased")
	for st := empty; st <= gone; st++ {
		if st != free {
			setWord(s, word(0).to(st).nextToken())
			_, ok = current.claim()
			require.False(t, ok, st)
		}
	}
}

func TestHandBack(t *testing.T) {
	p := unrun(t)
	s := p.all()[0]
	tok := &token{slot: s, tid: 0}
	setWord(s, word(0).to(free))
	gen, ok := tok.claim()
	require.True(t, ok)
	require.False(t, p.handBack(tok, gen+1, free, 0), "another generation")
	require.Equal(t, leased, s.word.Load().state())

	require.True(t, s.word.flag(flagRetire, leased))
	require.True(t, p.handBack(tok, gen, free, 0))
	require.Equal(t, broken, s.word.Load().state(), "what is to be retired is not offered")
	require.Same(t, s, (<-p.hints).slot)
	require.False(t, p.handBack(tok, gen, free, 0), "twice")

	setWord(s, word(0).to(free))
	gen, _ = tok.claim()
	require.True(t, p.handBack(tok, gen, free, 0))
	require.Same(t, tok, p.takeHot(), "the next caller needs no actor")
}

func TestAFullHintChannelAsksForALookAtEverything(t *testing.T) {
	p := unrun(t)
	for len(p.hints) < cap(p.hints) {
		p.tell(hint{slot: p.all()[0]})
	}
	require.False(t, p.rescan.Load())
	p.tell(hint{slot: p.all()[1]})
	require.True(t, p.rescan.Load())
	<-p.kick
}

func TestTheUndoPutsAConnectionBackToRest(t *testing.T) {
	p := unrun(t)
	l := lifeOf(p)
	for i, s := range p.all() {
		setWord(s, word(0).to(opened))
		l.take(hint{slot: s})
		require.Equal(t, resting, s.word.Load().state(), i)
	}
	for len(p.ready) < cap(p.ready) {
		p.ready <- &token{slot: p.all()[0], tid: 99}
	}
	before := len(l.stack)
	top := l.stack[before-1]
	pushed, full := l.offerTop()
	require.False(t, pushed)
	require.True(t, full)
	require.Equal(t, resting, top.slot.word.Load().state())
	require.Len(t, l.stack, before)
}

func TestTheStackLetsGoOfWhatItOffered(t *testing.T) {
	p := unrun(t)
	l := lifeOf(p)
	s := p.all()[0]
	setWord(s, word(0).to(opened))
	l.take(hint{slot: s})
	kept := l.stack[:1]
	pushed, _ := l.offerTop()
	require.True(t, pushed)
	require.Nil(t, kept[0], "a token that the stack keeps hides a forgotten lease")
}

func TestTheAuditRepeatsOrders(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		synctest.Wait()
		s := p.all()[0]
		setWord(s, word(0).to(wanted)) // an order that the retry actor has not heard of
		p.rescan.Store(true)
		p.wake()
		synctest.Wait()
		require.Equal(t, 1, server.Connections())
	})
}

func TestReclaimMakesTakenOrdersWantedAgain(t *testing.T) {
	p := unrun(t)
	o := orders{p}
	setWord(p.all()[1], word(0).to(wanted).with(flagScout))
	order, ok := o.Next()
	require.True(t, ok)
	require.Equal(t, messages.Order{Slot: 1, Scout: true}, order)
	_, ok = o.Next()
	require.False(t, ok, "an order is taken once")
	o.Reclaim()
	again, ok := o.Next()
	require.True(t, ok)
	require.Equal(t, order, again)
	o.Failed(order, nil)
	require.Equal(t, failed, p.all()[1].word.Load().state())
	o.Failed(order, nil)
	require.Equal(t, failed, p.all()[1].word.Load().state(), "a second end does nothing")
}

// While the server refuses, a call is let through each second; if it hears the refusal again it is told at once.
func TestARefusalHeardAgainIsTold(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		server.Refuse("28P01", "password authentication failed")
		for range 5 {
			began := time.Now()
			_, err := p.Acquire(within(t, time.Minute))
			require.Error(t, err)
			require.Less(t, time.Since(began), 500*time.Millisecond)
			pass(1100 * time.Millisecond)
		}
		require.GreaterOrEqual(t, server.Dials(), 4)
		server.Refuse("", "")
	})
}

func TestSuspendHandsNothingOut(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		suspended := make(chan error, 1)
		go func() { suspended <- p.Suspend(t.Context()) }()
		synctest.Wait()
		require.Empty(t, suspended, "a lease is out")
		granted := make(chan error, 1)
		go func() {
			_, err := p.Exec(t.Context(), "select 1")
			granted <- err
		}()
		l.Release()
		synctest.Wait()
		require.NoError(t, <-suspended)
		pass(5 * time.Second)
		synctest.Wait()
		require.Empty(t, granted, "callers wait")
		require.NoError(t, p.Resume())
		require.NoError(t, <-granted)
	})
}

// What ends late, after its lease was released, leaves the next holder alone.
func TestALateEndLeavesTheNextHolderAlone(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		ctx := t.Context()
		late := map[string]func(l *Lease) (end func()){
			"rows": func(l *Lease) func() {
				rows, err := l.Query(ctx, "select 1 from generate_series(1, 3)")
				require.NoError(t, err)
				require.True(t, rows.Next())
				return rows.Close
			},
			"batch": func(l *Lease) func() {
				var b pgx.Batch
				b.BeginTx(pgx.TxOptions{})
				b.Queue("select 1")
				r := l.SendBatch(ctx, &b)
				return func() { _ = r.Close() }
			},
			"raw": func(l *Lease) func() {
				goOn, gone := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(gone)
					_ = l.Raw(func(*pgx.Conn) error { <-goOn; return nil })
				}()
				synctest.Wait()
				return func() { close(goOn); <-gone }
			},
		}
		for name, begin := range late {
			l, err := p.Acquire(ctx)
			require.NoError(t, err)
			end := begin(l)
			l.Release()
			next, err := p.Acquire(ctx)
			require.NoError(t, err)
			end()
			require.Equal(t, 1, one(t, ctx, next, "select 1"), name)
			next.Release()
		}
	})
}

func TestASilentRawProvesNothing(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize, c.Health.Interval = 1, -1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		server.Kill(server.PIDs()[0])
		pass(100 * time.Millisecond)
		require.NoError(t, l.Raw(func(*pgx.Conn) error { return nil }))
		l.Release()
		next := acquired(t, p) // whose statements nobody repeats
		defer next.Release()
		require.Equal(t, 1, one(t, t.Context(), next, "select 1"), "the dead connection was looked at")
	})
}

// Deadlines that end inside a transaction keep the connection, whatever ends the transaction.
func TestADeadlineInATransactionKeepsTheConnection(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		for range 5 {
			err := p.WithTx(within(t, 15*time.Millisecond), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
				<-ctx.Done()
				return nil
			})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, ErrOutcomeUnknown, "no COMMIT was sent")
			require.NoError(t, p.With(t.Context(), func(ctx context.Context, l *Lease) error {
				short, cancel := context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
				tx, err := l.Begin(short)
				require.NoError(t, err)
				<-short.Done()
				return tx.Rollback(short)
			}))
		}
		require.Equal(t, 1, server.Dials())
	})
}

// A session that made the server forget prepared statements does not trip the next holder.
func TestForgottenStatementsDoNotTripTheNextHolder(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		for range 2 {
			require.Equal(t, 7, one(t, t.Context(), p, "select 7"))
			_, err := p.Exec(t.Context(), "discard all")
			require.NoError(t, err)
		}
		require.Equal(t, 7, one(t, t.Context(), p, "select 7"))
		require.Equal(t, 1, server.Dials())
	})
}

func TestAcquireInsideTwoPools(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, a *Pool, server *fakepg.Server) {
		b, err := Open(t.Context(), fakeConfig(server))
		require.NoError(t, err)
		defer func() { require.NoError(t, b.Close()) }()
		err = a.With(t.Context(), func(ctx context.Context, _ *Lease) error {
			return b.With(ctx, func(ctx context.Context, _ *Lease) error {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, err := a.Acquire(ctx)
				return err
			})
		})
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		require.True(t, exhausted.Self)
	})
}

// A holder whom the end of the pool has not seen finds nobody to close its connection, and does it.
func TestHandBackAfterTheEndCloses(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l := acquired(t, p)
		p.finished.Store(true) // as the end does before it looks at the slots
		l.Release()
		synctest.Wait()
		require.Zero(t, server.Connections())
		require.Zero(t, p.Stat().Total())
	})
}

// What is still out at the end is taken away, and nothing of it is left.
func TestTheEndTakesEveryLeaseAway(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l := acquired(t, p)
		require.Error(t, p.Shutdown(within(t, time.Second)))
		require.Zero(t, p.Stat().Total())
		synctest.Wait()
		require.Zero(t, server.Connections())
		_, err := l.Exec(t.Context(), "select 1")
		require.Equal(t, ErrRevoked, err)
		l.Release()
		require.Zero(t, p.Stat().Total())
	})
}
