package core

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
)

// NodeID is given by the engine and stays with a node for the whole frame; it is unique
// within a session. Two nodes are the same if and only if their IDs are.
type NodeID uint64

// Point is a place in a frame, in pixels, origin top left.
type Point struct{ X, Y float64 }

// MarshalJSON writes [x,y].
func (p Point) MarshalJSON() ([]byte, error) { return json.Marshal([2]float64{p.X, p.Y}) }

// UnmarshalJSON reads [x,y].
func (p *Point) UnmarshalJSON(b []byte) error {
	var xy []float64
	if err := json.Unmarshal(b, &xy); err != nil {
		return err
	}
	if len(xy) != 2 {
		return fmt.Errorf("point: %d numbers, want [x,y]", len(xy))
	}
	p.X, p.Y = xy[0], xy[1]
	return nil
}

// Polygon is an outline in frame pixels; it may leave the frame and need not have four points.
type Polygon []Point

// Rect gives the polygon of an upright rectangle, clockwise from the top left.
func Rect(x1, y1, x2, y2 float64) Polygon {
	return Polygon{{x1, y1}, {x2, y1}, {x2, y2}, {x1, y2}}
}

// Box gives the upright rectangle around the polygon; the zero Box for an empty one.
func (p Polygon) Box() Box {
	if len(p) == 0 {
		return Box{}
	}
	b := Box{p[0].X, p[0].Y, p[0].X, p[0].Y}
	for _, q := range p[1:] {
		b.X1, b.Y1 = math.Min(b.X1, q.X), math.Min(b.Y1, q.Y)
		b.X2, b.Y2 = math.Max(b.X2, q.X), math.Max(b.Y2, q.Y)
	}
	return b
}

// Box is an upright rectangle; X2 and Y2 are the far edges, so the width is X2-X1.
type Box struct{ X1, Y1, X2, Y2 float64 }

// Width gives X2-X1.
func (b Box) Width() float64 { return b.X2 - b.X1 }

// Height gives Y2-Y1.
func (b Box) Height() float64 { return b.Y2 - b.Y1 }

// Area gives width times height.
func (b Box) Area() float64 { return b.Width() * b.Height() }

// Center gives the middle of the box.
func (b Box) Center() Point { return Point{b.X1 + b.Width()/2, b.Y1 + b.Height()/2} }

// Polygon gives the four corners, clockwise from the top left.
func (b Box) Polygon() Polygon { return Rect(b.X1, b.Y1, b.X2, b.Y2) }

// Encoding is the vector of an object's appearance. nil means "not encoded"; an empty,
// non-nil vector counts as encoded.
type Encoding []float32

// TrackID names the detections judged to be one object across a session: a UUID in text form,
// empty when not tracked.
type TrackID string

// ExtraData are values passed through untouched for clients, each as JSON. A null is legal
// and counts as present.
type ExtraData map[string]json.RawMessage

// Set stores v as JSON under key and fails where v has no JSON form (NaN, channels…).
func (e *ExtraData) Set(key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return Faultf(Invalid, "extra data", key, "%w", err)
	}
	if *e == nil {
		*e = ExtraData{}
	}
	(*e)[key] = b
	return nil
}

// Float gives the number under key; false when there is none or it is no number.
func (e ExtraData) Float(key string) (float64, bool) {
	var v *float64
	if raw, ok := e[key]; !ok || json.Unmarshal(raw, &v) != nil || v == nil {
		return 0, false
	}
	return *v, true
}

// Text gives the string under key; false when there is none or it is no string.
func (e ExtraData) Text(key string) (string, bool) {
	var v *string
	if raw, ok := e[key]; !ok || json.Unmarshal(raw, &v) != nil || v == nil {
		return "", false
	}
	return *v, true
}

// Node is one object in one frame (a detection). Children are parts of it: a face of a person.
type Node struct {
	ID         NodeID
	Class      string // case-sensitive, may contain spaces
	Coords     Polygon
	Attributes map[string]string
	ExtraData  ExtraData
	Encoding   Encoding
	Encoder    EncoderID // whose Encoding it is; empty when it is not encoded
	Identity   *Identity // who it is judged to be, not to be changed; nil: not named
	TrackID    TrackID
	Children   []*Node
	Origin     string // the capsule that created it
}

// Scale multiplies every point, in place, rounding each coordinate half to even; children
// follow. This is the rounding of the older Python SDK, kept so that results agree.
func (n *Node) Scale(sx, sy float64) {
	for i, p := range n.Coords {
		n.Coords[i] = Point{math.RoundToEven(p.X * sx), math.RoundToEven(p.Y * sy)}
	}
	for _, c := range n.Children {
		c.Scale(sx, sy)
	}
}

// Offset subtracts (ox, oy) from every point, in place, without rounding; children follow.
func (n *Node) Offset(ox, oy float64) {
	for i, p := range n.Coords {
		n.Coords[i] = Point{p.X - ox, p.Y - oy}
	}
	for _, c := range n.Children {
		c.Offset(ox, oy)
	}
}

// AllAttributes gives the node's attributes with those of its children over them: on a clash
// the child's wins. The node is not changed.
func (n *Node) AllAttributes() map[string]string {
	all := make(map[string]string, len(n.Attributes))
	maps.Copy(all, n.Attributes)
	for _, c := range n.Children {
		maps.Copy(all, c.AllAttributes())
	}
	return all
}

// Clone gives a node that shares nothing with n.
func (n *Node) Clone() *Node {
	c := *n
	c.Coords = slices.Clone(n.Coords)
	c.Attributes = maps.Clone(n.Attributes)
	c.ExtraData = maps.Clone(n.ExtraData)
	for k, v := range c.ExtraData {
		c.ExtraData[k] = slices.Clone(v)
	}
	c.Encoding = slices.Clone(n.Encoding)
	c.Children = nil
	for _, k := range n.Children {
		c.Children = append(c.Children, k.Clone())
	}
	return &c
}

// Confidence gives extra_data "confidence", or "detection_confidence" of older capsules.
func (n *Node) Confidence() (float64, bool) {
	if v, ok := n.ExtraData.Float("confidence"); ok {
		return v, true
	}
	return n.ExtraData.Float("detection_confidence")
}
