package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/logdoc"
)

// loud are the rooms that write to the log.
var loud = []string{"actors", "supervisor", "poolactor", "cmd", "internal/ops", "internal/daemon", "internal/asynclog", "internal/postgres"}

// fieldMethods are those of zerolog's events that name a field.
var fieldMethods = []string{
	"Str", "Stringer", "Int", "Int64", "Uint16", "Uint32", "Uint64", "Bool", "Dur", "Time", "AnErr", "Bytes", "Float64", "Any", "Interface",
}

// passesOn writes lines that others have made.
const passesOn = "copyTo"

// speech is what a part of the code can say.
type speech struct {
	events, fields map[string]bool
	nameless       []string // functions that write a line without saying what it is about
	bare           []string // calls of Err, which would name the field "error"
}

// listen gathers what a file can say.
func (s *speech) listen(set *token.FileSet, file *ast.File) {
	for _, declared := range file.Decls {
		f, ok := declared.(*ast.FuncDecl)
		if !ok {
			s.listenToNames(declared)
			continue
		}
		writes, named := false, f.Name.Name == passesOn
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := called(call)
			switch {
			case name == "Msg":
				writes = true
			case name == "Err" && len(call.Args) == 1:
				s.bare = append(s.bare, set.Position(call.Pos()).String())
			case name == "line":
				named = true
				if len(call.Args) == 2 {
					s.note(s.events, call.Args[1])
				}
			case slices.Contains(fieldMethods, name) && len(call.Args) == 2:
				s.note(s.fields, call.Args[0])
				if text(call.Args[0]) == "event" {
					named = true
					s.note(s.events, call.Args[1])
				}
			}
			return true
		})
		if writes && !named {
			s.nameless = append(s.nameless, set.Position(f.Pos()).String()+" "+f.Name.Name)
		}
	}
}

// listenToNames takes in the names of events that are constants of a type EventKind, or stand in a table of its words.
func (s *speech) listenToNames(d ast.Decl) {
	general, ok := d.(*ast.GenDecl)
	if !ok {
		return
	}
	for _, spec := range general.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		switch kind, isIdent := v.Type.(*ast.Ident); {
		case isIdent && kind.Name == "EventKind" && v.Names[0].Name != "EventActor" && len(v.Values) == 1:
			s.note(s.events, v.Values[0])
		case v.Names[0].Name == "eventWords":
			for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
				s.note(s.events, e.(*ast.KeyValueExpr).Value.(*ast.CompositeLit).Elts[0])
			}
		}
	}
}

func (s *speech) note(in map[string]bool, e ast.Expr) {
	if t := text(e); t != "" {
		in[t] = true
	}
}

// called is the name of the function or method that is called.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	default:
		return ""
	}
}

// text is what a literal says; empty if it is no string.
func text(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	t, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return t
}

// isOtel tells of an import that comes with attributes, which look like fields and are none.
func isOtel(s *ast.ImportSpec) bool { return strings.HasPrefix(text(s.Path), "go.opentelemetry.io/") }

func newSpeech() *speech { return &speech{events: map[string]bool{}, fields: map[string]bool{}} }

func TestTheLogSaysWhatIsDocumented(t *testing.T) {
	doc, err := logdoc.Read("../../docs/logs.md")
	require.NoError(t, err)
	said := newSpeech()
	for _, room := range loud {
		require.NoError(t, filepath.WalkDir(filepath.Join("../..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err == nil && !slices.ContainsFunc(file.Imports, isOtel) {
				said.listen(set, file)
			}
			return err
		}))
	}
	require.Empty(t, said.nameless, "each line has an event")
	require.Empty(t, said.bare, "what went wrong is the field cause: AnErr")
	require.Equal(t, slices.Sorted(maps.Keys(doc.Events)), slices.Sorted(maps.Keys(said.events)), "the events of docs/logs.md, and those of the code")
	require.Equal(t, slices.Sorted(slices.Values(doc.Fields)), slices.Sorted(maps.Keys(said.fields)), "the fields of docs/logs.md, and those of the code")
}

func TestWhatIsSaidIsHeard(t *testing.T) {
	const source = `package loud
type EventKind string
const (
	EventA     EventKind = "a"
	EventActor EventKind = "actor"
)
var eventWords = [...]words{B: {"b", "words"}}
func one(l *zerolog.Logger)  { l.Warn().Str("event", "c").Int("n", 1).Msg("words") }
func two(l *zerolog.Logger)  { line(l, "d").AnErr("cause", err).Msg("words") }
func three(l *zerolog.Logger) { l.Warn().Err(err).Msg("words") }
func four(e Event)           { x.Str("event", string(e.Kind)).Msg(e.Error()) }
func copyTo()                { x.Msg("passed on") }
`
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "loud.go", source, parser.SkipObjectResolution)
	require.NoError(t, err)
	said := newSpeech()
	said.listen(set, file)
	require.Equal(t, []string{"a", "b", "c", "d"}, slices.Sorted(maps.Keys(said.events)))
	require.Equal(t, []string{"cause", "event", "n"}, slices.Sorted(maps.Keys(said.fields)))
	require.Len(t, said.nameless, 1)
	require.Contains(t, said.nameless[0], "three")
	require.Len(t, said.bare, 1)
}
