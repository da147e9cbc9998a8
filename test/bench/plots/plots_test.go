package plots_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
	"github.com/seed-4ff2b7b9/supervised/test/bench/plots"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// report has two points for acquire, and one for query, which makes no line.
func report() *figures.Report {
	point := func(id string, x, ours float64) figures.Outcome {
		return figures.Outcome{
			Row: figures.Row{
				ID: id, X: x, Bounds: []figures.Bound{figures.AtMost("supervised", figures.Time, 0.6, "pgxpool")},
			},
			Order: []string{"supervised", "pgxpool"},
			Rounds: []figures.Round{
				{"supervised": {figures.Time: ours}, "pgxpool": {figures.Time: 1000}},
				{"supervised": {figures.Time: 2 * ours}, "pgxpool": {figures.Time: 1000}},
			},
		}
	}
	return &figures.Report{Outcomes: []figures.Outcome{point("acquire/1", 1, 200), point("acquire/4", 4, 900), point("query/1", 1, 0)}}
}

func TestPlotsAreDrawnOfWhatIsThere(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "docs", "bench")
	files, err := plots.Draw(folder, report())
	require.NoError(t, err)
	require.Equal(t, []plots.File{
		{Name: "bounds.svg", Title: "How much of each bound is used"},
		{Name: "acquire.svg", Title: "Acquire + release, 20 connections: ns per lease"},
	}, files)
	for _, f := range files {
		requireXML(t, filepath.Join(folder, f.Name))
	}
	found, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, found, len(files))
}

func TestNothingIsDrawnOfNothing(t *testing.T) {
	files, err := plots.Draw(t.TempDir(), &figures.Report{})
	require.NoError(t, err)
	require.Empty(t, files)
}

func requireXML(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	text := 0
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "text" {
			text++
		}
	}
	require.Greater(t, text, 5, "%s has no words in it", file)
}
