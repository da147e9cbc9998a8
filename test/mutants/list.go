package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// conditions say which tests have to notice a mutant, and how they are run. At the head of a list they hold for all of
// its mutants; a mutant may state its own.
type conditions struct {
	// Tests are package patterns, separated by spaces.
	Tests string
	// Run is a regular expression for the tests; empty runs all.
	Run string
	// Tags are build tags, separated by commas.
	Tags string
	// Race runs the tests under the race detector.
	Race bool
	// Short runs them with -short.
	Short bool
	// Count runs each test so often, for mutants that show only now and then; 0 is once.
	Count int
	// Timeout is how long the tests may take; 0 is two minutes. A mutant that makes them hang is killed by it.
	Timeout time.Duration
}

// mutant is one deliberate fault.
type mutant struct {
	// Name is unique among all lists.
	Name string
	// Rule says in a few words what the mutant breaks.
	Rule string
	// File is where Old stands, from the root of the module.
	File string
	// Old is what New replaces. It stands in the file exactly once; white space at the ends of its lines does
	// not matter.
	Old string
	// New may be empty.
	New        string
	conditions `yaml:",inline"`
}

// list is a file of mutants.
type list struct {
	conditions `yaml:",inline"`
	Mutants    []mutant
}

// loadLists reads mutants from files; a name that comes twice is an error.
func loadLists(paths []string) ([]mutant, error) {
	var all []mutant
	names := map[string]bool{}
	for _, path := range paths {
		mutants, err := loadList(path)
		if err != nil {
			return nil, err
		}
		for _, m := range mutants {
			if names[m.Name] {
				return nil, fmt.Errorf("%s: there are two mutants named %s", path, m.Name)
			}
			names[m.Name] = true
		}
		all = append(all, mutants...)
	}
	if len(all) == 0 {
		return nil, errors.New("there are no mutants")
	}
	return all, nil
}

func loadList(path string) ([]mutant, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var l list
	in := yaml.NewDecoder(f)
	in.KnownFields(true)
	if err := in.Decode(&l); err != nil {
		return nil, fmt.Errorf("%s: %w (code with a colon, a # or a quote in it goes into a block: old: |)", path, err)
	}
	for i := range l.Mutants {
		l.Mutants[i].conditions = l.Mutants[i].or(l.conditions)
		if err := l.Mutants[i].validate(); err != nil {
			return nil, fmt.Errorf("%s: mutant %s: %w", path, cmp.Or(l.Mutants[i].Name, strconv.Itoa(i+1)), err)
		}
	}
	return l.Mutants, nil
}

// or fills what a mutant does not state itself from the head of its list.
func (c conditions) or(head conditions) conditions {
	c.Tests = cmp.Or(c.Tests, head.Tests)
	c.Run = cmp.Or(c.Run, head.Run)
	c.Tags = cmp.Or(c.Tags, head.Tags)
	c.Race = c.Race || head.Race
	c.Short = c.Short || head.Short
	c.Count = cmp.Or(c.Count, head.Count, 1)
	c.Timeout = cmp.Or(c.Timeout, head.Timeout, 2*time.Minute)
	return c
}

func (m mutant) validate() error {
	for _, field := range []struct{ name, value string }{
		{"name", m.Name}, {"rule", m.Rule}, {"file", m.File}, {"old", strings.TrimSpace(m.Old)}, {"tests", m.Tests},
	} {
		if field.value == "" {
			return fmt.Errorf("%s is missing", field.name)
		}
	}
	if !filepath.IsLocal(m.File) || !strings.HasSuffix(m.File, ".go") || strings.HasSuffix(m.File, "_test.go") {
		return fmt.Errorf("file %q is no Go file of the module that is not a test", m.File)
	}
	if strings.TrimSpace(m.Old) == strings.TrimSpace(m.New) {
		return errors.New("old and new are the same")
	}
	if _, err := regexp.Compile(m.Run); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if m.Count < 0 || m.Timeout < 0 {
		return errors.New("count and timeout cannot be negative")
	}
	return nil
}
