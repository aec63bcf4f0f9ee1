// Command recognizer_plate_text reads licence plates.
package main

import (
	"context"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var model = sdk.Model{
	File:    "plate_rec_color.onnx",
	URL:     "https://github.com/zhang-jiaqi-1207/plate-rec-color/raw/4fffee3/weights/plate_rec_color.onnx",
	SHA256:  "4fbd2cd6d14406fc8f5d6eef043fe670f1ee35749a7baa36e24ab41d2ca23490",
	Licence: "none stated; its README credits we0091234/Chinese_license_plate_detection_recognition",
	Source:  "zhang-jiaqi-1207/plate-rec-color@4fffee3",
}

// The network's input, in pixels.
const width, height = 168, 48

// alphabet are the characters of the network; the first is the blank.
var alphabet = []rune("#京沪津渝冀晋蒙辽吉黑苏浙皖闽赣鲁豫鄂湘粤桂琼川贵云藏陕甘青宁新学警港澳挂使领民航危0123456789ABCDEFGHJKLMNPQRSTUVWXYZ险品")

// colours are those that the network tells, in its order.
var colours = []string{"black", "blue", "green", "white", "yellow"}

var capsule = sdk.Capsule{
	Name:        "recognizer_plate_text",
	Version:     "0.1.0",
	Description: "Reads the text and the colour of each licence plate; made for Chinese plates, fair on others.",
	Needs:       sdk.Each("license_plate"),
	Gives: sdk.Description{
		Size: sdk.Single, Detections: []string{"license_plate"}, ExtraData: []string{"text", "text_confidence"},
		Attributes: []sdk.Attribute{{Name: "plate_colour", Values: colours}},
	},
	Options: onnx.Options(
		sdk.Float("threshold", 0, "Least confidence of a text; one below it is given as empty.", sdk.Between(0, 1)),
		sdk.Float("margin", 0, "How much more than the plate's outline is looked at, as a share of its sides.", sdk.Between(0, 0.5)),
		sdk.Bool("latin", false, "Read digits and Latin letters only, for plates outside China."),
	),
	Formats:   []sdk.PixelFormat{sdk.I420, sdk.NV12, sdk.RGB, sdk.BGR},
	OnDemand:  true,
	Models:    []sdk.Model{model},
	Resources: onnx.Resources,
	Open:      open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	m, err := onnx.FromOptions(s, model, onnx.Config{
		Inputs:  []onnx.Port{{Shape: []int{1, 3, height, width}}},
		Outputs: []onnx.Port{{Name: "output", Shape: []int{1, -1, len(alphabet)}}, {Name: "126", Shape: []int{1, len(colours)}}},
	})
	if err != nil {
		return nil, err
	}
	norm := detect.Even(true, 0.588*255, 0.193*255)
	return &reader{
		model: m, input: detect.NewInput(width, height, norm),
		threshold: s.Options.Float("threshold"), margin: s.Options.Float("margin"), latin: s.Options.Bool("latin"),
	}, nil
}

// reader reads plates one by one. It keeps nothing from plate to plate.
type reader struct {
	model             *onnx.Model
	input             *detect.Input
	threshold, margin float64
	latin             bool
}

// Close gives the model back.
func (r *reader) Close() error { return r.model.Close() }

// Process sets text, its confidence and the colour of the frame's plate.
func (r *reader) Process(ctx context.Context, f *sdk.Frame) error {
	out, err := r.model.Run(ctx, r.input.Fill(f, r.place(f.Node().Coords())))
	if err != nil {
		return err
	}
	logits := out[0].Data().([]float32)
	if r.latin {
		logits = onlyLatin(logits)
	}
	text, confidence, err := detect.CTC(logits, alphabet, 0)
	if err != nil {
		return err
	}
	if confidence < r.threshold {
		text = ""
	}
	colour, _ := detect.Softmax(out[1].Data().([]float32))
	f.Node().SetExtra("text", text).SetExtra("text_confidence", detect.Round(confidence, 1e4)).SetAttribute("plate_colour", colours[colour])
	return nil
}

// place straightens an outline of four corners; of any other the upright box is taken.
func (r *reader) place(outline sdk.Polygon) detect.Warp {
	if r.margin > 0 {
		outline = grown(outline, 1+r.margin)
	}
	if w, ok := detect.Straighten(outline, width, height); ok {
		return w
	}
	return detect.Cut(outline.Box(), width, height)
}

// grown gives an outline with every place moved away from the middle by factor.
func grown(outline sdk.Polygon, factor float64) sdk.Polygon {
	m := outline.Box().Center()
	out := make(sdk.Polygon, 0, len(outline))
	for _, p := range outline {
		out = append(out, sdk.Point{X: m.X + (p.X-m.X)*factor, Y: m.Y + (p.Y-m.Y)*factor})
	}
	return out
}

// never is a logit that no step takes.
const never = -1e9

// onlyLatin gives a copy of the logits in which digits, Latin letters and the blank alone can win.
func onlyLatin(logits []float32) []float32 {
	out := append([]float32(nil), logits...)
	for i := range out {
		if r := alphabet[i%len(alphabet)]; i%len(alphabet) != 0 && r > 'Z' {
			out[i] = never
		}
	}
	return out
}
