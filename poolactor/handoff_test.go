package poolactor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// What callers and the actor owe each other, looked at in a pool that does not run: each test begins with slots in
// certain states, takes a step, and looks at what is left.

// still makes a pool that nobody serves, without a connection behind its slots, and a life of its actor.
func still(t *testing.T, size int) (*Pool, *life) {
	t.Helper()
	server := fakepg.New()
	t.Cleanup(server.Close)
	cfg := fakeConfig(server)
	cfg.MaxSize = size
	cfg.Health.OnAcquire = CheckNever
	p, err := New(cfg)
	require.NoError(t, err)
	p.ready = make(chan *token, 1)
	p.hints = make(chan hint, 1)
	timer := time.NewTimer(time.Hour)
	t.Cleanup(func() { timer.Stop() })
	return p, &life{p: p, timer: timer}
}

// put brings a slot into a state and gives its token, which nobody watches.
func put(p *Pool, i int, s state, flags ...word) *token {
	w := word(0).to(s).nextToken()
	for _, f := range flags {
		w = w.with(f)
	}
	p.all()[i].word.v.Store(uint64(w))
	return &token{slot: p.all()[i], tid: w.tid()}
}

func stateOf(p *Pool, i int) state { return p.all()[i].word.Load().state() }

// rested puts a slot onto the stack.
func rested(l *life, i int) *token {
	t := put(l.p, i, resting)
	l.note(t.slot)
	l.push(t)
	return t
}

func raised(signal chan struct{}) bool {
	select {
	case <-signal:
		return true
	default:
		return false
	}
}

// parked begins an Acquire that finds nothing, and gives what it comes to.
func parked(ctx context.Context, p *Pool) <-chan *Lease {
	served := make(chan *Lease, 1)
	go func() {
		l, _ := p.Acquire(ctx)
		served <- l
	}()
	synctest.Wait()
	return served
}

func TestWhoeverTakesAHintPassesTheSignalOn(t *testing.T) {
	for _, supply := range []uint32{0, supplyRests, supplyRoom} {
		p, _ := still(t, 2)
		p.ready <- put(p, 0, free)
		p.waiting.Store(1)
		p.supply.Store(supply)
		_, err := p.Acquire(t.Context())
		require.NoError(t, err)
		require.Equal(t, supply != 0, raised(p.demand), "a newcomer took it, supply %d", supply)

		p.ready <- put(p, 0, free)
		p.waiting.Store(0)
		_, err = p.Acquire(t.Context())
		require.NoError(t, err)
		require.False(t, raised(p.demand), "nobody else waits")
	}
	synctest.Test(t, func(t *testing.T) {
		p, _ := still(t, 2)
		served := parked(t.Context(), p)
		require.EqualValues(t, 1, p.waiting.Load())
		p.waiting.Add(1) // somebody else
		p.supply.Store(supplyRoom)
		p.ready <- put(p, 0, free)
		require.NotNil(t, <-served)
		require.True(t, raised(p.demand), "a waiter took it")
		require.EqualValues(t, 1, p.waiting.Load())
	})
}

func TestAWaiterRaisesTheSignalOnlyIfItHelps(t *testing.T) {
	for _, supply := range []uint32{0, supplyRests, supplyRoom} {
		synctest.Test(t, func(t *testing.T) {
			p, _ := still(t, 2)
			p.supply.Store(supply)
			ctx, cancel := context.WithCancel(t.Context())
			served := parked(ctx, p)
			require.Equal(t, supply != 0, raised(p.demand))
			cancel()
			require.Nil(t, <-served)
			require.Zero(t, p.waiting.Load(), "who leaves does not wait")
		})
	}
}

func TestAnEndedContextTakesNothing(t *testing.T) {
	p, _ := still(t, 1)
	p.ready <- put(p, 0, free)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Acquire(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, p.ready, 1)
	require.Equal(t, free, stateOf(p, 0))
}

// A new token makes every hint from before the audit stale.
func TestAnAuditMakesOldTokensStale(t *testing.T) {
	p, l := still(t, 1)
	old := put(p, 0, free)
	l.audit()
	require.Equal(t, resting, stateOf(p, 0))
	_, ok := old.claim()
	require.False(t, ok, "it rests")
	require.Equal(t, 1, func() int { p.waiting.Store(1); return l.serve() }())
	require.Equal(t, free, stateOf(p, 0))
	_, ok = old.claim()
	require.False(t, ok, "it is on offer, under a newer token")
	l.take(hint{slot: old.slot, token: old})
	require.Equal(t, free, stateOf(p, 0), "and the actor leaves it there")
	require.Empty(t, l.stack)
	_, ok = (<-p.ready).claim()
	require.True(t, ok)
}

// Who was let down is served before all who have waited for longer, by a release and by the actor.
func TestWhoWasLetDownComesFirst(t *testing.T) {
	for _, byActor := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p, l := still(t, 1)
			ctx, cancel := context.WithCancel(t.Context())
			others := parked(ctx, p)
			served := make(chan error, 1)
			go func() {
				_, err := p.wait(ctx, ctx, 0, failedCheck)
				served <- err
			}()
			synctest.Wait()
			if byActor {
				rested(l, 0)
				require.Equal(t, 1, l.serve())
			} else {
				tok := put(p, 0, leased)
				require.True(t, p.handBack(tok, 0, free, 0))
			}
			synctest.Wait()
			require.Len(t, served, 1)
			require.NoError(t, <-served)
			require.Empty(t, others)
			cancel()
			require.Nil(t, <-others)
		})
	}
}

// Whose offer was taken away, by a check for example, before it could claim it keeps its turn.
func TestAStaleOfferCostsNobodyItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := still(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		oldest := parked(ctx, p)
		others := parked(ctx, p)
		p.ready <- put(p, 0, checking)
		synctest.Wait()
		require.EqualValues(t, 2, p.waiting.Load())
		tok := put(p, 0, leased)
		require.True(t, p.handBack(tok, 0, free, 0))
		synctest.Wait()
		require.Len(t, oldest, 1)
		require.NotNil(t, <-oldest)
		require.Empty(t, others)
		cancel()
		require.Nil(t, <-others)
	})
}

// A connection that is there goes before the end of the wait.
func TestTheDoomedTakeWhatIsThere(t *testing.T) {
	p, _ := still(t, 1)
	c := newCohort(0)
	c.fail(ErrClosed)
	for range 100 {
		p.ready <- put(p, 0, free)
		tok, err := p.next(t.Context(), c, false)
		require.NoError(t, err)
		require.NotNil(t, tok)
	}
	_, err := p.next(t.Context(), c, false)
	require.ErrorIs(t, err, ErrClosed)
}

func TestWhereALeaseGoes(t *testing.T) {
	for _, c := range []struct {
		name      string
		flags     word
		gate      gate
		others    bool // another is hot
		readyFull bool
		waiting   int64
		to, want  state
		hot       bool
		offered   bool
	}{
		{name: "is hot", to: free, want: free, hot: true},
		{name: "is hot beside what lies in ready", to: free, want: free, readyFull: true, hot: true},
		{name: "finds another hot", to: free, want: free, others: true, offered: true},
		{name: "finds somebody waiting", to: free, want: free, waiting: 1, offered: true},
		{name: "finds another hot and ready full", to: free, want: free, others: true, readyFull: true},
		{name: "to a suspended pool", to: free, want: free, gate: gateSuspended},
		{name: "to a closed pool", to: free, want: free, gate: gateClosed},
		{name: "of a retired connection", flags: flagRetire, to: free, want: broken},
		{name: "of a broken connection", to: broken, want: broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := still(t, 2)
			p.gate.set(c.gate)
			p.waiting.Store(c.waiting)
			if c.readyFull {
				p.ready <- put(p, 1, free)
			}
			if c.others {
				p.hot.Store(put(p, 1, free))
			}
			tok := put(p, 0, leased, c.flags)
			tok.slot.acquired.Store(7)
			before := tok.slot.word.Load()
			require.False(t, p.handBack(tok, 1, c.to, 0), "the lease of another generation")
			require.Equal(t, before, tok.slot.word.Load())
			require.EqualValues(t, 7, tok.slot.acquired.Load(), "it touches nothing")

			require.True(t, p.handBack(tok, 0, c.to, 0))
			require.Equal(t, c.want, stateOf(p, 0))
			require.Equal(t, c.hot, p.hot.Load() == tok)
			switch {
			case c.hot:
				require.Empty(t, p.hints)
			case c.offered:
				require.Equal(t, tok, <-p.ready)
				require.Empty(t, p.hints)
			default:
				require.Equal(t, hint{slot: tok.slot, token: tok}, <-p.hints)
			}
			require.False(t, p.handBack(tok, 0, c.to, 0), "once")
		})
	}
}

func TestAWaiterLooksWhetherOneIsHot(t *testing.T) {
	p, _ := still(t, 1)
	tok := put(p, 0, free)
	p.hot.Store(tok)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := p.next(over, newCohort(0), false)
	require.NoError(t, err)
	require.Same(t, tok, got)
	require.Nil(t, p.takeHot())
}

// What was taken for a check comes back under a new token, and what was hot leads nowhere.
func TestSiftLooksAtWhatIsHot(t *testing.T) {
	p, l := still(t, 1)
	tok := put(p, 0, free)
	p.hot.Store(tok)
	l.sift()
	require.Same(t, tok, p.hot.Load())
	tok.slot.word.move(checking, free)
	l.sift()
	require.Nil(t, p.hot.Load())
}

func TestDrainReadyTakesWhatIsHot(t *testing.T) {
	p, l := still(t, 2)
	p.hot.Store(put(p, 0, free))
	p.ready <- put(p, 1, free)
	p.gate.set(gateSuspended)
	l.settle()
	require.Nil(t, p.hot.Load())
	require.Len(t, l.stack, 2)
}

func TestServeCountsWhatIsOnItsWay(t *testing.T) {
	p, l := still(t, 3)
	p.ready = make(chan *token, 2)
	rested(l, 0)
	rested(l, 1)
	p.ready <- put(p, 2, free)
	p.waiting.Store(1)
	require.Equal(t, 1, l.serve())
	require.Len(t, l.stack, 2, "what lies in ready is for that waiter")
	p.waiting.Store(2)
	require.Equal(t, 2, l.serve())
	require.Len(t, l.stack, 1)
	require.Nil(t, l.stack[:2][1], "who holds the token of a lease keeps the leak watch from finding it")
}

// A stack entry that is not true any more is dropped, and the next one serves.
func TestServePassesOverWhatDoesNotRest(t *testing.T) {
	p, l := still(t, 2)
	rested(l, 0)
	top := rested(l, 1)
	top.slot.word.move(checking, resting)
	p.waiting.Store(1)
	require.Equal(t, 1, l.serve())
	require.Empty(t, l.stack)
	require.Equal(t, checking, stateOf(p, 1))
	require.Equal(t, 0, (<-p.ready).slot.index)
}

func TestSettlePublishesSupplyAndKeepsOneWarm(t *testing.T) {
	p, l := still(t, 2)
	l.audit()
	l.settle()
	require.EqualValues(t, supplyRoom, p.supply.Load())
	rested(l, 0)
	l.settle()
	require.EqualValues(t, supplyRests|supplyRoom, p.supply.Load())
	require.Len(t, p.ready, 1, "the next caller need not wake the actor")
	require.Empty(t, l.stack)
	rested(l, 1)
	l.settle()
	require.EqualValues(t, supplyRests, p.supply.Load())
	require.Len(t, l.stack, 1, "one is enough")
}

func TestSettleKeepsOneWarmAndNoMore(t *testing.T) {
	p, l := still(t, 3)
	p.ready = make(chan *token, 3)
	for i := range 3 {
		rested(l, i)
	}
	l.settle()
	require.Len(t, p.ready, 1)
	require.Len(t, l.stack, 2)
}

func TestSettleOrdersForWhomNothingIsOnItsWay(t *testing.T) {
	p, l := still(t, 4)
	l.audit()
	rested(l, 0)
	p.waiting.Store(2)
	l.settle()
	require.Equal(t, 1, p.Stat().Opening, "one is served, one waits for a dial")
	require.Len(t, p.ready, 1)
	l.settle()
	require.Equal(t, 1, p.Stat().Opening, "the dial is on its way")
	p.waiting.Store(9)
	l.settle()
	require.Equal(t, 3, p.Stat().Opening, "that is all there is room for")
	require.Zero(t, p.supply.Load(), "and nobody needs to ask again")
}

func TestASuspendedPoolTakesItsOffersBack(t *testing.T) {
	p, l := still(t, 2)
	l.audit()
	rested(l, 0)
	p.ready <- put(p, 1, free)
	l.note(p.all()[1])
	p.supply.Store(supplyRests)
	p.waiting.Store(1)
	p.gate.set(gateSuspended)
	l.settle()
	require.Zero(t, p.supply.Load())
	require.Empty(t, p.ready)
	require.Len(t, l.stack, 2)
	p.gate.clear(gateSuspended)
	l.settle()
	require.Len(t, p.ready, 1)
	require.Zero(t, p.Stat().Opening)
}

// Suspend may come between an offer and its taker.
func TestAnOfferOfASuspendedPoolIsPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := still(t, 1)
		tok := put(p, 0, free)
		p.ready <- tok
		p.gate.set(gateSuspended)
		ctx, cancel := context.WithCancel(t.Context())
		served := parked(ctx, p)
		require.Empty(t, served)
		require.Equal(t, free, stateOf(p, 0))
		require.Equal(t, hint{slot: tok.slot, token: tok}, <-p.hints)
		cancel()
		require.Nil(t, <-served)
	})
}

func TestTrimLeavesOneInReady(t *testing.T) {
	p, l := still(t, 3)
	p.ready = make(chan *token, 3)
	for i := range 3 {
		p.ready <- put(p, i, free)
		l.note(p.all()[i])
	}
	l.trim()
	require.Len(t, p.ready, 1)
	require.Len(t, l.stack, 2)
	require.Equal(t, 3, l.counted())
}

// The audit knows nothing but the words, forgets what it knew, and may be repeated.
func TestAuditRebuildsFromTheWords(t *testing.T) {
	p, l := still(t, 10)
	states := []state{empty, wanted, dialing, opened, failed, resting, free, leased, checking, gone}
	for i, s := range states {
		put(p, i, s)
	}
	p.ready <- put(p, 6, free)
	for range 2 {
		l.audit()
		require.Empty(t, p.ready, "its hints are from before")
		for i, s := range states {
			want := s
			switch s {
			case opened, free:
				want = resting
			case failed, gone:
				want = empty
			}
			require.Equal(t, want, stateOf(p, i), "it was %s", s)
		}
		require.Len(t, l.stack, 3, "nothing is closed for being ambiguous, nothing lies there twice")
		require.Equal(t, 7, l.counted())
		require.Equal(t, 2, l.count[opening])
	}
	require.Equal(t, 2, p.retry.Inspect().Mailbox, "each repeats the call for the orders")
}

// A connection that comes back from a check has a new token, and the stack forgets where it lay.
func TestAHintFromBeforeACheckIsStale(t *testing.T) {
	p, l := still(t, 2)
	old := rested(l, 0)
	old.slot.word.move(opened, resting)
	l.take(hint{slot: old.slot})
	require.Equal(t, resting, stateOf(p, 0))
	require.NotEqual(t, old.tid, old.slot.word.Load().tid())
	require.Len(t, l.stack, 1)
	require.NotEqual(t, old, l.stack[0])
}

// The stack is in the order of use: the hottest serves first.
func TestTheHottestServesFirst(t *testing.T) {
	p, l := still(t, 3)
	for i, used := range []int64{20, 30, 10} {
		put(p, i, resting)
		p.all()[i].acquired.Store(used)
	}
	l.audit()
	p.ready = make(chan *token, 3)
	p.waiting.Store(3)
	require.Equal(t, 3, l.serve())
	for _, i := range []int{1, 0, 2} {
		require.Equal(t, i, (<-p.ready).slot.index)
	}
}

func TestTheLeakWatchTakesOnlyTheLeaseOfItsToken(t *testing.T) {
	p, _ := still(t, 1)
	for _, s := range []state{resting, free, checking, cleaning, empty} {
		tok := put(p, 0, s)
		reclaim(lostLease{slot: tok.slot, tid: tok.tid})
		require.Equal(t, s, stateOf(p, 0))
	}
	tok := put(p, 0, leased)
	reclaim(lostLease{slot: tok.slot, tid: tok.tid - 1})
	require.Equal(t, leased, stateOf(p, 0), "the connection has another token now")
	require.Empty(t, p.hints)
	reclaim(lostLease{slot: tok.slot, tid: tok.tid})
	require.Equal(t, broken, stateOf(p, 0))
	require.True(t, tok.slot.word.Load().has(flagSevere), "somebody may still be using it")
	require.Equal(t, tok.slot, (<-p.hints).slot)
}

func TestOnlyTheLeaseOfItsGenerationUsesAConnection(t *testing.T) {
	p, _ := still(t, 1)
	tok := put(p, 0, free)
	gen, ok := tok.claim()
	require.True(t, ok)
	s := tok.slot
	require.False(t, s.granted(s.word.Load()))
	s.open(gen)
	require.True(t, s.granted(s.word.Load()))
	require.False(t, s.begin(gen-1))
	require.False(t, s.begin(gen+1))
	require.True(t, s.begin(gen))
	require.False(t, s.begin(gen), "busy")
	s.end(gen)
	require.True(t, s.begin(gen))
}
