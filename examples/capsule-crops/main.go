// Command capsule-crops shows how to:
//
//  1. need detections of some classes, one at a time,
//  2. cut each one out of the picture, with a margin,
//  3. answer with an attribute whose values are declared, and with a number.
//
// It says of every face whether the picture of it is sharp. Run it on a video, with what finds
// faces:
//
//	mkdir -p /tmp/capsules/classifier_sharpness
//	go build -o /tmp/capsules/classifier_sharpness/ ./examples/capsule-crops
//	go run ./examples/capsule-crops manifest > /tmp/capsules/classifier_sharpness/capsule.yaml
//	bin/capstan capsule run /tmp/capsules/classifier_sharpness video.mp4 --json -
package main

import (
	"context"
	"math"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/tensor"
)

var capsule = sdk.Capsule{
	Name:        "classifier_sharpness",
	Version:     "1",
	Description: "Says of every face whether its picture is sharp or blurred.",
	Needs:       sdk.Each("${classes}"),
	Gives: sdk.Description{
		Size: sdk.Single, Detections: []string{"${classes}"}, ExtraData: []string{"sharpness_score"},
		Attributes: []sdk.Attribute{{Name: "sharpness", Values: []string{"sharp", "blurred"}}},
	},
	Formats: []sdk.PixelFormat{sdk.GRAY8}, // the luma as the decoder wrote it
	Options: []sdk.Option{
		sdk.List("classes", []string{"face"}, "Classes to look at."),
		sdk.Float("margin", 10, "Left out at each edge, in percent of the side.", sdk.Between(0, 40)),
		sdk.Float("sharp", 6, "Mean step between neighbouring pixels, in grey levels, from which it is sharp.", sdk.Between(0, 255)),
	},
	Entry: "capsule-crops",
	Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
		return &classifier{margin: s.Options.Float("margin"), sharp: s.Options.Float("sharp")}, nil
	},
}

func main() { sdk.Serve(capsule) }

type classifier struct{ margin, sharp float64 }

// side is that of the crop as it is judged, in pixels: faces of all sizes are then alike.
const side = 64

var crop = tensor.Input{Width: side, Height: side, Channels: tensor.Gray}

// Process is called once for each face; f.Node is the face.
func (c *classifier) Process(_ context.Context, f *sdk.Frame) error {
	n := f.Node()
	inner := tensor.CropOf(n.Box()).PadPercent(-c.margin, -c.margin, -c.margin, -c.margin)
	score := 0.0
	if r, ok := inner.Within(f.Width(), f.Height()); ok {
		part := sdk.Box{X1: float64(r.Min.X), Y1: float64(r.Min.Y), X2: float64(r.Max.X), Y2: float64(r.Max.Y)}
		t, _, err := crop.Batch(f, []sdk.Box{part})
		if err != nil {
			return err
		}
		score = steps(t.Data().([]float32))
	}
	name := "blurred"
	if score >= c.sharp {
		name = "sharp"
	}
	n.SetAttribute("sharpness", name).SetExtra("sharpness_score", math.Round(score*100)/100)
	return nil
}

// steps gives the mean difference between neighbours, across and down.
func steps(pix []float32) float64 {
	sum := 0.0
	for i := range pix {
		if i%side > 0 {
			sum += math.Abs(float64(pix[i] - pix[i-1]))
		}
		if i >= side {
			sum += math.Abs(float64(pix[i] - pix[i-side]))
		}
	}
	return sum / (2 * side * (side - 1))
}
