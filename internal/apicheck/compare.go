package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// difference is what distinguishes two descriptions of a package.
type difference struct {
	gone, added []string
	changed     [][2]string // was, is
}

// named is the part of a line that says which thing it is about: its kind, its type, its name.
var named = regexp.MustCompile(`^(\w+) (?:\(\*?(\w+)[^)]*\) )?([\w.]+)`)

func key(line string) string {
	parts := named.FindStringSubmatch(line)
	if parts == nil {
		return line
	}
	if parts[2] != "" {
		return parts[2] + "." + parts[3]
	}
	return parts[3]
}

func compare(before, after []string) difference {
	var d difference
	is := map[string]string{}
	for _, line := range after {
		is[key(line)] = line
	}
	was := map[string]bool{}
	for _, line := range before {
		was[key(line)] = true
		switch now, there := is[key(line)]; {
		case !there:
			d.gone = append(d.gone, line)
		case now != line:
			d.changed = append(d.changed, [2]string{line, now})
		}
	}
	for _, line := range after {
		if !was[key(line)] {
			d.added = append(d.added, line)
		}
	}
	slices.Sort(d.gone)
	return d
}

// report tells of the differences of one package; nothing if there are none.
func (d difference) report(path string) string {
	var b strings.Builder
	for _, line := range d.gone {
		fmt.Fprintf(&b, "%s: removed: %s\n", path, line)
	}
	for _, pair := range d.changed {
		fmt.Fprintf(&b, "%s: changed: %s\n%s      now: %s\n", path, pair[0], strings.Repeat(" ", len(path)), pair[1])
	}
	for _, line := range d.added {
		fmt.Fprintf(&b, "%s: added: %s\n", path, line)
	}
	return b.String()
}
