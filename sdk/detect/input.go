package detect

import (
	"math"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"gorgonia.org/tensor"
)

// Norm says what a network wants of pixel values: v becomes (v - Mean) * Scale.
type Norm struct {
	BGR   bool       // channels come blue, green, red
	Mean  [3]float32 // of each channel of the input, in its order
	Scale [3]float32 // zero stands for 1
	Pad   uint8      // value of all channels outside the picture, before Mean and Scale

	// Linear leaves out the averaging of a picture that is shrunk: the four pixels around a place
	// make one of the input. Networks that were trained so find other things in smooth pictures.
	Linear bool
}

// ImageNet is the normalisation of networks trained on ImageNet, RGB.
var ImageNet = Norm{
	Mean:  [3]float32{0.485 * 255, 0.456 * 255, 0.406 * 255},
	Scale: [3]float32{1 / (0.229 * 255), 1 / (0.224 * 255), 1 / (0.225 * 255)},
}

// Even is a normalisation with the same mean and divisor for every channel.
func Even(bgr bool, mean, divisor float32) Norm {
	s := 1 / divisor
	return Norm{BGR: bgr, Mean: [3]float32{mean, mean, mean}, Scale: [3]float32{s, s, s}}
}

// Input is the input of a network, 1x3xHxW, filled from pictures. It is for one goroutine.
type Input struct {
	W, H int

	norm   Norm
	values [3][256]float32 // of each channel, by pixel value
	data   []float32
	raster raster

	columns, rows []tap
}

// NewInput makes an input of w by h pixels.
func NewInput(w, h int, norm Norm) *Input {
	in := &Input{W: w, H: h, norm: norm}
	for c := range 3 {
		scale := norm.Scale[c]
		if scale == 0 {
			scale = 1
		}
		for v := range 256 {
			in.values[c][v] = (float32(v) - norm.Mean[c]) * scale
		}
	}
	return in
}

// Resize changes the size of the input.
func (in *Input) Resize(w, h int) { in.W, in.H = w, h }

// Renew has the next Fill write to other memory: after a run that was given up and may still be
// reading this one.
func (in *Input) Renew() { in.data = nil }

// Fill gives the input as a tensor, each pixel from where warp has it in f's picture. What lies
// outside the picture is padding. The tensor is valid until the next Fill.
func (in *Input) Fill(f *sdk.Frame, warp Warp) *tensor.Dense {
	in.data = grown(in.data, 3*in.W*in.H)
	packed := f.Format() == core.RGB || f.Format() == core.BGR
	if packed && warp == (Warp{1, 0, 0, 0, 1, 0, 0, 0, 1}) {
		in.copyPicture(f)
	} else {
		in.sample(f, warp, nil)
	}
	return tensor.New(tensor.WithShape(1, 3, in.H, in.W), tensor.WithBacking(in.data))
}

// FillWithin is Fill for networks that see a part of the picture alone: all pixels that do not
// begin within part, in pixels of f, are padding.
func (in *Input) FillWithin(f *sdk.Frame, warp Warp, part sdk.Box) *tensor.Dense {
	in.data = grown(in.data, 3*in.W*in.H)
	in.sample(f, warp, &part)
	return tensor.New(tensor.WithShape(1, 3, in.H, in.W), tensor.WithBacking(in.data))
}

// channels gives the places of red, green and blue among the input's channels.
func (in *Input) channels() (r, g, b int) {
	if in.norm.BGR {
		return 2, 1, 0
	}
	return 0, 1, 2
}

// copyPicture fills the input from a packed picture whose pixels are the input's.
func (in *Input) copyPicture(f *sdk.Frame) {
	pix, stride := f.Plane(0)
	w, h := min(in.W, f.Width()), min(in.H, f.Height())
	order := [3]int{0, 1, 2}
	if in.norm.BGR != (f.Format() == core.BGR) {
		order = [3]int{2, 1, 0}
	}
	for c, at := range order {
		values, pad := &in.values[c], in.values[c][in.norm.Pad]
		for y := range in.H {
			out := in.data[(c*in.H+y)*in.W:][:in.W]
			if y < h {
				row := pix[y*stride:]
				for x := range w {
					out[x] = values[row[3*x+at]]
				}
				out = out[w:]
			}
			for x := range out {
				out[x] = pad
			}
		}
	}
}

// sample fills the input through the warp, from part of the picture where one is given.
func (in *Input) sample(f *sdk.Frame, warp Warp, part *sdk.Box) {
	kx, ky := 1, 1
	if !in.norm.Linear {
		kx, ky = warp.steps(in.W, in.H)
	}
	if !in.cutFor(f, &warp, kx, ky) {
		r, g, b := in.channels()
		for _, c := range []int{r, g, b} {
			for i := range in.W * in.H {
				in.data[c*in.W*in.H+i] = in.values[c][in.norm.Pad]
			}
		}
		return
	}
	if part != nil {
		in.raster.blank(*part, in.norm.Pad)
	}
	right, bottom := float64(f.Width())-0.5, float64(f.Height())-0.5
	if warp[1] == 0 && warp[3] == 0 && warp[6] == 0 && warp[7] == 0 && warp[8] == 1 {
		in.columns = taps(in.columns, in.W, warp[0], warp[2], right, in.raster.x0, kx, in.raster.width)
		in.rows = taps(in.rows, in.H, warp[4], warp[5], bottom, in.raster.y0, ky, in.raster.height)
		in.straight()
		return
	}
	for y := range in.H {
		for x := range in.W {
			px, py := warp.At(float64(x), float64(y))
			inside := px >= -0.5 && py >= -0.5 && px < right && py < bottom
			in.set(x, y, px, py, inside)
		}
	}
}

// tap says which two pixels of the raster make one of the input, and the share of the second;
// before is below 0 outside the picture.
type tap struct {
	before, after int32
	share         float32
}

// taps gives those of n pixels of the input that lie factor apart from offset on, along one side
// of a picture that ends at far.
func taps(list []tap, n int, factor, offset, far float64, first, k, size int) []tap {
	list = grown(list, n)
	for i := range list {
		at := factor*float64(i) + offset
		if !(at >= -0.5 && at < far) {
			list[i] = tap{before: -1}
			continue
		}
		at = (at - float64(first) - float64(k-1)/2) / float64(k)
		whole := math.Floor(at)
		list[i] = tap{int32(max(0, min(int(whole), size-1))), int32(max(0, min(int(whole)+1, size-1))), float32(at - whole)}
	}
	return list
}

// straight fills the input through columns and rows.
func (in *Input) straight() {
	r, g, b := in.channels()
	width := 3 * in.raster.width
	for i, c := range [3]int{r, g, b} {
		v, pad := &in.values[c], in.values[c][in.norm.Pad]
		for y, row := range in.rows {
			out := in.data[(c*in.H+y)*in.W:][:in.W]
			if row.before < 0 {
				for x := range out {
					out[x] = pad
				}
				continue
			}
			up, down := in.raster.pix[int(row.before)*width+i:], in.raster.pix[int(row.after)*width+i:]
			for x, t := range in.columns {
				if t.before < 0 {
					out[x] = pad
					continue
				}
				a, z := v[up[3*t.before]], v[down[3*t.before]]
				a += (v[up[3*t.after]] - a) * t.share
				z += (v[down[3*t.after]] - z) * t.share
				out[x] = a + (z-a)*row.share
			}
		}
	}
}

// cutFor has the raster hold what the warp reaches of the picture; false when it reaches nothing.
func (in *Input) cutFor(f *sdk.Frame, warp *Warp, kx, ky int) bool {
	x0, y0, x1, y1 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, c := range [4][2]float64{{-1, -1}, {float64(in.W), -1}, {-1, float64(in.H)}, {float64(in.W), float64(in.H)}} {
		x, y := warp.At(c[0], c[1])
		x0, y0, x1, y1 = math.Min(x0, x), math.Min(y0, y), math.Max(x1, x), math.Max(y1, y)
	}
	w, h := float64(f.Width()), float64(f.Height())
	if math.IsNaN(x0+y0+x1+y1) || x0 >= w || y0 >= h || x1 < 0 || y1 < 0 {
		return false
	}
	left, top := int(math.Max(x0, 0)), int(math.Max(y0, 0))
	in.raster.cut(f, left, top, int(math.Min(x1+2, w)), int(math.Min(y1+2, h)), kx, ky)
	return true
}

// set writes one pixel of the input, interpolated between the four of the raster around it.
func (in *Input) set(x, y int, px, py float64, inside bool) {
	at, plane := y*in.W+x, in.W*in.H
	r, g, b := in.channels()
	if !inside {
		for c := range 3 {
			in.data[c*plane+at] = in.values[c][in.norm.Pad]
		}
		return
	}
	m := &in.raster
	fx := (px - float64(m.x0) - float64(m.kx-1)/2) / float64(m.kx)
	fy := (py - float64(m.y0) - float64(m.ky-1)/2) / float64(m.ky)
	ix, iy := int(math.Floor(fx)), int(math.Floor(fy))
	wx, wy := float32(fx-float64(ix)), float32(fy-float64(iy))
	left, right := 3*max(0, min(ix, m.width-1)), 3*max(0, min(ix+1, m.width-1))
	up, down := m.pix[3*m.width*max(0, min(iy, m.height-1)):], m.pix[3*m.width*max(0, min(iy+1, m.height-1)):]
	for i, c := range [3]int{r, g, b} {
		v := &in.values[c]
		a := v[up[left+i]] + (v[up[right+i]]-v[up[left+i]])*wx
		z := v[down[left+i]] + (v[down[right+i]]-v[down[left+i]])*wx
		in.data[c*plane+at] = a + (z-a)*wy
	}
}
