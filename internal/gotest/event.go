// Package gotest reads what `go test -json` says and keeps what a person wants to know of it: the verdict of each
// package in go test's own words, the output of the tests that failed, and why tests were skipped.
package gotest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Event is one line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type Event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	ImportPath  string
	FailedBuild string
}

// Handler receives what Read finds. Neither function may be nil.
type Handler struct {
	// Package is called once for each package, when its verdict is known.
	Package func(*Package)
	// Text is called with what belongs to no package: the compiler's output and lines that are not JSON.
	Text func(string)
}

// Read takes the whole stream of one `go test -json`. A package whose verdict never came, because go test itself was
// ended, is handed over as failed. The error is the reader's.
func Read(r io.Reader, h Handler) error {
	open := packages{byPath: map[string]*Package{}}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			open.take(line, h)
		}
		if err != nil {
			open.abandon(h)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// packages are those whose verdict has not come yet, in the order in which they began.
type packages struct {
	byPath map[string]*Package
	order  []string
}

func (o *packages) take(line []byte, h Handler) {
	var e Event
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil {
		h.Text(string(line))
		return
	}
	if e.Package == "" {
		h.Text(e.Output)
		return
	}
	p := o.byPath[e.Package]
	if p == nil {
		p = newPackage(e.Package)
		o.byPath[e.Package] = p
		o.order = append(o.order, e.Package)
	}
	p.add(e)
	if p.Verdict != Running {
		delete(o.byPath, e.Package)
		h.Package(p)
	}
}

func (o *packages) abandon(h Handler) {
	for _, path := range o.order {
		if p := o.byPath[path]; p != nil {
			p.end(Failed)
			delete(o.byPath, path)
			h.Package(p)
		}
	}
}
