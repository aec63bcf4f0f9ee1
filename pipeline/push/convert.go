package push

import (
	"math"

	"github.com/capstan-video/capstan/core"
)

// planes are the pixels of one picture.
type planes struct {
	format core.PixelFormat
	w, h   int
	p      [3][]byte
	stride [3]int
	matrix core.Matrix
	full   bool
}

// planesOf gives the planes that a checked layout speaks of.
func planesOf(l core.Layout, mem []byte) planes {
	s := planes{format: l.Format, w: l.Width, h: l.Height, matrix: l.Matrix, full: l.FullRange}
	for i, pl := range l.Planes {
		row, rows := l.Format.PlaneSize(i, l.Width, l.Height)
		s.p[i], s.stride[i] = mem[pl.Offset:pl.Offset+int64(pl.Stride)*int64(rows-1)+int64(row)], pl.Stride
	}
	return s
}

// newPlanes makes a picture like s of another size.
func newPlanes(s planes, w, h int) planes {
	l, size := core.Packed(s.format, w, h)
	l.Matrix, l.FullRange = s.matrix, s.full
	return planesOf(l, make([]byte, size))
}

// convert makes of s the picture d, of any size and format. Colours are scaled as they come and
// converted afterwards.
func convert(s, d planes, filter core.Filter) {
	switch {
	case filter == core.OpenCV && packed(d.format):
		asOpenCV(s, d)
	case s.w == d.w && s.h == d.h:
		recolour(s, d)
	case d.format == core.GRAY8 && !packed(s.format):
		scalePlane(s.plane(0), d.plane(0), filter)
	case s.format == d.format:
		scale(s, d, filter)
	default:
		t := newPlanes(s, d.w, d.h)
		scale(s, t, filter)
		recolour(t, d)
	}
}

// recolour converts between formats; the sizes are the same.
func recolour(s, d planes) {
	switch {
	case packed(s.format) && packed(d.format):
		swap(s, d)
	case packed(s.format):
		fromPacked(s, d)
	case packed(d.format):
		toPacked(s, d)
	default:
		copyRows(d.p[0], d.stride[0], s.p[0], s.stride[0], s.w, s.h)
		moveChroma(s, d)
	}
}

// swap copies packed pixels, and changes their order when the formats differ.
func swap(s, d planes) {
	if s.format == d.format {
		copyRows(d.p[0], d.stride[0], s.p[0], s.stride[0], 3*s.w, s.h)
		return
	}
	for y := range s.h {
		in, out := s.p[0][y*s.stride[0]:], d.p[0][y*d.stride[0]:]
		for x := 0; x < 3*s.w; x += 3 {
			out[x], out[x+1], out[x+2] = in[x+2], in[x+1], in[x]
		}
	}
}

// chroma gives row y of U and V of a picture, and the step between their samples. A grey picture
// has none.
func (s *planes) chroma(y int) (u, v []byte, step int) {
	if s.format == core.NV12 {
		u = s.p[1][y*s.stride[1]:]
		return u, u[1:], 2
	}
	return s.p[1][y*s.stride[1]:], s.p[2][y*s.stride[2]:], 1
}

// moveChroma brings chroma from one planar format to another; that of a grey picture is neutral.
func moveChroma(s, d planes) {
	if d.format == core.GRAY8 {
		return
	}
	cw, ch := (d.w+1)/2, (d.h+1)/2
	for y := range ch {
		du, dv, dn := d.chroma(y)
		if s.format == core.GRAY8 {
			for x := range cw {
				du[x*dn], dv[x*dn] = 128, 128
			}
			continue
		}
		su, sv, sn := s.chroma(y)
		for x := range cw {
			du[x*dn], dv[x*dn] = su[x*sn], sv[x*sn]
		}
	}
}

// weights gives the parts of red and blue in luma.
func weights(m core.Matrix) (kr, kb float64) {
	if m == core.BT709 {
		return 0.2126, 0.0722
	}
	return 0.299, 0.114
}

// rgbTable has what each value of Y, U and V adds to red, green and blue, in 1/65536.
type rgbTable struct{ y, vr, ug, vg, ub [256]int32 }

func newRGBTable(m core.Matrix, full bool) *rgbTable {
	kr, kb := weights(m)
	kg := 1 - kr - kb
	black, luma, chroma := 16.0, 255.0/219, 255.0/224
	if full {
		black, luma, chroma = 0, 1, 1
	}
	t := &rgbTable{}
	for i := range 256 {
		c := (float64(i) - 128) * chroma
		t.y[i] = fixed((float64(i)-black)*luma) + 1<<15
		t.vr[i], t.ub[i] = fixed(c*2*(1-kr)), fixed(c*2*(1-kb))
		t.ug[i], t.vg[i] = fixed(-c*2*(1-kb)*kb/kg), fixed(-c*2*(1-kr)*kr/kg)
	}
	return t
}

func fixed(x float64) int32 { return int32(math.Round(x * 65536)) }

// clip gives the byte of a value in 1/65536.
func clip(v int32) byte {
	if v < 0 {
		return 0
	}
	if v >= 256<<16 {
		return 255
	}
	return byte(v >> 16)
}

// toPacked converts YUV or grey to RGB or BGR.
func toPacked(s, d planes) {
	t := newRGBTable(s.matrix, s.full)
	r, b := 0, 2
	if d.format == core.BGR {
		r, b = 2, 0
	}
	for y := range s.h {
		luma, out := s.p[0][y*s.stride[0]:y*s.stride[0]+s.w], d.p[0][y*d.stride[0]:y*d.stride[0]+3*s.w]
		if s.format == core.GRAY8 {
			for x, l := range luma {
				v := clip(t.y[l])
				out[3*x], out[3*x+1], out[3*x+2] = v, v, v
			}
			continue
		}
		us, vs, step := s.chroma(y / 2)
		var red, green, blue int32
		for x, l := range luma {
			if x%2 == 0 {
				u, v := us[x/2*step], vs[x/2*step]
				red, green, blue = t.vr[v], t.ug[u]+t.vg[v], t.ub[u]
			}
			px, c := out[3*x:3*x+3:3*x+3], t.y[l]
			px[r], px[1], px[b] = clip(c+red), clip(c+green), clip(c+blue)
		}
	}
}

// yuvTable has what each value of red, green and blue adds to Y, U and V, in 1/65536.
type yuvTable struct{ yr, yg, yb, ur, ug, ub, vr, vg, vb int32 }

func newYUVTable(m core.Matrix, full bool) (t yuvTable, black int32) {
	kr, kb := weights(m)
	kg := 1 - kr - kb
	luma, chroma := 219.0/255, 224.0/255
	black = 16
	if full {
		luma, chroma, black = 1, 1, 0
	}
	u, v := chroma/(2*(1-kb)), chroma/(2*(1-kr))
	t = yuvTable{yr: fixed(kr * luma), yb: fixed(kb * luma), ur: fixed(-kr * u), ug: fixed(-kg * u), vg: fixed(-kg * v), vb: fixed(-kb * v)}
	t.yg = fixed(luma) - t.yr - t.yb // grey stays grey
	t.ub, t.vr = -t.ur-t.ug, -t.vg-t.vb
	return t, black
}

// fromPacked converts RGB or BGR to YUV or grey. Chroma is that of the mean of four pixels.
func fromPacked(s, d planes) {
	t, black := newYUVTable(d.matrix, d.full)
	ri, bi := 0, 2
	if s.format == core.BGR {
		ri, bi = 2, 0
	}
	for y := range s.h {
		in, out := s.p[0][y*s.stride[0]:], d.p[0][y*d.stride[0]:]
		for x := range s.w {
			px := in[3*x : 3*x+3]
			out[x] = clip(t.yr*int32(px[ri]) + t.yg*int32(px[1]) + t.yb*int32(px[bi]) + black<<16 + 1<<15)
		}
	}
	if d.format == core.GRAY8 {
		return
	}
	for y := range (s.h + 1) / 2 {
		upper := s.p[0][2*y*s.stride[0]:]
		lower := s.p[0][min(2*y+1, s.h-1)*s.stride[0]:]
		us, vs, step := d.chroma(y)
		for x := range (s.w + 1) / 2 {
			a, b := 6*x, 3*min(2*x+1, s.w-1)
			var sum [3]int32
			for k := range sum {
				sum[k] = int32(upper[a+k]) + int32(upper[b+k]) + int32(lower[a+k]) + int32(lower[b+k])
			}
			r, g, bl := sum[ri], sum[1], sum[bi]
			us[x*step] = clip((t.ur*r+t.ug*g+t.ub*bl)/4 + 128<<16 + 1<<15)
			vs[x*step] = clip((t.vr*r+t.vg*g+t.vb*bl)/4 + 128<<16 + 1<<15)
		}
	}
}
