package main

import (
	"fmt"
	"regexp"
	"strings"
)

// changeError says that a mutant no longer fits the source: somebody has to look at it.
type changeError struct {
	file    string
	matches int
}

func (e *changeError) Error() string {
	return fmt.Sprintf("old stands in %s %d times, not once", e.file, e.matches)
}

// change replaces old by new in the source of a file.
func change(file, source, old, replacement string) (string, error) {
	places := pattern(old).FindAllStringIndex(source, -1)
	if len(places) != 1 {
		return "", &changeError{file, len(places)}
	}
	start, end := places[0][0], places[0][1]
	return source[:start] + strings.TrimSpace(replacement) + source[end:], nil
}

// pattern matches old line by line, whatever white space is at the lines' ends: a list is indented by spaces and Go
// sources by tabs, and neither matters to what the code does.
func pattern(old string) *regexp.Regexp {
	var lines []string
	for line := range strings.Lines(old) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, regexp.QuoteMeta(line))
		}
	}
	return regexp.MustCompile(strings.Join(lines, `[ \t]*\n\s*`))
}
