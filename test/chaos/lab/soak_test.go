package lab

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// drawn are the first steps of a plan, for comparing.
func drawn(seed uint64, round, lane, n int) (all []string) {
	p := newPlan(seed, round, lane)
	for range n {
		s := p.next()
		all = append(all, s.pause.String()+" "+s.what)
	}
	return all
}

func TestAPlanFollowsFromItsSeed(t *testing.T) {
	for lane := range lanes {
		if len(lanes[lane].kinds) == 0 {
			continue
		}
		plan := drawn(7, 3, lane, 100)
		require.Equal(t, plan, drawn(7, 3, lane, 100))
		require.NotEqual(t, plan, drawn(8, 3, lane, 100), "another seed")
		require.NotEqual(t, plan, drawn(7, 4, lane, 100), "another round")
	}
}

func TestWhatCallersDoFollowsFromTheSeed(t *testing.T) {
	errands := func(seed uint64, round int) (all []errand) {
		for n := range int64(1000) {
			all = append(all, errandOf(seed, round, n))
		}
		return all
	}
	first := errands(7, 3)
	require.Equal(t, first, errands(7, 3))
	require.NotEqual(t, first, errands(8, 3), "another seed")
	require.NotEqual(t, first, errands(7, 4), "another round")
	kinds := make(map[int]int)
	for _, e := range first {
		kinds[e.kind]++
	}
	require.Len(t, kinds, 4, "every kind is there")
	require.Greater(t, kinds[usual], len(first)/2)
}

func TestWhatHasGrown(t *testing.T) {
	first := remains{residue: residue{goroutines: 10, descriptors: 20}, heap: 1000}
	require.Empty(t, first.outgrown(first))
	for _, c := range []struct {
		now  remains
		want int
	}{
		{remains{residue{10, 20}, 1100}, 0},
		{remains{residue{10, 20}, 1}, 0},
		{remains{residue{10, 20}, 1101}, 1},
		{remains{residue{11, 20}, 1000}, 1},
		{remains{residue{10, 21}, 1000}, 1},
		{remains{residue{9, 20}, 1000}, 0},
		{remains{residue{11, 20}, 2000}, 2},
	} {
		require.Len(t, first.outgrown(c.now), c.want, "%+v", c.now)
	}
	require.Equal(t, residue{9, 20}, first.least(residue{9, 21}), "from now on there must not be more")
}

func TestOneSocketTooManyIsNoticed(t *testing.T) {
	b := &bout{siege: &siege{meter: &meter{}}, x: &Experiment{}}
	b.bound.Store(3)
	b.meter.peak.Store(3)
	b.overshot()
	require.Empty(t, b.broken)
	b.meter.peak.Store(4)
	b.overshot()
	require.Len(t, b.broken, 1)
}

func TestWhomADeathExcuses(t *testing.T) {
	died := at(1000)
	b := &bout{autopsy: &autopsy{died: map[uint32]time.Time{7: died}}, x: &Experiment{late: &lateness{}}}
	on := func(pid uint32, granted time.Time) Call { return Call{Backend: &Backend{PID: pid}, Granted: granted} }
	require.True(t, b.excuses(on(7, died.Add(-time.Hour))))
	require.True(t, b.excuses(on(7, died.Add(soakGrace))))
	require.False(t, b.excuses(on(7, died.Add(soakGrace+1))))
	require.False(t, b.excuses(on(8, died)))
	require.Zero(t, b.x.excused)
	b.x.late.note(delay{until: died.Add(soakGrace), by: time.Millisecond})
	require.True(t, b.excuses(on(7, died.Add(soakGrace+1))))
	require.Equal(t, 1, b.x.excused)
}

func TestWhomADeathExcusesThatNobodySaw(t *testing.T) {
	b := &bout{autopsy: &autopsy{}, dooms: []Fault{{At: at(1000), DeadBy: at(1750)}}, x: &Experiment{late: &lateness{}}}
	for name, c := range map[string]struct {
		granted, ended int
		may            bool
	}{
		"held when it struck":           {900, 1100, true},
		"got one that may have lived":   {1800, 1801, true},
		"got one that had died":         {1801, 1802, false},
		"failed before":                 {900, 999, false},
		"on a server that was new then": {5000, 5001, false},
	} {
		require.Equal(t, c.may, b.excuses(failed(&Backend{PID: 7}, c.granted, c.ended)), name)
	}
}

// A round or two, on a server of its own.
func TestASoak(t *testing.T) {
	var l Lab
	defer l.Close()
	var log counter
	var progress bytes.Buffer
	found, err := l.Soak(t.Context(), Soak{Seed: 1, For: 5 * time.Second, Progress: &progress, Log: &log})
	t.Logf("%s%v", &progress, found)
	require.NoError(t, err)
	require.Empty(t, found.Wrong)
	require.Positive(t, found.Rounds)
	require.Positive(t, found.Rows)
	require.Positive(t, found.Failed, "the faults have hit somebody")
	require.NotZero(t, found.First, "the pool came to rest")
	require.Positive(t, log.Load())
}

// counter counts what is written to it.
type counter struct{ atomic.Int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.Add(int64(len(b)))
	return len(b), nil
}
