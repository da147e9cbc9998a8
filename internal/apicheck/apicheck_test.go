package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a small module with something of every kind.
const house = `// Package door is for tests.
package door

import "context"

const Width = 7
const Name Kind = "door"
const hidden = 1

var Err error

type Kind string
func (k Kind) String() string { return string(k) }

type Door struct {
	Open   bool
	OnBell func(ctx context.Context, times int) (err error)
	frame
	Hinge
	inner []int
}
type frame struct { Color string }
func (*frame) Paint(color string) {}
type Hinge struct{ Angle [2]*map[string]chan []int }

func (d *Door) Knock(ctx context.Context, times ...int) error { return nil }
func (d *Door) unseen()                                       {}

type Bell interface { Ring(times int) bool; Mute() }
type Sealed interface { Look(); sealed() }
type Number interface { ~int | ~string }
type Box[T any, N Number] struct{ Content T }
func (b *Box[T, N]) Get(at N) T { return b.Content }
func Make[T any](of func(name string) T) *Box[T, int] { return nil }
type Other = Box[int, string]
type Handler func(name string) error
`

const described = `const Name Kind = "door"
const Width untyped int = 7
field Box.Content T
field Door.Color string
field Door.Hinge Hinge, embedded
field Door.OnBell func(context.Context, int) error
field Door.Open bool
field Hinge.Angle [2]*map[string]chan []int
func Make[T any](func(string) T) *Box[T, int]
method (*Box[T, N]) Get(N) T
method (*Door) Knock(context.Context, ...int) error
method (*Door) Paint(string)
method (Kind) String() string
method (Sealed) Look()
type Bell interface { Mute(); Ring(int) bool }
type Box[T any, N Number] struct
type Door struct
type Handler func(string) error
type Hinge struct, comparable
type Kind string
type Number interface{~int | ~string}
type Other = Box[int, string]
type Sealed interface, sealed
var Err error
`

// build writes a module; files are by their paths.
func build(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	files["go.mod"] = "module example.com/house\n\ngo 1.26\n"
	for path, text := range files {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return root
}

func rewrite(t *testing.T, file, from, to string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), from)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), from, to)), 0o644))
}

func TestTheAPIOfAModule(t *testing.T) {
	root := build(t, map[string]string{
		"door/door.go":          house,
		"door/door_test.go":     "package door\nfunc Tested() {}\n",
		"door/knob/knob.go":     "package knob\n\nvar Round bool\n",
		"door/internal/lock.go": "package internal\n\nfunc Pick() {}\n",
		"internal/wall/wall.go": "package wall\n\nfunc Hole() {}\n",
		"test/wind/wind.go":     "package wind\n\nfunc Blow() {}\n",
		"cmd/house/main.go":     "package main\n\nfunc main() {}\n",
		"tool/main.go":          "package main\n\nfunc main() {}\n",
	})
	source, knob := filepath.Join(root, "door/door.go"), filepath.Join(root, "door/knob")
	checked := func() (string, error) {
		var out strings.Builder
		err := check(t.Context(), root, &out)
		return out.String(), err
	}

	out, err := checked()
	require.NoError(t, err, "nothing is recorded yet")
	require.Contains(t, out, "door: added: type Bell interface")
	require.Contains(t, out, "record it with make api")

	require.NoError(t, record(t.Context(), root, nil))
	files, err := filepath.Glob(filepath.Join(root, "api", "*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(root, "api/door.knob.txt"), filepath.Join(root, "api/door.txt")}, files)
	recorded, err := os.ReadFile(filepath.Join(root, "api/door.txt"))
	require.NoError(t, err)
	heading, lines, _ := strings.Cut(string(recorded), "\n")
	require.Contains(t, heading, "make api")
	require.Equal(t, described, lines)
	out, err = checked()
	require.NoError(t, err)
	require.Empty(t, out)

	rewrite(t, source, "times int", "rings int")
	out, err = checked()
	require.NoError(t, err)
	require.Empty(t, out, "names of parameters are nobody's business")

	rewrite(t, source, "var Err error", "var Err, Further error")
	out, err = checked()
	require.NoError(t, err)
	require.Equal(t, "door: added: var Further error\napicheck: what was added is compatible; record it with make api\n", out)

	rewrite(t, source, "var Err, Further error", "var Further error")
	rewrite(t, source, "func (d *Door) Knock(ctx context.Context, times ...int) error", "func (d *Door) Knock(ctx context.Context) error")
	rewrite(t, source, "Mute() }", "Mute(); Tune() }")
	rewrite(t, source, "Width = 7", "Width = 8")
	require.NoError(t, os.RemoveAll(knob))
	out, err = checked()
	require.ErrorIs(t, err, errIncompatible)
	require.ErrorContains(t, err, "make api")
	for _, line := range []string{
		"door: removed: var Err error\n",
		"door: changed: method (*Door) Knock(context.Context, ...int) error\n          now: method (*Door) Knock(context.Context) error\n",
		"door: changed: type Bell interface { Mute(); Ring(int) bool }\n          now: type Bell interface { Mute(); Ring(int) bool; Tune() }\n",
		"door: changed: const Width untyped int = 7\n          now: const Width untyped int = 8\n",
		"door/knob: removed: var Round bool\n",
	} {
		require.Contains(t, out, line)
	}

	require.NoError(t, record(t.Context(), root, nil))
	require.NoFileExists(t, filepath.Join(root, "api/door.knob.txt"))
	out, err = checked()
	require.NoError(t, err)
	require.Empty(t, out)
}

func TestAModuleThatDoesNotCompile(t *testing.T) {
	root := build(t, map[string]string{"door/door.go": "package door\n\nvar Open nothing\n"})
	require.ErrorContains(t, check(t.Context(), root, nil), "go list")
	require.ErrorContains(t, record(t.Context(), root, nil), "go list")
	require.NoDirExists(t, filepath.Join(root, "api"))
}

func TestAModuleWithoutPublicPackages(t *testing.T) {
	root := build(t, map[string]string{"cmd/house/main.go": "package main\n\nfunc main() {}\n"})
	require.NoError(t, check(t.Context(), root, nil))
}
