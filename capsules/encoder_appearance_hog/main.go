// Command encoder_appearance_hog encodes what detections look like, to recognise them again.
package main

import (
	"context"
	"fmt"

	"github.com/capstan-video/capstan/sdk"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var capsule = sdk.Capsule{
	Name:        "encoder_appearance_hog",
	Version:     "0.1.0",
	Description: "Encodes shape and colours of people and vehicles, to recognise them again.",
	Needs:       sdk.Each("${classes}"),
	Gives:       sdk.Description{Size: sdk.Single, Detections: []string{"${classes}"}, Encoded: true},
	Options: []sdk.Option{
		sdk.List("classes", []string{"person", "vehicle", "car", "truck", "bus", "van", "motorcycle", "bicycle", "bike"}, "Classes to encode."),
		sdk.Float("recognition_threshold", 0.22, "Cosine distance up to which two encodings are the same object; lower is stricter.", sdk.Between(0, 2)),
	},
	Formats: []sdk.PixelFormat{sdk.RGB},
	Picture: sdk.PictureSize{MaxSide: 1280},
	Metric:  sdk.Cosine,
	Open: func(context.Context, sdk.Stream) (sdk.Processor, error) {
		return &encoder{}, nil
	},
}

func main() { sdk.Serve(capsule) }

// encoder works on one node at a time; what it holds is memory to work in.
type encoder struct {
	crop  [cropHeight * cropWidth * 3]float32
	luma  [cropHeight * cropWidth]float32
	cells [cellsDown * cellsAcross * bins]float32
}

// Process sets the encoding. What of a node lies outside the picture looks like its edge.
func (e *encoder) Process(_ context.Context, f *sdk.Frame) error {
	n := f.Node()
	if n == nil {
		return fmt.Errorf("%d nodes, want one", len(f.Nodes()))
	}
	pix, stride := f.Plane(0)
	if !e.sample(pix, stride, f.Width(), f.Height(), n.Box()) {
		return fmt.Errorf("node %d (%s) has no place: %v", n.ID(), n.Class(), n.Coords())
	}
	n.SetEncoding(e.encode())
	return nil
}
