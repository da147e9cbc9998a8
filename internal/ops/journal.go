package ops

import (
	"strings"
	"sync"
	"time"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// remembered is how many events the journal keeps.
const remembered = 100

// Event is one thing that happened in the tree or in the pool. Fields that do not apply are empty.
type Event struct {
	At       time.Time `json:"at"`
	Who      string    `json:"who"`           // a path in the tree
	What     string    `json:"what"`          // "crashed", "outage", ...
	PID      uint32    `json:"pid,omitempty"` // of the connection's backend
	Label    string    `json:"label,omitempty"`
	Delay    float64   `json:"delay_seconds,omitempty"` // until the restart that is scheduled
	Took     float64   `json:"took_seconds,omitempty"`  // how long an outage lasted
	Attempts int       `json:"attempts,omitempty"`
	Held     float64   `json:"held_seconds,omitempty"` // how long a lease was held
	Error    string    `json:"error,omitempty"`
}

// Journal remembers the last events. Its zero value is empty and ready; its methods are safe from any goroutine.
type Journal struct {
	mu    sync.Mutex
	ring  [remembered]Event
	seen  int   // events so far; the ring's next place is its remainder
	doubt doubt // the last sign that nothing may be trusted
}

// Follow takes down what happens in a tree, and in a pool mounted at poolPath in it, until both channels are closed.
func (j *Journal) Follow(tree <-chan supervisor.Event, pool <-chan poolactor.Event, poolPath string) {
	for tree != nil || pool != nil {
		select {
		case e, open := <-tree:
			if !open {
				tree = nil
				continue
			}
			j.add(Event{
				At: e.At, Who: e.Path, What: e.Kind.String(), Delay: e.Delay.Seconds(), Error: errorText(e.Err),
			})
		case e, open := <-pool:
			if !open {
				pool = nil
				continue
			}
			j.addFromPool(e, poolPath)
		}
	}
}

func (j *Journal) addFromPool(e poolactor.Event, poolPath string) {
	j.learn(e)
	if e.Kind == poolactor.EventActor { // a path in the pool's own tree
		_, below, _ := strings.Cut(e.Actor, "/")
		j.add(Event{At: e.At, Who: strings.TrimSuffix(poolPath+"/"+below, "/"), What: e.What, Error: errorText(e.Err)})
		return
	}
	j.add(Event{
		At: e.At, Who: poolPath, What: string(e.Kind), PID: e.PID, Label: e.Label,
		Took: e.Took.Seconds(), Attempts: e.Attempts, Held: e.Held.Seconds(), Error: errorText(e.Err),
	})
}

// learn keeps what readiness depends on.
func (j *Journal) learn(e poolactor.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Kind == poolactor.EventDistrusted {
		j.doubt = doubt{at: e.At, cause: e.Err}
	}
}

func (j *Journal) add(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ring[j.seen%remembered] = e
	j.seen++
}

// Recent returns the last events, newest first, 100 at most.
func (j *Journal) Recent() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := make([]Event, 0, min(j.seen, remembered))
	for i := range min(j.seen, remembered) {
		events = append(events, j.ring[(j.seen-1-i)%remembered])
	}
	return events
}

// lastDoubt is the last sign that nothing may be trusted; the zero doubt if there was none.
func (j *Journal) lastDoubt() doubt {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.doubt
}
