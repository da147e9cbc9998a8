// Package counter counts to a limit.
package counter

// Counter counts from zero to Limit.
type Counter struct {
	Limit int
	n     int
}

// Add counts one more, and tells whether there was room for it.
func (c *Counter) Add() bool {
	if c.n >= c.Limit {
		return false
	}
	c.n++
	return true
}

// Fill adds until there is no room.
func (c *Counter) Fill() int {
	added := 0
	for c.Add() {
		added++
	}
	return added
}

// Reset begins anew.
func (c *Counter) Reset() {
	c.n = 0
}
