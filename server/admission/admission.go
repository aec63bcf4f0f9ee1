// Package admission decides from measured figures whether a machine carries the analysis of one
// more stream, and says what the streams cost.
package admission

import (
	"fmt"
	"math"
	"strings"
)

const (
	// Assumed is what a stream is taken to cost, in CPUs, before anything is measured: decoding
	// 1080p at 25 frames a second and a light chain.
	Assumed = 0.25
	// keyframeShare is what a stream costs of which only key frames are decoded, to one with all;
	// used until one of its own kind is measured.
	keyframeShare = 0.2
	// told is from how many frames a second on what is left out is mentioned.
	told = 0.5
)

// Machine is what there is to give out.
type Machine struct {
	CPUs  float64 // that this process may use; parts where a control group says so
	Share float64 // of them that streams may take; 0: all
	Most  int     // streams at once; 0: as many as the machine carries
}

// Budget is how many CPUs streams may take together.
func (m Machine) Budget() float64 {
	if m.Share <= 0 {
		return m.CPUs
	}
	return m.CPUs * m.Share
}

// Stream is one that is analysed.
type Stream struct {
	Measured  bool
	Cost      float64 // CPUs, where it is measured
	Keyframes bool    // key frames alone are decoded
	Shed      float64 // frames a second that are left out
}

// Load is what the streams do that are analysed.
type Load struct{ Streams []Stream }

// Verdict says whether one more is carried, with its figures. String makes a sentence of them.
type Verdict struct {
	OK       bool
	Machine  Machine
	Streams  int
	Used     float64 // CPUs: measured, and estimated where it is not
	Estimate float64 // CPUs that one more takes
	Measured bool    // the estimate is of streams that run
	Shed     float64 // frames a second that are left out already
	Pending  int     // streams whose cost is estimated
	Full     bool    // it is the number of streams that is at its limit
}

// Decide says whether one more stream is carried. The first always is: what it costs shows only
// then.
func Decide(m Machine, l Load, keyframes bool) Verdict {
	v := Verdict{Machine: m, Streams: len(l.Streams)}
	v.Estimate, v.Measured = l.estimate(keyframes)
	for _, s := range l.Streams {
		cost := s.Cost
		if !s.Measured {
			cost, _ = l.estimate(s.Keyframes)
			v.Pending++
		}
		v.Used += cost
		v.Shed += s.Shed
	}
	v.Full = m.Most > 0 && v.Streams >= m.Most
	v.OK = !v.Full && (v.Streams == 0 || v.Used+v.Estimate <= m.Budget()+1e-9)
	return v
}

// estimate is what one more stream of a kind costs: the mean of its kind, else what follows from
// the other kind, else what is assumed.
func (l Load) estimate(keyframes bool) (cost float64, measured bool) {
	same, other := l.mean(keyframes), l.mean(!keyframes)
	switch {
	case !math.IsNaN(same):
		return same, true
	case !math.IsNaN(other) && keyframes:
		return other * keyframeShare, true
	case keyframes:
		return Assumed * keyframeShare, false
	case !math.IsNaN(other):
		return max(Assumed, other), false
	default:
		return Assumed, false
	}
}

// mean is NaN where none of the kind is measured.
func (l Load) mean(keyframes bool) float64 {
	sum, n := 0.0, 0.0
	for _, s := range l.Streams {
		if s.Measured && s.Keyframes == keyframes {
			sum, n = sum+s.Cost, n+1
		}
	}
	return sum / n
}

// String says how it stands, as "12 streams use 1.80 of 2 CPUs, …; one more takes about 0.15".
func (v Verdict) String() string {
	var b strings.Builder
	noun, verb := "streams", "use"
	if v.Streams == 1 {
		noun, verb = "stream", "uses"
	}
	fmt.Fprintf(&b, "%d %s %s %.2f of %.4g CPUs", v.Streams, noun, verb, v.Used, v.Machine.CPUs)
	if budget := v.Machine.Budget(); budget < v.Machine.CPUs {
		fmt.Fprintf(&b, ", of which streams may take %.2f", budget)
	}
	if v.Shed >= told {
		fmt.Fprintf(&b, ", and leave out %.0f frames a second", v.Shed)
	}
	if v.Full {
		fmt.Fprintf(&b, "; the most that may be analysed at once is %d", v.Machine.Most)
		return b.String()
	}
	basis := "one like these takes"
	if !v.Measured {
		basis = "one more is assumed to take"
	}
	fmt.Fprintf(&b, "; %s %.2f", basis, v.Estimate)
	return b.String()
}

// Part is a stream's part in a span of time.
type Part struct {
	Compute float64 // seconds that capsules worked for it
	Pixels  float64 // that were decoded for it
}

// Split divides the CPU seconds that all streams took together: to each what its capsules worked,
// and of the rest, which is decoding and handing on, by the pixels that it had. Capsules that wait
// for a CPU seem to work: what they claim is scaled down to what was used.
func Split(used float64, parts []Part) []float64 {
	var compute, pixels float64
	for _, p := range parts {
		compute, pixels = compute+p.Compute, pixels+p.Pixels
	}
	scale := 1.0
	if compute > used {
		scale = used / compute
	}
	rest := used - compute*scale
	out := make([]float64, len(parts))
	for i, p := range parts {
		out[i] = p.Compute * scale
		switch {
		case pixels > 0:
			out[i] += rest * p.Pixels / pixels
		default:
			out[i] += rest / float64(len(parts))
		}
	}
	return out
}
