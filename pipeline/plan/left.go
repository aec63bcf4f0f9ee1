package plan

import (
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// unproven lists the admitted capsules that lack a declared key on every class that feeds them.
// A provider whose edge was dropped comes too late to count.
func (g *graph) unproven() []Unproven {
	list := []Unproven{}
	for i := range g.caps {
		c := &g.caps[i]
		if c.round == 0 || len(c.keys) == 0 {
			continue
		}
		if keys := g.missingKeys(int32(i)); len(keys) > 0 {
			u := Unproven{Capsule: g.names[i]}
			for _, t := range keys {
				u.Keys = append(u.Keys, g.reasons[t].name)
			}
			list = append(list, u)
		}
	}
	return list
}

// missingKeys gives the keys that no class has; where every key is on some class and yet no
// class has them all, it gives all that are missing somewhere.
func (g *graph) missingKeys(i int32) []int32 {
	c := &g.caps[i]
	given := g.keysInTime(i)
	count := map[int32]int{}
	viable := g.viable(c)
	for _, k := range viable {
		missing := 0
		for _, t := range c.keys {
			if !given[pair{t, k}] && !given[pair{t, -1}] {
				count[t]++
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
	}
	var everywhere, somewhere []int32
	for _, t := range c.keys {
		if count[t] == len(viable) {
			everywhere = append(everywhere, t)
		}
		if count[t] > 0 {
			somewhere = append(somewhere, t)
		}
	}
	if len(everywhere) > 0 {
		return everywhere
	}
	return somewhere
}

type pair struct{ trait, class int32 }

// keysInTime gives the keys, by class (-1: any), that come over edges which are kept.
func (g *graph) keysInTime(i int32) map[pair]bool {
	c := &g.caps[i]
	given := map[pair]bool{}
	for _, e := range g.preds[i] {
		if e.dropped {
			continue
		}
		p := &g.caps[e.from]
		for _, t := range c.keys {
			if _, ok := slices.BinarySearch(p.traits, t); !ok {
				continue
			}
			if len(p.classes) == 0 {
				given[pair{t, -1}] = true
			}
			for _, k := range p.classes {
				given[pair{t, k}] = true
			}
		}
	}
	return given
}

func (g *graph) blocked(idle []Capsule) []Blocked {
	list := []Blocked{}
	var offers []offer
	for i := range g.caps {
		if g.caps[i].round > 0 {
			continue
		}
		if offers == nil {
			offers = offersOf(idle)
		}
		list = append(list, g.explain(int32(i), offers))
	}
	return list
}

// offer is what a capsule would give that is switched off.
type offer struct {
	name  string
	adds  core.Description
	reach []string // classes whose nodes get its traits; empty: any
}

func offersOf(idle []Capsule) []offer {
	list := make([]offer, 0, len(idle))
	for _, c := range idle {
		o := offer{name: c.Name, adds: c.Input.Difference(c.Output), reach: c.Output.Detections}
		if len(o.reach) == 0 {
			o.reach = c.Input.Detections
		}
		list = append(list, o)
	}
	return list
}

// explain says why capsule i cannot run and what would let it.
func (g *graph) explain(i int32, idle []offer) Blocked {
	c := &g.caps[i]
	var near []int32 // accepted classes that are created, and lack the fewest traits
	var lacking []int32
	for _, k := range g.known {
		if !g.accepted(c, k) {
			continue
		}
		l := g.lacks(c, k)
		switch {
		case near == nil || len(l) < len(lacking) || len(l) == len(lacking) && slices.Compare(l, lacking) < 0:
			near, lacking = []int32{k}, l
		case slices.Equal(l, lacking):
			near = append(near, k)
		}
	}
	slices.Sort(near)
	b := Blocked{Capsule: g.names[i]}
	if near == nil {
		b.Reason, b.Hint = g.noClass(i, idle)
	} else {
		b.Reason, b.Hint = g.missingTrait(i, near, lacking, idle)
	}
	return b
}

func (g *graph) lacks(c *capsule, class int32) []int32 {
	var l []int32
	for _, t := range c.hard {
		if !g.has(t, class) {
			l = append(l, t)
		}
	}
	return l
}

func (g *graph) noClass(i int32, idle []offer) (why, hint string) {
	c := &g.caps[i]
	classes := g.texts(c.accepts)
	if len(classes) == 0 {
		why, hint = "no class: nobody gives any class", "add a capsule that finds something, such as a detector"
	} else {
		why = "no class: nobody gives any of [" + strings.Join(classes, ", ") + "]"
		hint = "add a capsule that gives nodes of class " + either(classes)
	}
	who := g.others(i, func(o *capsule) bool {
		return slices.ContainsFunc(o.creates, func(k int32) bool { return g.accepted(c, k) })
	})
	off := names(idle, func(o offer) bool {
		return slices.ContainsFunc(o.adds.Detections, func(k string) bool { return len(classes) == 0 || slices.Contains(classes, k) })
	})
	return why, hint + would(who, off)
}

func (g *graph) missingTrait(i int32, classes, traits []int32, idle []offer) (why, hint string) {
	c := g.texts(classes)
	t := make([]string, 0, len(traits))
	for _, x := range traits {
		t = append(t, g.reasons[x].short())
	}
	why = "missing trait: " + strings.Join(t, ", ") + " (class " + strings.Join(c, ", ") + ")"
	what := make([]string, 0, len(traits))
	for _, x := range traits {
		what = append(what, g.reasons[x].wanted())
	}
	hint = "add a capsule that gives " + strings.Join(what, " and ") + " of class " + either(c)
	who := g.others(i, func(o *capsule) bool {
		return intersect(o.traits, traits) && (len(o.classes) == 0 || intersect(o.classes, classes))
	})
	off := names(idle, func(o offer) bool { return o.gives(g.wanted(traits), c) })
	return why, hint + would(who, off)
}

func (g *graph) wanted(traits []int32) []reason {
	r := make([]reason, 0, len(traits))
	for _, t := range traits {
		r = append(r, g.reasons[t])
	}
	return r
}

// wanted names nodes that have the trait.
func (r reason) wanted() string {
	switch r.kind {
	case encoded:
		return "encoded nodes"
	case tracked:
		return "tracked nodes"
	default:
		return "the attribute " + r.name + " to nodes"
	}
}

// gives says whether it would add one of the traits to one of the classes.
func (o offer) gives(traits []reason, classes []string) bool {
	if len(o.reach) > 0 && !slices.ContainsFunc(o.reach, func(k string) bool { return slices.Contains(classes, k) }) {
		return false
	}
	return slices.ContainsFunc(traits, func(t reason) bool {
		switch t.kind {
		case encoded:
			return o.adds.Encoded
		case tracked:
			return o.adds.Tracked
		default:
			return slices.ContainsFunc(o.adds.Attributes, func(a core.Attribute) bool { return a.Name == t.name })
		}
	})
}

// others gives the blocked capsules, i apart, that would give what i lacks.
func (g *graph) others(i int32, would func(*capsule) bool) []string {
	var list []string
	for j := range g.caps {
		if int32(j) != i && g.caps[j].round == 0 && would(&g.caps[j]) {
			list = append(list, g.names[j])
		}
	}
	return list
}

func names(list []offer, keep func(offer) bool) []string {
	var n []string
	for _, o := range list {
		if keep(o) {
			n = append(n, o.name)
		}
	}
	slices.Sort(n)
	return n
}

func would(blocked, idle []string) string {
	var s string
	if len(idle) > 0 {
		s += "; switched off, and it would help: " + strings.Join(few(idle), ", ")
	}
	if len(blocked) > 0 {
		s += "; it would help, but is left out itself: " + strings.Join(few(blocked), ", ")
	}
	return s
}

// few keeps a sentence readable.
func few(list []string) []string {
	if len(list) <= 5 {
		return list
	}
	return append(slices.Clone(list[:5]), "…")
}

func either(list []string) string {
	list = few(list)
	if len(list) == 1 {
		return list[0]
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

// texts gives the names of classes in their order.
func (g *graph) texts(list []int32) []string {
	t := make([]string, 0, len(list))
	for _, x := range list {
		t = append(t, g.reasons[x].name)
	}
	return t
}

func intersect(a, b []int32) bool {
	return slices.ContainsFunc(a, func(x int32) bool { return slices.Contains(b, x) })
}
