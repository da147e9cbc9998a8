package figures

import (
	"fmt"
	"time"
)

// Measure is what a figure is of; its text names the unit.
type Measure string

// What is measured.
const (
	Time       Measure = "time"          // of one operation, in nanoseconds
	Work       Measure = "processor"     // time of one operation on a processor, in nanoseconds: less of it is left to others
	Throughput Measure = "throughput"    // operations a second
	P99        Measure = "p99"           // nanoseconds
	Tail       Measure = "p99.9 / p50"   // of a wait
	Least      Measure = "least served"  // the caller served least, as a part of the mean
	Allocs     Measure = "allocations"   // of one operation
	Memory     Measure = "memory"        // bytes, of one waiting caller or of one connection
	Dials      Measure = "dials"         // sockets asked for
	Served     Measure = "all served"    // nanoseconds until the last caller had its answer
	First      Measure = "first success" // nanoseconds after the server let clients in
	Failed     Measure = "failed calls"  //
	Wakeups    Measure = "wake-ups"      // a second
	Switches   Measure = "switches"      // of threads, a second
	Goroutines Measure = "goroutines"    //
	CPU        Measure = "CPU"           // nanoseconds a second
)

// Format writes a figure with its unit.
func (m Measure) Format(v float64) string {
	switch m {
	case Time, Work, P99, Served, First:
		return span(v)
	case Throughput:
		return magnitude(v) + "/s"
	case Wakeups, Switches:
		return fmt.Sprintf("%.1f/s", v)
	case Memory:
		return magnitude(v) + "B"
	case CPU:
		return span(v) + "/s"
	case Dials, Goroutines, Failed:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// span writes nanoseconds with three digits that count.
func span(ns float64) string {
	switch d := time.Duration(ns); {
	case d < time.Microsecond:
		return fmt.Sprintf("%.0f ns", ns)
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	default:
		return fmt.Sprintf("%.3g s", ns/1e9)
	}
}

// magnitude writes a number in thousands where it is large.
func magnitude(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	default:
		return fmt.Sprintf("%.0f ", v)
	}
}
