// Command run puts this project's pool, and those that users would otherwise pick, to every fault of the laboratory, and
// prints what each of them showed as one Markdown table.
//
//	go run ./run [-only REGEXP] [-repeat N] [-short] [-alone] [-o FILE] [-whole FILE]
//	go run ./run -honest
//
// The exit code is 1 if this project's pool was outside one of its bounds, or if a row was broken off: what is known is told
// all the same. With -honest it is 1 if the laboratory did not notice that one of its safeguards was off.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/seed-4ff2b7b9/supervised/test/chaos/lab"
)

func main() {
	if lab.Victim() {
		return
	}
	only := flag.String("only", "", "run the rows whose number matches this `regexp`")
	repeat := flag.Int("repeat", 0, "run rows with a bound in time `N` times; 0 is five times, and fewer do not judge that bound")
	short := flag.Bool("short", false, "this project's pool only, and no row that takes long")
	alone := flag.Bool("alone", false, "this project's pool only")
	honest := flag.Bool("honest", false, "switch each safeguard of this project's pool off in turn, and see that its row notices; no table")
	output := flag.String("o", "", "write the table, with what was measured as JSON, to this `file`")
	whole := flag.String("whole", "", "the `file` to write instead if there is no -o and nothing limits the run")
	flag.Parse()
	if *output == "" && *only == "" && *repeat == 0 && !*short && !*alone {
		*output = *whole
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	l := &lab.Lab{Repeat: *repeat, Short: *short, Alone: *alone, Progress: os.Stderr}
	var err error
	if *honest {
		err = errors.Join(l.Honest(ctx), l.Close())
	} else {
		err = run(ctx, l, *only, *output)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, l *lab.Lab, only, output string) (err error) {
	if l.Only, err = regexp.Compile(only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	defer l.Close()
	outcomes, broken := l.Run(ctx, lab.Rows())
	if len(outcomes) == 0 {
		return broken
	}
	report := lab.NewReport(outcomes, command(flag.CommandLine))
	if err := report.Table(os.Stdout); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, report.Summary())
	if output != "" {
		if err := report.WriteFile(context.WithoutCancel(ctx), output); err != nil {
			return err
		}
	}
	if n := report.Outside(); n > 0 {
		broken = errors.Join(broken, fmt.Errorf("%d of %d rows are outside their bounds", n, len(outcomes)))
	}
	return broken
}

// plain is what needs no quotes in a command.
var plain = regexp.MustCompile(`^[\w.,/+-]+$`)

// command is how make is told to do the same. Where the table goes is no part of that.
func command(set *flag.FlagSet) string {
	var args []string
	set.Visit(func(f *flag.Flag) {
		switch text := f.Value.String(); {
		case f.Name == "o" || f.Name == "whole":
		case text == "true":
			args = append(args, "-"+f.Name)
		case plain.MatchString(text):
			args = append(args, "-"+f.Name+" "+text)
		default:
			args = append(args, "-"+f.Name+` "`+strings.ReplaceAll(text, "$", "$$")+`"`)
		}
	})
	if len(args) == 0 {
		return "make chaos"
	}
	return "make chaos ARGS='" + strings.Join(args, " ") + "'"
}
