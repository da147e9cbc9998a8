package archtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryPackageWithTestsLooksForLeaks(t *testing.T) {
	for name, tags := range builds {
		t.Run(name, func(t *testing.T) {
			folders, err := tested("../..", tags)
			require.NoError(t, err)
			var without []string
			for folder, checks := range folders {
				if !checks {
					without = append(without, folder)
				}
			}
			require.Empty(t, without, "their tests need a TestMain with one of %v", leakChecks)
			for _, folder := range []string{"actors/retry", "poolactor", "cmd/supervised", "test/bench", "test/chaos/container"} {
				require.Contains(t, folders, folder)
			}
		})
	}
}

func TestPgtestLooksForLeaks(t *testing.T) {
	f, err := function("../postgres/pgtest/pgtest.go", "Main")
	require.NoError(t, err)
	require.NotNil(t, f)
	require.True(t, calls(f, "goleak.VerifyTestMain"))
}

func TestMissingLeakChecksAreFound(t *testing.T) {
	const checking, careless = "func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }", "func TestMain(m *testing.M) { m.Run() }"
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                "module house",
		"a_test.go":             "package house_test\n" + checking,
		"code/code.go":          "package code\n" + careless,
		"prose/README.md":       "# TestMain",
		"late/late_test.go":     "package late\nfunc TestMain(m *testing.M) { prepare(func() { pgtest.Main(m, more) }) }",
		"bare/bare_test.go":     "package bare\nfunc TestX(*testing.T) { goleak.VerifyNone(t) }",
		"careless/main_test.go": "package careless\n" + careless,
		"method/main_test.go":   "package method\nfunc (s suite) TestMain(m *testing.M) { goleak.VerifyTestMain(m) }",
		"nested/go.mod":         "module nested",
		"nested/in/in_test.go":  "package in\n" + careless,
		"tagged/x_test.go":      "package tagged",
		"tagged/main_test.go":   "//go:build failpoint\n\npackage tagged\n" + checking,
		"testdata/in/x_test.go": "package in",
		".hidden/x_test.go":     "package hidden",
		"_hidden/x_test.go":     "package hidden",
	} {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	want := map[string]bool{
		".": true, "late": true, "bare": false, "careless": false, "method": false, "nested/in": false, "tagged": false,
	}
	found, err := tested(root, "")
	require.NoError(t, err)
	require.Equal(t, want, found)

	want["tagged"] = true
	found, err = tested(root, "failpoint")
	require.NoError(t, err)
	require.Equal(t, want, found)

	require.NoError(t, os.WriteFile(filepath.Join(root, "bare", "broken_test.go"), []byte("package bare\nfunc"), 0o600))
	_, err = tested(root, "")
	require.ErrorContains(t, err, "broken_test.go")
	_, err = tested(filepath.Join(root, "none"), "")
	require.ErrorIs(t, err, os.ErrNotExist)
}
