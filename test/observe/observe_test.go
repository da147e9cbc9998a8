package observe

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheQueriesFindData: a running demo has data for everything that the dashboard and the alerts ask, also where
// Prometheus takes native histograms, and then no classic ones.
func TestTheQueriesFindData(t *testing.T) {
	pages := record(t)
	d, rules := readDashboard(t), readAlerts(t)
	for name, form := range map[string]string{"classic": asText, "native": asProtobuf} {
		t.Run(name, func(t *testing.T) {
			p := newPrometheus(t, pages[form])
			checkDashboard(t, p, d)
			checkAlerts(t, p, rules)
			checkNames(t, pages[asText][0])
		})
	}
}

var metricName = regexp.MustCompile(`supervised_[a-z_]*[a-z]`)

// checkNames finds metrics in texts for people that there are none of.
func checkNames(t *testing.T, p page) {
	there := map[string]bool{}
	for line := range strings.Lines(string(p.body)) {
		if of, ok := strings.CutPrefix(line, "# TYPE "); ok {
			there[metricName.FindString(of)] = true
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, path := range append(pages, alertsFile, "../../poolactor/poolprom/doc.go", "../../README.md", "../../MIGRATING.md") {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, name := range metricName.FindAllString(string(text), -1) {
			require.True(t, there[name], "%s speaks of %s", path, name)
		}
	}
}
