//go:build failpoint

package poolactor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// Every change of a word loads it, decides, and swaps it. These tests let a rival change the word between the look and
// the swap, in each place that swaps: what the rival did stands, and the decision is taken anew or given up.

// rival changes something just before the nth swap from now on.
func rival(t *testing.T, nth int, change func()) {
	t.Helper()
	hooked(t, func(name string) {
		if name != "word.changing" {
			return
		}
		if nth--; nth == 0 {
			change()
		}
	})
}

func TestARivalsChangeStands(t *testing.T) {
	store := func(s *slot, w word) { s.word.v.Store(uint64(w)) }
	become := func(to state) func(*slot) { return func(s *slot) { store(s, s.word.Load().to(to)) } }
	mark := func(flag word) func(*slot) { return func(s *slot) { store(s, s.word.Load().with(flag)) } }
	lease := func(s *slot) { store(s, s.word.Load().lease()) }
	for name, c := range map[string]struct {
		from   state
		nth    int // which swap the rival comes before; 0: the first
		rival  func(*slot)
		change func(p *Pool, l *life, t *token)
		want   state
		flags  word
	}{
		"doomed before the claim": {
			from: free, rival: become(doomed), want: doomed,
			change: func(_ *Pool, _ *life, tok *token) { tok.claim() },
		},
		"retired before it is handed back": {
			from: leased, rival: mark(flagRetire), want: broken, flags: flagRetire,
			change: func(p *Pool, _ *life, tok *token) { p.handBack(tok, 0, free, 0) },
		},
		"retired before it is cleaned": {
			from: leased, rival: mark(flagRetire), want: broken, flags: flagRetire,
			change: func(p *Pool, _ *life, tok *token) { p.clean(tok, 0) },
		},
		"retired before it is taken up": {
			from: opened, rival: mark(flagRetire), want: opened, flags: flagRetire,
			change: func(_ *Pool, l *life, tok *token) { l.take(hint{slot: tok.slot}) },
		},
		"leased before it comes to rest": {
			from: free, rival: lease, want: leased,
			change: func(_ *Pool, l *life, tok *token) { l.take(hint{slot: tok.slot, token: tok}) },
		},
		"leased before the audit takes it": {
			from: free, rival: lease, want: leased,
			change: func(_ *Pool, l *life, _ *token) { l.audit() },
		},
		"taken for a check before it is thrown out": {
			from: resting, rival: become(checking), want: checking,
			change: func(_ *Pool, l *life, tok *token) { l.throwOut(tok.slot) },
		},
		"taken for a check before it is offered": {
			from: resting, rival: become(checking), want: checking,
			change: func(_ *Pool, l *life, tok *token) { l.push(tok); l.offerTop() },
		},
		"leased by an old hint before the offer is undone": {
			from: resting, nth: 2, rival: lease, want: leased,
			change: func(p *Pool, l *life, tok *token) {
				p.ready <- &token{slot: tok.slot, tid: tok.tid + 1} // full
				l.push(tok)
				l.offerTop()
			},
		},
		"taken up before the order is revoked": {
			from: wanted, rival: become(dialing), want: dialing, flags: flagRetire,
			change: func(_ *Pool, l *life, _ *token) { l.shrinkTo(0) },
		},
		"leased before it is doomed": {
			from: free, rival: lease, want: leased, flags: flagRetire,
			change: func(_ *Pool, l *life, _ *token) { l.shrinkTo(0) },
		},
		"checked before it is to be retired": {
			from: leased, rival: become(checking), want: checking, flags: flagRetire,
			change: func(_ *Pool, l *life, _ *token) { l.shrinkTo(0) },
		},
		"revoked before the leak watch takes it": {
			from: leased, rival: func(s *slot) { store(s, s.word.Load().to(doomed).with(flagRevoked)) }, want: doomed, flags: flagRevoked,
			change: func(_ *Pool, _ *life, tok *token) { reclaim(lostLease{slot: tok.slot, tid: tok.tid}) },
		},
		"revoked before it is handed back": {
			from: leased, rival: become(doomed), want: doomed,
			change: func(p *Pool, _ *life, tok *token) { p.handBack(tok, 0, free, 0) },
		},
		"handed back before it is revoked": {
			from: leased, rival: become(free), want: free,
			change: func(_ *Pool, _ *life, tok *token) { tok.slot.revoke(0) },
		},
		"leased anew before it is revoked": {
			from: leased, rival: lease, want: leased,
			change: func(_ *Pool, _ *life, tok *token) { tok.slot.revoke(0) },
		},
		"retired before it is revoked": {
			from: leased, rival: mark(flagRetire), want: doomed, flags: flagRetire | flagRevoked | flagSevere,
			change: func(_ *Pool, _ *life, tok *token) { tok.slot.revoke(0) },
		},
		"revoked before the order is taken": {
			from: wanted, rival: become(empty), want: empty,
			change: func(p *Pool, _ *life, _ *token) { orders{p}.Next() },
		},
		"handed back before it is to be retired": {
			from: leased, rival: become(free), want: broken,
			change: func(p *Pool, _ *life, tok *token) { p.retire(tok.slot) },
		},
		"leased before it is looked at": {
			from: resting, rival: lease, want: leased,
			change: func(p *Pool, _ *life, _ *token) { patients{p}.Look() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, l := still(t, 1)
			tok := put(p, 0, c.from)
			l.note(tok.slot)
			rival(t, max(1, c.nth), func() { c.rival(tok.slot) })
			c.change(p, l, tok)
			w := tok.slot.word.Load()
			require.Equal(t, c.want, w.state())
			require.Equal(t, c.flags, w&flagsMask)
		})
	}
}

func TestASuspensionOutlivesDistrust(t *testing.T) {
	p, _ := still(t, 1)
	before := p.gate.Load()
	rival(t, 1, func() { p.gate.set(gateSuspended) })
	require.True(t, p.gate.distrust(before))
	require.True(t, p.gate.Load().suspended())
	require.NotEqual(t, before.epoch(), p.gate.Load().epoch())
}

// Supply that comes just after a waiter was counted is seen by it.
func TestAWaiterIsCountedBeforeItLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := still(t, 1)
		hooked(t, func(name string) {
			if name == "caller.counted" {
				p.supply.Store(supplyRests)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		served := parked(ctx, p)
		require.True(t, raised(p.demand))
		cancel()
		require.Nil(t, <-served)
	})
}

// The other half: where the actor has looked at the waiters, supply is published.
func TestSupplyIsPublishedBeforeTheWaitersAreCounted(t *testing.T) {
	for _, from := range []state{resting, empty} {
		p, l := still(t, 2)
		l.audit()
		if from == resting {
			rested(l, 0)
			p.ready <- &token{slot: p.all()[1], tid: 9} // full, so that nothing is offered
		}
		looked := false
		hooked(t, func(name string) {
			if name == "actor.ordered" {
				looked = true
				require.NotZero(t, p.supply.Load())
			}
		})
		l.settle()
		require.True(t, looked)
	}
}

// A caller that leaves, or whose bound ends, at the instant of the answer: exactly one of both has the slot afterwards.
func TestAnAnswerAtTheLastInstant(t *testing.T) {
	always := func(c *Config) {
		c.MaxSize, c.Health.OnAcquire, c.Health.Interval, c.Health.Timeout = 1, CheckAlways, -1, time.Second
	}
	for name, patience := range map[string]time.Duration{"of the caller": time.Second / 2, "of the bound": time.Hour} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, always, func(t *testing.T, p *Pool, server *fakepg.Server) {
				require.NoError(t, p.WaitReady(t.Context()))
				for range scale(t, 200) {
					p.roundTrip.Store(0) // or the bound would grow with each late answer
					at := time.Now().Add(min(patience, p.checkBound()))
					hooked(t, func(name string) {
						if name == "worker.checked" {
							pass(time.Until(at))
						}
					})
					if l, err := p.Acquire(within(t, patience)); err == nil {
						l.Release()
					}
					failpoint.Set(nil)
					synctest.Wait()
					require.Equal(t, 1, p.Stat().Idle, "%+v", p.Stat())
				}
			})
		})
	}
}
