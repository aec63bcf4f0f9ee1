package sdk

import (
	"encoding/json"

	"github.com/capstan-video/capstan/core"
)

// Node is one object of a frame as a capsule sees it, in the pixels of the picture that the
// capsule was given. Reading a node shows what was set on it. A node that was there before can
// be added to (attributes, extra data, encoding, track) but not moved, renamed or removed.
type Node struct {
	node  *core.Node
	patch *core.Patch // nil for a node that this capsule adds
	err   error       // first value that has no JSON form
	root  *Node       // of a child that was added: the node that Frame.Add gave
}

// ID gives the engine's ID, 0 for a node that this capsule has just added.
func (n *Node) ID() NodeID { return n.node.ID }

// Class gives the class name.
func (n *Node) Class() string { return n.node.Class }

// Coords gives the outline; do not change it.
func (n *Node) Coords() Polygon { return n.node.Coords }

// Box gives the upright rectangle around the outline.
func (n *Node) Box() Box { return n.node.Coords.Box() }

// Attribute gives the value of a category.
func (n *Node) Attribute(name string) (string, bool) { v, ok := n.node.Attributes[name]; return v, ok }

// Extra gives the JSON under a key.
func (n *Node) Extra(key string) (json.RawMessage, bool) {
	v, ok := n.node.ExtraData[key]
	return v, ok
}

// ExtraFloat gives the number under a key.
func (n *Node) ExtraFloat(key string) (float64, bool) { return n.node.ExtraData.Float(key) }

// ExtraText gives the string under a key.
func (n *Node) ExtraText(key string) (string, bool) { return n.node.ExtraData.Text(key) }

// Confidence gives 0 to 1; false when whoever found the node did not say.
func (n *Node) Confidence() (float64, bool) { return n.node.Confidence() }

// Encoding gives the vector of its appearance, nil when it has none; do not change it.
func (n *Node) Encoding() Encoding { return n.node.Encoding }

// TrackID gives its track, empty when it has none.
func (n *Node) TrackID() TrackID { return n.node.TrackID }

// Children gives the parts of the node, to be read only.
func (n *Node) Children() []*Node {
	c := make([]*Node, len(n.node.Children))
	for i, k := range n.node.Children {
		c[i] = &Node{node: k}
	}
	return c
}

// SetAttribute sets a category to a value that the capsule declares.
func (n *Node) SetAttribute(name, value string) *Node {
	p := core.Patch{Attributes: []core.AttributeValue{{Name: name, Value: value}}}
	p.Apply(n.node)
	if n.patch != nil {
		n.patch.Attributes = append(n.patch.Attributes, p.Attributes...)
	}
	return n
}

// SetExtra sets a value for clients; it must have a JSON form, else the call fails when
// Process returns.
func (n *Node) SetExtra(key string, value any) *Node {
	if err := n.node.ExtraData.Set(key, value); err != nil {
		n.fail(err)
		return n
	}
	if n.patch != nil {
		if n.patch.ExtraData == nil {
			n.patch.ExtraData = core.ExtraData{}
		}
		n.patch.ExtraData[key] = n.node.ExtraData[key]
	}
	return n
}

// SetConfidence sets extra_data "confidence", 0 to 1.
func (n *Node) SetConfidence(c float64) *Node { return n.SetExtra("confidence", c) }

// SetEncoding sets the vector of its appearance; the node keeps v.
func (n *Node) SetEncoding(v Encoding) *Node {
	if v == nil {
		v = Encoding{}
	}
	n.node.Encoding = v
	if n.patch != nil {
		n.patch.Encoding = v
	}
	return n
}

// SetTrackID sets the track: a UUID in text form.
func (n *Node) SetTrackID(id TrackID) *Node {
	n.node.TrackID = id
	if n.patch != nil {
		n.patch.TrackID = id
	}
	return n
}

// AddChild adds a part to a node that this capsule adds; on a node that was there before it
// does nothing, because patches cannot carry children.
func (n *Node) AddChild(class string, outline Polygon) *Node {
	c := &core.Node{Class: class, Coords: outline}
	if n.patch != nil {
		return &Node{node: c}
	}
	n.node.Children = append(n.node.Children, c)
	return &Node{node: c, root: n}
}

// fail keeps the first error for the end of the call.
func (n *Node) fail(err error) {
	for n.root != nil {
		n = n.root
	}
	if n.err == nil {
		n.err = err
	}
}
