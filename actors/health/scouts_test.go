package health_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// outage begins one now, with this many callers that wait.
func (f *fixture) beginOutage(t *testing.T, waiting int) {
	t.Helper()
	f.set(func(p *pool) {
		p.waiting = waiting
		p.outage = messages.Outage{Since: time.Now(), Attempts: 1}
	})
	f.tell(t, messages.OutageBegan{})
}

// scoutsWithin lets time go by and counts the scouts of it.
func (f *fixture) scoutsWithin(d time.Duration) int {
	before := len(f.scoutTimes())
	pass(d)
	return len(f.scoutTimes()) - before
}

func TestScoutsWhileSomebodyWaits(t *testing.T) {
	inBubble(t, health.Config{}, 0, func(t *testing.T, f *fixture) {
		pass(333 * time.Millisecond)
		f.beginOutage(t, 1)
		begun := time.Now()
		require.Empty(t, f.scoutTimes(), "an attempt has just failed")
		require.Equal(t, 66, f.scoutsWithin(5*time.Second))
		for i, at := range f.scoutTimes() {
			require.Equal(t, time.Duration(i+1)*75*time.Millisecond, at.Sub(begun))
		}
	})
}

func TestScoutsBecomeSlow(t *testing.T) {
	inBubble(t, health.Config{}, 0, func(t *testing.T, f *fixture) {
		f.beginOutage(t, 1)
		require.Equal(t, 400, f.scoutsWithin(30*time.Second))
		require.Equal(t, 10, f.scoutsWithin(10*time.Second), "after half a minute")
	})
}

func TestScoutsWhileNobodyWaits(t *testing.T) {
	inBubble(t, health.Config{}, 0, func(t *testing.T, f *fixture) {
		f.beginOutage(t, 0)
		require.Equal(t, 10, f.scoutsWithin(10*time.Second))

		pass(500 * time.Millisecond)
		f.set(func(p *pool) { p.waiting = 1 })
		f.tell(t, messages.OutageBegan{})
		require.Len(t, f.scoutTimes(), 11, "somebody who begins to wait needs not wait for the slow rhythm")
		require.Equal(t, 13, f.scoutsWithin(time.Second))

		f.set(func(p *pool) { p.waiting = 0 })
		require.Equal(t, 10, f.scoutsWithin(10*time.Second))
	})
}

func TestNoScoutsForARefusal(t *testing.T) {
	inBubble(t, health.Config{}, 0, func(t *testing.T, f *fixture) {
		f.set(func(p *pool) { p.outage.Refused = true })
		f.beginOutage(t, 1)
		f.set(func(p *pool) { p.outage.Refused = true })
		require.Zero(t, f.scoutsWithin(time.Minute))
	})
}

func TestScoutsEndWithTheOutage(t *testing.T) {
	inBubble(t, health.Config{}, 0, func(t *testing.T, f *fixture) {
		f.beginOutage(t, 1)
		pass(10 * time.Second)
		f.set(func(p *pool) { p.outage = messages.Outage{} })
		before := f.actor.Inspect().Handled
		require.Zero(t, f.scoutsWithin(time.Minute))
		require.LessOrEqual(t, f.actor.Inspect().Handled-before, uint64(3*60), "and with them their timer")
	})
}

func TestOutageIsFoundWithoutAHint(t *testing.T) {
	inBubble(t, health.Config{}, 0, func(t *testing.T, f *fixture) {
		f.set(func(p *pool) {
			p.waiting = 1
			p.outage.Since = time.Now()
		})
		require.GreaterOrEqual(t, f.scoutsWithin(time.Second), 6, "the next round finds it")
	})
}

func TestScoutSettings(t *testing.T) {
	for name, c := range map[string]struct {
		config  health.Config
		waiting int
		want    int // in a minute of outage
	}{
		"set":             {health.Config{ScoutEvery: time.Second, ScoutSlow: 10 * time.Second}, 1, 33},
		"fast ones off":   {health.Config{ScoutEvery: -1}, 1, 60},
		"slow ones off":   {health.Config{ScoutEvery: time.Second, ScoutSlow: -1}, 1, 30},
		"nobody, no slow": {health.Config{ScoutSlow: -1}, 0, 0},
		"all off":         {health.Config{ScoutEvery: -1, ScoutSlow: -1}, 1, 0},
		"never slow":      {health.Config{ScoutEvery: time.Second, ScoutSlowAfter: -1}, 1, 60},
		"slow early":      {health.Config{ScoutEvery: time.Second, ScoutSlow: 10 * time.Second, ScoutSlowAfter: 10 * time.Second}, 1, 15},
		"rounds off, too": {health.Config{Interval: -1, ScoutEvery: time.Second, ScoutSlowAfter: time.Hour}, 1, 60},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.config, 0, func(t *testing.T, f *fixture) {
				f.beginOutage(t, c.waiting)
				require.Equal(t, c.want, f.scoutsWithin(time.Minute))
			})
		})
	}
}
