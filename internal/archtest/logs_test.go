package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/logdoc"
)

// loud are the rooms that write to the log.
var loud = []string{"actors", "supervisor", "poolactor", "cmd", "internal/ops", "internal/daemon", "internal/asynclog", "internal/postgres"}

// isOtel tells of an import that comes with attributes, which look like fields and are none.
func isOtel(s *ast.ImportSpec) bool { return strings.HasPrefix(text(s.Path), "go.opentelemetry.io/") }

func TestTheLogSaysWhatIsDocumented(t *testing.T) {
	doc, err := logdoc.Read("../../docs/logs.md")
	require.NoError(t, err)
	// What callers may notice as time, or somebody has to look at, may come in storms.
	summedUp := func(event string) bool {
		return slices.ContainsFunc(doc.Events[event].Levels, func(l string) bool { return l == "warn" || l == "error" })
	}
	set, packages := token.NewFileSet(), map[string][]*ast.File{}
	for _, room := range loud {
		require.NoError(t, filepath.WalkDir(filepath.Join("../..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err == nil && !slices.ContainsFunc(file.Imports, isOtel) {
				packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], file)
			}
			return err
		}))
	}
	said := map[string]terms{}
	for _, files := range packages {
		s := newSpeech()
		s.listen(set, files)
		require.Empty(t, s.nameless, "each line has an event")
		require.Empty(t, s.bare, "what went wrong is the field cause: AnErr")
		maps.Copy(said, s.of(summedUp))
	}
	require.Equal(t, slices.Sorted(maps.Keys(doc.Events)), slices.Sorted(maps.Keys(said)), "the events of docs/logs.md, and those of the code")
	for event, row := range doc.Events {
		require.Equal(t, slices.Sorted(slices.Values(row.Fields)), said[event].sorted(), "the fields of %s in docs/logs.md, and in the code", event)
	}
}

func TestWhatIsSaidIsHeard(t *testing.T) {
	const source = `package loud
type EventKind string
const (
	EventA     EventKind = "a"
	EventB     EventKind = "b"
	EventActor EventKind = "actor"
)
func line(l *zerolog.Logger, event string) *zerolog.Event { return l.Warn().Str("event", event).Str("actor", "x").Str("host", h) }
func one(l *zerolog.Logger)   { l.Warn().Str("event", "c").Int("n", 1).Msg("words") }
func two(l *zerolog.Logger) {
	of := line(l, "d").AnErr("cause", err)
	if more {
		of = of.Str("more", clean(more))
	}
	of.Msg("words")
}
func three(l *zerolog.Logger) { l.Warn().Err(err).Msg("words") }
func four(e Event) {
	l := x.Str("event", string(e.Kind)).Dur("within", w)
	l = l.Int("pid", e.PID)
	l = l.AnErr("cause", e.Err)
	l.Msg(e.Error())
}
func copyTo()                   { x.Msg("passed on") }
func five(k EventKind, e error) { publish(Event{Kind: k, PID: 7, Err: e}) }
func six()                      { publish(Event{Kind: EventA, PID: 7}); five(EventB, nil); five(EventB, err); passes(EventA) }
`
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "loud.go", source, parser.SkipObjectResolution)
	require.NoError(t, err)
	said := newSpeech()
	said.listen(set, []*ast.File{file})
	fields := map[string][]string{}
	for event, of := range said.of(func(event string) bool { return event == "a" }) {
		fields[event] = of.sorted()
	}
	require.Equal(t, map[string][]string{
		"a": {"host", "pid", "within"}, "b": {"cause", "host", "pid"}, "c": {"n"}, "d": {"cause", "host", "more"},
	}, fields)
	require.Len(t, said.nameless, 1)
	require.Contains(t, said.nameless[0], "three")
	require.Len(t, said.bare, 1)
}
