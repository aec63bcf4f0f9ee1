package detect

import (
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
)

// raster is a part of a picture in RGB, each pixel the mean of kx by ky of the picture's.
type raster struct {
	pix           []byte
	width, height int
	x0, y0        int // of the part in the picture
	kx, ky        int

	line []byte
	sums []uint32
}

// cut fills the raster with the pixels x0..x1, y0..y1 of f, the far ones excluded; they lie
// within the picture and at least one is there.
func (r *raster) cut(f *sdk.Frame, x0, y0, x1, y1, kx, ky int) {
	r.x0, r.y0, r.kx, r.ky = x0, y0, kx, ky
	r.width, r.height = (x1-x0+kx-1)/kx, (y1-y0+ky-1)/ky
	r.pix = grown(r.pix, 3*r.width*r.height)
	line := newLiner(f)
	if kx == 1 && ky == 1 {
		for y := range r.height {
			line.rgb(r.pix[3*r.width*y:3*r.width*(y+1)], y0+y, x0)
		}
		return
	}
	r.line, r.sums = grown(r.line, 3*(x1-x0)), grown(r.sums, 3*r.width)
	for y := range r.height {
		clear(r.sums)
		rows := min(ky, y1-y0-y*ky)
		for k := range rows {
			line.rgb(r.line, y0+y*ky+k, x0)
			r.addLine()
		}
		r.mean(y, rows, x1-x0)
	}
}

// blank sets all pixels that do not begin within part, in pixels of the picture, to value.
func (r *raster) blank(part sdk.Box, value uint8) {
	for y := range r.height {
		py := float64(r.y0 + y*r.ky)
		row := r.pix[3*r.width*y : 3*r.width*(y+1)]
		for x := range r.width {
			px := float64(r.x0 + x*r.kx)
			if px >= part.X1 && px < part.X2 && py >= part.Y1 && py < part.Y2 {
				continue
			}
			row[3*x], row[3*x+1], row[3*x+2] = value, value, value
		}
	}
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func (r *raster) addLine() {
	at, k := 0, 0
	for i := 0; i < len(r.line); i += 3 {
		r.sums[at] += uint32(r.line[i])
		r.sums[at+1] += uint32(r.line[i+1])
		r.sums[at+2] += uint32(r.line[i+2])
		if k++; k == r.kx {
			at, k = at+3, 0
		}
	}
}

// mean writes row y from sums over rows lines; the last column may have fewer pixels.
func (r *raster) mean(y, rows, width int) {
	out := r.pix[3*r.width*y : 3*r.width*(y+1)]
	for x := range r.width {
		area := uint32(rows * min(r.kx, width-x*r.kx))
		for c := range 3 {
			out[3*x+c] = uint8((r.sums[3*x+c] + area/2) / area)
		}
	}
}

// liner reads rows of a frame as RGB.
type liner struct {
	format  core.PixelFormat
	planes  [3][]byte
	strides [3]int
	table   *yuvTable
}

func newLiner(f *sdk.Frame) *liner {
	l := &liner{format: f.Format()}
	for i := range l.format.Planes() {
		l.planes[i], l.strides[i] = f.Plane(i)
	}
	if l.format == core.I420 || l.format == core.NV12 {
		l.table = tableFor(f.Layout().Matrix, f.FullRange())
	}
	return l
}

// rgb writes len(out)/3 pixels of row y from column x0 on.
func (l *liner) rgb(out []byte, y, x0 int) {
	row := l.planes[0][y*l.strides[0]:]
	switch l.format {
	case core.RGB:
		copy(out, row[3*x0:])
	case core.BGR:
		row = row[3*x0 : 3*x0+len(out)]
		for i := 0; i < len(out); i += 3 {
			out[i], out[i+1], out[i+2] = row[i+2], row[i+1], row[i]
		}
	case core.GRAY8:
		for i := 0; i < len(out); i += 3 {
			v := row[x0+i/3]
			out[i], out[i+1], out[i+2] = v, v, v
		}
	case core.NV12:
		uv := l.planes[1][y/2*l.strides[1]:]
		l.table.line(out, row[x0:], uv, uv[1:], x0, 2)
	default:
		l.table.line(out, row[x0:], l.planes[1][y/2*l.strides[1]:], l.planes[2][y/2*l.strides[2]:], x0, 1)
	}
}

// yuvTable has the terms of the conversion to RGB in 1/65536.
type yuvTable struct{ y, rv, gu, gv, bu [256]int32 }

var tables = map[bool][2]*yuvTable{
	false: {newTable(core.BT601, false), newTable(core.BT709, false)},
	true:  {newTable(core.BT601, true), newTable(core.BT709, true)},
}

func tableFor(m core.Matrix, fullRange bool) *yuvTable {
	if m == core.BT709 {
		return tables[fullRange][1]
	}
	return tables[fullRange][0]
}

func newTable(m core.Matrix, fullRange bool) *yuvTable {
	rv, gu, gv, bu := 1.402, 0.344136, 0.714136, 1.772
	if m == core.BT709 {
		rv, gu, gv, bu = 1.5748, 0.187324, 0.468124, 1.8556
	}
	black, luma, chroma := 16.0, 255.0/219, 255.0/224
	if fullRange {
		black, luma, chroma = 0, 1, 1
	}
	t := &yuvTable{}
	for i := range 256 {
		c := (float64(i) - 128) * chroma * 65536
		t.y[i] = int32((float64(i)-black)*luma*65536 + 32768)
		t.rv[i], t.gu[i], t.gv[i], t.bu[i] = int32(rv*c), int32(gu*c), int32(gv*c), int32(bu*c)
	}
	return t
}

// line converts one row: luma from its first pixel on, chroma from the start of the picture,
// step bytes from one sample to the next.
func (t *yuvTable) line(out, luma, us, vs []byte, x0, step int) {
	for i := range len(out) / 3 {
		c := (x0 + i) / 2 * step
		y, u, v := t.y[luma[i]], us[c], vs[c]
		out[3*i] = clamp((y + t.rv[v]) >> 16)
		out[3*i+1] = clamp((y - t.gu[u] - t.gv[v]) >> 16)
		out[3*i+2] = clamp((y + t.bu[u]) >> 16)
	}
}

func clamp(v int32) uint8 { return uint8(max(0, min(255, v))) }
