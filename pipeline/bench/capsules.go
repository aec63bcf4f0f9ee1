package main

import (
	"context"
	"hash/crc32"
	"os"

	"github.com/capstan-video/capstan/sdk"
)

// capsuleEnv names the capsule that this program is, when the host launches it as one.
const capsuleEnv = "CAPSTAN_BENCH_CAPSULE"

// capsules are the ones that the benchmark runs; each does as little as its kind can.
var capsules = map[string]sdk.Capsule{
	"noop_gray": detector("noop_gray", sdk.GRAY8, nothing),
	"noop_rgb":  detector("noop_rgb", sdk.RGB, nothing),
	"checksum":  detector("checksum", sdk.GRAY8, checksum),
	"finder":    detector("finder", sdk.GRAY8, findOne),
	"tracker": {
		Name: "tracker", Version: "1", Description: "tracks nothing", Stateful: true,
		Needs: sdk.Every("thing"), Gives: sdk.Description{Size: sdk.All, Detections: []string{"thing"}, Tracked: true},
		Open: opens(func(_ context.Context, f *sdk.Frame) error {
			for _, n := range f.Nodes() {
				n.SetTrackID("00000000-0000-4000-8000-000000000000")
			}
			return nil
		}),
	},
	"classifier": {
		Name: "classifier", Version: "1", Description: "classifies nothing", Formats: []sdk.PixelFormat{sdk.GRAY8},
		Needs: sdk.Description{Size: sdk.Single, Detections: []string{"thing"}, Tracked: true},
		Gives: sdk.Description{Size: sdk.Single, Detections: []string{"thing"}, Attributes: []sdk.Attribute{{Name: "kind", Values: []string{"none"}}}},
		Open: opens(func(_ context.Context, f *sdk.Frame) error {
			f.Node().SetAttribute("kind", "none")
			return nil
		}),
	},
}

func detector(name string, format sdk.PixelFormat, process sdk.ProcessorFunc) sdk.Capsule {
	return sdk.Capsule{
		Name: name, Version: "1", Description: "for the benchmark", Gives: sdk.Finds("thing"),
		Formats: []sdk.PixelFormat{format}, Open: opens(process),
	}
}

func opens(p sdk.ProcessorFunc) func(context.Context, sdk.Stream) (sdk.Processor, error) {
	return func(context.Context, sdk.Stream) (sdk.Processor, error) { return p, nil }
}

func nothing(context.Context, *sdk.Frame) error { return nil }

func findOne(_ context.Context, f *sdk.Frame) error {
	f.Add("thing", sdk.Rect(0, 0, 10, 10)).SetConfidence(1)
	return nil
}

// checksum sums up every luma pixel of the frame, without the padding of its rows.
func checksum(_ context.Context, f *sdk.Frame) error {
	pix, stride := f.Plane(0)
	sum := uint32(0)
	for y := range f.Height() {
		sum = crc32.Update(sum, crc32.IEEETable, pix[y*stride:y*stride+f.Width()])
	}
	f.Add("thing", sdk.Rect(0, 0, 10, 10)).SetExtra("sum", sum)
	return nil
}

// serveCapsule is the whole program when the host launched it as a capsule.
func serveCapsule() bool {
	c, ok := capsules[os.Getenv(capsuleEnv)]
	if ok {
		sdk.Serve(c)
	}
	return ok
}
