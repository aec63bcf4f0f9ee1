package push

import (
	"math"

	"github.com/capstan-video/capstan/core"
)

// The pictures of core.OpenCV, to the last bit: libswscale, which cv2.VideoCapture converts by,
// cuts every product off to a whole number and takes BT.601 for all; cv2.resize works in 1/2048.

// cutTable has libswscale's factors; products are >> 16.
type cutTable struct{ y, black, ub, ug, vg, vr int }

func newCutTable(full bool) cutTable {
	y, vr, ub, ug, vg := 65536, 104597, 132201, 25675, 53279
	black := 16 * 8
	if full {
		vr, ub, ug, vg, black = vr*224/255, ub*224/255, ug*224/255, vg*224/255, 0
	} else {
		y = y * 255 / 219
	}
	in8192ths := func(c int) int { return (c*8192 + 32768) >> 16 }
	return cutTable{y: in8192ths(y), black: black, ub: in8192ths(ub), ug: in8192ths(-ug), vg: in8192ths(-vg), vr: in8192ths(vr)}
}

func clamp(v int) byte { return byte(max(0, min(255, v))) }

// cutRow converts one row of s to the order of d.
func (t cutTable) cutRow(s *planes, row int, out []byte, rgb bool) {
	luma := s.p[0][row*s.stride[0]:][:s.w]
	r, b := 2, 0
	if rgb {
		r, b = 0, 2
	}
	var us, vs []byte
	step := 0
	if s.format != core.GRAY8 {
		us, vs, step = s.chroma(row / 2)
	}
	for x, v := range luma {
		l, u, w := ((int(v)*8-t.black)*t.y)>>16, 0, 0
		if step > 0 {
			u, w = int(us[x/2*step])*8-1024, int(vs[x/2*step])*8-1024
		}
		px := out[3*x : 3*x+3]
		px[b] = clamp(l + (u*t.ub)>>16)
		px[1] = clamp(l + (u*t.ug)>>16 + (w*t.vg)>>16)
		px[r] = clamp(l + (w*t.vr)>>16)
	}
}

// neighbours are two pixels and their weights in 1/2048.
type neighbours struct{ at, first, second int }

func neighboursOf(i, n, of int) neighbours {
	f := float32((float64(i)+0.5)*(float64(of)/float64(n)) - 0.5)
	at := int(math.Floor(float64(f)))
	f -= float32(at)
	return neighbours{at, int(math.RoundToEven(float64((1 - f) * 2048))), int(math.RoundToEven(float64(f * 2048)))}
}

func columnOf(i, n, of int) neighbours {
	t := neighboursOf(i, n, of)
	switch {
	case t.at < 0:
		return neighbours{0, 2048, 0}
	case t.at >= of-1:
		return neighbours{of - 1, 2048, 0}
	}
	return t
}

// asOpenCV makes the RGB or BGR picture d of s.
func asOpenCV(s, d planes) {
	line := func(row int, out []byte) { // one row of s in d's format
		newCutTable(s.full).cutRow(&s, row, out, d.format == core.RGB)
	}
	if packed(s.format) {
		line = func(row int, out []byte) {
			from, to := s, d
			from.p[0], from.h = s.p[0][row*s.stride[0]:], 1
			to.p[0] = out
			swap(from, to)
		}
	}
	if s.w == d.w && s.h == d.h {
		for y := range d.h {
			line(y, d.p[0][y*d.stride[0]:])
		}
		return
	}
	resizeOpenCV(s, d, line)
}

func resizeOpenCV(s, d planes, line func(row int, out []byte)) {
	n := 3 * d.w
	columns := make([]neighbours, d.w)
	for x := range columns {
		columns[x] = columnOf(x, d.w, s.w)
	}
	whole := make([]byte, 3*s.w)
	rows, have := [2][]int{make([]int, n), make([]int, n)}, [2]int{-1, -1}
	for y := range d.h {
		r := neighboursOf(y, d.h, s.h)
		var pair [2][]int
		for k := range 2 {
			row := max(0, min(r.at+k, s.h-1))
			at := row & 1
			if have[at] != row {
				line(row, whole)
				across(whole, columns, rows[at])
				have[at] = row
			}
			pair[k] = rows[at]
		}
		out := d.p[0][y*d.stride[0]:]
		for i := range n {
			out[i] = clamp(((r.first*(pair[0][i]>>4))>>16 + (r.second*(pair[1][i]>>4))>>16 + 2) >> 2)
		}
	}
}

// across brings a row to its new width, in 1/2048.
func across(in []byte, columns []neighbours, out []int) {
	for x, c := range columns {
		a, b := in[3*c.at:], in[3*c.at:]
		if c.second > 0 {
			b = in[3*c.at+3:]
		}
		for k := range 3 {
			out[3*x+k] = int(a[k])*c.first + int(b[k])*c.second
		}
	}
}
