package main

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
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// describe says in a report where and of what it was made. It names neither hosts nor folders; what cannot be told is
// left out.
func describe(ctx context.Context, r *figures.Report) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	parts := []string{
		fmt.Sprintf("%s/%s", runtime.GOOS, runtime.GOARCH),
		fmt.Sprintf("%d cores", runtime.NumCPU()), fmt.Sprintf("GOMAXPROCS %d", runtime.GOMAXPROCS(0)),
		entry("/proc/cpuinfo", "model name"), runtime.Version(),
	}
	if dir, err := postgres.Find(); err == nil {
		parts = append(parts, say(ctx, filepath.Join(dir, "postgres"), "--version"))
	}
	if settings, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		parts = append(parts, "kernel "+strings.TrimSpace(string(settings)))
	}
	r.Machine = joined(parts)
	r.Commit = commit(ctx)
	r.Peers = peers()
}

func joined(parts []string) string {
	var told []string
	for _, p := range parts {
		if p != "" {
			told = append(told, p)
		}
	}
	return strings.Join(told, ", ")
}

// peers are the modules that ours is compared with.
func peers() string {
	var named []string
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/jackc/pgx/v5", "github.com/jackc/puddle/v2", "github.com/asynkron/protoactor-go", "github.com/Arceliar/phony":
			named = append(named, m.Path+" "+m.Version)
		}
	}
	return strings.Join(named, ", ")
}

// commit is that of the work tree; what this command itself writes does not change it.
func commit(ctx context.Context) string {
	of := say(ctx, "git", "rev-parse", "--short=12", "HEAD")
	if of != "" && say(ctx, "git", "status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/BENCHMARKS.md", ":!/docs/bench") != "" {
		of += " with changes"
	}
	return of
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
