package bad

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	fmt.Println("the package speaks")
	os.Exit(m.Run())
}

func TestFails(t *testing.T) {
	t.Run("this", func(t *testing.T) { t.Error("wrong by one") })
	t.Run("not this", func(t *testing.T) { t.Log("all is well") })
}

func TestIsFine(t *testing.T) {
	t.Log("nothing to see")
}
