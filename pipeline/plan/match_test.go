package plan_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
)

func node(id core.NodeID, class, origin string, more ...func(*core.Node)) *core.Node {
	n := &core.Node{ID: id, Class: class, Origin: origin}
	for _, m := range more {
		m(n)
	}
	return n
}

func has(key string) func(*core.Node) {
	return func(n *core.Node) { _ = n.ExtraData.Set(key, nil) }
}

func is(category, value string) func(*core.Node) {
	return func(n *core.Node) { n.Attributes = map[string]string{category: value} }
}

func tracked(n *core.Node) { n.TrackID = "t" }

func TestMatch(t *testing.T) {
	t.Parallel()
	none, conf := map[string]int(nil), has("confidence")
	w := capsule("w", all(nil), all(cls("w")))
	for name, c := range map[string]struct {
		capsule plan.Capsule
		nodes   []*core.Node
		want    []core.NodeID
		starved map[string]int
	}{
		"the frame alone":      {pvb, []*core.Node{node(1, "person", "x")}, nil, none},
		"no nodes":             {tracker, nil, nil, none},
		"all":                  {tracker, []*core.Node{node(1, "person", "d", conf), node(2, "bike", "d", conf)}, []core.NodeID{1, 2}, none},
		"FD3 no key":           {tracker, []*core.Node{node(1, "person", "d"), node(2, "person", "d"), node(3, "bike", "d")}, nil, map[string]int{"class person lacks key confidence": 2, "class bike lacks key confidence": 1}},
		"FD4 one has the key":  {tracker, []*core.Node{node(1, "vehicle", "d"), node(2, "person", "d", conf)}, []core.NodeID{2}, map[string]int{"class vehicle lacks key confidence": 1}},
		"other class is quiet": {tracker, []*core.Node{node(1, "face", "d"), node(2, "person", "d", conf), node(3, "text", "d")}, []core.NodeID{2}, none},
		"FD8 value":            {outfit, []*core.Node{node(1, "person", "d", is("gender", "m"))}, []core.NodeID{1}, none},
		"FD8 missing":          {outfit, []*core.Node{node(1, "person", "d")}, nil, map[string]int{"class person lacks attribute gender": 1}},
		"FD8 undeclared":       {outfit, []*core.Node{node(1, "person", "d", is("gender", "x")), node(2, "person", "d", is("gender", "f"))}, []core.NodeID{2}, map[string]int{"class person has an undeclared value of attribute gender": 1}},
		"FD9 not its own":      {w, []*core.Node{node(1, "person", "det"), node(2, "w", "w"), node(3, "v", "v")}, []core.NodeID{1, 3}, none},
		"FD10 order":           {block, []*core.Node{node(4, "text", "o"), node(5, "car", "e"), node(6, "face", "f"), node(7, "person", "p")}, []core.NodeID{4, 6, 7}, none},
		"several things":       {fromEncoding, []*core.Node{node(1, "car", "d")}, nil, map[string]int{"class car lacks encoding": 1}},
		"wildcard, no track":   {speed, []*core.Node{node(1, "car", "d"), node(2, "cat", "d", tracked)}, []core.NodeID{2}, map[string]int{"class car lacks track": 1}},
		"two lacks": {
			capsule("c", single(nil, trk, enc, keys("k"), attr("a", "v")), single(nil)),
			[]*core.Node{node(1, "x", "d", is("a", "bad"))}, nil, map[string]int{"class x lacks track": 1, "class x lacks encoding": 1, "class x lacks key k": 1},
		},
	} {
		in, starved := plan.Match(c.capsule.Input, c.capsule.Name, c.nodes)
		var ids []core.NodeID
		for _, n := range in {
			ids = append(ids, n.ID)
		}
		if !slices.Equal(ids, c.want) || !maps.Equal(starved, c.starved) || (starved == nil) != (c.starved == nil) {
			t.Errorf("%s: got %v %v, want %v %v", name, ids, starved, c.want, c.starved)
		}
	}
}

// What the caller appends to one list must not show in the other.
func TestMatchDoesNotShareRoom(t *testing.T) {
	t.Parallel()
	nodes := make([]*core.Node, 0, 8)
	nodes = append(nodes, node(1, "a", "d"), node(2, "b", "d"))
	in, _ := plan.Match(all(nil), "w", nodes)
	_ = append(in, node(3, "c", "w"))
	nodes = append(nodes, node(4, "d", "d"))
	if len(in) != 2 || nodes[2].ID != 4 {
		t.Errorf("got %d and node %d", len(in), nodes[2].ID)
	}
}

func TestMatchAllocates(t *testing.T) {
	var nodes []*core.Node
	for i := range 100 {
		nodes = append(nodes, node(core.NodeID(i), []string{"person", "face"}[i%2], "d", has("confidence")))
	}
	for name, c := range map[string]struct {
		d    core.Description
		most float64
	}{
		"all match": {all(nil), 0}, "half": {all(cls("person"), keys("confidence")), 1}, "none of the class": {all(cls("cat")), 1},
	} {
		if n := testing.AllocsPerRun(20, func() { plan.Match(c.d, "w", nodes) }); n > c.most {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	keyed := detector("detector_keyed", cls("vehicle"), keys("confidence"))
	for name, c := range map[string]struct {
		a, b []plan.Capsule
		want []string
	}{
		"same":       {zoo, zoo, []string{}},
		"new":        {[]plan.Capsule{pvb}, []plan.Capsule{pvb, color}, []string{"classifier_vehicle_color_openvino is new, in stage 2"}},
		"gone":       {[]plan.Capsule{pvb, color}, []plan.Capsule{pvb}, []string{"classifier_vehicle_color_openvino is gone"}},
		"left out":   {[]plan.Capsule{car, carEncoder, fromEncoding}, []plan.Capsule{car, fromEncoding}, []string{"color_from_encoding is now left out: missing trait: encoded (class car) (was in stage 3)", "encoder_car is gone"}},
		"brought in": {[]plan.Capsule{car, fromEncoding}, []plan.Capsule{car, carEncoder, fromEncoding}, []string{"color_from_encoding is now in stage 3 (was left out: missing trait: encoded (class car))", "encoder_car is new, in stage 2"}},
		"proven":     {[]plan.Capsule{pvb, tracker}, []plan.Capsule{pvb, tracker, keyed}, []string{"detector_keyed is new, in stage 1", "tracker_vehicle_iou is now in stage 2 (was in stage 2, key confidence not declared by anyone)"}},
		"waits": {
			[]plan.Capsule{pvb, capsule("a", all(cls("person")), all(cls("person"), trk)), capsule("b", single(cls("vehicle")), single(cls("vehicle"), attr("x", "y")))},
			[]plan.Capsule{pvb, capsule("a", all(cls("person")), all(cls("person"), trk)), capsule("b", single(cls("person", "vehicle"), trk), single(cls("vehicle"), attr("x", "y")))},
			[]string{"b is now in stage 3 (was in stage 2)", "b now waits for a (trait tracked)", "b waits for detector_person_vehicle_bike_openvino for other reasons: class person (was class vehicle)"},
		},
	} {
		if got := plan.Diff(mustMake(t, c.a), mustMake(t, c.b)); !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
	}
	if got := plan.Diff(nil, mustMake(t, []plan.Capsule{pvb})); !slices.Equal(got, []string{pvb.Name + " is new, in stage 1"}) {
		t.Errorf("from nothing: %q", got)
	}
	if got := plan.Diff(mustMake(t, []plan.Capsule{pvb}), nil); !slices.Equal(got, []string{pvb.Name + " is gone"}) {
		t.Errorf("to nothing: %q", got)
	}
}

func TestJSONShape(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		capsules []plan.Capsule
		want     string
	}{
		"empty": {nil, `{"stages":[],"edges":[],"dropped":[],"unproven":[],"blocked":[]}`},
		"all parts": {
			[]plan.Capsule{det, helmetA, helmetB, tracker, speed, faceEncoder},
			`{"stages":[["det"],["a"],["b"],["tracker_vehicle_iou"],["calculator_object_speed"]],` +
				`"edges":[{"from":"a","to":"b","why":["class helmet"]},{"from":"b","to":"calculator_object_speed","why":["class person"]},{"from":"b","to":"tracker_vehicle_iou","why":["class person"]},` +
				`{"from":"det","to":"a","why":["class person"]},{"from":"det","to":"calculator_object_speed","why":["class person"]},{"from":"det","to":"tracker_vehicle_iou","why":["class person"]},` +
				`{"from":"tracker_vehicle_iou","to":"calculator_object_speed","why":["trait tracked"]}],` +
				`"dropped":[{"from":"b","to":"a"}],"unproven":[{"capsule":"tracker_vehicle_iou","keys":["confidence"]}],"blocked":[{"capsule":"recognizer_face","reason":"no class: nobody gives any of [face]"}]}`,
		},
	} {
		got, err := json.Marshal(mustMake(t, c.capsules))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", name, err, got, c.want)
		}
	}
	if got, err := json.Marshal(&plan.Plan{}); err != nil || string(got) != `{"stages":[],"edges":[],"dropped":[],"unproven":[],"blocked":[]}` {
		t.Errorf("the zero plan: %s, %v", got, err)
	}
}
