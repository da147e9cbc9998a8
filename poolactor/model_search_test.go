package poolactor

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// model lists what can happen next in a world, and searches the worlds that can be reached.
type model struct {
	scope
	out []move
}

// move is one step.
type move struct {
	who  string
	slot int // or caller; -1: does not matter
	what string
	free bool // nobody is bound to make it
	to   world
}

func (m *model) add(who string, slot int, what string, to world) {
	m.out = append(m.out, move{who, slot, what, false, to})
}

func (m *model) may(who string, slot int, what string, to world) {
	m.out = append(m.out, move{who, slot, what, true, to})
}

// moves appends everything that can happen next in w to out.
func (m *model) moves(w world, out []move) []move {
	m.out = out
	for i := range w.callers {
		m.caller(w, i)
	}
	m.pool(w)
	m.retrier(w)
	for i := range w.closers {
		m.closer(w, i)
	}
	m.check(w)
	m.outside(w)
	return m.out
}

// wrong is what is wrong with a world in which these moves are possible; empty if nothing is.
func (m *model) wrong(w world, next []move) string {
	if w.wrong != noBlunder {
		return blunders[w.wrong]
	}
	var holders [2]int
	for _, c := range w.callers {
		if !c.claimed {
			continue
		}
		if s := w.slots[c.slot].state(); s != leased {
			return fmt.Sprintf("the slot of a lease is %s", s)
		}
		if holders[c.slot]++; holders[c.slot] > 1 {
			return "two leases on one slot"
		}
	}
	if w.checker.at == workerWorks && w.slots[w.checker.slot].state() != checking {
		return "the slot of a check is " + w.slots[w.checker.slot].state().String()
	}
	if !slices.ContainsFunc(next, func(m move) bool { return !m.free }) {
		return m.wrongAtRest(w, holders)
	}
	return ""
}

// wrongAtRest is what is wrong with a world in which nothing happens any more, unless somebody comes, gives up or gives
// a lease back.
func (m *model) wrongAtRest(w world, holders [2]int) string {
	waits := slices.ContainsFunc(w.callers[:], func(c caller) bool { return c.at == callerBlocked })
	if waits && w.counted() < int(w.max) {
		return "a waiter is left behind although a connection could be opened"
	}
	staying := 0
	for i, s := range w.slots {
		h := hintOf{slot: uint8(i)}
		offered := slices.Contains(w.ready[:w.inReady], h) || w.hasHot && w.hot == h
		stacked := w.actor.stack&(1<<i) != 0
		switch st := s.state(); {
		case st == empty, st == leased && holders[i] == 1:
		case waits && (st == resting || st == free):
			return "a waiter is left behind although a connection is " + st.String()
		case st == free && offered, st == resting && stacked:
		default:
			return fmt.Sprintf("a slot stays %s: on offer %v, on the stack %v", st, offered, stacked)
		}
		if leaves := s.state() == leased && s.word().has(flagRetire); s.state() != empty && !leaves {
			staying++
		}
	}
	if staying > int(w.max) {
		return "more connections than max"
	}
	return ""
}

// fault is a run that ends where something is wrong.
type fault struct {
	wrong string
	run   []world // canonical, from the start
}

// A world is known by 128 bits of hash: two would be taken for one once in 10^24 runs.
type fingerprint [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func print128(w world) fingerprint {
	return fingerprint{maphash.Comparable(seeds[0], w), maphash.Comparable(seeds[1], w)}
}

// shortest searches in breadth: the fault that it finds first is one of the nearest.
func (m *model) shortest() (fault, int) {
	worlds := []world{m.start().canonical()}
	cause := []int{-1}
	seen := map[fingerprint]bool{print128(worlds[0]): true}
	var next []move
	for i := 0; i < len(worlds); i++ {
		next = m.moves(worlds[i], next[:0])
		if wrong := m.wrong(worlds[i], next); wrong != "" {
			var run []world
			for at := i; at >= 0; at = cause[at] {
				run = append(run, worlds[at])
			}
			slices.Reverse(run)
			return fault{wrong, run}, len(worlds)
		}
		for _, n := range next {
			to := n.to.canonical()
			if p := print128(to); !seen[p] {
				seen[p] = true
				worlds, cause = append(worlds, to), append(cause, i)
			}
		}
	}
	return fault{}, len(worlds)
}

// summary is what a search of everything has seen.
type summary struct {
	states, moves int
	ends          int // where everything has come to rest
	longest       int // run that was walked
}

func (s summary) String() string {
	return fmt.Sprintf("%d states, %d moves, %d of the states at rest, %d moves deep", s.states, s.moves, s.ends, s.longest)
}

// frame is a world on the way of a search in depth, with the moves from it that are not tried yet.
type frame struct {
	world world
	print fingerprint
	next  []move
}

// every searches in depth, which also shows runs that go in circles.
func (m *model) every() (fault, summary) {
	var (
		sum   summary
		onWay = map[fingerprint]bool{} // false: done with
		way   []frame
	)
	enter := func(w world, p fingerprint) string {
		if len(way) < cap(way) {
			way = way[:len(way)+1]
		} else {
			way = append(way, frame{})
		}
		f := &way[len(way)-1]
		f.world, f.print = w, p
		f.next = m.moves(w, f.next[:0])
		onWay[p] = true
		sum.states++
		sum.moves += len(f.next)
		sum.longest = max(sum.longest, len(way)-1)
		if !slices.ContainsFunc(f.next, func(n move) bool { return !n.free }) {
			sum.ends++
		}
		return m.wrong(w, f.next)
	}
	run := func() (run []world) {
		for _, f := range way {
			run = append(run, f.world)
		}
		return run
	}
	w := m.start().canonical()
	wrong := enter(w, print128(w))
	for wrong == "" && len(way) > 0 {
		f := &way[len(way)-1]
		if len(f.next) == 0 {
			onWay[f.print] = false
			way = way[:len(way)-1]
			continue
		}
		w := f.next[len(f.next)-1].to.canonical()
		f.next = f.next[:len(f.next)-1]
		p := print128(w)
		if circle, known := onWay[p]; !known {
			wrong = enter(w, p)
		} else if circle {
			return fault{"a run goes in circles", append(run(), w)}, sum
		}
	}
	return fault{wrong, run()}, sum
}

// tell writes a run down. The callers are numbered as they are at the start, and stay who they are.
func (m *model) tell(run []world) string {
	if len(run) == 0 {
		return ""
	}
	var b strings.Builder
	w := m.start()
	for i, to := range run[1:] {
		for _, n := range m.moves(w, nil) {
			if n.to.canonical() == to {
				name := n.who
				if n.slot >= 0 {
					name += fmt.Sprintf(" %d", n.slot)
				}
				fmt.Fprintf(&b, "%4d  %-10s  %s\n", i+1, name, n.what)
				w = n.to
				break
			}
		}
	}
	return b.String()
}
