package figures

import (
	"bytes"
	"fmt"
	"strings"
)

// Table is every bound with what was measured, one a line, in Markdown.
func (r *Report) Table() string {
	var b bytes.Buffer
	b.WriteString("| row | measure | of | against | measured: median (least–largest) | bound | verdict |\n|---|---|---|---|---|---|---|\n")
	for _, o := range r.Outcomes {
		if why := o.LeftOut + o.Broken; why != "" {
			word := "left out"
			if o.Broken != "" {
				word = "**broken off**"
			}
			fmt.Fprintf(&b, "| %s | | | | | | %s: %s |\n", cell(o.Title), word, cell(why))
			continue
		}
		for _, v := range o.Verdicts() {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", cell(o.Title), v.Measure, cell(v.figure(o, v.Of)),
				cell(v.figure(o, v.Bound.Over)), v.text(), v.Bound, v.Word())
		}
	}
	return b.String()
}

// figure is a contestant's median with its name.
func (v Verdict) figure(o Outcome, name string) string {
	spread, ok := o.Of(name, v.Measure)
	if !ok {
		return name
	}
	return name + ": " + v.Measure.Format(spread.Median)
}

// Everybody is what each contestant of each row has shown, one measure a line, in Markdown: medians of all rounds, with the
// least and the largest.
func (r *Report) Everybody() string {
	var b bytes.Buffer
	b.WriteString("| row | measure | who: median (least–largest) |\n|---|---|---|\n")
	for _, o := range r.Outcomes {
		for _, m := range o.measures() {
			var shown []string
			for _, name := range o.Order {
				if s, ok := o.Of(name, m); ok {
					shown = append(shown, fmt.Sprintf("%s: %s (%s–%s)", name, m.Format(s.Median), m.Format(s.Low), m.Format(s.High)))
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(o.Title), m, cell(strings.Join(shown, "; ")))
		}
	}
	return b.String()
}

// Setups is how the rows were run, one line for each that says so.
func (r *Report) Setups() string {
	var b bytes.Buffer
	for _, o := range r.Outcomes {
		if o.Setup != "" {
			fmt.Fprintf(&b, "- %s: %s\n", o.Title, o.Setup)
		}
	}
	return b.String()
}

// Summary says in a sentence how many bounds were kept.
func (r *Report) Summary() string {
	outside, judged := r.Outside()
	return fmt.Sprintf("%d bounds judged: %d inside, %d outside; %d rows broken off; it took %s", judged, judged-outside, outside, r.Broken(), r.Took)
}

// cell makes one cell of a table out of a text.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
