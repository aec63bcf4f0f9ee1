// Command detector_plate_mnet finds licence plates and their four corners.
package main

import (
	"context"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
	"github.com/capstan-video/capstan/sdk/tensor"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var model = sdk.Model{
	File:    "mnet_plate.onnx",
	URL:     "https://github.com/litianfu1997/vehicle_plate_recognitionplate_lprnet/raw/1c25df8/mnet_plate.onnx",
	SHA256:  "b617d2617041745c677c0ddb3591fddb290f0c8819dbd6471cffa416af11a13e",
	Licence: "none stated; its README credits sirius-ai/LPRNet_Pytorch (Apache-2.0)",
	Source:  "litianfu1997/vehicle_plate_recognitionplate_lprnet@1c25df8",
}

// side is that of the network's input, in pixels.
const side = 640

// anchors are those that the network was made with.
var anchors = detect.Anchors(side, side, []int{8, 16, 32}, [][]float64{{12, 24}, {48, 96}, {192, 384}})

var capsule = sdk.Capsule{
	Name:        "detector_plate_mnet",
	Version:     "0.1.0",
	Description: "Finds licence plates and their four corners with a small RetinaFace-style network.",
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"license_plate"}, ExtraData: []string{"confidence"}},
	Options: onnx.Options(
		sdk.Float("threshold", 0.5, "Least confidence of a plate.", sdk.Between(0.01, 1)),
		sdk.Float("iou", 0.4, "Two finds that overlap more than this are one plate.", sdk.Between(0, 1)),
		sdk.Float("min_width", 0, "Smallest width of a plate, in pixels of the stream.", sdk.Between(0, 16384)),
		sdk.Duration("interval", 0, "Least time between two frames that are looked at; those between have no nodes. 0: every frame.", sdk.Between(0, 3600)),
	),
	Formats:   []sdk.PixelFormat{sdk.BGR, sdk.RGB},
	Picture:   sdk.PictureSize{MaxSide: side},
	OnDemand:  true,
	Models:    []sdk.Model{model},
	Resources: onnx.Resources,
	Open:      open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	m, err := onnx.FromOptions(s, model, onnx.Config{
		Inputs:  []onnx.Port{{Shape: []int{1, 3, side, side}}},
		Outputs: []onnx.Port{{Name: "output", Shape: []int{1, -1, 4}}, {Name: "590", Shape: []int{1, -1, 2}}, {Name: "589", Shape: []int{1, -1, 8}}},
		Warm:    [][]int{{1, 3, side, side}},
	})
	if err != nil {
		return nil, err
	}
	norm := detect.Norm{BGR: true, Mean: [3]float32{104, 117, 123}, Linear: true}
	return &detector{
		model: m, input: detect.NewInput(side, side, norm), least: s.Options.Float("min_width"),
		threshold: s.Options.Float("threshold"), overlap: s.Options.Float("iou"),
		interval: detect.IntervalOf(s.ID, s.Options.Duration("interval")),
	}, nil
}

// detector finds the plates of one stream's frames. It keeps nothing from frame to frame.
type detector struct {
	model              *onnx.Model
	input              *detect.Input
	threshold, overlap float64
	least              float64
	interval           *detect.Interval
}

// Close gives the model back.
func (d *detector) Close() error { return d.model.Close() }

// Process adds a node for each plate, its outline the four corners, clockwise from the top left.
func (d *detector) Process(ctx context.Context, f *sdk.Frame) error {
	if !d.interval.Due(f) {
		return nil
	}
	warp, scale := detect.Letterbox(f.Width(), f.Height(), side, side)
	out, err := d.model.Run(ctx, d.input.Fill(f, warp))
	if err != nil {
		return err
	}
	data := func(i int) []float32 { return out[i].Data().([]float32) }
	found, err := detect.Retina(anchors, data(0), data(1), data(2), d.threshold)
	if err != nil {
		return err
	}
	least := d.least * float64(f.Width()) / float64(f.Caps().Width)
	for _, o := range detect.Suppress(found, d.overlap) {
		o.Scale(scale)
		if box, ok := detect.Within(o.Box, f.Width(), f.Height()); ok && box.Width() >= least {
			f.Add("license_plate", outline(o)).SetConfidence(detect.Round(o.Score, 1e4))
		}
	}
	return nil
}

// outline gives the corners clockwise from the top left; the box where they are no plate.
func outline(o detect.Found) sdk.Polygon {
	corners := ordered(o.Points)
	if _, ok := detect.Straighten(corners, 1, 1); !ok || tensor.IoU(sdk.Polygon(corners).Box(), o.Box) < 0.3 {
		return o.Box.Polygon()
	}
	return corners
}

// ordered turns corners of either sense into clockwise ones that begin at the top left: the
// corner that is the least far right and down.
func ordered(corners []sdk.Point) []sdk.Point {
	n, area, first := len(corners), 0.0, 0
	for i, p := range corners {
		q := corners[(i+1)%n]
		area += p.X*q.Y - q.X*p.Y
		if p.X+p.Y < corners[first].X+corners[first].Y {
			first = i
		}
	}
	step := 1
	if area < 0 {
		step = n - 1
	}
	out := make([]sdk.Point, 0, n)
	for i := range n {
		out = append(out, corners[(first+i*step)%n])
	}
	return out
}
