package main

import (
	"cmp"
	"image"
	"math"
	"slices"
)

// finder looks for faces in luma. pigo compares pixels with each other and nothing else, so
// dark, flat and limited-range pictures need no stretching: it would change no comparison.
type finder struct {
	faces      *cascade
	minSize    float64 // up to 1: share of the shorter side; above: pixels
	maxSize    float64
	shift      float64 // of the coarse search, share of the window
	scale      float64
	overlap    float64
	tilts      []int
	confidence float64
}

// face is a face found: centre and side in pixels.
type face struct {
	x, y, size float64
	tilt       int
	mass       float64 // evidence: the mean score of the windows around it
}

// The fine search around a candidate: windows shifted by -fineReach..fineReach times
// fineShift of the size, in sizes fineScale apart, as the classifier was trained and mirrored.
const (
	fineReach = 3
	fineShift = 0.05
	fineScale = 1.1
	fineSizes = 1 // below and above
)

// span gives the range of window sizes for a picture.
func (d *finder) span(w, h int) (lo, hi int) {
	side := float64(min(w, h))
	pixels := func(v float64) float64 {
		if v <= 1 {
			v *= side
		}
		return math.Min(v, side)
	}
	return max(int(pixels(d.minSize)), 20), int(pixels(d.maxSize))
}

// find gives the faces with at least the asked confidence, surest first.
func (d *finder) find(g *image.Gray) []face {
	var seeds []face
	for _, tilt := range d.tilts {
		seeds = append(seeds, d.search(g, tilt)...)
	}
	seeds = cluster(seeds, d.overlap)
	var found []face
	for _, s := range seeds {
		if f, ok := d.refine(g, s); ok && f.confidence() >= d.confidence {
			found = append(found, f)
		}
	}
	return distinct(found, d.overlap)
}

// search is the coarse pass: one grid of windows for each size.
func (d *finder) search(g *image.Gray, tilt int) []face {
	var seeds []face
	width, height := g.Rect.Dx(), g.Rect.Dy()
	lo, hi := d.span(width, height)
	for size := lo; size <= hi; size = max(size+2, int(float64(size)*d.scale)) {
		w := d.faces.at(view{size: size, stride: g.Stride, tilt: tilt})
		step := max(1, int(d.shift*float64(size)))
		keep := func(x, y int, q float32) {
			if q > 0 {
				seeds = append(seeds, face{x: float64(x), y: float64(y), size: float64(size), tilt: tilt, mass: float64(q)})
			}
		}
		for y := w.rows; y < height-w.rows; y += step {
			x := w.cols
			for ; x+3*step < width-w.cols; x += 4 * step {
				for i, q := range d.faces.score4(w, g.Pix, y*g.Stride+x, step) {
					keep(x+i*step, y, q)
				}
			}
			for ; x < width-w.cols; x += step {
				keep(x, y, d.faces.score(w, g.Pix, y*g.Stride+x))
			}
		}
	}
	return seeds
}

// refine looks closely around a candidate. A face answers at most of the close windows,
// whatever looks like one by chance at few. It is false when no window answers.
func (d *finder) refine(g *image.Gray, seed face) (face, bool) {
	var sum face
	for k := -fineSizes; k <= fineSizes; k++ {
		size := int(math.Round(seed.size * math.Pow(fineScale, float64(k))))
		for _, mirrored := range []bool{false, true} {
			v := view{size: size, stride: g.Stride, tilt: seed.tilt, mirrored: mirrored}
			d.probe(g, v, seed, &sum)
		}
	}
	if sum.mass == 0 {
		return face{}, false
	}
	const windows = 2 * (2*fineSizes + 1) * (2*fineReach + 1) * (2*fineReach + 1)
	return face{x: sum.x / sum.mass, y: sum.y / sum.mass, size: sum.size / sum.mass, tilt: seed.tilt, mass: sum.mass / windows}, true
}

// probe adds the scores of the windows of one view around the seed to sum, places weighted.
func (d *finder) probe(g *image.Gray, v view, seed face, sum *face) {
	w := d.faces.at(v)
	for i := -fineReach; i <= fineReach; i++ {
		y := int(seed.y + float64(i*v.size)*fineShift)
		for j := -fineReach; j <= fineReach; j++ {
			x := int(seed.x + float64(j*v.size)*fineShift)
			if y < w.rows || x < w.cols || y >= g.Rect.Dy()-w.rows || x >= g.Rect.Dx()-w.cols {
				continue // beyond the edge: no evidence
			}
			q := float64(d.faces.score(w, g.Pix, y*g.Stride+x))
			sum.mass += q
			sum.x, sum.y, sum.size = sum.x+q*float64(x), sum.y+q*float64(y), sum.size+q*float64(v.size)
		}
	}
}

// confidence maps the evidence to 0..1.
func (f face) confidence() float64 { return f.mass / (f.mass + even) }

// even is the mass with confidence 0.5. Measured: what is no face reaches 0.1, faces that look
// into the camera have 0.3 to 3.
const even = 0.15

// cluster merges overlapping candidates into one at their weighted middle, surest first.
func cluster(all []face, overlap float64) []face {
	slices.SortFunc(all, surer)
	used := make([]bool, len(all))
	var merged []face
	for i, a := range all {
		if used[i] {
			continue
		}
		var m face
		m.tilt = a.tilt
		for j := i; j < len(all); j++ {
			if b := all[j]; !used[j] && b.tilt == a.tilt && iou(a, b) > overlap {
				used[j] = true
				m.x, m.y, m.size, m.mass = m.x+b.mass*b.x, m.y+b.mass*b.y, m.size+b.mass*b.size, m.mass+b.mass
			}
		}
		m.x, m.y, m.size = m.x/m.mass, m.y/m.mass, m.size/m.mass
		merged = append(merged, m)
	}
	return merged
}

func surer(a, b face) int {
	return cmp.Or(cmp.Compare(b.mass, a.mass), cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x), cmp.Compare(a.size, b.size))
}

// distinct keeps the surest of faces that overlap, or of which one lies within the other.
func distinct(all []face, overlap float64) []face {
	slices.SortFunc(all, surer)
	var kept []face
	for _, f := range all {
		if !slices.ContainsFunc(kept, func(k face) bool { return iou(k, f) > overlap || within(k, f) > 0.6 }) {
			kept = append(kept, f)
		}
	}
	return kept
}

func common(a, b face) float64 {
	w := math.Min(a.x+a.size/2, b.x+b.size/2) - math.Max(a.x-a.size/2, b.x-b.size/2)
	h := math.Min(a.y+a.size/2, b.y+b.size/2) - math.Max(a.y-a.size/2, b.y-b.size/2)
	return math.Max(0, w) * math.Max(0, h)
}

func iou(a, b face) float64 {
	c := common(a, b)
	return c / (a.size*a.size + b.size*b.size - c)
}

// within gives the share of the smaller face that the larger covers.
func within(a, b face) float64 {
	s := math.Min(a.size, b.size)
	return common(a, b) / (s * s)
}
