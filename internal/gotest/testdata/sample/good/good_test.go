package good

import (
	"fmt"
	"testing"
)

func TestPasses(t *testing.T) {
	fmt.Println("noise of a test that passes")
	t.Log("a log line")
}

func TestSkips(t *testing.T) {
	t.Skip("the sample has\nno server")
}

func TestSkipsInSilence(t *testing.T) {
	t.Run("now", func(t *testing.T) { t.SkipNow() })
	t.Run("empty", func(t *testing.T) { t.Skip() })
}
