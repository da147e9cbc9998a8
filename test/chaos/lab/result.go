package lab

import (
	"slices"
	"time"
)

// Result is what one experiment has measured.
type Result struct {
	Row   string `json:"row"`
	Place string `json:"place"` // process or container
	Pool  Kind   `json:"pool"`
	Round int    `json:"round"`

	Calls         int           `json:"calls"`
	FailedHolding int           `json:"failed_holding"` // calls that failed and held a lease
	FailedWaiting int           `json:"failed_waiting"` // calls that failed and held none
	Forbidden     int           `json:"forbidden"`      // of both, those that the failure rule forbids
	Examples      []string      `json:"examples,omitempty"`
	Longest       time.Duration `json:"longest_ns"`
	Dials         int           `json:"dials"`
	Busiest       int           `json:"dials_in_busiest_5s"`
	// After the server accepted again, by fault: until the first success, until the same for a control (how late anybody would
	// have been), until 95 % of the former rate.
	First   []time.Duration `json:"first_success_ns,omitempty"`
	Control []time.Duration `json:"control_ns,omitempty"`
	Rate    []time.Duration `json:"rate_back_ns,omitempty"`
	Peak    int             `json:"peak_sockets"` // sockets and dials in flight
	Max     int             `json:"max"`
	Rows    rows            `json:"rows"`

	LeasesLeft      int `json:"leases_left"`
	SocketsLeft     int `json:"sockets_left"`
	GoroutinesLeft  int `json:"goroutines_left"`
	DescriptorsLeft int `json:"descriptors_left"`

	Took   []timing `json:"took,omitempty"`
	Notes  []string `json:"notes,omitempty"`
	Broken []string `json:"broken,omitempty"` // bounds that were not kept
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// timing is how long something took, and how long without a pool.
type timing struct {
	What    string        `json:"what"`
	Took    time.Duration `json:"took_ns"`
	Control time.Duration `json:"control_ns"`
}

// timings are those of one thing, over all rounds.
func timings(rounds []Result, what string) (took, control []time.Duration) {
	for _, r := range rounds {
		for _, t := range r.Took {
			if t.What == what {
				took, control = append(took, t.Took), append(control, t.Control)
			}
		}
	}
	return took, control
}
