package observe

import (
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/logdoc"
)

const alertsFile = "../../contrib/prometheus/alerts.yml"

func readAlerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(alertsFile, false, model.UTF8Validation, syntax, nil)
	require.Empty(t, errs)
	var rules []rulefmt.Rule
	for _, g := range groups.Groups {
		rules = append(rules, g.Rules...)
	}
	require.NotEmpty(t, rules)
	return rules
}

// compared are the sides of all comparisons in an expression: what it looks at, whether or not there is reason for an alert.
func compared(e parser.Expr) []parser.Expr {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return compared(e.Expr)
	case *parser.BinaryExpr:
		if e.Op.IsComparisonOperator() || e.Op.IsSetOperator() {
			return append(compared(e.LHS), compared(e.RHS)...)
		}
	case *parser.NumberLiteral:
		return nil
	}
	return []parser.Expr{e}
}

// quieted is an expression in which each comparison with a number is its left side, and each one of series a sum, which
// pairs them in the same way.
func quieted(e parser.Expr) parser.Expr {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return &parser.ParenExpr{Expr: quieted(e.Expr)}
	case *parser.BinaryExpr:
		same := *e
		switch {
		case e.Op.IsComparisonOperator() && e.RHS.Type() == parser.ValueTypeScalar:
			return quieted(e.LHS)
		case e.Op.IsComparisonOperator():
			same.Op = parser.ADD
		}
		same.LHS, same.RHS = quieted(e.LHS), quieted(e.RHS)
		return &same
	default:
		return e
	}
}

// checkAlerts evaluates everything that the rules look at.
func checkAlerts(t *testing.T, p *prometheus, rules []rulefmt.Rule) {
	for _, rule := range rules {
		t.Run(rule.Alert, func(t *testing.T) {
			e, err := syntax.ParseExpr(rule.Expr)
			require.NoError(t, err)
			sides := compared(e)
			require.NotEmpty(t, sides)
			for _, side := range sides {
				p.requireData(t, side.String())
			}
			p.requireData(t, quieted(e).String())
			p.evaluate(t, rule.Expr)
		})
	}
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	for _, rule := range readAlerts(t) {
		require.True(t, strings.HasPrefix(rule.Alert, "Supervised"), rule.Alert)
		require.Contains(t, []string{"warning", "critical"}, rule.Labels["severity"], rule.Alert)
		for _, name := range []string{"summary", "description", "runbook"} {
			require.NotEmpty(t, rule.Annotations[name], "%s: %s", rule.Alert, name)
		}
	}
}

// TestRunbooksSendPeopleToEventsThatThereAre: what a runbook says to look for in the log can be there.
func TestRunbooksSendPeopleToEventsThatThereAre(t *testing.T) {
	doc, err := logdoc.Read("../../docs/logs.md")
	require.NoError(t, err)
	found := 0
	for _, rule := range readAlerts(t) {
		for _, event := range eventToLookFor.FindAllStringSubmatch(rule.Annotations["runbook"], -1) {
			found++
			require.Contains(t, doc.Events, event[1], rule.Alert)
		}
	}
	require.Greater(t, found, 3)
}

var eventToLookFor = regexp.MustCompile(`event=(\w+)`)

func TestWhatAnAlertLooksAtIsFound(t *testing.T) {
	e, err := syntax.ParseExpr(`min_over_time(a[2m]) > 0 and (b{x="1"} >= ignoring(x) c) unless d == 1`)
	require.NoError(t, err)
	var sides []string
	for _, side := range compared(e) {
		sides = append(sides, side.String())
	}
	require.Equal(t, []string{"min_over_time(a[2m])", `b{x="1"}`, "c", "d"}, sides)
	require.Equal(t, `min_over_time(a[2m]) and (b{x="1"} + ignoring (x) c) unless d`, quieted(e).String())
}
