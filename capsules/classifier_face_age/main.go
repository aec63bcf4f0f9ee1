// Command classifier_face_age estimates the age of faces.
package main

import (
	"context"
	"math"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var model = sdk.Model{
	File:    "ssrnet.onnx",
	URL:     "https://github.com/DefTruth/lite.ai.toolkit/raw/bfbf6a5/examples/hub/onnx/cv/ssrnet.onnx",
	SHA256:  "74a7e6d0443c332b64102005d5605c62037287249191cc4bdf8adf8a7ba6e73e",
	Licence: "GPL-3.0 (of the repository that it comes from)",
	Source:  "DefTruth/lite.ai.toolkit@bfbf6a5",
}

// side is that of the network's input, in pixels.
const side = 64

// groups are the age groups and the first age that no longer belongs to each.
var groups = []struct {
	name  string
	below float64
}{{"child", 13}, {"teenager", 20}, {"young_adult", 35}, {"adult", 60}, {"senior", math.Inf(1)}}

func groupNames() []string {
	names := make([]string, 0, len(groups))
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

var capsule = sdk.Capsule{
	Name:        "classifier_face_age",
	Version:     "0.1.0",
	Description: "Estimates the age of each face in years by the SSR-Net network. It is rough: ten years off is usual.",
	Needs:       sdk.Each("face"),
	Gives: sdk.Description{
		Size: sdk.Single, Detections: []string{"face"}, ExtraData: []string{"age"},
		Attributes: []sdk.Attribute{{Name: "age_group", Values: groupNames()}},
	},
	Options: onnx.Options(
		sdk.Float("margin", 0.2, "How much is looked at on each side of the face, as a share of its longer side.", sdk.Between(0, 1)),
	),
	Formats:   []sdk.PixelFormat{sdk.I420, sdk.NV12, sdk.RGB, sdk.BGR},
	OnDemand:  true,
	Models:    []sdk.Model{model},
	Resources: onnx.Resources,
	Open:      open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	m, err := onnx.FromOptions(s, model, onnx.Config{
		Inputs:  []onnx.Port{{Shape: []int{1, 3, side, side}}},
		Outputs: []onnx.Port{{Name: "age", Shape: []int{1}}},
	})
	if err != nil {
		return nil, err
	}
	norm := detect.ImageNet
	norm.Linear = true
	return &classifier{model: m, input: detect.NewInput(side, side, norm), margin: s.Options.Float("margin")}, nil
}

// classifier estimates ages one by one. It keeps nothing from face to face.
type classifier struct {
	model  *onnx.Model
	input  *detect.Input
	margin float64
}

// Close gives the model back.
func (c *classifier) Close() error { return c.model.Close() }

// Process sets age and age group of the frame's face.
func (c *classifier) Process(ctx context.Context, f *sdk.Frame) error {
	part := c.part(f.Node().Box())
	if seen, ok := detect.Within(part, f.Width(), f.Height()); ok {
		part = seen
	}
	out, err := c.model.Run(ctx, c.input.Fill(f, detect.Cut(part, side, side)))
	if err != nil {
		return err
	}
	age := math.Max(0, math.Min(float64(out[0].Data().([]float32)[0]), 120))
	f.Node().SetExtra("age", detect.Round(age, 10)).SetAttribute("age_group", group(age))
	return nil
}

// part gives what the network sees of a face: the box in whole pixels and around it a share of
// its longer side.
func (c *classifier) part(b sdk.Box) sdk.Box {
	b = detect.Whole(b)
	m := math.Floor(c.margin * max(b.Width(), b.Height()))
	return sdk.Box{X1: b.X1 - m, Y1: b.Y1 - m, X2: b.X2 + m, Y2: b.Y2 + m}
}

func group(age float64) string {
	for _, g := range groups {
		if age < g.below {
			return g.name
		}
	}
	return groups[len(groups)-1].name
}
