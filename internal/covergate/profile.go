package main

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// block is a run of statements as the cover tool names it: file and span, "pkg/file.go:12.2,14.9".
type block struct{ file, span string }

// tally counts statements.
type tally struct{ statements, covered int }

func (t tally) percent() float64 {
	if t.statements == 0 {
		return 100
	}
	return 100 * float64(t.covered) / float64(t.statements)
}

// profile is what any number of cover profiles say together: how many statements each block has, and whether one of the
// test binaries ran them. With -coverpkg each binary writes all blocks, so a block stands in a profile many times.
type profile struct {
	statements map[block]int
	covered    map[block]bool
}

func newProfile() *profile {
	return &profile{statements: map[block]int{}, covered: map[block]bool{}}
}

// read adds one profile, which may be several that were joined.
func (p *profile) read(name string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	number, mode := 0, false
	for lines.Scan() {
		number++
		line := lines.Text()
		if strings.HasPrefix(line, "mode: ") {
			mode = true
			continue
		}
		if err := p.add(line); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !mode {
		return fmt.Errorf("%s: not a cover profile: no line with its mode", name)
	}
	return nil
}

// add takes a line as "pkg/file.go:12.2,14.9 3 17": place, statements, times run.
func (p *profile) add(line string) error {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return fmt.Errorf("%q is no block", line)
	}
	// From the end, since a file's name may have spaces and colons.
	place := strings.Join(fields[:len(fields)-2], " ")
	colon := strings.LastIndexByte(place, ':')
	statements, err1 := strconv.Atoi(fields[len(fields)-2])
	runs, err2 := strconv.ParseUint(fields[len(fields)-1], 10, 64)
	if colon < 0 || err1 != nil || err2 != nil || statements < 0 {
		return fmt.Errorf("%q is no block", line)
	}
	b := block{place[:colon], place[colon+1:]}
	if known, ok := p.statements[b]; ok && known != statements {
		return fmt.Errorf("%q: the block had %d statements before: the profiles are of different sources", line, known)
	}
	p.statements[b] = statements
	if runs > 0 {
		p.covered[b] = true
	}
	return nil
}

// sum adds up the blocks by the key that by gives them; an empty key leaves a block out.
func (p *profile) sum(by func(file string) string) map[string]tally {
	sums := map[string]tally{}
	for b, n := range p.statements {
		key := by(b.file)
		if key == "" {
			continue
		}
		t := sums[key]
		t.statements += n
		if p.covered[b] {
			t.covered += n
		}
		sums[key] = t
	}
	return sums
}

// scope is a list of package patterns: import paths, which may end in "/..." for the packages below as well.
type scope []string

// match gives the pattern that a package belongs to; empty if it is out of scope.
func (s scope) match(pkg string) string {
	i := slices.IndexFunc(s, func(pattern string) bool {
		root, below := strings.CutSuffix(pattern, "/...")
		return pkg == root || below && strings.HasPrefix(pkg, root+"/")
	})
	if i < 0 {
		return ""
	}
	return s[i]
}

// packageOf gives the package of a file in a profile.
func packageOf(file string) string { return path.Dir(file) }
