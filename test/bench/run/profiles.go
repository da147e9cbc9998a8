package main

import (
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
)

// profiles are files for what the runtime notes during the rows; empty: not.
type profiles struct{ cpu, mutex, trace string }

// begin begins those that are wanted. What it returns ends them and writes them.
func (p profiles) begin() (end func() error, err error) {
	var ends []func() error
	end = func() error {
		var errs []error
		for _, e := range ends {
			errs = append(errs, e())
		}
		return errors.Join(errs...)
	}
	for _, profile := range []struct {
		file  string
		start func(io.Writer) error
		stop  func(io.Writer) error
	}{
		{p.cpu, pprof.StartCPUProfile, func(io.Writer) error { pprof.StopCPUProfile(); return nil }},
		{p.trace, trace.Start, func(io.Writer) error { trace.Stop(); return nil }},
		{
			p.mutex,
			func(io.Writer) error { runtime.SetMutexProfileFraction(1); return nil },
			func(w io.Writer) error { return pprof.Lookup("mutex").WriteTo(w, 0) },
		},
	} {
		if profile.file == "" {
			continue
		}
		f, err := os.Create(profile.file)
		if err != nil {
			return nil, errors.Join(err, end())
		}
		if err := profile.start(f); err != nil {
			return nil, errors.Join(err, f.Close(), end())
		}
		ends = append(ends, func() error { return errors.Join(profile.stop(f), f.Close()) })
	}
	return end, nil
}
