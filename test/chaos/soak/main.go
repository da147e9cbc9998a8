// Command soak lets one pool live through faults that come at random, for a long time, and looks that it keeps its promises
// and that nothing grows.
//
//	go run -tags failpoint ./soak [-duration 10m] [-seed N] [-log FILE]
//
// The exit code is 1 if something was wrong. What is done, and in which order, follows from the seed, which is printed.
// An interrupt ends the soak in order.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-4ff2b7b9/supervised/test/chaos/lab"
)

func main() {
	duration := flag.Duration("duration", 10*time.Minute, "begin no round after `this time`")
	seed := flag.Uint64("seed", 0, "what is left to chance follows from this `number`; 0 takes another each time")
	log := flag.String("log", "", "write what the pool logs to this `file`")
	flag.Parse()
	if *seed == 0 {
		*seed = 1 + uint64(rand.Uint32())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, lab.Soak{Seed: *seed, For: *duration, Progress: os.Stderr}, *log)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "soak: seed %d: %v\n", *seed, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o lab.Soak, log string) error {
	if log != "" {
		file, err := os.Create(log)
		if err != nil {
			return err
		}
		defer file.Close()
		o.Log = file
	}
	fmt.Printf("soak: %v, seed %d\n", o.For, o.Seed)
	var l lab.Lab
	defer l.Close()
	began := time.Now()
	found, err := l.Soak(ctx, o)
	if err != nil {
		return err
	}
	fmt.Printf("soak: seed %d, %v in %d rounds: %v\n", o.Seed, time.Since(began).Round(time.Second), found.Rounds, found)
	if len(found.Wrong) == 0 {
		return nil
	}
	for _, wrong := range found.Wrong {
		fmt.Fprintln(os.Stderr, wrong)
	}
	return fmt.Errorf("something was wrong")
}
