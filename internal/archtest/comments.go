package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// uncommented lists what the Go files of a folder export without a word about it: names at the top, methods and fields of
// exported types, methods of interfaces. A comment over a group of constants or variables is for all of them, and one over a
// field is for those directly below that it names.
func uncommented(folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	c := commentary{set: token.NewFileSet()}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(c.set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, declared := range file.Decls {
			switch d := declared.(type) {
			case *ast.FuncDecl:
				c.function(d)
			case *ast.GenDecl:
				c.group(d)
			}
		}
	}
	slices.Sort(c.bare)
	return c.bare, nil
}

// commentary collects what has no comment.
type commentary struct {
	set  *token.FileSet
	bare []string
}

func (c *commentary) miss(at ast.Node, name string) {
	place := c.set.Position(at.Pos())
	c.bare = append(c.bare, fmt.Sprintf("%s:%d: %s", place.Filename, place.Line, name))
}

func (c *commentary) function(f *ast.FuncDecl) {
	if !f.Name.IsExported() || f.Doc != nil {
		return
	}
	if f.Recv == nil {
		c.miss(f, f.Name.Name)
		return
	}
	if owner := receiver(f.Recv.List[0].Type); ast.IsExported(owner) {
		c.miss(f, owner+"."+f.Name.Name)
	}
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	default:
		return ""
	}
}

func (c *commentary) group(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					c.miss(name, name.Name)
				}
			}
		case *ast.TypeSpec:
			if !s.Name.IsExported() {
				continue
			}
			if d.Doc == nil && s.Doc == nil {
				c.miss(s, s.Name.Name)
			}
			switch t := s.Type.(type) {
			case *ast.StructType:
				c.fields(s.Name.Name, t.Fields)
			case *ast.InterfaceType:
				c.fields(s.Name.Name, t.Methods)
			}
		}
	}
}

// fields looks at the fields of a struct or the methods of an interface.
func (c *commentary) fields(owner string, list *ast.FieldList) {
	above, below := "", 0 // the comment that a field may share, and the line on which such a field stands
	for _, f := range list.List {
		line := c.set.Position(f.Pos()).Line
		switch {
		case f.Doc != nil:
			above = f.Doc.Text()
		case line != below:
			above = ""
		}
		below = c.set.Position(f.End()).Line + 1
		for _, name := range f.Names {
			if name.IsExported() && f.Doc == nil && f.Comment == nil && !names(above, name.Name) {
				c.miss(name, owner+"."+name.Name)
			}
		}
	}
}

// names tells whether a text has this word.
func names(text, word string) bool {
	return regexp.MustCompile(`\b` + word + `\b`).MatchString(text)
}
