// Command detector_face_yunet finds faces and their landmarks with the YuNet network.
package main

import (
	"context"
	"fmt"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
	"gorgonia.org/tensor"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var model = sdk.Model{
	File:    "yunet_n_dynamic.onnx",
	URL:     "https://github.com/ShiqiYu/libfacedetection.train/raw/0047ac2/onnx/yunet_n_dynamic.onnx",
	SHA256:  "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
	Licence: "Apache-2.0; a badge of its README says BSD",
	Source:  "ShiqiYu/libfacedetection.train@0047ac2",
}

// largest is the longer side of the pictures that the engine gives.
const largest = 640

var capsule = sdk.Capsule{
	Name:        "detector_face_yunet",
	Version:     "0.1.0",
	Description: "Finds faces with their eyes, noses and corners of the mouth by the YuNet network.",
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"face"}, ExtraData: []string{"confidence", "landmarks"}},
	Options: onnx.Options(
		sdk.Float("threshold", 0.7, "Least confidence of a face.", sdk.Between(0.01, 1)),
		sdk.Float("iou", 0.3, "Two finds that overlap more than this are one face.", sdk.Between(0, 1)),
		sdk.Int("input_size", largest, "Longer side in pixels of what the network sees: a smaller one is faster and misses small faces.", sdk.Between(64, largest)),
		sdk.Float("min_size", 0, "Smallest width of a face, in pixels of the stream.", sdk.Between(0, 16384)),
		sdk.Duration("interval", 0, "Least time between two frames that are looked at; those between have no nodes. 0: every frame.", sdk.Between(0, 3600)),
	),
	Formats:   []sdk.PixelFormat{sdk.BGR, sdk.RGB},
	Picture:   sdk.PictureSize{MaxSide: largest},
	OnDemand:  true,
	Models:    []sdk.Model{model},
	Resources: onnx.Resources,
	Open:      open,
}

func main() { sdk.Serve(capsule) }

var strides = []int{8, 16, 32}

// outputs are the heads: cls, obj, bbox and kps for each stride.
func outputs() []onnx.Port {
	var ports []onnx.Port
	for _, s := range strides {
		for _, head := range []struct {
			name string
			size int
		}{{"cls", 1}, {"obj", 1}, {"bbox", 4}, {"kps", 10}} {
			ports = append(ports, onnx.Port{Name: fmt.Sprintf("%s_%d", head.name, s), Shape: []int{1, -1, head.size}})
		}
	}
	return ports
}

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	cfg := onnx.Config{Inputs: []onnx.Port{{Shape: []int{1, 3, -1, -1}}}, Outputs: outputs(), Warm: [][]int{nil}}
	m, err := onnx.FromOptions(s, model, cfg)
	if err != nil {
		return nil, err
	}
	d := &detector{model: m, threshold: s.Options.Float("threshold"), overlap: s.Options.Float("iou"), size: s.Options.Int("input_size")}
	d.least, d.interval = s.Options.Float("min_size"), detect.IntervalOf(s.ID, s.Options.Duration("interval"))
	shape := m.Input(0).Shape
	d.fixedW, d.fixedH = shape[3], shape[2]
	d.input = detect.NewInput(32, 32, detect.Norm{BGR: true, Linear: true})
	// The first run is the slowest; a file of free size has had none at Open.
	if _, err := m.Run(context.Background(), tensor.New(tensor.WithShape(1, 3, d.height(192, 320), d.width(192, 320)), tensor.Of(tensor.Float32))); err != nil {
		_ = m.Close()
		return nil, err
	}
	return d, nil
}

// detector finds the faces of one stream's frames. It keeps nothing from frame to frame.
type detector struct {
	model              *onnx.Model
	input              *detect.Input
	threshold, overlap float64
	size               int // longer side of the input
	fixedW, fixedH     int // of a file that takes one size only; else below 1
	least              float64
	interval           *detect.Interval
}

// Close gives the model back.
func (d *detector) Close() error { return d.model.Close() }

// width gives that of the input for a picture of h by w: a multiple of 32.
func (d *detector) width(h, w int) int { return d.side(d.fixedW, w, max(h, w)) }

func (d *detector) height(h, w int) int { return d.side(d.fixedH, h, max(h, w)) }

func (d *detector) side(fixed, side, longer int) int {
	if fixed > 0 {
		return fixed
	}
	if longer > d.size {
		side = (side*d.size + longer - 1) / longer
	}
	return max(32, (side+31)/32*32)
}

// Process adds a face node for each face.
func (d *detector) Process(ctx context.Context, f *sdk.Frame) error {
	if !d.interval.Due(f) {
		return nil
	}
	d.input.Resize(d.width(f.Height(), f.Width()), d.height(f.Height(), f.Width()))
	warp, scale := d.place(f)
	out, err := d.model.Run(ctx, d.input.Fill(f, warp))
	if err != nil {
		return err
	}
	found, err := detect.YuNet(heads(out), d.input.W, d.input.H, d.threshold)
	if err != nil {
		return err
	}
	least := d.least * float64(f.Width()) / float64(f.Caps().Width)
	for _, o := range detect.Suppress(found, d.overlap) {
		o.Scale(scale)
		box, ok := detect.Within(o.Box, f.Width(), f.Height())
		if !ok || box.Width() < least {
			continue
		}
		n := f.Add("face", box.Polygon()).SetConfidence(detect.Round(o.Score, 1e4))
		detect.SetMarks(n, f, o.Points)
	}
	return nil
}

// place puts the picture into the input: as it is where it fits, else scaled down.
func (d *detector) place(f *sdk.Frame) (detect.Warp, float64) {
	if d.fixedW <= 0 && f.Width() <= d.input.W && f.Height() <= d.input.H && max(f.Width(), f.Height()) <= d.size {
		return detect.Letterbox(f.Width(), f.Height(), f.Width(), f.Height())
	}
	return detect.Letterbox(f.Width(), f.Height(), d.input.W, d.input.H)
}

func heads(out []*tensor.Dense) []detect.FaceHead {
	list := make([]detect.FaceHead, 0, len(strides))
	for i, s := range strides {
		o := func(k int) []float32 { return out[4*i+k].Data().([]float32) }
		list = append(list, detect.FaceHead{Stride: s, Class: o(0), Object: o(1), Box: o(2), Marks: o(3)})
	}
	return list
}
