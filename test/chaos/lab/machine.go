package lab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/test/chaos/container"
)

// machine is where and of what a table was made; what cannot be told is empty. It names neither hosts nor folders.
type machine struct {
	Commit     string `json:"commit,omitempty"`
	Processor  string `json:"processor,omitempty"`
	Cores      int    `json:"cores"`
	Memory     string `json:"memory,omitempty"`
	System     string `json:"system"` // with its kernel, where that can be told
	Go         string `json:"go"`
	PostgreSQL string `json:"postgresql,omitempty"`
	Docker     string `json:"docker,omitempty"`
	Pgx        string `json:"pgx,omitempty"`
}

// asking bounds the questions to the machine.
const asking = 10 * time.Second

func thisMachine(ctx context.Context) machine {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	m := machine{
		Commit: commit(ctx), Processor: entry("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(),
		System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Pgx: moduleVersion("github.com/jackc/pgx/v5"),
	}
	if kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(entry("/proc/meminfo", "MemTotal"), " kB"), 64); err == nil {
		m.Memory = fmt.Sprintf("%.1f GiB", kilobytes/(1<<20))
	}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.System += ", kernel " + strings.TrimSpace(string(kernel))
	}
	if dir, err := postgres.Find(); err == nil {
		m.PostgreSQL = strings.TrimPrefix(say(ctx, filepath.Join(dir, "postgres"), "--version"), "postgres (PostgreSQL) ")
	}
	m.Docker, _ = container.EngineVersion(ctx)
	return m
}

// entry is what a file of the kernel's says of a thing.
func entry(file, thing string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if name, value, found := strings.Cut(lines.Text(), ":"); found && strings.TrimSpace(name) == thing {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// say is what a program prints; nothing if it fails.
func say(ctx context.Context, program string, args ...string) string {
	said, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(said))
}

// commit is that of the work tree. The tables that the laboratory itself writes do not change it.
func commit(ctx context.Context) string {
	of := say(ctx, "git", "rev-parse", "--short=12", "HEAD")
	if of != "" && say(ctx, "git", "status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/CHAOS.md") != "" {
		of += " with changes"
	}
	return of
}

// moduleVersion is that of a module which this binary is built of.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return ""
}

// String tells it in one sentence.
func (m machine) String() string {
	told := []string{m.System, fmt.Sprintf("%d cores", m.Cores)}
	for _, part := range []struct{ what, is string }{
		{"", m.Processor}, {"memory ", m.Memory}, {"", m.Go}, {"PostgreSQL ", m.PostgreSQL}, {"Docker ", m.Docker}, {"pgx ", m.Pgx},
	} {
		if part.is != "" {
			told = append(told, part.what+part.is)
		}
	}
	return strings.Join(told, ", ")
}
