// Command detector_face_pigo finds faces in the luma of a picture.
package main

import (
	"context"

	"github.com/capstan-video/capstan/sdk"
	"github.com/hashicorp/go-hclog"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var capsule = sdk.Capsule{
	Name:        "detector_face_pigo",
	Version:     "0.1.0",
	Description: "Finds faces, their eyes, noses and mouths with pigo's decision trees.",
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"face"}, ExtraData: []string{"confidence"}},
	Options: []sdk.Option{
		sdk.Float("threshold", 0.5, "Least confidence of a face.", sdk.Between(0, 1)),
		sdk.Float("min_size", 0.08, "Smallest face: up to 1 a share of the picture's shorter side, above it pixels.", sdk.Between(0, 16384)),
		sdk.Float("max_size", 1, "Largest face, as min_size.", sdk.Between(0, 16384)),
		sdk.Float("shift_factor", 0.13, "Step of the search, as a share of the face's size; smaller finds more and costs more.", sdk.Between(0.02, 0.5)),
		sdk.Float("scale_factor", 1.15, "From one size of the search to the next; smaller finds more and costs more.", sdk.Between(1.02, 2)),
		sdk.Int("tilt", 20, "Degrees by which faces are also sought leaning to either side; 0 seeks upright ones only, in a third of the time.", sdk.Between(0, 45)),
		sdk.Float("iou", 0.2, "Two finds that overlap more than this are one face.", sdk.Between(0, 1)),
		sdk.Bool("landmarks", true, "Add eyes, nose and corners of the mouth in extra data landmarks."),
	},
	Formats: []sdk.PixelFormat{sdk.GRAY8},
	Load: func(context.Context, hclog.Logger) error {
		_, err := load()
		return err
	},
	Open: open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	m, err := load()
	if err != nil {
		return nil, err
	}
	d := &detector{models: m, landmarks: s.Options.Bool("landmarks")}
	d.finder = finder{
		faces: m.face, confidence: s.Options.Float("threshold"), overlap: s.Options.Float("iou"),
		minSize: s.Options.Float("min_size"), maxSize: s.Options.Float("max_size"),
		shift: s.Options.Float("shift_factor"), scale: s.Options.Float("scale_factor"), tilts: []int{0},
	}
	if lo, hi := d.minSize, d.maxSize; (lo <= 1) == (hi <= 1) && lo > hi && s.Log != nil {
		s.Log.Warn("min_size is above max_size, no face will be found", "min_size", lo, "max_size", hi)
	}
	if tilt := s.Options.Int("tilt"); tilt > 0 {
		d.tilts = append(d.tilts, -tilt, tilt)
	}
	return d, nil
}

// detector finds the faces of one stream's frames. It keeps nothing from frame to frame.
type detector struct {
	finder
	models    *models
	landmarks bool
}

// Process adds a face node for each face.
func (d *detector) Process(_ context.Context, f *sdk.Frame) error {
	g := f.Gray()
	w, h := float64(f.Width()), float64(f.Height())
	for _, found := range d.find(g) {
		half := found.size / 2
		outline := sdk.Rect(max(found.x-half, 0), max(found.y-half, 0), min(found.x+half, w), min(found.y+half, h))
		node := f.Add("face", outline).SetConfidence(round(found.confidence(), 1e4))
		if d.landmarks {
			node.SetExtra("landmarks", d.places(f, found))
		}
	}
	return nil
}

// places gives the landmarks in pixels of the stream: extra data passes through untouched,
// unlike outlines, which the engine scales.
func (d *detector) places(f *sdk.Frame, found face) map[string]sdk.Point {
	sx, sy := float64(f.Caps().Width)/float64(f.Width()), float64(f.Caps().Height)/float64(f.Height())
	p := map[string]sdk.Point{}
	for name, s := range d.models.points(f.Gray(), found) {
		p[name] = sdk.Point{X: round(s.x*sx, 10), Y: round(s.y*sy, 10)}
	}
	return p
}
