package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryExportedNameIsDocumented(t *testing.T) {
	g, err := load(t.Context(), "../..", "")
	require.NoError(t, err)
	checked := 0
	for _, p := range g {
		if !isPublic(p) {
			continue
		}
		checked++
		folder, _ := inModule(p.ImportPath)
		bare, err := uncommented(filepath.Join("../..", folder))
		require.NoError(t, err)
		require.Empty(t, bare, "what it does, units, the zero value, errors, who owns what")
	}
	require.GreaterOrEqual(t, checked, 7)
}

func TestNamesWithoutACommentAreFound(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	write("house.go", `package house

const Bare = 1

// The sizes.
const (
	Small = iota
	Large
)

var (
	// Open is documented.
	Open bool
	Shut bool // likewise
	Ajar bool
	seen bool
)

type Naked struct{ Eyes int }

// Door is documented.
type Door struct {
	// Width and Height are in meters.
	Width  float64
	Height float64
	Depth  float64

	Color string // as it is called
	Hinge int
	Left, Right bool // which side
	inner int
	Frame
}

// Bell is documented.
type Bell interface {
	// Ring is documented.
	Ring()
	Mute()
	tune()
}

// Box is documented.
type Box[T, U any] struct{}

func (b *Box[T, U]) Get() {}

// Put is documented.
func (b Box[T, U]) Put() {}
func (hidden) Hide()     {}

type hidden struct{ Seen int }

func Make() {}
func make() {}
`)
	write("house_test.go", "package house\n\nfunc TestX() {}\n")
	bare, err := uncommented(folder)
	require.NoError(t, err)
	var missing []string
	for _, line := range bare {
		missing = append(missing, line[strings.LastIndex(line, " ")+1:])
	}
	require.ElementsMatch(t, []string{
		"Bare", "Ajar", "Naked", "Naked.Eyes", "Door.Depth", "Door.Hinge", "Bell.Mute", "Box.Get", "Make",
	}, missing)
	require.Contains(t, bare[0], "house.go:")

	write("broken.go", "package house\nfunc")
	_, err = uncommented(folder)
	require.ErrorContains(t, err, "broken.go")
}
