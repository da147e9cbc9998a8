package demo

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// screen is where the demo shows itself: one live line below the others on a terminal, plain lines elsewhere. One
// goroutine uses it.
type screen struct {
	out  io.Writer
	live bool
	// width is asked for each line: a window can change.
	width func() int
}

// standardWidth is for a terminal that does not tell its own.
const standardWidth = 80

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return s
	}
	s.live = true
	s.width = func() int {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			return width
		}
		return standardWidth
	}
	return s
}

// period is how often the status is shown.
func (s *screen) period() time.Duration {
	if s.live {
		return 200 * time.Millisecond
	}
	return time.Second
}

// clear returns to the beginning of the line and deletes it.
const clear = "\r\x1b[2K"

// say writes lines that stay.
func (s *screen) say(text string) {
	if s.live {
		text = clear + text
	}
	fmt.Fprintln(s.out, text)
}

// status shows how it stands now.
func (s *screen) status(text string) {
	if !s.live {
		fmt.Fprintln(s.out, text)
		return
	}
	if r, room := []rune(text), s.width()-1; len(r) > room {
		text = string(r[:max(room, 0)])
	}
	fmt.Fprint(s.out, clear+text)
}

// status is the live line.
func (d *demo) status() string {
	f := d.work.figures()
	took := time.Since(d.began)
	l := d.work.latency.snapshot()
	state := "up"
	if o := d.pool.Stat().Outage; !o.Since.IsZero() {
		state = "down for " + tenths(time.Since(o.Since))
	}
	return fmt.Sprintf("%6s  %s  calls %s  failed %d  unknown %d  p50 %s  p99 %s  kills %d  restarts %d",
		tenths(took), state, grouped(f.acknowledged), f.failed, f.unknown, digits(l.quantile(0.5)), digits(l.quantile(0.99)),
		d.killer.done.Load(), restartsIn(d.tree.Snapshot()))
}

func tenths(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// digits rounds a duration to two or three digits.
func digits(d time.Duration) string {
	unit := time.Microsecond
	for d >= 100*unit {
		unit *= 10
	}
	return d.Round(unit).String()
}

// grouped writes a number with a comma after each thousand.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
