// Command apicheck compares what the public packages export with what is recorded in the folder api, a file for each
// package. It fails where something is missing or has changed: programs that use it would no longer compile, or do
// something else. With -write it records what there is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-4ff2b7b9/supervised/internal/exportdata"
)

const (
	folder  = "api"
	ending  = ".txt"
	heading = "# What %s exports. `make api` writes this file; internal/apicheck compares.\n"
)

// errIncompatible is what main says after the differences.
var errIncompatible = errors.New("the exported API has changed in a way that programs can notice; if that is meant, " +
	"name it in CHANGELOG.md under Changed or Removed and record it with make api")

func main() {
	write := flag.Bool("write", false, "record what there is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	act := check
	if *write {
		act = record
	}
	if err := act(ctx, ".", os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "apicheck:", err)
		os.Exit(1)
	}
}

// check compares the packages of the module in root with what is recorded there.
func check(ctx context.Context, root string, out io.Writer) error {
	now, err := load(ctx, root)
	if err != nil {
		return err
	}
	recorded, err := read(filepath.Join(root, folder))
	if err != nil {
		return err
	}
	broken, grown := false, false
	for _, path := range sorted(recorded, now) {
		d := compare(recorded[path], now[path])
		fmt.Fprint(out, d.report(path))
		broken = broken || len(d.gone)+len(d.changed) > 0
		grown = grown || len(d.added) > 0
	}
	if broken {
		return errIncompatible
	}
	if grown {
		fmt.Fprintln(out, "apicheck: what was added is compatible; record it with make api")
	}
	return nil
}

// record writes down what the packages of the module in root export.
func record(ctx context.Context, root string, _ io.Writer) error {
	now, err := load(ctx, root)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, folder)
	recorded, err := read(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, path := range sorted(recorded, now) {
		file := filepath.Join(dir, fileName(path))
		lines, there := now[path]
		if !there {
			if err := os.Remove(file); err != nil {
				return err
			}
			continue
		}
		text := fmt.Sprintf(heading, path) + strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// api holds the lines of each public package, by its folder below the module's root.
type api map[string][]string

// load describes the module in root as it is.
func load(ctx context.Context, root string) (api, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-f", "{{if .GoFiles}}{{.Name}} {{.ImportPath}} {{.Module.Path}}{{end}}", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	listed, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	folders := map[string]string{}
	for line := range strings.Lines(string(listed)) {
		var name, path, module string
		if _, err := fmt.Sscan(line, &name, &path, &module); err != nil {
			continue // a package without Go files
		}
		if below := strings.TrimPrefix(strings.TrimPrefix(path, module), "/"); name != "main" && isPublic(below) {
			folders[path] = below
		}
	}
	found := api{}
	if len(folders) == 0 {
		return found, nil
	}
	packages, err := exportdata.Load(ctx, root, keys(folders)...)
	if err != nil {
		return nil, err
	}
	for _, path := range packages.Paths {
		pkg, err := packages.Import(path)
		if err != nil {
			return nil, err
		}
		found[folders[path]] = describe(pkg)
	}
	return found, nil
}

// isPublic tells whether programs can import what is in a folder and may count on it.
func isPublic(folder string) bool {
	steps := strings.Split(folder, "/")
	return steps[0] != "test" && steps[0] != "cmd" && !slices.Contains(steps, "internal")
}

// read reads what is recorded.
func read(dir string) (api, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+ending))
	if err != nil {
		return nil, err
	}
	recorded := api{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		path := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ending), ".", "/")
		recorded[path] = []string{}
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "#") {
				recorded[path] = append(recorded[path], strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return recorded, nil
}

func fileName(path string) string { return strings.ReplaceAll(path, "/", ".") + ending }

func sorted(sets ...api) []string {
	var paths []string
	for _, set := range sets {
		paths = append(paths, keys(set)...)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

func keys[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for key := range m {
		list = append(list, key)
	}
	return list
}
