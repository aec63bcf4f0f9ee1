package sdk

import (
	"fmt"
	"math"

	"github.com/capstan-video/capstan/core"
)

// scaling is the sizes of a picture and of its stream, between which coordinates are converted:
// first multiplied, then divided, so that whole pixels survive the way there and back.
type scaling struct{ picture, stream Point }

// scaling gives the zero value where there is nothing to convert.
func (r *Request) scaling() scaling {
	caps := r.Frame.Caps
	if r.Layout.Format == "" || caps.Width <= 0 || caps.Height <= 0 || (caps.Width == r.Layout.Width && caps.Height == r.Layout.Height) {
		return scaling{}
	}
	return scaling{
		picture: Point{X: float64(r.Layout.Width), Y: float64(r.Layout.Height)},
		stream:  Point{X: float64(caps.Width), Y: float64(caps.Height)},
	}
}

func (s scaling) toPicture(n *core.Node) { scaleNode(n, s.picture, s.stream) }

func (s scaling) toStream(n *core.Node) { scaleNode(n, s.stream, s.picture) }

func scaleNode(n *core.Node, to, from Point) {
	if from == (Point{}) {
		return
	}
	for i, p := range n.Coords {
		n.Coords[i] = Point{X: p.X * to.X / from.X, Y: p.Y * to.Y / from.Y}
	}
	for _, c := range n.Children {
		scaleNode(c, to, from)
	}
}

// result gathers what a run added to f, in the form that the declaration asks for. An output
// that could not be sent is the run's error.
func (f *Frame) result(d core.Declaration) (core.Return, error) {
	var r core.Return
	for _, n := range f.nodes {
		if n.err != nil {
			return r, n.err
		}
		if n.patch.Empty() {
			continue
		}
		if err := finiteEncoding(n.patch.Encoding); err != nil {
			return r, fmt.Errorf("node %d: %w", n.ID(), err)
		}
		r.Patches = append(r.Patches, *n.patch)
	}
	req := Request{Frame: f.info, Layout: f.layout}
	scale := req.scaling()
	for _, n := range f.added {
		if n.err != nil {
			return r, n.err
		}
		c := n.node.Clone() // the author may keep the outline
		scale.toStream(c)
		if err := sendable(c); err != nil {
			return r, err
		}
		r.Added = append(r.Added, c)
	}
	form(&r, d)
	return r, nil
}

// form chooses null, one node or list.
func form(r *core.Return, d core.Declaration) {
	switch {
	case d.Output.Size == All:
		r.Kind = core.ReturnList
	case len(r.Added) == 0 && d.Input.Size == Single:
		r.Kind = core.ReturnNull
		return
	case len(r.Added) == 1:
		r.Kind = core.ReturnOne
		return
	default:
		r.Kind = core.ReturnList // the engine says what is wrong with it
	}
	for i := range r.Patches {
		r.Returned = append(r.Returned, r.Patches[i].Node)
	}
}

func sendable(n *core.Node) error {
	for _, p := range n.Coords {
		if !finite(p.X) || !finite(p.Y) {
			return fmt.Errorf("a node of class %q was added at (%v, %v)", n.Class, p.X, p.Y)
		}
	}
	if err := finiteEncoding(n.Encoding); err != nil {
		return fmt.Errorf("a node of class %q: %w", n.Class, err)
	}
	for _, c := range n.Children {
		if err := sendable(c); err != nil {
			return err
		}
	}
	return nil
}

func finiteEncoding(e Encoding) error {
	for i, v := range e {
		if !finite(float64(v)) {
			return fmt.Errorf("encoding has %v at place %d", v, i)
		}
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
