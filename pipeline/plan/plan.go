// Package plan chains capsules by their declarations alone: which run, in which stages, with
// the reason for every dependency and for every capsule that is left out.
//
// A capsule is READY when some class that it accepts is created by another running capsule
// and everything else that it requires of such a node is provided by running capsules. A
// required key of extra data that nobody declares leaves it UNPROVEN: it runs, and whether it
// gets nodes is seen on the frames, because many detectors give keys they do not declare. Any
// other capsule is BLOCKED. Nothing feeds backwards within a frame.
//
// A gate makes a capsule wait for those that create the gate's class. It never blocks: where
// nobody creates the class in time the capsule is UNGATED and runs on every frame.
//
// A plan depends on the set of capsules alone, not on their order.
package plan

import (
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// Capsule is what the planner knows of a capsule: its descriptions, valid and with options
// put in.
type Capsule struct {
	Name   string
	Input  core.Description
	Output core.Description
	Gate   string // the class of its gate; "": it waits for none
}

// Of gives the planner's view of a resolved declaration.
func Of(d core.Declaration) Capsule {
	return Capsule{Name: d.Name, Input: d.Input, Output: d.Output, Gate: d.Gate.Class}
}

// Plan is the order in which capsules see a frame. All lists are sorted by name; it is not to
// be changed once made.
type Plan struct {
	Stages   [][]string // run in order; the capsules of one run side by side
	Edges    []Edge     // every dependency, also those that follow from others
	Dropped  []Edge     // dependencies that would have fed backwards
	Unproven []Unproven // in the stages, but a required key is declared by nobody
	Blocked  []Blocked  // not in the stages
	Ungated  []Ungated  // in the stages, with a gate that cannot work
}

// Ungated is a capsule that runs on every frame although it has a gate, because no other
// capsule gives nodes of the class in time.
type Ungated struct {
	Capsule string
	Class   string
	Hint    string // what would make the gate work
}

// Edge says that To waits for From. Edges may share one Why. It has entries such as "class person", "trait tracked",
// "trait encoded", "attribute gait", "key confidence"; "any node" for a capsule that takes
// whatever there is; "gate motion" where nodes of From open the gate of To.
type Edge struct {
	From, To string
	Why      []string
}

// Unproven is a capsule with the keys of extra data that it requires and nobody declares.
type Unproven struct {
	Capsule string
	Keys    []string
}

// Blocked is a capsule that cannot run. Reason begins with "no class" or "missing trait"; Hint
// says what would bring it in.
type Blocked struct {
	Capsule string
	Reason  string
	Hint    string
}

// Make plans the active capsules. idle ones exist and are switched off: they appear in hints
// only. Two active capsules of one name, or one without a name, are a fault of kind Exists or
// Invalid.
func Make(active []Capsule, idle ...Capsule) (*Plan, error) {
	sorted := slices.Clone(active)
	slices.SortStableFunc(sorted, func(a, b Capsule) int { return strings.Compare(a.Name, b.Name) })
	for i, c := range sorted {
		if c.Name == "" {
			return nil, core.Faultf(core.Invalid, "plan", "", "a capsule has no name")
		}
		if i > 0 && sorted[i-1].Name == c.Name {
			return nil, core.Faultf(core.Exists, "plan", c.Name, "two capsules have this name")
		}
	}
	g := newGraph(sorted)
	g.admitAll()
	g.connect()
	g.dropGateCycles()
	g.dropBackward()
	p := &Plan{Stages: g.stages()}
	p.Edges, p.Dropped = g.edgeLists()
	p.Unproven = g.unproven()
	p.Blocked = g.blocked(idle)
	p.Ungated = g.ungated(idle)
	return p, nil
}

// Stage gives the stage of a capsule, from 0; -1 when it is not in the plan.
func (p *Plan) Stage(capsule string) int {
	for i, s := range p.Stages {
		if _, ok := slices.BinarySearch(s, capsule); ok {
			return i
		}
	}
	return -1
}

// Capsules counts those that run.
func (p *Plan) Capsules() int {
	n := 0
	for _, s := range p.Stages {
		n += len(s)
	}
	return n
}
