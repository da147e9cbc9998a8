package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A time from time.Now carries the monotonic clock, and every duration between two such times is taken by that clock: a
// wall clock that is set moves none of them. What follows takes the monotonic reading away, or makes a time without one.
var wallClock = map[string]bool{
	"UTC": true, "Local": true, "In": true, "AddDate": true, "Unix": true, "UnixMilli": true, "UnixMicro": true,
	"UnixNano": true, "Date": true, "Parse": true, "ParseInLocation": true, "GobDecode": true,
}

// timed are the rooms in which something is decided by time.
var timed = []string{"messages", "actors", "supervisor", "poolactor", "internal/backend", "internal/broadcast", "internal/asynclog"}

// forPeople are the places that may, with the reason.
var forPeople = map[string]string{
	"poolactor/status.go":           "since when the actor does what it does, which is shown and decides nothing",
	"poolactor/poolprom/figures.go": "when an outage began, which is shown and decides nothing",
	"internal/backend/look.go":      "a deadline that lies in the past on any clock",
}

// wallReads lists the calls in a file that leave the monotonic clock.
func wallReads(file string, src any) (found []string, err error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, src, 0)
	if err != nil {
		return nil, err
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if ok && (wallClock[method.Sel.Name] || roundsToZero(method.Sel.Name, call.Args)) {
			found = append(found, fmt.Sprintf("%s: %s", set.Position(call.Pos()), method.Sel.Name))
		}
		return true
	})
	return found, nil
}

// roundsToZero tells Round(0) and Truncate(0), by which a time loses its monotonic reading, from those of durations.
func roundsToZero(name string, args []ast.Expr) bool {
	if name != "Round" && name != "Truncate" || len(args) != 1 {
		return false
	}
	zero, ok := args[0].(*ast.BasicLit)
	return ok && zero.Value == "0"
}

func TestNothingIsDecidedByTheWallClock(t *testing.T) {
	unused := make(map[string]bool)
	for file := range forPeople {
		unused[file] = true
	}
	files := 0
	for _, room := range timed {
		root := filepath.Join("../..", room)
		require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			found, err := wallReads(path, nil)
			name := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
			if forPeople[name] != "" {
				if len(found) > 0 {
					delete(unused, name)
				}
				return err
			}
			require.Empty(t, found)
			return err
		}))
	}
	require.Greater(t, files, 50)
	require.Empty(t, unused, "these need no exception any more")
}

func TestWallReadsAreFound(t *testing.T) {
	found, err := wallReads("x.go", `package x
func f(t time.Time, d time.Duration) {
	use(t.Round(0), t.Truncate(0), t.UTC(), t.UnixNano(), time.Unix(1, 0))
	use(d.Round(time.Second), t.Sub(t), time.Since(t), time.Now())
}`)
	require.NoError(t, err)
	require.Len(t, found, 5)
}
