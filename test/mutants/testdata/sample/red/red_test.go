package red

import "testing"

func TestIsAlwaysRed(t *testing.T) {
	t.Error("as ever")
}
