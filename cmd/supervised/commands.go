package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-4ff2b7b9/supervised/internal/daemon"
	"github.com/seed-4ff2b7b9/supervised/internal/demo"
)

// root is the command line.
func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "supervised",
		Short: "A pool of PostgreSQL connections in which an outage is latency, not an error",
		Long: `A pool of PostgreSQL connections in which an outage is latency, not an error.

Exit codes: 0 all went well; 1 something failed; 2 the configuration or the command line is wrong;
3 the database refused the connection; 4 the database could not be reached (3 and 4: check only).`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.AddCommand(runCommand(), checkCommand(), demoCommand(), versionCommand())
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{c, err} })
	cmd.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return &usageError{c, fmt.Errorf("there is no command %q", args[0])}
		}
		return nil
	}
	cmd.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return cmd
}

// noArgs is cobra.NoArgs with an error that says where help is.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{c, fmt.Errorf("%s takes no arguments, and got %q", c.Name(), args[0])}
	}
	return nil
}

// configFlag is the flag that names the configuration file.
const configFlag = "config"

func addConfigFlag(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, configFlag, "config.yml", "the configuration `file`; the one at the default place may be missing")
}

func runCommand() *cobra.Command {
	o := daemon.Options{Version: version(), Log: os.Stderr}
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon: the tree, the pool, and an HTTP server with /livez, /readyz, /api/state and /metrics",
		Long: `Run the daemon: the tree, the pool, and an HTTP server with /livez, /readyz, /api/state and /metrics.

It logs to the standard error, where the address of the HTTP server is named first of all things.
SIGTERM and SIGINT stop it in order, a second one stops it at once. SIGHUP reads the configuration again.
It exits with 0 after an ordered stop, with 2 if the configuration is wrong, and with 1 if it could not go on.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			signals := make(chan os.Signal, 4)
			signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			if o.Embedded {
				forgetOtherServers()
			}
			o.Asked, o.Signals = c.Flags().Changed(configFlag), signals
			return daemon.Run(o)
		},
	}
	addConfigFlag(c, &o.ConfigFile)
	c.Flags().BoolVar(&o.Embedded, "embedded", false,
		"run a private, throwaway PostgreSQL from the installed binaries, and use that as the database, whatever the PG* variables say")
	return c
}

func checkCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and try one connection",
		Long: `Check the configuration and try one connection, in the way the daemon would.

It exits with 0 if the database lets us in, with 2 if the configuration is wrong, with 3 if the database refuses the
connection, and with 4 if it cannot be reached.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return daemon.Check(ctx, file, c.Flags().Changed(configFlag), c.OutOrStdout())
		},
	}
	addConfigFlag(c, &file)
	return c
}

func demoCommand() *cobra.Command {
	o := demo.Options{Out: os.Stdout}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Kill a throwaway PostgreSQL again and again under load, and count who noticed",
		Long: `Kill a throwaway PostgreSQL again and again under load, and count who noticed.

It starts a private PostgreSQL, the tree with the pool, and callers that read, and insert rows under keys of their own
making, in transactions. Every few seconds it kills the postmaster with SIGKILL, and the tree restarts it. At the end
it holds every failed call against the rule, and every key against the table:

  A call may fail only if it held a lease on a backend that was alive at the kill when that died, or got one within
  2 ms after; each such backend fails at most one call. Every key whose commit was acknowledged is there, none twice.

It exits with 0 if both hold, else with 1. --break takes the pool's patience away, to show that the judge notices.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check(); err != nil {
				return &usageError{c, err}
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			forgetOtherServers()
			context.AfterFunc(ctx, stop) // a second signal ends the process
			return demo.Run(ctx, o)
		},
	}
	c.Flags().DurationVar(&o.Every, "every", 5*time.Second, "the `time` between two kills; the first comes after half of it")
	c.Flags().DurationVar(&o.For, "for", 30*time.Second, "how long to go on")
	c.Flags().IntVar(&o.Callers, "callers", 32, "how many callers there are")
	c.Flags().StringVar(&o.Ops, "ops", "", "serve the daemon's pages and /metrics meanwhile, on this `address`, like 127.0.0.1:8432")
	c.Flags().BoolVar(&o.Break, "break", false, "use the pool without its retry: calls fail at the first failed attempt to connect")
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "supervised %s, %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// version is what the Go tool has stamped into the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return describe(info)
}

// shortRevision is how many digits of a revision people compare.
const shortRevision = 12

// describe prefers the version of a released module, and tells the revision where there is none.
func describe(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision == "" {
		return "of an unknown revision"
	}
	text := []string{"of revision " + revision[:min(shortRevision, len(revision))]}
	if at := settings["vcs.time"]; at != "" {
		text = append(text, at)
	}
	if settings["vcs.modified"] == "true" {
		text = append(text, "with changes")
	}
	return strings.Join(text, ", ")
}
