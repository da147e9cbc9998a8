package figures

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// unit is a measure's in Go's benchmark format.
func (m Measure) unit() string {
	switch m {
	case Time:
		return "ns/op"
	case Allocs:
		return "allocs/op"
	case Throughput:
		return "op/s"
	default:
		return strings.NewReplacer(" ", "-", "/", "by").Replace(string(m))
	}
}

// words makes one word of a name: benchstat ends a name at a space, and a part of it at a slash.
var words = strings.NewReplacer(" ", "_", "/", "-")

// Rounds is every round in Go's benchmark format, which benchstat reads: a line for each turn, with the contestant as the
// part "who" of its name.
func (r *Report) Rounds() string {
	var b bytes.Buffer
	for _, m := range []Measure{Throughput, Least} {
		fmt.Fprintf(&b, "Unit %s better=higher\n", m.unit())
	}
	for _, o := range r.Outcomes {
		row := strings.ToUpper(o.ID[:1]) + o.ID[1:]
		for _, round := range o.Rounds {
			for _, name := range o.Order {
				line := ""
				for _, m := range o.measures() {
					if v, ok := round[name][m]; ok {
						line += " " + strconv.FormatFloat(v, 'g', 6, 64) + " " + m.unit()
					}
				}
				if line != "" {
					fmt.Fprintf(&b, "Benchmark%s/who=%s 1%s\n", row, words.Replace(name), line)
				}
			}
		}
	}
	return b.String()
}
