package gstreamer

// #include "bus.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"github.com/go-gst/go-gst/gst"
	"github.com/hashicorp/go-hclog"
)

// encoderQueue is how many frames wait for the encoder before Write does.
const encoderQueue = 8

// EncoderOptions sets up an encoder; the zero value is fine.
type EncoderOptions struct {
	Quality   int           // constant quality of H.264, 1 (best) to 51; 0: 23
	Fragment  time.Duration // what an interrupted file loses at most; 0: 1 s
	WriteWait time.Duration // how long Write waits for room; 0: 10 s
	CloseWait time.Duration // how long Close waits for what was written; 0: 60 s
	Log       hclog.Logger  // nil: none
}

func (o EncoderOptions) complete() EncoderOptions {
	if o.Quality == 0 {
		o.Quality = 23
	}
	if o.Fragment == 0 {
		o.Fragment = time.Second
	}
	if o.WriteWait == 0 {
		o.WriteWait = 10 * time.Second
	}
	if o.CloseWait == 0 {
		o.CloseWait = time.Minute
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return o
}

// Encoder writes pictures to an MP4 file, at their own time. The file grows beside its final
// place as NAME.part.mp4, playable at any moment up to the last whole fragment; Close finishes
// it and gives it its name. Its methods may be called from different goroutines.
type Encoder struct {
	path, part string
	caps       core.Caps
	size       int64 // bytes of a frame
	opt        EncoderOptions

	mu     sync.Mutex
	pipe   *pipe
	diag   diagnosis
	frames uint64
	last   time.Duration
	period time.Duration
	failed error
	closed bool
}

// h264Encoders lists what encodes, best first, with %d for the quality.
var h264Encoders = []struct{ element, launch string }{
	{"x264enc", "x264enc name=encoder speed-preset=veryfast pass=qual quantizer=%d key-int-max=60 bframes=0 ! h264parse"},
	{"openh264enc", "openh264enc name=encoder rate-control=quality gop-size=60 qp-max=%d ! h264parse"},
}

// h264 gives the part of a pipeline that encodes.
func h264(quality int) (string, error) {
	for _, c := range h264Encoders {
		if hasElement(c.element) {
			return fmt.Sprintf(c.launch, quality), nil
		}
	}
	return "", &core.Fault{Op: "encode", Kind: core.Unsupported, Err: errors.New("there is no H.264 encoder"),
		Hint: "install gstreamer1.0-plugins-ugly (x264enc) or gstreamer1.0-plugins-bad (openh264enc)"}
}

// OpenEncoder starts an MP4 file of H.264 for frames of the size and colours of caps, I420
// whatever caps says. Odd sizes are encoded with their last row or column repeated. The rate
// of caps is a hint; PTS decide.
func OpenEncoder(path string, caps core.Caps, opt EncoderOptions) (*Encoder, error) {
	begin()
	opt = opt.complete()
	if caps.Width < 1 || caps.Height < 1 || caps.Width > 1<<14 || caps.Height > 1<<14 {
		return nil, core.Faultf(core.Invalid, "encode", path, "size %dx%d is not within 1..16384", caps.Width, caps.Height)
	}
	if opt.Quality < 1 || opt.Quality > 51 {
		return nil, core.Faultf(core.Invalid, "encode", path, "quality %d is not within 1..51", opt.Quality)
	}
	part, err := partOf(path)
	if err != nil {
		return nil, core.Faultf(core.Invalid, "encode", path, "%w", err)
	}
	_, size := core.Packed(core.I420, caps.Width, caps.Height)
	e := &Encoder{path: path, part: part, caps: caps, size: size, opt: opt, last: -1, diag: diagnosis{name: path, frames: true}}
	if err := e.start(); err != nil {
		e.abandon()
		return nil, err
	}
	return e, nil
}

// partOf gives the name that an MP4 file has while it grows, and makes sure that it can be made.
func partOf(path string) (string, error) {
	ext := filepath.Ext(path)
	if !strings.EqualFold(ext, ".mp4") {
		return "", errors.New("the name does not end in .mp4")
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", errors.New("it is not a file")
	}
	part := strings.TrimSuffix(path, ext) + ".part" + ext
	f, err := os.Create(part)
	if err == nil {
		return part, f.Close()
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return "", err
}

func (e *Encoder) start() error {
	caps := e.caps
	encoder, err := h264(e.opt.Quality)
	if err != nil {
		return err
	}
	e.period = defaultPeriod
	if fps := caps.FPS(); fps > 0 {
		e.period = time.Duration(float64(time.Second) / fps)
	}
	launch := fmt.Sprintf("appsrc name=in format=time is-live=false block=false max-bytes=0 max-time=0 max-buffers=0 "+
		"caps=video/x-raw,format=I420,width=%d,height=%d,framerate=%s,colorimetry=%s,interlace-mode=progressive ! "+
		"%s%s ! mp4mux name=mux fragment-duration=%d fragment-mode=first-moov-then-finalise movie-timescale=90000 ! filesink name=out",
		caps.Width, caps.Height, rate(caps), colorimetry(caps), even(caps), encoder, e.opt.Fragment.Milliseconds())
	p, err := newPipe(e.opt.Log, launch)
	if err != nil {
		return unsupported(err, e.path)
	}
	e.pipe = p
	if err := p.set("out", "location", e.part); err != nil {
		return err
	}
	if err := p.state(gst.StatePlaying, stopLimit); err != nil {
		return e.fault(err)
	}
	return nil
}

// even repeats the last column and row of odd sizes, which 4:2:0 video cannot have.
func even(c core.Caps) string {
	if c.Width%2 == 0 && c.Height%2 == 0 {
		return ""
	}
	return fmt.Sprintf("videoscale add-borders=false ! video/x-raw,width=%d,height=%d,pixel-aspect-ratio=1/1 ! ", (c.Width+1)/2*2, (c.Height+1)/2*2)
}

// rate is the one in the caps. It must not be 0: then the last frame would be lost. PTS decide.
func rate(c core.Caps) string {
	if c.FPS() > 0 {
		return fmt.Sprintf("%d/%d", c.RateN, c.RateD)
	}
	return "25/1"
}

// colorimetry is GStreamer's range:matrix:transfer:primaries.
func colorimetry(c core.Caps) string {
	r, rest := 2, "4:16:4"
	if c.FullRange {
		r = 1
	}
	if c.Matrix == core.BT709 {
		rest = "3:5:1"
	}
	return fmt.Sprintf("%d:%s", r, rest)
}

// Write takes a copy of a picture: I420 without padding. pts must be above that of the frame
// before. It waits while the encoder is behind; then it gives Exhausted.
func (e *Encoder) Write(ctx context.Context, i420 []byte, pts core.PTS) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch at := time.Duration(pts); {
	case e.closed:
		return core.Faultf(core.Closed, "encode", e.path, "the encoder is closed")
	case e.failed != nil:
		return e.failed
	case int64(len(i420)) != e.size:
		return core.Faultf(core.Invalid, "encode", e.path, "a frame of %d bytes, not %d", len(i420), e.size)
	case at <= e.last || at < 0:
		return core.Faultf(core.Invalid, "encode", e.path, "PTS %s is not after %s", at, e.last)
	}
	if err := e.room(ctx); err != nil {
		return err
	}
	at := time.Duration(pts)
	if e.last >= 0 {
		e.period = at - e.last
	}
	if n := C.bus_push(e.pipe.unsafeElement("in"), unsafe.Pointer(&i420[0]), C.int(e.caps.Width), C.int(e.caps.Height), C.uint64_t(at), C.uint64_t(e.period)); n != C.GST_FLOW_OK {
		return e.fault(fmt.Errorf("the encoder takes no more frames (%d)", int(n)))
	}
	e.last = at
	e.frames++
	return nil
}

// room waits until the queue has a place.
func (e *Encoder) room(ctx context.Context) error {
	began := time.Now()
	for pause := time.Millisecond; ; {
		if e.listen(0); e.diag.failed() {
			return e.fault(nil)
		}
		if C.bus_queued(e.pipe.unsafeElement("in")) < encoderQueue {
			return nil
		}
		if time.Since(began) > e.opt.WriteWait {
			return core.Faultf(core.Exhausted, "encode", e.path, "the encoder took no frame for %s", e.opt.WriteWait)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (e *Encoder) listen(wait time.Duration) (end bool) {
	for m := e.pipe.hear(wait); m != nil; m = e.pipe.hear(0) {
		e.diag.hear(m)
		end = end || m.kind == gst.MessageEOS
	}
	return end
}

// fault remembers why the encoder failed: what the bus says, else err.
func (e *Encoder) fault(err error) error {
	e.listen(50 * time.Millisecond)
	text := ""
	if e.diag.failed() {
		text = useful(e.diag.errors[0])
	} else {
		text = err.Error()
	}
	e.failed = &core.Fault{Op: "encode", Kind: core.Internal, On: e.path, Err: errors.New(text)}
	return e.failed
}

// Frames gives the number of frames written.
func (e *Encoder) Frames() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.frames
}

// Close encodes what was written, finishes the file and gives it its name. When the encoder
// failed, or nothing was written, no file is left and the fault says so. It is safe to call twice.
func (e *Encoder) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return e.failed
	}
	e.closed = true
	if e.failed == nil && e.frames == 0 {
		e.failed = core.Faultf(core.Invalid, "encode", e.path, "no frame was written")
	}
	if e.failed == nil {
		e.failed = e.finish()
	}
	if e.failed != nil {
		e.abandon()
		return e.failed
	}
	if err := e.pipe.stop(); err != nil {
		e.failed = err
		return err
	}
	if err := os.Rename(e.part, e.path); err != nil {
		e.failed = core.Faultf(core.Internal, "encode", e.path, "%w", err)
	}
	return e.failed
}

// finish sends the end through and waits until it has come out.
func (e *Encoder) finish() error {
	C.bus_end(e.pipe.unsafeElement("in"))
	for end := time.Now().Add(e.opt.CloseWait); time.Now().Before(end); {
		if e.listen(100 * time.Millisecond) {
			return nil
		}
		if e.diag.failed() {
			return e.fault(nil)
		}
	}
	return core.Faultf(core.Internal, "encode", e.path, "the file was not finished within %s", e.opt.CloseWait)
}

func (e *Encoder) abandon() {
	if e.pipe != nil {
		e.pipe.stop()
	}
	os.Remove(e.part)
}
