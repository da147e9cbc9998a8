package demo

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latencies are counted in buckets that grow with what they hold: eight to each power of two, so that a quantile is
// right to an eighth, from a microsecond to days.
const (
	perOctave    = 8
	octaveBits   = 3
	bucketNumber = 40 * perOctave
)

// latency counts how long calls took. Its zero value is ready; add may be called from any goroutine.
type latency struct{ buckets [bucketNumber]atomic.Int64 }

func (l *latency) add(d time.Duration) { l.buckets[bucketOf(d)].Add(1) }

// bucketOf is the bucket of a duration.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < perOctave {
		return int(us)
	}
	shift := bits.Len64(us) - octaveBits - 1
	return min((shift+1)*perOctave+int(us>>shift&(perOctave-1)), bucketNumber-1)
}

// ceiling is what all durations of a bucket are below.
func ceiling(bucket int) time.Duration {
	if bucket < perOctave {
		return time.Duration(bucket+1) * time.Microsecond
	}
	shift := bucket/perOctave - 1
	return time.Duration(uint64(perOctave+bucket%perOctave+1)<<shift) * time.Microsecond
}

// distribution is a latency at one moment.
type distribution [bucketNumber]int64

func (l *latency) snapshot() *distribution {
	var d distribution
	for i := range l.buckets {
		d[i] = l.buckets[i].Load()
	}
	return &d
}

// quantile is the duration below which the fraction q of the calls took; 0 if there were none.
func (d *distribution) quantile(q float64) time.Duration {
	var total int64
	for _, n := range d {
		total += n
	}
	want := int64(q * float64(total))
	for i, n := range d {
		if want -= n; want < 0 {
			return ceiling(i)
		}
	}
	return 0
}
