package supervisor

import (
	"iter"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// Kind tells what stands at a place of the tree.
type Kind int

const (
	// KindService is a child with a service of its own.
	KindService Kind = iota
	// KindGroup is a group.
	KindGroup
	// KindTree is a child whose service shows a subtree, such as a mounted Tree.
	KindTree
)

// String gives the kind in one word.
func (k Kind) String() string {
	switch k {
	case KindService:
		return "service"
	case KindGroup:
		return "group"
	case KindTree:
		return "tree"
	default:
		return "unknown"
	}
}

// MarshalText writes the word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// State is what a child or a group does at the moment.
type State int

const (
	// StatePending: not started yet; its turn has not come.
	StatePending State = iota
	// StateStarting: a life has begun and is not ready; of a group: not every child is up.
	StateStarting
	// StateRunning: ready. A group stays so while a child of it restarts alone; look at the children for that.
	StateRunning
	// StateBackoff: the last life failed, the next one begins at NextRestart, or, where the strategy restarts others,
	// too, when its turn comes after that.
	StateBackoff
	// StateFailed: the last life failed, and its group has to act on that: it escalates or the tree ends.
	StateFailed
	// StateEscalating, only of a group: it is being stopped and started as a whole, since a child used up its
	// intensity; until every child is ready again.
	StateEscalating
	// StateStopping: told to stop.
	StateStopping
	// StateStopped: stopped as told, for good or until its group starts it again.
	StateStopped
	// StateStuck: told to stop, and not stopped after StopTimeout.
	StateStuck
	// StateFinished: the service returned suture.ErrDoNotRestart.
	StateFinished
	// StateGaveUp: it could not be kept running, and its group ended for that; of the root: the tree has ended.
	StateGaveUp
)

var stateWords = [...]string{
	StatePending: "pending", StateStarting: "starting", StateRunning: "running", StateBackoff: "backoff",
	StateFailed: "failed", StateEscalating: "escalating", StateStopping: "stopping", StateStopped: "stopped",
	StateStuck: "stuck", StateFinished: "finished", StateGaveUp: "gave up",
}

// String gives the state in a word or two.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateWords) {
		return "unknown"
	}
	return stateWords[s]
}

// MarshalText writes the words.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// restartsKept is how many restarts Node.RestartedAt remembers: more than any rule of readiness asks for.
const restartsKept = 64

// Node is what a place of the tree looked like when the snapshot was taken. It is a copy: yours to keep and to change.
type Node struct {
	// Name is the last step of Path.
	Name string `json:"name"`
	// Path leads from the root to here, like "root/data/pool".
	Path string `json:"path"`
	// Kind tells what stands here.
	Kind Kind `json:"kind"`
	// State is what it does, Since when.
	State State     `json:"state"`
	Since time.Time `json:"since"`
	// Restarts counts the lives begun after the first, whatever the reason: a failure, its group, a request.
	Restarts int `json:"restarts"`
	// RestartedAt is when the last ones of these began, newest last; at most 64.
	RestartedAt []time.Time `json:"restarted_at,omitempty"`
	// LastError is how the last life that failed ended, and LastErrorAt when; LastStack is where, if it panicked. They stay
	// after a recovery.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	LastStack   string    `json:"last_stack,omitempty"`
	// NextRestart is when the next life begins; zero unless State is StateBackoff.
	NextRestart time.Time `json:"next_restart,omitzero"`
	// Status is what the service's Inspect says, mailbox included; nil if it has none.
	Status *actors.Status `json:"status,omitempty"`
	// Children of a group or a mounted tree, in the order in which they start.
	Children []Node `json:"children,omitempty"`
}

// RestartsWithin counts the restarts that began in the window that ends now; at most 64 are known.
func (n Node) RestartsWithin(window time.Duration, now time.Time) int {
	count := 0
	for _, at := range n.RestartedAt {
		if now.Sub(at) < window {
			count++
		}
	}
	return count
}

// Flapping tells whether the child was restarted at least so many times within one window, and has not gone without a
// restart for as long as a window since: it becomes true with the last restart that is too many, and false only after
// a clean window. Restarts below 1 count as 1.
func (n Node) Flapping(restarts int, window time.Duration, now time.Time) bool {
	restarts = max(restarts, 1)
	quietSince := now
	for i := len(n.RestartedAt) - 1; i >= 0 && quietSince.Sub(n.RestartedAt[i]) < window; i-- {
		quietSince = n.RestartedAt[i]
		if last := i + restarts - 1; last < len(n.RestartedAt) && n.RestartedAt[last].Sub(quietSince) < window {
			return true
		}
	}
	return false
}

// All yields the node and all below it, parents first, in the order in which they start.
func (n Node) All() iter.Seq[Node] {
	return func(yield func(Node) bool) { n.visit(yield) }
}

func (n Node) visit(yield func(Node) bool) bool {
	if !yield(n) {
		return false
	}
	for _, child := range n.Children {
		if !child.visit(yield) {
			return false
		}
	}
	return true
}
