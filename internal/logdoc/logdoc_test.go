package logdoc

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestThePageIsSound(t *testing.T) {
	d, err := Read("../../docs/logs.md")
	require.NoError(t, err)
	require.True(t, slices.IsSorted(d.Fields[2:]), "people look for a field by its name; event and actor come first")
	used := map[string]bool{"event": true, "actor": true}
	for name, e := range d.Events {
		require.NotEmpty(t, e.Levels, name)
		for _, level := range e.Levels {
			require.Contains(t, []string{"debug", "info", "warn", "error"}, level, name)
		}
		for _, field := range e.Fields {
			require.Contains(t, d.Fields, field, name)
			used[field] = true
		}
	}
	for _, field := range d.Fields {
		require.True(t, used[field], "no event has the field %s", field)
	}
}

func TestLinesAreHeldToThePage(t *testing.T) {
	d, err := parse(fieldsTable + "\n|---|---|\n| `wait` | how long |\n\n" + eventsTable + "\n|---|---|---|---|\n| `crashed` | warn error | it ended | `wait` |\n")
	require.NoError(t, err)
	require.NoError(t, d.Check([]byte(`{"level":"warn","event":"crashed","actor":"a","wait":5,"message":"m","time":"t"}`)))
	for says, line := range map[string]string{
		"not documented":                 `{"level":"warn","event":"burst","actor":"a"}`,
		`level "info"`:                   `{"level":"info","event":"crashed","actor":"a"}`,
		`have the field "delay"`:         `{"level":"warn","event":"crashed","actor":"a","delay":5}`,
		"no actor":                       `{"level":"warn","event":"crashed"}`,
		`the event "" is not documented`: `{"level":"warn"}`,
		"invalid character":              `text`,
	} {
		require.ErrorContains(t, d.Check([]byte(line)), says)
	}
}

func TestBrokenPages(t *testing.T) {
	for says, text := range map[string]string{
		"tables":  "# nothing",
		"no name": fieldsTable + "\n| wait | how long |\n",
		"cells":   eventsTable + "\n| `crashed` | warn |\n",
		"twice":   eventsTable + "\n| `x` | warn | a | `b` |\n| `x` | warn | a | `b` |\n",
	} {
		path := filepath.Join(t.TempDir(), "logs.md")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Read(path)
		require.ErrorContains(t, err, says)
	}
	_, err := Read("missing.md")
	require.ErrorIs(t, err, os.ErrNotExist)
}
