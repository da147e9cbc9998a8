package health_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// hang is an answer that never comes.
func hang(ctx context.Context, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

// after is an answer that takes this long.
func after(d time.Duration) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		}
	}
}

func TestEveryRestingConnectionIsCheckedInEachRound(t *testing.T) {
	inBubble(t, health.Config{}, 3, func(t *testing.T, f *fixture) {
		f.forget()
		begun := time.Now()
		pass(5 * time.Second)
		for slot := range 3 {
			times := f.checks(slot)
			require.Len(t, times, 10)
			for round, at := range times {
				require.Equal(t, time.Duration(round+1)*500*time.Millisecond, at.Sub(begun), "all in one wake-up")
			}
		}
		require.Len(t, f.lookTimes(), 10)
	})
}

func TestProvedConnectionsAreNotChecked(t *testing.T) {
	inBubble(t, health.Config{}, 3, func(t *testing.T, f *fixture) {
		f.forget()
		pass(400 * time.Millisecond)
		f.set(func(p *pool) {
			p.proved[0] = time.Now()
			p.resting[1] = false
		})
		pass(101 * time.Millisecond)
		require.Empty(t, f.checks(0), "proved by its user")
		require.Empty(t, f.checks(1), "leased")
		require.Len(t, f.checks(2), 1)
		pass(500 * time.Millisecond)
		require.Len(t, f.checks(0), 1)
	})
}

func TestIdleCost(t *testing.T) {
	inBubble(t, health.Config{}, 0, func(t *testing.T, f *fixture) {
		before := f.actor.Inspect().Handled
		pass(time.Minute)
		require.LessOrEqual(t, f.actor.Inspect().Handled-before, uint64(3*60), "wake-ups per minute")
	})
}

func TestNothingWakesTheActorWhenEverythingIsOff(t *testing.T) {
	inBubble(t, health.Config{Interval: -1}, 3, func(t *testing.T, f *fixture) {
		f.forget()
		before := f.actor.Inspect().Handled
		pass(time.Hour)
		require.Equal(t, before, f.actor.Inspect().Handled)

		f.tell(t, messages.LookNow{})
		require.Len(t, f.lookTimes(), 1)
		f.tell(t, messages.VerifyNow{})
		require.Len(t, f.checks(0), 1)
	})
}

func TestLookNow(t *testing.T) {
	inBubble(t, health.Config{}, 3, func(t *testing.T, f *fixture) {
		f.forget()
		f.tell(t, messages.LookNow{})
		require.Equal(t, []time.Time{time.Now()}, f.lookTimes())
		require.Empty(t, f.checks(0))
	})
}

func TestVerifyNow(t *testing.T) {
	inBubble(t, health.Config{}, 3, func(t *testing.T, f *fixture) {
		f.forget()
		f.set(func(p *pool) { p.proved[0] = time.Now() })
		f.tell(t, messages.VerifyNow{})
		for slot := range 3 {
			require.Equal(t, []time.Time{time.Now()}, f.checks(slot), "however fresh its proof")
		}
		require.Equal(t, []time.Time{{}}, f.asked)
	})
}

func TestChecksRunInParallelWithABound(t *testing.T) {
	inBubble(t, health.Config{Parallel: 4}, 0, func(t *testing.T, f *fixture) {
		f.set(func(p *pool) {
			p.answer = after(10 * time.Millisecond)
			for slot := range 40 {
				p.resting[slot] = true
			}
		})
		begun := time.Now()
		f.tell(t, messages.VerifyNow{})
		pass(91 * time.Millisecond)
		require.Equal(t, 4, get(f.pool, func(p *pool) int { return p.peak }))
		last := time.Time{}
		for slot := range 40 {
			require.Len(t, f.checks(slot), 1)
			last = later(last, f.checks(slot)[0])
		}
		require.Equal(t, 90*time.Millisecond, last.Sub(begun))
	})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func TestUnboundedChecks(t *testing.T) {
	inBubble(t, health.Config{Parallel: -1}, 0, func(t *testing.T, f *fixture) {
		f.set(func(p *pool) {
			p.answer = hang
			for slot := range 100 {
				p.resting[slot] = true
			}
		})
		f.tell(t, messages.VerifyNow{})
		require.Equal(t, 100, get(f.pool, func(p *pool) int { return p.running }))
	})
}

// silentFirst makes slot 0 silent and all others quick.
func silentFirst(ctx context.Context, slot int) error {
	if slot == 0 {
		return hang(ctx, slot)
	}
	return nil
}

func TestSilentCheckGivesUpItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		timeout, lastGood, want time.Duration
	}{
		"default":   {0, 0, time.Second},
		"set":       {300 * time.Millisecond, 0, 300 * time.Millisecond},
		"slow link": {0, 2 * time.Second, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			config := health.Config{Interval: -1, Parallel: 1, Timeout: c.timeout}
			inBubble(t, config, 0, func(t *testing.T, f *fixture) {
				f.set(func(p *pool) { p.answer, p.resting[9] = after(c.lastGood), true })
				f.tell(t, messages.VerifyNow{})
				pass(c.lastGood)

				f.set(func(p *pool) { p.answer, p.resting, p.proved = silentFirst, map[int]bool{0: true}, map[int]time.Time{} })
				f.tell(t, messages.VerifyNow{})
				f.set(func(p *pool) { p.resting[1] = true })
				begun := time.Now()
				f.tell(t, messages.VerifyNow{})
				pass(time.Minute)
				require.Len(t, f.checks(0), 1)
				require.Equal(t, c.want, f.checks(1)[0].Sub(begun))
			})
		})
	}
}

func TestSilentCheckKeepsItsPlaceWithoutATimeout(t *testing.T) {
	inBubble(t, health.Config{Interval: -1, Parallel: 1, Timeout: -1}, 0, func(t *testing.T, f *fixture) {
		f.set(func(p *pool) { p.answer, p.resting[0] = silentFirst, true })
		f.tell(t, messages.VerifyNow{})
		f.set(func(p *pool) { p.resting[1] = true })
		for range 10 {
			f.tell(t, messages.VerifyNow{})
			pass(time.Minute)
		}
		require.Empty(t, f.checks(1))
		f.stop()
		require.Empty(t, f.checks(1), "what waited for a place is not checked any more")
	})
}

func TestSilentServerDoesNotDelayTheActor(t *testing.T) {
	inBubble(t, health.Config{}, 20, func(t *testing.T, f *fixture) {
		f.set(func(p *pool) { p.answer = hang })
		pass(time.Minute)
		f.forget()
		f.tell(t, messages.LookNow{})
		require.Equal(t, []time.Time{time.Now()}, f.lookTimes())
		require.Equal(t, 20, get(f.pool, func(p *pool) int { return p.running }), "one check each, never two")
	})
}

func TestStopCancelsAndJoinsChecks(t *testing.T) {
	inBubble(t, health.Config{Parallel: 2}, 5, func(t *testing.T, f *fixture) {
		f.set(func(p *pool) { p.answer = hang })
		f.tell(t, messages.VerifyNow{})
		require.Equal(t, 2, get(f.pool, func(p *pool) int { return p.running }))
		f.stop()
		require.Equal(t, 0, get(f.pool, func(p *pool) int { return p.running }))
		require.ErrorIs(t, f.crashes()[0], context.Canceled)
	})
}

func TestLostWakeUpIsMadeUpFor(t *testing.T) {
	inBubble(t, health.Config{}, 1, func(t *testing.T, f *fixture) {
		busy := make(chan struct{})
		f.set(func(p *pool) { p.faults["Look"] = func() { <-busy } })
		require.NoError(t, f.actor.Ref().TryTell(messages.LookNow{}))
		synctest.Wait()
		for f.actor.Ref().TryTell(messages.OutageBegan{}) == nil {
			continue // until the mailbox has no room for the actor's own wake-up
		}
		pass(700 * time.Millisecond)
		f.forget()
		close(busy)
		synctest.Wait()
		require.Len(t, f.checks(0), 1, "the round that was due is made up for")
		pass(500 * time.Millisecond)
		require.Len(t, f.checks(0), 2, "and the next ones come on time")
	})
}

func TestSilentLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1)
		p.answer = func(context.Context, int) error { return errors.New("failed") }
		actor := health.New(health.Config{}, p)
		require.Equal(t, "health", actor.String())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, actor.Serve(ctx), context.DeadlineExceeded)
		require.NotEmpty(t, p.checks(0))
	})
}
