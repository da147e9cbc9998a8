package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"text/template"
	"time"
)

var page = template.Must(template.New("page").Parse(`# What each fault did to each pool

Made by ` + "`{{.Found.Command}}`" + ` on {{.Found.Date}}{{with .Found.Machine.Commit}}, commit {{.}}{{end}}.
Machine: {{.Found.Machine}}.

{{.Found.Summary}}.

Each pool has {{.Size}} connections and {{.Callers}} callers with deadlines of {{.Patience}}, unless the last column says
otherwise: reads, statements of 20 ms, and inserts of a key. Half of the calls hold a connection while they work, the other half
leave it to the pool which one they get. "Forbidden" are failures that the rule does not allow (README, "What it promises"); the
peers promise nothing of the kind, theirs are counted for comparison. Times are medians over all rounds, and are judged if there
are at least {{.Rounds}} measurements; counts are the worst round's. The longest call is told with its
statement, not with its wait alone. "Left" counts leases, sockets, goroutines, descriptors and the server's processes after the
pool was closed.

Delays of this machine soften the rule: a failure on a connection that its caller got later than {{.Grace}} after the backend's
death is excused if the two longest delays in between, one after the other, make up for the rest; where more than {{.Anyway}} and one
in {{.OneIn}} of a round's failures need that, its bounds are not kept.

{{.Table}}
<details><summary>everything that was measured, as JSON</summary>

` + "```json\n{{.JSON}}\n```" + `

</details>
`))

// findings are a report for programs.
type findings struct {
	Command string  `json:"command"`
	Date    string  `json:"date"`
	Machine machine `json:"machine"`
	Summary string  `json:"summary"`
	Rows    []found `json:"rows"`
}

// found is one row of it.
type found struct {
	Row     string   `json:"row"`
	Fault   string   `json:"fault"`
	Verdict string   `json:"verdict"`
	Wrong   []string `json:"wrong,omitempty"`
	LeftOut string   `json:"left_out,omitempty"`
	Broken  string   `json:"broken_off,omitempty"`
	Results []Result `json:"results,omitempty"`
}

// findings are what was found, and where.
func (r *Report) findings(ctx context.Context) findings {
	f := findings{Command: r.command, Date: time.Now().Format(time.DateOnly), Machine: thisMachine(ctx), Summary: r.Summary()}
	for _, o := range r.outcomes {
		row := found{Row: o.Row.ID, Fault: o.Row.Fault, Verdict: o.Verdict(), Wrong: o.Wrong, LeftOut: o.LeftOut}
		if o.Err != nil {
			row.Broken = o.Err.Error()
		}
		row.Results = append(append(row.Results, o.Ours...), o.Peers...)
		f.Rows = append(f.Rows, row)
	}
	return f
}

// WriteFile writes the table and all results to a file.
func (r *Report) WriteFile(ctx context.Context, name string) error {
	var table, text bytes.Buffer
	if err := r.Table(&table); err != nil {
		return err
	}
	found := r.findings(ctx)
	raw, err := json.MarshalIndent(found, "", " ")
	if err != nil {
		return err
	}
	err = page.Execute(&text, map[string]any{
		"Found": found, "Table": table.String(), "JSON": string(raw),
		"Size": defaultSize, "Callers": defaultCallers, "Patience": patience, "Rounds": timedRounds,
		"Grace": Grace, "Anyway": excusedAnyway, "OneIn": excusedOneIn,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(name, text.Bytes(), 0o644)
}
