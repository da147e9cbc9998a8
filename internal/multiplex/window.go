package multiplex

import "time"

const (
	// narrowest is what a window has at least: it keeps a server busy that is next door, and a slow statement delays no more
	// than seven others.
	narrowest = 8
	// widest bounds what a lane has under way, and so what is unknown when it is lost.
	widest = 512
	// remembered is for how many turns the best rate counts, and for how many the shortest trip does.
	remembered = 16
)

// gain is how many times that the server answers during a round trip may be under way: once keeps it busy, more finds out
// that it could do more, and a quarter of the window is empty on average, because the writer waits until half of it is.
const gain = 3

// window says how many statements a lane may have under way: some times the bandwidth-delay product, the best rate of late
// times the shortest trip, as TCP BBR takes it (N. Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue
// 14/5, 2016). So it grows from turn to turn until more brings no more.
type window struct {
	rates [remembered]float64 // answers per second, turn by turn
	trips [remembered]time.Duration
	turns int
}

// turn takes in what a turn has brought: so many answers in this time, and the shortest time that one took from the write
// to the answer (0: none was measured). It returns the size of the window.
func (w *window) turn(answers int, took, trip time.Duration) int {
	at := w.turns % remembered
	w.turns++
	w.rates[at] = float64(answers) / max(took, time.Microsecond).Seconds()
	w.trips[at] = trip
	best, shortest := 0.0, time.Duration(0)
	for i := range min(w.turns, remembered) {
		best = max(best, w.rates[i])
		if t := w.trips[i]; t > 0 && (shortest == 0 || t < shortest) {
			shortest = t
		}
	}
	return int(min(max(gain*best*shortest.Seconds(), narrowest), widest))
}
