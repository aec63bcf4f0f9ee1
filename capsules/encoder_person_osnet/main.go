// Command encoder_person_osnet gives persons an encoding of their appearance.
package main

import (
	"context"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var model = sdk.Model{
	File:    "osnet_x0_25_msmt17.onnx",
	URL:     "https://github.com/czqosu/person_tracking/raw/ccce98f/models/osnet_x0_25_msmt17.onnx",
	SHA256:  "dddd73c80b78e24ef982f9c352c1947b42d67433887011e8eb33a00313edef5e",
	Licence: "none stated; OSNet is from KaiyangZhou/deep-person-reid",
	Source:  "czqosu/person_tracking@ccce98f",
}

// The network's input, in pixels.
const width, height = 128, 256

var capsule = sdk.Capsule{
	Name:        "encoder_person_osnet",
	Version:     "0.1.0",
	Description: "Gives each person an encoding of 512 numbers of how they look, by the OSNet network.",
	Needs:       sdk.Each("person"),
	Gives:       sdk.Description{Size: sdk.Single, Detections: []string{"person"}, Encoded: true},
	Options: onnx.BatchOptions(
		sdk.Float("recognition_threshold", 0.33, "Largest distance, 1 minus the cosine similarity, at which two persons look like one.", sdk.Between(0, 2)),
	),
	Formats:     []sdk.PixelFormat{sdk.I420, sdk.NV12, sdk.RGB, sdk.BGR},
	Metric:      sdk.Cosine,
	OnDemand:    true,
	Models:      []sdk.Model{model},
	Resources:   onnx.Resources,
	Concurrency: 8, // more than the CPUs: they wait for one batch together
	Open:        open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	m, err := onnx.FromOptions(s, model, onnx.Config{
		Inputs:  []onnx.Port{{Shape: []int{-1, 3, height, width}}},
		Outputs: []onnx.Port{{Shape: []int{-1, -1}}},
	})
	if err != nil {
		return nil, err
	}
	return &encoder{model: m, input: detect.NewInput(width, height, detect.ImageNet)}, nil
}

// encoder encodes persons one by one. It keeps nothing from person to person.
type encoder struct {
	model *onnx.Model
	input *detect.Input
}

// Close gives the model back.
func (e *encoder) Close() error { return e.model.Close() }

// Process sets the encoding, of length 1, of the frame's person.
func (e *encoder) Process(ctx context.Context, f *sdk.Frame) error {
	box, ok := detect.Within(f.Node().Box(), f.Width(), f.Height())
	if !ok {
		box = f.Node().Box() // outside the picture: what is encoded is the padding
	}
	out, err := e.model.Infer(ctx, e.input.Fill(f, detect.Cut(box, width, height)))
	if err != nil {
		e.input.Renew()
		return err
	}
	f.Node().SetEncoding(detect.Unit(out[0].Data().([]float32)))
	return nil
}
