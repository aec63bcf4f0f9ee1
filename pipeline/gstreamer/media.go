package gstreamer

// #cgo pkg-config: gstreamer-1.0 gstreamer-app-1.0 gstreamer-base-1.0 gstreamer-video-1.0 gstreamer-pbutils-1.0 gstreamer-controller-1.0
// #cgo CFLAGS: -O3
// #cgo LDFLAGS: -lyuv -lm
// #include "bus.h"
import "C"

import (
	"context"
	"sync"
	"time"

	"github.com/capstan-video/capstan/pipeline"
	"github.com/go-gst/go-gst/gst"
	"github.com/hashicorp/go-hclog"
)

var initOnce sync.Once

// begin starts GStreamer, once. Its own debug output stays off unless GST_DEBUG is set.
func begin() {
	initOnce.Do(func() {
		gst.Init(nil)
		C.bus_begin()
	})
}

// Media opens sources with GStreamer. Its fields may be changed before the first Open.
type Media struct {
	OpenLimit time.Duration // until the first frame is there
	Stall     time.Duration // without a frame, a source that is open is said to be stalled
	Latency   time.Duration // of the jitter buffer of RTSP sources
	SlotWait  time.Duration // files: wait so long for a slot before extra memory is taken

	log hclog.Logger
}

var _ pipeline.Media = (*Media)(nil)

// New starts GStreamer.
func New(log hclog.Logger) (*Media, error) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	begin()
	return &Media{OpenLimit: 15 * time.Second, Stall: 15 * time.Second, Latency: 100 * time.Millisecond, SlotWait: 500 * time.Millisecond, log: log}, nil
}

// Open is as pipeline.Media says. Frames of files are Captured at the time of opening plus
// their PTS, those of live sources when they arrive.
func (m *Media) Open(ctx context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	p, err := planOf(s)
	if err != nil {
		return nil, err
	}
	if s.KeyframesOnly {
		p.items = keyFrames(p.items)
	}
	st := newStream(m, s, p)
	if err := st.open(ctx); err != nil {
		st.Close()
		return nil, err
	}
	return st, nil
}
