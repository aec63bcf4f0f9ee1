// Package diff tells what changed between two results for the same frame: what a recording has
// and what a replay gave.
package diff

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/capstan-video/capstan/core"
)

// Tolerance is how far things may differ that count as equal. The zero value is exact.
type Tolerance struct {
	Pixels   float64 // of every point of an outline
	Value    float64 // of numbers in extra data, scores among them
	Encoding float64 // of the cosine distance of encodings
}

// The kinds of changes.
const (
	Appeared  = "appeared"
	Vanished  = "vanished"
	Moved     = "moved"
	Class     = "class"
	Attribute = "attribute"
	Extra     = "extra_data"
	Encoding  = "encoding"
	Track     = "track"
	Failure   = "error"  // one of the two failed
	Form      = "return" // the nodes are the same, the form of the return is not
	Missing   = "frame"  // one of the two has no such frame or call
)

// Change is one thing that differs.
type Change struct {
	Seq      uint64  `json:"seq"`
	PTS      float64 `json:"pts"` // seconds
	Capsule  string  `json:"capsule,omitempty"`
	Kind     string  `json:"kind"`
	Class    string  `json:"class_name,omitempty"`
	Box      *Box    `json:"box,omitempty"`   // in the recording, or of what appeared
	Field    string  `json:"field,omitempty"` // the attribute or key
	Recorded any     `json:"recorded,omitempty"`
	Replayed any     `json:"replayed,omitempty"`
	Pixels   float64 `json:"px,omitempty"`  // moved: of the point that moved most
	IoU      float64 `json:"iou,omitempty"` // moved
	Distance float64 `json:"distance,omitempty"`
	// Unstable says that replays of the same capsule differ here from each other.
	Unstable bool `json:"unstable,omitempty"`
}

// Box is left, top, right, bottom in pixels.
type Box [4]float64

func boxOf(n *core.Node) *Box {
	b := n.Coords.Box()
	return &Box{b.X1, b.Y1, b.X2, b.Y2}
}

// String is a line for a person, without the frame's number.
func (c Change) String() string {
	what := c.Class
	if c.Box != nil {
		what += fmt.Sprintf(" at (%.0f,%.0f)-(%.0f,%.0f)", c.Box[0], c.Box[1], c.Box[2], c.Box[3])
	}
	if c.Capsule != "" {
		what = c.Capsule + ": " + what
	}
	switch c.Kind {
	case Appeared, Vanished:
		what += " " + c.Kind
	case Moved:
		what += fmt.Sprintf(" moved by %.1f px (IoU %.3f)", c.Pixels, c.IoU)
	case Class:
		what += fmt.Sprintf(" became %v", c.Replayed)
	case Encoding:
		what += fmt.Sprintf(": encoding at a distance of %.6f", c.Distance)
	default:
		name := c.Field
		if name == "" {
			name = c.Kind
		}
		what += fmt.Sprintf(": %s was %v, is %v", name, shown(c.Recorded), shown(c.Replayed))
	}
	if c.Unstable {
		what += " (differs from replay to replay)"
	}
	return what
}

func shown(v any) any {
	if v == nil {
		return "absent"
	}
	if raw, ok := v.(json.RawMessage); ok {
		return string(raw)
	}
	return v
}

// Comparer compares the frames of two runs of one stream, in their order. Tracks are equal when
// they are named one to one, because names may be drawn by lot.
type Comparer struct {
	Tolerance Tolerance

	there, back map[core.TrackID]core.TrackID
}

// Frame gives what changed from one list of nodes to the other; neither is changed. seq and pts
// go into the changes.
func (c *Comparer) Frame(seq uint64, pts core.PTS, recorded, replayed []*core.Node) []Change {
	f := &frame{Comparer: c}
	f.lists("", recorded, replayed)
	for i := range f.changes {
		f.changes[i].Seq, f.changes[i].PTS = seq, pts.Seconds()
	}
	return f.changes
}

type frame struct {
	*Comparer
	changes []Change
}

func (f *frame) add(c Change) { f.changes = append(f.changes, c) }

// lists compares two lists of nodes; of is the class of the parent.
func (f *frame) lists(of string, a, b []*core.Node) {
	pairs, lostA, lostB := match(a, b)
	for _, p := range pairs {
		f.pair(of, p[0], p[1])
	}
	for _, n := range lostA {
		f.add(Change{Kind: Vanished, Class: within(of, n.Class), Box: boxOf(n)})
	}
	for _, n := range lostB {
		f.add(Change{Kind: Appeared, Class: within(of, n.Class), Box: boxOf(n)})
	}
}

func within(of, class string) string {
	if of == "" {
		return class
	}
	return of + " > " + class
}

// leastOverlap is the IoU from which nodes of two classes are taken for one that changed its class.
const leastOverlap = 0.5

// match pairs nodes: first those at the same place, then those of one class that overlap most,
// then those of two classes at about the same place.
func match(a, b []*core.Node) (pairs [][2]*core.Node, onlyA, onlyB []*core.Node) {
	usedA, usedB := make([]bool, len(a)), make([]bool, len(b))
	take := func(i, j int) {
		usedA[i], usedB[j] = true, true
		pairs = append(pairs, [2]*core.Node{a[i], b[j]})
	}
	for i, n := range a {
		for j, m := range b {
			if !usedA[i] && !usedB[j] && n.Class == m.Class && slices.Equal(n.Coords, m.Coords) {
				take(i, j)
			}
		}
	}
	type candidate struct {
		i, j int
		iou  float64
	}
	for _, sameClass := range []bool{true, false} {
		var list []candidate
		for i, n := range a {
			for j, m := range b {
				if usedA[i] || usedB[j] || (n.Class == m.Class) != sameClass {
					continue
				}
				if iou := IoU(n.Coords.Box(), m.Coords.Box()); iou > 0 && (sameClass || iou >= leastOverlap) {
					list = append(list, candidate{i, j, iou})
				}
			}
		}
		slices.SortStableFunc(list, func(x, y candidate) int { return cmp.Compare(y.iou, x.iou) })
		for _, k := range list {
			if !usedA[k.i] && !usedB[k.j] {
				take(k.i, k.j)
			}
		}
	}
	for i, n := range a {
		if !usedA[i] {
			onlyA = append(onlyA, n)
		}
	}
	for j, n := range b {
		if !usedB[j] {
			onlyB = append(onlyB, n)
		}
	}
	return pairs, onlyA, onlyB
}

// IoU gives intersection over union of two boxes, 0 where both are without area.
func IoU(a, b core.Box) float64 {
	w := math.Min(a.X2, b.X2) - math.Max(a.X1, b.X1)
	h := math.Min(a.Y2, b.Y2) - math.Max(a.Y1, b.Y1)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.Area() + b.Area() - w*h)
}

func (f *frame) pair(of string, a, b *core.Node) {
	base := Change{Class: within(of, a.Class), Box: boxOf(a)}
	if a.Class != b.Class {
		f.field(base, Class, "", a.Class, b.Class)
	}
	if px := shift(a.Coords, b.Coords); px > f.Tolerance.Pixels {
		c := base
		c.Kind, c.Pixels, c.IoU = Moved, px, IoU(a.Coords.Box(), b.Coords.Box())
		f.add(c)
	}
	for _, k := range keys(a.Attributes, b.Attributes) {
		x, inA := a.Attributes[k]
		y, inB := b.Attributes[k]
		if x != y || inA != inB {
			f.field(base, Attribute, k, present(x, inA), present(y, inB))
		}
	}
	for _, k := range keys(a.ExtraData, b.ExtraData) {
		x, inA := a.ExtraData[k]
		y, inB := b.ExtraData[k]
		if inA != inB || !f.sameJSON(x, y) {
			f.field(base, Extra, k, present(x, inA), present(y, inB))
		}
	}
	f.encodings(base, a.Encoding, b.Encoding)
	if !f.sameTrack(a.TrackID, b.TrackID) {
		f.field(base, Track, "", present(a.TrackID, a.TrackID != ""), present(b.TrackID, b.TrackID != ""))
	}
	f.lists(within(of, a.Class), a.Children, b.Children)
}

func (f *frame) field(c Change, kind, name string, a, b any) {
	c.Kind, c.Field, c.Recorded, c.Replayed = kind, name, a, b
	f.add(c)
}

func present[T any](v T, ok bool) any {
	if !ok {
		return nil
	}
	return v
}

func keys[V any](a, b map[string]V) []string {
	all := slices.Collect(maps.Keys(a))
	for k := range b {
		if _, ok := a[k]; !ok {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}

// shift gives how far the point moved that moved most; outlines with different numbers of points
// are compared by their boxes.
func shift(a, b core.Polygon) float64 {
	if len(a) != len(b) {
		a, b = a.Box().Polygon(), b.Box().Polygon()
	}
	most := 0.0
	for i := range a {
		most = max(most, math.Hypot(a[i].X-b[i].X, a[i].Y-b[i].Y))
	}
	return most
}

func (f *frame) encodings(base Change, a, b core.Encoding) {
	c := base
	c.Kind = Encoding
	switch {
	case (a == nil) != (b == nil) || len(a) != len(b):
		c.Recorded, c.Replayed, c.Distance = fmt.Sprintf("%d values", len(a)), fmt.Sprintf("%d values", len(b)), 1
		f.add(c)
	case slices.Equal(a, b):
	default:
		if c.Distance = cosine(a, b); c.Distance > f.Tolerance.Encoding || f.Tolerance.Encoding == 0 {
			f.add(c)
		}
	}
}

// cosine gives 1 less the cosine of the angle between two vectors.
func cosine(a, b core.Encoding) float64 {
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 1
	}
	return max(0, 1-dot/math.Sqrt(aa*bb))
}

// sameTrack says whether two tracks are the same by every frame so far.
func (f *frame) sameTrack(a, b core.TrackID) bool {
	if a == "" || b == "" {
		return a == b
	}
	if f.there == nil {
		f.Comparer.there, f.Comparer.back = map[core.TrackID]core.TrackID{}, map[core.TrackID]core.TrackID{}
	}
	x, knownA := f.there[a]
	y, knownB := f.back[b]
	if !knownA && !knownB {
		f.there[a], f.back[b] = b, a
		return true
	}
	return knownA && knownB && x == b && y == a
}

func (f *frame) sameJSON(a, b json.RawMessage) bool {
	if string(a) == string(b) {
		return true
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return f.sameValue(x, y)
}

func (f *frame) sameValue(x, y any) bool {
	switch a := x.(type) {
	case float64:
		b, ok := y.(float64)
		return ok && math.Abs(a-b) <= f.Tolerance.Value
	case []any:
		b, ok := y.([]any)
		return ok && slices.EqualFunc(a, b, f.sameValue)
	case map[string]any:
		b, ok := y.(map[string]any)
		return ok && maps.EqualFunc(a, b, f.sameValue)
	default:
		return x == y
	}
}
