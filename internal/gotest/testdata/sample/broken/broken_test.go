package broken

import "testing"

func TestDoesNotCompile(t *testing.T) {
	t.Log(neverDeclared)
}
