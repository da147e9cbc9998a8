package postgres

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyRootNeedsAnotherAccount(t *testing.T) {
	who, err := unprivileged(1000)
	require.NoError(t, err)
	require.Nil(t, who)
	who, err = unprivileged(0)
	require.NoError(t, err)
	require.NotNil(t, who)
	require.NotZero(t, who.uid)
}

func TestAccountMustBeAbleToEnter(t *testing.T) {
	closed, err := resolve(t.TempDir())
	require.NoError(t, err)
	inner := filepath.Join(closed, "inner")
	require.NoError(t, os.Mkdir(inner, 0o777))
	require.NoError(t, os.Chmod(closed, 0o700))

	var ourselves *account
	require.NoError(t, ourselves.enters(inner))
	stranger := &account{name: "stranger", uid: 12345, gid: 12345}
	err = stranger.enters(inner)
	require.ErrorContains(t, err, "stranger")
	require.ErrorContains(t, err, "mode -rwx------")
	uid, gid := os.Getuid(), os.Getgid()
	info, err := os.Stat(closed)
	require.NoError(t, err)
	require.True(t, (&account{uid: uid, gid: 12345}).mayEnter(info))
	require.False(t, (&account{uid: 12345, gid: gid}).mayEnter(info))
	require.NoError(t, os.Chmod(closed, 0o710))
	info, err = os.Stat(closed)
	require.NoError(t, err)
	require.True(t, (&account{uid: 12345, gid: gid}).mayEnter(info))
}

func TestStartAsRootRefusesAFolderThatTheServerCannotEnter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's servers run as somebody else")
	}
	requireBinaries(t)
	closed := t.TempDir()
	require.NoError(t, os.Chmod(closed, 0o700))
	_, err := Start(bounded(t), Options{Dir: closed})
	require.ErrorContains(t, err, "may not enter")
}
