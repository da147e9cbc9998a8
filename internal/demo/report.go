package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
)

// report is the summary.
type report struct {
	took     time.Duration
	kills    []*kill
	restarts int
	figures  figures
	latency  *distribution
	longest  time.Duration
	rule     judge.Verdict
	table    audit
	misread  int64
}

// kept tells whether everything was as promised. A demo without a kill has shown nothing.
func (r report) kept() bool {
	return len(r.kills) > 0 && r.rule.Broken() == 0 && r.table.sound() && r.misread == 0
}

// String is the summary for people.
func (r report) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-12s "+format+"\n", append([]any{name}, args...)...)
	}
	f := r.figures
	fmt.Fprintf(&b, "\nAfter %s:\n", tenths(r.took))
	line("kills", "%d; %d restarts by the tree", len(r.kills), r.restarts)
	line("calls", "%s acknowledged (%s reads, %s transactions)", grouped(f.acknowledged), grouped(f.reads), grouped(f.writes))
	if least, ok := r.leastBetweenKills(); ok {
		line("", "at least %s between two kills", grouped(least))
	}
	line("latency", "p50 %s, p99 %s, longest %s", digits(r.latency.quantile(0.5)), digits(r.latency.quantile(0.99)), digits(r.longest))
	line("failed", "%d, and %d whose commit's outcome is unknown", f.failed, f.unknown)
	line("", "%d allowed by the rule, %d not", r.rule.Permitted, r.rule.Broken())
	line("", "as far as the judge's clock tells, which the machine held up for %s", digits(r.lag()))
	line("keys", "%s acknowledged, %d of them missing, %d there twice, %d there that must not be",
		grouped(int64(r.table.acknowledged)), r.table.missing, r.table.twice, r.table.ghosts)
	line("", "%d unknown, of which %d turned out to be there; %d reads found something else", r.table.unknown, r.table.arrived, r.misread)
	r.faults(&b)
	return b.String()
}

// leastBetweenKills is the least number of calls that were acknowledged between one kill and the next.
func (r report) leastBetweenKills() (least int64, ok bool) {
	for i := 1; i < len(r.kills); i++ {
		if n := r.kills[i].calls - r.kills[i-1].calls; i == 1 || n < least {
			least = n
		}
	}
	return least, len(r.kills) > 1
}

// lag is how inexact the times of deaths and leases are at most.
func (r report) lag() time.Duration {
	var lag time.Duration
	for _, k := range r.kills {
		lag = max(lag, k.fault.Lag)
	}
	return lag
}

// faults tells the end of it.
func (r report) faults(b *strings.Builder) {
	for _, breach := range r.rule.Breaches {
		fmt.Fprintf(b, "  broken       %d times: %s\n               the first: %s\n", breach.Times, breach.What, breach.First)
	}
	switch {
	case r.kept():
		b.WriteString("\nThe pool kept its promise: an outage is latency, not an error.")
	case len(r.kills) == 0:
		b.WriteString("\nNothing was killed, so nothing was shown.")
	default:
		b.WriteString("\nThe promise is broken.")
	}
}
