package main

import (
	"strings"
)

// pass is one call of go test.
type pass struct {
	dir  string // empty: the current folder
	args []string
}

// split cuts the arguments at each "--".
func split(args []string) []pass {
	var passes []pass
	var current []string
	add := func() {
		if len(current) > 0 {
			passes = append(passes, newPass(current))
		}
		current = nil
	}
	for _, arg := range args {
		if arg == "--" {
			add()
			continue
		}
		current = append(current, arg)
	}
	add()
	return passes
}

// newPass takes a leading -C off: go test wants it before all other flags.
func newPass(args []string) pass {
	if len(args) >= 2 && args[0] == "-C" {
		return pass{dir: args[1], args: args[2:]}
	}
	return pass{args: args}
}

// String is the command that a person would type.
func (p pass) String() string {
	words := []string{"go test"}
	if p.dir != "" {
		words = append(words, "-C", p.dir)
	}
	return strings.Join(append(words, p.args...), " ")
}
