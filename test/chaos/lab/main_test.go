package lab

import (
	"testing"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
