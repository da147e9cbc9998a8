package archtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// house builds a graph from lines like "actors: messages fmt"; a name with a dot or without a room is not ours.
func house(lines ...string) graph {
	g := graph{}
	full := func(name string) string {
		if first, _, _ := strings.Cut(name, "/"); name == "fmt" || strings.Contains(first, ".") {
			return name
		}
		return module + "/" + name
	}
	for _, line := range lines {
		name, imports, _ := strings.Cut(line, ":")
		p := pkg{ImportPath: full(name), Name: name[strings.LastIndex(name, "/")+1:], GoFiles: []string{"x.go"}}
		p.Doc = "Package " + p.Name + " is a room."
		for i := range strings.FieldsSeq(imports) {
			p.Imports = append(p.Imports, full(i))
		}
		g[p.ImportPath] = p
	}
	for path, p := range g {
		for dep := range reached(g, path) {
			p.Deps = append(p.Deps, dep)
		}
		g[path] = p
	}
	return g
}

func reached(g graph, from string) map[string]bool {
	seen := map[string]bool{}
	var walk func(string)
	walk = func(at string) {
		for _, next := range g[at].Imports {
			if !seen[next] {
				seen[next] = true
				walk(next)
			}
		}
	}
	walk(from)
	return seen
}

func violations(g graph) []string {
	var all []string
	for _, b := range bans {
		all = append(all, broken(g, b)...)
	}
	return all
}

func TestHouseAsDesignedBreaksNothing(t *testing.T) {
	require.Empty(t, violations(house(
		"messages: fmt",
		"actors: messages fmt",
		"internal/backend: github.com/jackc/pgx/v5",
		"actors/retry: actors messages internal/backend",
		"actors/health: actors messages",
		"supervisor: actors github.com/thejerf/suture/v4",
		"poolactor: supervisor actors/retry actors/health messages github.com/jackc/pgx/v5",
		"poolactor/pgxpool: poolactor",
		"poolactor/poolprom: poolactor github.com/prometheus/client_golang/prometheus",
		"cmd/supervised: poolactor internal/config github.com/spf13/cobra",
		"internal/config: github.com/ilyakaznacheev/cleanenv gopkg.in/yaml.v3",
	)))
}

func TestEveryBanBites(t *testing.T) {
	for name, lines := range map[string][]string{
		"messages imports ours":           {"messages: internal/x", "internal/x:"},
		"actors imports supervisor":       {"actors: supervisor", "supervisor:"},
		"retry reaches poolactor":         {"actors/retry: internal/x", "internal/x: poolactor", "poolactor:"},
		"health imports supervisor":       {"actors/health: supervisor", "supervisor:"},
		"supervisor imports poolactor":    {"supervisor: poolactor", "poolactor:"},
		"supervisor imports pool's parts": {"supervisor: poolactor/slot", "poolactor/slot:"},
		"poolactor imports cmd":           {"poolactor: cmd/supervised", "cmd/supervised:"},
		"internal imports cmd":            {"internal/x: cmd/supervised", "cmd/supervised:"},
		"kernel imports retry":            {"actors: actors/retry", "actors/retry:"},
		"kernel pulls in pgx":             {"actors: internal/x", "internal/x: github.com/jackc/pgx/v5/pgconn"},
		"supervisor pulls in pgx":         {"supervisor: github.com/jackc/pgx/v5"},
		"pool pulls in cobra":             {"poolactor: github.com/spf13/cobra"},
		"pool pulls in cleanenv":          {"poolactor: internal/x", "internal/x: github.com/ilyakaznacheev/cleanenv"},
		"pool pulls in testify":           {"poolactor: github.com/stretchr/testify/require"},
		"pool pulls in yaml":              {"poolactor: gopkg.in/yaml.v3"},
		"pool pulls in testify's yaml":    {"poolactor: go.yaml.in/yaml/v3"},
		"pool pulls in docker":            {"poolactor: github.com/docker/docker/client"},
		"pool pulls in moby":              {"poolactor: github.com/moby/moby/client"},
		"pool pulls in rapid":             {"poolactor/model: pgregory.net/rapid"},
		"kernel pulls in goleak":          {"actors: go.uber.org/goleak"},
		"pool pulls in Prometheus":        {"poolactor: github.com/prometheus/client_golang/prometheus"},
		"pool pulls in OpenTelemetry":     {"poolactor: internal/x", "internal/x: go.opentelemetry.io/otel/trace"},
		"pool knows its metrics":          {"poolactor: poolactor/poolprom", "poolactor/poolprom:"},
	} {
		require.NotEmpty(t, violations(house(lines...)), name)
	}
}

func TestWhatIsBeyondAnAllowanceIsFound(t *testing.T) {
	g := house("poolactor: supervisor github.com/jackc/pgx/v5 fmt", "supervisor: github.com/thejerf/suture/v4",
		"poolactor/poolprom: github.com/prometheus/client_golang/prometheus")
	require.Empty(t, beyond(g, poolAllowance), "and what lies below is another package")
	g = house("poolactor: internal/x", "internal/x: github.com/other/thing")
	require.Equal(t, []string{module + "/poolactor -> " + module + "/internal/x -> github.com/other/thing"}, beyond(g, poolAllowance))
}

func TestViolationNamesTheWay(t *testing.T) {
	g := house("actors/retry: fmt internal/x", "internal/x: internal/y", "internal/y: poolactor", "poolactor:")
	require.Equal(t, []string{strings.Join([]string{
		module + "/actors/retry", module + "/internal/x", module + "/internal/y", module + "/poolactor",
	}, " -> ")}, violations(g))
}

func TestMissingRoomsAreNamed(t *testing.T) {
	g := house("messages:", "actors:")
	g[module+"/supervisor"] = pkg{ImportPath: module + "/supervisor"} // only tests
	require.Equal(t, []string{"supervisor", "poolactor"}, missing(g, []string{"messages", "supervisor", "poolactor", "actors"}))
}

func TestVagueNamesAreFound(t *testing.T) {
	g := house("actors:", "internal/util:", "internal/pgutil:", "internal/helpers/x:", "github.com/other/common:", "internal/commonground:")
	renamed := g[module+"/actors"]
	renamed.Name = "misc"
	g[module+"/actors"] = renamed
	require.Len(t, badNames(g), 4)
}

func TestMissingCommentsAreFound(t *testing.T) {
	g := house("actors:", "messages:", "supervisor:", "cmd/supervised:", "github.com/other/x:")
	change := func(room string, f func(*pkg)) {
		p := g[module+"/"+room]
		f(&p)
		g[p.ImportPath] = p
	}
	change("cmd/supervised", func(p *pkg) { p.Name, p.Doc = "main", "Command supervised is the daemon." })
	require.Empty(t, undocumented(g))
	change("actors", func(p *pkg) { p.Doc = "" })
	change("messages", func(p *pkg) { p.Doc = "Package message is another." })
	change("cmd/supervised", func(p *pkg) { p.Doc = "Package main is the daemon." })
	change("supervisor", func(p *pkg) { p.Doc, p.GoFiles = "", nil })
	require.Len(t, undocumented(g), 3)
}

func TestParse(t *testing.T) {
	g, err := parse(strings.NewReader(`{"ImportPath":"a","Deps":["b"]}` + "\n" + `{"ImportPath":"b"}`))
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, g["a"].Deps)
	_, err = parse(strings.NewReader(`{"ImportPath":`))
	require.ErrorContains(t, err, "go list")
}
