package tensor

import (
	"image"
	"math"

	"github.com/capstan-video/capstan/sdk"
)

// Crop is a part of a picture that is still to be cut out.
type Crop struct{ X1, Y1, X2, Y2 float64 }

// CropOf begins with a box.
func CropOf(b sdk.Box) Crop { return Crop(b) }

// PadPercent grows the crop by percent of its height (top, bottom) and width (left, right) as
// they are now: calling it twice grows twice.
func (c Crop) PadPercent(top, bottom, left, right float64) Crop {
	w, h := c.X2-c.X1, c.Y2-c.Y1
	return c.PadPixels(h*top/100, h*bottom/100, w*left/100, w*right/100)
}

// PadPixels grows the crop by pixels.
func (c Crop) PadPixels(top, bottom, left, right float64) Crop {
	return Crop{X1: c.X1 - left, Y1: c.Y1 - top, X2: c.X2 + right, Y2: c.Y2 + bottom}
}

// Within gives the pixels of the crop that lie in a picture of w by h, corners rounded half to
// even; false when there are none. A corner beyond the far edge becomes that edge: the older
// Python SDK stops one pixel short of it, which loses the last row and column of the picture.
func (c Crop) Within(w, h int) (image.Rectangle, bool) {
	clamp := func(v float64, most int) int {
		return int(math.RoundToEven(math.Max(0, math.Min(v, float64(most)))))
	}
	for _, v := range []float64{c.X1, c.Y1, c.X2, c.Y2} {
		if math.IsNaN(v) {
			return image.Rectangle{}, false
		}
	}
	r := image.Rectangle{Min: image.Pt(clamp(c.X1, w), clamp(c.Y1, h)), Max: image.Pt(clamp(c.X2, w), clamp(c.Y2, h))}
	return r, !r.Empty()
}

// Clamp scales pictures down that are larger than a limit.
type Clamp struct {
	Width, Height int     // after scaling
	Factor        float64 // 1: the picture stays as it is
}

// ClampTo gives how a picture of w by h becomes at most maxW by maxH. Only the longer side is
// looked at, as in the older Python SDK, so that with unequal limits the other may be passed.
// Sizes are cut off to whole pixels; unlike there, none falls below 1.
func ClampTo(w, h, maxW, maxH int) Clamp {
	c := Clamp{Width: w, Height: h, Factor: 1}
	if w <= maxW && h <= maxH {
		return c
	}
	if h >= w {
		c.Factor = float64(maxH) / float64(h)
	} else {
		c.Factor = float64(maxW) / float64(w)
	}
	c.Width = max(1, int(float64(w)*c.Factor))
	c.Height = max(1, int(float64(h)*c.Factor))
	return c
}

// Restore gives an outline in the clamped picture in pixels of the original one, rounded half
// to even.
func (c Clamp) Restore(p sdk.Polygon) sdk.Polygon {
	return scaled(p, 1/c.Factor, 1/c.Factor, math.RoundToEven)
}

func scaled(p sdk.Polygon, sx, sy float64, round func(float64) float64) sdk.Polygon {
	out := make(sdk.Polygon, len(p))
	for i, q := range p {
		out[i] = sdk.Point{X: round(q.X * sx), Y: round(q.Y * sy)}
	}
	return out
}

func shifted(p sdk.Polygon, dx, dy float64) sdk.Polygon {
	out := make(sdk.Polygon, len(p))
	for i, q := range p {
		out[i] = sdk.Point{X: q.X + dx, Y: q.Y + dy}
	}
	return out
}
