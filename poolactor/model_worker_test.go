package poolactor

import "slices"

// This file is everybody else: the retry actor, closers, a checker, and what comes from outside.

// worker is the retry actor, a closer or a checker.
type worker struct {
	at   workerAt
	slot uint8
	good bool // a dial that succeeded
}

type workerAt uint8

const (
	workerIdle   workerAt = iota
	workerBegins          // a closer: doomed -> closing
	workerWorks
	workerScans    // orders.Next
	workerFails    // SetOutage was stored, the kick is missing
	workerFailed   // orders.Failed
	workerHinted   // told the actor before the word was moved
	workerLoggedIn // SetOutage
	workerKicks    // wake in SetOutage
	workerTells
	workerTellsRescan
	workerTellsKick
)

// workerTells moves a worker on in tell, and then to after.
func (m *model) workerTells(who string, w *world, k *worker, after workerAt) {
	slot := k.slot
	next, what := m.tellNext(w, tellAt(k.at-workerTells), hintOf{slot, true})
	switch {
	case next != tellDone:
		k.at = workerTells + workerAt(next)
	case after == workerIdle:
		*k = worker{}
	default:
		k.at = after
	}
	m.add(who, int(slot), what, *w)
}

// retrier is the retry actor's own goroutine, with the dials that are in the air: each slot in state dialing is one.
func (m *model) retrier(w world) {
	k := &w.retry
	s := &w.slots[k.slot]
	slot := int(k.slot)
	switch k.at {
	case workerIdle:
		m.dialsEnd(w)
		if w.dialsWanted {
			w.dialsWanted = false
			k.at = workerScans
			m.add("retry", 0, "DialsWanted", w)
		}
	case workerScans:
		m.retryScans(w)
	case workerHinted:
		*s = s.to(opened)
		*k = worker{}
		m.add("retry", slot, "Opened: dialing -> opened", w)
	case workerLoggedIn:
		w.outage = serverIsUp
		*k = worker{at: workerKicks}
		m.add("retry", 0, "SetOutage: over", w)
	case workerKicks:
		w.kick = true
		*k = worker{}
		m.add("retry", 0, "wake: kick <-", w)
	case workerFails:
		w.kick = true
		k.at = workerFailed
		m.add("retry", slot, "wake: kick <-", w)
	case workerFailed:
		*s = s.to(failed)
		k.at = workerTells
		m.add("retry", slot, "Failed: dialing -> failed", w)
	default:
		m.retryTells(w)
	}
}

func (m *model) retryTells(w world) {
	k := &w.retry
	after := workerIdle
	switch {
	case k.good && m.without == hintAfterOpened:
		after = workerHinted
	case k.good && w.outage != serverIsUp:
		after = workerLoggedIn
	}
	m.workerTells("retry", &w, k, after)
}

// retryScans is Next, slot by slot; after an order that it took it is called again.
func (m *model) retryScans(w world) {
	k := &w.retry
	slot := int(k.slot)
	if s := &w.slots[slot]; s.state() == wanted {
		if w.counted()-1 >= int(w.max) && (w.applied || int(w.max) == m.max) {
			w.wrong = dialBeyondMax
		}
		*s = s.to(dialing)
		k.slot = 0
		m.add("retry", slot, "Next: wanted -> dialing", w)
		return
	}
	if k.slot++; int(k.slot) == len(w.slots) {
		*k = worker{}
	}
	m.add("retry", slot, "Next: not wanted", w)
}

// dialsEnd lets each dial in the air end.
func (m *model) dialsEnd(w world) {
	for i, s := range w.slots {
		if s.state() != dialing {
			continue
		}
		if w.left.failures > 0 {
			bad := w
			bad.left.failures--
			bad.outage = attemptIsLater
			bad.retry = worker{at: workerFails, slot: uint8(i)}
			m.add("retry", i, "SetOutage: the dial failed", bad)
		}
		good := w
		good.retry = worker{at: workerTells, slot: uint8(i), good: true}
		what := "Opened: told too early"
		if m.without != hintAfterOpened {
			good.slots[i] = s.to(opened)
			what = "Opened: dialing -> opened"
		}
		m.add("retry", i, what, good)
	}
}

// closer is closeSlot.
func (m *model) closer(w world, i int) {
	k := &w.closers[i]
	s := &w.slots[k.slot]
	slot := int(k.slot)
	switch k.at {
	case workerIdle:
	case workerBegins:
		if s.state() != doomed {
			*k = worker{}
			m.add("closer", slot, "closeSlot: nothing to do", w)
			return
		}
		*s = s.to(closing)
		k.at = workerWorks
		m.add("closer", slot, "closeSlot: doomed -> closing", w)
	case workerWorks:
		*s = s.to(gone)
		k.at = workerTells
		m.add("closer", slot, "closeSlot: closing -> gone", w)
	default:
		m.workerTells("closer", &w, k, workerIdle)
	}
}

// startCloser does nothing if one is about to begin on this slot: the second would find nothing to do.
func (w *world) startCloser(slot uint8) {
	begins := worker{at: workerBegins, slot: slot}
	if slices.Contains(w.closers[:], begins) {
		return
	}
	idle := slices.Index(w.closers[:], worker{})
	w.closers[idle] = begins // out of range: the model has too few closers for its scope
}

// check is patients.Check or Look: it takes what rests or is on offer, and gives it back by way of the actor.
func (m *model) check(w world) {
	switch k := &w.checker; k.at {
	case workerIdle:
		if w.left.checks == 0 {
			return
		}
		w.left.checks--
		for i, s := range w.slots {
			if st := s.state(); st == resting || st == free {
				taken := w
				taken.slots[i] = s.to(checking)
				taken.checker = worker{at: workerWorks, slot: uint8(i)}
				m.may("checker", i, "Look: "+st.String()+" -> checking", taken)
			}
		}
	case workerWorks:
		w.slots[k.slot] = w.slots[k.slot].to(opened)
		k.at = workerTells
		m.add("checker", int(k.slot), "endTending: checking -> opened", w)
	default:
		m.workerTells("checker", &w, k, workerIdle)
	}
}

// askerAt is where Resize is, or Suspend and Resume.
type askerAt uint8

const (
	askerIdle      askerAt = iota
	askerCounts            // Resize: sizeAsked
	askerKicks             // wake
	askerReturned          // Suspend, when nothing is out
	askerKicksLast         // wake in Resume
	askerDone
)

// outside is what else happens.
func (m *model) outside(w world) {
	m.resize(w)
	m.suspend(w)
	if w.outage == attemptIsLater {
		w.outage = attemptIsDue
		m.add("time", 0, "the backoff ends", w)
	}
}

// resize is Resize to one connection.
func (m *model) resize(w world) {
	switch w.resizer {
	case askerIdle:
		w.max, w.resizer = 1, askerCounts
		m.may("resize", 0, "Resize: maxSize.Store(1)", w)
	case askerCounts:
		w.asked, w.resizer = true, askerKicks
		m.add("resize", 0, "Resize: sizeAsked.Add(1)", w)
	case askerKicks:
		w.kick, w.resizer = true, askerDone
		m.add("resize", 0, "wake: kick <-", w)
	}
}

// suspend is Suspend, whose wait may end at any time, and Resume after it.
func (m *model) suspend(w world) {
	switch w.suspender {
	case askerIdle:
		w.shut, w.suspender = true, askerKicks
		m.may("suspend", 0, "Suspend: gate.set", w)
		return
	case askerKicks:
		w.kick, w.suspender = true, askerCounts
		m.add("suspend", 0, "wake: kick <-", w)
		return
	case askerCounts:
		if w.count(leased) == 0 {
			returned := w
			returned.suspender = askerReturned
			m.add("suspend", 0, "Suspend: nothing is out", returned)
		}
	case askerReturned:
	case askerKicksLast:
		w.kick, w.suspender = true, askerDone
		m.add("suspend", 0, "wake: kick <-", w)
		return
	default:
		return
	}
	w.shut, w.suspender = false, askerKicksLast
	m.add("suspend", 0, "Resume: gate.clear", w)
}
