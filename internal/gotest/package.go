package gotest

import (
	"regexp"
	"slices"
	"strings"
)

// Verdict is how a package or a test ended.
type Verdict string

// The verdicts, as go test names them.
const (
	// Running has not ended yet. A package that Read hands over is never Running, and neither is any of its tests.
	Running Verdict = ""
	Passed  Verdict = "pass"
	Failed  Verdict = "fail"
	Skipped Verdict = "skip" // of a package: it has no tests
)

// Package is what one package's tests said.
type Package struct {
	Path    string
	Verdict Verdict
	// FailedBuild names what did not compile, if that is why the package failed.
	FailedBuild string

	lines []line
	tests map[string]Verdict
}

// line is a piece of output: a line, or a part of one if it was long or had no end. test is empty for the package's own.
type line struct{ test, text string }

// Skip is a test that did not run.
type Skip struct {
	Package, Test string
	// Reason is what the test gave t.Skip, with the place of the call; empty if it gave nothing.
	Reason string
}

func newPackage(path string) *Package {
	return &Package{Path: path, tests: map[string]Verdict{}}
}

func (p *Package) add(e Event) {
	if e.FailedBuild != "" {
		p.FailedBuild = e.FailedBuild
	}
	switch v := Verdict(e.Action); {
	case e.Action == "output":
		p.lines = append(p.lines, line{e.Test, e.Output})
	case e.Action == "run":
		p.tests[e.Test] = Running
	case v != Passed && v != Failed && v != Skipped:
		// start, pause, cont, bench and whatever a later Go adds: nothing ends by them.
	case e.Test != "":
		p.tests[e.Test] = v
	default:
		p.end(v)
	}
}

// end gives the verdict. A test that is still running took the process down with it: go test names no culprit then.
func (p *Package) end(v Verdict) {
	p.Verdict = v
	for name, verdict := range p.tests {
		if verdict == Running {
			p.tests[name] = Failed
		}
	}
}

// Tests counts the tests, subtests included, that ended as v.
func (p *Package) Tests(v Verdict) int {
	return len(p.named(v))
}

// Failures names the tests that failed, subtests included, or were running when the process died.
func (p *Package) Failures() []string {
	return p.named(Failed)
}

// Skips lists the tests that did not run, sorted by name.
func (p *Package) Skips() []Skip {
	var skips []Skip
	for _, name := range p.named(Skipped) {
		skips = append(skips, Skip{Package: p.Path, Test: name, Reason: p.reason(name)})
	}
	return skips
}

func (p *Package) named(v Verdict) []string {
	var names []string
	for name, verdict := range p.tests {
		if verdict == v {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// reason is what a skipped test printed last: t.Skip's message, which may have several lines.
func (p *Package) reason(test string) string {
	var words []string
	for _, l := range p.lines {
		if l.test == test && !framing(l.text) {
			words = append(words, strings.Fields(l.text)...)
		}
	}
	if len(words) == 1 && bareLocation.MatchString(words[0]) {
		return ""
	}
	return strings.Join(words, " ")
}

// bareLocation is what t.Skip prints if it is given nothing to say.
var bareLocation = regexp.MustCompile(`^\S+\.go:\d+:$`)

// Output is everything that the package and its tests printed, in order.
func (p *Package) Output() string {
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(l.text)
	}
	return b.String()
}

// Report is what go test without -v would print: its own summary line and, if the package failed, what the failed tests
// and the package itself said. A package that passed keeps the rest to itself.
func (p *Package) Report() string {
	var b strings.Builder
	for _, l := range p.lines {
		if p.tells(l) {
			b.WriteString(l.text)
		}
	}
	text := b.String()
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

func (p *Package) tells(l line) bool {
	switch {
	case l.test == "" && p.Verdict != Failed:
		return summary(l.text)
	case l.test == "":
		return l.text != "FAIL\n" // go test prints one for the whole run as well, and a line with the package's name
	default:
		return p.tests[l.test] == Failed && !strings.HasPrefix(l.text, "=== ")
	}
}

// summary knows go test's own line about a package: "ok", "?" (no test files), or a tab where there are none but
// coverage was asked for.
func summary(text string) bool {
	return strings.HasPrefix(text, "ok  \t") || strings.HasPrefix(text, "?   \t") || strings.HasPrefix(text, "\t")
}

// framing knows the lines by which the testing package marks where a test begins, pauses and ends.
func framing(text string) bool {
	text = strings.TrimLeft(text, " ")
	return strings.HasPrefix(text, "=== ") || strings.HasPrefix(text, "--- ")
}
