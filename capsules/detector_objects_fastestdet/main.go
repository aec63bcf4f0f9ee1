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
	Options: onnx.Options(
		sdk.Float("threshold", 0.65, "Least confidence of an object.", sdk.Between(0.01, 1)),
		sdk.Float("iou", 0.45, "Two finds of a class that overlap more than this are one object.", sdk.Between(0, 1)),
		sdk.List("classes", detect.COCO, "Classes to find."),
		sdk.List("names", []string{}, "Class names of a model of your own, in its order; empty: COCO's for 80 classes, person for one."),
		sdk.Duration("interval", 0, "Least time between two frames that are looked at; those between have no nodes. 0: every frame.", sdk.Between(0, 3600)),
	),
	Formats:   []sdk.PixelFormat{sdk.BGR, sdk.RGB},
	Picture:   sdk.PictureSize{Width: side, Height: side},
	OnDemand:  true,
	Models:    []sdk.Model{model},
	Resources: onnx.Resources,
	Open:      open,
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
	d := &detector{model: m, input: detect.NewInput(side, side, detect.Even(true, 0, 255))}
	d.threshold, d.overlap = s.Options.Float("threshold"), s.Options.Float("iou")
	d.interval = detect.IntervalOf(s.ID, s.Options.Duration("interval"))
	if d.names, err = detect.Names(s.Options.List("names"), m.Output(0).Shape[1]-5); err == nil {
		d.wanted, err = detect.Wanted(d.names, s.Options.List("classes"))
	}
	if err != nil {
		_ = m.Close()
		return nil, err
	}
	return d, nil
}

// detector finds the objects of one stream's frames. It keeps nothing from frame to frame.
type detector struct {
	model              *onnx.Model
	input              *detect.Input
	names              []string
	wanted             []bool
	threshold, overlap float64
	interval           *detect.Interval
}

// Close gives the model back.
func (d *detector) Close() error { return d.model.Close() }

// Process adds a node for each object.
func (d *detector) Process(ctx context.Context, f *sdk.Frame) error {
	if !d.interval.Due(f) {
		return nil
	}
	w, h := float64(f.Width()), float64(f.Height())
	out, err := d.model.Run(ctx, d.input.Fill(f, detect.Cut(sdk.Box{X2: w, Y2: h}, side, side)))
	if err != nil {
		return err
	}
	grid := out[0].Shape()
	found, err := detect.FastestDet(out[0].Data().([]float32), grid[3], grid[2], len(d.names), d.threshold)
	if err != nil {
		return err
	}
	for _, o := range detect.Suppress(found, d.overlap) {
		box := sdk.Box{X1: o.Box.X1 * w, Y1: o.Box.Y1 * h, X2: o.Box.X2 * w, Y2: o.Box.Y2 * h}
		if box, ok := detect.Within(box, f.Width(), f.Height()); ok && d.wanted[o.Class] {
			f.Add(d.names[o.Class], box.Polygon()).SetConfidence(detect.Round(o.Score, 1e4))
		}
	}
	return nil
}
