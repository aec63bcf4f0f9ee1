package pipeline

import (
	"math"
	"time"
)

// Histogram counts durations in buckets that grow by 1/16 of an octave, so that a quantile is
// right within 4.5 %. The zero value is ready. It is not safe for concurrent use.
type Histogram struct {
	buckets [bucketCount]uint64
	count   uint64
	sum     time.Duration
	max     time.Duration
}

const (
	bucketsPerOctave = 16
	bucketCount      = 40 * bucketsPerOctave // up to 2^40 ns, 18 minutes
)

// Add counts d; durations below zero count as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	i := 0
	if d > 1 {
		i = min(int(math.Log2(float64(d))*bucketsPerOctave), bucketCount-1)
	}
	h.buckets[i]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// Merge adds all that o has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// Count gives how many durations were added.
func (h *Histogram) Count() uint64 { return h.count }

// Sum gives the total.
func (h *Histogram) Sum() time.Duration { return h.sum }

// Mean gives the average, 0 when there is nothing.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Under gives how many durations were at most d, within the 4.5 % of a bucket.
func (h *Histogram) Under(d time.Duration) uint64 {
	if d >= h.max {
		return h.count
	}
	last := 0
	if d > 1 {
		last = min(int(math.Log2(float64(d))*bucketsPerOctave), bucketCount)
	}
	var n uint64
	for _, k := range h.buckets[:last] {
		n += k
	}
	return n
}

// Quantile gives the duration that the share q (0..1) of all does not exceed, 0 when there is
// nothing.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(h.count)))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen >= rank {
			middle := math.Exp2((float64(i) + 0.5) / bucketsPerOctave)
			return min(time.Duration(middle), h.max)
		}
	}
	return h.max
}
