package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// This file holds the laboratory itself to account: the row that is about a safeguard has to say what is missing of our pool
// without it, and must not say so of the whole pool.

// safeguard is something that keeps the pool's promise.
type safeguard struct {
	without Kind     // the pool that lacks it
	row     string   // the row that has to notice
	says    []string // what the row has to say then, all of it
	off     func(*poolactor.Config)
	// unfenced hands out the connections themselves, which know no end of a lease.
	unfenced bool
	// unseen leaves the raw connections alone: a lease that has shown its own is cleaned whatever the policy is.
	unseen bool
}

var safeguards = []safeguard{{
	without: "supervised without its retry", row: "1-1", says: []string{"failures that the rule forbids"},
	off: func(c *poolactor.Config) { c.Retry.FailFast, c.Retry.MaxRetries = true, -1 },
}, {
	without: "supervised without its check at hand-off", row: "3-rest", says: []string{"calls failed, none may"},
	off: func(c *poolactor.Config) { c.Health.OnAcquire = poolactor.CheckNever },
}, {
	without: "supervised without its fences", row: "16-stale", unfenced: true,
	says: []string{"statements of somebody who had released", "settings of somebody who had released", "acknowledged rows missing"},
}, {
	without: "supervised without its reset", row: "16-session", unseen: true,
	says: []string{
		"settings", "another role", "a setting of somebody's own", "advisory locks", "temporary tables", "channels",
		"prepared statements", "cursors",
	},
	off: func(c *poolactor.Config) { c.Reset = poolactor.ResetNone },
}}

// safeguardOf is what a pool lacks; nil: nothing.
func safeguardOf(kind Kind) *safeguard {
	i := slices.IndexFunc(safeguards, func(s safeguard) bool { return s.without == kind })
	if i < 0 {
		return nil
	}
	return &safeguards[i]
}

// Honest switches each safeguard of our pool off in turn, and returns an error if the row that is about it does not say what
// is missing, or says so of the whole pool, too.
func (l *Lab) Honest(ctx context.Context) error {
	var dishonest []error
	all := Rows()
	for _, s := range safeguards {
		row := all[slices.IndexFunc(all, func(r Row) bool { return r.ID == s.row })]
		for _, kind := range []Kind{Ours, s.without} {
			r, err := l.once(ctx, row, kind, 1)
			if err != nil {
				return fmt.Errorf("row %s, %s: %w", row.ID, kind, err)
			}
			wrong := row.wrong([]Result{r})
			l.tell("%s: %s\n", row.ID, verdict(wrong))
			for _, what := range s.says {
				if said := strings.Contains(strings.Join(wrong, "; "), what); said != (kind == s.without) {
					dishonest = append(dishonest, fmt.Errorf("row %s, %s, %q was said: %t", row.ID, kind, what, said))
				}
			}
		}
	}
	return errors.Join(dishonest...)
}
