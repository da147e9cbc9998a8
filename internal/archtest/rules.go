package archtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// rooms are the packages that the house consists of. Each has to be there.
var rooms = []string{
	"messages", "actors", "actors/retry", "actors/health", "supervisor", "poolactor", "poolactor/pgxpool", "poolactor/stdlib",
	"poolactor/poolprom", "poolactor/poolotel", "poolactor/pooltest", "cmd/supervised",
}

// ban says that no package of some rooms may pull in some packages, however long the way. A pattern is a folder of ours
// or an import path; with "/..." it means what lies below as well.
type ban struct {
	from []string
	to   []string
	why  string
}

const ours = module + "/..."

var (
	downward = "imports run cmd -> poolactor -> supervisor -> actors -> messages, only downward"
	library  = []string{"messages/...", "actors/...", "supervisor/...", "poolactor/..."}
)

var bans = []ban{
	{[]string{"messages/..."}, []string{ours}, "messages is plain data and imports nothing of ours"},
	{[]string{"actors/..."}, []string{"supervisor/...", "poolactor/...", "cmd/..."}, downward},
	{[]string{"supervisor/..."}, []string{"poolactor/...", "cmd/..."}, downward},
	{[]string{"poolactor/..."}, []string{"cmd/..."}, downward},
	{[]string{"internal/..."}, []string{"cmd/..."}, "internal is for all rooms and knows none of the commands"},
	{
		[]string{"messages/...", "actors", "supervisor/..."},
		[]string{"github.com/jackc/...", "actors/retry/...", "actors/health/..."},
		"who only wants actors or a tree gets no database with them",
	},
	{
		library,
		[]string{
			"github.com/spf13/...", "github.com/ilyakaznacheev/cleanenv/...", "github.com/stretchr/testify/...",
			"gopkg.in/yaml.v3/...", "go.yaml.in/...", "github.com/docker/...", "github.com/moby/...",
			"github.com/testcontainers/...", "pgregory.net/rapid/...", "go.uber.org/goleak/...",
		},
		"commands and tests need it, users of the library do not",
	},
	{
		[]string{"messages/...", "actors/...", "supervisor/...", "poolactor"},
		[]string{"github.com/prometheus/...", "go.opentelemetry.io/...", "poolactor/poolprom/...", "poolactor/poolotel/..."},
		"metrics and spans are packages of their own, for those who import them",
	},
}

// allowance says that some packages may pull in these of other people, and no other.
type allowance struct {
	to   []string
	what []string
}

// poolAllowance is what a user of the pool gets with it. Nothing of cleanenv is among it: only the daemon reads files.
var poolAllowance = allowance{
	to: []string{
		"messages", "actors", "actors/retry", "actors/health", "supervisor",
		"poolactor", "poolactor/pgxpool", "poolactor/stdlib", "poolactor/pooltest",
	},
	what: []string{
		"github.com/jackc/pgx/...",       // but not its pool, which would bring puddle
		"github.com/jackc/pgpassfile",    // pgx's, for ~/.pgpass
		"github.com/jackc/pgservicefile", // pgx's, for service files
		"github.com/thejerf/suture/...",  // restarts
		"github.com/rs/zerolog/...",      // the log
		"github.com/mattn/...",           // zerolog's, for terminals
		"golang.org/x/...",
	},
}

// beyond lists what others' packages come in beyond an allowance, each with the way.
func beyond(g graph, a allowance) []string {
	var violations []string
	for _, path := range slices.Sorted(maps.Keys(g)) {
		if !matches(path, a.to) {
			continue
		}
		for _, dep := range g[path].Deps {
			if _, isOurs := inModule(dep); isOurs || isStandard(dep) || matches(dep, a.what) {
				continue
			}
			violations = append(violations, strings.Join(g.chain(path, dep), " -> "))
		}
	}
	return violations
}

// isStandard tells whether a package comes with Go: the first element of its path is no host.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// vague are names that say nothing about what is inside, alone or at the end of a longer one.
var vague = []string{"util", "utils", "helper", "helpers", "common", "misc", "manager"}

// missing names the rooms that have no Go files.
func missing(g graph, rooms []string) []string {
	var names []string
	for _, room := range rooms {
		if len(g[module+"/"+room].GoFiles) == 0 {
			names = append(names, room)
		}
	}
	return names
}

// broken lists what a ban forbids and the graph contains, each with the way by which it came in.
func broken(g graph, b ban) []string {
	var violations []string
	for _, path := range slices.Sorted(maps.Keys(g)) {
		if !matches(path, b.from) {
			continue
		}
		for _, dep := range g[path].Deps {
			if matches(dep, b.to) {
				violations = append(violations, strings.Join(g.chain(path, dep), " -> "))
			}
		}
	}
	return violations
}

func matches(path string, patterns []string) bool {
	folder, isOurs := inModule(path)
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		root, below := strings.CutSuffix(pattern, "/...")
		covers := func(p string) bool { return p == root || below && strings.HasPrefix(p, root+"/") }
		return covers(path) || isOurs && covers(folder)
	})
}

// badNames lists our packages whose name or folder is vague.
func badNames(g graph) []string {
	var violations []string
	for _, path := range slices.Sorted(maps.Keys(g)) {
		folder, isOurs := inModule(path)
		if !isOurs {
			continue
		}
		for _, name := range append(strings.Split(folder, "/"), g[path].Name) {
			if slices.ContainsFunc(vague, func(v string) bool { return strings.HasSuffix(name, v) }) {
				violations = append(violations, fmt.Sprintf("%s: %q does not say what is inside", path, name))
				break
			}
		}
	}
	return violations
}

// undocumented lists our packages whose comment does not begin as it should; packages of tests only are left out.
func undocumented(g graph) []string {
	var violations []string
	for _, path := range slices.Sorted(maps.Keys(g)) {
		p := g[path]
		if _, isOurs := inModule(path); !isOurs || len(p.GoFiles) == 0 {
			continue
		}
		begin := "Package " + p.Name + " "
		if p.Name == "main" {
			begin = "Command "
		}
		if !strings.HasPrefix(p.Doc, begin) {
			violations = append(violations, fmt.Sprintf("%s: the package comment is to begin with %q", path, begin))
		}
	}
	return violations
}
