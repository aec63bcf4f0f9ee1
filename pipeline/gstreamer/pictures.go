package gstreamer

// #include "bus.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/go-gst/go-gst/gst"
)

// picturesAhead is how many pictures wait for the encoder; the next ones are left out.
const picturesAhead = 2

// EncodePictures encodes pictures to H.264 as they come, and takes them over, also when it fails. They
// have to stay of the size of the first one; the stream ends where they do not, or end.
func (m *Media) EncodePictures(ctx context.Context, from pipeline.Pictures) (pipeline.EncodedStream, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.OpenLimit, core.Faultf(core.SourceOpen, "encode", "", "no picture came within %s", m.OpenLimit))
	defer cancel()
	first, err := from.Next(ctx)
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	encoder, err := liveEncoder()
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	p := &pictures{from: from, caps: first.Caps, encoded: &encoded{media: m, plan: plan{name: "pictures", items: []item{{name: "pictures"}}}, live: true, codec: pipeline.H264, last: -1, end: make(chan struct{})}}
	launch := fmt.Sprintf("appsrc name=in format=time is-live=true block=false max-bytes=0 max-time=0 max-buffers=0 "+
		"caps=video/x-raw,format=I420,width=%d,height=%d,framerate=%s,colorimetry=%s,interlace-mode=progressive ! %s%s ! %s"+unitSink,
		p.caps.Width, p.caps.Height, rate(p.caps), colorimetry(p.caps), even(p.caps), encoder, wholeH264, unitsAhead)
	if err := p.play(ctx, launch, gst.StatePlaying); err != nil {
		return nil, errors.Join(err, from.Close())
	}
	p.life, p.halt = context.WithCancel(context.Background())
	in := p.pipe.unsafeElement("in") // here: elements are looked up by one goroutine
	_ = p.pipe.unsafeElement("sink")
	p.work.Go(func() { p.pump(in, first) })
	return p, nil
}

// pictures is an encoded stream that is fed.
type pictures struct {
	*encoded
	from pipeline.Pictures
	caps core.Caps

	life context.Context
	halt context.CancelFunc
	work sync.WaitGroup
}

// pump gives pictures to the encoder until they end.
func (p *pictures) pump(in unsafe.Pointer, u pipeline.I420) {
	defer C.bus_end(in)
	began, last, period := u.PTS, time.Duration(-1), defaultPeriod
	if fps := p.caps.FPS(); fps > 0 {
		period = time.Duration(float64(time.Second) / fps)
	}
	_, size := core.Packed(core.I420, p.caps.Width, p.caps.Height)
	for {
		at := time.Duration(u.PTS - began)
		if int64(len(u.Pixels)) != size || u.Caps.Width != p.caps.Width {
			return
		}
		if at > last && C.bus_queued(in) < picturesAhead {
			last = at
			if C.bus_push(in, unsafe.Pointer(&u.Pixels[0]), C.int(p.caps.Width), C.int(p.caps.Height), C.uint64_t(at), C.uint64_t(period)) != C.GST_FLOW_OK {
				return
			}
		}
		var err error
		if u, err = p.from.Next(p.life); err != nil {
			return
		}
	}
}

// Close is as pipeline.EncodedStream says.
func (p *pictures) Close() error {
	p.halt()
	err := p.from.Close()
	p.work.Wait()
	return errors.Join(err, p.encoded.Close())
}
