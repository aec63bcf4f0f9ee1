package main

import (
	"testing"

	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
)

func TestX(t *testing.T) {
	onnxtest.Models(t)
	for _, network := range []string{"coco", "person"} {
		p := onnxtest.Open(t, capsule, map[string]any{"network": network, "threshold": 0.4})
		for _, name := range []string{"objects/coco_bus.jpg", "objects/coco_four_people.jpg", "objects/motorcycle_left.png", "noface/chelsea.png", "noface/coffee.png"} {
			f := onnxtest.Frame(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", name)))
			if err := p.Process(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			sx := float64(f.Caps().Width) / float64(f.Width())
			for _, n := range f.Added() {
				b := n.Box()
				c, _ := n.Confidence()
				t.Logf("%s %s %.3f %.0f %.0f %.0f %.0f", name, n.Class(), c, b.X1*sx, b.Y1*sx, b.X2*sx, b.Y2*sx)
			}
		}
	}
}
