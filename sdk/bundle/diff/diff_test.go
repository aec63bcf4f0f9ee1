package diff_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/bundle/diff"
)

func node(class string, x, y float64) *core.Node {
	return &core.Node{Class: class, Coords: core.Rect(x, y, x+10, y+10)}
}

func with(n *core.Node, change func(*core.Node)) *core.Node {
	change(n)
	return n
}

func extra(text string) core.ExtraData { return core.ExtraData{"confidence": json.RawMessage(text)} }

func TestFrame(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		a, b      []*core.Node
		tolerance diff.Tolerance
		want      []string // kinds with a part of the line for people
	}{
		{"nothing", nil, nil, diff.Tolerance{}, nil},
		{"the same", []*core.Node{node("a", 0, 0), node("b", 5, 5)}, []*core.Node{node("b", 5, 5), node("a", 0, 0)}, diff.Tolerance{}, nil},
		{"one more", []*core.Node{node("a", 0, 0)}, []*core.Node{node("a", 0, 0), node("a", 50, 50)}, diff.Tolerance{}, []string{"appeared a at (50,50)-(60,60) appeared"}},
		{"one twice", []*core.Node{node("a", 0, 0)}, []*core.Node{node("a", 0, 0), node("a", 0, 0)}, diff.Tolerance{}, []string{"appeared a at (0,0)"}},
		{"one less", []*core.Node{node("a", 0, 0)}, nil, diff.Tolerance{}, []string{"vanished a at (0,0)-(10,10) vanished"}},
		{"moved", []*core.Node{node("a", 0, 0)}, []*core.Node{node("a", 3, 4)}, diff.Tolerance{}, []string{"moved a at (0,0)-(10,10) moved by 5.0 px (IoU 0.266)"}},
		{"moved within tolerance", []*core.Node{node("a", 0, 0)}, []*core.Node{node("a", 3, 4)}, diff.Tolerance{Pixels: 5}, nil},
		{"moved beyond tolerance", []*core.Node{node("a", 0, 0)}, []*core.Node{node("a", 3, 4)}, diff.Tolerance{Pixels: 4.9}, []string{"moved by 5.0"}},
		{"far away", []*core.Node{node("a", 0, 0)}, []*core.Node{node("a", 30, 0)}, diff.Tolerance{}, []string{"vanished a", "appeared a"}},
		{"the nearer of two", []*core.Node{node("a", 0, 0), node("a", 8, 0)}, []*core.Node{node("a", 7, 0), node("a", 1, 0)}, diff.Tolerance{}, []string{"moved by 1.0", "moved by 1.0"}},
		{"another class", []*core.Node{node("car", 0, 0)}, []*core.Node{node("van", 1, 0)}, diff.Tolerance{Pixels: 2}, []string{"class car at (0,0)-(10,10) became van"}},
		{"attribute", []*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.Attributes = map[string]string{"c": "red", "gone": "1"} })},
			[]*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.Attributes = map[string]string{"c": "blue"} })}, diff.Tolerance{},
			[]string{"attribute c was red, is blue", "attribute gone was 1, is absent"}},
		{"score", []*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.ExtraData = extra("0.93") })},
			[]*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.ExtraData = extra("0.88") })}, diff.Tolerance{Value: 0.01}, []string{"extra_data confidence was 0.93, is 0.88"}},
		{"score within tolerance", []*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.ExtraData = extra(`{"x":[0.93,"t"]}`) })},
			[]*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.ExtraData = extra(`{"x": [0.935, "t"]}`) })}, diff.Tolerance{Value: 0.01}, nil},
		{"null is not absent", []*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.ExtraData = extra("null") })}, []*core.Node{node("a", 0, 0)}, diff.Tolerance{}, []string{"extra_data confidence was null, is absent"}},
		{"encoding", []*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.Encoding = core.Encoding{1, 0} })},
			[]*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.Encoding = core.Encoding{1, 1} })}, diff.Tolerance{Encoding: 0.1}, []string{"encoding at a distance of 0.292893"}},
		{"encoding within tolerance", []*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.Encoding = core.Encoding{1, 0} })},
			[]*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.Encoding = core.Encoding{1, 1} })}, diff.Tolerance{Encoding: 0.3}, nil},
		{"encoding lost", []*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.Encoding = core.Encoding{1} })}, []*core.Node{node("a", 0, 0)}, diff.Tolerance{Encoding: 0.3}, []string{"encoding"}},
		{"child", []*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.Children = []*core.Node{node("eye", 1, 1)} })}, []*core.Node{node("a", 0, 0)}, diff.Tolerance{}, []string{"vanished a > eye"}},
		{"without area", []*core.Node{{Class: "a", Coords: core.Rect(1, 1, 1, 1)}}, []*core.Node{{Class: "a", Coords: core.Rect(1, 1, 1, 1)}}, diff.Tolerance{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := diff.Comparer{Tolerance: tt.tolerance}
			got := c.Frame(7, core.PTS(2e9), tt.a, tt.b)
			if len(got) != len(tt.want) {
				t.Fatalf("%v, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				line := got[i].Kind + " " + got[i].String()
				for _, word := range strings.SplitN(want, " ", 2) {
					if !strings.Contains(line, word) {
						t.Errorf("%q, want %q", line, want)
					}
				}
				if got[i].Seq != 7 || got[i].PTS != 2 {
					t.Errorf("%+v is not of frame 7 at 2 s", got[i])
				}
			}
		})
	}
}

// TestTracks takes tracks for equal that are named otherwise, one to one.
func TestTracks(t *testing.T) {
	t.Parallel()
	at := func(x float64, id core.TrackID) *core.Node {
		return with(node("a", x, 0), func(n *core.Node) { n.TrackID = id })
	}
	c := diff.Comparer{}
	steps := []struct {
		a, b []*core.Node
		want int
	}{
		{[]*core.Node{at(0, "A"), at(50, "B")}, []*core.Node{at(0, "x"), at(50, "y")}, 0},
		{[]*core.Node{at(0, "A"), at(50, "B")}, []*core.Node{at(0, "x"), at(50, "y")}, 0},
		{[]*core.Node{at(0, "A"), at(50, "B")}, []*core.Node{at(0, "y"), at(50, "x")}, 2},
		{[]*core.Node{at(0, "A")}, []*core.Node{at(0, "z")}, 1},
		{[]*core.Node{at(0, "C")}, []*core.Node{at(0, "x")}, 1},
		{[]*core.Node{at(0, "C")}, []*core.Node{at(0, "")}, 1},
	}
	for i, s := range steps {
		if got := c.Frame(uint64(i), 0, s.a, s.b); len(got) != s.want || s.want > 0 && got[0].Kind != diff.Track {
			t.Errorf("step %d: %v, want %d changes of track", i, got, s.want)
		}
	}
}

func TestReturns(t *testing.T) {
	t.Parallel()
	in := []*core.Node{with(node("a", 0, 0), func(n *core.Node) { n.ID = 5 })}
	patched := func(value string) diff.Answer {
		return diff.Answer{Returns: []core.Return{{Kind: core.ReturnList, Returned: []core.NodeID{5}, Patches: []core.Patch{{Node: 5, Attributes: []core.AttributeValue{{Name: "c", Value: value}}}}}}}
	}
	failed := diff.Answer{Err: errors.New("it died")}
	tests := []struct {
		name string
		a, b diff.Answer
		want string
	}{
		{"the same", patched("red"), patched("red"), ""},
		{"patched otherwise", patched("red"), patched("blue"), "cap: a at (0,0)-(10,10): c was red, is blue"},
		{"failed", patched("red"), failed, "error was absent, is it died"},
		{"fails no more", failed, patched("red"), "error was it died, is absent"},
		{"both failed", failed, failed, ""},
		{"another form", diff.Answer{Returns: []core.Return{{Kind: core.ReturnNull}}}, diff.Answer{Returns: []core.Return{{Kind: core.ReturnList}}}, "return was null"},
		{"added", diff.Answer{Returns: []core.Return{{}}}, diff.Answer{Returns: []core.Return{{Added: []*core.Node{node("b", 1, 1)}}}}, "b at (1,1)-(11,11) appeared"},
	}
	for _, tt := range tests {
		c := diff.Comparer{}
		got := c.Returns("cap", 1, 0, in, tt.a, tt.b)
		if (tt.want == "") != (len(got) == 0) || len(got) > 0 && !strings.Contains(got[0].String(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, got, tt.want)
		}
	}
	if in[0].Attributes != nil {
		t.Error("the input was changed")
	}
}
