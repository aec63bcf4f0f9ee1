// Command classifier_face_headpose tells where heads are turned.
package main

import (
	"context"
	"math"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

const source = "https://github.com/DefTruth/lite.ai.toolkit/raw/bfbf6a5/examples/hub/onnx/cv/"

// models are the two halves of the ensemble, whose answers are averaged.
var models = []sdk.Model{{
	File: "fsanet-1x1.onnx", URL: source + "fsanet-1x1.onnx",
	SHA256:  "d85e90cb4b9d3a87e81bbfdcfcd130cbe0e175407042e439a570aa396c44eda6",
	Licence: "MIT (omasaht/headpose-fsanet-pytorch); GPL-3.0 of the repository that it comes from",
	Source:  "omasaht/headpose-fsanet-pytorch, from DefTruth/lite.ai.toolkit@bfbf6a5",
}, {
	File: "fsanet-var.onnx", URL: source + "fsanet-var.onnx",
	SHA256:  "2877b1db98e3dc66468e90df8db4a21059facd1c3f107af91c6d4fe6476a03e1",
	Licence: "MIT (omasaht/headpose-fsanet-pytorch); GPL-3.0 of the repository that it comes from",
	Source:  "omasaht/headpose-fsanet-pytorch, from DefTruth/lite.ai.toolkit@bfbf6a5",
}}

// side is that of the networks' input, in pixels.
const side = 64

// directions are the values of the attribute. Left and right are the picture's.
var directions = []string{"front", "left", "right", "up", "down"}

var capsule = sdk.Capsule{
	Name:        "classifier_face_headpose",
	Version:     "0.1.0",
	Description: "Tells how each face is turned (yaw, pitch, roll) by two FSA-Net networks.",
	Needs:       sdk.Each("face"),
	Gives: sdk.Description{
		Size: sdk.Single, Detections: []string{"face"}, ExtraData: []string{"head_pose"},
		Attributes: []sdk.Attribute{{Name: "head_direction", Values: directions}},
	},
	Options: onnx.Options(
		sdk.Float("front", 25, "Largest yaw or pitch, in degrees, of a head that is turned to the front.", sdk.Between(0, 90)),
		sdk.Bool("both", true, "Average both networks; false asks the first alone, in half the time."),
	),
	Formats:   []sdk.PixelFormat{sdk.I420, sdk.NV12, sdk.RGB, sdk.BGR},
	OnDemand:  true,
	Models:    models,
	Resources: onnx.Resources,
	Open:      open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	norm := detect.Even(true, 127.5, 127.5)
	norm.Linear = true
	c := &classifier{input: detect.NewInput(side, side, norm), front: s.Options.Float("front")}
	wanted := models
	if given := s.Options.Text("model"); given != "" || !s.Options.Bool("both") {
		wanted = models[:1]
	}
	for _, file := range wanted {
		m, err := onnx.FromOptions(s, file, onnx.Config{
			Inputs:  []onnx.Port{{Shape: []int{1, 3, side, side}}},
			Outputs: []onnx.Port{{Shape: []int{1, 3}}},
		})
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		c.models = append(c.models, m)
	}
	return c, nil
}

// classifier looks at heads one by one. It keeps nothing from face to face.
type classifier struct {
	models []*onnx.Model
	input  *detect.Input
	front  float64
}

// Close gives the models back.
func (c *classifier) Close() error {
	for _, m := range c.models {
		_ = m.Close()
	}
	return nil
}

// pose is how a head is turned, in degrees: yaw above 0 to the picture's left, pitch above 0 up,
// roll above 0 leaning to the picture's right.
type pose struct {
	Yaw   float64 `json:"yaw"`
	Pitch float64 `json:"pitch"`
	Roll  float64 `json:"roll"`
}

// Process sets pose and direction of the frame's face.
func (c *classifier) Process(ctx context.Context, f *sdk.Frame) error {
	face := detect.Whole(f.Node().Box())
	in := c.input.FillWithin(f, detect.Cut(framed(face), side, side), face)
	var p pose
	for _, m := range c.models {
		out, err := m.Run(ctx, in)
		if err != nil {
			return err
		}
		v, n := out[0].Data().([]float32), float64(len(c.models))
		p.Yaw, p.Pitch, p.Roll = p.Yaw+float64(v[0])/n, p.Pitch+float64(v[1])/n, p.Roll+float64(v[2])/n
	}
	p.Yaw, p.Pitch, p.Roll = detect.Round(p.Yaw, 10), detect.Round(p.Pitch, 10), detect.Round(p.Roll, 10)
	f.Node().SetExtra("head_pose", p).SetAttribute("head_direction", c.direction(p))
	return nil
}

// framed gives the box of a face with the black frame about it that the networks know: 1.3 times
// its size, in whole pixels.
func framed(b sdk.Box) sdk.Box {
	w, h := math.Floor(1.3*b.Width()), math.Floor(1.3*b.Height())
	x, y := b.X1-math.Floor((w-b.Width())/2), b.Y1-math.Floor((h-b.Height())/2)
	return sdk.Box{X1: x, Y1: y, X2: x + w, Y2: y + h}
}

// direction names the larger of yaw and pitch.
func (c *classifier) direction(p pose) string {
	yaw, pitch := max(p.Yaw, -p.Yaw), max(p.Pitch, -p.Pitch)
	switch {
	case max(yaw, pitch) <= c.front:
		return "front"
	case yaw >= pitch && p.Yaw > 0:
		return "left"
	case yaw >= pitch:
		return "right"
	case p.Pitch > 0:
		return "up"
	default:
		return "down"
	}
}
