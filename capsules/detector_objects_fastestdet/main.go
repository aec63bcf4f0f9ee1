// Command detector_objects_fastestdet finds the objects of the COCO classes with FastestDet.
package main

import (
	"context"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var model = sdk.Model{
	File:    "FastestDet.onnx",
	URL:     "https://github.com/dog-qiuqiu/FastestDet/raw/50473cd/example/onnx-runtime/FastestDet.onnx",
	SHA256:  "31cb14c017fce347cb4c846ec62fdf00d76bb3beecdf4be21e7116ac67feb880",
	Licence: "BSD-3-Clause",
	Source:  "dog-qiuqiu/FastestDet@50473cd",
}

// side is that of the network's input, in pixels.
const side = 352

var capsule = sdk.Capsule{
	Name:        "detector_objects_fastestdet",
	Version:     "0.1.0",
	Description: "Finds persons, vehicles and the other COCO classes with FastestDet, a very small network.",
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"${classes}"}, ExtraData: []string{"confidence"}},
	Options:     onnx.Options(detect.ObjectOptions(0.65)...),
	Formats:     []sdk.PixelFormat{sdk.BGR, sdk.RGB},
	Picture:     sdk.PictureSize{Width: side, Height: side},
	OnDemand:    true,
	Models:      []sdk.Model{model},
	Resources:   onnx.Resources,
	Open:        open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	m, err := onnx.FromOptions(s, model, onnx.Config{
		Inputs:  []onnx.Port{{Shape: []int{1, 3, side, side}}},
		Outputs: []onnx.Port{{Shape: []int{1, -1, -1, -1}}},
	})
	if err != nil {
		return nil, err
	}
	objects, err := detect.NewObjects(s, m.Output(0).Shape[1]-5)
	if err != nil {
		_ = m.Close()
		return nil, err
	}
	return &detector{model: m, input: detect.NewInput(side, side, detect.Even(true, 0, 255)), objects: objects}, nil
}

// detector finds the objects of one stream's frames. It keeps nothing from frame to frame.
type detector struct {
	model   *onnx.Model
	input   *detect.Input
	objects *detect.Objects
}

// Close gives the model back.
func (d *detector) Close() error { return d.model.Close() }

// Process adds a node for each object.
func (d *detector) Process(ctx context.Context, f *sdk.Frame) error {
	if !d.objects.Due(f) {
		return nil
	}
	w, h := float64(f.Width()), float64(f.Height())
	out, err := d.model.Run(ctx, d.input.Fill(f, detect.Cut(sdk.Box{X2: w, Y2: h}, side, side)))
	if err != nil {
		return err
	}
	grid := out[0].Shape()
	found, err := detect.FastestDet(out[0].Data().([]float32), grid[3], grid[2], d.objects.Classes(), d.objects.Threshold)
	if err != nil {
		return err
	}
	for i, o := range found {
		found[i].Box = sdk.Box{X1: o.Box.X1 * w, Y1: o.Box.Y1 * h, X2: o.Box.X2 * w, Y2: o.Box.Y2 * h}
	}
	d.objects.Add(f, found)
	return nil
}
