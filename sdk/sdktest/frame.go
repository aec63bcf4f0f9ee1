package sdktest

import (
	"image"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/conform"
)

// Frame is a frame for a Bench. Its fields may be changed before it is processed; it can be
// processed again and again, because a bench works on copies of its nodes.
type Frame = conform.Frame

// FrameOption changes how FrameOf makes a frame.
type FrameOption = conform.FrameOption

// Seq sets the frame's number; frames count from 1.
func Seq(n uint64) FrameOption { return conform.Seq(n) }

// At sets the time since the session's first frame.
func At(pts time.Duration) FrameOption { return conform.At(pts) }

// Captured sets the time that the picture is said to be from.
func Captured(t time.Time) FrameOption { return conform.Captured(t) }

// OnStream names the stream; "test" without it.
func OnStream(id core.StreamID) FrameOption { return conform.OnStream(id) }

// Native says that the picture is a smaller (or larger) one of a stream of w by h pixels, in
// which the nodes are measured.
func Native(w, h int) FrameOption { return conform.Native(w, h) }

// With puts nodes on the frame. Those without an ID get one.
func With(nodes ...*core.Node) FrameOption { return conform.With(nodes...) }

// Padded adds bytes to the end of every row, as decoders do; they hold noise.
func Padded(bytes int) FrameOption { return conform.Padded(bytes) }

// Blank makes a frame without pixels of a stream of w by h.
func Blank(w, h int, options ...FrameOption) *Frame { return conform.Blank(w, h, options...) }

// FrameOf makes a frame of a picture in a format of the bus, rows without padding. YUV formats
// and GRAY8 are BT.601 of full range, so that grey levels stay as they are.
func FrameOf(img image.Image, format sdk.PixelFormat, options ...FrameOption) *Frame {
	return conform.FrameOf(img, format, options...)
}
