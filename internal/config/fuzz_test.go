package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
