package observe

import (
	"os"
	"strings"
	"testing"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

func TestMain(m *testing.M) {
	for _, variable := range os.Environ() { // the demo is about its own server
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") && name != "PG_BINDIR" {
			os.Unsetenv(name)
		}
	}
	pgtest.Main(m)
}
