// Command covergate reads cover profiles, prints the coverage of the packages in scope and fails if all their statements
// together are covered less than the threshold asks for.
//
//	go run ./internal/covergate -min 90 -of ./messages,./actors/... PROFILE...
//
// Patterns are relative to the main module. A pattern that no block in the profiles belongs to is an error: coverage of
// nothing would be complete.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strings"
)

// worst is how many files with the most uncovered statements are named when the gate stays shut.
const worst = 10

func main() {
	threshold := flag.Float64("min", 90, "least `percent` of statements to be covered")
	of := flag.String("of", "./...", "comma-separated package `patterns` in scope")
	flag.Parse()
	p, err := readAll(flag.Args())
	if err == nil {
		err = gate{scope: absolute(*of, mainModule()), threshold: *threshold}.check(p, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "covergate:", err)
		os.Exit(1)
	}
}

// mainModule is the module that this command was built from.
func mainModule() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return info.Main.Path
}

// absolute turns "./actors/..." into import paths of the module.
func absolute(patterns, module string) scope {
	var s scope
	for pattern := range strings.SplitSeq(patterns, ",") {
		s = append(s, path.Join(module, strings.TrimSpace(pattern)))
	}
	return s
}

func readAll(paths []string) (*profile, error) {
	if len(paths) == 0 {
		return nil, errors.New("no cover profile was named")
	}
	p := newProfile()
	for _, name := range paths {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		err = p.read(name, f)
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// gate is what is asked of the coverage.
type gate struct {
	scope     scope
	threshold float64
}

func (g gate) check(p *profile, out io.Writer) error {
	packages := p.sum(func(file string) string {
		if g.scope.match(packageOf(file)) == "" {
			return ""
		}
		return packageOf(file)
	})
	if err := g.allPresent(packages); err != nil {
		return err
	}
	var total tally
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		t := packages[name]
		total.statements += t.statements
		total.covered += t.covered
		fmt.Fprintf(out, "%6.1f %%  %5d of %5d statements  %s\n", t.percent(), t.covered, t.statements, name)
	}
	fmt.Fprintf(out, "%6.1f %%  %5d of %5d statements  together; at least %g %% are asked for\n",
		total.percent(), total.covered, total.statements, g.threshold)
	if total.statements == 0 {
		return errors.New("there is no statement in scope")
	}
	if total.percent() < g.threshold {
		g.nameWorst(p, out)
		return fmt.Errorf("coverage is %.2f %%, less than %g %%", total.percent(), g.threshold)
	}
	return nil
}

func (g gate) allPresent(packages map[string]tally) error {
	seen := map[string]bool{}
	for name := range packages {
		seen[g.scope.match(name)] = true
	}
	for _, pattern := range g.scope {
		if !seen[pattern] {
			return fmt.Errorf("the profiles have no block of %s: was it left out of -coverpkg?", pattern)
		}
	}
	return nil
}

func (g gate) nameWorst(p *profile, out io.Writer) {
	files := p.sum(func(file string) string {
		if g.scope.match(packageOf(file)) == "" {
			return ""
		}
		return file
	})
	uncovered := func(name string) int { return files[name].statements - files[name].covered }
	names := slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		return cmp.Or(cmp.Compare(uncovered(b), uncovered(a)), cmp.Compare(a, b))
	})
	fmt.Fprintln(out, "most uncovered statements:")
	for _, name := range names[:min(worst, len(names))] {
		fmt.Fprintf(out, "%6d  %s\n", uncovered(name), name)
	}
}
