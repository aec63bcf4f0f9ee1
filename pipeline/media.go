// Package pipeline runs streams: a Session takes frames from media, walks them through the
// capsules of a plan and gives results in frame order. It is pure Go and knows neither
// GStreamer nor processes; Media and Capsule are the little that it asks of them.
package pipeline

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// Source says what to open and how to play it.
type Source struct {
	Stream   core.StreamID
	URL      string        // a path, or file://, rtsp://, http(s)://, v4l2://, test://
	Name     string        // what faults call it; empty: the URL, without secrets
	Start    time.Duration // files: begin here
	Duration time.Duration // files and test pictures: play this much; 0: to the end
	Realtime bool          // files: at their own speed, dropping like a camera

	// KeyframesOnly has the decoder see only frames that stand for themselves. The others are
	// counted as Skipped.
	KeyframesOnly bool

	// Pipeline is a line of pipeline/launchline that the URL is played through; empty: Media's own.
	Pipeline string
}

// Media opens sources. pipeline/gstreamer is the real one, pipeline/pipelinetest a scripted one.
type Media interface {
	// Open returns when the first frame is there (its caps are known), or with a *core.Fault
	// that says why there is none. ctx bounds the opening only.
	Open(ctx context.Context, s Source) (MediaStream, error)
}

// MediaInfo is what is known of an opened source.
type MediaInfo struct {
	Caps     core.Caps
	Live     bool          // frames come at their own time: late ones are dropped, never waited for
	Duration time.Duration // 0: not known
	Frames   int           // expected; 0: not known
}

// MediaStats counts since Open.
type MediaStats struct {
	Frames  uint64 // given by Next
	InArena uint64 // of these, written by the decoder into shared memory
	Copied  uint64 // of these, copied into shared memory
	// Converted counts frames that had to be made I420 or turned upright on their way into
	// shared memory. Frames = InArena + Converted + Copied.
	Converted uint64
	Dropped   uint64 // live: replaced by a newer one before Next took them
	NoSlot    uint64 // dropped, because no slot of the arena was free
	Skipped   uint64 // not decoded, because only key frames were asked for; no loss
	Converts  uint64 // pictures made by View
	// ConvertTime is the time that View took for them.
	ConvertTime time.Duration
}

// MediaStream is one opened source. Next and Close may be called from different goroutines;
// Next from one at a time.
type MediaStream interface {
	Info() MediaInfo
	// Next waits for a frame. It returns io.EOF at the end, a *core.Fault when the source
	// breaks, ctx's cause when ctx ends. Seq counts from 1 and has a gap where frames were dropped.
	Next(ctx context.Context) (core.Frame, Picture, error)
	Stats() MediaStats
	// Close stops the source and waits until it is gone; pictures that are still held stay
	// valid until they are released. It is safe to call twice.
	Close() error
}

// Picture holds the pixels of one frame. It is born with one reference.
type Picture interface {
	// View gives the picture in the first of formats that costs nothing, else in the first,
	// and in the given size, made at the first call and shared by all later ones. It is valid
	// while the caller holds a reference. Safe from several goroutines.
	View(formats []core.PixelFormat, size core.PictureSize) (shm.View, error)
	Retain()
	Release()
}
