package main

import (
	"os"
	"strings"
)

// forgetOtherServers takes the PG* variables out of the environment of this process: they speak of another server than
// the throwaway one, and would lead its clients astray (PGSERVICE, PGTARGETSESSIONATTRS, PGOPTIONS, ...). PG_BINDIR says
// where the binaries are, and stays.
func forgetOtherServers() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") && name != "PG_BINDIR" {
			os.Unsetenv(name)
		}
	}
}
