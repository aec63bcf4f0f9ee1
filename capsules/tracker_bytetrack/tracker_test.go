package main

import (
	"regexp"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func node(id core.NodeID, class string, x float64, confidence any) *core.Node {
	n := &core.Node{ID: id, Class: class, Coords: core.Rect(x, 20, x+40, 120)}
	if confidence != nil {
		if err := n.ExtraData.Set("confidence", confidence); err != nil {
			panic(err)
		}
	}
	return n
}

// tracksOf gives the nodes of frame seq of a stream at 25 frames a second.
func tracksOf(b *sdktest.Bench, stream core.StreamID, seq uint64, nodes ...*core.Node) map[core.NodeID]core.TrackID {
	f := sdktest.Blank(640, 480, sdktest.OnStream(stream), sdktest.Seq(seq), sdktest.At(time.Duration(seq-1)*40*time.Millisecond), sdktest.With(nodes...))
	tracks := map[core.NodeID]core.TrackID{}
	for _, n := range b.Process(f).Nodes {
		tracks[n.ID] = n.TrackID
	}
	return tracks
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestTracksOfAStream(t *testing.T) {
	b := sdktest.Open(t, capsule, nil)
	first := tracksOf(b, "one", 1, node(1, "person", 0, 0.9), node(2, "face", 5, 0.9), node(3, "person", 200, 0.65), node(4, "car", 400, nil), node(5, "tree", 500, 0.9))
	for _, id := range []core.NodeID{1, 2, 4} {
		if !uuid.MatchString(string(first[id])) {
			t.Errorf("node %d: track %q, want a UUID at once", id, first[id])
		}
	}
	if first[1] == first[2] || first[3] != "" || first[5] != "" {
		t.Errorf("tracks %v: want different ones for 1 and 2, none yet for 3 and none ever for 5", first)
	}
	tracksOf(b, "one", 2)
	tracksOf(b, "one", 3, node(1, "person", 2, 0.9), node(2, "person", 201, 0.65))
	tracksOf(b, "one", 4, node(1, "person", 202, 0.65), node(2, "person", 2, 0.3))
	last := tracksOf(b, "one", 5, node(1, "person", 203, 0.65), node(2, "person", 3, 0.9), node(3, "face", 6, 0.9))
	tracksOf(b, "one", 6, node(1, "person", 203, 0.65))
	shown := tracksOf(b, "one", 7, node(1, "person", 203, 0.65))
	if last[2] != first[1] || last[3] != first[2] || shown[1] == "" {
		t.Errorf("first %v, then %v, then %v", first, last, shown)
	}
	if other := tracksOf(b, "two", 1, node(1, "person", 0, 0.9)); other[1] == first[1] || other[1] == "" {
		t.Errorf("another stream has track %v, this one %v", other, first)
	}
}

func TestClassesAreAnOption(t *testing.T) {
	b := sdktest.Open(t, capsule, map[string]any{"classes": []any{"tree"}})
	got := tracksOf(b, "one", 1, node(1, "tree", 0, 0.9), node(2, "person", 200, 0.9))
	if got[1] == "" || got[2] != "" {
		t.Errorf("tracks %v, want one for the tree alone", got)
	}
	if d := b.Declaration(); len(d.Input.Detections) != 1 || d.Output.Detections[0] != "tree" || !d.Output.Tracked {
		t.Errorf("the declaration does not follow: needs %s, gives %s", d.Input, d.Output)
	}
}

func TestNewOptionsKeepTheTracks(t *testing.T) {
	p, err := capsule.Open(t.Context(), sdk.Stream{Options: complete(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	run := func(seq uint64, n *core.Node) core.TrackID {
		f, err := sdk.NewFrame(core.Frame{Seq: seq, PTS: core.PTS(seq) * core.PTS(40*time.Millisecond)}, core.Layout{}, nil, []*core.Node{n})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Process(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		return f.Node().TrackID()
	}
	before := run(1, node(1, "person", 0, 0.9))
	if err := p.(sdk.Configurable).Configure(complete(t, map[string]any{"max_age": "5s", "sure_threshold": 1.0})); err != nil {
		t.Fatal(err)
	}
	if after := run(100, node(1, "person", 0, 0.9)); after != before || after == "" {
		t.Errorf("%q became %q: the track or the new max_age was lost", before, after)
	}
}

func complete(t *testing.T, given map[string]any) sdk.Values {
	t.Helper()
	v, err := capsule.Declaration().Complete(given)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
