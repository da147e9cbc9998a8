package chaos

import (
	"testing"

	"github.com/seed-4ff2b7b9/supervised/test/chaos/container"
)

// docker kill, through a published port: Docker's proxy accepts for the dead server, so that dials succeed and hang.
func TestKillsOfAContainer(t *testing.T) {
	container.Available(t)
	kept(t, "4-kill")
}

func TestARestartOfAContainer(t *testing.T) {
	container.Available(t)
	kept(t, "4-restart|2b-container")
}

// A pause that is shorter than the deadline fails nothing, the statements in flight included.
func TestAPauseOfAContainer(t *testing.T) {
	container.Available(t)
	kept(t, "5-3c")
}
