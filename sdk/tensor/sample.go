package tensor

import "math"

// area is a part of a picture in pixels, not necessarily whole ones nor within the picture.
type area struct{ x1, y1, x2, y2 float64 }

func (p pixels) bounds() area { return area{x2: float64(p.w), y2: float64(p.h)} }

// tap says which two pixels of a line make one of the result, and the share of the second.
type tap struct {
	a, b  int
	share float32
}

// taps spreads n pixels over from..to of a line of size pixels: bilinear with the middles of
// pixels as their places, edges repeated.
func taps(from, to float64, n, size int) []tap {
	out := make([]tap, n)
	step := (to - from) / float64(n)
	for i := range out {
		at := from + (float64(i)+0.5)*step - 0.5
		at = math.Max(0, math.Min(at, float64(size-1)))
		a := int(at)
		out[i] = tap{a: a, b: min(a+1, size-1), share: float32(at - float64(a))}
	}
	return out
}

// resample gives the pixels of w by h that an area of the picture makes. values is valid during
// the call.
func (p pixels) resample(of area, w, h int, set func(x, y int, values []float32)) {
	columns, rows := taps(of.x1, of.x2, w, p.w), taps(of.y1, of.y2, h, p.h)
	values := make([]float32, p.n)
	for y, r := range rows {
		for x, c := range columns {
			for k := range values {
				values[k] = p.lerp(r, c, k)
			}
			set(x, y, values)
		}
	}
}

// lerp gives channel k between four pixels.
func (p pixels) lerp(r, c tap, k int) float32 {
	top, bottom := r.a*p.stride+k, r.b*p.stride+k
	a, b := float32(p.mem[top+c.a*p.step]), float32(p.mem[top+c.b*p.step])
	d, e := float32(p.mem[bottom+c.a*p.step]), float32(p.mem[bottom+c.b*p.step])
	up, down := a+(b-a)*c.share, d+(e-d)*c.share
	return up + (down-up)*r.share
}
