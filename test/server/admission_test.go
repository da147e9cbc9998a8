package server

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// One caller more than may wait is told at once, and those before it are served.
func TestACallTooManyIsToldWhileOthersWait(t *testing.T) {
	p := open(t, func(c *poolactor.Config) { c.MaxSize, c.MaxWaiters = 1, 2 })
	l := acquire(t, p)
	results := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := p.Exec(within(t, patience), "select 1")
			results <- err
		}()
	}
	require.Eventually(t, func() bool { return p.Stat().Waiting == 2 }, patience, time.Millisecond)
	_, err := p.Exec(within(t, patience), "select 1")
	require.ErrorIs(t, err, poolactor.ErrTooManyWaiters)
	var exhausted *poolactor.ExhaustedError
	require.ErrorAs(t, err, &exhausted)
	require.EqualValues(t, pidOf(t, l), exhausted.Holders[0].PID)
	l.Release()
	require.NoError(t, <-results)
	require.NoError(t, <-results)
}

// A deadline that is shorter than what statements lately took is told before it has passed, and only while one runs.
func TestAShortDeadlineIsShedBehindSlowStatements(t *testing.T) {
	p := open(t, func(c *poolactor.Config) { c.MaxSize, c.ShedByDeadline = 1, true })
	_, err := p.Exec(within(t, patience), "select pg_sleep(2)")
	require.NoError(t, err)
	l := acquire(t, p)
	_, err = p.Acquire(within(t, 20*time.Millisecond))
	require.ErrorIs(t, err, poolactor.ErrShed)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	time.AfterFunc(10*time.Millisecond, l.Release)
	_, err = p.Exec(within(t, patience), "select 1")
	require.NoError(t, err, "there is time for this one")
	_, err = p.Exec(within(t, patience), "select 1")
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Stat().Shed)
}
