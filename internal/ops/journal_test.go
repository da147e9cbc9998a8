package ops

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestTheJournalTakesDownBothSources(t *testing.T) {
	tree, pool := make(chan supervisor.Event), make(chan poolactor.Event)
	var j Journal
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.Follow(tree, pool, poolPath)
	}()
	tree <- supervisor.Event{
		At: now, Kind: supervisor.EventRestartScheduled, Path: "root/edge/ops", Err: errors.New("boom"), Delay: time.Second,
	}
	pool <- poolactor.Event{At: now, Kind: poolactor.EventActor, Actor: "root/data/pool", What: "crashed", Err: errors.New("bang")}
	pool <- poolactor.Event{At: now, Kind: poolactor.EventActor, Actor: "root", What: "ready"}
	close(tree)
	pool <- poolactor.Event{At: now, Kind: poolactor.EventRecovered, Took: 2 * time.Second, Attempts: 3}
	pool <- poolactor.Event{At: now, Kind: poolactor.EventDistrusted, PID: 42, Label: "who", Err: errors.New("silence")}
	pool <- poolactor.Event{At: now, Kind: poolactor.EventOverdue, PID: 43, Label: "report", Held: time.Minute}
	close(pool)
	<-done
	require.Equal(t, []Event{
		{At: now, Who: poolPath, What: "overdue", PID: 43, Label: "report", Held: 60},
		{At: now, Who: poolPath, What: "distrusted", PID: 42, Label: "who", Error: "silence"},
		{At: now, Who: poolPath, What: "recovered", Took: 2, Attempts: 3},
		{At: now, Who: poolPath, What: "ready"},
		{At: now, Who: poolPath + "/data/pool", What: "crashed", Error: "bang"},
		{At: now, Who: "root/edge/ops", What: "restart scheduled", Delay: 1, Error: "boom"},
	}, j.Recent())
	require.Equal(t, doubt{now, errors.New("silence")}, j.lastDoubt())
}

func TestTheJournalKeepsTheLastHundred(t *testing.T) {
	var j Journal
	require.Empty(t, j.Recent())
	for i := range 250 {
		j.add(Event{What: strconv.Itoa(i)})
	}
	events := j.Recent()
	require.Len(t, events, 100)
	require.Equal(t, "249", events[0].What)
	require.Equal(t, "150", events[99].What)
}
