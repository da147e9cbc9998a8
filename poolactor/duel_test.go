package poolactor

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// These tests let two goroutines meet at one word, very often: of two who want it, one may get it.

// duel runs a and b at the same time, round after round: before prepares a round, after judges it.
func duel(t *testing.T, before func(), a, b func(), after func()) {
	t.Helper()
	var (
		round atomic.Int64
		done  atomic.Int64
		wg    sync.WaitGroup
	)
	rounds := int64(scale(t, 20_000))
	if underRaceDetector {
		rounds /= 10 // the two of them hardly get to meet there
	}
	// Not a channel: both have to begin in the same instant.
	await := func(n *atomic.Int64, i int64) {
		for spins := 0; n.Load() < i; spins++ {
			if spins > 200 {
				runtime.Gosched()
			}
		}
	}
	wg.Go(func() {
		for i := int64(1); i <= rounds; i++ {
			await(&round, i)
			b()
			done.Store(i)
		}
	})
	for i := int64(1); i <= rounds && !t.Failed(); i++ {
		before()
		round.Store(i)
		a()
		await(&done, i)
		after()
	}
	round.Store(rounds)
	wg.Wait()
}

func TestOneOfTwoClaims(t *testing.T) {
	p, _ := still(t, 1)
	var (
		tok  *token
		a, b bool
	)
	duel(t,
		func() { tok = put(p, 0, free) },
		func() { _, a = tok.claim() },
		func() { _, b = tok.claim() },
		func() {
			if a == b {
				t.Errorf("claimed by one: %v, by the other: %v", a, b)
			}
		})
}

func TestAClaimOrTheActor(t *testing.T) {
	for name, act := range map[string]func(*life, *token){
		"takes a hint":   func(l *life, tok *token) { l.take(hint{slot: tok.slot, token: tok}) },
		"makes an audit": func(l *life, tok *token) { l.audit() },
	} {
		t.Run(name, func(t *testing.T) {
			p, l := still(t, 1)
			var (
				tok     *token
				claimed bool
			)
			duel(t,
				func() { tok, l.stack = put(p, 0, free), nil },
				func() { act(l, tok) },
				func() { _, claimed = tok.claim() },
				func() {
					if st := stateOf(p, 0); claimed != (st == leased) || claimed != (len(l.stack) == 0) {
						t.Errorf("claimed %v, %s, %d on the stack", claimed, st, len(l.stack))
					}
				})
		})
	}
}

func TestAClaimOrTheLookAtItsSocket(t *testing.T) {
	p, _ := still(t, 1)
	var (
		tok            *token
		claimed, taken bool
	)
	duel(t,
		func() { tok = put(p, 0, free) },
		func() { _, claimed = tok.claim() },
		func() { _, taken = tok.slot.word.move(checking, resting, free) },
		func() {
			if claimed == taken {
				t.Errorf("claimed %v, taken %v", claimed, taken)
			}
		})
}

// A wish that arrives while a lease comes back is either seen by it or refused.
func TestAWishIsNotLostInAHandBack(t *testing.T) {
	p, _ := still(t, 1)
	var (
		tok *token
		set bool
	)
	duel(t,
		func() { tok = put(p, 0, leased) },
		func() { p.handBack(tok, 0, free, 0) },
		func() { set = tok.slot.word.flag(flagRetire, leased) },
		func() {
			p.takeHot()
			for len(p.hints) > 0 {
				<-p.hints
			}
			if w := tok.slot.word.Load(); set != (w.state() == broken) {
				t.Errorf("the flag was set: %v, and it is %s", set, w.state())
			}
		})
}

// What is hot and leads somewhere stays in sight while the actor sifts, also if a caller takes it meanwhile and gives it back.
func TestAHotConnectionOutlivesTheSift(t *testing.T) {
	p, l := still(t, 1)
	p.hot.Store(put(p, 0, free))
	var (
		over atomic.Bool
		wg   sync.WaitGroup
	)
	wg.Go(func() {
		for !over.Load() {
			l.sift()
		}
	})
	rounds := scale(t, 3_000_000)
	if underRaceDetector {
		rounds /= 30
	}
	for range rounds {
		tok := p.takeHot()
		for tok == nil { // the sift has it
			select {
			case tok = <-p.ready:
			default:
				tok = p.takeHot()
			}
		}
		gen, ok := tok.claim()
		if !ok {
			t.Fatal("a stale token was laid out")
		}
		p.handBack(tok, gen, free, 0)
	}
	over.Store(true)
	wg.Wait()
}

// An offer and a check of the same connection: one of both has it.
func TestAnOfferOrACheck(t *testing.T) {
	p, l := still(t, 1)
	var (
		s     = p.all()[0]
		taken bool
	)
	p.waiting.Store(1)
	duel(t,
		func() { l.stack = nil; rested(l, 0) },
		func() { l.serve() },
		func() { _, taken = s.word.move(checking, resting) },
		func() {
			offered := len(p.ready) == 1
			if offered {
				<-p.ready
			}
			if st := s.word.Load().state(); taken == offered || taken != (st == checking) {
				t.Errorf("taken %v, offered %v, %s", taken, offered, st)
			}
		})
}

func TestOneOfTwoTakesAnOrder(t *testing.T) {
	p, _ := still(t, 1)
	o := orders{p}
	var a, b bool
	duel(t,
		func() { put(p, 0, wanted) },
		func() { _, a = o.Next() },
		func() { _, b = o.Next() },
		func() {
			if a == b {
				t.Errorf("taken by one: %v, by the other: %v", a, b)
			}
		})
}

// An order is revoked or taken, never both.
func TestAShrinkOrADial(t *testing.T) {
	p, l := still(t, 1)
	s := p.all()[0]
	o := orders{p}
	var (
		from           word
		revoked, taken bool
	)
	duel(t,
		func() { put(p, 0, wanted); from = s.word.Load() },
		func() { revoked = l.apply(s, step{slot: 0, from: from, do: revokeOrder}) },
		func() { _, taken = o.Next() },
		func() {
			if st := stateOf(p, 0); revoked == taken || taken != (st == dialing) {
				t.Errorf("revoked %v, taken %v, %s", revoked, taken, st)
			}
		})
}
