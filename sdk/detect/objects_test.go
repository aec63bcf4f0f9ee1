package detect

import (
	"image"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
)

func objectStream(t *testing.T, given map[string]any) sdk.Stream {
	t.Helper()
	values, err := core.Declaration{Options: ObjectOptions(0.4)}.Complete(given)
	if err != nil {
		t.Fatal(err)
	}
	return sdk.Stream{ID: "objects", Options: values}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	o, err := NewObjects(objectStream(t, map[string]any{"names": []string{"cup", "plate"}, "classes": []string{"plate"}}), 2)
	if err != nil || o.Threshold != 0.4 || o.Classes() != 2 {
		t.Fatalf("%+v %v", o, err)
	}
	f := frameOf(t, image.NewNRGBA(image.Rect(0, 0, 100, 80)), core.RGB, 0)
	if !o.Due(f) {
		t.Error("without an interval a frame is not due")
	}
	box := sdk.Box{X1: 10, Y1: 10, X2: 50, Y2: 50}
	o.Add(f, []Found{
		{Box: sdk.Box{X1: 11, Y1: 10, X2: 50, Y2: 50}, Score: 0.5, Class: 1}, // the same as the next one
		{Box: box, Score: 0.71234, Class: 1},
		{Box: box, Score: 0.9, Class: 0},                                        // not wanted
		{Box: sdk.Box{X1: 90, Y1: 70, X2: 120, Y2: 90}, Score: 0.6, Class: 1},   // over the edge
		{Box: sdk.Box{X1: 200, Y1: 70, X2: 220, Y2: 90}, Score: 0.65, Class: 1}, // beyond it
	})
	added := f.Added()
	if len(added) != 2 || added[0].Class() != "plate" || added[0].Box() != box || added[1].Box() != (sdk.Box{X1: 90, Y1: 70, X2: 100, Y2: 80}) {
		t.Fatalf("%d nodes", len(added))
	}
	if c, ok := added[0].ExtraFloat("confidence"); !ok || c != 0.7123 {
		t.Errorf("the confidence is %v", c)
	}
}

func TestObjectsRefuse(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct {
		given   map[string]any
		classes int
	}{
		"did you mean person": {map[string]any{"classes": []string{"persn"}}, 80},
		"3 names":             {map[string]any{"names": []string{"a", "b", "c"}}, 2},
	} {
		if _, err := NewObjects(objectStream(t, c.given), c.classes); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", c.given, err, says)
		}
	}
}
