package bundle

import (
	"errors"
	"fmt"
	"math"

	"github.com/capstan-video/capstan/core"
)

// Node is a core.Node in the spelling of capstan run's results.
type Node struct {
	ID         core.NodeID       `json:"id"`
	Class      string            `json:"class_name"`
	Coords     core.Polygon      `json:"coords"`
	Attributes map[string]string `json:"attributes"`
	ExtraData  core.ExtraData    `json:"extra_data"`
	TrackID    core.TrackID      `json:"track_id,omitempty"`
	Encoding   core.Encoding     `json:"encoding,omitzero"` // absent: not encoded; [] is an empty one
	Encoder    core.EncoderID    `json:"encoder,omitempty"`
	Origin     string            `json:"origin,omitempty"` // the capsule that created it
	Children   []Node            `json:"children"`
}

// Return is a core.Return.
type Return struct {
	Kind     string        `json:"kind"` // null, one or list
	Node     core.NodeID   `json:"node,omitempty"`
	Returned []core.NodeID `json:"returned"`
	Patches  []Patch       `json:"patches"`
	Added    []Node        `json:"added"`
	Error    *Error        `json:"error,omitempty"`
}

// Patch is a core.Patch.
type Patch struct {
	Node       core.NodeID    `json:"node"`
	Attributes [][2]string    `json:"attributes"` // name, value, in the order they were set
	ExtraData  core.ExtraData `json:"extra_data"`
	TrackID    core.TrackID   `json:"track_id,omitempty"`
	Encoding   core.Encoding  `json:"encoding,omitzero"`
}

var kinds = map[core.ReturnKind]string{core.ReturnNull: "null", core.ReturnOne: "one", core.ReturnList: "list"}

// NodesOf writes nodes. It shares what they hold: write it before they change.
func NodesOf(list []*core.Node) []Node {
	out := make([]Node, 0, len(list))
	for _, n := range list {
		m := Node{
			ID: n.ID, Class: n.Class, Coords: n.Coords, Attributes: n.Attributes, ExtraData: n.ExtraData, TrackID: n.TrackID,
			Encoding: n.Encoding, Encoder: n.Encoder, Origin: n.Origin, Children: NodesOf(n.Children),
		}
		if m.Coords == nil {
			m.Coords = core.Polygon{}
		}
		if m.Attributes == nil {
			m.Attributes = map[string]string{}
		}
		if m.ExtraData == nil {
			m.ExtraData = core.ExtraData{}
		}
		out = append(out, m)
	}
	return out
}

// Core reads a node; it shares nothing that changes with m.
func (m *Node) Core() *core.Node {
	n := &core.Node{
		ID: m.ID, Class: m.Class, Coords: m.Coords, Attributes: m.Attributes, ExtraData: m.ExtraData, TrackID: m.TrackID,
		Encoding: m.Encoding, Encoder: m.Encoder, Origin: m.Origin,
	}
	if n = n.Clone(); len(n.Attributes) == 0 {
		n.Attributes = nil
	}
	if len(n.ExtraData) == 0 {
		n.ExtraData = nil
	}
	for i := range m.Children {
		n.Children = append(n.Children, m.Children[i].Core())
	}
	return n
}

// CoreNodes reads a list of nodes.
func CoreNodes(list []Node) []*core.Node {
	out := make([]*core.Node, 0, len(list))
	for i := range list {
		out = append(out, list[i].Core())
	}
	return out
}

// ReturnsOf writes returns.
func ReturnsOf(list []core.Return) []Return {
	out := make([]Return, 0, len(list))
	for i := range list {
		r := &list[i]
		m := Return{Kind: kinds[r.Kind], Node: r.Node, Returned: r.Returned, Patches: []Patch{}, Added: NodesOf(r.Added), Error: ErrorOf(r.Err)}
		if m.Returned == nil {
			m.Returned = []core.NodeID{}
		}
		for j := range r.Patches {
			p := &r.Patches[j]
			q := Patch{Node: p.Node, Attributes: [][2]string{}, ExtraData: p.ExtraData, TrackID: p.TrackID, Encoding: p.Encoding}
			if q.ExtraData == nil {
				q.ExtraData = core.ExtraData{}
			}
			for _, a := range p.Attributes {
				q.Attributes = append(q.Attributes, [2]string{a.Name, a.Value})
			}
			m.Patches = append(m.Patches, q)
		}
		out = append(out, m)
	}
	return out
}

// CoreReturns reads returns.
func CoreReturns(list []Return) []core.Return {
	out := make([]core.Return, 0, len(list))
	for i := range list {
		m := &list[i]
		r := core.Return{Node: m.Node, Returned: m.Returned, Added: CoreNodes(m.Added), Err: m.Error.err()}
		for kind, word := range kinds {
			if word == m.Kind {
				r.Kind = kind
			}
		}
		for j := range m.Patches {
			p := &m.Patches[j]
			q := core.Patch{Node: p.Node, ExtraData: p.ExtraData, TrackID: p.TrackID, Encoding: p.Encoding}
			for _, a := range p.Attributes {
				q.Attributes = append(q.Attributes, core.AttributeValue{Name: a[0], Value: a[1]})
			}
			r.Patches = append(r.Patches, q)
		}
		out = append(out, r)
	}
	return out
}

// ErrorOf writes an error, nil for none.
func ErrorOf(err error) *Error {
	if err == nil {
		return nil
	}
	return &Error{Kind: core.KindOf(err).String(), Text: err.Error()}
}

func (e *Error) err() error {
	if e == nil {
		return nil
	}
	return errors.New(e.Text)
}

// maxDepth bounds children of children; a capsule may not send more.
const maxDepth = 32

// check refuses nodes that no recording has.
func checkNodes(list []Node, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nodes have more than %d levels of children", maxDepth)
	}
	for i := range list {
		n := &list[i]
		for _, p := range n.Coords {
			if math.IsNaN(p.X+p.Y) || math.IsInf(p.X+p.Y, 0) {
				return fmt.Errorf("node %d lies at %v", n.ID, p)
			}
		}
		if err := checkNodes(n.Children, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func checkReturns(list []Return) error {
	for i := range list {
		r := &list[i]
		if r.Kind != "null" && r.Kind != "one" && r.Kind != "list" {
			return fmt.Errorf("a return is of kind %.20q", r.Kind)
		}
		if err := checkNodes(r.Added, 0); err != nil {
			return err
		}
	}
	return nil
}

// check refuses a record that no recording has.
func (f *Frame) check() error {
	if f.Seq == 0 {
		return errors.New("a frame has no number")
	}
	if err := checkNodes(f.Nodes, 0); err != nil {
		return err
	}
	pictures := []*Picture{f.Picture}
	for i := range f.Calls {
		c := &f.Calls[i]
		if !core.ValidName(c.Capsule) {
			return fmt.Errorf("frame %d: a call is of capsule %.80q", f.Seq, c.Capsule)
		}
		if err := errors.Join(checkNodes(c.Nodes, 0), checkReturns(c.Returns)); err != nil {
			return fmt.Errorf("frame %d, capsule %s: %w", f.Seq, c.Capsule, err)
		}
		pictures = append(pictures, c.Picture)
	}
	for _, p := range pictures {
		if p == nil {
			continue
		}
		if _, _, ok := p.layout(); !ok || !memberName.MatchString(p.File) {
			return fmt.Errorf("frame %d: picture %.100q of %.20q %dx%d cannot be", f.Seq, p.File, p.Format, p.Width, p.Height)
		}
	}
	return nil
}
