// Package asynclog lets a log be written to by a goroutine of its own, so that a writer that blocks and a hook that panics
// reach nobody who has something to log.
package asynclog

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// queue is how many lines may wait for a slow writer.
const queue = 1024

// Log passes lines on to a logger. Its methods are safe from any goroutine.
type Log struct {
	to      *zerolog.Logger
	near    zerolog.Logger
	lines   chan line
	lost    atomic.Uint64
	late    atomic.Bool   // nobody waits for Run any more
	closing chan struct{} // closed by Close
	done    chan struct{} // closed when Run has returned
}

type line struct {
	level zerolog.Level
	text  []byte
}

// New makes a Log that writes to a logger while Run runs; nil: nothing is ever written. What is logged before Run waits.
func New(to *zerolog.Logger) *Log {
	if to == nil {
		silent := zerolog.Nop()
		to = &silent
	}
	l := &Log{to: to, lines: make(chan line, queue), closing: make(chan struct{}), done: make(chan struct{})}
	l.near = zerolog.New(l).Level(to.GetLevel())
	return l
}

// Logger is where to log. It never blocks, and never panics for what the other logger does: a line for which there is no
// room is lost, and their number is logged when there is room again. Hooks, samplers and fields of the other logger come
// in when the line is written.
func (l *Log) Logger() *zerolog.Logger { return &l.near }

// Write takes a line of no level.
func (l *Log) Write(p []byte) (int, error) { return l.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel takes a line.
func (l *Log) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	select {
	case l.lines <- line{level, slices.Clone(p)}:
	default:
		l.lost.Add(1)
	}
	return len(p), nil
}

// Run writes until Close, and then what waits. It is called once.
func (l *Log) Run() {
	defer close(l.done)
	for !l.late.Load() {
		select {
		case next := <-l.lines:
			l.write(next)
		case <-l.closing:
			for len(l.lines) > 0 && !l.late.Load() {
				l.write(<-l.lines)
			}
			return
		}
	}
}

// Close ends Run, which must have been started, and waits until everything is written, but no longer than grace: then it
// leaves Run behind with a writer that does not return, gives up what waits, and returns false. It is called once.
func (l *Log) Close(grace time.Duration) bool {
	close(l.closing)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-l.done:
		return true
	case <-timer.C:
		l.late.Store(true)
		return false
	}
}

// write writes one line, and says how many were lost before.
func (l *Log) write(next line) {
	l.contained(func() { next.copyTo(l.to) })
	if lost := l.lost.Swap(0); lost > 0 {
		l.contained(func() {
			l.to.Warn().Str("event", "lines_lost").Str("actor", "log").Uint64("count", lost).
				Msg("the log was not written as fast as it was filled: lines are lost")
		})
	}
}

// contained runs foreign code in a goroutine that others need. A runtime.Goexit costs a goroutine, which takes
// its place.
func (l *Log) contained(f func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = recover() }() // whoever panics has lost the line
		f()
	}()
	<-ended
}

// copyTo logs a line anew.
func (n line) copyTo(to *zerolog.Logger) {
	event := to.WithLevel(n.level)
	fields := json.NewDecoder(bytes.NewReader(n.text))
	if _, err := fields.Token(); err != nil {
		event.Msg(string(n.text)) // not in JSON: zerolog was built for another form
		return
	}
	message := ""
	for fields.More() {
		key, _ := fields.Token()
		var value json.RawMessage
		if fields.Decode(&value) != nil {
			break
		}
		switch name, _ := key.(string); name {
		case zerolog.LevelFieldName:
		case zerolog.MessageFieldName:
			_ = json.Unmarshal(value, &message) // zerolog wrote it
		default:
			event = event.RawJSON(name, value)
		}
	}
	event.Msg(message)
}
