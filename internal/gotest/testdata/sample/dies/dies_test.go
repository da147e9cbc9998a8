package dies

import "testing"

func TestDies(t *testing.T) {
	go func() { panic("out of the blue") }()
	select {}
}
