package counter

import "testing"

func TestFill(t *testing.T) {
	c := Counter{Limit: 3}
	if n := c.Fill(); n != 3 {
		t.Fatalf("added %d", n)
	}
}
