package ops

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// well are the facts of a daemon that is ready.
func well() facts {
	return facts{
		now: now, started: now.Add(-time.Hour), tree: goodTree(), poolPath: poolPath,
		contact: poolactor.Contact{Open: 5, Verified: 5, Alive: now.Add(-100 * time.Millisecond)},
		greeted: now.Add(-time.Hour), patience: 1500 * time.Millisecond,
	}
}

func restarts(node *supervisor.Node, ages ...time.Duration) {
	for _, age := range ages {
		node.RestartedAt = append(node.RestartedAt, now.Add(-age))
	}
}

func TestReadiness(t *testing.T) {
	silence := errors.New("no answer to SELECT 1 within the health time-out")
	for name, c := range map[string]struct {
		change func(*facts)
		ready  bool
		reason string
		since  time.Time
	}{
		"well": {func(*facts) {}, true, "ready", time.Time{}},
		"server down, nothing open": {func(f *facts) {
			f.stat.Outage, f.contact = down(now.Add(-time.Second)), poolactor.Contact{}
		}, false, "the database cannot be reached", now.Add(-time.Second)},
		"refused, nothing open": {func(f *facts) {
			f.stat.Outage, f.contact = down(now.Add(-time.Second)), poolactor.Contact{}
			f.stat.Outage.Refused = true
		}, false, "the database refuses the connection", now.Add(-time.Second)},
		"down from the beginning": {func(f *facts) {
			f.stat.Outage, f.contact, f.greeted = down(now.Add(-time.Second)), poolactor.Contact{}, time.Time{}
		}, false, "the database cannot be reached", now.Add(-time.Second)},
		"only growth fails": {func(f *facts) {
			f.stat.Outage = down(now.Add(-time.Second))
		}, true, "ready, but no new connection can be opened: calls share those that are open", now.Add(-time.Second)},
		"down, and the open connections have not been heard of": {func(f *facts) {
			f.stat.Outage = down(now.Add(-2 * time.Second))
			f.contact.Alive = now.Add(-1501 * time.Millisecond)
		}, false, "the database cannot be reached", now.Add(-2 * time.Second)},
		"down, and nothing that is open is trusted": {func(f *facts) {
			f.stat.Outage = down(now.Add(-time.Second))
			f.contact.Verified = 0
		}, false, "the database cannot be reached", now.Add(-time.Second)},
		"just begun": {func(f *facts) {
			f.contact, f.greeted = poolactor.Contact{}, time.Time{}
		}, false, "no connection to the database yet", now.Add(-time.Hour)},
		"empty by choice": {func(f *facts) { f.contact = poolactor.Contact{} }, true, "ready", time.Time{}},
		"silent": {func(f *facts) {
			f.contact.Verified, f.doubt = 0, doubt{now.Add(-time.Millisecond), silence}
		}, false, "the database does not answer", now.Add(-time.Millisecond)},
		"silent, and the suspects were closed": {func(f *facts) {
			f.contact, f.doubt = poolactor.Contact{}, doubt{now.Add(-11 * time.Second), silence}
		}, false, "the database does not answer", now.Add(-11 * time.Second)},
		"two connections died, the others are asked": {func(f *facts) {
			f.contact.Verified, f.doubt = 0, doubt{now.Add(-time.Second), io.EOF}
		}, true, "ready", time.Time{}},
		"two connections died, the others do not answer": {func(f *facts) {
			f.contact.Verified, f.doubt = 0, doubt{now.Add(-1501 * time.Millisecond), io.EOF}
		}, false, "the database does not answer", now.Add(-1501 * time.Millisecond)},
		"one is trusted again": {func(f *facts) {
			f.contact.Verified, f.doubt = 1, doubt{now.Add(-time.Minute), silence}
		}, true, "ready", time.Time{}},
		"a group escalates": {func(f *facts) {
			n := at(&f.tree, poolPath+"/upkeep")
			n.State, n.Since = supervisor.StateEscalating, now.Add(-time.Second)
		}, false, "the group " + poolPath + "/upkeep is being restarted as a whole", now.Add(-time.Second)},
		"one actor restarts alone": {func(f *facts) {
			at(&f.tree, poolPath+"/upkeep/retry").State = supervisor.StateBackoff
		}, true, "ready", time.Time{}},
		"the pool actor flaps": {func(f *facts) {
			restarts(at(&f.tree, poolPath+"/data/pool"), 12*time.Second, 10*time.Second, 9*time.Second, 5*time.Second, 4*time.Second)
		}, false, "the pool actor crashes again and again", now.Add(-4 * time.Second)},
		"the pool actor flapped until 10 s ago": {func(f *facts) {
			restarts(at(&f.tree, poolPath+"/data/pool"), 18*time.Second, 15*time.Second, 13*time.Second, 11*time.Second, 10*time.Second)
		}, true, "ready", time.Time{}},
		"four restarts of the pool actor": {func(f *facts) {
			restarts(at(&f.tree, poolPath+"/data/pool"), 4*time.Second, 3*time.Second, 2*time.Second, time.Second)
		}, true, "ready", time.Time{}},
		"another actor flaps": {func(f *facts) {
			restarts(at(&f.tree, poolPath+"/upkeep/retry"), 5*time.Second, 4*time.Second, 3*time.Second, 2*time.Second, time.Second)
		}, true, "ready", time.Time{}},
		"suspended": {func(f *facts) { f.stat.Suspends = true }, false, "the pool is suspended", time.Time{}},
		"closed":    {func(f *facts) { f.stat.Closes = true }, false, "the pool is closed", time.Time{}},
		"stopping": {func(f *facts) {
			f.tree.State, f.tree.Since = supervisor.StateStopping, now
		}, false, "the daemon is stopping", now},
	} {
		t.Run(name, func(t *testing.T) {
			f := well()
			c.change(&f)
			v := f.judge()
			require.Equal(t, c.ready, v.Ready)
			require.Equal(t, c.reason, v.Reason)
			require.Equal(t, c.since, v.Since)
		})
	}
}

func TestAnOutageIsExplained(t *testing.T) {
	f := well()
	f.contact = poolactor.Contact{}
	f.stat.Outage = down(now.Add(-time.Second))
	v := f.judge()
	require.Equal(t, "connection refused", v.Cause)
	require.Equal(t, 3, v.Attempts)
	require.Equal(t, now.Add(3*time.Second), v.NextAttempt)
	require.NotEmpty(t, v.Remedy)
}

func TestReadyWhileDownLeavesOutTheDatabaseAndNothingElse(t *testing.T) {
	f := well()
	f.readyWhileDown = true
	f.contact = poolactor.Contact{}
	f.stat.Outage = down(now.Add(-time.Second))
	v := f.judge()
	require.True(t, v.Ready)
	require.Contains(t, v.Reason, "although the database cannot be reached")
	require.Equal(t, 3, v.Attempts, "what is known is still told")

	f.greeted, f.stat.Outage.Since = time.Time{}, time.Time{}
	require.True(t, f.judge().Ready, "before the first connection, too")

	at(&f.tree, poolPath+"/upkeep").State = supervisor.StateEscalating
	require.False(t, f.judge().Ready)
}

func TestAnEscalationNamesTheCrashBehindIt(t *testing.T) {
	f := well()
	n := at(&f.tree, poolPath+"/upkeep")
	n.State, n.Since = supervisor.StateEscalating, now
	below := at(&f.tree, poolPath+"/upkeep/retry")
	below.LastError, below.LastErrorAt = "boom", now.Add(-time.Second)
	require.Equal(t, poolPath+"/upkeep/retry: boom", f.judge().Cause)
	below.LastErrorAt = now.Add(-time.Hour)
	require.Empty(t, f.judge().Cause, "that was another one")
}
