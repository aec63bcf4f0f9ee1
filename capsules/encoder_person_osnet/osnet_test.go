package main

import (
	"bufio"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

// person is a row of the ground truth, in pixels of the half-size clip.
type person struct {
	id  string
	box core.Box
}

// truth gives the well visible pedestrians of MOT17-13 by frame.
func truth(t testing.TB) map[int][]person {
	t.Helper()
	file, err := os.Open(cliptest.Data(t, "mot", "MOT17-13", "gt.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all := map[int][]person{}
	for rows := bufio.NewScanner(file); rows.Scan(); {
		f := strings.Split(rows.Text(), ",")
		v := func(i int) float64 { x, _ := strconv.ParseFloat(f[i], 64); return x }
		if v(6) != 1 || v(7) != 1 || v(8) < 0.9 || v(5) < 120 {
			continue
		}
		box := core.Box{X1: v(2) / 2, Y1: v(3) / 2, X2: (v(2) + v(4)) / 2, Y2: (v(3) + v(5)) / 2}
		all[int(v(0))] = append(all[int(v(0))], person{f[1], box})
	}
	return all
}

// TestPersonsAreToldApart takes every 25th frame of a street: the nearest encoding of another
// frame is of the same person.
func TestPersonsAreToldApart(t *testing.T) {
	onnxtest.Models(t)
	people := truth(t)
	clip := cliptest.Open(t, cliptest.Data(t, "videos", "street", "MOT17-13_960x540_h264_from_h265.mp4"))
	p := onnxtest.Open(t, capsule, nil)
	type encoded struct {
		frame int
		id    string
		e     sdk.Encoding
	}
	var all []encoded
	for frame := 1; frame <= 750 && clip.Next(); frame++ {
		if frame%25 != 0 {
			continue
		}
		for i, who := range people[frame] {
			f := clip.Frame(core.I420, 0, &core.Node{ID: core.NodeID(i + 1), Class: "person", Coords: who.box.Polygon()})
			if err := p.Process(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			all = append(all, encoded{frame, who.id, f.Node().Encoding()})
		}
	}
	right, asked := 0, 0
	var same, different []float64
	for _, a := range all {
		best, id, known := math.Inf(1), "", false
		for _, b := range all {
			if a.frame == b.frame {
				continue
			}
			d := distance(a.e, b.e)
			known = known || a.id == b.id
			if d < best {
				best, id = d, b.id
			}
			if a.id == b.id && b.frame-a.frame == 25 {
				same = append(same, d)
			} else if a.id != b.id {
				different = append(different, d)
			}
		}
		if known {
			asked++
			if id == a.id {
				right++
			}
		}
	}
	sort.Float64s(same)
	sort.Float64s(different)
	at := func(list []float64, share float64) float64 { return list[int(share*float64(len(list)-1))] }
	t.Logf("%d encodings, nearest right for %d of %d; distances a second apart: median %.2f, 90 %% below %.2f; of others: median %.2f, 5 %% below %.2f",
		len(all), right, asked, at(same, 0.5), at(same, 0.9), at(different, 0.5), at(different, 0.05))
	if asked < 30 || float64(right) < 0.8*float64(asked) {
		t.Errorf("the nearest is right for %d of %d", right, asked)
	}
}

func distance(a, b sdk.Encoding) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return 1 - sum
}

// TestNodesOfAFrameTogether has many persons in one frame: their encodings are those that each
// gets alone.
func TestNodesOfAFrameTogether(t *testing.T) {
	onnxtest.Models(t)
	m := cliptest.Picture(t, cliptest.Data(t, "images", "objects", "coco_four_people.jpg"))
	var nodes []*core.Node
	for i := range 12 {
		x := float64(20 + 45*i)
		nodes = append(nodes, &core.Node{Class: "person", Coords: core.Rect(x, 60, x+90, 400)})
	}
	together := sdktest.Open(t, capsule, map[string]any{"max_batch": 8})
	alone := sdktest.Open(t, capsule, map[string]any{"max_batch": 1})
	out := together.Process(sdktest.FrameOf(m, sdk.RGB, sdktest.With(nodes...)))
	if len(out.Nodes) != len(nodes) {
		t.Fatalf("%d nodes", len(out.Nodes))
	}
	for i, n := range nodes {
		one := alone.Process(sdktest.FrameOf(m, sdk.RGB, sdktest.With(n)))
		if len(out.Nodes[i].Encoding) != 512 {
			t.Fatalf("node %d: %d numbers", i, len(out.Nodes[i].Encoding))
		}
		if d := distance(out.Nodes[i].Encoding, one.Nodes[0].Encoding); d > 1e-4 {
			t.Errorf("node %d: %v apart from what it gets alone", i, d)
		}
	}
}

func TestOutsideThePicture(t *testing.T) {
	onnxtest.Models(t)
	b := sdktest.Open(t, capsule, nil)
	m := cliptest.Picture(t, cliptest.Data(t, "images", "objects", "coco_bus.jpg"))
	for name, box := range map[string]core.Polygon{
		"outside": core.Rect(-500, -500, -400, -300), "beyond": core.Rect(9000, 100, 9100, 300), "partly": core.Rect(-50, -50, 60, 200),
		"a line": core.Rect(10, 10, 10, 300), "a point": core.Rect(5, 5, 5, 5), "one corner": {{X: 3, Y: 3}},
	} {
		out := b.Process(sdktest.FrameOf(m, sdk.I420, sdktest.With(&core.Node{Class: "person", Coords: box})))
		if len(out.Nodes) != 1 || len(out.Nodes[0].Encoding) != 512 {
			t.Errorf("%s: %v", name, out.Nodes)
		}
	}
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestConformance(t *testing.T) {
	onnxtest.Models(t)
	sdktest.Run(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", "objects", "coco_four_people.jpg")))
}

func BenchmarkNode(b *testing.B) {
	onnxtest.Models(b)
	p := onnxtest.Open(b, capsule, nil)
	m := cliptest.Picture(b, cliptest.Data(b, "images", "objects", "coco_four_people.jpg"))
	f := onnxtest.Frame(b, capsule, m, &core.Node{Class: "person", Coords: core.Rect(84, 82, 245, 474)})
	for b.Loop() {
		if err := p.Process(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
