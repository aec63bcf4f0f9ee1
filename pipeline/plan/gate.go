package plan

import "slices"

// dropGateCycles removes, inside every cycle, the edges that are there for a gate alone: a gate
// must not change who feeds whom.
func (g *graph) dropGateCycles() {
	if !g.anyGate() || !g.anyBackward() {
		return
	}
	component := g.components()
	for to := range g.preds {
		for j := range g.preds[to] {
			e := &g.preds[to][j]
			e.dropped = e.count == 1 && g.why[e.first] == g.caps[to].gate && component[e.from] == component[to]
		}
	}
}

func (g *graph) anyGate() bool {
	return slices.ContainsFunc(g.caps, func(c capsule) bool { return c.round > 0 && c.opener >= 0 })
}

// ungated lists the admitted capsules whose gate no edge keeps.
func (g *graph) ungated(idle []Capsule) []Ungated {
	list := []Ungated{}
	for i := range g.caps {
		c := &g.caps[i]
		if c.round == 0 || c.gate < 0 || g.gateWorks(i) {
			continue
		}
		class := g.reasons[c.gate].name
		late := g.others(int32(i), func(o *capsule) bool { return slices.Contains(o.creates, c.opener) })
		off := names(offersOf(idle), func(o offer) bool { return slices.Contains(o.adds.Detections, class) })
		list = append(list, Ungated{
			Capsule: g.names[i], Class: class,
			Hint: "add a capsule that gives nodes of class " + class + would(late, off),
		})
	}
	return list
}

func (g *graph) gateWorks(to int) bool {
	return slices.ContainsFunc(g.preds[to], func(e edge) bool {
		return !e.dropped && slices.Contains(g.reasonsOf(e), g.caps[to].gate)
	})
}

// GateWorks says whether another capsule opens the gate of this one, which has one.
func (p *Plan) GateWorks(capsule string) bool {
	return !slices.ContainsFunc(p.Ungated, func(u Ungated) bool { return u.Capsule == capsule })
}
