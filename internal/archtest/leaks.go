package archtest

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// leakChecks are the calls by which a TestMain looks for goroutines that outlive the tests.
var leakChecks = []string{"goleak.VerifyTestMain", "pgtest.Main"}

// tested lists the folders below root that have tests in a build with these tags, and tells of each whether its TestMain
// looks for leaked goroutines. Nested modules are folders like any other.
func tested(root, tags string) (map[string]bool, error) {
	in := build.Default
	in.BuildTags = strings.Fields(tags)
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || !entry.IsDir():
			return err
		case path != root && notOfTheModule(entry.Name()):
			return fs.SkipDir
		}
		var empty *build.NoGoError
		p, err := in.ImportDir(path, 0)
		if errors.As(err, &empty) {
			return nil
		}
		tests := slices.Concat(p.TestGoFiles, p.XTestGoFiles)
		if err != nil || len(tests) == 0 {
			return err
		}
		folder, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		found[filepath.ToSlash(folder)], err = checksLeaks(path, tests)
		return err
	})
	return found, err
}

// notOfTheModule tells whether the go command passes the folder by.
func notOfTheModule(name string) bool {
	return name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

func checksLeaks(folder string, files []string) (bool, error) {
	for _, name := range files {
		f, err := function(filepath.Join(folder, name), "TestMain")
		if err != nil {
			return false, err
		}
		if f != nil {
			return calls(f, leakChecks...), nil
		}
	}
	return false, nil
}

// function finds a function that a file declares. Without one it is nil.
func function(path, name string) (*ast.FuncDecl, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, declared := range file.Decls {
		if f, ok := declared.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
			return f, nil
		}
	}
	return nil, nil
}

// calls tells whether the function calls one of these, by the name that it has there.
func calls(f *ast.FuncDecl, names ...string) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && slices.Contains(names, types.ExprString(call.Fun)) {
			found = true
		}
		return !found
	})
	return found
}
