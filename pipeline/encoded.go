package pipeline

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Codec names how video is encoded.
type Codec string

// The codecs of an EncodedStream.
const (
	H264 Codec = "H.264"
	H265 Codec = "H.265"
)

// AccessUnit is one encoded picture.
type AccessUnit struct {
	// NALs are its units as they lie in the source, without start codes and delimiters. Before a key
	// frame stand the parameter sets.
	NALs [][]byte
	// PTS is when it is shown, DTS when it is decoded, by the source's own clock; DTS do not fall.
	PTS, DTS time.Duration
	// At is where in a file it is shown: PTS without what encoders and containers add, the same
	// wherever the file was begun. It may be a little below 0.
	At  time.Duration
	Key bool // it stands for itself
}

// EncodedStream is a source whose video is not decoded. Next is called by one goroutine; Close may
// be by another.
type EncodedStream interface {
	Codec() Codec
	// Live says that units come at their own time; else as fast as they are taken.
	Live() bool
	// Next waits for a unit. It returns io.EOF at the end, a *core.Fault when the source breaks,
	// ctx's cause when ctx ends.
	Next(ctx context.Context) (AccessUnit, error)
	// Close stops the source. It is safe to call twice.
	Close() error
}

// I420 is a picture without padding, in memory of its own.
type I420 struct {
	Caps   core.Caps
	PTS    core.PTS
	Pixels []byte
}

// Pictures gives pictures as they come. Next is called by one goroutine; Close may be by another.
type Pictures interface {
	// Next waits for a picture. It returns a *core.Fault at the end, ctx's cause when ctx ends.
	Next(ctx context.Context) (I420, error)
	// Close is safe to call twice.
	Close() error
}
