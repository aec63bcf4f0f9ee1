package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
)

const header = `{"capstan":"0.1.0","source":"a.mp4","width":640,"height":480,"fps":30,"plan":{"stages":[]}}` + "\n"

const frames = `{"seq":1,"pts":0,"captured":"2024-01-01T00:00:00Z","detections":[]}
{"seq":2,"pts":0.04,"captured":"2024-01-01T00:00:00Z","drops":{"late":1},"detections":[` +
	`{"id":1,"class_name":"car","coords":[[1,2],[3,2],[3,4.5]],"attributes":{"color":"red"},"extra_data":{"confidence":0.25,"plate":"X"},"track_id":"t-1",` +
	`"children":[{"id":2,"class_name":"wheel","coords":[[1,2]],"attributes":{},"extra_data":{},"track_id":null,"children":[]}],"with_identity":{"id":1,"unique_name":"ann","nickname":"","metadata":{}},"encoding":[0.5,1]},` +
	`{"id":3,"class_name":"person","coords":[[5,5],[6,6]],"attributes":{},"extra_data":{},"track_id":null,"children":[]}]}
`

const summary = `{"summary":{"status":"done"}}` + "\n"

// play opens the capsule on a file with this content and gives the nodes of frame seq.
func play(t *testing.T, content string, given map[string]any, seq uint64) []*sdk.Node {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recording")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	options := map[string]any{"path": path}
	for k, v := range given {
		options[k] = v
	}
	p, err := open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, options)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := sdk.NewFrame(core.Frame{Seq: seq, Caps: core.Caps{Width: 640, Height: 480}}, core.Layout{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Process(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return f.Added()
}

func TestMOTLinesInAnyOrder(t *testing.T) {
	const lines = "3,-1,10.5,20,30,40,0.75\n1,-1,1,2,3,4,-1,-1,-1,-1\r\n\n3,-1,0,0,1,1,1.5\n"
	nodes := play(t, lines, nil, 3)
	if len(nodes) != 2 {
		t.Fatalf("%d nodes, want 2", len(nodes))
	}
	if b, want := nodes[0].Box(), (core.Box{X1: 10.5, Y1: 20, X2: 40.5, Y2: 60}); b != want || nodes[0].Class() != "person" {
		t.Errorf("%s at %v, want person at %v", nodes[0].Class(), b, want)
	}
	for i, want := range []float64{0.75, 1} {
		if c, ok := nodes[i].Confidence(); !ok || c != want {
			t.Errorf("node %d: confidence %v, want %v", i, c, want)
		}
	}
	if c, _ := play(t, lines, map[string]any{"class": "car"}, 1)[0].Confidence(); c != 1 {
		t.Errorf("confidence -1 became %v", c)
	}
	if n := play(t, lines, nil, 2); len(n) != 0 {
		t.Errorf("frame 2 has %d nodes", len(n))
	}
}

func TestJSONLinesKeepEverything(t *testing.T) {
	nodes := play(t, header+frames+summary, map[string]any{"class": "car"}, 2)
	if len(nodes) != 1 {
		t.Fatalf("%d nodes, want the car alone", len(nodes))
	}
	n := nodes[0]
	color, _ := n.Attribute("color")
	plate, _ := n.ExtraText("plate")
	confidence, _ := n.Confidence()
	if len(n.Coords()) != 3 || n.Coords()[2] != (core.Point{X: 3, Y: 4.5}) || color != "red" || plate != "X" || confidence != 0.25 {
		t.Errorf("coords %v, colour %q, plate %q, confidence %v", n.Coords(), color, plate, confidence)
	}
	if e := n.Encoding(); len(e) != 2 || e[0] != 0.5 || n.TrackID() != "" {
		t.Errorf("encoding %v, track %q", e, n.TrackID())
	}
	if c := n.Children(); len(c) != 1 || c[0].Class() != "wheel" {
		t.Errorf("children %v", c)
	}
	tracked := play(t, frames, map[string]any{"class": "car", "keep_tracks": true}, 2)
	if tracked[0].TrackID() != "t-1" {
		t.Errorf("track %q, want t-1", tracked[0].TrackID())
	}
	if n := play(t, frames, nil, 2); len(n) != 1 || n[0].Class() != "person" {
		t.Errorf("persons: %v", n)
	}
}

func TestPlayingTwiceGivesTheSame(t *testing.T) {
	rec, err := read(strings.NewReader(frames), "x", "car")
	if err != nil {
		t.Fatal(err)
	}
	p := &player{class: "car", nodes: rec}
	for range 2 {
		f, err := sdk.NewFrame(core.Frame{Seq: 2}, core.Layout{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Process(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		got := f.Added()[0].Coords()
		if got[0] != (core.Point{X: 1, Y: 2}) {
			t.Fatalf("coords %v", got)
		}
		got[0].X = 99 // the engine scales what it was given
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"too few fields", "1,-1,1,2,3,4,1\n1,2,3\n", "f:2: 3 fields"},
		{"too many fields", "1,1,1,1,1,1,1,1,1,1,1\n", "f:1: 11 fields"},
		{"no number", "1,-1,x,2,3,4,1\n", `f:1: field 3: "x"`},
		{"not a number", "1,-1,NaN,2,3,4,1\n", `f:1: field 3: "NaN"`},
		{"infinite", "1,-1,1,2,3,+Inf,1\n", "f:1: field 6"},
		{"frame 0", "0,-1,1,2,3,4,1\n", "f:1: field 1: 0 is not a frame number"},
		{"half a frame", "1.5,-1,1,2,3,4,1\n", "f:1: field 1"},
		{"negative width", "1,-1,1,2,-3,4,1\n", "f:1: width -3"},
		{"JSON in MOT", "1,-1,1,2,3,4,1\n{}\n", "f:2: 1 fields"},
		{"broken JSON", header + `{"seq":1,` + "\n", "f:2: no JSON object"},
		{"unknown key", `{"seq":1,"pts":0,"detections":[],"oops":1}` + "\n", `f:1: json: unknown field "oops"`},
		{"unknown key of a node", `{"seq":1,"pts":0,"detections":[{"class":"car"}]}` + "\n", `f:1: json: unknown field "class"`},
		{"no seq", `{"pts":0,"detections":[]}` + "\n", "f:1: a frame needs seq"},
		{"no detections", `{"seq":1,"pts":0}` + "\n", "f:1: a frame needs seq"},
		{"disorder", frames + `{"seq":2,"pts":1,"detections":[]}` + "\n", "f:3: seq: 2 follows 2"},
		{"no class", `{"seq":1,"pts":0,"detections":[{"coords":[[1,2]]}]}` + "\n", "f:1: detection 1: class_name"},
		{"no outline", `{"seq":1,"pts":0,"detections":[{"class_name":"a","coords":[]}]}` + "\n", "f:1: detection 1: coords"},
		{"three numbers", `{"seq":1,"pts":0,"detections":[{"class_name":"a","coords":[[1,2,3]]}]}` + "\n", "f:1: point: 3 numbers"},
		{"after the summary", summary + frames, "f:2: there is more after the summary"},
		{"two objects", `{"seq":1,"pts":0,"detections":[]} {}` + "\n", "f:1:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(strings.NewReader(c.content), "f", "car")
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s…", err, c.want)
			}
		})
	}
	if _, err := open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, map[string]any{"path": "/nowhere/det.txt"})}); err == nil || !strings.Contains(err.Error(), "/nowhere/det.txt") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestRealDetections(t *testing.T) {
	for name, want := range map[string]int{"TUD-Campus": 321, "MOT17-13": 8442} {
		path := cliptest.Data(t, "mot", name, "det.txt")
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		rec, err := read(file, path, "person")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, nodes := range rec {
			n += len(nodes)
		}
		if n != want {
			t.Errorf("%s: %d detections, want %d", name, n, want)
		}
	}
}

// FuzzRead holds that no content panics, and that what is accepted has frames from 1 and an outline.
func FuzzRead(f *testing.F) {
	f.Add("1,-1,1,2,3,4,0.5\n")
	f.Add(header + frames + summary)
	f.Add("{}")
	f.Fuzz(func(t *testing.T, content string) {
		rec, err := read(strings.NewReader(content), "f", "car")
		if err != nil {
			return
		}
		for seq, nodes := range rec {
			for _, n := range nodes {
				if seq == 0 || len(n.coords) == 0 {
					t.Errorf("frame %d: %+v", seq, n)
				}
			}
		}
	})
}
