// Command classifier_color_hsv names the dominant colour of every detection.
package main

import (
	"context"
	"fmt"
	"math"

	"github.com/capstan-video/capstan/sdk"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var capsule = sdk.Capsule{
	Name:        "classifier_color_hsv",
	Version:     "0.1.0",
	Description: "Names the dominant colour of every detection, whatever its class.",
	Needs:       sdk.Each(),
	Gives: sdk.Description{
		Size: sdk.Single, Attributes: []sdk.Attribute{{Name: "color", Values: names[:]}}, ExtraData: []string{"color_confidence"},
	},
	Options: []sdk.Option{
		sdk.Float("margin", 0.1, "Share of the box that is left out at each edge, where the background shows.", sdk.Between(0, 0.45)),
		sdk.Float("min_saturation", 0.2, "Below this saturation (0 to 1) a bright pixel is white, gray or black.", sdk.Between(0, 1)),
	},
	Formats: []sdk.PixelFormat{sdk.RGB},
	Picture: sdk.PictureSize{MaxSide: 640},
	Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
		return &classifier{margin: s.Options.Float("margin"), saturation: s.Options.Float("min_saturation")}, nil
	},
}

func main() { sdk.Serve(capsule) }

// classifier looks at one node at a time and keeps nothing.
type classifier struct {
	margin, saturation float64
}

// Process sets color and color_confidence. A node wholly outside the picture gets the colour of
// the nearest pixels with a confidence of 0, since every node must have one.
func (c *classifier) Process(_ context.Context, f *sdk.Frame) error {
	n := f.Node()
	if n == nil {
		return fmt.Errorf("%d nodes, want one", len(f.Nodes()))
	}
	p, inside, ok := patchOf(n.Box(), c.margin, f.Width(), f.Height())
	if !ok {
		return fmt.Errorf("node %d (%s) has no place: %v", n.ID(), n.Class(), n.Coords())
	}
	pix, stride := f.Plane(0)
	name, confidence := c.dominant(pix, stride, p)
	if !inside {
		confidence = 0
	}
	n.SetAttribute("color", name).SetExtra("color_confidence", math.Round(confidence*1e4)/1e4)
	return nil
}
