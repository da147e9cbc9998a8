package ops

import (
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/remedy"
	"github.com/seed-4ff2b7b9/supervised/messages"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// state is the answer of /api/state. Durations are in seconds. It is made of counters, names and errors of the pool and
// the tree, none of which carries a secret.
type state struct {
	Now     time.Time       `json:"now"`
	Version string          `json:"version"`
	Started time.Time       `json:"started"`
	Ready   Verdict         `json:"ready"`
	Server  server          `json:"server"`
	Pool    figures         `json:"pool"`
	Slots   []slot          `json:"slots"`
	Leases  []lease         `json:"leases"` // the longest held first
	Tree    supervisor.Node `json:"tree"`
	Events  []Event         `json:"events"` // the newest first
}

// server is what the pool connects to.
type server struct {
	Host     string `json:"host"`
	Port     uint16 `json:"port"`
	Database string `json:"database"`
	User     string `json:"user"`
}

// figures are a poolactor.Stat and a poolactor.Contact. Among those who wait is the watch, while it waits for the end of
// an outage.
type figures struct {
	Max       int  `json:"max"`
	Min       int  `json:"min"`
	Idle      int  `json:"idle"`
	Leased    int  `json:"leased"`
	Checking  int  `json:"checking"`
	Cleaning  int  `json:"cleaning"`
	Opening   int  `json:"opening"`
	Closing   int  `json:"closing"`
	Waiting   int  `json:"waiting"`
	Suspended bool `json:"suspended"`
	Closed    bool `json:"closed"`

	Open     int       `json:"open"`
	Verified int       `json:"verified"`
	Alive    time.Time `json:"last_sign_of_life,omitzero"`

	Acquired     int64   `json:"acquired_total"`
	Waited       int64   `json:"waited_total"`
	WaitTime     float64 `json:"wait_seconds_total"`
	GaveUp       int64   `json:"gave_up_total"`
	TurnedAway   int64   `json:"turned_away_total"`
	Shed         int64   `json:"shed_total"`
	Opened       int64   `json:"opened_total"`
	DialsFailed  int64   `json:"dials_failed_total"`
	ClosedTotal  int64   `json:"closed_total"`
	Checks       int64   `json:"checks_total"`
	FailedChecks int64   `json:"failed_checks_total"`
	Cleanings    int64   `json:"cleanings_total"`
	Forgotten    int64   `json:"forgotten_leases_total"`
	Revoked      int64   `json:"revoked_leases_total"`
	LostEvents   uint64  `json:"lost_events_total"`

	Outage *outage `json:"outage"` // null while the server is believed to be up
}

// outage is what is known about a server that lets nobody in.
type outage struct {
	Since       time.Time `json:"since"`
	Attempts    int       `json:"attempts"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	Refused     bool      `json:"refused"`
	Cause       string    `json:"cause"`
	Remedy      string    `json:"what_to_do"`
}

// slot is one of the pool's places.
type slot struct {
	Slot     int     `json:"slot"`
	State    string  `json:"state"`
	PID      uint32  `json:"pid,omitempty"`
	Age      float64 `json:"age_seconds"`
	Leases   uint64  `json:"leases_total"`
	Unused   float64 `json:"since_last_lease_seconds"`
	Retiring bool    `json:"retiring"`
}

// lease is a connection that somebody holds.
type lease struct {
	Label   string  `json:"label"`
	PID     uint32  `json:"pid"`
	Slot    int     `json:"slot"`
	Held    float64 `json:"held_seconds"`
	Overdue bool    `json:"overdue"` // for longer than lease.warn_after
	Stack   string  `json:"stack,omitempty"`
}

// describe takes the picture.
func describe(s Subject, v Verdict) state {
	t := s.Pool.Target()
	doc := state{
		Now: time.Now(), Version: s.Version, Started: s.Started, Ready: v,
		Server: server{Host: t.Host, Port: t.Port, Database: t.Database, User: t.User},
		Pool:   figuresOf(s.Pool.Stat(), s.Pool.Contact()),
		Slots:  []slot{}, Leases: []lease{},
		Tree: s.Tree(), Events: s.Journal.Recent(),
	}
	for _, p := range s.Pool.Slots() {
		doc.Slots = append(doc.Slots, slotOf(p))
	}
	for _, h := range s.Pool.Holders() {
		doc.Leases = append(doc.Leases, lease{
			Label: h.Label, PID: h.PID, Slot: h.Slot, Held: h.For.Seconds(), Overdue: h.Overdue, Stack: h.Stack,
		})
	}
	return doc
}

func figuresOf(s poolactor.Stat, c poolactor.Contact) figures {
	return figures{
		Max: s.Max, Min: s.Min, Idle: s.Idle, Leased: s.Leased, Checking: s.Checking, Cleaning: s.Cleaning,
		Opening: s.Opening, Closing: s.Closing, Waiting: s.Waiting, Suspended: s.Suspends, Closed: s.Closes,
		Open: c.Open, Verified: c.Verified, Alive: c.Alive,
		Acquired: s.Acquired, Waited: s.Waited, WaitTime: s.WaitTime.Seconds(), GaveUp: s.GaveUp,
		TurnedAway: s.TurnedAway, Shed: s.Shed,
		Opened: s.Opened, DialsFailed: s.DialsFailed, ClosedTotal: s.Closed,
		Checks: s.Checks, FailedChecks: s.FailedCheck, Cleanings: s.Cleanings, Forgotten: s.Forgotten,
		Revoked: s.Revoked, LostEvents: s.LostEvents, Outage: outageOf(s.Outage),
	}
}

func outageOf(o messages.Outage) *outage {
	if o.Since.IsZero() {
		return nil
	}
	return &outage{
		Since: o.Since, Attempts: o.Attempts, NextAttempt: o.NotBefore, Refused: o.Refused,
		Cause: errorText(o.Cause), Remedy: remedy.For(o.Cause),
	}
}

// slotOf leaves out the times of a place that has no connection.
func slotOf(p poolactor.SlotState) slot {
	s := slot{Slot: p.Slot, State: p.State, PID: p.PID, Leases: p.Leases, Retiring: p.Retired}
	if p.PID != 0 {
		s.Age, s.Unused = p.Age.Seconds(), p.Unused.Seconds()
	}
	return s
}
