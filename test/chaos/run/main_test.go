package main

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheCommandIsHowMakeIsTold(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "make chaos"},
		{[]string{"-whole", "/there/CHAOS.md", "-o", "here.md"}, "make chaos"},
		{[]string{"-repeat", "1", "-alone"}, "make chaos ARGS='-alone -repeat 1'"},
		{[]string{"-only", "^(1-1|13)$"}, `make chaos ARGS='-only "^(1-1|13)$$"'`},
	} {
		set := flag.NewFlagSet("", flag.ContinueOnError)
		for _, name := range []string{"o", "whole", "only"} {
			set.String(name, "", "")
		}
		set.Int("repeat", 0, "")
		set.Bool("alone", false, "")
		require.NoError(t, set.Parse(c.args))
		require.Equal(t, c.want, command(set))
	}
}
