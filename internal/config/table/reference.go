package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
)

// entry is one key as config.yml describes it.
type entry struct {
	name    string // "database.port"
	value   string // as it is written
	meaning string
	isOff   bool // commented out
}

var (
	sectionLine = regexp.MustCompile(`^([a-z_]+):\s*$`)
	keyLine     = regexp.MustCompile(`^  (#?)([a-z_]+): (.+)$`)
	proseLine   = regexp.MustCompile(`^\s*# ?(.*)$`)
)

// reference reads the keys of an annotated configuration file: each has its meaning in the comment above it, "# " and
// prose, and may itself be commented out, by a "#" without a blank.
func reference(file string) ([]entry, error) {
	var (
		entries []entry
		section string
		prose   []string
	)
	for i, line := range strings.Split(strings.TrimSuffix(file, "\n"), "\n") {
		if m := keyLine.FindStringSubmatch(line); m != nil {
			entries = append(entries, entry{section + "." + m[2], m[3], strings.Join(prose, " "), m[1] == "#"})
			prose = nil
		} else if m := sectionLine.FindStringSubmatch(line); m != nil {
			section, prose = m[1], nil
		} else if m := proseLine.FindStringSubmatch(line); m != nil {
			prose = append(prose, m[1])
		} else if line == "" {
			prose = nil
		} else {
			return nil, fmt.Errorf("line %d is neither prose nor a key nor a section", i+1)
		}
	}
	return entries, nil
}

// render writes the entries as a table in Markdown.
func render(entries []entry) (string, error) {
	keys := make(map[string]config.Key)
	for _, k := range config.Keys() {
		keys[k.Name] = k
	}
	var b strings.Builder
	b.WriteString("| key | default | environment | meaning |\n|---|---|---|---|\n")
	for _, e := range entries {
		k, ok := keys[e.name]
		if !ok {
			return "", fmt.Errorf("there is no key %s", e.name)
		}
		meaning := e.meaning
		if k.Live {
			meaning += " Changes on SIGHUP."
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", e.name, shown(e.value), k.Env, cell(meaning))
	}
	return b.String(), nil
}

// shown is a default as it stands in the table: an empty one leaves the cell empty.
func shown(value string) string {
	if value == `""` || value == "{}" {
		return ""
	}
	return "`" + value + "`"
}

// cell escapes what would end a cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

const (
	begin = "<!-- config -->"
	end   = "<!-- /config -->"
)

// replace puts the table between the two markers of a document.
func replace(document, table string) (string, error) {
	before, rest, ok := strings.Cut(document, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("there is no %s with a %s after it", begin, end)
	}
	return before + begin + "\n" + table + end + after, nil
}
