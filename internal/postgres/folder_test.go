//go:build linux || darwin

package postgres

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSweepTouchesNothingElse(t *testing.T) {
	parent := parentFolder(t)
	mine, err := newFolder(parent, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, mine.remove()) }()

	keep := []string{mine.path, filepath.Join(parent, "supervised"), filepath.Join(parent, folderPrefix+"file")}
	require.NoError(t, os.Mkdir(keep[1], 0o700))
	require.NoError(t, os.WriteFile(keep[2], nil, 0o600))
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "precious"), nil, 0o600))
	link := filepath.Join(parent, folderPrefix+"link")
	require.NoError(t, os.Symlink(outside, link))

	gone := []string{
		filepath.Join(parent, folderPrefix+"without-lock"),
		filepath.Join(parent, folderPrefix+"half"+doomedSuffix),
	}
	for _, dir := range gone {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, dataName), 0o700))
		require.NoError(t, os.Symlink(outside, filepath.Join(dir, dataName, "link")))
	}
	require.NoError(t, os.WriteFile(filepath.Join(gone[1], lockName), nil, 0o600))
	empty := filepath.Join(parent, folderPrefix+"rest"+doomedSuffix)
	require.NoError(t, os.Mkdir(empty, 0o700))
	gone = append(gone, empty)

	require.NoError(t, sweep(parent))
	for _, path := range append(keep, link) {
		_, err := os.Lstat(path)
		require.NoError(t, err)
	}
	for _, path := range gone {
		require.NoFileExists(t, path)
		require.NoDirExists(t, path)
	}
	require.FileExists(t, filepath.Join(outside, "precious"))
}

// Locks belong to open files, so that goroutines stand for processes here.
func TestFoldersOfManyProcessesAtOnce(t *testing.T) {
	parent := t.TempDir()
	const processes, rounds = 8, 8
	done := make(chan struct{})
	for range processes {
		go func() {
			defer func() { done <- struct{}{} }()
			for range rounds {
				if !assert.NoError(t, sweep(parent)) {
					return
				}
				f, err := newFolder(parent, nil)
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, os.Mkdir(f.join(dataName), 0o700))
				assert.NoError(t, os.WriteFile(filepath.Join(f.join(dataName), "file"), nil, 0o600))
				assert.NoError(t, sweep(parent))
				assert.FileExists(t, filepath.Join(f.join(dataName), "file"))
				assert.NoError(t, f.remove())
			}
		}()
	}
	for range processes {
		<-done
	}
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Empty(t, left)
}
