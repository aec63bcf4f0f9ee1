package conform

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/capstan-video/capstan/core"
)

// fakeSide gives the start and length of one side of a box: at least 2 pixels, up to 3 beyond
// the frame at either end, at least 1 within it.
func fakeSide(random *rand.Rand, frame int) (from, length int) {
	length = 2 + random.IntN(max(1, frame-1))
	least, most := max(-3, 1-length), min(frame+3-length, frame-1)
	return least + random.IntN(most-least+1), length
}

// Nodes makes n nodes that satisfy d, with random boxes that may leave the frame by 3 pixels.
func Nodes(random *rand.Rand, d core.Description, caps core.Caps, n int) []*core.Node {
	if d.Size == core.SizeNone {
		return nil
	}
	nodes := make([]*core.Node, n)
	for i := range nodes {
		x, w := fakeSide(random, caps.Width)
		y, h := fakeSide(random, caps.Height)
		nodes[i] = nodeFor(random, d, core.Rect(float64(x), float64(y), float64(x+w), float64(y+h)))
		nodes[i].ID = core.NodeID(i + 1)
	}
	return nodes
}

// encodingLength is that of made-up encodings.
const encodingLength = 128

// nodeFor makes a node that satisfies d.
func nodeFor(random *rand.Rand, d core.Description, outline core.Polygon) *core.Node {
	node := &core.Node{Class: "N/A", Coords: outline}
	if len(d.Detections) > 0 {
		node.Class = d.Detections[random.IntN(len(d.Detections))]
	}
	for _, a := range d.Attributes {
		if node.Attributes == nil {
			node.Attributes = map[string]string{}
		}
		node.Attributes[a.Name] = a.Values[random.IntN(len(a.Values))]
	}
	for _, k := range d.ExtraData {
		if node.ExtraData == nil {
			node.ExtraData = core.ExtraData{}
		}
		node.ExtraData[k] = json.RawMessage("0.5129319283")
	}
	if d.Encoded {
		node.Encoding = make(core.Encoding, encodingLength)
		for i := range node.Encoding {
			node.Encoding[i] = random.Float32() - 0.5
		}
	}
	if d.Tracked {
		node.TrackID = core.TrackID(fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", random.Uint32(), random.IntN(1<<16), random.IntN(1<<12), random.IntN(1<<12), random.Int64N(1<<48)))
	}
	return node
}

// stranger is a node that no capsule asks for by class.
func stranger() *core.Node {
	return &core.Node{ID: 1 << 20, Class: "nobody asked for this", Coords: core.Rect(0, 0, 1, 1)}
}

// needed gives copies of the nodes that a capsule with input d is fed.
func needed(d core.Description, nodes []*core.Node) []*core.Node {
	if d.Size == core.SizeNone {
		return nil
	}
	var list []*core.Node
	for _, n := range nodes {
		if ok, err := d.Describes(n); ok && err == nil {
			list = append(list, n.Clone())
		}
	}
	return list
}
