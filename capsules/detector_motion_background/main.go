// Command detector_motion_background finds the regions of a picture that move.
package main

import (
	"context"
	"math"
	"time"

	"github.com/capstan-video/capstan/sdk"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var capsule = sdk.Capsule{
	Name:        "detector_motion_background",
	Version:     "0.1.0",
	Description: "Finds moving regions by comparing each picture with what the camera usually sees.",
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"motion"}, ExtraData: []string{"confidence"}},
	Options: []sdk.Option{
		sdk.Float("threshold", 4, "Deviation from the usual, in standard deviations of the pixel's noise, that counts as motion.", sdk.Between(1, 50)),
		sdk.Float("noise", 3, "Least standard deviation to assume, in grey levels of 0 to 255.", sdk.Between(0.5, 50)),
		sdk.Float("min_area", 0.001, "Smallest region, as a share of the picture.", sdk.Between(0, 1)),
		sdk.Float("max_area", 0.5, "When more of the picture changes at once it is another scene, which is learnt anew.", sdk.Between(0.01, 1)),
		sdk.Float("merge", 0.006, "Regions closer than this share of the longer side are one.", sdk.Between(0, 0.5)),
		sdk.Float("min_confidence", 0.5, "Least confidence of a region.", sdk.Between(0, 1)),
		sdk.Duration("warm_up", time.Second, "How long the scene is learnt before anything is reported.", sdk.Between(0, 600)),
		sdk.Duration("adapt", 8*time.Second, "Time constant with which the usual follows slow changes.", sdk.Between(0.1, 3600)),
		sdk.Duration("absorb", 40*time.Second, "Time constant with which what has stopped becomes usual.", sdk.Between(0.1, 36000)),
	},
	Formats:  []sdk.PixelFormat{sdk.GRAY8},
	Picture:  sdk.PictureSize{MaxSide: 320},
	Stateful: true,
	Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
		m := &motion{}
		return m, m.Configure(s.Options)
	},
}

func main() { sdk.Serve(capsule) }

// motion finds what moves in one stream.
type motion struct {
	background
	minArea, merge, least float64
}

// Configure takes new options and keeps what was learnt.
func (m *motion) Configure(o sdk.Values) error {
	m.settings = settings{
		threshold: o.Float("threshold"), floor: o.Float("noise"), most: o.Float("max_area"),
		adapt: o.Duration("adapt").Seconds(), absorb: o.Duration("absorb").Seconds(), warmUp: o.Duration("warm_up").Seconds(),
	}
	m.minArea, m.merge, m.least = o.Float("min_area"), o.Float("merge"), o.Float("min_confidence")
	return nil
}

// Process adds a motion node for each moving region.
func (m *motion) Process(_ context.Context, f *sdk.Frame) error {
	if !m.see(f.Gray(), f.PTS()) {
		return nil
	}
	least := m.minArea * float64(f.Width()*f.Height())
	gap := int(math.Round(m.merge * float64(max(f.Width(), f.Height()))))
	for _, r := range joined(regions(m.excess, m.width, m.height), gap, least/6) {
		if float64(r.pixels) < least {
			continue
		}
		if c := r.confidence(m.threshold, least); c >= m.least {
			f.Add("motion", sdk.Rect(float64(r.x1), float64(r.y1), float64(r.x2), float64(r.y2))).SetConfidence(math.Round(c*1e4) / 1e4)
		}
	}
	return nil
}
