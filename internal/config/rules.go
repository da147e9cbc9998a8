package config

import (
	"fmt"
	"time"
)

// maxSchedule bounds how long a call without a deadline may have to wait for its error.
const maxSchedule = 2 * time.Minute

// relate checks what several keys say together.
func (c *Config) relate() problems {
	var found problems
	c.spreadLifetimes()
	c.order(&found)
	c.schedule(&found)
	c.escalation(&found)
	return found
}

// spreadLifetimes makes the default of max_lifetime_jitter a tenth of max_lifetime, if that is less: of a short lifetime
// the fixed one would leave nothing, and connections would be replaced as soon as they are open.
func (c *Config) spreadLifetimes() {
	d := &c.Database
	if _, set := c.origins["database.max_lifetime_jitter"]; !set && d.MaxLifetime > 0 {
		d.MaxLifetimeJitter = min(d.MaxLifetimeJitter, d.MaxLifetime/10)
	}
}

// order holds each key at or below the one that its tag atmost names. If only that one was set, the default of the
// other follows it: who asks for at most 3 connections need not say that the least is not 5.
func (c *Config) order(found *problems) {
	for _, k := range keys {
		name, ok := k.field.Tag.Lookup("atmost")
		if !ok {
			continue
		}
		upper := mustFind(join(k.section, name))
		small, _ := number(k.in(c))
		large, _ := number(upper.in(c))
		if small <= large || large == 0 { // a bound of 0 is off
			continue
		}
		from, set := c.origins[k.name]
		if !set {
			k.in(c).Set(upper.in(c))
			continue
		}
		found.add(from, k.name, "is more than "+upper.name, fmt.Sprintf("at most %v", upper.in(c)))
	}
}

// schedule bounds the sum of all waits between attempts.
func (c *Config) schedule(found *problems) {
	var total time.Duration
	wait := time.Duration(c.Retry.InitialBackoff)
	for range c.Retry.MaxRetries {
		wait = min(wait, time.Duration(c.Retry.MaxBackoff))
		total += wait
		wait *= 2
		if total > maxSchedule {
			key, from := c.firstSet("retry.max_retries", "retry.max_backoff", "retry.initial_backoff")
			found.add(from, key, fmt.Sprintf("makes a retry schedule of more than %v: %d retries, from %v up to %v apart",
				maxSchedule, c.Retry.MaxRetries, c.Retry.InitialBackoff, c.Retry.MaxBackoff),
				fmt.Sprintf("a schedule of at most %v", maxSchedule))
			return
		}
	}
}

// escalation demands that a part which fails as soon as it is started uses up its restarts within their time: else it
// would be restarted for ever, by a daemon that looks healthy.
func (c *Config) escalation(found *problems) {
	s := c.Supervision
	var total time.Duration
	wait := time.Duration(s.RestartDelay)
	for range s.RestartIntensity {
		wait = min(wait, time.Duration(s.RestartMax))
		total += wait
		wait *= 2
		if total >= time.Duration(s.RestartWithin) {
			key, from := c.firstSet("supervision.restart_delay", "supervision.restart_intensity", "supervision.restart_within")
			found.add(from, key, fmt.Sprintf("lets a part that always fails be restarted for ever: %d restarts, from %v up to %v apart, take longer than restart_within, %v",
				s.RestartIntensity, s.RestartDelay, s.RestartMax, s.RestartWithin),
				"a delay, an intensity and a time in which that many restarts have room")
			return
		}
	}
}

// firstSet returns the first of the keys that was set explicitly, and where.
func (c *Config) firstSet(names ...string) (string, origin) {
	for _, name := range names {
		if from, ok := c.origins[name]; ok {
			return name, from
		}
	}
	return names[0], origin{}
}
