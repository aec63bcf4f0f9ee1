package core

// Patch is what a capsule adds to a node that was there before: only what is set here changes.
type Patch struct {
	Node       NodeID
	Attributes []AttributeValue // in the order they were set
	ExtraData  ExtraData
	Encoding   Encoding // nil: unchanged
	TrackID    TrackID  // empty: unchanged
}

// AttributeValue is one attribute of a node.
type AttributeValue struct{ Name, Value string }

// Empty says whether the patch changes nothing.
func (p *Patch) Empty() bool {
	return len(p.Attributes) == 0 && len(p.ExtraData) == 0 && p.Encoding == nil && p.TrackID == ""
}

// Apply writes the patch into n and gives the names of attributes whose value it replaced by
// another.
func (p *Patch) Apply(n *Node) (replaced []string) {
	for _, a := range p.Attributes {
		if old, ok := n.Attributes[a.Name]; ok && old != a.Value {
			replaced = append(replaced, a.Name)
		}
		if n.Attributes == nil {
			n.Attributes = map[string]string{}
		}
		n.Attributes[a.Name] = a.Value
	}
	for k, v := range p.ExtraData {
		if n.ExtraData == nil {
			n.ExtraData = ExtraData{}
		}
		n.ExtraData[k] = v
	}
	if p.Encoding != nil {
		n.Encoding = p.Encoding
	}
	if p.TrackID != "" {
		n.TrackID = p.TrackID
	}
	return replaced
}
