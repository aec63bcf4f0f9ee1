package main

import (
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func person(id core.NodeID, x float64, look core.Encoding) *core.Node {
	n := &core.Node{ID: id, Class: "person", Coords: core.Rect(x, 20, x+40, 120), Encoding: look}
	if err := n.ExtraData.Set("confidence", 0.9); err != nil {
		panic(err)
	}
	return n
}

// run gives the tracks of frame seq of a stream at 25 frames a second, by node.
func run(b *sdktest.Bench, seq uint64, nodes ...*core.Node) map[core.NodeID]core.TrackID {
	f := sdktest.Blank(640, 480, sdktest.OnStream("one"), sdktest.Seq(seq), sdktest.At(time.Duration(seq-1)*40*time.Millisecond), sdktest.With(nodes...))
	tracks := map[core.NodeID]core.TrackID{}
	for _, n := range b.Process(f).Nodes {
		tracks[n.ID] = n.TrackID
	}
	return tracks
}

// TestOcclusion: who stops while hidden is the same track where it comes out.
func TestOcclusion(t *testing.T) {
	b := sdktest.Open(t, capsule, nil)
	var first, last map[core.NodeID]core.TrackID
	for k := range 50 {
		var seen []*core.Node
		if k <= 20 || k >= 40 {
			seen = append(seen, person(1, 4*float64(min(k, 20)), nil))
		}
		last = run(b, uint64(k+1), seen...)
		if k == 0 {
			first = last
		}
	}
	if first[1] == "" || first[1] != last[1] {
		t.Errorf("%v became %v", first, last)
	}
}

// TestCrossing: two who walk past each other keep their tracks; two who turn back keep them when
// their nodes are encoded.
func TestCrossing(t *testing.T) {
	red, blue := core.Encoding{1, 0}, core.Encoding{0, 1}
	for _, c := range []struct {
		name  string
		way   func(k int) float64
		a, b  core.Encoding
		swaps bool
	}{
		{"they pass", func(k int) float64 { return 4 * float64(k) }, nil, nil, false},
		{"they turn back", func(k int) float64 { return 4 * float64(min(k, 79-k)) }, nil, nil, true},
		{"they turn back, encoded", func(k int) float64 { return 4 * float64(min(k, 79-k)) }, red, blue, false},
	} {
		b := sdktest.Open(t, capsule, nil)
		var first, last map[core.NodeID]core.TrackID
		for k := range 80 {
			last = run(b, uint64(k+1), person(1, c.way(k), c.a), person(2, 312-c.way(k), c.b))
			if k == 0 {
				first = last
			}
		}
		if first[1] == "" || first[2] == "" || (first[1] == last[2]) != c.swaps || (first[1] == last[1]) == c.swaps {
			t.Errorf("%s: %v became %v, want them swapped: %v", c.name, first, last, c.swaps)
		}
	}
}

func TestOptionsAreUsed(t *testing.T) {
	for _, c := range []struct {
		name  string
		given map[string]any
		gap   int
		again bool
	}{
		{"two seconds are waited for", nil, 40, true},
		{"max_age", map[string]any{"max_age": "1s"}, 40, false},
		{"max_age, longer", map[string]any{"max_age": "10s"}, 100, true},
	} {
		b := sdktest.Open(t, capsule, c.given)
		before := run(b, 1, person(1, 100, nil))
		for k := range c.gap {
			run(b, uint64(2+k))
		}
		if after := run(b, uint64(2+c.gap), person(1, 100, nil)); (before[1] == after[1]) != c.again {
			t.Errorf("%s: %v became %v", c.name, before, after)
		}
	}
}
