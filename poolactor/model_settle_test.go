package poolactor

// This file is the actor's settle.

// settles is where settle begins: accesses that cannot matter within the scope are left out.
func (m *model) settles() actorAt {
	switch {
	case m.shrinks > 0:
		return actorSequence
	case m.suspends > 0:
		return actorGate
	default:
		return m.settlesOpen()
	}
}

// settlesOpen is where it goes on with an open gate.
func (m *model) settlesOpen() actorAt {
	switch {
	case m.failures > 0:
		return actorOutage
	case m.without == supplyBeforeWaiting:
		return actorServes
	default:
		return actorPublishes
	}
}

// wishes is settle up to the point where what is wished for is in force.
func (m *model) wishes(w world) {
	a := &w.actor
	switch a.at {
	case actorSequence:
		a.asked, a.at = w.asked, actorGate
		m.actor("settle: sizeAsked", w)
	case actorGate:
		a.shut, a.target = w.shut, w.max
		if w.shut {
			a.at = actorShuts
			m.actor("settle: the gate is shut", w)
			return
		}
		m.wishesSize(&w)
		m.actor("settle: the gate is open", w)
	case actorShuts:
		w.supply = 0
		a.at = actorShutsHot
		m.actor("settle: supply = 0", w)
	case actorShutsHot:
		a.at = actorDrainsReady
		if h, ok := w.takeHot(); ok {
			a.at, a.slot, a.stale, a.then = actorTakes, h.slot, h.stale, thenDrain
		}
		m.actor("drainReady: takeHot", w)
	case actorDrainsReady:
		if h, ok := w.receive(); ok {
			a.at, a.slot, a.stale, a.then = actorTakes, h.slot, h.stale, thenDrain
			m.actor("drainReady: <-ready", w)
			return
		}
		m.wishesSize(&w)
		m.actor("drainReady: ready is empty", w)
	case actorPlans:
		a.seen = w.slots
		m.appliesNext(&w)
		m.actor("shrinkTo: looks at the slots", w)
	case actorApplies:
		m.applies(w)
	case actorApplied:
		w.applied = a.asked
		m.wished(&w)
		m.actor("settle: sizeApplied", w)
	}
}

func (m *model) wishesSize(w *world) {
	a := &w.actor
	counted := 0
	for _, r := range a.roles {
		if r != vacant {
			counted++
		}
	}
	switch {
	case counted > int(a.target):
		a.at = actorPlans
	case m.shrinks > 0:
		a.at = actorApplied
	default:
		m.wished(w)
	}
}

func (m *model) wished(w *world) {
	if w.actor.shut {
		w.actor = w.actor.idle(actorSelects)
		return
	}
	w.actor = w.actor.idle(m.settlesOpen())
}

// plan is what the ledger makes of the slots that were seen.
func (m *model) plan(a modelActor) []step {
	words := make([]word, len(a.seen))
	target := int(a.target)
	for i, s := range a.seen {
		words[i] = s.word()
		if m.without == revokeBeforeCredit && leaving(words[i]) {
			target++
		}
	}
	plan := shrink(words, []int{0, 1}, target)
	if m.without == retireLeased {
		for i, st := range plan {
			if st.do == retireBusy {
				return plan[:i]
			}
		}
	}
	return plan
}

// appliesNext goes on with the plan, makes it anew if a step of it failed, or ends it.
func (m *model) appliesNext(w *world) {
	a := &w.actor
	switch {
	case int(a.step) < len(m.plan(*a)):
		a.at = actorApplies
	case a.again:
		a.at, a.seen, a.step, a.again = actorPlans, [2]modelWord{}, 0, false
	default:
		a.at, a.seen, a.step, a.slot, a.then = actorApplied, [2]modelWord{}, 0, 0, 0
	}
}

// applies is apply.
func (m *model) applies(w world) {
	a := &w.actor
	st := m.plan(*a)[a.step]
	a.slot, a.then = uint8(st.slot), thenShrink
	a.step++
	a.at = actorNotes
	s := &w.slots[a.slot]
	before := s.state()
	switch {
	case *s != modelWord(st.from):
		a.again = true
		m.add("actor", st.slot, "apply: the word has changed", w)
		return
	case st.do == revokeOrder:
		*s = 0
	case st.do == retireBusy:
		*s |= modelWord(flagRetire)
		m.add("actor", st.slot, "apply: "+before.String()+" + RETIRE", w)
		return
	default:
		*s = s.to(doomed)
		a.at = actorStartsCloser
	}
	to := s.state()
	m.notesAtOnce(&w)
	m.add("actor", st.slot, "apply: "+before.String()+" -> "+to.String(), w)
}

// serves is settle up to the first offer.
func (m *model) serves(w world) {
	a := &w.actor
	switch a.at {
	case actorOutage:
		a.outage, a.at = w.outage, actorPublishes
		m.actor("settle: outage", w)
	case actorPublishes:
		w.supply = m.supply(w)
		a.at = actorServes
		m.actor("publishSupply", w)
	case actorServes:
		a.served = w.inReady
		a.at = actorWaiting
		m.actor("serve: len(ready)", w)
	case actorWaiting:
		a.lack = uint8(max(0, w.waiting()-int(a.served)))
		a.then = thenServe
		m.offersNext(&w)
		m.actor("serve: waiting", w)
	}
}

// supply is what publishSupply publishes.
func (m *model) supply(w world) uint8 {
	var supply uint8
	if w.actor.stack != 0 {
		supply |= supplyRests
	}
	if v := m.view(w); v.room() > 0 && m.without != roomInSupply {
		supply |= supplyRoom
	}
	return supply
}

func (m *model) view(w world) view {
	a := w.actor
	v := view{
		open: !w.shut, waiting: w.waiting(), served: int(a.served), max: int(w.max), maxDials: len(w.slots),
		outage: a.outage != serverIsUp, backoff: a.outage == attemptIsLater,
	}
	for _, r := range a.roles {
		if r == opening {
			v.opening++
		}
		if r != vacant {
			v.counted++
		}
	}
	return v
}

// orders is the rest of settle.
func (m *model) orders(w world) {
	a := &w.actor
	switch a.at {
	case actorOrders:
		a.lack, a.then = uint8(m.view(w).orders()), 0
		switch {
		case a.lack == 0:
			a.at = actorPublishesLast
		case m.without == tellAfterWanted:
			a.at = actorTellsFirst
		default:
			a.at = actorWants
		}
		m.actor("order: waiting", w)
	case actorTellsFirst:
		w.dialsWanted = true
		a.at = actorWants
		m.actor("order: tellRetry", w)
	case actorWants:
		m.wants(w)
	case actorTellsRetry:
		w.dialsWanted = true
		a.at = actorPublishesLast
		m.actor("order: tellRetry", w)
	case actorPublishesLast:
		w.supply = m.supply(w)
		a.then, a.served = thenWarm, 0
		m.offersNext(&w)
		m.actor("publishSupply", w)
	case actorWarms:
		if a.at = actorWarmsWaiting; w.inReady > 0 {
			m.arms(&w)
		}
		m.actor("warm: len(ready)", w)
	case actorWarmsWaiting:
		if a.at = actorOffers; w.waiting() > 0 {
			m.arms(&w)
		}
		m.actor("warm: waiting", w)
	}
}

// wants is want, for the first empty slot.
func (m *model) wants(w world) {
	a := &w.actor
	for i := range w.slots {
		if w.slots[i].state() != empty {
			continue
		}
		w.slots[i] = w.slots[i].to(wanted)
		a.roles[i] = opening
		if a.lack--; a.lack == 0 {
			a.at = actorTellsRetry
			if m.without == tellAfterWanted {
				a.at = actorPublishesLast
			}
		}
		m.add("actor", i, "want: empty -> wanted", w)
		return
	}
	a.at, a.lack = actorTellsRetry, 0
	m.actor("want: none is empty", w)
}
