package supervisor

import (
	"context"
	"time"

	"github.com/thejerf/suture/v4"
)

// Strategy says who is restarted when a child of a group failed.
type Strategy int

const (
	// OneForOne restarts the failed child alone. For children that do not depend on each other.
	OneForOne Strategy = iota
	// RestForOne stops the children after the failed one, last first, and starts the failed one and them again, in
	// order. For children of which each needs those before it.
	RestForOne
	// OneForAll stops all children, last first, and starts all again, in order. For children that make sense only
	// together.
	OneForAll
)

// String gives the name as it is written in Go.
func (s Strategy) String() string {
	switch s {
	case OneForOne:
		return "OneForOne"
	case RestForOne:
		return "RestForOne"
	case OneForAll:
		return "OneForAll"
	default:
		return "unknown strategy"
	}
}

// members tells which of n children are restarted when the one at index i failed: those in [first, last).
func (s Strategy) members(i, n int) (first, last int) {
	switch s {
	case RestForOne:
		return i, n
	case OneForAll:
		return 0, n
	default:
		return i, i + 1
	}
}

// Child describes one supervised service and how it is kept running.
type Child struct {
	// Name is the last step of the child's path; not empty, without "/", unique in its group.
	Name string
	// New makes the service, once for each life. It may return the same one each time if that can be served again,
	// as an actor can; a suture.Supervisor and a Tree cannot. New is called in the child's failure domain: a panic in
	// it is a failure of the child. The service's String method is never called.
	//
	// A service with an Inspect() actors.Status method is taken for an actor: its status is shown in the tree's
	// snapshot and tells when it is ready, and when it is stopped between a failure and the next life, it is served once
	// more with a context that has ended, which is how an actor learns that whoever waits for its next life waits in
	// vain. One with a Snapshot() Node method is shown as that subtree. Inspect and Snapshot are called from any
	// goroutine at any time.
	New func() suture.Service
	// Ready is called in each life, beside Serve, and returns nil when the service can be used: the child after this
	// one starts only then. An error or a panic is a failure of the child, and so ends the life. It must return when
	// its context ends, which is when the life does; there is no other bound, so a Ready that should not wait for
	// ever bounds itself. Nil means ready when Serve is called, and for an actor, when its Start has returned: when its
	// status is actors.Waiting or actors.Handling.
	Ready func(ctx context.Context) error
	// Restart is what happens after a failure; the zero value is the default policy.
	Restart Restart
	// StopTimeout is how long the service may take to stop; 0 means 10 s. When it is over the tree goes on without
	// it: an ordered stop reports it in a *StopError; where the service was to be restarted, the tree gives up, since
	// a second life beside a hanging first one could only do harm.
	StopTimeout time.Duration

	// group is set if the child was made by Group.Child.
	group *Group
}

// Group describes children that are started in order, each when the one before is ready, and stopped in reverse order.
type Group struct {
	// Name is a step of the paths of all that is below; the rules are those of Child.Name.
	Name string
	// Strategy says who is restarted when a child failed; the zero value is OneForOne.
	Strategy Strategy
	// Children in the order in which they start. A group without any is ready at once.
	Children []Child
	// StopTimeout is how long the group may take to stop. Since its children stop one after the other it must be at
	// least the sum of theirs; 0 means that sum.
	StopTimeout time.Duration
}

// Child makes a group a child of another group: groups nest. It is ready when all its children are. Its Restart is
// Never: a group in which a child cannot be kept running ends the tree. With another policy the group around it restarts
// it instead, as it would any child.
func (g Group) Child() Child {
	return Child{Name: g.Name, Restart: Restart{Never: true}, StopTimeout: g.StopTimeout, group: &g}
}
