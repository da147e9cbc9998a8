package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/template"
	"time"
)

// Report is what the laboratory has found.
type Report struct{ outcomes []Outcome }

// NewReport makes a report of rows that ran.
func NewReport(outcomes []Outcome) *Report { return &Report{outcomes} }

// Outside counts the rows in which our pool did not keep its bounds.
func (r *Report) Outside() (n int) {
	for _, o := range r.outcomes {
		if len(o.Wrong) > 0 {
			n++
		}
	}
	return n
}

const head = `| row | fault | pool | failed holding / waiting (forbidden) | longest | dials (5 s) | first success (control) | 95 % of the rate | sockets / max | rows lost, doubled; unknown there, not | left | verdict | notes |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
`

// Table prints one line for each row and pool, in Markdown.
func (r *Report) Table(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(head)
	for _, o := range r.outcomes {
		if o.LeftOut != "" {
			fmt.Fprintf(&b, "| %s | %s | left out | | | | | | | | | | %s |\n", o.Row.ID, o.Row.Fault, o.LeftOut)
		}
		line(&b, o.Row, o.Ours, "**kept**", o.Wrong)
		for _, p := range o.Peers {
			line(&b, o.Row, []Result{p}, "", nil)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// line sums up the rounds of one pool: the worst of each count, the median of each time.
func line(b *bytes.Buffer, row Row, rounds []Result, verdict string, wrong []string) {
	if len(rounds) == 0 {
		return
	}
	if len(wrong) > 0 {
		verdict = "**outside**: " + strings.Join(wrong, "; ")
	}
	worst := func(of func(Result) int) (n int) {
		for _, r := range rounds {
			n = max(n, of(r))
		}
		return n
	}
	left := worst(func(r Result) int { return r.LeasesLeft + r.SocketsLeft + r.GoroutinesLeft + r.DescriptorsLeft })
	fmt.Fprintf(b, "| %s | %s | %s | %d / %d (%d) | %s | %d (%d) | %s | %s | %d / %d | %d, %d; %d, %d | %d | %s | %s |\n",
		row.ID, row.Fault, rounds[0].Pool,
		worst(func(r Result) int { return r.FailedHolding }), worst(func(r Result) int { return r.FailedWaiting }),
		worst(func(r Result) int { return r.Forbidden }),
		short(time.Duration(worst(func(r Result) int { return int(r.Longest) }))),
		worst(func(r Result) int { return r.Dials }), worst(func(r Result) int { return r.Busiest }),
		withControl(times(rounds, func(r Result) []time.Duration { return r.First }),
			times(rounds, func(r Result) []time.Duration { return r.Control })),
		times(rounds, func(r Result) []time.Duration { return r.Rate }),
		worst(func(r Result) int { return r.Peak }), rounds[0].Max,
		worst(func(r Result) int { return r.Rows.Missing }), worst(func(r Result) int { return r.Rows.Doubled }),
		worst(func(r Result) int { return r.Rows.UnknownPresent }), worst(func(r Result) int { return r.Rows.UnknownAbsent }),
		left, verdict, strings.Join(remarks(rounds), "; "))
}

// remarks are what a row has measured for itself, as medians, and what it notes.
func remarks(rounds []Result) (all []string) {
	add := func(text string) {
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
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

var page = template.Must(template.New("page").Parse(`# What each fault did to each pool

Made by ` + "`{{.Command}}`" + ` on {{.Date}}: {{.System}}, {{.Processors}} processors, {{.Go}}.

Each pool has 20 connections and 32 callers with deadlines of 30 s, unless the row says otherwise: reads, statements of 20 ms,
and transactions that insert a key. "Forbidden" are failures that the rule does not allow (README, "What it promises"); the
peers promise nothing of the kind, theirs are counted for comparison. Times are medians over all rounds; counts are the worst
round's. "Left" counts leases, sockets, goroutines and descriptors after the pool was closed.

{{.Table}}
<details><summary>everything that was measured, as JSON</summary>

` + "```json\n{{.JSON}}\n```" + `

</details>
`))

// WriteFile writes the table and all results to a file.
func (r *Report) WriteFile(name string) error {
	var table, text bytes.Buffer
	if err := r.Table(&table); err != nil {
		return err
	}
	var all []Result
	for _, o := range r.outcomes {
		all = append(append(all, o.Ours...), o.Peers...)
	}
	raw, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	err = page.Execute(&text, map[string]any{
		"Command": "make chaos", "Date": time.Now().Format(time.DateOnly), "System": runtime.GOOS + "/" + runtime.GOARCH,
		"Processors": runtime.NumCPU(), "Go": runtime.Version(), "Table": table.String(), "JSON": string(raw),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(name, text.Bytes(), 0o644)
}
