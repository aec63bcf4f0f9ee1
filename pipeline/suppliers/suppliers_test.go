package suppliers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/capstan-video/capstan/pipeline/suppliers"
)

func detector(name string, cost int, classes ...string) suppliers.Candidate {
	return suppliers.Candidate{Cost: cost, Capsule: plan.Capsule{
		Name: name, Input: core.Description{Size: core.SizeNone}, Output: core.Description{Size: core.SizeAll, Detections: classes},
	}}
}

func takes(name string, in, out core.Description) plan.Capsule {
	in.Size, out.Size = core.SizeAll, core.SizeAll
	return plan.Capsule{Name: name, Input: in, Output: out}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	faces, persons := detector("faces", 0, "face"), detector("persons", 2, "person")
	cheap, both := detector("cheap_persons", 1, "person"), detector("both", 3, "person", "face")
	tracks := suppliers.Candidate{Capsule: takes("tracker", core.Description{}, core.Description{Tracked: true})}
	keep := func(c suppliers.Candidate) suppliers.Candidate { c.Keep = true; return c }
	person := core.Description{Detections: []string{"person"}}
	tracked := core.Description{Detections: []string{"person"}, Tracked: true}
	tests := []struct {
		name   string
		target plan.Capsule
		all    []suppliers.Candidate
		want   string
	}{
		{"a detector needs none", detector("x", 0, "x").Capsule, []suppliers.Candidate{faces, persons}, ""},
		{"one that gives the class", takes("age", person, person), []suppliers.Candidate{faces, persons}, "persons"},
		{"the cheapest", takes("age", person, person), []suppliers.Candidate{both, persons, cheap, faces}, "cheap_persons"},
		{"the cheapest for any class", takes("any", core.Description{}, core.Description{}), []suppliers.Candidate{both, persons, cheap, faces}, "faces"},
		{"a chain", takes("speed", tracked, tracked), []suppliers.Candidate{persons, tracks, faces, cheap}, "cheap_persons tracker"},
		{"one that is wanted", takes("age", person, person), []suppliers.Candidate{keep(persons), cheap}, "persons"},
		{"one that is wanted besides", takes("age", person, person), []suppliers.Candidate{persons, keep(faces)}, "faces persons"},
		{"wanted with its own", takes("age", person, person), []suppliers.Candidate{persons, keep(tracks)}, "persons tracker"},
		{"not itself", takes("age", person, person), []suppliers.Candidate{persons, {Capsule: takes("age", person, person)}}, "persons"},
	}
	for _, tt := range tests {
		got, err := suppliers.Choose(tt.target, tt.all)
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, %v; want %s", tt.name, got, err, tt.want)
		}
		slices.Reverse(tt.all)
		if again, _ := suppliers.Choose(tt.target, tt.all); !slices.Equal(again, got) {
			t.Errorf("%s: %v in another order, %v before", tt.name, again, got)
		}
	}
	_, err := suppliers.Choose(takes("age", person, person), []suppliers.Candidate{faces})
	if core.KindOf(err) != core.NotFound || !strings.Contains(err.Error(), "no class") {
		t.Errorf("without a supplier: %v", err)
	}
}
