package poolactor

// modelActor is the pool actor: where it is, and what a life knows for itself.
type modelActor struct {
	at    actorAt
	stack uint8 // which slots lie on it
	roles [2]role
	timer bool // armed for the end of a backoff

	// Between two accesses:
	slot   uint8
	then   actorThen // where note or offerTop lead back to
	stale  bool      // the hint in hand has no token, or a stale one
	orders bool      // the audit met some
	shut   bool      // the gate, as settle read it
	asked  bool      // sizeAsked, as settle read it
	target uint8
	seen   [2]modelWord // by which a shrink was planned
	step   uint8        // of its plan
	again  bool         // it has to be planned again
	outage outageOf     // as settle read it
	served uint8
	lack   uint8 // waiters to be served, then orders to be placed
}

// actorAt is what the actor does next: the function's next access to something shared.
type actorAt uint8

const (
	actorDown actorAt = iota
	actorDrainsHot
	actorDrains
	actorAudits        // audit: adopt
	actorStores        // readopt without its compare-and-swap
	actorStartsCloser  // throwOut: startCloser
	actorNotes         // note
	actorRepeats       // audit: tellRetry
	actorSequence      // settle: sizeAsked
	actorGate          // settle: gate and maxSize
	actorShuts         // settle: supply.Store(0)
	actorShutsHot      // settle: drainReady, takeHot
	actorDrainsReady   // settle: drainReady
	actorPlans         // shrinkTo: the words
	actorApplies       // apply
	actorApplied       // settle: sizeApplied
	actorOutage        // settle: outage
	actorPublishes     // publishSupply
	actorServes        // serve: len(ready)
	actorWaiting       // serve: waiting
	actorOffers        // offerTop: resting -> free
	actorOffersStoring // the same without its compare-and-swap
	actorSendsAgain    // offer: again
	actorSendsReady    // offer: ready
	actorUndoes        // offerTop: free -> resting
	actorOrders        // order: waiting
	actorTellsFirst    // tellRetry before want
	actorWants         // want
	actorTellsRetry    // order: tellRetry
	actorPublishesLast // publishSupply
	actorWarms         // warm: len(ready)
	actorWarmsWaiting  // warm: waiting
	actorSelects       // Serve
	actorTrims         // trim
	actorTakes         // take
	actorWoken         // Serve: rescan
)

type actorThen uint8

const (
	thenAudit  actorThen = iota // the next slot
	thenWoken                   // rescan, and settle
	thenDrain                   // settle's drainReady
	thenTrim                    // trim
	thenServe                   // serve's loop
	thenWarm                    // warm's loop
	thenShrink                  // shrinkTo's plan
)

// idle forgets everything but what lasts from round to round.
func (a modelActor) idle(at actorAt) modelActor {
	return modelActor{at: at, stack: a.stack, roles: a.roles, timer: a.timer}
}

// pool lists what the actor may do next.
func (m *model) pool(w world) {
	a := &w.actor
	if a.at == actorDown {
		*a = modelActor{at: actorDrainsHot}
		if m.without == auditAtRestart && int(w.left.crashes) < m.crashes {
			a.at = actorSequence
		}
		m.actor("a life begins", w)
		return
	}
	if w.left.crashes > 0 {
		dead := w
		dead.left.crashes--
		dead.actor = modelActor{}
		m.may("actor", -1, "PANIC", dead)
	}
	switch {
	case a.at <= actorRepeats:
		m.audits(w)
	case a.at <= actorApplied:
		m.wishes(w)
	case a.at <= actorWaiting:
		m.serves(w)
	case a.at <= actorUndoes:
		m.offers(w)
	case a.at <= actorWarmsWaiting:
		m.orders(w)
	default:
		m.rounds(w)
	}
}

func (m *model) actor(what string, w world) { m.add("actor", -1, what, w) }

// stacks puts a slot onto the stack, as push does.
func (w *world) stacks(slot uint8) {
	if w.actor.stack&(1<<slot) != 0 {
		w.wrong = stackedTwice
	}
	w.actor.stack |= 1 << slot
}

func (w *world) unstacks(slot uint8) { w.actor.stack &^= 1 << slot }

// audits is audit; a life that begins with it has forgotten everything.
func (m *model) audits(w world) {
	a := &w.actor
	switch a.at {
	case actorDrainsHot:
		w.takeHot()
		a.at = actorDrains
		m.actor("audit: takeHot, dropped", w)
	case actorDrains:
		if _, ok := w.receive(); ok {
			m.actor("audit: <-ready, dropped", w)
			return
		}
		a.at = actorAudits
		m.actor("audit: ready is empty", w)
	case actorAudits:
		m.adopts(w)
	case actorStores:
		w.slots[a.slot] = w.slots[a.slot].to(resting)
		w.nextToken(a.slot)
		w.stacks(a.slot)
		a.at = actorNotes
		m.actor("readopt: stored resting", w)
	case actorStartsCloser:
		w.startCloser(a.slot)
		a.at = actorNotes
		m.actor("startCloser", w)
	case actorNotes:
		slot := a.slot
		m.notes(&w)
		m.add("actor", int(slot), "note: "+w.slots[slot].state().String(), w)
	case actorRepeats:
		w.dialsWanted = true
		*a = a.idle(m.settles())
		m.actor("audit: tellRetry", w)
	}
}

// adopts is what audit does with one slot.
func (m *model) adopts(w world) {
	a := &w.actor
	a.then = thenAudit
	s := &w.slots[a.slot]
	what := "audit: "
	from := s.state()
	do := adopt(s.word())
	if do == takeUp && from == free && m.without == claimBySwapAuditCloses {
		do = throwOut
	}
	a.at = actorNotes
	switch do {
	case takeUp:
		if m.without == adoptBySwap {
			a.at = actorStores
			m.add("actor", int(a.slot), "readopt: "+from.String(), w)
			return
		}
		*s = s.to(resting)
		w.nextToken(a.slot)
		w.stacks(a.slot)
		what = "readopt: "
	case throwOut:
		m.throwsOut(&w, a.slot)
	case clearOut:
		*s = 0
	case repeatCall:
		a.orders = m.without != auditRepeatsOrders
	}
	what += from.String() + " -> " + s.state().String()
	slot := int(a.slot)
	m.notesAtOnce(&w)
	m.add("actor", slot, what, w)
}

func (m *model) throwsOut(w *world, slot uint8) {
	w.unstacks(slot)
	w.slots[slot] = w.slots[slot].to(doomed)
	w.actor.at, w.actor.slot = actorStartsCloser, slot
}

// notesAtOnce notes a word that nobody else can change: it does not matter when.
func (m *model) notesAtOnce(w *world) {
	a := &w.actor
	switch st := w.slots[a.slot].state(); {
	case a.at == actorNotes && (st == empty || st == resting && m.checks == 0):
		m.notes(w)
	}
}

func (m *model) notes(w *world) {
	slot := w.actor.slot
	w.actor.roles[slot] = roleOf(w.slots[slot].word())
	m.noted(w)
}

// noted goes on after note.
func (m *model) noted(w *world) {
	a := &w.actor
	switch a.then {
	case thenAudit:
		if int(a.slot)+1 < len(w.slots) {
			a.slot++
			a.at = actorAudits
			return
		}
		switch {
		case a.orders:
			a.at, a.slot, a.orders = actorRepeats, 0, false
		case m.without == settleAfterAudit:
			*a = a.idle(actorSelects)
		default:
			*a = a.idle(m.settles())
		}
	case thenWoken:
		if *a = a.idle(actorWoken); m.without == settleEveryRound {
			a.at = actorSelects
		}
	case thenTrim:
		*a = a.idle(actorTrims)
	case thenDrain:
		a.at, a.slot, a.then = actorDrainsReady, 0, 0
	case thenServe, thenWarm:
		m.offersNext(w)
	case thenShrink:
		m.appliesNext(w)
	}
}
