package lab

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// Report is what the laboratory has found.
type Report struct {
	outcomes []Outcome
	command  string
}

// NewReport makes a report of rows that ran, by a command.
func NewReport(outcomes []Outcome, command string) *Report { return &Report{outcomes, command} }

// Outside counts the rows in which our pool did not keep its bounds.
func (r *Report) Outside() int { return r.count(func(o Outcome) bool { return len(o.Wrong) > 0 }) }

func (r *Report) count(of func(Outcome) bool) (n int) {
	for _, o := range r.outcomes {
		if of(o) {
			n++
		}
	}
	return n
}

// Summary says how many rows ran, and what became of them.
func (r *Report) Summary() string {
	return fmt.Sprintf("%d rows: %d inside their bounds, %d outside, %d left out, %d broken off; in %d of those inside, times were not judged",
		len(r.outcomes),
		r.count(func(o Outcome) bool { return o.Judged && len(o.Wrong) == 0 }), r.Outside(),
		r.count(func(o Outcome) bool { return o.LeftOut != "" }),
		r.count(func(o Outcome) bool { return o.Err != nil }),
		r.count(func(o Outcome) bool { return o.Judged && len(o.Wrong) == 0 && !o.timesJudged() }))
}

// Verdict says in words whether our pool kept the bounds of a row.
func (o Outcome) Verdict() string {
	switch {
	case o.LeftOut != "":
		return "left out"
	case !o.Judged:
		return "broken off"
	case len(o.Wrong) > 0:
		return "outside"
	case !o.timesJudged():
		return "kept, times not judged"
	default:
		return "kept"
	}
}

// timesJudged tells whether there were enough measurements for all bounds in time: one that takes no offence at years, and
// would if they were measured five times, has not judged.
func (o Outcome) timesJudged() bool {
	years := func(d []time.Duration) []time.Duration { return slices.Repeat([]time.Duration{math.MaxInt64}, len(d)) }
	var slow []Result
	for _, r := range o.Ours {
		r.First, r.Rate, r.Took = years(r.First), years(r.Rate), slices.Clone(r.Took)
		for i := range r.Took {
			r.Took[i].Took = math.MaxInt64
		}
		slow = append(slow, r)
	}
	for _, bound := range o.Row.Bounds {
		if bound(slow) == "" && bound(slices.Repeat(slow, timedRounds)) != "" {
			return false
		}
	}
	return true
}

const head = `| row | fault | pool | failed holding / waiting (forbidden) | longest call | dials (5 s) | first success (control) | 95 % of the rate (control) | sockets / max | rows lost, doubled; unknown there, not | left | verdict | notes |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
`

// Table prints one line for each row and pool, in Markdown.
func (r *Report) Table(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(head)
	for _, o := range r.outcomes {
		verdict := cell(strings.Join(append([]string{"**" + o.Verdict() + "**"}, o.Wrong...), "; "))
		if o.LeftOut != "" || len(o.Ours) == 0 {
			fmt.Fprintf(&b, "| %s | %s | %s | | | | | | | | | %s | %s |\n", o.Row.ID, o.Row.Fault, Ours, verdict, cell(o.LeftOut))
		}
		line(&b, o.Row, o.Ours, verdict)
		for _, p := range o.Peers {
			line(&b, o.Row, []Result{p}, "")
		}
		if o.Err != nil {
			fmt.Fprintf(&b, "| %s | %s | the laboratory | | | | | | | | | | broken off: %s |\n", o.Row.ID, o.Row.Fault, cell(o.Err.Error()))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// line sums up the rounds of one pool: the worst of each count, the median of each time.
func line(b *bytes.Buffer, row Row, rounds []Result, verdict string) {
	if len(rounds) == 0 {
		return
	}
	worst := func(of func(Result) int) (n int) {
		for _, r := range rounds {
			n = max(n, of(r))
		}
		return n
	}
	fmt.Fprintf(b, "| %s | %s | %s | %d / %d (%d) | %s | %d (%d) | %s | %s | %d / %d | %d, %d; %d, %d | %d | %s | %s |\n",
		row.ID, row.Fault, rounds[0].Pool,
		worst(func(r Result) int { return r.FailedHolding }), worst(func(r Result) int { return r.FailedWaiting }),
		worst(func(r Result) int { return r.Forbidden }),
		short(time.Duration(worst(func(r Result) int { return int(r.Longest) }))),
		worst(func(r Result) int { return r.Dials }), worst(func(r Result) int { return r.Busiest }),
		withControl(times(rounds, func(r Result) []time.Duration { return r.First }),
			times(rounds, func(r Result) []time.Duration { return r.Control })),
		withControl(times(rounds, func(r Result) []time.Duration { return r.Rate }),
			times(rounds, func(r Result) []time.Duration { return r.RateControl })),
		worst(func(r Result) int { return r.Peak }), rounds[0].Max,
		worst(func(r Result) int { return r.Rows.Missing }), worst(func(r Result) int { return r.Rows.Doubled }),
		worst(func(r Result) int { return r.Rows.UnknownPresent }), worst(func(r Result) int { return r.Rows.UnknownAbsent }),
		worst(Result.left), verdict, cell(strings.Join(remarks(rounds), "; ")))
}

// cell makes one cell of a table out of a text.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// remarks are how a row is set up, what it has measured for itself, as medians, and what it notes.
func remarks(rounds []Result) (all []string) {
	add := func(text string) {
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	if setup := rounds[0].Setup; setup != "" {
		add("with " + setup)
	}
	for _, r := range rounds {
		for _, t := range r.Took {
			took, control := timings(rounds, t.What)
			add(fmt.Sprintf("%s: %s (control %s)", t.What, short(median(took)), short(median(control))))
		}
	}
	for _, r := range rounds {
		for _, note := range r.Notes {
			add(note)
		}
	}
	return all
}

func times(rounds []Result, of func(Result) []time.Duration) string {
	var all []time.Duration
	for _, r := range rounds {
		all = append(all, of(r)...)
	}
	if len(all) == 0 {
		return ""
	}
	return short(median(all))
}

// withControl puts a control in parentheses, if there is one.
func withControl(measured, control string) string {
	if control == "" {
		return measured
	}
	return measured + " (" + control + ")"
}

func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
