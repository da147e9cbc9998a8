package poolactor

// This file is what begins each of the actor's rounds.

// rounds is Serve's loop.
func (m *model) rounds(w world) {
	a := &w.actor
	switch a.at {
	case actorSelects:
		m.selects(w)
	case actorTrims:
		if w.inReady < 2 {
			a.at = actorWoken
			m.actor("trim: at most one in ready", w)
			return
		}
		h, _ := w.receive()
		a.at, a.slot, a.stale, a.then = actorTakes, h.slot, h.stale, thenTrim
		m.actor("trim: <-ready", w)
	case actorTakes:
		m.takes(w)
	case actorWoken:
		if w.rescan {
			w.rescan = false
			*a = modelActor{at: actorDrainsHot}
			m.actor("Serve: rescan", w)
			return
		}
		*a = a.idle(m.settles())
		m.actor("Serve: no rescan", w)
	}
}

// selects is the select in Serve.
func (m *model) selects(w world) {
	woken := w
	woken.actor.at, woken.actor.timer = actorWoken, false
	settled := woken
	if m.without == settleEveryRound {
		woken.actor.at = actorSelects
	}
	if w.demand {
		settled.demand = false
		m.actor("Serve: <-demand", settled)
	}
	if w.kick {
		kicked := woken
		kicked.kick = false
		m.actor("Serve: <-kick", kicked)
	}
	if w.inHints > 0 {
		told := woken
		h := w.hints[0]
		told.hints, told.inHints = [2]hintOf{w.hints[1]}, w.inHints-1
		told.actor.at, told.actor.slot, told.actor.stale, told.actor.then = actorTakes, h.slot, h.stale, thenWoken
		m.actor("Serve: <-hints", told)
	}
	if w.actor.timer && w.outage != attemptIsLater {
		woken.actor.at = actorTrims
		m.actor("Serve: <-timer", woken)
	} else if w.left.ticks > 0 {
		woken.left.ticks--
		woken.actor.at = actorTrims
		m.may("actor", -1, "Serve: <-timer", woken)
	}
}

// takes is take.
func (m *model) takes(w world) {
	a := &w.actor
	slot := a.slot
	s := &w.slots[slot]
	from := s.state()
	a.at = actorNotes
	switch do := adopt(s.word()); {
	case do == takeUp && from == opened:
		w.unstacks(slot)
		*s = modelWord(word(0).to(resting))
		w.nextToken(slot)
		w.stacks(slot)
	case do == takeUp && from == free && !a.stale:
		*s = s.to(resting)
		w.stacks(slot)
	case do == throwOut:
		m.throwsOut(&w, slot)
	case do == clearOut:
		*s = 0
	}
	a.stale = false
	what := "take: " + from.String()
	if to := s.state(); to != from {
		what += " -> " + to.String()
	}
	m.notesAtOnce(&w)
	m.add("actor", int(slot), what, w)
}
