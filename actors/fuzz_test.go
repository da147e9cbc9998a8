package actors_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// line is a message of a fuzzed sequence: what its handler does, and in which order it was sent.
type line struct {
	does  deed
	n     int
	reply actors.Reply[int]
}

// deed is what a handler does with a message.
type deed byte

const (
	answers deed = iota
	answersTwice
	refuses
	keeps    // answers with the next message that is answered
	detaches // answers when the sequence is over
	forgets
	fails
	panics
	answersAndPanics
	exits
	deeds
)

// listener handles lines and remembers them; it outlives the lives of its actor.
type listener struct {
	heard    []int
	kept     []line // of this life
	detached []actors.Reply[int]
}

func (l *listener) Start(context.Context, actors.Ref[line]) error {
	l.kept = nil
	return nil
}

func (l *listener) Handle(_ context.Context, m line) error {
	l.heard = append(l.heard, m.n)
	switch m.does {
	case answers, answersAndPanics, answersTwice:
		for _, k := range l.kept {
			k.reply.Send(k.n)
		}
		l.kept = nil
		if m.reply.Send(m.n); m.does == answersTwice && m.reply.Send(-1) {
			return errors.New("a second answer was taken")
		}
		if m.does == answersAndPanics {
			panic("after the answer")
		}
	case refuses:
		m.reply.Fail(errRefused)
	case keeps:
		l.kept = append(l.kept, m)
	case detaches:
		l.detached = append(l.detached, m.reply.Detach())
	case fails:
		return errRefused
	case panics:
		panic("instead of an answer")
	case exits:
		runtime.Goexit()
	}
	return nil
}

var errRefused = errors.New("refused")

// asked is a request and what became of it.
type asked struct {
	does   deed
	n      int
	cancel context.CancelFunc
	done   chan struct{}
	got    int
	err    error
}

// FuzzMessages sends sequences of messages that are written in bytes to an actor that lives, crashes and lives again, in
// fake time. Each message is handled once, in order; each asker gets its own answer, or the reason why there is none; and
// nobody waits for ever.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{3, 3, 3, 0x80, 0x87, 7, 3, 3, 0, 0xff, 4, 4, 9, 1})
	f.Add([]byte(strings.Repeat("\x03\x40\x04\x47\x08", 20)))
	f.Add([]byte(strings.Repeat("\x43\x44\x45\xc0", 30)))
	f.Fuzz(func(t *testing.T, text []byte) {
		synctest.Test(t, func(t *testing.T) { converse(t, text[:min(len(text), 200)]) })
	})
}

// What the upper bits of a byte say; the lower ones are the deed.
const (
	tells   = 0x40 // nobody waits for an answer
	givesUp = 0x80 // the first asker that still waits gives up, before the message is sent
)

func converse(t *testing.T, text []byte) {
	l := &listener{}
	a := actors.New(actors.Options{Name: "listener", Mailbox: 4}, func() actors.Behavior[line] { return l })
	s := perform(t, a)
	var all []*asked
	var sent []int
	for n, b := range text {
		if b&givesUp != 0 {
			cancelFirst(all)
			synctest.Wait()
		}
		m := line{does: deed(b&0x3f) % deeds, n: n}
		if b&tells != 0 {
			require.NoError(t, a.Ref().Tell(t.Context(), m))
		} else {
			all = append(all, askFor(a.Ref(), m))
		}
		sent = append(sent, n)
		synctest.Wait()
		require.Equal(t, sent, l.heard, "each once, in order, whatever crashed")
	}
	for _, r := range l.detached {
		r.Send(detachedAnswer)
	}
	s.close()
	for _, q := range all {
		<-q.done
		require.NoError(t, q.judge())
	}
}

const detachedAnswer = 1 << 20

// cancelFirst lets the first asker give up that still waits.
func cancelFirst(all []*asked) {
	for _, q := range all {
		select {
		case <-q.done:
		default:
			q.cancel()
			return
		}
	}
}

func askFor(r actors.Ref[line], m line) *asked {
	ctx, cancel := context.WithCancel(context.Background())
	q := &asked{does: m.does, n: m.n, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(q.done)
		defer cancel()
		q.got, q.err = actors.Ask(ctx, r, func(reply actors.Reply[int]) line {
			m.reply = reply
			return m
		})
	}()
	return q
}

// judge says what is wrong with how a request ended.
func (q *asked) judge() error {
	answered := q.err == nil && q.got == q.n
	unanswered := errors.Is(q.err, actors.ErrCrashed)
	gaveUp := errors.Is(q.err, context.Canceled)
	var right bool
	switch q.does {
	case answers, answersTwice, answersAndPanics:
		right = answered
	case refuses:
		right = errors.Is(q.err, errRefused) && !unanswered
	case keeps:
		right = answered || unanswered || gaveUp
	case detaches:
		right = q.err == nil && q.got == detachedAnswer || gaveUp
	case forgets:
		right = unanswered || gaveUp
	default:
		right = unanswered
	}
	if !right {
		return fmt.Errorf("request %d, deed %d, ended with %d, %w", q.n, q.does, q.got, q.err)
	}
	return nil
}
