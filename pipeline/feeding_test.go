package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/hashicorp/go-hclog"
)

// engineOf gives an engine over media with the given capsules, closed at the end of the test.
func engineOf(t testing.TB, media pipeline.Media, capsules ...*pipelinetest.Capsule) *pipeline.Engine {
	t.Helper()
	e := pipeline.New(media, hclog.NewNullLogger())
	for _, c := range capsules {
		if err := e.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
		for _, c := range capsules {
			if n := c.OpenStreams(); n != 0 {
				t.Errorf("capsule %s: %d streams are still open", c.Decl.Name, n)
			}
		}
	})
	return e
}

func open(t testing.TB, e *pipeline.Engine, job pipeline.Job) *pipeline.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := e.Open(ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// play takes every result until the end and gives them, released.
func play(t *testing.T, s *pipeline.Session) []*pipeline.Result {
	t.Helper()
	list, err := playToError(t, s)
	if !errors.Is(err, io.EOF) {
		t.Fatalf("the session ended with %v, want io.EOF", err)
	}
	return list
}

func playToError(t *testing.T, s *pipeline.Session) ([]*pipeline.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var list []*pipeline.Result
	for {
		r, err := s.Next(ctx)
		if err != nil {
			return list, err
		}
		r.Release()
		list = append(list, r)
	}
}

func declare(name string, in, out core.Description) core.Declaration {
	if in.Size == 0 {
		in.Size = core.SizeNone
	}
	return core.Declaration{Name: name, Version: "1", API: core.APIVersion, Input: in, Output: out}
}

func node(class string, extra ...string) *core.Node {
	n := &core.Node{Class: class, Coords: core.Rect(1, 2, 11, 22)}
	for _, k := range extra {
		if err := n.ExtraData.Set(k, 0.9); err != nil {
			panic(err)
		}
	}
	return n
}

// The chain of the worked example: a detector, a tracker that wants a confidence, and a speed
// calculator for anything tracked.
var (
	pvb = declare("detector_pvb", core.Description{}, core.Description{Size: core.SizeAll, Detections: []string{"vehicle", "person", "bike"}})
	trk = declare("tracker_iou",
		core.Description{Size: core.SizeAll, Detections: []string{"vehicle", "bike", "person"}, ExtraData: []string{"confidence"}},
		core.Description{Size: core.SizeAll, Detections: []string{"vehicle", "bike", "person"}, ExtraData: []string{"confidence"}, Tracked: true})
	spd = declare("speed", core.Description{Size: core.SizeSingle, Tracked: true},
		core.Description{Size: core.SizeSingle, Tracked: true, ExtraData: []string{"speed"}})
	gender = declare("gender", core.Description{Size: core.SizeSingle, Detections: []string{"person"}},
		core.Description{Size: core.SizeSingle, Detections: []string{"person"}, Attributes: []core.Attribute{{Name: "gender", Values: []string{"m", "f"}}}})
	outfit = declare("outfit",
		core.Description{Size: core.SizeSingle, Detections: []string{"person"}, Attributes: []core.Attribute{{Name: "gender", Values: []string{"m", "f"}}}},
		core.Description{Size: core.SizeSingle, Detections: []string{"person"}, Attributes: []core.Attribute{
			{Name: "gender", Values: []string{"m", "f"}}, {Name: "outfit", Values: []string{"suit"}},
		}})
)

func tracking(n *core.Node) core.Patch {
	return core.Patch{TrackID: core.TrackID("track of " + n.Class)}
}

func speeding(*core.Node) core.Patch {
	return core.Patch{ExtraData: core.ExtraData{"speed": []byte("null")}}
}

// attribute gives a patch function that sets an attribute, nothing when the value is empty.
func attribute(name, value string) func(*core.Node) core.Patch {
	return func(*core.Node) core.Patch {
		if value == "" {
			return core.Patch{}
		}
		return core.Patch{Attributes: []core.AttributeValue{{Name: name, Value: value}}}
	}
}

func detecting(d core.Declaration, nodes ...*core.Node) *pipelinetest.Capsule {
	return &pipelinetest.Capsule{Decl: d, ProcessFunc: pipelinetest.Finding(func(uint64) []*core.Node {
		var fresh []*core.Node
		for _, n := range nodes {
			fresh = append(fresh, n.Clone())
		}
		return fresh
	})}
}

func patching(d core.Declaration, f func(*core.Node) core.Patch) *pipelinetest.Capsule {
	return &pipelinetest.Capsule{Decl: d, ProcessFunc: pipelinetest.Patching(d, f)}
}

// fed lists the classes of each call's nodes.
func fed(c *pipelinetest.Capsule) [][]string {
	list := [][]string{}
	for _, call := range c.Calls() {
		classes := []string{}
		for _, n := range call.Nodes {
			classes = append(classes, n.Class)
		}
		list = append(list, classes)
	}
	return list
}

// feeding is a row of the feeding tables of the capsule contract.
type feeding struct {
	name     string
	capsules []*pipelinetest.Capsule
	fed      map[string][][]string
	nodes    []string
	starved  map[string]string // capsule → what its nodes lack
	violates string            // a capsule with violations
}

func feedings() []feeding {
	face := declare("detector_face", core.Description{}, core.Description{Size: core.SizeAll, Detections: []string{"face"}})
	faceFast := declare("detector_face_fast", core.Description{}, core.Description{Size: core.SizeAll, Detections: []string{"face"}})
	wild := func(name, class string) core.Declaration {
		return declare(name, core.Description{Size: core.SizeAll}, core.Description{Size: core.SizeAll, Detections: []string{class}})
	}
	emit := func(d core.Declaration, class string) *pipelinetest.Capsule { return detecting(d, node(class)) }
	single := func(name, class, attr string) core.Declaration {
		return declare(name, core.Description{Size: core.SizeSingle, Detections: []string{class}},
			core.Description{Size: core.SizeSingle, Detections: []string{class}, Attributes: []core.Attribute{{Name: attr, Values: []string{"yes"}}}})
	}
	compare := declare("identitycard", core.Description{Size: core.SizeAll, Detections: []string{"face"}},
		core.Description{Size: core.SizeAll, Detections: []string{"face_compare"}})
	return []feeding{
		{
			name: "FD1 all three are tracked and measured",
			capsules: []*pipelinetest.Capsule{
				detecting(pvb, node("person", "confidence"), node("vehicle", "confidence"), node("bike", "confidence")),
				patching(trk, tracking), patching(spd, speeding),
			},
			fed:   map[string][][]string{"detector_pvb": {{}}, "tracker_iou": {{"person", "vehicle", "bike"}}, "speed": {{"person", "vehicle", "bike"}}},
			nodes: []string{"person", "vehicle", "bike"},
		},
		{
			name:     "FD2 nothing found: the tracker is called with an empty list, the calculator not at all",
			capsules: []*pipelinetest.Capsule{detecting(pvb), patching(trk, tracking), patching(spd, speeding)},
			fed:      map[string][][]string{"detector_pvb": {{}}, "tracker_iou": {{}}, "speed": {}},
		},
		{
			name:     "FD3 a key is missing everywhere: the tracker starves and it is said",
			capsules: []*pipelinetest.Capsule{detecting(pvb, node("person"), node("vehicle")), patching(trk, tracking), patching(spd, speeding)},
			fed:      map[string][][]string{"tracker_iou": {{}}, "speed": {}},
			nodes:    []string{"person", "vehicle"},
			starved:  map[string]string{"tracker_iou": "key confidence", "speed": "track"},
		},
		{
			name:     "FD4 a key is missing on one: it stays, untracked",
			capsules: []*pipelinetest.Capsule{detecting(pvb, node("person", "confidence"), node("vehicle")), patching(trk, tracking), patching(spd, speeding)},
			fed:      map[string][][]string{"tracker_iou": {{"person"}}, "speed": {{"person"}}},
			nodes:    []string{"person", "vehicle"},
			starved:  map[string]string{"tracker_iou": "key confidence", "speed": "track"},
		},
		{
			name: "FD5 two faces for every capsule; a new class joins",
			capsules: []*pipelinetest.Capsule{
				detecting(face, node("face"), node("face")), patching(single("mask", "face", "mask"), attribute("mask", "yes")),
				patching(single("smile", "face", "smile"), attribute("smile", "yes")), emit(compare, "face_compare"),
			},
			fed:   map[string][][]string{"mask": {{"face", "face"}}, "smile": {{"face", "face"}}, "identitycard": {{"face", "face"}}},
			nodes: []string{"face", "face", "face_compare"},
		},
		{
			name:     "FD6 a wildcard's own output is not fed back",
			capsules: []*pipelinetest.Capsule{detecting(pvb, node("person")), emit(wild("filter", "filter_confirmed"), "filter_confirmed")},
			fed:      map[string][][]string{"filter": {{"person"}}},
			nodes:    []string{"person", "filter_confirmed"},
		},
		{
			name:     "FD8 a declared value feeds the next",
			capsules: []*pipelinetest.Capsule{detecting(pvb, node("person")), patching(gender, attribute("gender", "m")), patching(outfit, attribute("outfit", "suit"))},
			fed:      map[string][][]string{"gender": {{"person"}}, "outfit": {{"person"}}},
			nodes:    []string{"person"},
		},
		{
			name:     "FD8 a missing value feeds nobody",
			capsules: []*pipelinetest.Capsule{detecting(pvb, node("person")), patching(gender, attribute("gender", "")), patching(outfit, attribute("outfit", "suit"))},
			fed:      map[string][][]string{"gender": {{"person"}}, "outfit": {}},
			nodes:    []string{"person"}, violates: "gender",
			starved: map[string]string{"outfit": "attribute gender"},
		},
		{
			name:     "FD8 an undeclared value is the producer's violation",
			capsules: []*pipelinetest.Capsule{detecting(pvb, node("person")), patching(gender, attribute("gender", "x")), patching(outfit, attribute("outfit", "suit"))},
			fed:      map[string][][]string{"gender": {{"person"}}, "outfit": {}},
			nodes:    []string{"person"}, violates: "gender",
			starved: map[string]string{"outfit": "attribute gender"},
		},
		{
			name:     "FD9 of two wildcards the later one by name sees the other's node",
			capsules: []*pipelinetest.Capsule{detecting(pvb, node("person")), emit(wild("w1", "w1"), "w1"), emit(wild("w2", "w2"), "w2")},
			fed:      map[string][][]string{"w1": {{"person"}}, "w2": {{"person", "w1"}}},
			nodes:    []string{"person", "w1", "w2"},
		},
		{
			name: "FD11 two detectors find the same face: both stay",
			capsules: []*pipelinetest.Capsule{
				detecting(face, node("face")), detecting(faceFast, node("face")), patching(single("mask", "face", "mask"), attribute("mask", "yes")),
			},
			fed:   map[string][][]string{"mask": {{"face", "face"}}},
			nodes: []string{"face", "face"},
		},
	}
}

// TestFeeding runs the feeding tables of the capsule contract: one frame, and what each capsule
// was called with. A capsule for single nodes gets all of a frame's in one call.
func TestFeeding(t *testing.T) {
	t.Parallel()
	for _, tt := range feedings() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 1}), tt.capsules...)
			s := open(t, e, pipeline.Job{})
			results := play(t, s)
			if len(results) != 1 {
				t.Fatalf("%d results, want 1", len(results))
			}
			for _, c := range tt.capsules {
				if want, ok := tt.fed[c.Decl.Name]; ok && fmt.Sprint(fed(c)) != fmt.Sprint(want) {
					t.Errorf("%s was called with %v, want %v", c.Decl.Name, fed(c), want)
				}
			}
			var classes []string
			for _, n := range results[0].Nodes {
				classes = append(classes, n.Class)
			}
			if !slices.Equal(classes, tt.nodes) {
				t.Errorf("nodes %v, want %v", classes, tt.nodes)
			}
			for _, r := range s.Stats().Capsules {
				checkReport(t, r, tt.starved[r.Name], r.Name == tt.violates)
			}
		})
	}
}

func checkReport(t *testing.T, r pipeline.CapsuleReport, lacks string, violates bool) {
	t.Helper()
	said := slices.Sorted(maps.Keys(r.Starved))
	if (lacks != "") != (len(said) > 0) || len(said) > 0 && !strings.Contains(said[0], lacks) {
		t.Errorf("%s: starved %v, want for want of %q", r.Name, r.Starved, lacks)
	}
	if violates != (r.Violations > 0) {
		t.Errorf("%s: %d violations, want some: %v", r.Name, r.Violations, violates)
	}
	if len(r.Failures) > 0 {
		t.Errorf("%s: failures %v", r.Name, r.Failures)
	}
}

func TestSingleToSingleMayReturnANewNode(t *testing.T) { // FD14
	t.Parallel()
	crop := declare("crop", core.Description{Size: core.SizeSingle, Detections: []string{"person"}},
		core.Description{Size: core.SizeSingle, Detections: []string{"head"}})
	c := &pipelinetest.Capsule{Decl: crop, ProcessFunc: func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnOne, Node: call.Nodes[0].ID, Added: []*core.Node{node("head")}}}}, nil
	}}
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 1}), detecting(pvb, node("person")), c), pipeline.Job{})
	r := play(t, s)[0]
	if len(r.Nodes) != 2 || r.Nodes[0].Class != "person" || len(r.Nodes[0].Attributes) != 0 || r.Nodes[1].Class != "head" {
		t.Fatalf("nodes %v, want the person as it was and a head", r.Nodes)
	}
	if r.Nodes[1].Origin != "crop" || r.Nodes[1].ID == 0 || r.Nodes[1].ID == r.Nodes[0].ID {
		t.Errorf("the head is %+v, want its own ID and origin", r.Nodes[1])
	}
}

func TestLaterNameWinsAConflict(t *testing.T) { // FD15
	t.Parallel()
	b := gender
	b.Name = "zender"
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 3}), detecting(pvb, node("person")),
		patching(b, attribute("gender", "f")), patching(gender, attribute("gender", "m"))), pipeline.Job{})
	for _, r := range play(t, s) {
		if got := r.Nodes[0].Attributes["gender"]; got != "f" {
			t.Errorf("frame %d: gender %q, want that of the later name, f", r.Frame.Seq, got)
		}
	}
	for _, c := range s.Stats().Capsules {
		if want := map[string]uint64{"zender": 3}[c.Name]; c.Conflicts != want {
			t.Errorf("%s: %d conflicts, want %d", c.Name, c.Conflicts, want)
		}
	}
}

// TestReturnContract holds answers of every wrong form: nothing of them may reach the result.
func TestReturnContract(t *testing.T) {
	t.Parallel()
	unknown := core.Patch{Node: 4711, TrackID: "t"}
	tests := []struct {
		name    string
		decl    core.Declaration
		returns func(id core.NodeID) []core.Return
	}{
		{"a list from single", spdLike(core.SizeSingle), func(id core.NodeID) []core.Return {
			return []core.Return{{Kind: core.ReturnList, Node: id, Added: []*core.Node{node("person", "speed")}}}
		}},
		{"null from single to all", spdLike(core.SizeAll), func(id core.NodeID) []core.Return {
			return []core.Return{{Kind: core.ReturnNull, Node: id}}
		}},
		{"one from a list giver", spdLike(core.SizeAll), func(id core.NodeID) []core.Return {
			return []core.Return{{Kind: core.ReturnOne, Node: id, Added: []*core.Node{node("person", "speed")}}}
		}},
		{"a node it was not given", spdLike(core.SizeSingle), func(core.NodeID) []core.Return {
			return []core.Return{{Kind: core.ReturnNull, Node: 4711}}
		}},
		{"a patch of a node it was not given", spdLike(core.SizeSingle), func(id core.NodeID) []core.Return {
			return []core.Return{{Kind: core.ReturnNull, Node: id, Patches: []core.Patch{unknown}}}
		}},
		{"a node that breaks the output", spdLike(core.SizeAll), func(id core.NodeID) []core.Return {
			return []core.Return{{Kind: core.ReturnList, Node: id, Added: []*core.Node{node("person")}}}
		}},
		{"a node without coords", spdLike(core.SizeAll), func(id core.NodeID) []core.Return {
			n := node("person", "speed")
			n.Coords = nil
			return []core.Return{{Kind: core.ReturnList, Node: id, Added: []*core.Node{n}}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &pipelinetest.Capsule{Decl: tt.decl, ProcessFunc: func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
				return pipeline.Answer{Returns: tt.returns(call.Nodes[0].ID)}, nil
			}}
			s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 1}), detecting(pvb, node("person")), c), pipeline.Job{})
			r := play(t, s)[0]
			if len(r.Nodes) != 1 || r.Nodes[0].TrackID != "" || len(r.Nodes[0].ExtraData) != 0 {
				t.Errorf("nodes %+v, want the untouched person alone", r.Nodes)
			}
			for _, rep := range s.Stats().Capsules {
				if rep.Name == tt.decl.Name && rep.Violations == 0 {
					t.Error("no violation was counted")
				}
			}
		})
	}
}

func spdLike(out core.Size) core.Declaration {
	return declare("speedy", core.Description{Size: core.SizeSingle, Detections: []string{"person"}},
		core.Description{Size: out, ExtraData: []string{"speed"}})
}
