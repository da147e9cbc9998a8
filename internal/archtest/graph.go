// Package archtest states the structure of the house, which room may know which other, and what goes for every room. Its
// tests hold the packages to it, and what the documents show to the code. ARCHITECTURE.md says why the rooms are as they are.
package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// module is the path that all packages of ours begin with.
const module = "github.com/seed-4ff2b7b9/supervised"

// pkg is what go list says about a package.
type pkg struct {
	ImportPath string
	Name       string
	Doc        string // the first sentence of the package comment
	GoFiles    []string
	Imports    []string
	Deps       []string // everything that it pulls in
}

// graph holds all packages of the module and what they pull in, tests left out.
type graph map[string]pkg

// load asks go list, as it would build with these tags.
func load(ctx context.Context, root, tags string) (graph, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-deps", "-tags="+tags,
		"-json=ImportPath,Name,Doc,GoFiles,Imports,Deps", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, &stderr)
	}
	g, err := parse(bytes.NewReader(out))
	if err != nil {
		return nil, err
	}
	for path := range g {
		if _, isOurs := inModule(path); isOurs {
			return g, nil
		}
	}
	// With -e, go list calls nothing an error.
	return nil, fmt.Errorf("go list found no package of %s in %s: %s", module, root, &stderr)
}

func parse(r io.Reader) (graph, error) {
	g := graph{}
	for in := json.NewDecoder(r); ; {
		var p pkg
		err := in.Decode(&p)
		if errors.Is(err, io.EOF) {
			return g, nil
		}
		if err != nil {
			return nil, fmt.Errorf("what go list says: %w", err)
		}
		g[p.ImportPath] = p
	}
}

// inModule gives a package's folder, relative to the root of the module; false if it is not ours.
func inModule(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// isPublic tells whether programs can import a package of ours and count on it.
func isPublic(p pkg) bool {
	folder, isOurs := inModule(p.ImportPath)
	return isOurs && len(p.GoFiles) > 0 && p.Name != "main" && !strings.Contains("/"+folder+"/", "/internal/") &&
		!strings.HasPrefix(folder, "test/")
}

// chain is a shortest way by imports from one package to another, both included: it shows which import is to blame.
func (g graph) chain(from, to string) []string {
	cameFrom := map[string]string{from: ""}
	queue := []string{from}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if at == to {
			var way []string
			for ; at != ""; at = cameFrom[at] {
				way = append([]string{at}, way...)
			}
			return way
		}
		for _, next := range g[at].Imports {
			if _, seen := cameFrom[next]; !seen {
				cameFrom[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}
