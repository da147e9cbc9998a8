package config

import (
	"errors"
	"strconv"
	"strings"
)

// Error is one thing that is wrong with the configuration. It never quotes the value: the value may be a password, in
// its own place or in the wrong one.
type Error struct {
	Source  string // the file, or the environment variable; empty if it is nothing that was set
	Line    int    // the line in the file, from 1; 0 if there is none
	Key     string // such as "database.port"; empty if the file as a whole is meant
	Problem string // what is wrong
	Allowed string // what would be right; empty if there is nothing to choose from
	Err     error  // why the file could not be read; nil for everything else
}

// Error returns one line: place, key, problem, and what is allowed.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Source != "" {
		b.WriteString(e.Source)
		if e.Line > 0 {
			b.WriteString(":" + strconv.Itoa(e.Line))
		}
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Problem)
	if e.Allowed != "" {
		b.WriteString("; allowed: " + e.Allowed)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// problems collects what is wrong, so that a person can mend all of it at once.
type problems []*Error

func (p *problems) add(at origin, key, problem, allowed string) {
	*p = append(*p, &Error{Source: at.source, Line: at.line, Key: key, Problem: problem, Allowed: allowed})
}

func (p problems) err() error {
	all := make([]error, len(p))
	for i, one := range p {
		all[i] = one
	}
	return errors.Join(all...)
}
