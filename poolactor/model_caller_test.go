package poolactor

// callerAt is what a caller does next: the function's next access to something shared.
type callerAt uint8

const (
	callerIdle          callerAt = iota // Acquire: takeHot
	callerReceives                      // Acquire: the receive from ready that does not block
	callerClaims                        // token.claim
	callerStores                        // the same without its compare-and-swap
	callerChainsWaiting                 // chain: waiting
	callerChainsSupply                  // chain: supply
	callerChainsDemand                  // chain: demandMore
	callerVets                          // vet: the gate, and the connection
	callerCounts                        // wait: waiting.Add(1)
	callerReadsSupply                   // wait: supply
	callerDemands                       // wait: demandMore
	callerLooksHot                      // next: takeHot
	callerSelects                       // next: the select
	callerBlocked                       // next, in the receivers' queue
	callerUncounts                      // wait: waiting.Add(-1)
	callerHolds                         // handBack: the swap
	callerFrees                         // the same without its compare-and-swap
	callerReadsGate                     // handBack: the gate
	callerReadsWaiting                  // putHot: waiting
	callerPutsHot                       // putHot: hot
	callerLooksBack                     // putHot: waiting, once more
	callerTakesBack                     // putHot: hot, once more
	callerOffersAgain                   // offer: again
	callerOffersReady                   // offer: ready
	callerTells                         // tell
	callerTellsRescan
	callerTellsKick
	callerDone
)

// hasHint tells whether the token in hand may yet turn stale.
func (at callerAt) hasHint() bool {
	switch at {
	case callerClaims, callerReadsGate, callerReadsWaiting, callerPutsHot, callerLooksBack, callerTakesBack, callerOffersAgain,
		callerOffersReady, callerTells:
		return true
	default:
		return false
	}
}

// caller lists what a caller may do next.
func (m *model) caller(w world, i int) {
	switch c := &w.callers[i]; c.at {
	case callerIdle, callerReceives:
		m.callerComes(w, i)
	case callerClaims, callerStores:
		m.callerClaims(w, i)
	case callerChainsWaiting, callerChainsSupply, callerChainsDemand:
		m.callerChains(w, i)
	case callerVets:
		m.callerVets(w, i)
	case callerCounts:
		m.callerIsTurnedAway(w, i)
		c.slow, c.counted = true, true
		if c.at = callerReadsSupply; m.without == countBeforeSupply {
			c.at = callerLooksHot
		}
		m.add("caller", i, "wait: waiting++", w)
	case callerReadsSupply, callerDemands:
		m.callerDemands(w, i)
	case callerLooksHot:
		m.callerLooksHot(w, i)
	case callerSelects, callerBlocked:
		m.callerSelects(w, i)
	case callerUncounts:
		c.counted = false
		if c.at = callerDone; c.claimed {
			c.at = callerChainsWaiting
		} else {
			*c = caller{at: callerDone}
		}
		m.add("caller", i, "wait: waiting--", w)
	case callerHolds, callerFrees, callerReadsGate, callerOffersAgain, callerOffersReady:
		m.callerReleases(w, i)
	case callerReadsWaiting, callerPutsHot, callerLooksBack, callerTakesBack:
		m.callerPutsHot(w, i)
	case callerTells, callerTellsRescan, callerTellsKick:
		m.callerTells(w, i)
	}
}

// callerIsTurnedAway is the other end of count: the call ends without having been counted.
func (m *model) callerIsTurnedAway(w world, i int) {
	if w.left.refusals == 0 || w.callers[i].first || w.callers[i].back {
		return
	}
	w.left.refusals--
	w.callers[i] = caller{at: callerDone}
	m.may("caller", i, "count: turned away", w)
}

// callerComes is the beginning of Acquire.
func (m *model) callerComes(w world, i int) {
	c := &w.callers[i]
	if c.at == callerIdle {
		h, ok := w.takeHot()
		if !ok {
			c.at = callerReceives
			m.may("caller", i, "Acquire: nothing is hot", w)
			return
		}
		*c = caller{at: callerClaims, slot: h.slot, stale: h.stale}
		m.may("caller", i, "Acquire: takeHot", w)
		return
	}
	if h, ok := w.receive(); ok {
		*c = caller{at: callerClaims, slot: h.slot, stale: h.stale}
		m.add("caller", i, "Acquire: <-ready", w)
		return
	}
	*c = m.toWait(caller{})
	m.add("caller", i, "Acquire: ready is empty", w)
}

// toWait is where wait begins, or goes on after a connection that was not accepted.
func (m *model) toWait(c caller) caller {
	at := callerCounts
	if m.without == countBeforeSupply {
		at = callerReadsSupply
	}
	return caller{at: at, slow: true, first: c.first}
}

func (m *model) callerClaims(w world, i int) {
	c := &w.callers[i]
	s := &w.slots[c.slot]
	stores := m.without == claimBySwap || m.without == claimBySwapAuditCloses
	what := "claim: stale"
	switch {
	case c.at == callerStores:
		*s = s.to(leased)
		what = "claim: stored"
	case s.state() != free || c.stale:
		*c = caller{at: callerChainsWaiting, slow: c.slow, counted: c.counted, first: c.slow}
		m.add("caller", i, what, w)
		return
	case stores:
		c.at = callerStores
		m.add("caller", i, "claim: on offer", w)
		return
	default:
		*s = s.to(leased)
		what = "claim: free -> leased"
	}
	c.claimed, c.stale = true, false
	switch {
	case c.slow:
		c.at = callerUncounts
	case m.without == chainOnFastPath:
		*c = m.toVet(*c)
	default:
		c.at = callerChainsWaiting
	}
	m.add("caller", i, what, w)
}

// callerChains is chain.
func (m *model) callerChains(w world, i int) {
	c := &w.callers[i]
	what := ""
	on := false
	switch c.at {
	case callerChainsWaiting:
		what, on = "chain: waiting == 0", w.waiting() > 0
		if on {
			what = "chain: waiting > 0"
		}
	case callerChainsSupply:
		what, on = "chain: supply == 0", w.supply != 0
		if on {
			what = "chain: supply != 0"
		}
	default:
		what = "chain: demand <-"
		w.demand = true
	}
	if on {
		c.at++
	} else {
		*c = m.afterChain(*c)
	}
	m.add("caller", i, what, w)
}

func (m *model) afterChain(c caller) caller {
	switch {
	case c.claimed:
		return m.toVet(c)
	case c.slow:
		c.at = callerReadsSupply
		return c
	default:
		return m.toWait(c)
	}
}

// toVet is where a claimed connection is judged, if there is anything to judge within the scope.
func (m *model) toVet(c caller) caller {
	if m.deaths == 0 && m.suspends == 0 {
		return caller{at: callerHolds, slot: c.slot, claimed: true}
	}
	c.at = callerVets
	return c
}

func (m *model) callerVets(w world, i int) {
	c := &w.callers[i]
	if w.shut && m.without != gateAfterClaim {
		c.at, c.back, c.first = callerHolds, true, c.slow
		m.add("caller", i, "vet: suspended", w)
		return
	}
	if w.left.deaths > 0 {
		dead := w
		dead.left.deaths--
		m.breaks(&dead, i)
		dead.callers[i].back, dead.callers[i].first = true, true
		m.add("caller", i, "vet: dead, leased -> broken", dead)
	}
	if w.suspender == askerReturned {
		w.wrong = leaseOfSuspended
	}
	*c = caller{at: callerHolds, slot: c.slot, claimed: true}
	m.add("caller", i, "vet: accepted", w)
}

func (m *model) callerDemands(w world, i int) {
	c := &w.callers[i]
	what := "demandMore: demand <-"
	switch {
	case c.at == callerDemands:
		w.demand = true
	case w.supply != 0 && m.without != demandByWaiters:
		c.at = callerDemands
		m.add("caller", i, "wait: supply != 0", w)
		return
	default:
		what = "wait: supply == 0"
	}
	if c.at = callerLooksHot; !c.counted {
		c.at = callerCounts
	}
	m.add("caller", i, what, w)
}

// callerLooksHot is the beginning of next.
func (m *model) callerLooksHot(w world, i int) {
	c := &w.callers[i]
	if w.hasHot && m.without != waitersLookHot {
		h, _ := w.takeHot()
		c.at, c.slot, c.stale = callerClaims, h.slot, h.stale
		m.add("caller", i, "next: takeHot", w)
		return
	}
	c.at = callerSelects
	m.add("caller", i, "next: nothing is hot", w)
}

// callerPutsHot is putHot.
func (m *model) callerPutsHot(w world, i int) {
	c := &w.callers[i]
	h := hintOf{c.slot, c.stale}
	what := ""
	switch c.at {
	case callerReadsWaiting:
		if c.at, what = callerPutsHot, "putHot: waiting == 0"; w.waiting() > 0 {
			c.at, what = callerOffersAgain, "putHot: waiting > 0"
		}
	case callerPutsHot:
		if c.at, what = callerLooksBack, "putHot: hot <-"; w.hasHot {
			c.at, what = callerOffersAgain, "putHot: another is hot"
			break
		}
		if w.hot, w.hasHot = h, true; m.without == putHotLooksBack {
			*c = m.afterRelease(*c)
		}
	case callerLooksBack:
		if c.at, what = callerTakesBack, "putHot: waiting > 0 by now"; w.waiting() == 0 {
			what = "putHot: waiting == 0 still"
			*c = m.afterRelease(*c)
		}
	default:
		if c.at, what = callerOffersAgain, "putHot: taken back"; !w.hasHot || w.hot != h {
			what = "putHot: somebody has it"
			*c = m.afterRelease(*c)
			break
		}
		w.takeHot()
	}
	m.add("caller", i, what, w)
}

// callerSelects is the rest of next: a receive, the end of the caller's context, or a place in the queue.
func (m *model) callerSelects(w world, i int) {
	away := w
	if w.callers[i].at == callerBlocked {
		away.unblock(i)
	}
	away.callers[i] = caller{at: callerUncounts, slow: true, counted: true}
	m.may("caller", i, "next: gives up", away)
	if w.callers[i].at == callerBlocked {
		return
	}
	if h, ok := w.receive(); ok {
		c := &w.callers[i]
		c.at, c.slot, c.stale = callerClaims, h.slot, h.stale
		m.add("caller", i, "next: <-ready", w)
		return
	}
	w.block(i)
	m.add("caller", i, "next: blocks", w)
}

// callerReleases is handBack and offer.
func (m *model) callerReleases(w world, i int) {
	c := &w.callers[i]
	s := &w.slots[c.slot]
	h := hintOf{c.slot, c.stale}
	switch c.at {
	case callerHolds:
		m.callerHandsBack(w, i)
		return
	case callerFrees:
		*s = modelWord(word(0).to(free))
		c.at, c.claimed = m.toOffer(), false
		m.add("caller", i, "handBack: stored free", w)
		return
	case callerReadsGate:
		if w.shut {
			c.at = callerTells
			m.add("caller", i, "handBack: suspended", w)
			return
		}
		c.at = callerReadsWaiting
		m.add("caller", i, "handBack: gate open", w)
		return
	case callerOffersAgain:
		if !w.sendAgain(h) {
			c.at = callerOffersReady
			m.add("caller", i, "offer: nobody on again", w)
			return
		}
	case callerOffersReady:
		if !m.sendReady(&w, h) {
			c.at = callerTells
			m.add("caller", i, "offer: ready is full", w)
			return
		}
	}
	what := "offer: again <-"
	if c.at == callerOffersReady {
		what = "offer: ready <-"
	}
	*c = m.afterRelease(*c)
	m.add("caller", i, what, w)
}

// callerHandsBack is the swap in handBack.
func (m *model) callerHandsBack(w world, i int) {
	if w.left.deaths > 0 && !w.callers[i].back {
		broke := w
		broke.left.deaths--
		m.breaks(&broke, i)
		m.may("caller", i, "handBack: leased -> broken", broke)
	}
	c := &w.callers[i]
	s := &w.slots[c.slot]
	then := m.may // nobody is bound to give a lease back
	if c.back {
		then = m.add
	}
	switch {
	case s.word().has(flagRetire) && m.without != releaseLooksAtRetire:
		m.breaks(&w, i)
		then("caller", i, "handBack: RETIRE, leased -> broken", w)
	case m.without == releaseBySwap:
		c.at = callerFrees
		then("caller", i, "handBack: no RETIRE", w)
	default:
		*s = s.to(free)
		c.at, c.claimed = m.toOffer(), false
		then("caller", i, "handBack: leased -> free", w)
	}
}

// toOffer is what follows the swap: accesses that cannot matter within the scope are left out.
func (m *model) toOffer() callerAt {
	if m.suspends > 0 {
		return callerReadsGate
	}
	return callerReadsWaiting
}

func (m *model) breaks(w *world, i int) {
	c := &w.callers[i]
	w.slots[c.slot] = w.slots[c.slot].to(broken)
	c.at, c.claimed, c.stale = callerTells, false, true
}

func (m *model) callerTells(w world, i int) {
	c := &w.callers[i]
	next, what := m.tellNext(&w, tellAt(c.at-callerTells), hintOf{c.slot, c.stale})
	if next == tellDone {
		*c = m.afterRelease(*c)
	} else {
		c.at, c.stale = callerTells+callerAt(next), false
	}
	m.add("caller", i, what, w)
}

func (m *model) afterRelease(c caller) caller {
	if c.back {
		return m.toWait(c)
	}
	return caller{at: callerDone}
}
