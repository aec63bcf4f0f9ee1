package main

import (
	"context"

	"github.com/capstan-video/capstan/sdk"
)

// The capsules that the server runs here are this program under their names. Both find a thing for
// half of the time, so that alerts begin and end; the second one comes and goes over HTTP.
const (
	bundled  = "detector_thing_blink"
	uploaded = "detector_other_blink"
)

// blinkFrames is for how many frames the thing is there, and then is not.
const blinkFrames = 10

func blink(name, class string) sdk.Capsule {
	return sdk.Capsule{
		Name: name, Version: "1", Description: "Finds a thing for half of the time.", Gives: sdk.Finds(class), Stateful: true,
		Options: []sdk.Option{sdk.Int("half", blinkFrames, "Frames for which it is there, and then is not.", sdk.Between(1, 1000))},
		Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
			return &blinking{class: class, half: uint64(s.Options.Int("half"))}, nil
		},
	}
}

// blinking counts the frames that it is given.
type blinking struct {
	class   string
	half, n uint64
}

func (b *blinking) Process(_ context.Context, f *sdk.Frame) error {
	b.n++
	if (b.n-1)/b.half%2 == 0 {
		w, h := float64(f.Width()), float64(f.Height())
		f.Add(b.class, sdk.Rect(w/4, h/4, 3*w/4, 3*h/4))
	}
	return nil
}

// beCapsule makes this process a capsule, for good, when it was started by a capsule's name.
func beCapsule(name string) {
	switch name {
	case bundled:
		sdk.Serve(blink(bundled, "thing"))
	case uploaded:
		sdk.Serve(blink(uploaded, "other"))
	}
}
