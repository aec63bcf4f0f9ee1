package gstreamer

// #include "bus.h"
import "C"

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"github.com/go-gst/go-gst/gst"
	"github.com/go-gst/go-gst/gst/app"
	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
)

// jpegLimit bounds the encoding of one picture.
const jpegLimit = 5 * time.Second

// EncodeJPEG gives a JPEG of a picture: I420 without padding, of the size and colours of caps.
// Quality is 1 to 100. It takes a seventh of the time of Go's encoder.
func EncodeJPEG(ctx context.Context, i420 []byte, caps core.Caps, quality int) ([]byte, error) {
	begin()
	if _, size := core.Packed(core.I420, caps.Width, caps.Height); caps.Width < 1 || caps.Height < 1 || int64(len(i420)) != size {
		return nil, core.Faultf(core.Invalid, "jpeg", "", "%d bytes are no picture of %dx%d", len(i420), caps.Width, caps.Height)
	}
	if quality < 1 || quality > 100 {
		return nil, core.Faultf(core.Invalid, "jpeg", "", "quality %d is not within 1..100", quality)
	}
	if caps.Matrix != core.BT709 && !caps.FullRange {
		i420, caps.FullRange = stretched(i420, caps.Width*caps.Height), true
	}
	p, err := newPipe(hclog.NewNullLogger(), jpegLaunch(caps, quality))
	if err != nil {
		return nil, unsupported(err, "jpeg")
	}
	data, err := encodeOne(ctx, p, i420, caps)
	if e := p.stop(); err == nil {
		err = e
	}
	return data, err
}

// jpegLaunch has full range and the matrix of BT.601 encoded, which is what JPEG files have.
func jpegLaunch(caps core.Caps, quality int) string {
	out := core.Caps{FullRange: true}
	return fmt.Sprintf("appsrc name=in format=time is-live=false block=false max-bytes=0 max-buffers=0 "+
		"caps=video/x-raw,format=I420,width=%d,height=%d,framerate=25/1,colorimetry=%s,interlace-mode=progressive ! "+
		"videoconvert ! video/x-raw,format=I420,colorimetry=%s ! jpegenc quality=%d ! appsink name=out sync=false max-buffers=1",
		caps.Width, caps.Height, colorimetry(caps), colorimetry(out), quality)
}

// stretched gives a picture of limited range in full range. videoconvert (1.22) does so only where
// the matrix changes too.
func stretched(i420 []byte, luma int) []byte {
	var y, c [256]byte
	for v := range 256 {
		y[v] = byte(min(max((v-16)*255/219, 0), 255))
		c[v] = byte(min(max(128+(v-128)*255/224, 0), 255))
	}
	out := make([]byte, len(i420))
	for i, v := range i420[:luma] {
		out[i] = y[v]
	}
	for i, v := range i420[luma:] {
		out[luma+i] = c[v]
	}
	return out
}

func encodeOne(ctx context.Context, p *pipe, i420 []byte, caps core.Caps) ([]byte, error) {
	sink := app.SinkFromElement(p.element("out"))
	if err := p.state(gst.StatePlaying, stopLimit); err != nil {
		return nil, err
	}
	if n := C.bus_push(p.unsafeElement("in"), unsafe.Pointer(&i420[0]), C.int(caps.Width), C.int(caps.Height), 0, C.uint64_t(time.Second)); n != C.GST_FLOW_OK {
		return nil, core.Faultf(core.Internal, "jpeg", "", "the encoder takes no picture (%d)", int(n))
	}
	C.bus_end(p.unsafeElement("in"))
	for end := time.Now().Add(jpegLimit); ctx.Err() == nil && time.Now().Before(end); {
		if s := sink.TryPullSample(gst.ClockTime(100 * time.Millisecond)); s != nil {
			return s.GetBuffer().Bytes(), nil // a copy
		}
		if m := p.hear(0); m != nil && m.kind == gst.MessageError {
			return nil, core.Faultf(core.Internal, "jpeg", "", "%s", useful(m))
		}
	}
	if ctx.Err() != nil {
		return nil, core.Faultf(core.Cancelled, "jpeg", "", "%w", context.Cause(ctx))
	}
	return nil, core.Faultf(core.Internal, "jpeg", "", "the picture was not encoded within %s", jpegLimit)
}
