//go:build thorough

package counter

import "testing"

func TestReset(t *testing.T) {
	c := Counter{Limit: 3}
	c.Fill()
	c.Reset()
	if !c.Add() {
		t.Fatal("no room after Reset")
	}
}
