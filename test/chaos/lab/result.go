package lab

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Result is what one experiment has measured.
type Result struct {
	Row   string `json:"row"`
	Place string `json:"place"` // process or container
	Pool  Kind   `json:"pool"`
	Round int    `json:"round"`
	Setup string `json:"setup,omitempty"` // where it differs from the usual one

	Calls         int           `json:"calls"`
	FailedHolding int           `json:"failed_holding"` // calls that failed and held a lease
	FailedWaiting int           `json:"failed_waiting"` // calls that failed and held none
	Forbidden     int           `json:"forbidden"`      // of both, those that the failure rule forbids
	Examples      []string      `json:"examples,omitempty"`
	Errors        []failure     `json:"errors,omitempty"` // what the calls failed with, the most frequent first
	Longest       time.Duration `json:"longest_ns"`       // call, from its beginning to its end
	Dials         int           `json:"dials"`
	Busiest       int           `json:"dials_in_busiest_5s"`
	// After the server accepted again, by fault: until the first success, and until 95 % of the former rate, each with its
	// control: how late anybody would have been.
	First       []time.Duration `json:"first_success_ns,omitempty"`
	Control     []time.Duration `json:"control_ns,omitempty"`
	Rate        []time.Duration `json:"rate_back_ns,omitempty"`
	RateControl []time.Duration `json:"rate_control_ns,omitempty"`
	Peak        int             `json:"peak_sockets"` // sockets and dials in flight
	Max         int             `json:"max"`
	Rows        rows            `json:"rows"`

	LeasesLeft      int `json:"leases_left"`
	SocketsLeft     int `json:"sockets_left"`
	GoroutinesLeft  int `json:"goroutines_left"`
	DescriptorsLeft int `json:"descriptors_left"`
	// By pg_stat_activity, when the callers had stopped, and when the pool was closed; negative: the server did not tell.
	Backends     int `json:"backends"`
	BackendsLeft int `json:"backends_left"`

	Seen sighting  `json:"seen_by_server"`       // by pg_stat_activity, meanwhile
	Log  []failure `json:"server_log,omitempty"` // what the server complained about, the most frequent first

	Took   []timing `json:"took,omitempty"`
	Notes  []string `json:"notes,omitempty"`
	Broken []string `json:"broken,omitempty"` // bounds that were not kept
}

// left is how many things a pool is known to have left behind.
func (r Result) left() int {
	return r.LeasesLeft + r.SocketsLeft + r.GoroutinesLeft + r.DescriptorsLeft + max(0, r.BackendsLeft)
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

// failure is a kind of error, of the calls or of the server.
type failure struct {
	Error string `json:"error"`
	Times int    `json:"times"`
}

// mostFailures is how many kinds of errors are told.
const mostFailures = 8

// accident is what differs between errors of one kind: how long something took, and numbers of processes and ports. SQLSTATEs
// stay.
var accident = regexp.MustCompile(`SQLSTATE \w{5}|\b[0-9][0-9.]*(?:ns|µs|ms|s|m[0-9.]+s)\b|\b[0-9]{4,}\b`)

// failuresOf sums up what calls failed with.
func failuresOf(calls []Call) []failure {
	var errors []string
	for _, c := range calls {
		if c.Err != nil {
			errors = append(errors, c.Err.Error())
		}
	}
	return mostFrequent(errors)
}

// mostFrequent counts errors by their kind, the most frequent first.
func mostFrequent(errors []string) (all []failure) {
	times := make(map[string]int)
	for _, text := range errors {
		times[accident.ReplaceAllStringFunc(text, func(found string) string {
			if strings.HasPrefix(found, "SQLSTATE") {
				return found
			}
			return "#"
		})]++
	}
	for text, n := range times {
		all = append(all, failure{text, n})
	}
	slices.SortFunc(all, func(a, b failure) int { return cmp.Or(b.Times-a.Times, strings.Compare(a.Error, b.Error)) })
	return all[:min(len(all), mostFailures)]
}
