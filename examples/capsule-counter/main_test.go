package main

import (
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

// walk gives the counts after a track has been at these places, one every 200 ms from frame n on.
func walk(t *testing.T, b *sdktest.Bench, stream core.StreamID, track core.TrackID, n int, places ...float64) (in, out float64) {
	t.Helper()
	for i, x := range places {
		node := &core.Node{Class: "person", Coords: core.Rect(x-10, 20, x+10, 100), TrackID: track}
		f := sdktest.Blank(640, 480, sdktest.OnStream(stream), sdktest.Seq(uint64(n+i+1)), sdktest.At(time.Duration(n+i)*200*time.Millisecond), sdktest.With(node))
		got := b.Process(f).Added
		if len(got) != 1 || got[0].Class != "counting_line" {
			t.Fatalf("frame %d: added %+v", n+i, got)
		}
		in, _ = got[0].ExtraData.Float("in")
		out, _ = got[0].ExtraData.Float("out")
	}
	return in, out
}

func TestCounts(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]any
		places  []float64
		in, out float64
	}{
		"to the right":         {nil, []float64{200, 300, 340, 400}, 1, 0},
		"to the left":          {nil, []float64{400, 330, 300}, 0, 1},
		"there and back":       {nil, []float64{300, 340, 300, 340}, 2, 1},
		"never":                {nil, []float64{100, 300, 100}, 0, 0},
		"beside the line":      {map[string]any{"y1": 0.5}, []float64{200, 400}, 0, 0},
		"a line that moved":    {map[string]any{"x1": 0.25, "x2": 0.25}, []float64{100, 300, 400}, 1, 0},
		"a line the other way": {map[string]any{"y1": 1, "y2": 0}, []float64{200, 400}, 0, 1},
	} {
		in, out := walk(t, sdktest.Open(t, capsule, c.options), "test", "a", 0, c.places...)
		if in != c.in || out != c.out {
			t.Errorf("%s: %v in and %v out, want %v and %v", name, in, out, c.in, c.out)
		}
	}
}

func TestStreamsCountForThemselves(t *testing.T) {
	b := sdktest.Open(t, capsule, nil)
	walk(t, b, "door", "a", 0, 200, 400)
	walk(t, b, "gate", "a", 0, 200, 300)
	if in, _ := walk(t, b, "gate", "a", 2, 310); in != 0 {
		t.Errorf("gate has %v", in)
	}
	if in, _ := walk(t, b, "door", "b", 2, 200, 400); in != 2 {
		t.Errorf("door has %v", in)
	}
}

// TestForgets sees a track again on the other side, long after it was lost.
func TestForgets(t *testing.T) {
	b := sdktest.Open(t, capsule, map[string]any{"max_age": "1s"})
	walk(t, b, "test", "a", 0, 200)
	walk(t, b, "test", "b", 1, 600, 600, 600, 600, 600, 600)
	if in, out := walk(t, b, "test", "a", 7, 400); in+out != 0 {
		t.Errorf("%v in, %v out", in, out)
	}
}

func TestNewOptionsKeepTheCounts(t *testing.T) {
	values, err := capsule.Declaration().Complete(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{in: 3, tracks: map[core.TrackID]sighting{"a": {}}}
	if err := c.Configure(values); err != nil || c.in != 3 || len(c.tracks) != 1 || c.to.Y != 1 || c.maxAge != core.PTS(5*time.Second) {
		t.Errorf("%+v %v", c, err)
	}
}

func TestConformance(t *testing.T) { sdktest.Run(t, capsule) }
