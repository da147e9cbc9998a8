package observe

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const dashboardFile = "../../contrib/grafana/supervised.json"

// dashboard is what of a dashboard's model matters here.
type dashboard struct {
	SchemaVersion int
	UID           string
	Panels        []panel
	Templating    struct{ List []variable }
}

type panel struct {
	ID          int
	Type, Title string
	Description string
	Datasource  struct{ UID string }
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct {
		Expr, LegendFormat, RefID string
		Datasource                struct{ UID string }
	}
}

type variable struct {
	Name, Type, Definition string
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

// inserted is a query as Grafana sends it when everything is selected.
func inserted(query string) string {
	return strings.NewReplacer("$pool", ".*", "$instance", ".*", "$__rate_interval", "1m").Replace(query)
}

func TestTheDashboardIsWhole(t *testing.T) {
	d := readDashboard(t)
	require.GreaterOrEqual(t, d.SchemaVersion, 39)
	require.NotEmpty(t, d.UID)
	var rows, sources []string
	ids, places := map[int]bool{}, map[[2]int]bool{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "%s has an id of its own", p.Title)
		ids[p.ID] = true
		require.False(t, places[[2]int{p.GridPos.X, p.GridPos.Y}], "%s has a place of its own", p.Title)
		places[[2]int{p.GridPos.X, p.GridPos.Y}] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24)
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		require.NotEmpty(t, p.Targets, p.Title)
		require.NotEmpty(t, p.Description, p.Title)
		sources = append(sources, p.Datasource.UID)
		for _, target := range p.Targets {
			sources = append(sources, target.Datasource.UID)
		}
	}
	require.Equal(t, []string{"Overview", "Connections", "Waits", "Outages", "Actors"}, rows)
	for _, source := range sources {
		require.Equal(t, "${datasource}", source, "people have sources of their own")
	}
}

var labelValues = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)

// checkDashboard evaluates everything that a dashboard asks.
func checkDashboard(t *testing.T, p *prometheus, d dashboard) {
	queries := 0
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			queries++
			t.Run(panel.Title+" "+target.RefID, func(t *testing.T) { p.requireData(t, inserted(target.Expr)) })
		}
	}
	require.Greater(t, queries, 30)
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			require.Equal(t, "datasource", v.Type)
			continue
		}
		m := labelValues.FindStringSubmatch(v.Definition)
		require.NotNil(t, m, v.Definition)
		series := p.evaluate(t, m[1])
		require.NotEmpty(t, series, v.Definition)
		require.True(t, series[0].Metric.Has(m[2]), v.Definition)
	}
}
