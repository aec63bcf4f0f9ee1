package main

import (
	"image"
	"math"

	"github.com/capstan-video/capstan/sdk"
)

// background is what the camera usually sees: mean and variance of the luma of every pixel.
// It forgets by time, not by frames.
type background struct {
	settings
	width, height int
	mean          []float32
	variance      []float32
	smooth        []float32 // the current picture, 3x3 mean
	excess        []float32 // deviations from the mean, in standard deviations; 0: background
	before        []float32 // the picture before this one, 3x3 mean
	rest          []float32 // seconds for which the pixel has not changed
	last          sdk.PTS
	learnt        float64 // seconds since the model was begun
	frames        int
}

// settings are the options of the capsule; times are in seconds.
type settings struct {
	threshold float64 // standard deviations that make a pixel move
	floor     float64 // least standard deviation, grey levels
	adapt     float64 // time constant of what stands still
	absorb    float64 // time constant of what moves
	warmUp    float64
	most      float64 // share of the picture above which it is another scene
}

// relearn begins the model anew with the current picture.
func (b *background) relearn() {
	copy(b.mean, b.smooth)
	for i := range b.variance {
		b.variance[i] = float32(b.floor * b.floor)
	}
	b.learnt, b.frames = 0, 1
}

// see takes in a picture and says whether the model is fit to tell what moves in it.
func (b *background) see(g *image.Gray, pts sdk.PTS) bool {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	dt := (pts - b.last).Seconds()
	again := w != b.width || h != b.height || dt < 0
	if again {
		b.width, b.height = w, h
		n := w * h
		b.mean, b.variance, b.smooth, b.excess = make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		b.before, b.rest = make([]float32, n), make([]float32, n)
	}
	b.last = pts
	b.before, b.smooth = b.smooth, b.before
	b.blur(g)
	if again {
		b.relearn()
		return false
	}
	b.learnt += dt
	b.frames++
	b.follow()
	moving := b.compare()
	if moving > b.most {
		b.relearn()
		return false
	}
	b.update(dt)
	return b.learnt >= b.warmUp && b.frames > 2
}

// blur fills smooth with the mean of each pixel's 3x3 neighbours: noise has a third of its
// deviation left, and a camera that trembles by a fraction of a pixel changes less.
func (b *background) blur(g *image.Gray) {
	w, h := b.width, b.height
	for y := range h {
		up, at, down := g.Pix[max(y-1, 0)*g.Stride:], g.Pix[y*g.Stride:], g.Pix[min(y+1, h-1)*g.Stride:]
		column := func(x int) int { return int(up[x]) + int(at[x]) + int(down[x]) }
		row := b.smooth[y*w : (y+1)*w]
		left, middle := column(0), column(0)
		for x := range row {
			right := column(min(x+1, w-1))
			row[x] = float32(left+middle+right) / 9
			left, middle = middle, right
		}
	}
}

// brightest is the largest change of the light that is followed; beyond it, it is another scene.
const brightest = 64

// follow moves the model with the light: when the typical pixel is brighter or darker than the
// model by more than a grey level, so is the scene, and not what moves in it.
func (b *background) follow() {
	var count [511]int
	n := 0
	for i := 0; i < len(b.mean); i += 7 {
		count[min(max(int(math.Round(float64(b.smooth[i]-b.mean[i]))), -255), 255)+255]++
		n++
	}
	sum, median := 0, -255
	for v, c := range count {
		if sum += c; 2*sum >= n {
			median = v - 255
			break
		}
	}
	if abs := max(median, -median); abs > 1 && abs < brightest {
		for i := range b.mean {
			b.mean[i] += float32(median)
		}
	}
}

// compare fills excess and gives the share of the picture that moves.
func (b *background) compare() float64 {
	limit := float32(b.threshold * b.threshold)
	least := float32(b.floor * b.floor)
	moving := 0
	for i, v := range b.smooth {
		d := v - b.mean[i]
		ratio := d * d / max(b.variance[i], least)
		if ratio < limit {
			b.excess[i] = 0
			continue
		}
		b.excess[i] = float32(math.Sqrt(float64(ratio)))
		moving++
	}
	return float64(moving) / float64(len(b.smooth))
}

// resting is how long a pixel that differs from a young model stays the same before it is
// believed: what left the place that it had in the first picture uncovers the background.
const resting = 0.7

// update learns the picture: fast while the model is young, then slowly, and slower still
// where something moves, so that it does not become background while it passes.
func (b *background) update(dt float64) {
	share := func(constant float64) float32 { return float32(1 - math.Exp(-dt/math.Max(constant, 1e-3))) }
	still, moving := share(b.adapt), share(b.absorb)
	if b.learnt < b.warmUp {
		young := float32(1 / float64(b.frames))
		still, moving = max(still, young), max(moving, young)
	}
	uncovered := moving
	if b.learnt < max(b.adapt, 2*resting) {
		uncovered = share(resting)
	}
	least, quiet := float32(b.floor*b.floor), float32(2*b.floor)
	for i, v := range b.smooth {
		b.rest[i] += float32(dt)
		if change := v - b.before[i]; change > quiet || change < -quiet {
			b.rest[i] = 0
		}
		a := still
		if b.excess[i] > 0 {
			a = moving
			if b.rest[i] > resting {
				a = uncovered
			}
		}
		d := v - b.mean[i]
		b.mean[i] += a * d
		// What passes is no noise: a deviation counts for no more than twice the usual.
		b.variance[i] += a * (min(d*d, 4*max(b.variance[i], least)) - b.variance[i])
	}
}
