package actors

// yieldTrial finds out whether a busy actor does well to yield the processor once before it parks.
//
// Where those who send run on the same processors and nobody else does, it does: they fill the mailbox meanwhile, and one
// wake-up serves them all. Where others run for long, whoever yields is put behind them, and what takes half a microsecond
// takes milliseconds. No look at the process tells one from the other, but the messages that come through do.
type yieldTrial struct {
	without uint64 // how many came through in the last sample without yielding
	rest    int    // samples until it is tried again
}

// restFor keeps the trials that fail below a hundredth of the time.
const restFor = 100

// goesOn tells whether to yield until the next sample, after one in which so many messages came through. An actor that
// waits has not been put behind anybody: it had fewer messages.
func (t *yieldTrial) goesOn(yielded bool, moved uint64, s State) bool {
	switch {
	case !yielded:
		t.without = moved
		t.rest = max(0, t.rest-1)
	case moved < t.without/2 && s != Waiting:
		t.rest = restFor
	}
	return t.rest == 0
}
