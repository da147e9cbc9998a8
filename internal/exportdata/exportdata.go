// Package exportdata reads what packages export from what the compiler keeps about them, as it does itself: types and
// values, without a look at the sources.
package exportdata

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
)

// Packages are packages that can be imported, and everything that they need.
type Packages struct {
	// Paths are those that were asked for, in the order in which go list has them.
	Paths []string

	files    map[string]string // import path -> file with its export data
	importer types.Importer
}

// Load compiles the packages that the patterns of the go command name in this folder, if the build cache does not have
// them yet.
func Load(ctx context.Context, folder string, patterns ...string) (*Packages, error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Export,DepOnly", "--"}, patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, &stderr)
	}
	p := &Packages{files: map[string]string{}}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var listed struct {
			ImportPath, Export string
			DepOnly            bool
		}
		err := in.Decode(&listed)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("what go list says: %w", err)
		}
		p.files[listed.ImportPath] = listed.Export
		if !listed.DepOnly {
			p.Paths = append(p.Paths, listed.ImportPath)
		}
	}
	p.importer = importer.ForCompiler(token.NewFileSet(), "gc", p.open)
	return p, nil
}

// Import makes Packages a types.Importer.
func (p *Packages) Import(path string) (*types.Package, error) { return p.importer.Import(path) }

func (p *Packages) open(path string) (io.ReadCloser, error) {
	if p.files[path] == "" {
		return nil, fmt.Errorf("exportdata: %s was not loaded", path)
	}
	return os.Open(p.files[path])
}
