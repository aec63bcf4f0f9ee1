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
	// enough is the share of the frames that a stream is to have from which on it is not short of them.
	enough = 0.8
)

// Machine is what there is to give out.
type Machine struct {
	CPUs  float64 // that this process may use; parts where a control group says so
	Share float64 // of them that streams may take; 0: all
	Most  int     // streams at once; 0: as many as the machine carries
	Floor float64 // frames a second that every stream is to have, of those that come; 0: all
	Busy  bool    // hardly any CPU time is left, whoever uses it
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
	Engine    float64 // CPUs for decoding and handing on, where it is measured
	Capsules  float64 // CPUs of capsules
	FPS       float64 // frames a second that are analysed
	Shed      float64 // and that are left out
	Keyframes bool    // key frames alone are decoded
}

// cost is what the stream takes now.
func (s Stream) cost() float64 { return s.Engine + s.Capsules }

// least is what it takes when it is analysed so often a second as it has to be. What is decoded is
// so all the same.
func (s Stream) least(floor float64) float64 {
	if floor <= 0 || s.FPS <= floor {
		return s.cost()
	}
	return s.Engine + s.Capsules*floor/s.FPS
}

// short says whether the stream does not get the frames that it is to have.
func (s Stream) short(floor float64) bool {
	want := s.FPS + s.Shed
	if floor > 0 {
		want = min(want, floor)
	}
	return s.Measured && s.Shed >= told && s.FPS < enough*want
}

// Load is what the streams do that are analysed.
type Load struct{ Streams []Stream }

// Verdict says whether one more is carried, with its figures. String makes a sentence of them.
type Verdict struct {
	OK       bool
	Machine  Machine
	Streams  int
	Used     float64 // CPUs that they take: measured, and estimated where it is not
	Need     float64 // CPUs that they take with the frames that they are to have
	Estimate float64 // CPUs that one more takes, with those frames
	Measured bool    // the estimate is of streams that run
	Shed     float64 // frames a second that are left out already
	Sheds    bool    // it is carried, and frames will be left out
	Pending  int     // streams whose cost is estimated
	Full     bool    // it is the number of streams that is at its limit
	Short    int     // streams that do not get the frames that they are to have; one more would take from them
}

// Decide says whether one more stream is carried. The first always is: what it costs shows only
// then. Where no CPU time is left, figures of what streams use say little, because others have a
// part in it: none is carried while a stream is short of frames.
func Decide(m Machine, l Load, keyframes bool) Verdict {
	v := Verdict{Machine: m, Streams: len(l.Streams)}
	least := func(s Stream) float64 { return s.least(m.Floor) }
	v.Estimate, v.Measured = l.estimate(keyframes, least)
	for _, s := range l.Streams {
		cost, need := s.cost(), least(s)
		if !s.Measured {
			cost, _ = l.estimate(s.Keyframes, Stream.cost)
			need, _ = l.estimate(s.Keyframes, least)
			v.Pending++
		}
		v.Used, v.Need, v.Shed = v.Used+cost, v.Need+need, v.Shed+s.Shed
		if m.Busy && s.short(m.Floor) {
			v.Short++
		}
	}
	v.Full = m.Most > 0 && v.Streams >= m.Most
	v.OK = !v.Full && (v.Streams == 0 || v.Short == 0 && v.Need+v.Estimate <= m.Budget()+slack)
	whole, _ := l.estimate(keyframes, Stream.cost)
	v.Sheds = v.OK && v.Streams > 0 && v.Used+whole > m.Budget()+slack
	return v
}

// slack is for sums of what was rounded.
const slack = 1e-9

// estimate is what one more stream of a kind costs: the mean of its kind, else what follows from
// the other kind, else what is assumed.
func (l Load) estimate(keyframes bool, of func(Stream) float64) (cost float64, measured bool) {
	same, other := l.mean(keyframes, of), l.mean(!keyframes, of)
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
func (l Load) mean(keyframes bool, of func(Stream) float64) float64 {
	sum, n := 0.0, 0.0
	for _, s := range l.Streams {
		if s.Measured && s.Keyframes == keyframes {
			sum, n = sum+of(s), n+1
		}
	}
	return sum / n
}

// String says how it stands, as "12 streams use 1.80 of 2 CPUs, …; one like these takes 0.15".
func (v Verdict) String() string {
	var b strings.Builder
	noun, verb := "streams", "use"
	if v.Streams == 1 {
		noun, verb = "stream", "uses"
	}
	fmt.Fprintf(&b, "%d %s %s %.2f of %.4g CPUs", v.Streams, noun, verb, v.Used, v.Machine.CPUs)
	if budget := v.Machine.Budget(); budget < v.Machine.CPUs {
		fmt.Fprintf(&b, ", of which %.2f are given out", budget)
	}
	if v.Shed >= told {
		fmt.Fprintf(&b, ", and %.0f frames a second are left out", v.Shed)
	}
	if v.Full {
		fmt.Fprintf(&b, "; the most that may be analysed at once is %d", v.Machine.Most)
		return b.String()
	}
	if v.Need < v.Used-0.005 {
		fmt.Fprintf(&b, "; with %.4g frames a second each %s %.2f", v.Machine.Floor, map[bool]string{true: "it takes", false: "they take"}[v.Streams == 1], v.Need)
	}
	if v.Short > 0 {
		fmt.Fprintf(&b, "; all CPUs are busy, and %d of the streams have too few frames already", v.Short)
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
	Compute float64 // seconds that capsules worked for it; they may have waited for a CPU in that
	Pixels  float64 // that were decoded for it
}

// Split divides CPU seconds among streams: those of the engine by the pixels that each had, those
// of the capsules by what they worked for it. What nobody's figures explain is divided evenly.
func Split(engine, capsules float64, parts []Part) (ofEngine, ofCapsules []float64) {
	pixels, compute := make([]float64, len(parts)), make([]float64, len(parts))
	for i, p := range parts {
		pixels[i], compute[i] = p.Pixels, p.Compute
	}
	return share(engine, pixels), share(capsules, compute)
}

// share divides by weights.
func share(total float64, weights []float64) []float64 {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	out := make([]float64, len(weights))
	for i, w := range weights {
		out[i] = total / float64(len(weights))
		if sum > 0 {
			out[i] = total * w / sum
		}
	}
	return out
}
