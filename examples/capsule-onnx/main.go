// Command capsule-onnx shows how to run an ONNX network in ten lines: name the model, open it,
// make its input of a part of the picture, read its output.
//
// It says how old faces look. It needs ONNX Runtime (make onnxruntime) and the model:
//
//	mkdir -p /tmp/capsules/classifier_age
//	go build -o /tmp/capsules/classifier_age/ ./examples/capsule-onnx
//	go run ./examples/capsule-onnx manifest > /tmp/capsules/classifier_age/capsule.yaml
//	bin/capstan models pull --capsules /tmp/capsules
//	bin/capstan capsule run /tmp/capsules/classifier_age video.mp4 --json -
package main

import (
	"context"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/onnx"
	"github.com/capstan-video/capstan/sdk/tensor"
)

// model stands in the manifest: whoever packs or runs the capsule knows where it comes from.
var model = sdk.Model{
	File:    "ssrnet.onnx",
	URL:     "https://github.com/DefTruth/lite.ai.toolkit/raw/bfbf6a5/examples/hub/onnx/cv/ssrnet.onnx",
	SHA256:  "74a7e6d0443c332b64102005d5605c62037287249191cc4bdf8adf8a7ba6e73e",
	Licence: "GPL-3.0 (of the repository that it comes from)",
	Source:  "DefTruth/lite.ai.toolkit@bfbf6a5",
}

// input is what the network was trained on: 64 by 64 pixels, RGB, the mean and spread of ImageNet.
var input = tensor.Input{Width: 64, Height: 64, Scale: 1.0 / 255, Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}

var capsule = sdk.Capsule{
	Name:        "classifier_age",
	Version:     "1",
	Description: "Says roughly how old faces look.",
	Needs:       sdk.Each("face"),
	Gives:       sdk.Description{Size: sdk.Single, Detections: []string{"face"}, ExtraData: []string{"age"}},
	Formats:     []sdk.PixelFormat{sdk.I420, sdk.NV12, sdk.RGB},
	Options:     onnx.BatchOptions(), // model, provider, threads, max_batch…
	Models:      []sdk.Model{model},
	Resources:   onnx.Resources,
	OnDemand:    true,
	Entry:       "capsule-onnx",
	Open:        open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	m, err := onnx.FromOptions(s, model, onnx.Config{Inputs: []onnx.Port{{Shape: []int{-1, 3, 64, 64}}}, Outputs: []onnx.Port{{Name: "age"}}})
	return &classifier{m}, err
}

type classifier struct{ *onnx.Model } // closed with the stream

func (c *classifier) Process(ctx context.Context, f *sdk.Frame) error {
	face, _, err := input.Batch(f, []sdk.Box{f.Node().Box()})
	if err != nil {
		return err
	}
	out, err := c.Infer(ctx, face) // faces of all streams that come together run together
	if err != nil {
		return err
	}
	f.Node().SetExtra("age", out[0].Data().([]float32)[0])
	return nil
}
