package load

import (
	"math"
	"math/bits"
	"time"
)

// Durations are counted in whole microseconds: exactly below 2^subBits of them,
// above that in 2^subBits buckets for each doubling, up to 2^maxBits (71 minutes).
// A figure read from the histogram is therefore at most one part in 32 too high.
const (
	subBits = 5
	maxBits = 32
	buckets = (maxBits - subBits + 1) << subBits
)

// A Histogram counts durations in bounded memory. The zero value is empty; an
// assignment copies it. It is not safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

// Add counts d; a negative one counts as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(d)]++
	h.total++
	h.max = max(h.max, d)
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Since returns what h has counted and before, an earlier copy of it, has not.
// Its Max is only as exact as a bucket, unless it is a new maximum.
func (h Histogram) Since(before *Histogram) Histogram {
	var top time.Duration
	for i := range h.counts {
		h.counts[i] -= before.counts[i]
		if h.counts[i] > 0 {
			top = upperEnd(i)
		}
	}
	h.total -= before.total
	if h.max == before.max {
		h.max = min(h.max, top)
	}
	return h
}

// Count returns how many durations were counted.
func (h *Histogram) Count() int { return int(h.total) }

// Max returns the longest duration, zero if there is none.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns a duration that the fraction q of all durations does not
// exceed, rounded up to the end of its bucket; zero if there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(1, uint64(math.Ceil(q*float64(h.total))))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(upperEnd(i), h.max)
		}
	}
	return h.max
}

func bucket(d time.Duration) int {
	us := min(uint64(d.Microseconds()), 1<<maxBits-1)
	shift := max(0, bits.Len64(us)-1-subBits)
	return shift<<subBits + int(us>>shift)
}

// upperEnd returns the longest duration that bucket i counts.
func upperEnd(i int) time.Duration {
	shift := max(0, i>>subBits-1)
	us := (uint64(i-shift<<subBits)+1)<<shift - 1
	return time.Duration(us)*time.Microsecond + time.Microsecond - 1
}
