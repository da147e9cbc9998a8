package health

import (
	"time"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

// unprovedSince is how old a connection's last proof may be at a round: half an interval. With a whole one, each check
// would spare its connection the next check, and every second round would be empty.
func (c Config) unprovedSince(now time.Time) time.Time { return now.Add(-c.Interval / 2) }

// nextRound is when the round after one at last is due; zero if there is none.
func (c Config) nextRound(last time.Time) time.Time {
	if c.Interval < 0 {
		return time.Time{}
	}
	return last.Add(c.Interval)
}

// nextScout is when a scout is due in this outage, by what holds at now; zero if none is. last is when the last one was
// asked for, in this outage or earlier. A refusal needs no scouts: the pool itself lets one caller per second try.
func (c Config) nextScout(now, last time.Time, outage messages.Outage, waiting bool) time.Time {
	if outage.Since.IsZero() || outage.Refused {
		return time.Time{}
	}
	young := c.ScoutSlowAfter < 0 || now.Sub(outage.Since) <= c.ScoutSlowAfter
	period := c.ScoutSlow
	if waiting && young && c.ScoutEvery > 0 {
		period = c.ScoutEvery
	}
	if period < 0 {
		return time.Time{}
	}
	if last.Before(outage.Since) {
		last = outage.Since // the attempt that failed then was as good as a scout
	}
	return last.Add(period)
}

// earlier is the earlier of two times of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
