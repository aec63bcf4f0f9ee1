package main

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
)

// picture paints w by h pixels of one colour with some noise, and a frame of another around it.
func picture(w, h, border int, inner, outer [3]uint8) (core.Layout, []byte) {
	layout, size := core.Packed(core.RGB, w, h)
	mem := make([]byte, size)
	noise := rand.New(rand.NewPCG(1, 1))
	for i := range w * h {
		x, y := i%w, i/w
		c := inner
		if x < border || y < border || x >= w-border || y >= h-border {
			c = outer
		}
		for k := range 3 {
			mem[3*i+k] = uint8(min(255, max(0, int(c[k])+noise.IntN(13)-6)))
		}
	}
	return layout, mem
}

func classify(t *testing.T, layout core.Layout, mem []byte, box core.Polygon) (*sdk.Node, error) {
	t.Helper()
	p, err := capsule.Open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, nil)})
	if err != nil {
		t.Fatal(err)
	}
	node := &core.Node{ID: 5, Class: "car", Coords: box, TrackID: "t"}
	f, err := sdk.NewFrame(core.Frame{Caps: core.Caps{Width: layout.Width, Height: layout.Height}}, layout, mem, []*core.Node{node})
	if err != nil {
		t.Fatal(err)
	}
	return f.Node(), p.Process(t.Context(), f)
}

func TestColours(t *testing.T) {
	for name, rgbs := range map[string][][3]uint8{
		"black":  {{10, 10, 10}, {35, 30, 33}, {40, 25, 25}},
		"white":  {{240, 240, 240}, {215, 220, 225}},
		"gray":   {{128, 128, 128}, {100, 105, 110}, {160, 160, 155}},
		"red":    {{200, 20, 20}, {140, 20, 25}, {230, 60, 60}},
		"orange": {{240, 130, 20}, {255, 150, 50}},
		"yellow": {{240, 220, 30}, {200, 190, 60}},
		"green":  {{30, 160, 50}, {40, 90, 45}, {120, 200, 60}},
		"blue":   {{30, 60, 180}, {60, 150, 220}, {25, 35, 90}},
		"purple": {{120, 40, 180}, {150, 90, 200}},
		"pink":   {{250, 160, 180}, {230, 80, 170}},
		"brown":  {{110, 65, 30}, {139, 90, 43}, {80, 50, 25}},
	} {
		for _, rgb := range rgbs {
			layout, mem := picture(60, 40, 0, rgb, rgb)
			n, err := classify(t, layout, mem, core.Rect(0, 0, 60, 40))
			if err != nil {
				t.Fatal(err)
			}
			got, _ := n.Attribute("color")
			share, ok := n.ExtraFloat("color_confidence")
			if got != name || !ok || share < 0.6 || share > 1 {
				t.Errorf("%v is %s (%.2f), want %s", rgb, got, share, name)
			}
		}
	}
}

func TestTheMiddleCounts(t *testing.T) {
	layout, mem := picture(100, 100, 25, [3]uint8{200, 30, 30}, [3]uint8{128, 128, 128})
	n, err := classify(t, layout, mem, core.Rect(10, 10, 90, 90))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := n.Attribute("color"); got != "red" {
		t.Errorf("a red car on grey road is %s", got)
	}
	if n.TrackID() != "t" {
		t.Error("the track was changed")
	}
}

func TestOddBoxes(t *testing.T) {
	layout, mem := picture(40, 30, 0, [3]uint8{30, 160, 50}, [3]uint8{})
	for name, box := range map[string]core.Polygon{
		"partly outside": core.Rect(-50, -50, 20, 15),
		"far larger":     core.Rect(-1e9, -1e9, 1e9, 1e9),
		"one pixel":      core.Rect(5, 5, 5, 5),
		"the last pixel": core.Rect(39.5, 29.5, 80, 80),
		"two points":     {{X: 3, Y: 3}, {X: 8, Y: 9}},
	} {
		n, err := classify(t, layout, mem, box)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, _ := n.Attribute("color"); got != "green" {
			t.Errorf("%s: %s, want green", name, got)
		}
	}
	for name, box := range map[string]core.Polygon{
		"right of it": core.Rect(40, 0, 50, 10), "above it": core.Rect(0, -20, 10, -1), "far away": core.Rect(-2e12, -2e12, -1e12, -1e12),
	} {
		n, err := classify(t, layout, mem, box)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, _ := n.Attribute("color")
		if share, ok := n.ExtraFloat("color_confidence"); got != "green" || !ok || share != 0 {
			t.Errorf("%s: %s with confidence %v, want the nearest pixels' green with 0", name, got, share)
		}
	}
	n, err := classify(t, layout, mem, core.Polygon{{X: math.NaN(), Y: 1}, {X: 2, Y: 2}})
	if err == nil || !strings.Contains(err.Error(), "node 5 (car)") {
		t.Errorf("a box that is none: got %v, want an error that names the node", err)
	}
	if _, ok := n.Attribute("color"); ok {
		t.Error("a box that is none was given a colour")
	}
}

func TestHSV(t *testing.T) {
	for _, c := range []struct {
		rgb     [3]uint8
		h, s, v float64
	}{
		{[3]uint8{0, 0, 0}, 0, 0, 0}, {[3]uint8{255, 255, 255}, 0, 0, 1}, {[3]uint8{255, 0, 0}, 0, 1, 1}, {[3]uint8{0, 255, 0}, 120, 1, 1},
		{[3]uint8{0, 0, 255}, 240, 1, 1}, {[3]uint8{255, 0, 255}, 300, 1, 1}, {[3]uint8{128, 64, 64}, 0, 0.5, 128.0 / 255}, {[3]uint8{255, 0, 128}, 330, 1, 1},
	} {
		h, s, v := hsv(c.rgb[0], c.rgb[1], c.rgb[2])
		if math.Abs(h-c.h) > 0.5 || math.Abs(s-c.s) > 0.01 || math.Abs(v-c.v) > 0.01 {
			t.Errorf("%v: %.1f %.2f %.2f, want %.1f %.2f %.2f", c.rgb, h, s, v, c.h, c.s, c.v)
		}
	}
}

func TestRealPictures(t *testing.T) {
	for _, c := range []struct {
		file string
		box  core.Polygon
		want []string
	}{
		{"noface/chelsea.png", core.Rect(100, 60, 350, 260), []string{"brown", "orange", "gray"}},
		{"noface/rocket.jpg", core.Rect(0, 0, 150, 120), []string{"black", "blue"}},
		{"faces/astronaut.png", core.Rect(150, 300, 330, 500), []string{"orange"}},
	} {
		layout, mem := cliptest.Pack(cliptest.Picture(t, cliptest.Data(t, "images", c.file)), core.RGB)
		n, err := classify(t, layout, mem, c.box)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := n.Attribute("color")
		share, _ := n.ExtraFloat("color_confidence")
		t.Logf("%s: %s %.2f", c.file, got, share)
		if !strings.Contains(strings.Join(c.want, " "), got) {
			t.Errorf("%s: %s, want one of %v", c.file, got, c.want)
		}
	}
}
