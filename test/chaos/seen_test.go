package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
)

func TestWhoWasThereIsCounted(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	run := func(began, granted, ended int) judge.Call {
		c := judge.Call{Began: at(began), Ended: at(ended)}
		if granted > 0 {
			c.Granted = at(granted)
		}
		return c
	}
	for name, c := range map[string]struct {
		call         judge.Call
		held, waited int
	}{
		"over before":      {run(900, 901, 999), 0, 0},
		"held a lease":     {run(990, 995, 1500), 1, 0},
		"waited for one":   {run(990, 1400, 1500), 0, 1},
		"never got one":    {run(990, 0, 1500), 0, 1},
		"began only after": {run(1001, 1400, 1500), 0, 0},
	} {
		held, waited := there([]judge.Call{c.call}, at(1000))
		require.Equal(t, [2]int{c.held, c.waited}, [2]int{held, waited}, name)
	}
}

func TestAMachineThatIsHardlyLateExcusesNothing(t *testing.T) {
	ms := func(n ...time.Duration) (d []time.Duration) {
		for _, one := range n {
			d = append(d, one*time.Millisecond)
		}
		return d
	}
	require.Zero(t, excuse(ms(9, 4, 500)))
	require.Equal(t, 10*time.Millisecond, excuse(ms(10, 4, 500)))
	require.Equal(t, 30*time.Millisecond, excuse(ms(30, 20, 500)))
}
