package core

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"
)

func TestBox(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p      Polygon
		want   Box
		center Point
		w, h   float64
	}{
		"contract": {Polygon{{.5, 1.5}, {2.5, 3.5}, {-.5, -1.5}, {10, 20}}, Box{-.5, -1.5, 10, 20}, Point{4.75, 9.25}, 10.5, 21.5},
		"inverted": {Polygon{{10, 10}, {0, 0}}, Box{0, 0, 10, 10}, Point{5, 5}, 10, 10},
		"empty":    {nil, Box{}, Point{}, 0, 0},
		"a point":  {Polygon{{3, 4}}, Box{3, 4, 3, 4}, Point{3, 4}, 0, 0},
	} {
		b := c.p.Box()
		if b != c.want || b.Center() != c.center || b.Width() != c.w || b.Height() != c.h || b.Area() != c.w*c.h {
			t.Errorf("%s: %v, centre %v, %vx%v", name, b, b.Center(), b.Width(), b.Height())
		}
	}
}

// The box follows the points: nothing is kept from before.
func TestBoxIsNotStale(t *testing.T) {
	t.Parallel()
	p := Rect(0, 0, 1, 1)
	_ = p.Box()
	p[2] = Point{9, 9}
	if got := p.Box(); got != (Box{0, 0, 9, 9}) {
		t.Errorf("got %v", got)
	}
}

func TestRect(t *testing.T) {
	t.Parallel()
	want := Polygon{{1, 2}, {3, 2}, {3, 4}, {1, 4}}
	if got := Rect(1, 2, 3, 4); !slices.Equal(got, want) || !slices.Equal(got.Box().Polygon(), want) {
		t.Errorf("got %v", got)
	}
}

func TestScaleAndOffset(t *testing.T) {
	t.Parallel()
	n := &Node{Coords: Polygon{{.5, 1.5}, {2.5, 3.5}, {-.5, -1.5}, {10, 20}}}
	for _, step := range []struct {
		name string
		do   func()
		want Polygon
	}{
		{"scale(1,1)", func() { n.Scale(1, 1) }, Polygon{{0, 2}, {2, 4}, {0, -2}, {10, 20}}},
		{"scale(.5,2)", func() { n.Scale(.5, 2) }, Polygon{{0, 4}, {1, 8}, {0, -4}, {5, 40}}},
		{"offset(3,-4)", func() { n.Offset(3, -4) }, Polygon{{-3, 8}, {-2, 12}, {-3, 0}, {2, 44}}},
	} {
		step.do()
		if !slices.Equal(n.Coords, step.want) {
			t.Errorf("%s: %v, want %v", step.name, n.Coords, step.want)
		}
	}
}

func TestScaleAndOffsetChildren(t *testing.T) {
	t.Parallel()
	child := &Node{Coords: Polygon{{2, 2}, {4, 4}}}
	n := &Node{Coords: Polygon{{0, 0}, {10, 10}}, Children: []*Node{child}}
	n.Scale(2, 3)
	if !slices.Equal(child.Coords, Polygon{{4, 6}, {8, 12}}) {
		t.Errorf("scaled child %v", child.Coords)
	}
	n.Offset(1, 1)
	if !slices.Equal(child.Coords, Polygon{{3, 5}, {7, 11}}) || !slices.Equal(n.Coords, Polygon{{-1, -1}, {19, 29}}) {
		t.Errorf("child %v, parent %v", child.Coords, n.Coords)
	}
}

func TestAllAttributes(t *testing.T) {
	t.Parallel()
	n := &Node{Attributes: map[string]string{"k": "parent"}, Children: []*Node{{Attributes: map[string]string{"hat": "yes", "k": "child"}}}}
	if got := n.AllAttributes(); !reflect.DeepEqual(got, map[string]string{"k": "child", "hat": "yes"}) {
		t.Errorf("got %v", got)
	}
	if !reflect.DeepEqual(n.Attributes, map[string]string{"k": "parent"}) {
		t.Errorf("the node changed: %v", n.Attributes)
	}
	n.Children[0].Attributes["k"] = "new"
	if n.AllAttributes()["k"] != "new" {
		t.Error("an old answer was kept")
	}
	if got := (&Node{}).AllAttributes(); got == nil || len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestPointJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(Polygon{{1, 2.5}, {-3, 0}})
	if err != nil || string(b) != "[[1,2.5],[-3,0]]" {
		t.Errorf("got %s, %v", b, err)
	}
	var p Polygon
	if err := json.Unmarshal(b, &p); err != nil || !slices.Equal(p, Polygon{{1, 2.5}, {-3, 0}}) {
		t.Errorf("back: %v, %v", p, err)
	}
	for _, bad := range []string{`[1]`, `[1,2,3]`, `["a",2]`, `{}`, `[]`, `null`, `[1,null,3]`} {
		if err := json.Unmarshal([]byte(bad), new(Point)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if _, err := json.Marshal(Point{math.NaN(), 0}); err == nil {
		t.Error("NaN has a JSON form")
	}
}

func FuzzPoint(f *testing.F) {
	f.Add([]byte("[1,2]"))
	f.Add([]byte("[1e400,null]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p, again Point
		if json.Unmarshal(data, &p) != nil {
			return
		}
		b, err := json.Marshal(p)
		if err != nil || json.Unmarshal(b, &again) != nil || p != again {
			t.Fatalf("%s: %v became %v, %v", data, p, again, err)
		}
	})
}

func TestExtraData(t *testing.T) {
	t.Parallel()
	var e ExtraData
	if err := e.Set("confidence", 0.5); err != nil {
		t.Fatal(err)
	}
	for key, v := range map[string]any{"text": "a", "nothing": nil, "list": []int{1}} {
		if err := e.Set(key, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Set("bad", math.NaN()); KindOf(err) != Invalid {
		t.Errorf("NaN: %v", err)
	}
	if _, ok := e["bad"]; ok {
		t.Error("a refused value is there")
	}
	if f, ok := e.Float("confidence"); !ok || f != 0.5 {
		t.Errorf("float: %v %v", f, ok)
	}
	if s, ok := e.Text("text"); !ok || s != "a" {
		t.Errorf("text: %v %v", s, ok)
	}
	for _, key := range []string{"text", "nothing", "list", "absent"} {
		if _, ok := e.Float(key); ok {
			t.Errorf("%s is a number", key)
		}
	}
	for _, key := range []string{"confidence", "nothing", "list", "absent"} {
		if _, ok := e.Text(key); ok {
			t.Errorf("%s is a text", key)
		}
	}
	if string(e["nothing"]) != "null" {
		t.Errorf("null is %s", e["nothing"])
	}
}

func TestConfidence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		e    ExtraData
		want float64
		ok   bool
	}{
		"now":   {ExtraData{"confidence": []byte("0.5"), "detection_confidence": []byte("0.1")}, 0.5, true},
		"older": {ExtraData{"detection_confidence": []byte("0.25")}, 0.25, true},
		"none":  {nil, 0, false},
		"text":  {ExtraData{"confidence": []byte(`"high"`)}, 0, false},
	} {
		if got, ok := (&Node{ExtraData: c.e}).Confidence(); got != c.want || ok != c.ok {
			t.Errorf("%s: %v %v", name, got, ok)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	build := func() *Node {
		return &Node{
			ID: 7, Class: "a", Coords: Rect(0, 0, 1, 1), Attributes: map[string]string{"k": "v"}, ExtraData: ExtraData{"x": []byte("1")},
			Encoding: Encoding{1}, TrackID: "t", Origin: "o", Children: []*Node{{Class: "b", Attributes: map[string]string{"c": "d"}}},
		}
	}
	n := build()
	c := n.Clone()
	if !reflect.DeepEqual(n, c) {
		t.Fatalf("got %+v", c)
	}
	c.Coords[0].X, c.Attributes["k"], c.Encoding[0], c.Children[0].Attributes["c"], c.Class = 9, "9", 9, "9", "9"
	c.ExtraData["x"][0], c.ExtraData["y"] = '9', []byte("2")
	if want := build(); !reflect.DeepEqual(n, want) {
		t.Errorf("the original changed: %+v", n)
	}
	if e := (&Node{Encoding: Encoding{}}).Clone().Encoding; e == nil {
		t.Error("an empty encoding, which counts as encoded, became none")
	}
}

func TestPatchApply(t *testing.T) {
	t.Parallel()
	n := &Node{Class: "person", Attributes: map[string]string{"gait": "walk", "same": "s"}, ExtraData: ExtraData{"old": []byte("1"), "both": []byte("1")}}
	p := Patch{
		Attributes: []AttributeValue{{"gait", "run"}, {"same", "s"}, {"mood", "happy"}, {"mood", "sad"}},
		ExtraData:  ExtraData{"both": []byte("null"), "new": []byte("2")}, Encoding: Encoding{}, TrackID: "t1",
	}
	if p.Empty() {
		t.Error("a full patch is empty")
	}
	if got := p.Apply(n); !slices.Equal(got, []string{"gait", "mood"}) {
		t.Errorf("replaced %v", got)
	}
	want := &Node{
		Class: "person", Attributes: map[string]string{"gait": "run", "same": "s", "mood": "sad"},
		ExtraData: ExtraData{"old": []byte("1"), "both": []byte("null"), "new": []byte("2")}, Encoding: Encoding{}, TrackID: "t1",
	}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("got %+v", n)
	}
	empty := Patch{Node: 3}
	if !empty.Empty() || empty.Apply(n) != nil || !reflect.DeepEqual(n, want) {
		t.Errorf("an empty patch changed %+v", n)
	}
	bare := &Node{}
	if p.Apply(bare); bare.Attributes["mood"] != "sad" || string(bare.ExtraData["new"]) != "2" || bare.Encoding == nil || bare.TrackID != "t1" {
		t.Errorf("on a bare node: %+v", bare)
	}
	for name, q := range map[string]Patch{"attribute": {Attributes: p.Attributes[:1]}, "extra": {ExtraData: p.ExtraData}, "encoding": {Encoding: Encoding{}}, "track": {TrackID: "t"}} {
		if q.Empty() {
			t.Errorf("%s: counts as empty", name)
		}
	}
}

func TestCheckReturn(t *testing.T) {
	t.Parallel()
	null, one, listOf := Return{Kind: ReturnNull}, Return{Kind: ReturnOne, Added: []*Node{{}}}, Return{Kind: ReturnList, Returned: []NodeID{1}, Added: []*Node{{}}}
	echo := Return{Kind: ReturnOne, Returned: []NodeID{1}}
	for name, c := range map[string]struct {
		in, out Size
		r       Return
		ok      bool
	}{
		"any to single, one: none":   {SizeNone, SizeSingle, one, true},
		"any to single, one: single": {SizeSingle, SizeSingle, one, true},
		"any to single, one: echo":   {SizeSingle, SizeSingle, echo, true},
		"any to single, one: all":    {SizeAll, SizeSingle, one, true},
		"any to all, one: none":      {SizeNone, SizeAll, one, false},
		"any to all, one: single":    {SizeSingle, SizeAll, one, false},
		"any to all, one: all":       {SizeAll, SizeAll, one, false},
		"single to single, null":     {SizeSingle, SizeSingle, null, true},
		"single to all, null":        {SizeSingle, SizeAll, null, false},
		"all to all, null":           {SizeAll, SizeAll, null, true},
		"all to single, null":        {SizeAll, SizeSingle, null, false},
		"none to all, null":          {SizeNone, SizeAll, null, false},
		"none to single, null":       {SizeNone, SizeSingle, null, false},
		"any to all, list: none":     {SizeNone, SizeAll, listOf, true},
		"any to all, list: single":   {SizeSingle, SizeAll, listOf, true},
		"any to all, list: all":      {SizeAll, SizeAll, listOf, true},
		"any to all, empty list":     {SizeNone, SizeAll, Return{Kind: ReturnList}, true},
		"any to single, list: none":  {SizeNone, SizeSingle, listOf, false},
		"any to single, list":        {SizeSingle, SizeSingle, listOf, false},
		"any to single, empty list":  {SizeAll, SizeSingle, Return{Kind: ReturnList}, false},
		"anything else":              {SizeAll, SizeAll, Return{Kind: 7}, false},
		"one of two nodes":           {SizeSingle, SizeSingle, Return{Kind: ReturnOne, Added: []*Node{{}, {}}}, false},
		"one of no node":             {SizeSingle, SizeSingle, Return{Kind: ReturnOne}, false},
		"null with a node":           {SizeSingle, SizeSingle, Return{Kind: ReturnNull, Added: []*Node{{}}}, false},
	} {
		err := CheckReturn(c.in, c.out, &c.r)
		if (err == nil) != c.ok || err != nil && KindOf(err) != CapsuleContract {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEffective(t *testing.T) {
	t.Parallel()
	input := []NodeID{1, 2, 3}
	for name, c := range map[string]struct {
		r    Return
		want []NodeID
	}{
		"null, all":       {Return{}, input},
		"null, single":    {Return{Node: 2}, []NodeID{2}},
		"list of some":    {Return{Kind: ReturnList, Returned: []NodeID{3}}, []NodeID{3}},
		"patched as well": {Return{Kind: ReturnList, Returned: []NodeID{3}, Patches: []Patch{{Node: 1}, {Node: 3}, {Node: 1}}}, []NodeID{3, 1}},
		"new ones only":   {Return{Kind: ReturnList, Added: []*Node{{}}}, nil},
	} {
		if got := c.r.Effective(input); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestReturnKindText(t *testing.T) {
	t.Parallel()
	for k, want := range map[ReturnKind]string{0: "null", 1: "one node", 2: "a list", 9: "return kind 9"} {
		if k.String() != want {
			t.Errorf("%d is %q", int(k), k)
		}
	}
}
