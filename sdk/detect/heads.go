package detect

import (
	"fmt"
	"math"

	"github.com/capstan-video/capstan/sdk"
)

// YOLOX decodes rows of 5+classes numbers (centre, size, objectness, classes) for strides 8, 16
// and 32 of an input of w by h. Places are in the input's pixels.
func YOLOX(out []float32, w, h, classes int, threshold float64) ([]Found, error) {
	each, rows := 5+classes, cells(w, h, 8)+cells(w, h, 16)+cells(w, h, 32)
	if classes < 1 || len(out) != rows*each {
		return nil, fmt.Errorf("an output of %d numbers, want %d rows of %d for an input of %dx%d", len(out), rows, each, w, h)
	}
	var found []Found
	for _, stride := range []int{8, 16, 32} {
		s, columns := float64(stride), w/stride
		for i := range cells(w, h, stride) {
			row := out[i*each : (i+1)*each]
			class, best := largest(row[5:])
			score := float64(row[4]) * float64(best)
			if score < threshold {
				continue
			}
			x, y := (float64(row[0])+float64(i%columns))*s, (float64(row[1])+float64(i/columns))*s
			box := centred(x, y, exp(row[2])*s, exp(row[3])*s)
			found = keep(found, Found{Box: box, Score: score, Class: class}, threshold)
		}
		out = out[cells(w, h, stride)*each:]
	}
	return found, nil
}

func cells(w, h, stride int) int { return (w / stride) * (h / stride) }

// largest passes over what is no number, unless there is nothing else.
func largest(v []float32) (at int, best float32) {
	for i, x := range v {
		if i == 0 || x > best || best != best {
			at, best = i, x
		}
	}
	return at, best
}

// FastestDet decodes 5+classes channels (objectness, box, classes) over a grid of columns by
// rows. Places are shares of the picture.
func FastestDet(out []float32, columns, rows, classes int, threshold float64) ([]Found, error) {
	plane := columns * rows
	if classes < 1 || plane < 1 || len(out) != plane*(5+classes) {
		return nil, fmt.Errorf("an output of %d numbers, want %d channels of %dx%d", len(out), 5+classes, columns, rows)
	}
	var found []Found
	for i := range plane {
		object := float64(out[i])
		if object < threshold*threshold { // no class, at most 1, lifts it over the threshold
			continue
		}
		class, best := 0, float32(0)
		for c := range classes {
			if v := out[(5+c)*plane+i]; v > best {
				class, best = c, v
			}
		}
		score := math.Pow(object, 0.6) * math.Pow(float64(best), 0.4)
		x := (float64(i%columns) + math.Tanh(float64(out[plane+i]))) / float64(columns)
		y := (float64(i/columns) + math.Tanh(float64(out[2*plane+i]))) / float64(rows)
		box := centred(x, y, sigmoid(out[3*plane+i]), sigmoid(out[4*plane+i]))
		found = keep(found, Found{Box: box, Score: score, Class: class}, threshold)
	}
	return found, nil
}

// FaceHead is what YuNet gives for one stride: for each cell, row by row, class and object
// scores, four numbers of a box and ten of five points.
type FaceHead struct {
	Stride                    int
	Class, Object, Box, Marks []float32
}

// YuNet decodes the heads of an input of w by h. Points are eye, eye, nose and the corners of
// the mouth, those on the picture's left first. Places are in the input's pixels.
func YuNet(heads []FaceHead, w, h int, threshold float64) ([]Found, error) {
	var found []Found
	for _, head := range heads {
		n, columns, s := cells(w, h, head.Stride), w/head.Stride, float64(head.Stride)
		if len(head.Class) != n || len(head.Object) != n || len(head.Box) != 4*n || len(head.Marks) != 10*n {
			return nil, fmt.Errorf("stride %d: outputs of %d, %d, %d and %d numbers for %d cells", head.Stride, len(head.Class), len(head.Object), len(head.Box), len(head.Marks), n)
		}
		for i := range n {
			score := math.Sqrt(math.Max(0, float64(head.Class[i])) * math.Max(0, float64(head.Object[i])))
			if !(score >= threshold) {
				continue
			}
			column, row := float64(i%columns), float64(i/columns)
			b := head.Box[4*i : 4*i+4]
			f := Found{Score: math.Min(score, 1), Points: make([]sdk.Point, 5)}
			f.Box = centred((column+float64(b[0]))*s, (row+float64(b[1]))*s, exp(b[2])*s, exp(b[3])*s)
			for k := range f.Points {
				m := head.Marks[10*i+2*k:]
				f.Points[k] = sdk.Point{X: (column + float64(m[0])) * s, Y: (row + float64(m[1])) * s}
			}
			found = keep(found, f, threshold)
		}
	}
	return found, nil
}

// Anchor is a box that a network tells differences to: its middle and size in pixels.
type Anchor struct{ X, Y, Size float64 }

// Anchors gives those of an input of w by h: for each stride cell by cell, row by row, one of
// each of its sizes.
func Anchors(w, h int, strides []int, sizes [][]float64) []Anchor {
	var all []Anchor
	for i, stride := range strides {
		s := float64(stride)
		for row := range (h + stride - 1) / stride {
			for column := range (w + stride - 1) / stride {
				for _, size := range sizes[i] {
					all = append(all, Anchor{(float64(column) + 0.5) * s, (float64(row) + 0.5) * s, size})
				}
			}
		}
	}
	return all
}

// Retina decodes boxes, scores (of nothing and of something) and points per anchor, with the
// variances 0.1 and 0.2. Places are in the input's pixels.
func Retina(anchors []Anchor, boxes, scores, marks []float32, threshold float64) ([]Found, error) {
	n := len(anchors)
	if n == 0 || len(boxes) != 4*n || len(scores) != 2*n || len(marks)%(2*n) != 0 {
		return nil, fmt.Errorf("outputs of %d, %d and %d numbers for %d anchors", len(boxes), len(scores), len(marks), n)
	}
	each := len(marks) / n
	var found []Found
	for i, a := range anchors {
		score := float64(scores[2*i+1])
		if !(score >= threshold) {
			continue
		}
		b := boxes[4*i : 4*i+4]
		x, y := a.X+float64(b[0])*0.1*a.Size, a.Y+float64(b[1])*0.1*a.Size
		w, h := a.Size*exp(b[2]*0.2), a.Size*exp(b[3]*0.2)
		f := Found{Box: centred(x, y, w, h), Score: math.Min(score, 1), Points: make([]sdk.Point, each/2)}
		for k := range f.Points {
			m := marks[each*i+2*k:]
			f.Points[k] = sdk.Point{X: a.X + float64(m[0])*0.1*a.Size, Y: a.Y + float64(m[1])*0.1*a.Size}
		}
		found = keep(found, f, threshold)
	}
	return found, nil
}
