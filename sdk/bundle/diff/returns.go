package diff

import (
	"fmt"

	"github.com/capstan-video/capstan/core"
)

// addedFrom is the ID of the first node that a return adds: beyond those of any session.
const addedFrom = core.NodeID(1) << 62

// Returns gives what changed between two answers of a capsule to the same call. input are the
// nodes that it was given. An error in place of an answer is a change unless both have one.
func (c *Comparer) Returns(capsule string, seq uint64, pts core.PTS, input []*core.Node, recorded, replayed Answer) []Change {
	changes := c.returns(seq, pts, input, recorded, replayed)
	for i := range changes {
		changes[i].Capsule = capsule
	}
	return changes
}

// Answer is what came of one call.
type Answer struct {
	Returns []core.Return
	Err     error // of the whole call
}

func (a Answer) failure() error {
	if a.Err != nil {
		return a.Err
	}
	for i := range a.Returns {
		if a.Returns[i].Err != nil {
			return a.Returns[i].Err
		}
	}
	return nil
}

func (c *Comparer) returns(seq uint64, pts core.PTS, input []*core.Node, recorded, replayed Answer) []Change {
	a, b := recorded.failure(), replayed.failure()
	if (a == nil) != (b == nil) {
		return []Change{{Seq: seq, PTS: pts.Seconds(), Kind: Failure, Recorded: text(a), Replayed: text(b)}}
	}
	if recorded.Err != nil && replayed.Err != nil {
		return nil
	}
	changes := c.Frame(seq, pts, Outcome(input, recorded.Returns), Outcome(input, replayed.Returns))
	if x, y := forms(recorded.Returns), forms(replayed.Returns); len(changes) == 0 && x != y {
		changes = append(changes, Change{Seq: seq, PTS: pts.Seconds(), Kind: Form, Recorded: x, Replayed: y})
	}
	return changes
}

func text(err error) any {
	if err == nil {
		return nil
	}
	return err.Error()
}

// forms writes the forms of returns: what of a return is not in the nodes.
func forms(list []core.Return) string {
	s := ""
	for i := range list {
		r := &list[i]
		s += fmt.Sprintf("%s for %d of %v; ", r.Kind, r.Node, r.Returned)
	}
	return s
}

// Outcome gives copies of the nodes as they are with the returns on them, the added ones last.
func Outcome(input []*core.Node, returns []core.Return) []*core.Node {
	nodes := make([]*core.Node, 0, len(input))
	byID := map[core.NodeID]*core.Node{}
	for _, n := range input {
		n = n.Clone()
		byID[n.ID] = n
		nodes = append(nodes, n)
	}
	for i := range returns {
		r := &returns[i]
		for j := range r.Patches {
			if n := byID[r.Patches[j].Node]; n != nil {
				r.Patches[j].Apply(n)
			}
		}
		for _, n := range r.Added {
			n = n.Clone()
			n.ID = addedFrom + core.NodeID(len(nodes))
			nodes = append(nodes, n)
		}
	}
	return nodes
}
