package plan

import "slices"

// graph works on numbers: capsules by their place in the sorted list; classes and traits by
// their place among all reasons ("class car", "key confidence"…) in text order, so that a
// sorted list of numbers is a sorted list of texts.
type graph struct {
	names   []string
	caps    []capsule
	reasons []reason
	classes []int32 // the reasons that are classes

	// Who wants what; fixed. By reason.
	accepts   [][]int32 // class → capsules that name it
	requirers [][]int32 // trait → capsules that require it
	wildcards []int32   // capsules that take any class

	// What the admitted capsules give; grows with every round. By reason.
	created  []int32 // class → number of admitted creators
	provided []bits  // trait → classes for which it is provided
	anyClass []bool  // trait → whether it is provided for every class
	known    []int32 // classes that are created, in the order of their appearance

	ready, maybe []int32 // candidates of the next round

	preds [][]edge // per capsule: those it waits for, ascending
	why   []int32  // the reasons of all edges, each list ascending
}

// bits is a set of small numbers; it grows when it is first written.
type bits []uint64

func (b bits) has(i int32) bool { return len(b) > 0 && b[i>>6]&(1<<(i&63)) != 0 }

// edge is a dependency on capsule from, for the reasons graph.why[first:first+count]. It has
// no pointers, because there may be hundreds of thousands.
type edge struct {
	from, first, count int32
	dropped            bool
}

// capsule is the planner's reading of a Capsule. Lists are ascending.
type capsule struct {
	none      bool    // takes the frame alone
	accepts   []int32 // classes; empty: any
	hard      []int32 // required traits without which it is blocked
	keys      []int32 // required keys of extra data
	creates   []int32 // classes that are new in its output
	traits    []int32 // what its output adds
	classes   []int32 // classes whose nodes get the traits; empty: any
	gate      int32   // the reason of its gate; -1: it has none
	opener    int32   // the class that opens it; -1: nobody speaks of it
	round     int     // of its admission, from 1; 0: not admitted
	candidate state
}

type state int

const (
	unfed    state = iota // no class with all hard traits
	possible              // a key is missing on every such class
	fed
)

// takesAll says whether the capsule takes whatever there is.
func (c *capsule) takesAll() bool {
	return !c.none && len(c.accepts) == 0 && len(c.hard) == 0 && len(c.keys) == 0
}

func newGraph(sorted []Capsule) *graph {
	in := newInterner(sorted)
	n := len(in.reasons)
	g := &graph{
		reasons: in.reasons, accepts: make([][]int32, n), requirers: make([][]int32, n),
		created: make([]int32, n), provided: make([]bits, n), anyClass: make([]bool, n),
	}
	for i, r := range g.reasons {
		if r.kind == aClass {
			g.classes = append(g.classes, int32(i))
		}
	}
	for i, c := range sorted {
		g.names = append(g.names, c.Name)
		g.caps = append(g.caps, in.read(&sorted[i]))
		g.index(int32(i))
	}
	return g
}

func (g *graph) index(i int32) {
	c := &g.caps[i]
	if c.none {
		return
	}
	for _, k := range c.accepts {
		g.accepts[k] = append(g.accepts[k], i)
	}
	if len(c.accepts) == 0 {
		g.wildcards = append(g.wildcards, i)
	}
	for _, t := range c.hard {
		g.requirers[t] = append(g.requirers[t], i)
	}
	for _, t := range c.keys {
		g.requirers[t] = append(g.requirers[t], i)
	}
}

// admitAll finds the least set of capsules that feed each other. A round admits all that are
// ready; one that finds none admits those that only lack keys.
func (g *graph) admitAll() {
	for i := range g.caps {
		if g.caps[i].none {
			g.ready = append(g.ready, int32(i))
		}
	}
	for round := 1; ; round++ {
		batch := g.ready
		g.ready = nil
		if len(batch) == 0 {
			batch, g.maybe = g.maybe, nil
		}
		admitted := false
		for _, i := range batch {
			if g.caps[i].round == 0 {
				g.caps[i].round, admitted = round, true
				g.admit(i)
			}
		}
		if !admitted && len(g.ready) == 0 && len(g.maybe) == 0 {
			return
		}
	}
}

// admit adds what capsule i gives, and looks again at every capsule and class for which that
// makes a difference.
func (g *graph) admit(i int32) {
	c := &g.caps[i]
	for _, k := range c.creates {
		if g.created[k]++; g.created[k] == 1 {
			g.known = append(g.known, k)
			g.lookAgain(g.accepts[k], k)
			g.lookAgain(g.wildcards, k)
		}
	}
	for _, t := range c.traits {
		if len(c.classes) == 0 {
			if !g.anyClass[t] {
				g.anyClass[t] = true
				for _, k := range g.known {
					g.lookAgain(g.requirers[t], k)
				}
			}
			continue
		}
		if g.provided[t] == nil {
			g.provided[t] = make(bits, len(g.reasons)>>6+1)
		}
		for _, k := range c.classes {
			if !g.provided[t].has(k) {
				g.provided[t][k>>6] |= 1 << (k & 63)
				g.lookAgain(g.requirers[t], k)
			}
		}
	}
}

func (g *graph) lookAgain(list []int32, class int32) {
	for _, i := range list {
		c := &g.caps[i]
		if c.round > 0 || c.candidate == fed || !g.accepted(c, class) || g.created[class] == 0 {
			continue
		}
		s := g.feeds(c, class)
		if s <= c.candidate {
			continue
		}
		c.candidate = s
		if s == fed {
			g.ready = append(g.ready, i)
		} else {
			g.maybe = append(g.maybe, i)
		}
	}
}

func (g *graph) accepted(c *capsule, class int32) bool {
	if len(c.accepts) == 0 {
		return true
	}
	_, ok := slices.BinarySearch(c.accepts, class)
	return ok
}

func (g *graph) feeds(c *capsule, class int32) state {
	for _, t := range c.hard {
		if !g.has(t, class) {
			return unfed
		}
	}
	for _, t := range c.keys {
		if !g.has(t, class) {
			return possible
		}
	}
	return fed
}

func (g *graph) has(trait, class int32) bool {
	return g.anyClass[trait] || g.provided[trait].has(class)
}

// viable gives the classes by which an admitted capsule is fed: accepted, created by another
// capsule, with all hard traits. What a capsule adds it never requires, so only its own
// classes need be left out.
func (g *graph) viable(c *capsule) []int32 {
	candidates := c.accepts
	if len(candidates) == 0 {
		candidates = g.classes
	}
	v := make([]int32, 0, len(candidates))
	for _, k := range candidates {
		others := g.created[k]
		if _, own := slices.BinarySearch(c.creates, k); own {
			others--
		}
		if others > 0 && g.feeds(c, k) != unfed {
			v = append(v, k)
		}
	}
	return v
}
