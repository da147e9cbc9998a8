package observe

import "testing"

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
		})
	}
}
