package actors

import "time"

// State is what an actor is doing.
type State uint32

// An actor goes from Down through Starting to Waiting and Handling in turn, and through Stopping back to Down, or to
// Stopped.
const (
	// Down is the state between two lives, and before the first. Messages wait in the mailbox.
	Down State = iota
	// Starting is the state during Behavior.Start.
	Starting
	// Waiting is the state of a life that has nothing to do.
	Waiting
	// Handling is the state during Behavior.Handle.
	Handling
	// Stopping is the state during Stopper.Stop.
	Stopping
	// Stopped is the state after an ordered stop: no message is taken.
	Stopped
)

var stateNames = [...]string{"down", "starting", "waiting", "handling", "stopping", "stopped"}

// String is the state's name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText makes JSON and logs show the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Status is a snapshot of an actor, made of atomics, so it is there while a handler hangs and while no life runs. Its
// fields are read one after the other: in an actor that works they may be a message apart.
type Status struct {
	// Name is Options.Name, or what stands for it.
	Name string `json:"name"`
	// State is what the actor does.
	State State `json:"state"`
	// Since is when State began.
	Since time.Time `json:"since"`
	// Lives counts the lives begun.
	Lives uint64 `json:"lives"`
	// Crashes counts the lives that ended in an error or a panic.
	Crashes uint64 `json:"crashes"`
	// Handled counts the messages that were handled, those that crashed a life included, the one in hand not.
	Handled uint64 `json:"handled"`
	// Mailbox is how many messages wait. Answers to Post come in beside the mailbox's capacity and count here, too, so
	// it can exceed Capacity.
	Mailbox int `json:"mailbox"`
	// Capacity is how many messages the mailbox has room for.
	Capacity int `json:"capacity"`
	// LastErr is how the last crashed life ended; empty if none did.
	LastErr string `json:"last_err,omitempty"`
	// LastErrAt is when it ended.
	LastErrAt time.Time `json:"last_err_at,omitzero"`
}
