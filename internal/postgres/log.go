package postgres

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings under which [ParseLog] can read a server's log, wherever that server runs: these two, and UTC.
const (
	linePrefix = "%m [%p] %e "
	lineTime   = "2006-01-02 15:04:05.000 MST"
)

// readyTexts are what the postmaster says at the moment from which it lets clients in, a standby's included: 14 has put
// the hyphen there.
var readyTexts = []string{
	"database system is ready to accept connections",
	"database system is ready to accept read-only connections",
	"database system is ready to accept read only connections",
}

// LogSettings are the settings that a server needs for [ParseLog] to read its log and for the log to tell which
// backend was there when. Every [Server] has them.
func LogSettings() map[string]string {
	return map[string]string{
		"log_line_prefix":    linePrefix,
		"log_timezone":       "UTC",
		"log_connections":    "on",
		"log_disconnections": "on",
		"lc_messages":        "C",
	}
}

// Line is one entry of a server's log.
type Line struct {
	At       time.Time // by the server's clock, in milliseconds
	PID      int       // of the postmaster or the backend
	Code     string    // the SQLSTATE; 00000 if nothing is wrong
	Severity string    // LOG, ERROR, FATAL, DETAIL, STATEMENT, ...
	Text     string    // may have several lines
}

// Ready reports whether with this line the server began to let clients in, or a standby became a server like any other.
func (l Line) Ready() bool {
	return slices.ContainsFunc(readyTexts, func(text string) bool { return strings.HasPrefix(l.Text, text) })
}

// ParseLog reads a server's log. What does not begin as an entry does belongs to the entry before it.
func ParseLog(text string) []Line {
	var lines []Line
	for raw := range strings.Lines(text) {
		raw = strings.TrimRight(raw, "\n")
		if line, ok := parseLine(raw); ok {
			lines = append(lines, line)
		} else if len(lines) > 0 {
			last := &lines[len(lines)-1]
			last.Text += "\n" + strings.TrimPrefix(raw, "\t")
		}
	}
	return lines
}

// parseLine reads "2026-01-02 03:04:05.678 UTC [4711] 57P01 FATAL:  terminating connection ...".
func parseLine(raw string) (Line, bool) {
	stamp, rest, ok := strings.Cut(raw, " [")
	if !ok {
		return Line{}, false
	}
	at, err := time.Parse(lineTime, stamp)
	if err != nil {
		return Line{}, false
	}
	id, rest, ok := strings.Cut(rest, "] ")
	if !ok {
		return Line{}, false
	}
	pid, err := strconv.Atoi(id)
	if err != nil {
		return Line{}, false
	}
	code, rest, ok := strings.Cut(rest, " ")
	if !ok {
		return Line{}, false
	}
	severity, text, ok := strings.Cut(rest, ":")
	if !ok {
		return Line{}, false
	}
	return Line{At: at, PID: pid, Code: code, Severity: severity, Text: strings.TrimLeft(text, " ")}, true
}
