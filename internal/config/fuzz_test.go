package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

// FuzzLoad looks for a panic and for a password in an error.
func FuzzLoad(f *testing.F) {
	for _, b := range badFiles {
		f.Add(b.file, "", "")
	}
	for _, text := range leaky {
		f.Add(text, "", "")
		_, value, _ := strings.Cut(text, "url: ")
		f.Add("", value, "")
		f.Add("", "", value)
	}
	f.Add(full, "", "")
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, file, url, password string) {
		if strings.ContainsRune(url+password, 0) {
			return // a variable cannot hold one
		}
		mark := func(text string) string { return strings.ReplaceAll(text, "CANARY", canary.Password) }
		path := filepath.Join(folder, "config.yml")
		if err := os.WriteFile(path, []byte(mark(file)), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("DATABASE_URL", mark(url))
		t.Setenv("DATABASE_PASSWORD", mark(password))
		c, err := config.Load(path, true)
		if err != nil {
			parts(t, err)
			return
		}
		if conn, err := c.ConnConfig(); err != nil || !strings.HasPrefix(conn.Host, "/") && conn.Port == 0 {
			t.Fatal("what was loaded cannot be used")
		}
		for _, change := range config.Diff(config.Default(), c) {
			requireNoCanary(t, change.Key)
		}
	})
}

// FuzzEnvironment looks for the same, whatever two variables say about any two keys.
func FuzzEnvironment(f *testing.F) {
	all := config.Keys()
	for i := range all {
		f.Add(uint8(i), "CANARY", uint8(i+1), "0")
		f.Add(uint8(i), "-1", uint8(i+2), "1e300")
		f.Add(uint8(i), "5s", uint8(i+3), "host:CANARY;x")
	}
	f.Fuzz(func(t *testing.T, one uint8, this string, two uint8, that string) {
		if strings.ContainsRune(this+that, 0) {
			return // a variable cannot hold one
		}
		t.Setenv("DATABASE_PASSWORD", canary.Password)
		for key, value := range map[uint8]string{two: that, one: this} {
			t.Setenv(all[int(key)%len(all)].Env, strings.ReplaceAll(value, "CANARY", canary.Password))
		}
		c, err := config.Load("", false)
		if err != nil {
			require.NotEmpty(t, parts(t, err))
			return
		}
		_, err = c.ConnConfig()
		require.NoError(t, err)
	})
}
