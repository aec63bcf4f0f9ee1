package conform

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire"
	"google.golang.org/protobuf/proto"
)

// rules holds every return of a run against the declaration. Its methods may be called from
// several goroutines.
type rules struct {
	decl core.Declaration

	mu     sync.Mutex
	frames int
	nodes  int // that were added or patched
	wrong  map[string]*findings
	notes  map[string]*findings
	length int // of encodings; 0: none was seen
	traits map[string]bool
}

func newRules(d core.Declaration) *rules {
	return &rules{decl: d, wrong: map[string]*findings{}, notes: map[string]*findings{}, traits: map[string]bool{}}
}

// verdict gives what was gathered for a rule, or why it does not apply.
func (r *rules) verdict(rule string) (wrong, notes []Finding, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.wrong[rule]; l != nil {
		wrong = l.all()
	}
	if l := r.notes[rule]; l != nil {
		notes = l.all()
	}
	o := r.decl.Output
	declares := map[string]bool{"attributes": len(o.Attributes) > 0, "extra_data": len(o.ExtraData) > 0, "encodings": o.Encoded, "tracks": o.Tracked}
	declared, has := declares[rule]
	switch {
	case len(wrong)+len(notes) > 0:
	case r.frames == 0:
		reason = "not one frame was answered"
	case has && !declared && !r.traits[rule]:
		reason = "it declares none and gives none"
	case r.nodes == 0 && rule != "returns":
		reason = "it gave no node on any frame; try it with pictures that have what it looks for"
	}
	return wrong, notes, reason
}

// at collects the findings of one node.
type at struct {
	*rules
	where string
}

func (a at) fail(rule, mend, format string, args ...any) {
	list(a.wrong, rule).add(fmt.Sprintf(format, args...), mend, a.where)
}

func (a at) note(rule, mend, format string, args ...any) {
	list(a.notes, rule).add(fmt.Sprintf(format, args...), mend, a.where)
}

func list(m map[string]*findings, rule string) *findings {
	if m[rule] == nil {
		m[rule] = &findings{}
	}
	return m[rule]
}

// wrote notes that the pixels of a frame were changed.
func (r *rules) wrote(where string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at{r, where}.fail("pixels", "Copy what you want to change: other capsules see the same memory, and over a process it is mapped read-only, so that writing to it ends the capsule.",
		"it wrote to the pixels of the frame")
}

// judge holds the returns for one frame against d; input are the nodes that the capsule was given.
func (r *rules) judge(d core.Declaration, input []*core.Node, returns []core.Return, f *Frame, where string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames++
	a := at{r, where}
	want := 1
	if d.Input.Size == core.SizeSingle {
		want = len(input)
	}
	if len(returns) != want {
		a.fail("returns", "Give one return for each call.", "%d returns, want %d", len(returns), want)
	}
	served := map[core.NodeID]bool{}
	for i := range returns {
		if returns[i].Err != nil {
			continue // the case says it
		}
		a.form(d, &returns[i], input, served)
		a.content(d, &returns[i], input, f)
	}
}

// form checks the form of a return and the nodes that it names.
func (a at) form(d core.Declaration, ret *core.Return, input []*core.Node, served map[core.NodeID]bool) {
	if err := core.CheckReturn(d.Input.Size, d.Output.Size, ret); err != nil {
		a.fail("returns", fmt.Sprintf("A capsule that takes %s and gives %s returns %s.", d.Input.Size, d.Output.Size, forms(d)), "%v", err)
	}
	known := func(id core.NodeID) bool {
		return slices.ContainsFunc(input, func(n *core.Node) bool { return n.ID == id && (ret.Node == 0 || ret.Node == id) })
	}
	if single := d.Input.Size == core.SizeSingle; single != (ret.Node != 0) || single && (!known(ret.Node) || served[ret.Node]) {
		a.fail("returns", "Answer each node that it was called for, once.", "a return is for node %d, which it was not called for, or twice", ret.Node)
	}
	served[ret.Node] = true
	seen := map[core.NodeID]bool{}
	for _, id := range ret.Returned {
		if seen[id] {
			a.fail("returns", "Give back each node once.", "it gave a node back twice")
		}
		seen[id] = true
	}
	for _, id := range ret.Effective(nil) {
		if !known(id) && id != 0 {
			a.fail("returns", "Give back and change nodes of this frame and this call only; do not keep them.", "it returned a node that it was not given")
		}
	}
	for _, n := range ret.Added {
		a.survives(n)
	}
}

// forms says which returns are right for a declaration.
func forms(d core.Declaration) string {
	switch in, out := d.Input.Size, d.Output.Size; {
	case out == core.SizeAll && in == core.SizeAll:
		return "nothing (all of its nodes are as they should be) or a list"
	case out == core.SizeAll:
		return "a list, an empty one for nothing"
	case in == core.SizeSingle:
		return "nothing (its node as it was changed) or one node"
	default:
		return "exactly one node"
	}
}

// survives checks that a node arrives as it was sent.
func (a at) survives(n *core.Node) {
	m := wire.EncodeNode(n)
	text, err := proto.Marshal(m)
	var got wire.Node
	if err == nil {
		err = proto.Unmarshal(text, &got)
	}
	var back *core.Node
	if err == nil {
		back, err = wire.DecodeNode(&got)
	}
	if err != nil || !proto.Equal(wire.EncodeNode(back), m) {
		a.fail("returns", "Texts are UTF-8, numbers finite, children no deeper than a node needs.", "a node of class %q does not survive the way to the engine: %v", n.Class, err)
	}
}

// content checks the nodes that are part of a return.
func (a at) content(d core.Declaration, ret *core.Return, input []*core.Node, f *Frame) {
	ids := make([]core.NodeID, len(input))
	for i, n := range input {
		ids[i] = n.ID
	}
	for _, id := range ret.Effective(ids) {
		i := slices.Index(ids, id)
		if i < 0 {
			continue
		}
		n := input[i].Clone()
		set := core.Node{}
		for j := range ret.Patches {
			if ret.Patches[j].Node == id {
				ret.Patches[j].Apply(n)
				ret.Patches[j].Apply(&set)
			}
		}
		a.node(d, n, &set)
	}
	for _, n := range ret.Added {
		a.node(d, n, n)
		a.outline(n, f)
	}
}

// node holds a node against the output; set has what the capsule itself put on it.
func (a at) node(d core.Declaration, n, set *core.Node) {
	a.nodes++
	out := d.Output
	if len(out.Detections) > 0 && !slices.Contains(out.Detections, n.Class) {
		a.fail("classes", "Declare the class under output, or do not give such nodes.", "class %q is not declared (declared: %v)", n.Class, out.Detections)
		return // the rest is declared for other classes
	}
	a.attributes(out, n, set)
	a.extra(out, n, set)
	a.encoding(d, n, set)
	a.track(out, n, set)
}

func (a at) attributes(out core.Description, n, set *core.Node) {
	for _, c := range out.Attributes {
		v, ok := n.Attributes[c.Name]
		switch {
		case !ok:
			a.fail("attributes", "Set it on every node, or take it out of the declared output.", "a node of class %q lacks the declared attribute %s", n.Class, c.Name)
		case !slices.Contains(c.Values, v):
			a.fail("attributes", "Declare the value, or use one of those declared.", "attribute %s=%q is not declared (declared: %v)", c.Name, v, c.Values)
		}
	}
	for name := range set.Attributes {
		a.traits["attributes"] = true
		if !slices.ContainsFunc(out.Attributes, func(c core.Attribute) bool { return c.Name == name }) {
			a.note("attributes", "Declare it, so that other capsules can build on it.", "attribute %s is given and not declared", name)
		}
	}
}

func (a at) extra(out core.Description, n, set *core.Node) {
	for _, k := range out.ExtraData {
		if _, ok := n.ExtraData[k]; !ok {
			a.fail("extra_data", "Set it on every node (null is fine), or take it out of the declared output.", "a node of class %q lacks the declared key %s", n.Class, k)
		}
	}
	for k, raw := range set.ExtraData {
		a.traits["extra_data"] = true
		if !json.Valid(raw) {
			a.fail("extra_data", "Give it as JSON.", "key %s is not JSON: %.40q", k, raw)
		}
		if !slices.Contains(out.ExtraData, k) {
			a.note("extra_data", "Declare it, so that other capsules can build on it.", "key %s is given and not declared", k)
		}
	}
	if c, ok := set.ExtraData.Float("confidence"); ok && (c < 0 || c > 1) {
		a.fail("extra_data", "Confidence is within 0..1.", "a node of class %q has confidence %v", n.Class, c)
	}
}

func (a at) encoding(d core.Declaration, n, set *core.Node) {
	if d.Output.Encoded && n.Encoding == nil {
		a.fail("encodings", "Encode every node, or take encoded out of the declared output.", "a node of class %q has no encoding", n.Class)
	}
	if set.Encoding == nil {
		return
	}
	a.traits["encodings"] = true
	if !d.Output.Encoded {
		a.fail("encodings", "Declare encoded, metric and recognition_threshold: nobody knows how to compare it otherwise.", "it gives an encoding and does not declare it")
	}
	for _, v := range set.Encoding {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			a.fail("encodings", "Leave out what has no finite encoding.", "an encoding has a value that is not finite")
			break
		}
	}
	switch {
	case len(set.Encoding) == 0:
		a.fail("encodings", "Leave it unset where there is none.", "an encoding is empty")
	case a.length == 0:
		a.rules.length = len(set.Encoding)
	case a.length != len(set.Encoding):
		a.fail("encodings", "All encodings of a capsule have one length, or they cannot be compared.", "encodings have %d and %d values", a.length, len(set.Encoding))
	}
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

func (a at) track(out core.Description, n, set *core.Node) {
	if out.Tracked && n.TrackID == "" {
		a.fail("tracks", "Give every node that is returned a track, or do not return those without.", "a node of class %q has no track", n.Class)
	}
	if set.TrackID == "" {
		return
	}
	a.traits["tracks"] = true
	if !out.Tracked {
		a.fail("tracks", "Declare tracked: capsules that need tracks are not fed otherwise.", "it gives a track and does not declare it")
	}
	if !uuid.MatchString(string(set.TrackID)) {
		a.note("tracks", "Make it a UUID, so that tracks of several capsules and runs never meet.", "track %.40q is not a UUID", set.TrackID)
	}
}

// farAway is how many pixels beyond a frame (and its size once more) are no place for a node.
const farAway = 1000

// outline checks where an added node and its children lie.
func (a at) outline(n *core.Node, f *Frame) {
	if len(n.Coords) == 0 {
		a.fail("coords", "Give every node an outline; the whole frame, if need be.", "a node of class %q has no outline", n.Class)
		return
	}
	for _, p := range n.Coords {
		if math.IsNaN(p.X+p.Y) || math.IsInf(p.X+p.Y, 0) {
			a.fail("coords", "Drop what has no place.", "a node of class %q lies at %v", n.Class, p)
			return
		}
	}
	w, h := float64(f.Info.Caps.Width)+farAway, float64(f.Info.Caps.Height)+farAway
	if b := n.Coords.Box(); b.X2 < -w || b.Y2 < -h || b.X1 > 2*w || b.Y1 > 2*h {
		a.fail("coords", "Outlines are measured in the pixels of the picture that the capsule is given.", "a node of class %q lies far outside of its frame", n.Class)
	}
	for _, c := range n.Children {
		a.outline(c, f)
	}
}
