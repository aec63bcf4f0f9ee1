package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
)

// MaxNodes bounds the nodes of one frame; more are refused and counted as violations. It is
// also the step of node IDs from one frame to the next, which makes IDs the same in every run.
const MaxNodes = 9999

// written remembers which capsule of a stage set what on which node.
type written map[writtenKey]string

type writtenKey struct {
	node  core.NodeID
	field string
}

// apply puts the outcomes of a stage into the frame, in the order of capsule names: where two
// write the same, the later name wins and the conflict is counted.
func (w *walk) apply(outcomes []outcome) {
	seen := written{}
	for i := range outcomes {
		o := &outcomes[i]
		if o.err != nil {
			w.failed(o.station, o.err)
			continue
		}
		for j := range o.returns {
			w.applyReturn(o, &o.returns[j], seen)
		}
	}
}

// failed counts a call that gave nothing, and leaves out a capsule that is broken for good.
func (w *walk) failed(st *station, err error) {
	if errors.Is(err, context.Canceled) || core.KindOf(err) == core.Closed && w.session.walking.Err() != nil {
		return
	}
	reason := st.tally.failed(err)
	w.drops[st.name+": "+reason]++
	if held, ok := st.tally.said.ready(time.Now()); ok {
		w.session.log.Warn("capsule failed on a frame", "capsule", st.name, "seq", w.frame.Seq, "err", err, "not_said", held)
	}
	if st.capsule.Stats().State == CapsuleBroken {
		w.session.leaveOut(st, err)
	}
}

// applyReturn holds one return against the declaration and keeps what is right in it.
func (w *walk) applyReturn(o *outcome, r *core.Return, seen written) {
	st := o.station
	if r.Err != nil {
		w.failed(st, r.Err)
		return
	}
	err := w.fits(o, r)
	if err == nil {
		err = core.CheckReturn(st.decl.Input.Size, st.decl.Output.Size, r)
	}
	if err != nil {
		w.violated(st, err, uint64(max(1, len(r.Added)+len(r.Patches))))
		return
	}
	w.patch(o, r, seen)
	for _, n := range r.Added {
		w.add(st, n)
	}
}

// fits refuses a return that speaks of nodes the capsule was not given.
func (w *walk) fits(o *outcome, r *core.Return) error {
	known := func(id core.NodeID) bool {
		return slices.ContainsFunc(o.in, func(n *core.Node) bool { return n.ID == id && (r.Node == 0 || r.Node == id) })
	}
	single := o.station.decl.Input.Size == core.SizeSingle
	if single != (r.Node != 0) || (single && !known(r.Node)) {
		return core.Faultf(core.CapsuleGarbage, "return", "", "it is for node %d, which the capsule was not given", r.Node)
	}
	for _, id := range r.Effective(nil) {
		if !known(id) {
			return core.Faultf(core.CapsuleGarbage, "return", "", "it speaks of node %d, which the capsule was not given", id)
		}
	}
	return nil
}

// patch applies the patches of nodes that satisfy the declaration afterwards. Nodes that the
// capsule gave back unchanged are held against it too.
func (w *walk) patch(o *outcome, r *core.Return, seen written) {
	ids := make([]core.NodeID, len(o.in))
	for i, n := range o.in {
		ids[i] = n.ID
	}
	for _, id := range r.Effective(ids) {
		n := o.in[slices.Index(ids, id)]
		patches := patchesOf(r, id)
		if err := w.judge(o.station, patched(n, patches)); err != nil {
			w.violated(o.station, err, 1)
			continue
		}
		for _, p := range patches {
			w.conflicts(o.station, p, seen)
			p.Apply(n)
			if p.Encoding != nil {
				n.Encoder = o.station.decl.EncoderID()
			}
		}
		o.station.tally.count(&o.station.tally.nodes, 1)
	}
}

func patchesOf(r *core.Return, id core.NodeID) []*core.Patch {
	var list []*core.Patch
	for i := range r.Patches {
		if r.Patches[i].Node == id {
			list = append(list, &r.Patches[i])
		}
	}
	return list
}

// patched gives what n would be with the patches; it shares what they do not change.
func patched(n *core.Node, patches []*core.Patch) *core.Node {
	c := *n
	for _, p := range patches {
		if len(p.Attributes) > 0 {
			c.Attributes = maps.Clone(c.Attributes)
		}
		if len(p.ExtraData) > 0 {
			c.ExtraData = maps.Clone(c.ExtraData)
		}
		p.Apply(&c)
	}
	return &c
}

// judge holds a node against the capsule's output.
func (w *walk) judge(st *station, n *core.Node) error {
	ok, err := st.decl.Output.Describes(n)
	if err == nil && !ok {
		err = core.Faultf(core.CapsuleContract, "output", "", "a node of class %q lacks %v of what the capsule declares (%s)",
			n.Class, st.decl.Output.Missing(n), st.decl.Output)
	}
	return err
}

// conflicts counts values of p that replace another capsule's of the same stage.
func (w *walk) conflicts(st *station, p *core.Patch, seen written) {
	note := func(field string) {
		key := writtenKey{p.Node, field}
		if by, ok := seen[key]; ok && by != st.name {
			st.tally.count(&st.tally.conflicts, 1)
		}
		seen[key] = st.name
	}
	for _, a := range p.Attributes {
		note("attribute " + a.Name)
	}
	for k := range p.ExtraData {
		note("key " + k)
	}
	if p.Encoding != nil {
		note("encoding")
	}
	if p.TrackID != "" {
		note("track")
	}
}

// add gives a new node its ID and place.
func (w *walk) add(st *station, n *core.Node) {
	err := w.judge(st, n)
	switch {
	case err != nil:
	case len(n.Coords) == 0:
		err = core.Faultf(core.CapsuleContract, "output", "", "a node of class %q has no coords", n.Class)
	case w.added+countNodes(n) > MaxNodes:
		err = core.Faultf(core.CapsuleContract, "output", "", "more than %d nodes in one frame", MaxNodes)
	}
	if err != nil {
		w.violated(st, err, 1)
		return
	}
	w.number(st, n)
	w.nodes = append(w.nodes, n)
	st.tally.count(&st.tally.nodes, 1)
}

func countNodes(n *core.Node) int {
	total := 1
	for _, c := range n.Children {
		total += countNodes(c)
	}
	return total
}

func (w *walk) number(st *station, n *core.Node) {
	w.added++
	n.ID, n.Origin = core.NodeID(w.frame.Seq*(MaxNodes+1)+uint64(w.added)), st.name
	if n.Encoding != nil {
		n.Encoder = st.decl.EncoderID()
	}
	for _, c := range n.Children {
		w.number(st, c)
	}
}

// violated counts and, once a second, says that a capsule broke its declaration.
func (w *walk) violated(st *station, err error, nodes uint64) {
	st.tally.count(&st.tally.violations, nodes)
	if held, ok := st.tally.said.ready(time.Now()); ok {
		w.session.log.Warn("capsule broke its declaration; the node is dropped", "capsule", st.name, "seq", w.frame.Seq, "err", err, "not_said", held)
	}
}
