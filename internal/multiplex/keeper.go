package multiplex

import "time"

const (
	// keepEvery is how soon the group notices that a connection is wanted back, or that there is work for one more.
	keepEvery = 20 * time.Millisecond
	// stalledAfter is for how many turns a lane answers nothing before its neighbours go elsewhere.
	stalledAfter = 3
	// patience is for how many turns there is too little to do before a lane is given back, or nothing before all are.
	patience = 25
	// crowdedAfter is for how many turns others wait for connections before one is given back to them.
	crowdedAfter = 3
)

// keeper is what the group knows from turn to turn.
type keeper struct {
	group   *Group
	callers float64 // lately at once; it follows a rise at once and a fall slowly
	unused  int     // turns in a row with a lane too many
	idle    int     // turns in a row in which no lane had anything to do, whatever the callers are about
	answers int64   // of all lanes so far
	crowded int     // turns in a row in which others waited
}

// keep looks after the lanes as long as there are any.
func (g *Group) keep() {
	k := keeper{group: g}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for range tick.C {
		if k.turn(time.Now()) {
			return
		}
	}
}

// turn looks at everything once; true: there is nothing left to look after.
func (k *keeper) turn(now time.Time) bool {
	g := k.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lanes) == 0 {
		g.settle()
		g.keeping = false
		return true
	}
	for _, l := range g.lanes {
		k.look(l, now)
	}
	k.balance()
	g.settle()
	return false
}

// look looks at one lane.
func (k *keeper) look(l *lane, now time.Time) {
	g := k.group
	if l.conn.Wanted() && l.state.Load() != laneEnding {
		g.stop(l)
	}
	v := &l.view
	answers := l.answers.Load()
	if !v.at.IsZero() {
		took := now.Sub(v.at)
		l.window.Store(int64(v.window.turn(int(answers-v.answers), took, time.Duration(l.trip.Swap(0)))))
	}
	v.still++
	if answers != v.answers || l.underWay.Load() == 0 {
		v.still = 0
	}
	v.answers, v.at = answers, now
	switch {
	case v.still >= stalledAfter && l.state.CompareAndSwap(laneOpen, laneStalled):
		g.open.Add(-1)
	case v.still == 0 && l.state.CompareAndSwap(laneStalled, laneOpen):
		g.open.Add(1)
	}
}

// balance opens one lane more, or gives one back.
func (k *keeper) balance() {
	g := k.group
	k.callers = max(float64(g.callers.Load()), k.callers*0.9)
	most, open := g.cfg.Most(), int(g.open.Load())
	wanted := min(lanesFor(k.callers), most)
	if k.crowded++; !g.cfg.Crowded() {
		k.crowded = 0
	}
	if k.unused++; wanted >= open {
		k.unused = 0
	}
	if k.idle++; k.busy() {
		k.idle = 0
	}
	switch {
	case k.idle >= patience:
		k.idle = 0
		for range open {
			k.giveBack()
		}
	case open > most, k.unused >= patience:
		k.unused = 0
		k.giveBack()
	case k.crowded >= crowdedAfter && open > 1:
		k.crowded = 0
		k.giveBack()
	case wanted > len(g.lanes) && open > 0 && k.crowded == 0: // the first is opened for who would use it
		g.openLane()
	}
}

// busy tells whether any lane has had something to do since the last turn.
func (k *keeper) busy() bool {
	answers, busy := k.group.total, k.group.queue.size > 0
	for _, l := range k.group.lanes {
		answers += l.answers.Load()
		busy = busy || l.underWay.Load() > 0
	}
	busy = busy || answers != k.answers
	k.answers = answers
	return busy
}

// lanesFor is how many lanes so many callers are worth.
func lanesFor(callers float64) int {
	if callers < shareFrom {
		return 0
	}
	return int((callers + perLane - 1) / perLane)
}

// giveBack ends the lane that was opened last.
func (k *keeper) giveBack() {
	for i := len(k.group.lanes) - 1; i >= 0; i-- {
		if l := k.group.lanes[i]; l.taking() {
			k.group.stop(l)
			return
		}
	}
}
