package poolactor

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/internal/logdoc"
)

// TestEveryLineIsDocumented: a pool that lives through much writes nothing that docs/logs.md does not have.
func TestEveryLineIsDocumented(t *testing.T) {
	doc, err := logdoc.Read("../docs/logs.md")
	require.NoError(t, err)
	var out bytes.Buffer
	log := zerolog.New(&out)
	said := map[string]bool{}
	change := func(c *Config) {
		c.Logger, c.MaxSize, c.RecordStacks = &log, 3, true
		c.LeaseWarnAfter, c.LeaseMaxAge = time.Minute, time.Hour
		c.BeforeClose = func(*pgx.Conn) { panic("bang") }
	}
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		ctx := WithLabel(t.Context(), "report")
		old, err := p.Acquire(ctx)
		require.NoError(t, err)
		l, err := p.Acquire(ctx)
		require.NoError(t, err)
		_, err = l.Begin(ctx)
		require.NoError(t, err)
		l.Release() // inside a transaction
		synctest.Wait()
		pass(2 * time.Hour) // overdue, and taken away
		old.Release()
		l, err = p.Acquire(ctx)
		require.NoError(t, err)
		s := p.all()[p.Holders()[0].Slot]
		p.publish(p.leaseEvent(EventForgotten, s, s.word.Load())) // the garbage collector is not part of this world
		l.Release()
		server.Stop()
		over, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		require.Error(t, p.Ping(over))
		server.Start()
		require.NoError(t, p.Ping(ctx))
		server.Terminate("57P01")
		server.Refuse("28P01", "no")
		pass(time.Second)
		require.Error(t, p.Ping(ctx))
		server.Refuse("", "")
		pass(2 * time.Second)
		require.NoError(t, p.Ping(ctx))
		p.publish(Event{Kind: EventUnclean, PID: 1, Label: "report", Err: errors.New("cannot be cleaned")})
		p.distrust(p.gate.Load().epoch(), p.all()[0], errors.New("silence"))
		require.NoError(t, p.Ping(ctx))
	})
	for _, line := range parsed(t, out.Bytes()) {
		said[line["event"].(string)] = true
	}
	for raw := range bytes.Lines(out.Bytes()) {
		require.NoError(t, doc.Check(raw))
	}
	for _, kind := range []EventKind{
		EventOpened, EventClosed, EventCheckFailed, EventDistrusted, EventOutage, EventRefused, EventRecovered, EventRolledBack,
		EventUnclean, EventForgotten, EventOverdue, EventRevoked, EventPanicked, "dial_failed", "ready", "stopped",
	} {
		require.True(t, said[string(kind)], "%s did not happen", kind)
	}
}
