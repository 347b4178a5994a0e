package load_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

func TestQuantilesAreAtMostABucketTooHigh(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h load.Histogram
	all := make([]time.Duration, 10_000)
	for i := range all {
		all[i] = time.Duration(1) << rng.IntN(42) // up to 73 minutes
		all[i] += time.Duration(rng.Int64N(int64(all[i])))
		all[i] = min(all[i], time.Hour)
		h.Add(all[i])
	}
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := all[max(0, int(q*float64(len(all)))-1)]
		got := h.Quantile(q)
		if got < exact || got > exact+exact/32+time.Microsecond {
			t.Errorf("Quantile(%v) = %v, want %v or up to 1/32 more", q, got, exact)
		}
	}
	if h.Count() != len(all) || h.Max() != all[len(all)-1] {
		t.Errorf("Count, Max = %d, %v, want %d, %v", h.Count(), h.Max(), len(all), all[len(all)-1])
	}
}

func TestEveryDurationHasABucketThatHoldsIt(t *testing.T) {
	for bit := range 63 {
		for _, d := range []time.Duration{1<<bit - 1, 1 << bit, 1<<bit + 1} {
			var h load.Histogram
			h.Add(d)
			if got := h.Quantile(1); got != min(d, 1<<32*time.Microsecond-1) {
				t.Errorf("Quantile(1) of %d alone = %d", d, got)
			}
		}
	}
}

func TestEmptyHistogramIsZero(t *testing.T) {
	var h load.Histogram
	if h.Quantile(0.5) != 0 || h.Quantile(1) != 0 || h.Max() != 0 || h.Count() != 0 {
		t.Errorf("p50, p100, max, count = %v, %v, %v, %d, want zeros", h.Quantile(0.5), h.Quantile(1), h.Max(), h.Count())
	}
}

func TestNegativeDurationCountsAsZero(t *testing.T) {
	var h load.Histogram
	h.Add(-time.Second)
	if h.Count() != 1 || h.Max() != 0 || h.Quantile(1) != 0 {
		t.Errorf("count, max, p100 = %d, %v, %v, want 1, 0, 0", h.Count(), h.Max(), h.Quantile(1))
	}
}

func TestHistogramsMergeAndSubtract(t *testing.T) {
	var early, late, all load.Histogram
	for i := range 1000 {
		early.Add(time.Duration(i) * time.Millisecond)
		late.Add(time.Duration(i) * time.Microsecond)
	}
	all.Merge(&early)
	all.Merge(&late)
	if all.Count() != 2000 || all.Max() != 999*time.Millisecond {
		t.Errorf("merged: count, max = %d, %v, want 2000, 999ms", all.Count(), all.Max())
	}
	between := all.Since(&early)
	if between.Count() != 1000 || between.Quantile(0.5) != late.Quantile(0.5) {
		t.Errorf("since: count, p50 = %d, %v, want 1000, %v", between.Count(), between.Quantile(0.5), late.Quantile(0.5))
	}
	if got := between.Max(); got < 999*time.Microsecond || got > 1031*time.Microsecond {
		t.Errorf("since: max = %v, want 999µs or up to 1/32 more", got)
	}
}
