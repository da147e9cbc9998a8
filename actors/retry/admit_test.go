package retry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

func TestAdmission(t *testing.T) {
	now := time.Unix(1000, 0)
	up := messages.Outage{}
	due := messages.Outage{Since: now.Add(-time.Second), NotBefore: now}
	early := messages.Outage{Since: now.Add(-time.Second), NotBefore: now.Add(1)}
	for _, c := range []struct {
		name             string
		s                situation
		scheduled, scout admission
	}{
		{"room", situation{outage: up, dials: 3}, begin, begin},
		{"full", situation{outage: up, dials: 4, fresh: true}, hold, giveBack},
		{"full and hanging, but nothing is known of an outage", situation{outage: up, dials: 4, spare: true}, hold, giveBack},
		{"down, due", situation{outage: due}, begin, begin},
		{"down, too early", situation{outage: early}, giveBack, begin},
		{"down, a dial may log in any moment", situation{outage: due, dials: 1, fresh: true}, begin, giveBack},
		{"down, full, all hang", situation{outage: due, dials: 4, spare: true}, replace, replace},
		{"down, full, the second is young", situation{outage: due, dials: 4}, hold, giveBack},
		{"down, too many calls", situation{outage: due, spent: scoutBudget}, begin, giveBack},
		{"up, many calls", situation{outage: up, spent: scoutBudget}, begin, begin},
	} {
		c.s.now, c.s.maxDials = now, 4
		require.Equal(t, c.scheduled, c.s.admit(false), c.name)
		require.Equal(t, c.scout, c.s.admit(true), c.name+" (scout)")
	}
}

func TestAdmissionProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		s := situation{
			now: now, maxDials: rapid.IntRange(1, 5).Draw(t, "max"), dials: rapid.IntRange(0, 6).Draw(t, "dials"),
			fresh: rapid.Bool().Draw(t, "fresh"), spare: rapid.Bool().Draw(t, "spare"),
			spent: rapid.IntRange(0, 100).Draw(t, "spent"),
		}
		if rapid.Bool().Draw(t, "down") {
			s.outage.Since = now
			s.outage.NotBefore = now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "due")))
		}
		scout := rapid.Bool().Draw(t, "scout")
		switch s.admit(scout) {
		case begin:
			require.Less(t, s.dials, s.maxDials)
		case replace:
			require.GreaterOrEqual(t, s.dials, s.maxDials)
			require.True(t, s.spare)
		case hold:
			require.False(t, scout, "scouts are not kept")
		case giveBack:
			require.True(t, scout || now.Before(s.outage.NotBefore), "a scheduled order whose time has come is dialled")
		}
	})
}
