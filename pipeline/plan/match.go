package plan

import (
	"errors"
	"slices"

	"github.com/capstan-video/capstan/core"
)

// Match gives the nodes that a capsule with input d is fed: those that d describes and that
// the capsule did not create itself, in the order of nodes, which is that of creation.
//
// starved counts, in words, what kept other nodes of a fitting class out, for example
// "class car lacks key confidence"; a node counts once for each thing that it lacks. Values
// of attributes stay out of it, so that there are few different texts. It is nil when nothing
// was kept out.
//
// in may be nodes itself when all of it matches: neither is to be changed. A description of
// size none takes no nodes.
func Match(d core.Description, capsule string, nodes []*core.Node) (in []*core.Node, starved map[string]int) {
	if d.Size == core.SizeNone {
		return nil, nil
	}
	taken := 0 // nodes[:taken] all match, and in is not made yet
	for i, n := range nodes {
		ok := false
		if n.Origin != capsule {
			ok, starved = fits(d, n, starved)
		}
		switch {
		case ok && in == nil && taken == i:
			taken++
		case ok:
			in = append(in, n)
		case in == nil:
			in = append(make([]*core.Node, 0, len(nodes)-1), nodes[:taken]...)
		}
	}
	if taken == len(nodes) {
		return nodes[:taken:taken], starved
	}
	return in, starved
}

func fits(d core.Description, n *core.Node, starved map[string]int) (bool, map[string]int) {
	ok, err := d.Describes(n)
	if ok {
		return true, starved
	}
	if len(d.Detections) > 0 && !slices.Contains(d.Detections, n.Class) {
		return false, starved
	}
	if starved == nil {
		starved = map[string]int{}
	}
	var undeclared *core.UndeclaredValueError
	if errors.As(err, &undeclared) {
		starved["class "+n.Class+" has an undeclared value of attribute "+undeclared.Category]++
		return false, starved
	}
	for _, what := range lacking(d, n) {
		starved["class "+n.Class+" lacks "+what]++
	}
	return false, starved
}

// lacking is core.Description.Missing without undeclared values.
func lacking(d core.Description, n *core.Node) []string {
	d.Attributes = slices.DeleteFunc(slices.Clone(d.Attributes), func(a core.Attribute) bool {
		_, has := n.Attributes[a.Name]
		return has
	})
	return d.Missing(n)
}
