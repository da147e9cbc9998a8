package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/gotest"
)

// compileTime is granted on top of the tests' own time-out.
const compileTime = 10 * time.Minute

// outcome is what became of a mutant.
type outcome string

const (
	killed     outcome = "killed"
	survived   outcome = "SURVIVED"
	notBuilt   outcome = "DID NOT COMPILE"
	notFitting outcome = "NO LONGER MATCHES"
	notTested  outcome = "NO TEST RAN"
)

// result is an outcome with what is to be said about it: the test that killed, or what went wrong.
type result struct {
	outcome outcome
	note    string
	took    time.Duration
}

// try runs the tests against the module with the mutant in it. The working tree is not touched: go reads the changed
// file from elsewhere.
func (m mutant) try(ctx context.Context, root string) (result, error) {
	began := time.Now()
	source, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return result{outcome: notFitting, note: err.Error()}, nil
	}
	changed, err := change(m.File, string(source), m.Old, m.New)
	if err != nil {
		return result{outcome: notFitting, note: err.Error()}, nil
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(dir, filepath.Join(root, m.File), changed)
	if err != nil {
		return result{}, err
	}
	r, err := m.test(ctx, root, "-overlay="+overlay)
	r.took = time.Since(began)
	return r, err
}

// writeOverlay puts a file's changed text into dir, with the list by which go finds it.
func writeOverlay(dir, file, text string) (string, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	changed := filepath.Join(dir, "changed.go")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, errors.Join(os.WriteFile(changed, []byte(text), 0o600), os.WriteFile(overlay, replace, 0o600))
}

// test runs go test under the conditions, with extra flags in front. An error means that nothing can be said.
func (c conditions) test(ctx context.Context, root string, flags ...string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout*time.Duration(c.packages())+compileTime)
	defer cancel()
	var v verdict
	err := gotest.Command{Dir: root, Args: append(flags, c.flags()...), Stderr: &v.text}.Run(ctx, v.handler())
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		return result{}, fmt.Errorf("go test did not come to its end: %w\n%s", errors.Join(ctx.Err(), err), &v.text)
	}
	return v.result(err == nil), nil
}

func (c conditions) packages() int { return len(strings.Fields(c.Tests)) }

func (c conditions) flags() []string {
	flags := []string{
		"-vet=off", "-failfast", fmt.Sprintf("-count=%d", c.Count), fmt.Sprintf("-timeout=%v", c.Timeout),
		"-tags=" + c.Tags, "-run=" + c.Run,
	}
	if c.Race {
		flags = append(flags, "-race")
	}
	if c.Short {
		flags = append(flags, "-short")
	}
	return append(flags, strings.Fields(c.Tests)...)
}

// verdict gathers what go test says.
type verdict struct {
	text   strings.Builder // the compiler's
	report strings.Builder // of the packages that failed
	tests  int
	killer string
	broken bool
}

func (v *verdict) handler() gotest.Handler {
	return gotest.Handler{
		Text: func(s string) { v.text.WriteString(s) },
		Package: func(p *gotest.Package) {
			v.tests += p.Tests(gotest.Passed) + p.Tests(gotest.Failed)
			if p.Verdict != gotest.Failed {
				return
			}
			v.report.WriteString(p.Report())
			v.broken = v.broken || p.FailedBuild != "" || strings.Contains(p.Output(), "[setup failed]")
			if v.killer == "" {
				v.killer = killer(p)
			}
		},
	}
}

// killer names the first test that failed, or the package if it failed by itself, as with a leaked goroutine.
func killer(p *gotest.Package) string {
	name := p.Path
	if failures := p.Failures(); len(failures) > 0 {
		name = failures[0]
	}
	if strings.Contains(p.Output(), "panic: test timed out after") {
		name += ", by its time-out"
	}
	return name
}

func (v *verdict) result(green bool) result {
	switch {
	case v.broken:
		return result{outcome: notBuilt, note: v.text.String() + v.report.String()}
	case !green:
		return result{outcome: killed, note: v.killer}
	case v.tests == 0:
		return result{outcome: notTested, note: "no test matches"}
	default:
		return result{outcome: survived}
	}
}
