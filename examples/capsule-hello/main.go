// Command capsule-hello shows how to:
//
//  1. declare a capsule with an option,
//  2. look at the luma of a frame without copying it,
//  3. add a node with a confidence.
//
// It finds the brightest square of the picture. Build it and try it on a video:
//
//	mkdir -p /tmp/capsules/detector_bright_spot
//	go build -o /tmp/capsules/detector_bright_spot/ ./examples/capsule-hello
//	go run ./examples/capsule-hello manifest > /tmp/capsules/detector_bright_spot/capsule.yaml
//	bin/capstan run video.mp4 --capsules /tmp/capsules --json -
package main

import (
	"context"

	"github.com/capstan-video/capstan/sdk"
)

var capsule = sdk.Capsule{
	Name:        "detector_bright_spot",
	Version:     "1",
	Description: "Finds the brightest square of the picture.",
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"bright_spot"}, ExtraData: []string{"confidence"}},
	Formats:     []sdk.PixelFormat{sdk.GRAY8},
	Options: []sdk.Option{
		sdk.Int("side", 32, "Side of the square, in pixels.", sdk.Between(4, 512)),
	},
	Entry: "capsule-hello",
	Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
		return &finder{side: s.Options.Int("side")}, nil
	},
}

func main() { sdk.Serve(capsule) }

// finder is called from one goroutine at a time, so its fields need no lock.
type finder struct{ side int }

// Process adds the square whose pixels are brightest on average.
func (b *finder) Process(_ context.Context, f *sdk.Frame) error {
	gray := f.Gray()
	best, at := -1, sdk.Point{}
	for y := 0; y+b.side <= f.Height(); y += b.side {
		for x := 0; x+b.side <= f.Width(); x += b.side {
			sum := 0
			for row := y; row < y+b.side; row++ {
				for _, v := range gray.Pix[row*gray.Stride+x : row*gray.Stride+x+b.side] {
					sum += int(v)
				}
			}
			if sum > best {
				best, at = sum, sdk.Point{X: float64(x), Y: float64(y)}
			}
		}
	}
	if best < 0 {
		return nil // the picture is smaller than the square
	}
	side := float64(b.side)
	f.Add("bright_spot", sdk.Rect(at.X, at.Y, at.X+side, at.Y+side)).SetConfidence(float64(best) / (side * side * 255))
	return nil
}
