package poolprom

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// picture is all that one scrape reads.
type picture struct {
	now     time.Time
	stat    poolactor.Stat
	contact poolactor.Contact
	holders []poolactor.Holder
	tree    supervisor.Node
	outages float64 // seconds in outages so far, the one that goes on included
}

// take takes the picture of a pool.
func (m *Metrics) take(p *poolactor.Pool) *picture {
	tree := m.config.Tree
	if tree == nil {
		tree = p.Snapshot
	}
	pic := &picture{now: time.Now(), stat: p.Stat(), contact: p.Contact(), holders: p.Holders(), tree: tree()}
	pic.outages = m.outages.raise((pic.stat.OutageTime + pic.outage()).Seconds())
	return pic
}

// outage is how long the outage lasts that goes on; 0 if there is none.
func (p *picture) outage() time.Duration {
	if since := p.stat.Outage.Since; !since.IsZero() {
		return max(p.now.Sub(since), 0)
	}
	return 0
}

// sum is a figure that never falls.
type sum struct{ bits atomic.Uint64 }

// raise lifts it to a value, if it is not higher already, and returns what it is then.
func (s *sum) raise(to float64) float64 {
	for {
		old := s.bits.Load()
		if now := math.Float64frombits(old); now >= to {
			return now
		}
		if s.bits.CompareAndSwap(old, math.Float64bits(to)) {
			return to
		}
	}
}

// tell takes a value for the labels of a figure, in their order.
type tell func(value float64, labels ...string)

// figure is a metric that is read off a picture.
type figure struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	read       func(*picture, tell)
}

// described is a figure of one pool.
type described struct {
	figure
	desc *prometheus.Desc
}

func (f figure) described(pool prometheus.Labels) described {
	return described{f, prometheus.NewDesc(namespace+"_"+f.name, f.help, f.labels, pool)}
}

// gauge is a figure that goes up and down.
func gauge(name, help string, read func(*picture) float64) figure {
	return figure{name, help, prometheus.GaugeValue, nil, func(p *picture, to tell) { to(read(p)) }}
}

// counter is a figure that only grows, unless the program starts anew.
func counter(name, help string, read func(*picture) int64) figure {
	return figure{name, help, prometheus.CounterValue, nil, func(p *picture, to tell) { to(float64(read(p))) }}
}

// flag is a figure that is 1 or 0.
func flag(name, help string, read func(*picture) bool) figure {
	return gauge(name, help, func(p *picture) float64 { return truth(read(p)) })
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// figures are all of them but the histograms.
var figures = []figure{
	{
		"pool_connections", "Connections by what they do.",
		prometheus.GaugeValue,
		[]string{"state"},
		func(p *picture, to tell) {
			to(float64(p.stat.Idle), "idle")
			to(float64(p.stat.Leased), "leased")
			to(float64(p.stat.Checking), "checking")
			to(float64(p.stat.Cleaning), "cleaning")
			to(float64(p.stat.Opening), "opening")
			to(float64(p.stat.Closing), "closing")
		},
	},
	gauge("pool_connections_max", "How many connections there may be, those being opened and closed included.",
		func(p *picture) float64 { return float64(p.stat.Max) }),
	gauge("pool_connections_min", "How many connections are kept open also when nobody calls.",
		func(p *picture) float64 { return float64(p.stat.Min) }),
	gauge("pool_connections_verified", "Open connections that nothing has cast doubt on since the server answered on them.",
		func(p *picture) float64 { return float64(p.contact.Verified) }),
	gauge("pool_connections_shared", "Leased connections that serve the shared statements of many callers.",
		func(p *picture) float64 { return float64(p.stat.Sharing) }),
	counter("pool_connections_closed_total", "Connections that were closed.",
		func(p *picture) int64 { return p.stat.Closed }),
	{
		"pool_dials_total", "Orders for a connection that have ended, by outcome (opened or failed) and, if they failed, by class: nobody answered as hoped (unreachable), the server asked for patience (deferred) or refused for good (refused).",
		prometheus.CounterValue,
		[]string{"outcome", "class"},
		func(p *picture, to tell) {
			to(float64(p.stat.Opened), "opened", "")
			to(float64(max(p.stat.DialsFailed-p.stat.DialsDeferred-p.stat.DialsRefused, 0)), "failed", "unreachable")
			to(float64(p.stat.DialsDeferred), "failed", "deferred")
			to(float64(p.stat.DialsRefused), "failed", "refused")
		},
	},

	gauge("pool_waiters", "Calls that wait for a connection now.",
		func(p *picture) float64 { return float64(p.stat.Waiting) }),
	counter("pool_waits_total", "Calls that had to wait for a connection.",
		func(p *picture) int64 { return p.stat.Waited }),
	{
		"pool_acquires_failed_total", "Calls that got no connection, by reason: their context ended while they waited (gave_up), too many waited already (turned_away), or their deadline was out of reach (shed).",
		prometheus.CounterValue,
		[]string{"reason"},
		func(p *picture, to tell) {
			to(float64(p.stat.GaveUp), "gave_up")
			to(float64(p.stat.TurnedAway), "turned_away")
			to(float64(p.stat.Shed), "shed")
		},
	},
	counter("pool_leases_total", "Leases that were taken up.",
		func(p *picture) int64 { return p.stat.Acquired }),
	counter("pool_leases_forgotten_total", "Leases that were dropped without being given back.",
		func(p *picture) int64 { return p.stat.Forgotten }),
	counter("pool_leases_revoked_total", "Leases that were taken away from their holders.",
		func(p *picture) int64 { return p.stat.Revoked }),
	counter("pool_shared_statements_total", "Requests that were answered over shared connections: a statement, a batch, or the question what a new statement is like.",
		func(p *picture) int64 { return p.stat.Shared }),
	gauge("pool_leases_overdue", "Leases that have been out for longer than the pool warns after.", overdue),
	gauge("pool_lease_oldest_seconds", "How long the oldest lease has been out; 0 if none is.", oldest),

	counter("pool_health_checks_total", "Checks of connections with a question to the server.",
		func(p *picture) int64 { return p.stat.Checks }),
	counter("pool_health_checks_failed_total", "Connections that were found dead or silent, looks at the socket included.",
		func(p *picture) int64 { return p.stat.FailedCheck }),
	counter("pool_cleanings_total", "Sessions that were made fit for their next lease.",
		func(p *picture) int64 { return p.stat.Cleanings }),
	counter("pool_events_lost_total", "Events that a slow reader did not get.",
		func(p *picture) int64 { return int64(p.stat.LostEvents) }),

	flag("pool_outage", "1 while the server lets nobody in.",
		func(p *picture) bool { return !p.stat.Outage.Since.IsZero() }),
	flag("pool_outage_refused", "1 while the server refuses for good: a wrong password, no such database.",
		func(p *picture) bool { return p.stat.Outage.Refused }),
	gauge("pool_outage_start_time_seconds", "When the outage that goes on began, in seconds since 1970; 0 if there is none.", outageStart),
	gauge("pool_outage_duration_seconds", "How long the outage that goes on has lasted; 0 if there is none.",
		func(p *picture) float64 { return p.outage().Seconds() }),
	gauge("pool_outage_attempts", "Scheduled attempts to connect that failed in the outage that goes on.",
		func(p *picture) float64 { return float64(p.stat.Outage.Attempts) }),
	counter("pool_outages_total", "Outages that began.", func(p *picture) int64 { return p.stat.Outages }),
	{
		"pool_outage_seconds_total", "How long all outages lasted together, the one that goes on included.",
		prometheus.CounterValue, nil,
		func(p *picture, to tell) { to(p.outages) },
	},
	flag("pool_suspended", "1 while the pool is suspended: callers wait until it is resumed.",
		func(p *picture) bool { return p.stat.Suspends }),
	flag("pool_closed", "1 after the pool was closed.", func(p *picture) bool { return p.stat.Closes }),

	perActor("actor_up", "1 while the actor runs, 0 while it is down, starts or stops.", prometheus.GaugeValue,
		func(n supervisor.Node) float64 { return truth(n.State == supervisor.StateRunning) }),
	perActor("actor_restarts_total", "Lives of the actor that began after its first.", prometheus.CounterValue,
		func(n supervisor.Node) float64 { return float64(n.Restarts) }),
	perMailbox("actor_mailbox_messages", "Messages that wait in the actor's mailbox.", prometheus.GaugeValue,
		func(n supervisor.Node) float64 { return float64(n.Status.Mailbox) }),
	perMailbox("actor_mailbox_capacity", "Messages that the actor's mailbox has room for.", prometheus.GaugeValue,
		func(n supervisor.Node) float64 { return float64(n.Status.Capacity) }),
	perMailbox("actor_messages_handled_total", "Messages that the actor has handled.", prometheus.CounterValue,
		func(n supervisor.Node) float64 { return float64(n.Status.Handled) }),
}

func overdue(p *picture) float64 {
	n := 0
	for _, h := range p.holders {
		if h.Overdue {
			n++
		}
	}
	return float64(n)
}

// oldest relies on the order of the holders.
func oldest(p *picture) float64 {
	if len(p.holders) == 0 {
		return 0
	}
	return p.holders[0].For.Seconds()
}

func outageStart(p *picture) float64 {
	since := p.stat.Outage.Since
	if since.IsZero() {
		return 0
	}
	return float64(since.UnixMilli()) / 1000
}

// perActor is a figure of each service of the tree, which its path names.
func perActor(name, help string, kind prometheus.ValueType, read func(supervisor.Node) float64) figure {
	return figure{name, help, kind, []string{"actor"}, func(p *picture, to tell) {
		for n := range p.tree.All() {
			if n.Kind == supervisor.KindService {
				to(read(n), n.Path)
			}
		}
	}}
}

// perMailbox is a figure of each service that has a mailbox.
func perMailbox(name, help string, kind prometheus.ValueType, read func(supervisor.Node) float64) figure {
	return figure{name, help, kind, []string{"actor"}, func(p *picture, to tell) {
		for n := range p.tree.All() {
			if n.Kind == supervisor.KindService && n.Status != nil {
				to(read(n), n.Path)
			}
		}
	}}
}
