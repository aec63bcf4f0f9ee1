// Command encoder_face_mobilefacenet gives faces an encoding by which persons are told apart.
package main

import (
	"context"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var model = sdk.Model{
	File:    "mobilefacenet.onnx",
	URL:     "https://github.com/diandianti/photo_analyze/raw/2715cee/models/mobilefacenet.onnx",
	SHA256:  "f055d9c9a4d826d198c42666590fdefa0fdc1374a75ccb6306c3d1b1bf8f74c5",
	Licence: "none stated",
	Source:  "diandianti/photo_analyze@2715cee",
}

// side is that of the network's input, in pixels.
const side = 112

var capsule = sdk.Capsule{
	Name:        "encoder_face_mobilefacenet",
	Version:     "0.1.0",
	Description: "Gives each face with landmarks an encoding of 128 numbers by the MobileFaceNet network.",
	Needs:       sdk.Description{Size: sdk.Single, Detections: []string{"face"}, ExtraData: []string{"landmarks"}},
	Gives:       sdk.Description{Size: sdk.Single, Detections: []string{"face"}, Encoded: true, ExtraData: []string{"landmarks"}},
	Options: onnx.Options(
		sdk.Float("recognition_threshold", 0.4, "Largest distance, 1 minus the cosine similarity, at which two faces are one person's.", sdk.Between(0, 2)),
	),
	Formats:   []sdk.PixelFormat{sdk.I420, sdk.NV12, sdk.RGB, sdk.BGR},
	Metric:    sdk.Cosine,
	OnDemand:  true,
	Models:    []sdk.Model{model},
	Resources: onnx.Resources,
	Open:      open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	m, err := onnx.FromOptions(s, model, onnx.Config{
		Inputs:  []onnx.Port{{Shape: []int{1, 3, side, side}}},
		Outputs: []onnx.Port{{Shape: []int{1, -1}}},
	})
	if err != nil {
		return nil, err
	}
	norm := detect.Even(false, 127, 128)
	norm.Linear = true
	return &encoder{model: m, input: detect.NewInput(side, side, norm)}, nil
}

// encoder encodes faces one by one. It keeps nothing from face to face.
type encoder struct {
	model *onnx.Model
	input *detect.Input
}

// Close gives the model back.
func (e *encoder) Close() error { return e.model.Close() }

// Process sets the encoding, of length 1, of the frame's face.
func (e *encoder) Process(ctx context.Context, f *sdk.Frame) error {
	out, err := e.model.Infer(ctx, e.input.Fill(f, detect.FaceWarp(f.Node(), f)))
	if err != nil {
		e.input.Renew()
		return err
	}
	f.Node().SetEncoding(detect.Unit(out[0].Data().([]float32)))
	return nil
}
