package actors

import "context"

// sender is somebody who waits for room in a mailbox. Its fields belong to the mailbox's mu while it is queued.
type sender[M any] struct {
	envelope   envelope[M]
	err        error         // why its message was not taken; nil if it was
	done       chan struct{} // told once, when another takes it out of the queue; has room for that
	queued     bool
	prev, next *sender[M]
}

// senders is a queue: first come, first served. Those who give up leave it from anywhere, so that a mailbox that stays
// full does not collect them.
type senders[M any] struct{ first, last *sender[M] }

func (q *senders[M]) add(s *sender[M]) {
	s.queued, s.prev = true, q.last
	if q.last == nil {
		q.first = s
	} else {
		q.last.next = s
	}
	q.last = s
}

func (q *senders[M]) remove(s *sender[M]) {
	if s.prev == nil {
		q.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		q.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.queued, s.prev, s.next = false, nil, nil
}

// dismiss ends the wait of the first sender, whose message was taken (nil) or was not.
func (q *senders[M]) dismiss(err error) {
	s := q.first
	q.remove(s)
	s.err = err
	s.done <- struct{}{}
}

// putWaiting puts e in when there is room.
func (b *mailbox[M]) putWaiting(ctx context.Context, e *envelope[M]) error {
	s, ok := b.idleSenders.Get().(*sender[M])
	if !ok {
		s = &sender[M]{done: make(chan struct{}, 1)}
	}
	s.envelope = *e
	err := b.wait(ctx, s)
	s.envelope, s.err = envelope[M]{}, nil
	b.idleSenders.Put(s)
	return err
}

// wait is over when another has put the message in, or nobody will. Nobody knows of s any more then.
func (b *mailbox[M]) wait(ctx context.Context, s *sender[M]) error {
	if !b.queue(s) {
		return b.stopped()
	}
	if done := ctx.Done(); done == nil {
		<-s.done
	} else {
		select {
		case <-s.done:
		case <-done:
			if b.unqueue(s) {
				return b.gaveUp(ctx)
			}
			<-s.done // it was dismissed at the same moment
		}
	}
	return s.err
}

// queue is false if the actor is stopped.
func (b *mailbox[M]) queue(s *sender[M]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate != gateOpen {
		return false
	}
	b.senders.add(s)
	b.signals.Or(signalRoom)
	b.admitLocked() // the life may have made room before it could see the signal
	return true
}

// unqueue is false if the sender was dismissed before.
func (b *mailbox[M]) unqueue(s *sender[M]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !s.queued {
		return false
	}
	b.senders.remove(s)
	b.admitLocked()
	return true
}

// admit puts in what waits for room, as far as there is some.
func (b *mailbox[M]) admit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admitLocked()
}

// admitLocked is admit for those who hold mu.
func (b *mailbox[M]) admitLocked() {
	for b.senders.first != nil && b.hasRoom() {
		b.push(&b.senders.first.envelope)
		b.senders.dismiss(nil)
	}
	if b.senders.first == nil {
		b.signals.And(^signalRoom)
	}
	b.wakeParked()
}
