// Command detector_objects_yolox finds the objects of the COCO classes with a YOLOX network.
package main

import (
	"context"
	"fmt"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var models = []sdk.Model{{
	File:    "yolox_nano_416x416.onnx",
	URL:     "https://github.com/Kazuhito00/MOT-Tracking-by-Detection-Pipeline/raw/e50a76b/Detector/yolox/model/yolox_nano.onnx",
	SHA256:  "695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
	Licence: "Apache-2.0",
	Source:  "Megvii-BaseDetection/YOLOX, from Kazuhito00/MOT-Tracking-by-Detection-Pipeline@e50a76b",
}, {
	File:    "light_person_detector_192.onnx",
	URL:     "https://github.com/Kazuhito00/MOT-Tracking-by-Detection-Pipeline/raw/e50a76b/Detector/light_person_detector/model/model.onnx",
	SHA256:  "4bf5f704cd3bd900645a4303e0934ede13d9fb2135058b38005f4c2886c68576",
	Licence: "Apache-2.0",
	Source:  "Kazuhito00/MOT-Tracking-by-Detection-Pipeline@e50a76b",
}}

var capsule = sdk.Capsule{
	Name:        "detector_objects_yolox",
	Version:     "0.1.0",
	Description: "Finds persons, vehicles and the other COCO classes with a YOLOX network.",
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"${classes}"}, ExtraData: []string{"confidence"}},
	Options: onnx.Options(detect.ObjectOptions(0.3,
		sdk.Enum("network", "coco", []string{"coco", "person"}, "Which of the capsule's models: yolox_nano_416x416 for 80 classes, or light_person_detector_192 for persons alone, at a third of the time."),
	)...),
	Formats:   []sdk.PixelFormat{sdk.BGR, sdk.RGB},
	Picture:   sdk.PictureSize{MaxSide: 416, Filter: sdk.Linear},
	OnDemand:  true,
	Models:    models,
	Resources: onnx.Resources,
	Open:      open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	file := models[0]
	if s.Options.Text("network") == "person" {
		file = models[1]
	}
	m, err := onnx.FromOptions(s, file, onnx.Config{
		Inputs:  []onnx.Port{{Shape: []int{1, 3, -1, -1}}},
		Outputs: []onnx.Port{{Shape: []int{1, -1, -1}}},
	})
	if err != nil {
		return nil, err
	}
	d := &detector{model: m}
	if err := d.prepare(s); err != nil {
		_ = m.Close()
		return nil, err
	}
	return d, nil
}

// detector finds the objects of one stream's frames. It keeps nothing from frame to frame.
type detector struct {
	model   *onnx.Model
	input   *detect.Input
	objects *detect.Objects
}

// prepare reads input size and classes off the model.
func (d *detector) prepare(s sdk.Stream) (err error) {
	shape := d.model.Input(0).Shape
	if shape[2] < 32 || shape[3] < 32 {
		return fmt.Errorf("%s: its input %v has no fixed size of at least 32x32 pixels; export the model with one", d.model.Path(), d.model.Input(0))
	}
	d.input = detect.NewInput(shape[3], shape[2], detect.Norm{BGR: true, Pad: 114, Linear: true})
	d.objects, err = detect.NewObjects(s, d.model.Output(0).Shape[2]-5)
	return err
}

// Close gives the model back.
func (d *detector) Close() error { return d.model.Close() }

// Process adds a node for each object.
func (d *detector) Process(ctx context.Context, f *sdk.Frame) error {
	if !d.objects.Due(f) {
		return nil
	}
	warp, scale := detect.Letterbox(f.Width(), f.Height(), d.input.W, d.input.H)
	out, err := d.model.Run(ctx, d.input.Fill(f, warp))
	if err != nil {
		return err
	}
	found, err := detect.YOLOX(out[0].Data().([]float32), d.input.W, d.input.H, d.objects.Classes(), d.objects.Threshold)
	if err != nil {
		return err
	}
	for i := range found {
		found[i].Scale(scale)
	}
	d.objects.Add(f, found)
	return nil
}
