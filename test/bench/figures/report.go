package figures

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// Row is one line of what is compared.
type Row struct {
	ID     string  `json:"id"`              // "acquire/32"
	Title  string  `json:"title"`           // for people
	Setup  string  `json:"setup,omitempty"` // how the pools are configured, and what the callers do
	X      float64 `json:"x,omitempty"`     // where the row stands on the axis of its plot
	Bounds []Bound `json:"bounds,omitempty"`
}

// Outcome is a row that was run.
type Outcome struct {
	Row
	Order   []string `json:"order"` // the contestants, ours first
	Rounds  []Round  `json:"rounds,omitempty"`
	LeftOut string   `json:"left_out,omitempty"` // why it was not
	Broken  string   `json:"broken,omitempty"`   // what broke it off
}

// Verdicts are the bounds of a row, judged.
func (o Outcome) Verdicts() []Verdict {
	verdicts := make([]Verdict, len(o.Bounds))
	for i, b := range o.Bounds {
		verdicts[i] = b.Judge(o.Rounds)
	}
	return verdicts
}

// Of is where one contestant's figures of a measure lie, and whether there are any.
func (o Outcome) Of(contestant string, m Measure) (Spread, bool) {
	values := Bound{Of: contestant, Measure: m}.values(o.Rounds)
	return SpreadOf(values), len(values) > 0
}

// measures are those that any contestant showed, in the order in which they are written here.
func (o Outcome) measures() []Measure {
	var found []Measure
	for _, m := range []Measure{
		Time, Work, Throughput, P99, Tail, Least, Allocs, Memory, Dials, Served, First, Failed, Wakeups, Switches, Goroutines, CPU,
	} {
		for _, name := range o.Order {
			if _, ok := o.Of(name, m); ok {
				found = append(found, m)
				break
			}
		}
	}
	return found
}

// Report is a whole run. Its JSON is what later runs are compared with.
type Report struct {
	Command  string    `json:"command"`
	Machine  string    `json:"machine"`
	Commit   string    `json:"commit,omitempty"`
	Took     string    `json:"took"`
	Settings string    `json:"settings"` // those of our pool that cost something, as they were
	Peers    string    `json:"peers"`    // with their versions
	Outcomes []Outcome `json:"outcomes"`
}

// Outside counts the bounds that were not kept, and all that were judged.
func (r *Report) Outside() (outside, judged int) {
	for _, o := range r.Outcomes {
		for _, v := range o.Verdicts() {
			if v.Rounds == 0 {
				continue
			}
			judged++
			if !v.Inside() {
				outside++
			}
		}
	}
	return outside, judged
}

// Broken counts the rows that were broken off.
func (r *Report) Broken() (n int) {
	for _, o := range r.Outcomes {
		if o.Broken != "" {
			n++
		}
	}
	return n
}

// JSON is the report with a line for each row, so that a difference between two of them can be read.
func (r *Report) JSON() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	text = bytes.ReplaceAll(text, []byte(`{"id":`), []byte("\n"+`{"id":`)) // inside of a text the quotes would be escaped
	return append(text, '\n'), nil
}

// Read reads the report of an earlier run.
func Read(file string) (*Report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(Report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s is not a report of make bench: %w", file, err)
	}
	return r, nil
}
