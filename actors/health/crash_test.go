package health_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

var errFault = errors.New("a fault of the pool")

// poolMethods are where a crash can be injected, each with the hint that leads there.
var poolMethods = map[string]messages.ToHealth{
	"Look":     messages.LookNow{},
	"Unproved": messages.VerifyNow{},
	"Check":    messages.VerifyNow{},
	"Outage":   messages.OutageBegan{},
	"Waiting":  messages.OutageBegan{},
	"Scout":    messages.OutageBegan{},
}

func TestCrashLosesNothing(t *testing.T) {
	for method, hint := range poolMethods {
		t.Run(method, func(t *testing.T) {
			inBubble(t, health.Config{}, 3, func(t *testing.T, f *fixture) {
				f.beginOutage(t, 1)
				pass(70 * time.Millisecond)
				f.forget()
				f.set(func(p *pool) { p.faults[method] = func() { panic(errFault) } })
				f.tell(t, hint)
				pass(5 * time.Millisecond) // a scout is due then

				require.Len(t, f.crashes(), 1)
				var crash *actors.PanicError
				require.ErrorAs(t, f.crashes()[0], &crash)
				require.ErrorIs(t, crash, errFault)
				require.Contains(t, string(crash.Stack), "(*pool)."+method)

				require.NotEmpty(t, f.lookTimes(), "the next life looks at every socket")
				for slot := range 3 {
					require.NotEmpty(t, f.checks(slot), "and verifies all that rest")
				}
				require.NotEmpty(t, f.scoutTimes(), "and asks for the scout that is due")
				require.Equal(t, 66, f.scoutsWithin(5*time.Second))
				f.forget()
				pass(500 * time.Millisecond)
				require.Len(t, f.checks(1), 1, "and its rounds go on")
			})
		})
	}
}

func TestGoexitInACheckEndsTheLife(t *testing.T) {
	inBubble(t, health.Config{}, 1, func(t *testing.T, f *fixture) {
		f.set(func(p *pool) { p.faults["Check"] = goexit })
		f.tell(t, messages.VerifyNow{})
		require.Len(t, f.crashes(), 1)
		require.ErrorIs(t, f.crashes()[0], actors.ErrGoexit)
		require.Equal(t, uint64(2), f.actor.Inspect().Lives)
	})
}

func TestCrashInStart(t *testing.T) {
	for method := range poolMethods {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(1)
				p.waiting = 1
				p.outage.Since = time.Now().Add(-time.Second)
				p.faults[method] = func() { panic(errFault) }
				f := newFixture(health.Config{}, p)
				defer f.stop()
				synctest.Wait()
				require.Len(t, f.crashes(), 1)
				require.ErrorIs(t, f.crashes()[0], errFault)
				require.Len(t, f.scoutTimes(), map[bool]int{true: 2, false: 1}[method == "Check"])
				require.NotEmpty(t, f.checks(0))
			})
		})
	}
}

func TestNoCheckOutlivesItsLife(t *testing.T) {
	inBubble(t, health.Config{Parallel: 4}, 12, func(t *testing.T, f *fixture) {
		// Checks that end only some time after they were told to.
		slow := func(ctx context.Context, slot int) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			return ctx.Err()
		}
		f.set(func(p *pool) { p.answer = slow })
		f.tell(t, messages.VerifyNow{})
		require.Equal(t, 4, get(f.pool, func(p *pool) int { return p.running }))

		f.set(func(p *pool) {
			p.looks = nil
			p.faults["Outage"] = func() { panic(errFault) }
		})
		f.tell(t, messages.OutageBegan{})
		require.Empty(t, f.lookTimes(), "the next life waits for the checks of the last one")
		f.set(func(p *pool) { p.answer = nil })
		pass(time.Second)
		require.Len(t, f.crashes(), 1)
		require.Len(t, f.lookTimes(), 1)
		require.Zero(t, get(f.pool, func(p *pool) int { return p.overlaps }))
	})
}

func TestHintsWaitForTheNextLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(health.Config{Interval: -1}, newPool(1))
		defer f.stop()
		synctest.Wait()
		down := make(chan struct{})
		f.set(func(p *pool) {
			p.faults["Outage"] = func() {
				<-down
				panic(errFault)
			}
		})
		require.NoError(t, f.actor.Ref().TryTell(messages.OutageBegan{}))
		synctest.Wait()
		require.NoError(t, f.actor.Ref().TryTell(messages.LookNow{}))
		f.forget()
		close(down)
		synctest.Wait()
		require.Len(t, f.lookTimes(), 2, "one of the new life's beginning, one of the hint that waited")
	})
}
