package sdktest_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

// aTest stands for the *testing.T that a test has.
type aTest struct{ testing.TB }

func (aTest) Helper()                   {}
func (aTest) Cleanup(func())            {}
func (aTest) Logf(string, ...any)       {}
func (aTest) Errorf(f string, a ...any) { fmt.Printf("the test fails: "+f+"\n", a...) }
func (aTest) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

var t = aTest{}

// topLeft says how bright the pixel in the corner is.
var topLeft = sdk.Capsule{
	Name: "detector_corner", Version: "1", Gives: sdk.Description{Size: sdk.All, Detections: []string{"corner"}, ExtraData: []string{"level"}},
	Formats: []sdk.PixelFormat{sdk.GRAY8},
	Open: func(context.Context, sdk.Stream) (sdk.Processor, error) {
		return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
			n := f.Add("corner", sdk.Rect(0, 0, 1, 1))
			if level := f.Gray().Pix[0]; level != 13 {
				n.SetExtra("level", level)
			}
			return nil
		}), nil
	},
}

// A picture, a frame of it, and what the capsule makes of that. What breaks the declaration
// fails the test by itself.
func ExampleBench_Process() {
	grey := func(level uint8) image.Image {
		img := image.NewGray(image.Rect(0, 0, 8, 6))
		img.SetGray(0, 0, color.Gray{Y: level})
		return img
	}
	bench := sdktest.Open(t, topLeft, nil)
	out := bench.Process(sdktest.FrameOf(grey(200), sdk.GRAY8))
	fmt.Println(len(out.Added), out.Added[0].Class, string(out.Added[0].ExtraData["level"]))
	bench.Process(sdktest.FrameOf(grey(13), sdk.GRAY8))
	// Output:
	// 1 corner 200
	// the test fails: detector_corner, frame 1: node "corner" does not satisfy the declared output all [corner] keys level; missing: [key level]
}

// Frames of a stream, with nodes of other capsules and times of one's own.
func ExampleBlank() {
	face := &core.Node{Class: "face", Coords: core.Rect(10, 10, 50, 60), TrackID: "a"}
	f := sdktest.Blank(640, 480, sdktest.OnStream("door"), sdktest.Seq(3), sdktest.At(80*time.Millisecond), sdktest.With(face))
	fmt.Println(f.Info.Stream, f.Info.Seq, f.Info.PTS.Seconds(), f.Nodes[0].Class)
	// Output: door 3 0.08 face
}
