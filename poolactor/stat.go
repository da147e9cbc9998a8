package poolactor

import (
	"cmp"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/messages"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Stat is a picture of the pool, made from the words of its slots: taking it never blocks and works while the actor is
// down. Its figures are read one after the other, so under load they need not add up exactly.
type Stat struct {
	Max, Min int // the sizes that are in force, or wished for: Config.MaxSize and MinSize, or what Resize made of them
	MinIdle  int // Config.MinIdle

	Idle     int // rest, or are on offer
	Leased   int // are out
	Checking int // are being checked
	Cleaning int // are being made fit after a lease
	Opening  int // ordered or being dialled
	Closing  int // broken, or being closed; the server may still have them

	Waiting int // calls that wait now

	Sharing int   // leased connections that serve shared statements; see Pool.Shared
	Shared  int64 // statements that were answered over them

	Acquired      int64         // leases granted
	Waited        int64         // calls that had to wait, those that failed included
	WaitTime      time.Duration // of all calls together
	InVain        int64         // those of them that got no connection, whatever ended their wait
	InVainTime    time.Duration // their part of WaitTime
	GaveUp        int64         // calls whose context ended while they waited
	TurnedAway    int64         // calls that would have been one more than Config.MaxWaiters; they did not wait
	Shed          int64         // calls that did not wait because their deadline seemed out of reach: Config.ShedByDeadline
	Opened        int64         // connections opened
	DialsFailed   int64         // orders that ended without a connection
	DialsRefused  int64         // those of them that the server refused for good
	DialsDeferred int64         // those of them that the server asked to come later
	Closed        int64         // connections closed
	Expired       int64         // those of them that had reached MaxLifetime
	Unused        int64         // those of them that nobody had used for MaxIdleTime
	Checks        int64         // round trips that asked whether a connection is alive
	FailedCheck   int64         // checks, and looks at the socket, that found a connection dead or silent
	Cleanings     int64         // sessions that were cleaned between two leases
	Forgotten     int64         // leases found by the garbage collector
	Revoked       int64         // leases taken away: held for longer than LeaseMaxAge, or out when the pool ended
	LostEvents    uint64        // events that readers of Events did not get because they were slow
	Outages       int64         // that began
	OutageTime    time.Duration // of all that are over

	Outage   messages.Outage // the zero Outage while the server is believed to be up
	Suspends bool            // Suspend was called, and Resume was not
	Closes   bool            // Shutdown or Close was called
}

// Total is how many connections count against Max.
func (s Stat) Total() int {
	return s.Idle + s.Leased + s.Checking + s.Cleaning + s.Opening + s.Closing
}

// Stat takes the picture.
func (p *Pool) Stat() Stat {
	g := p.gate.Load()
	st := Stat{
		Max: int(p.maxSize.Load()), Min: int(p.minSize.Load()), MinIdle: p.cfg.MinIdle, Waiting: int(p.waiting.Load()),
		Waited: p.waited.Load(), WaitTime: time.Duration(p.waitTime.Load()), GaveUp: p.gaveUp.Load(),
		InVain: p.inVain.Load(), InVainTime: time.Duration(p.inVainTime.Load()),
		TurnedAway: p.turnedAway.Load(), Shed: p.shed.Load(),
		Opened: p.dials.Load(), DialsFailed: p.dialsFailed.Load(), DialsRefused: p.dialsRefused.Load(),
		DialsDeferred: p.dialsDeferred.Load(), Closed: p.closed.Load(),
		Expired: p.expired.Load(), Unused: p.unusedClosed.Load(),
		Checks: p.checks.Load(), FailedCheck: p.checksFailed.Load(), Cleanings: p.cleanings.Load(),
		Forgotten: p.forgottenLeases.Load(), Revoked: p.revokedLeases.Load(), LostEvents: p.bus.Lost(),
		Outages: p.outages.Load(), OutageTime: time.Duration(p.outageTime.Load()),
		Shared: p.group.Answered(), Outage: *p.outage.Load(), Suspends: g.suspended(), Closes: g.closed(),
	}
	for _, s := range p.all() {
		w := s.word.Load()
		st.Acquired += int64(w.gen())
		switch w.state() {
		case resting, free, opened:
			st.Idle++
		case leased:
			st.Leased++
			if s.isShared() {
				st.Sharing++
			}
		case checking:
			st.Checking++
		case cleaning:
			st.Cleaning++
		case wanted, dialing:
			st.Opening++
		case broken, doomed, closing:
			st.Closing++
		}
	}
	return st
}

// Holder is one lease that is out.
type Holder struct {
	Label   string        // from WithLabel; empty if there was none
	For     time.Duration // how long it has been held
	Overdue bool          // for at least Config.LeaseWarnAfter
	PID     uint32        // the server process
	Slot    int           // which of the pool's places
	Stack   string        // where it was acquired, if Config.RecordStacks is set: a function a line, the innermost first
}

// String names the holder, the server process and the time.
func (h Holder) String() string {
	label := h.Label
	if label == "" {
		label = "unlabelled"
	}
	s := fmt.Sprintf("%s holds PID %d for %v", label, h.PID, h.For.Round(time.Millisecond))
	if h.Stack != "" {
		s += " acquired at " + strings.SplitN(h.Stack, "\n", 2)[0]
	}
	return s
}

// Holders lists the leases that are out, the longest held first. It never blocks and works while the actor is down.
func (p *Pool) Holders() []Holder {
	var out []Holder
	now := p.now()
	for _, s := range p.all() {
		w := s.word.Load()
		if w.state() != leased {
			continue
		}
		h := p.holder(s, w, now)
		if s.word.Load().gen() == w.gen() {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b Holder) int { return cmp.Compare(b.For, a.For) })
	return out
}

// holder describes the lease of a word. One that is not granted yet has only its place: all else may be that of the lease
// before.
func (p *Pool) holder(s *slot, w word, now int64) Holder {
	h := Holder{PID: s.pid(), Slot: s.index}
	if s.granted(w) {
		h.Label, h.Stack = s.labelled(), s.stackTrace()
		h.For = max(0, time.Duration(now-s.acquired.Load()))
		h.Overdue = exceeds(h.For, &p.warnAfter) && !s.isShared()
	}
	return h
}

// SlotState is one of the pool's places, for the ops page.
type SlotState struct {
	Slot    int           // its number, from 0
	State   string        // what becomes of it, in a word
	PID     uint32        // 0 without a connection
	Age     time.Duration // of the connection
	Leases  uint64        // granted on this place so far
	Unused  time.Duration // since the last lease began
	Retired bool          // it will be closed when it comes back
}

// Slots lists every place that is not empty. It never blocks.
func (p *Pool) Slots() []SlotState {
	var out []SlotState
	now := p.now()
	for _, s := range p.all() {
		w := s.word.Load()
		if w.state() == empty {
			continue
		}
		out = append(out, SlotState{
			Slot: s.index, State: w.state().String(), PID: s.pid(), Age: time.Duration(now - s.created.Load()),
			Leases: w.gen(), Unused: time.Duration(now - s.acquired.Load()), Retired: w.has(flagRetire),
		})
	}
	return out
}

// Snapshot is the pool's part of the supervision tree.
func (p *Pool) Snapshot() supervisor.Node { return p.tree.Snapshot() }

// Target says which server the pool connects to.
func (p *Pool) Target() Target { return p.target }

func (s *slot) labelled() string {
	if l := s.label.Load(); l != nil {
		return *l
	}
	return ""
}

// stackDepth is how many functions of an Acquire's stack are kept. Each costs 60 to 90 ns, and so do those that are left out.
const stackDepth = 16

// callStack is where a lease was acquired. It is one allocation, and nothing in it is for the garbage collector to follow.
type callStack struct {
	depth int
	pcs   [stackDepth]uintptr
}

// recordStack keeps where the lease was acquired: runtime.Callers, recordStack, grant and lease are left out.
func (s *slot) recordStack() {
	c := new(callStack)
	c.depth = runtime.Callers(4, c.pcs[:])
	s.stack.Store(c)
}

// ownMethods begin the names of the methods, and of functions inside them, by which a call reaches its lease.
var ownMethods = func() []string {
	here := reflect.TypeFor[Pool]().PkgPath()
	return []string{here + ".(*Pool).", here + ".(*calls).", here + "/pgxpool.(*Pool)."}
}()

// stackTrace writes the recorded stack, one function a line, the innermost first. It begins with whoever called the pool:
// the way from its method to the lease says nothing.
func (s *slot) stackTrace() string {
	c := s.stack.Load()
	if c == nil || c.depth == 0 {
		return ""
	}
	var b strings.Builder
	frames := runtime.CallersFrames(c.pcs[:c.depth])
	for {
		f, more := frames.Next()
		switch {
		case b.Len() > 0:
			fmt.Fprintf(&b, "\n%s (%s:%d)", f.Function, f.File, f.Line)
		case !slices.ContainsFunc(ownMethods, func(begin string) bool { return strings.HasPrefix(f.Function, begin) }):
			fmt.Fprintf(&b, "%s (%s:%d)", f.Function, f.File, f.Line)
		}
		if !more {
			return b.String()
		}
	}
}
