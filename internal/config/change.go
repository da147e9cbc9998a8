package config

import (
	"fmt"
	"reflect"
)

// Change is a key whose value differs between two configurations.
type Change struct {
	Key      string // "log.level"
	Old, New string // the values as texts; a secret is [redacted]
	Live     bool   // a running daemon can adopt it; if not, it needs a restart
}

// Diff lists what differs between two configurations, in the order of Keys.
func Diff(old, next Config) []Change {
	var changes []Change
	for _, k := range keys {
		a, b := k.in(&old).Interface(), k.in(&next).Interface()
		if !reflect.DeepEqual(a, b) {
			changes = append(changes, Change{Key: k.name, Old: fmt.Sprint(a), New: fmt.Sprint(b), Live: k.live()})
		}
	}
	return changes
}

// Adopt returns c with the live keys of next: what a running daemon works with after it has read its configuration
// again. All else stays, so that the next Diff names it again.
func (c Config) Adopt(next Config) Config {
	for _, k := range keys {
		if k.live() {
			k.in(&c).Set(k.in(&next))
		}
	}
	return c
}
