package brainframe

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// TestClassesOfAttributes: the desktop client offers an attribute for the classes that are told
// beside it. A capsule that names the colour of whatever it is given tells of all that are found.
func TestClassesOfAttributes(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	add := func(name string, in, out core.Description) {
		w.capsules[name] = service.CapsuleInfo{Declaration: core.Declaration{Name: name, Version: "1", Input: in, Output: out}, Active: true}
	}
	color := []core.Attribute{{Name: "color", Values: []string{"red"}}}
	add("colors", core.Description{Size: core.SizeSingle}, core.Description{Size: core.SizeSingle, Attributes: color})
	add("beards", core.Description{Size: core.SizeSingle, Detections: []string{"face"}}, core.Description{Size: core.SizeSingle, Detections: []string{"face"}, Attributes: color})
	add("cars", core.Description{Size: core.SizeNone}, core.Description{Size: core.SizeAll, Detections: []string{"van", "car", "face"}})
	add("tracks", core.Description{Size: core.SizeAll}, core.Description{Size: core.SizeAll, Tracked: true})
	h := handler(w, Options{})
	want := map[string][]string{
		"beards": {"face"}, "cars": {"van", "car", "face"}, "colors": {"car", "face", "van"}, "detector_face": {"face"}, "tracks": {},
	}
	var list []capsule
	if err := json.Unmarshal(serve(h, "GET", "/api/plugins", "").Body.Bytes(), &list); err != nil || len(list) != len(want) {
		t.Fatalf("%d capsules, %v", len(list), err)
	}
	for _, c := range list {
		var one capsule
		if err := json.Unmarshal(serve(h, "GET", "/api/plugins/"+c.Name, "").Body.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		if got := c.OutputType.Detections; !slices.Equal(got, want[c.Name]) || !slices.Equal(one.OutputType.Detections, got) {
			t.Errorf("%s: %v in the list, %v by itself", c.Name, got, one.OutputType.Detections)
		}
		if c.Name == "colors" && (len(c.InputType.Detections) != 0 || len(c.Capability.Detections) != 0) {
			t.Errorf("it finds no class, and asks for none: %+v", c)
		}
	}
}
