package detect

import (
	"cmp"
	"math"
	"slices"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/tensor"
)

// Found is something that a network has found.
type Found struct {
	Box    sdk.Box
	Score  float64 // 0 to 1
	Class  int     // of the network, from 0
	Points []sdk.Point
}

// Scale divides all places by scale: from the input of a Letterbox to the picture.
func (f *Found) Scale(scale float64) {
	f.Box = sdk.Box{X1: f.Box.X1 / scale, Y1: f.Box.Y1 / scale, X2: f.Box.X2 / scale, Y2: f.Box.Y2 / scale}
	for i := range f.Points {
		f.Points[i] = sdk.Point{X: f.Points[i].X / scale, Y: f.Points[i].Y / scale}
	}
}

// mostCandidates bounds the work of Suppress: a network's noise below any useful threshold.
const mostCandidates = 1000

// Suppress keeps the best of finds that overlap more than overlap, each class for itself, best
// first. It reorders all. Of more than 1000 finds the best are looked at.
func Suppress(all []Found, overlap float64) []Found {
	slices.SortStableFunc(all, func(a, b Found) int { return cmp.Compare(b.Score, a.Score) })
	all = all[:min(len(all), mostCandidates)]
	boxes, scores, classes := make([]sdk.Box, len(all)), make([]float64, len(all)), make([]int, len(all))
	for i, f := range all {
		boxes[i], scores[i], classes[i] = f.Box, f.Score, f.Class
	}
	kept := make([]Found, 0, 16)
	for _, i := range tensor.NMS(boxes, scores, classes, overlap) {
		kept = append(kept, all[i])
	}
	return kept
}

// centred gives the box about a middle. A network's width may be anything.
func centred(x, y, w, h float64) sdk.Box {
	return sdk.Box{X1: x - w/2, Y1: y - h/2, X2: x + w/2, Y2: y + h/2}
}

// Round keeps v to 1/steps.
func Round(v, steps float64) float64 { return math.Round(v*steps) / steps }

func exp(v float32) float64 { return math.Exp(math.Min(float64(v), 20)) }

func sigmoid(v float32) float64 { return 1 / (1 + math.Exp(-float64(v))) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// keep appends f when its score reaches threshold and its numbers are numbers.
func keep(found []Found, f Found, threshold float64) []Found {
	if f.Score < threshold || !finite(f.Score) || !finite(f.Box.X1+f.Box.Y1+f.Box.X2+f.Box.Y2) {
		return found
	}
	for _, p := range f.Points {
		if !finite(p.X + p.Y) {
			return found
		}
	}
	return append(found, f)
}
