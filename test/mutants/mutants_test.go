package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "../.."

// TestEveryMutantFitsTheCode keeps the lists from going stale: whoever changes the code that a mutant changes has to
// look at it.
func TestEveryMutantFitsTheCode(t *testing.T) {
	lists, err := filepath.Glob("*.yml")
	require.NoError(t, err)
	mutants, err := loadLists(lists)
	require.NoError(t, err)
	for _, m := range mutants {
		t.Run(m.Name, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join(root, m.File))
			require.NoError(t, err)
			_, err = change(m.File, string(source), m.Old, m.New)
			require.NoError(t, err)
		})
	}
}

// named picks mutants of the sample.
func named(t *testing.T, names ...string) []mutant {
	t.Helper()
	all, err := loadLists([]string{"testdata/sample.yml"})
	require.NoError(t, err)
	var picked []mutant
	for _, name := range names {
		for _, m := range all {
			if m.Name == name {
				picked = append(picked, m)
			}
		}
	}
	require.Len(t, picked, len(names))
	return picked
}

func sampleCampaign(mutants []mutant) (campaign, *strings.Builder) {
	var out strings.Builder
	return campaign{root: "testdata/sample", mutants: mutants, parallel: 2, out: &out}, &out
}

func TestCampaignThatKillsEveryMutant(t *testing.T) {
	before, err := os.ReadFile("testdata/sample/counter/counter.go")
	require.NoError(t, err)
	c, out := sampleCampaign(named(t, "off-by-one", "never-full", "reset-noticed"))
	require.NoError(t, c.run(t.Context()))
	require.Regexp(t, `killed +[0-9.]+ s +off-by-one  by TestFill\n`, out.String())
	require.Regexp(t, `killed +[0-9.]+ s +never-full  by TestFill, by its time-out\n`, out.String())
	require.Regexp(t, `killed +[0-9.]+ s +reset-noticed  by TestReset\n`, out.String())
	require.Contains(t, out.String(), "mutants: 3 killed, 0 survived, 0 did not compile, 0 no longer match, 0 met no test\n")
	after, err := os.ReadFile("testdata/sample/counter/counter.go")
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
}

func TestCampaignTellsWhatWasNotKilled(t *testing.T) {
	c, out := sampleCampaign(named(t, "off-by-one", "reset-unnoticed", "not-go", "twice", "gone"))
	require.EqualError(t, c.run(t.Context()), "4 of 5 mutants were not killed")
	require.Regexp(t, `SURVIVED +[0-9.]+ s +reset-unnoticed *\n    breaks: Reset begins anew\n    in counter/counter.go: c.n = 0\n`, out.String())
	require.Regexp(t, `DID NOT COMPILE +[0-9.]+ s +not-go`, out.String())
	require.Contains(t, out.String(), "undefined: nothing")
	require.Regexp(t, `NO LONGER MATCHES +[0-9.]+ s +twice  old stands in counter/counter.go 3 times, not once\n`, out.String())
	require.Regexp(t, `NO LONGER MATCHES +[0-9.]+ s +gone`, out.String())
	require.Contains(t, out.String(), "mutants: 1 killed, 1 survived, 1 did not compile, 2 no longer match, 0 met no test\n")
}

func TestCampaignWantsGreenTestsFirst(t *testing.T) {
	for tests, reason := range map[string]string{
		"./red":               "is not green: TestIsAlwaysRed",
		"./counter ./missing": "is not green: ",
	} {
		mutants := named(t, "off-by-one")
		mutants[0].Tests = tests
		c, out := sampleCampaign(mutants)
		require.ErrorContains(t, c.run(t.Context()), reason)
		require.NotContains(t, out.String(), "killed")
	}
	mutants := named(t, "off-by-one")
	mutants[0].Run = "TestNobodyWrote"
	c, _ := sampleCampaign(mutants)
	require.ErrorContains(t, c.run(t.Context()), "no test matches")
}

func TestCampaignEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, _ := sampleCampaign(named(t, "off-by-one", "never-full"))
	for r := range c.results(ctx) {
		require.Equal(t, killed, r.outcome)
		break // the other is ended and joined
	}
	cancel()
	require.ErrorIs(t, c.run(ctx), context.Canceled)
}

func TestStart(t *testing.T) {
	t.Chdir(root)
	sample := []string{"test/mutants/testdata/sample.yml"}
	require.ErrorContains(t, start(t.Context(), sample, "no such name", 1), "no mutant has such a name")
	require.ErrorContains(t, start(t.Context(), sample, "(", 1), "-only")
	require.ErrorContains(t, start(t.Context(), []string{"missing.yml"}, "", 1), "missing.yml")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, start(ended, nil, "", 1), context.Canceled, "the lists of the project are found")
}

func TestConditionsOfTheHeadHold(t *testing.T) {
	m := named(t, "off-by-one", "reset-noticed", "never-full")
	require.Equal(t, conditions{Tests: "./counter", Count: 1, Timeout: 30 * time.Second}, m[0].conditions)
	require.Equal(t, conditions{Tests: "./counter", Count: 1, Timeout: 30 * time.Second, Tags: "thorough", Run: "TestReset"}, m[1].conditions)
	require.Equal(t, time.Second, m[2].Timeout)

	c := conditions{Race: true, Short: true, Count: 20, Tests: "./a ./b", Timeout: time.Minute, Run: "X", Tags: "failpoint"}
	require.Equal(t, "-vet=off -failfast -count=20 -timeout=1m0s -tags=failpoint -run=X -race -short ./a ./b", strings.Join(c.flags(), " "))
}

func TestListsThatAreWrong(t *testing.T) {
	good := "mutants: [{name: a, rule: r, file: f.go, old: x, new: y, tests: ./p}]"
	for text, reason := range map[string]string{
		"":                           "EOF",
		"mutants: []":                "there are no mutants",
		"muttants: []":               "muttants not found",
		good + "\ntimeout: soon":     "soon",
		good[:len(good)-1] + ", {}]": "mutant 2: name is missing",
		strings.Replace(good, "rule: r, ", "", 1):          "mutant a: rule is missing",
		strings.Replace(good, "old: x", "old: ' '", 1):     "old is missing",
		strings.Replace(good, ", tests: ./p", "", 1):       "tests is missing",
		strings.Replace(good, "f.go", "f_test.go", 1):      "is no Go file",
		strings.Replace(good, "f.go", "../f.go", 1):        "is no Go file",
		strings.Replace(good, "f.go", "f.sql", 1):          "is no Go file",
		strings.Replace(good, "new: y", "new: x", 1):       "old and new are the same",
		strings.Replace(good, "new: y", "run: (", 1):       "run: error parsing regexp",
		strings.Replace(good, "new: y", "count: -1", 1):    "cannot be negative",
		strings.Replace(good, "new: y", "timeout: -1s", 1): "cannot be negative",
	} {
		path := filepath.Join(t.TempDir(), "list.yml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := loadLists([]string{path})
		require.ErrorContains(t, err, reason)
	}
	path := filepath.Join(t.TempDir(), "list.yml")
	require.NoError(t, os.WriteFile(path, []byte(good), 0o600))
	_, err := loadLists([]string{path, path})
	require.ErrorContains(t, err, "two mutants named a")
}

func TestChangeMindsNoWhiteSpaceAtTheEndsOfLines(t *testing.T) {
	source := "a {\n\tif x {\n\t\treturn 1 // one\n\n\t}\n}\n"
	changed, err := change("f.go", source, "if x {\n  return 1 // one\n}\n", "if y {\n}\n")
	require.NoError(t, err)
	require.Equal(t, "a {\n\tif y {\n}\n}\n", changed)

	changed, err = change("f.go", source, "1", "$1")
	require.NoError(t, err, "part of a line will do")
	require.Contains(t, changed, "return $1 // one")

	_, err = change("f.go", source, "return", "x")
	require.NoError(t, err)
	var wrong *changeError
	_, err = change("f.go", source, "}", "x")
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, 2, wrong.matches)
	_, err = change("f.go", source, "if  x {", "x")
	require.ErrorAs(t, err, &wrong)
	require.Zero(t, wrong.matches, "white space inside of a line matters")
}

// Tests with the same flags are run together without a mutant; whole packages, and what is repeated, by themselves.
func TestControlsAreRunTogether(t *testing.T) {
	on := func(run string, change func(*conditions)) mutant {
		m := mutant{conditions: conditions{Tests: "./a", Run: run, Count: 1, Timeout: time.Minute}}
		if change != nil {
			change(&m.conditions)
		}
		return m
	}
	c := campaign{mutants: []mutant{
		on("TestA", nil), on("TestB", nil), on("TestA", nil), on("", nil),
		on("TestC", func(c *conditions) { c.Tags = "failpoint" }), on("TestD", func(c *conditions) { c.Count = 20 }),
	}}
	var runs []string
	for _, all := range c.together() {
		runs = append(runs, all.Run+" "+all.Timeout.String())
	}
	require.Equal(t, []string{"TestA|TestB 2m0s", " 1m0s", "TestC 1m0s", "TestD 1m0s"}, runs)
}
