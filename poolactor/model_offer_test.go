package poolactor

// This file is the actor's offers: serve's loop, warm's, and offerTop.

// offersNext is the head of the loop in serve, or in warm.
func (m *model) offersNext(w *world) {
	a := &w.actor
	a.slot = 0
	switch {
	case a.then == thenServe && a.lack > 0 && a.stack != 0:
		a.at = actorOffers
	case a.then == thenServe:
		a.at, a.lack = actorOrders, 0
	case a.stack != 0:
		a.at = actorWarms
	default:
		m.arms(w)
	}
}

func (m *model) arms(w *world) {
	later := w.actor.outage == attemptIsLater
	w.actor = w.actor.idle(actorSelects)
	w.actor.timer = later
}

// offers is offerTop; which connection lies on top, the model leaves open.
func (m *model) offers(w world) {
	switch a := &w.actor; a.at {
	case actorOffers:
		for i := range w.slots {
			if a.stack&(1<<i) != 0 {
				m.offersOne(w, uint8(i))
			}
		}
	case actorOffersStoring:
		w.slots[a.slot] = w.slots[a.slot].to(free)
		a.at = actorSendsAgain
		m.add("actor", int(a.slot), "offerTop: stored free", w)
	case actorUndoes:
		m.undoes(w)
	default:
		m.sends(w)
	}
}

func (m *model) offersOne(w world, slot uint8) {
	a := &w.actor
	s := &w.slots[slot]
	switch {
	case s.state() != resting:
		w.unstacks(slot)
		m.offersNext(&w)
		m.add("actor", int(slot), "offerTop: does not rest", w)
	case s.word().has(flagRetire):
		m.throwsOut(&w, slot)
		m.add("actor", int(slot), "offerTop: RETIRE, resting -> doomed", w)
	case m.without == offerBySwap:
		a.at, a.slot = actorOffersStoring, slot
		m.add("actor", int(slot), "offerTop: rests", w)
	default:
		*s = s.to(free)
		a.at, a.slot = actorSendsAgain, slot
		if m.without == supplyCountsWhatIsOffered {
			rest := w
			rest.unstacks(slot)
			w.supply = m.supply(rest)
		}
		m.add("actor", int(slot), "offerTop: resting -> free", w)
	}
}

// sends is offer.
func (m *model) sends(w world) {
	a := &w.actor
	slot := int(a.slot)
	h := hintOf{slot: a.slot}
	what := "offer: ready <-"
	switch {
	case a.at == actorSendsAgain && !w.sendAgain(h):
		a.at = actorSendsReady
		m.add("actor", slot, "offer: nobody on again", w)
		return
	case a.at == actorSendsAgain:
		what = "offer: again <-"
	case !m.sendReady(&w, h):
		if a.at = actorUndoes; m.without == undo {
			w.unstacks(a.slot)
			m.full(&w)
		}
		m.add("actor", slot, "offer: ready is full", w)
		return
	}
	w.unstacks(a.slot)
	a.slot = 0
	if a.then == thenWarm {
		m.arms(&w)
	} else {
		a.served++
		a.lack--
		m.offersNext(&w)
	}
	m.add("actor", slot, what, w)
}

// full ends serve, or warm.
func (m *model) full(w *world) {
	if w.actor.then == thenWarm {
		m.arms(w)
		return
	}
	w.actor.at, w.actor.slot, w.actor.lack = actorOrders, 0, 0
}

// undoes is the end of an offer that found ready full.
func (m *model) undoes(w world) {
	slot := w.actor.slot
	s := &w.slots[slot]
	if s.state() != free && m.without != undoBySwap {
		w.unstacks(slot)
		m.offersNext(&w)
		m.add("actor", int(slot), "offerTop: taken meanwhile", w)
		return
	}
	*s = s.to(resting)
	if m.without == supplyCountsWhatIsOffered {
		w.supply = m.supply(w)
	}
	m.full(&w)
	m.add("actor", int(slot), "offerTop: free -> resting", w)
}
