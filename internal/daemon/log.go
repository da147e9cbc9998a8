package daemon

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
)

// logbook is where the daemon logs to. Its level can be changed while it is written to.
type logbook struct {
	logger zerolog.Logger
	level  atomic.Int32
	mu     sync.Mutex // held while a line is written
	out    io.Writer
}

// timeFormat has the milliseconds that matter in an outage.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

func newLogbook(c config.Log, out io.Writer) (*logbook, error) {
	if c.Format == "console" {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: "15:04:05.000", NoColor: true}
	}
	b := &logbook{out: out}
	if err := b.setLevel(c.Level); err != nil {
		return nil, err
	}
	b.logger = zerolog.New(b).Hook(stamp{})
	return b, nil
}

func (b *logbook) setLevel(name string) error {
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	b.level.Store(int32(level))
	return nil
}

// Write writes a line of no level.
func (b *logbook) Write(p []byte) (int, error) { return b.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel writes a line if it is important enough.
func (b *logbook) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	if level < zerolog.Level(b.level.Load()) {
		return len(p), nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

// line begins a line of the daemon's own.
func (b *logbook) line(level zerolog.Level, event string) *zerolog.Event {
	return b.logger.WithLevel(level).Str("event", event).Str("actor", "daemon")
}

// stamp adds the time to each line.
type stamp struct{}

// Run is called for each line.
func (stamp) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().Format(timeFormat))
}
