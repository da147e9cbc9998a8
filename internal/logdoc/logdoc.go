// Package logdoc reads docs/logs.md, which says what the log says, for tests that hold the log to it.
package logdoc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Doc is what is documented.
type Doc struct {
	Fields []string
	Events map[string]Event
}

// Event is one row.
type Event struct {
	Levels []string
	Fields []string // beside those that every line has
}

// everywhere are the fields that every line may have.
var everywhere = []string{"level", "message", "event", "actor", "time"}

// Read reads the page.
func Read(path string) (Doc, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Doc{}, err
	}
	return parse(string(text))
}

// Tables are told apart by their first line.
const (
	fieldsTable = "| field | what it is |"
	eventsTable = "| event | level | what happened | fields |"
)

var code = regexp.MustCompile("`([a-z_]+)`")

func parse(text string) (Doc, error) {
	d := Doc{Events: map[string]Event{}}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == fieldsTable, line == eventsTable:
			table = line
		case !strings.HasPrefix(line, "|"):
			table = ""
		case table == "" || strings.HasPrefix(line, "|---"):
		default:
			if err := d.add(table, line); err != nil {
				return Doc{}, err
			}
		}
	}
	if len(d.Fields) == 0 || len(d.Events) == 0 {
		return Doc{}, errors.New("logdoc: the tables of fields and events are missing")
	}
	return d, nil
}

// add takes in one row of a table.
func (d *Doc) add(table, line string) error {
	cells := strings.Split(strings.Trim(line, "|"), " | ")
	names := words(cells[0])
	if len(names) != 1 {
		return fmt.Errorf("logdoc: no name in %q", line)
	}
	if table == fieldsTable {
		d.Fields = append(d.Fields, names[0])
		return nil
	}
	if len(cells) != 4 {
		return fmt.Errorf("logdoc: %d cells in %q", len(cells), line)
	}
	if _, twice := d.Events[names[0]]; twice {
		return fmt.Errorf("logdoc: %s is there twice", names[0])
	}
	d.Events[names[0]] = Event{Levels: strings.Fields(cells[1]), Fields: words(cells[3])}
	return nil
}

// words are what a cell has in the type of code.
func words(cell string) (names []string) {
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		names = append(names, m[1])
	}
	return names
}

// Check says what is wrong with a line of the log, in JSON.
func (d Doc) Check(line []byte) error {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return fmt.Errorf("logdoc: %w: %s", err, line)
	}
	name, _ := fields["event"].(string)
	event, known := d.Events[name]
	if !known {
		return fmt.Errorf("logdoc: the event %q is not documented: %s", name, line)
	}
	if actor, _ := fields["actor"].(string); actor == "" {
		return fmt.Errorf("logdoc: no actor: %s", line)
	}
	if level, _ := fields["level"].(string); !slices.Contains(event.Levels, level) {
		return fmt.Errorf("logdoc: %s is not documented to be of level %q: %s", name, level, line)
	}
	for field := range fields {
		if !slices.Contains(everywhere, field) && !slices.Contains(event.Fields, field) {
			return fmt.Errorf("logdoc: %s is not documented to have the field %q: %s", name, field, line)
		}
	}
	return nil
}
