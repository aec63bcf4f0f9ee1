package plan_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
)

// finder gives nodes of a class from the frame alone.
func finder(name, class, gate string) plan.Capsule {
	return plan.Capsule{
		Name: name, Gate: gate, Input: core.Description{Size: core.SizeNone},
		Output: core.Description{Size: core.SizeAll, Detections: []string{class}},
	}
}

// turner takes nodes of one class and gives those of another.
func turner(name, from, to, gate string) plan.Capsule {
	c := finder(name, to, gate)
	c.Input = core.Description{Size: core.SizeAll}
	if from != "" {
		c.Input.Detections = []string{from}
	}
	return c
}

func ungated(p *plan.Plan) string {
	var s []string
	for _, u := range p.Ungated {
		s = append(s, u.Capsule+": "+u.Class)
	}
	return strings.Join(s, "; ")
}

func TestGates(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		capsules                   []plan.Capsule
		stages, ungated, dropEdges string
		edges                      string // those with a gate
	}{
		"a detector waits for motion": {
			[]plan.Capsule{finder("faces", "face", "motion"), finder("zz_motion", "motion", "")},
			"zz_motion | faces", "", "", "zz_motion->faces: gate motion",
		},
		"nobody gives the class": {
			[]plan.Capsule{finder("faces", "face", "motion"), finder("cars", "car", "")},
			"cars,faces", "faces: motion", "", "",
		},
		"the only one that gives the class is the capsule itself": {
			[]plan.Capsule{finder("faces", "face", "face")}, "faces", "faces: face", "", "",
		},
		"the one that would is blocked": {
			[]plan.Capsule{finder("faces", "face", "motion"), turner("motions", "pixel", "motion", "")},
			"faces", "faces: motion", "", "",
		},
		"several give it": {
			[]plan.Capsule{finder("faces", "face", "motion"), finder("m1", "motion", ""), finder("m2", "motion", "")},
			"m1,m2 | faces", "", "", "m1->faces: gate motion; m2->faces: gate motion",
		},
		"fed and gated by one": {
			[]plan.Capsule{turner("ages", "face", "age", "face"), finder("faces", "face", "")},
			"faces | ages", "", "", "faces->ages: class face,gate face",
		},
		"takes everything and is gated": {
			[]plan.Capsule{turner("all", "", "sum", "motion"), finder("faces", "face", ""), finder("motions", "motion", "")},
			"faces,motions | all", "", "", "motions->all: class motion,gate motion",
		},
		"gated by what it feeds": {
			[]plan.Capsule{finder("faces", "face", "age"), turner("ages", "face", "age", "")},
			"faces | ages", "faces: age", "ages->faces", "",
		},
		"gated by each other": {
			[]plan.Capsule{finder("a", "x", "y"), finder("b", "y", "x")},
			"a,b", "a: y; b: x", "a->b b->a", "",
		},
		"a gate does not cut what feeds": {
			// late feeds middle and l with k; late and l stand in a cycle of their own.
			[]plan.Capsule{finder("first", "k", ""), turner("middle", "k", "m", ""), turner("late", "l", "k", "m"), turner("l", "k", "l", "")},
			"first | l | late | middle", "late: m", "late->l middle->late", "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustMake(t, tt.capsules)
			var edges []string
			for _, e := range p.Edges {
				if slices.ContainsFunc(e.Why, func(w string) bool { return strings.HasPrefix(w, "gate ") }) {
					edges = append(edges, e.From+"->"+e.To+": "+strings.Join(e.Why, ","))
				}
			}
			if got := strings.Join(edges, "; "); got != tt.edges {
				t.Errorf("edges %q, want %q", got, tt.edges)
			}
			if got := stages(p); got != tt.stages {
				t.Errorf("stages %q, want %q", got, tt.stages)
			}
			if got := ungated(p); got != tt.ungated {
				t.Errorf("ungated %q, want %q", got, tt.ungated)
			}
			if got := dropped(p); got != tt.dropEdges {
				t.Errorf("dropped %q, want %q", got, tt.dropEdges)
			}
		})
	}
}

// TestGateKeepsTheRest plans every case of the tables again with gates on all capsules, one that
// nobody opens: nothing else may change.
func TestGateKeepsTheRest(t *testing.T) {
	t.Parallel()
	for name, c := range planCases {
		before := mustMake(t, c.capsules)
		gated := slices.Clone(c.capsules)
		for i := range gated {
			gated[i].Gate = "nothing like this"
		}
		after := mustMake(t, gated)
		if len(after.Ungated) != after.Capsules() {
			t.Errorf("%s: %d ungated of %d", name, len(after.Ungated), after.Capsules())
		}
		after.Ungated = nil
		a, _ := json.Marshal(before)
		b, _ := json.Marshal(after)
		if string(a) != string(b) {
			t.Errorf("%s: %s\nbecame %s", name, a, b)
		}
	}
}

func TestUngatedIsSaid(t *testing.T) {
	t.Parallel()
	p := mustMake(t, []plan.Capsule{finder("faces", "face", "motion")}, finder("motions", "motion", ""))
	text := p.Text()
	for _, want := range []string{
		"Gate off, so on every frame:", "faces: no other capsule gives motion before it", "switched off, and it would help: motions",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	b, err := json.Marshal(p)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(b)), `"blocked":[],"ungated":[{"capsule":"faces","class":"motion"}]}`) {
		t.Errorf("%s %v", b, err)
	}
	if p.GateWorks("faces") {
		t.Error("the gate of faces works")
	}
	working := mustMake(t, []plan.Capsule{finder("faces", "face", "motion"), finder("motions", "motion", "")})
	if b, _ := json.Marshal(working); strings.Contains(string(b), "ungated") || !working.GateWorks("faces") {
		t.Errorf("%s", b)
	}
	want := "faces is now in stage 2 (was in stage 1 on every frame, because nobody gives motion)"
	if d := plan.Diff(p, working); !slices.Contains(d, want) {
		t.Errorf("%q, want %q in it", d, want)
	}
}
