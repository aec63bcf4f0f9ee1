package push

import (
	"github.com/capstan-video/capstan/core"
)

// plane is one plane of pixels of n bytes each.
type plane struct {
	pix          []byte
	stride, w, h int
	n            int
}

func (s *planes) plane(i int) plane {
	p := plane{pix: s.p[i], stride: s.stride[i], w: s.w, h: s.h, n: 1}
	switch {
	case packed(s.format):
		p.n = 3
	case i > 0:
		p.w, p.h = (s.w+1)/2, (s.h+1)/2
		if s.format == core.NV12 {
			p.n = 2
		}
	}
	return p
}

// scale brings a picture to the size of d, which has the same format.
func scale(s, d planes, filter core.Filter) {
	for i := range s.format.Planes() {
		scalePlane(s.plane(i), d.plane(i), filter)
	}
}

// scalePlane averages quarters and halves first, where means are asked for, so that nothing is
// skipped; the rest, below two, is linear.
func scalePlane(s, d plane, filter core.Filter) {
	for by := 4; by > 1 && filter == core.Mean; {
		if s.w/by < d.w || s.h/by < d.h {
			by /= 2
			continue
		}
		t := plane{w: s.w / by, h: s.h / by, n: s.n}
		if t.w == d.w && t.h == d.h {
			average(s, d, by)
			return
		}
		t.stride = t.w * t.n
		t.pix = make([]byte, t.stride*t.h)
		average(s, t, by)
		s = t
	}
	linear(s, d)
}

// average makes one pixel of each square of by pixels a side.
func average(s, d plane, by int) {
	shift, half := 2, 2
	if by == 4 {
		shift, half = 4, 8
	}
	row := make([]int, d.w*d.n*by) // sums of columns
	for y := range d.h {
		clear(row)
		for k := range by {
			for i, v := range s.pix[(y*by+k)*s.stride:][:len(row)] {
				row[i] += int(v)
			}
		}
		out := d.pix[y*d.stride:]
		for x := range d.w {
			for c := range d.n {
				sum := half
				for k := range by {
					sum += row[(x*by+k)*d.n+c]
				}
				out[x*d.n+c] = byte(sum >> shift)
			}
		}
	}
}

// place is where between two neighbours a pixel lies.
type place struct {
	first, second int
	share         int // of the second, in 1/256
}

// places gives those of n pixels over a side of of. Middles lie on middles when a picture
// shrinks, ends on ends when it grows.
func places(n, of int) []place {
	list := make([]place, n)
	for i := range list {
		at := (float64(i)+0.5)*float64(of)/float64(n) - 0.5
		if n > of {
			at = float64(i) * float64(of-1) / float64(n-1)
		}
		at = max(0, min(at, float64(of-1)))
		first := int(at)
		list[i] = place{first, min(first+1, of-1), int((at-float64(first))*256 + 0.5)}
	}
	return list
}

// linear makes every pixel of the four around its place.
func linear(s, d plane) {
	columns, rows := places(d.w, s.w), places(d.h, s.h)
	line := make([]int, s.w*s.n)
	for y, r := range rows {
		upper, lower := s.pix[r.first*s.stride:][:len(line)], s.pix[r.second*s.stride:][:len(line)]
		for i := range line {
			line[i] = int(upper[i])*(256-r.share) + int(lower[i])*r.share
		}
		out := d.pix[y*d.stride:]
		for x, c := range columns {
			a, b := line[c.first*s.n:], line[c.second*s.n:]
			for k := range s.n {
				out[x*s.n+k] = byte((a[k]*(256-c.share) + b[k]*c.share + 1<<15) >> 16)
			}
		}
	}
}
