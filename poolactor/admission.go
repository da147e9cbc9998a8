package poolactor

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// This file decides who may wait. Only calls that come and find nothing on offer are asked: whoever is given a connection
// at once is never turned away, and whoever was let in before is let in again, however often its turn brings it nothing.
//
// A call that is turned away was never counted as a waiter, so there is nothing to undo: no other waiter has passed a
// signal on to it, and the actor has ordered no dial for it. To be let in is one compare-and-swap of waiting, from the
// number that the decision was made on; so two calls never take the last place both.
//
// The forecast for Config.ShedByDeadline follows Little's law (J. D. C. Little, "A Proof for the Queuing Formula:
// L = λW", 1961): while n connections are out for s each, callers are served at the rate n/s, and the k-th in the queue
// waits for k·s/n. Instead of this mean it takes each lease's own age: the forecast is exact if all leases last for s,
// and too short if they vary, since a lease that is older than s counts as if it ended now. That is meant: to be turned
// away costs a call everything, to be let in vainly costs it no more than without a forecast. To turn hopeless requests
// away early, by what the queue is seen to do and not by its length, is what "Fail at Scale" (B. Maurer, ACM Queue 13/8,
// 2015) and DAGOR ("Overload Control for Scaling WeChat Microservices", 2018) advise; both look at how long requests have
// waited, which teaches nothing any more when all are turned away. Here it is leases that teach, also those of callers
// that never waited: when load falls, each makes a wrong forecast better.

// queue is what a call meets that finds nothing on offer.
type queue struct {
	waiting int             // calls that wait already
	spare   int             // connections that come to waiters without that anybody gives one back
	held    []time.Duration // for how long each other connection has been held
}

// full tells whether the call would be one waiter too many. Waiters for whom a connection is there or being opened do
// not count: they wait for nobody.
func (q queue) full(most int) bool { return most > 0 && q.waiting >= most+q.spare }

// forecast is how long the call would wait if all leases lasted as long as given; false: there is nothing to go by.
func (q queue) forecast(lasts time.Duration) (time.Duration, bool) {
	connections := q.spare + len(q.held)
	if lasts <= 0 || connections == 0 {
		return 0, false
	}
	rounds, place := q.waiting/connections, q.waiting%connections-q.spare
	first := time.Duration(0)
	if place >= 0 {
		longestFirst := slices.Sorted(slices.Values(q.held))
		slices.Reverse(longestFirst)
		first = max(0, lasts-longestFirst[place])
	}
	return time.Duration(min(float64(first)+float64(rounds)*float64(lasts), math.MaxInt64/2)), true
}

// What is learned of a lease that has ended.
const (
	// smoothing is the weight of one lease, an eighth, as TCP smooths round trips (RFC 6298): a mean that is a thousand
	// times too high is forgotten within 55 leases.
	smoothing = 8
	// outlier is how many times the mean a lease counts for at most, so that no single one, of an hour perhaps, makes
	// everybody be turned away.
	outlier = 8
	// shortest is less than any answer of a server takes: a shorter lease was of no use, and says nothing about others.
	shortest = 10 * time.Microsecond
)

// smooth is the mean duration of leases after one more; a mean of zero is none.
func smooth(mean, lease time.Duration) time.Duration {
	switch {
	case lease < shortest:
		return mean
	case mean == 0:
		return lease
	default:
		return mean + (min(lease, outlier*mean)-mean)/smoothing
	}
}

// observe learns how long leases last. When two end in the same instant, one will do.
func (p *Pool) observe(lease time.Duration) {
	mean := p.leaseTime.Load()
	p.leaseTime.CompareAndSwap(mean, int64(smooth(time.Duration(mean), lease)))
}

// count counts a call as one that waits, or says why it may not. It comes before the look at supply.
func (p *Pool) count(ctx, asked context.Context, was verdict) error {
	n := int64(1)
	if was != newcomer || p.cfg.MaxWaiters == 0 && !p.cfg.ShedByDeadline {
		n = p.waiting.Add(1)
	} else {
		for {
			before := p.waiting.Load()
			failpoint.Hit("caller.counting")
			if refused := p.turnAway(ctx, asked, int(before)); refused != nil {
				if p.waiting.Load() == before {
					return refused()
				}
				continue // somebody was served meanwhile: the queue is another
			}
			if n = before + 1; p.waiting.CompareAndSwap(before, n) {
				break
			}
		}
	}
	p.waited.Add(1)
	if n == 1 {
		p.noticeOutage()
	}
	return nil
}

// turnAway decides about a call that would wait behind so many others; nil lets it in, else it gives what tells the call
// why not. How long an outage or a suspension lasts is not known, so nobody is shed then; the length of the queue is
// bounded all the same.
func (p *Pool) turnAway(ctx, asked context.Context, waiting int) func() error {
	g, down := p.gate.Load(), !p.outage.Load().Since.IsZero()
	deadline, bounded := ctx.Deadline()
	foreseen := p.cfg.ShedByDeadline && bounded && g.open() && !down
	crowded := p.cfg.MaxWaiters > 0 && waiting >= p.cfg.MaxWaiters
	if g.closed() || !foreseen && !crowded {
		return nil
	}
	q := p.queueBehind(waiting, g.open(), !down)
	if q.full(p.cfg.MaxWaiters) {
		return func() error {
			p.turnedAway.Add(1)
			return p.unserved(asked, ErrTooManyWaiters, 0)
		}
	}
	left := time.Until(deadline)
	if wait, known := q.forecast(time.Duration(p.leaseTime.Load())); foreseen && known && wait > left {
		return func() error {
			p.shed.Add(1)
			e := p.exhausted(asked, ErrShed, 0)
			e.Forecast, e.Left = wait, left
			return e
		}
	}
	return nil
}

// queueBehind looks at what would come to a call behind so many others. While the gate is shut nothing comes without
// Resume, and where no dial succeeds nothing comes of empty places.
func (p *Pool) queueBehind(waiting int, open, dials bool) queue {
	q := queue{waiting: waiting}
	now, bound := p.now(), p.checkBound()
	places := int(p.maxSize.Load())
	for _, s := range p.all() {
		w := s.word.Load()
		if roleOf(w) == vacant {
			continue
		}
		places--
		switch {
		case w.state() == leased && s.isShared(): // it is back when nobody shares it, whatever its age
		case w.state() == leased:
			held := time.Duration(0)
			if s.granted(w) { // else the time beside the word may be that of the lease before
				held = time.Duration(max(0, now-s.acquired.Load()))
			}
			q.held = append(q.held, held)
		case s.silence(w, now) < bound && (dials || w.state().hasConnection()):
			q.spare++
		}
	}
	if dials {
		q.spare += max(0, places)
	}
	if !open {
		q.spare = 0
	}
	return q
}
