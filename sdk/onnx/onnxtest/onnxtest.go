// Package onnxtest gives tests of capsules with networks what they need on a machine: the
// library, the models of the test data, and pictures scaled as the engine scales them. It skips
// what is absent and says so.
package onnxtest

import (
	"encoding/json"
	"image"
	"os"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/files"
	"github.com/capstan-video/capstan/sdk/tensor"
)

// Models has the models of the test data found by capsules that are opened in this test, and
// skips it where the data or ONNX Runtime is absent. The test must not be parallel.
func Models(t testing.TB) (folder string) {
	t.Helper()
	folder = cliptest.Data(t, "models")
	if _, err := files.Runtime(""); err != nil {
		t.Skipf("ONNX Runtime is absent: %v", err)
	}
	t.Setenv(files.ModelsEnv, folder)
	return folder
}

// Model gives the path of one model of the test data; like Models it may skip the test.
func Model(t testing.TB, parts ...string) string {
	t.Helper()
	if _, err := files.Runtime(""); err != nil {
		t.Skipf("ONNX Runtime is absent: %v", err)
	}
	return cliptest.Data(t, append([]string{"models"}, parts...)...)
}

// Frame gives a picture of the test data as the engine gives it to the capsule: in the first
// format that it takes and the size that it wants. Nodes are in pixels of the whole picture.
func Frame(t testing.TB, c sdk.Capsule, m image.Image, nodes ...*core.Node) *sdk.Frame {
	t.Helper()
	format := c.Formats[0]
	if format == core.I420 || format == core.NV12 {
		format = core.RGB // pictures are RGB: a way there and back would cost colour
	}
	layout, mem := cliptest.Pack(m, format)
	caps := core.Caps{Format: format, Width: layout.Width, Height: layout.Height}
	if w, h := c.Picture.Fit(layout.Width, layout.Height); w != layout.Width || h != layout.Height {
		layout, mem = cliptest.Shrink(layout, mem, w, h)
	}
	scaled := make([]*core.Node, 0, len(nodes))
	for i, n := range nodes {
		n = n.Clone()
		if n.ID == 0 {
			n.ID = core.NodeID(i + 1)
		}
		scale(n, float64(layout.Width)/float64(caps.Width), float64(layout.Height)/float64(caps.Height))
		scaled = append(scaled, n)
	}
	f, err := sdk.NewFrame(core.Frame{Stream: "still", Seq: 1, Caps: caps}, layout, mem, scaled)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Open opens a processor of the capsule, which is closed with the test.
func Open(t testing.TB, c sdk.Capsule, given map[string]any) sdk.Processor {
	t.Helper()
	p, err := c.Open(t.Context(), sdk.Stream{ID: "test", Options: cliptest.Values(t, c, given)})
	if err != nil {
		t.Fatal(err)
	}
	if closer, ok := p.(interface{ Close() error }); ok {
		t.Cleanup(func() { _ = closer.Close() })
	}
	return p
}

// Reference reads a part of reference_outputs.json, which other programs computed, into to.
func Reference(t testing.TB, part string, to any) {
	t.Helper()
	data, err := os.ReadFile(cliptest.Data(t, "models", "reference_outputs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(parts[part], to); err != nil {
		t.Fatalf("reference_outputs.json: %s: %v", part, err)
	}
}

// Process has the processor look at f and gives the nodes that it adds, in pixels of the stream.
func Process(t testing.TB, p sdk.Processor, f *sdk.Frame) []*core.Node {
	t.Helper()
	if err := p.Process(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	sx, sy := float64(f.Caps().Width)/float64(f.Width()), float64(f.Caps().Height)/float64(f.Height())
	nodes := make([]*core.Node, 0, len(f.Added()))
	for _, n := range f.Added() {
		c := &core.Node{Class: n.Class(), Coords: append(core.Polygon(nil), n.Coords()...), ExtraData: core.ExtraData{}}
		for _, key := range []string{"confidence", "landmarks"} {
			if raw, ok := n.Extra(key); ok {
				c.ExtraData[key] = raw
			}
		}
		scale(c, sx, sy)
		nodes = append(nodes, c)
	}
	return nodes
}

// scale does not round, as the engine does not.
func scale(n *core.Node, sx, sy float64) {
	for i, p := range n.Coords {
		n.Coords[i] = core.Point{X: p.X * sx, Y: p.Y * sy}
	}
}

// Nearest gives the node that overlaps box most, and by how much (IoU); nil where there is none.
func Nearest(nodes []*core.Node, class string, box core.Box) (best *core.Node, overlap float64) {
	for _, n := range nodes {
		if o := tensor.IoU(n.Coords.Box(), box); n.Class == class && o > overlap {
			best, overlap = n, o
		}
	}
	return best, overlap
}
