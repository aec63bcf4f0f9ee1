package gstreamer

// #include <stdlib.h>
// #include "bus.h"
import "C"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/go-gst/go-gst/gst"
)

// unitsAhead is how many encoded pictures wait to be taken before the source does.
const unitsAhead = 8

const unitSink = " ! appsink name=sink max-buffers=%d enable-last-sample=false wait-on-eos=false sync=false"

const (
	// whole has parameter sets before each key frame, and one picture in each buffer.
	wholeH264 = "h264parse config-interval=-1 ! video/x-h264,stream-format=(string)byte-stream,alignment=(string)au"
	wholeH265 = "h265parse config-interval=-1 ! video/x-h265,stream-format=(string)byte-stream,alignment=(string)au"
	// evenly turns pictures upright and makes both sides even, as 4:2:0 video must have them.
	evenly = "videoconvert name=raw ! videoflip video-direction=auto ! videoscale add-borders=false ! video/x-raw,format=(string)I420,width=(int)[2,16384,2],height=(int)[2,16384,2]"
)

// liveEncoders lists what encodes at once, best first.
var liveEncoders = []struct{ element, launch string }{
	{"x264enc", "x264enc tune=zerolatency speed-preset=superfast pass=qual quantizer=25 key-int-max=50"},
	{"openh264enc", "openh264enc rate-control=quality gop-size=50 complexity=low"},
}

// OpenEncoded opens a source for its encoded video: H.264 and H.265 of a file as they lie in it, unless
// they are to be turned, and everything else, cameras too, encoded to H.264. A file begins at the last
// key frame before s.Start or behind that, not after s.Start, and at its beginning if there is no way.
// Fields of s beside the URL, the name and Start say nothing.
func (m *Media) OpenEncoded(ctx context.Context, s pipeline.Source) (pipeline.EncodedStream, error) {
	p, err := planOf(pipeline.Source{URL: s.URL, Name: s.Name})
	if err != nil {
		return nil, err
	}
	if len(p.items) != 1 || p.period > 0 {
		return nil, core.Faultf(core.SourceFormat, "open", p.name, "a folder of pictures is not served as video")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, m.OpenLimit, core.Faultf(core.SourceOpen, "open", p.name, "no picture came within %s", m.OpenLimit))
	defer cancel()
	e := &encoded{media: m, plan: p, live: p.live, codec: pipeline.H264, last: -1}
	format := ""
	if p.local && p.items[0].uri != "" {
		if format, err = e.format(ctx); err != nil {
			return nil, err
		}
	}
	if err := e.start(ctx, format, s.Start); err != nil {
		return nil, err
	}
	return e, nil
}

// encoded is one opened source.
type encoded struct {
	media *Media
	plan  plan
	live  bool
	codec pipeline.Codec
	last  time.Duration // DTS of the unit before; -1: there was none

	mu     sync.Mutex // held by Next
	pipe   *pipe
	diag   diagnosis
	once   sync.Once
	end    chan struct{}
	failed error // of Close
}

// format finds out how a file is encoded; what is to be turned has to be encoded anew, and has none.
func (e *encoded) format(ctx context.Context) (string, error) {
	launch := `uridecodebin name=source caps="video/x-h264;video/x-h265;video/x-raw(ANY)" expose-all-streams=false` + fmt.Sprintf(unitSink, 2)
	if err := e.play(ctx, launch, gst.StatePaused); err != nil {
		return "", err
	}
	sink := e.pipe.unsafeElement("sink")
	format := take(C.bus_format(sink))
	if C.bus_turned(sink) != 0 {
		format = ""
	}
	return format, e.pipe.stop()
}

// start plays the source as its format asks for, from a time on.
func (e *encoded) start(ctx context.Context, format string, from time.Duration) error {
	head, body := e.plan.items[0].head, wholeH264
	switch format {
	case "video/x-h264":
		head = `uridecodebin name=source caps="video/x-h264" expose-all-streams=false`
	case "video/x-h265":
		head, body, e.codec = `uridecodebin name=source caps="video/x-h265" expose-all-streams=false`, wholeH265, pipeline.H265
	default:
		encoder, err := liveEncoder()
		if err != nil {
			return err
		}
		queue := "queue max-size-buffers=2"
		if e.live {
			queue += " leaky=downstream" // one that cannot be encoded in time is left out before, not after
		}
		body = evenly + " ! " + queue + " ! " + encoder + " ! " + wholeH264
	}
	e.end = make(chan struct{})
	launch := head + " ! " + body + fmt.Sprintf(unitSink, unitsAhead)
	if from <= 0 || !e.plan.local || !e.plan.seek {
		return e.play(ctx, launch, gst.StatePlaying)
	}
	if err := e.play(ctx, launch, gst.StatePaused); err != nil {
		return err
	}
	if err := e.seek(ctx, from, format == ""); err != nil {
		return errors.Join(err, e.pipe.stop())
	}
	return nil
}

// seek goes to a time, or to the key frame before it, and plays.
func (e *encoded) seek(ctx context.Context, to time.Duration, exact bool) error {
	seek := func() C.int { return C.bus_seek_key(e.pipe.pipeline.Unsafe(), C.int64_t(to)) }
	if exact {
		seek = func() C.int { return C.bus_seek(e.pipe.pipeline.Unsafe(), C.int64_t(to), -1) }
	}
	if seek() != 0 {
		if err := e.settle(ctx); err != nil {
			return err
		}
	}
	e.diag.frames = true // it has some, be it none from there on
	return e.pipe.state(gst.StatePlaying, time.Until(deadline(ctx)))
}

func liveEncoder() (string, error) {
	for _, c := range liveEncoders {
		if hasElement(c.element) {
			return c.launch, nil
		}
	}
	_, err := h264(1)
	return "", err
}

// play builds a pipeline and brings it to a state. None is left when it fails.
func (e *encoded) play(ctx context.Context, launch string, state gst.State) error {
	it := e.plan.items[0]
	p, err := newPipe(e.media.log, launch)
	if err != nil {
		return unsupported(err, it.name)
	}
	e.pipe, e.diag = p, diagnosis{name: it.name}
	if raw := p.unsafeElement("raw"); raw != nil && it.even {
		C.bus_even_times(raw, C.int64_t(defaultPeriod))
	}
	err = e.locate(it)
	if err == nil {
		err = p.state(state, time.Until(deadline(ctx)))
	}
	if err == nil && state == gst.StatePaused {
		err = e.settle(ctx)
	}
	if err == nil {
		return nil
	}
	if e.listen(50 * time.Millisecond); e.diag.failed() || len(e.diag.missing) > 0 {
		err = e.diag.fault()
	}
	return errors.Join(err, p.stop())
}

func (e *encoded) locate(it item) error {
	if it.path != "" {
		return e.pipe.set("file", "location", it.path)
	}
	if it.uri == "" {
		return nil
	}
	C.bus_on_source_setup(e.pipe.unsafeElement("source"), sourceOptions(e.media, e.plan.user))
	return e.pipe.set("source", "uri", it.uri)
}

func (e *encoded) settle(ctx context.Context) error {
	for ctx.Err() == nil {
		m := e.pipe.hear(slice)
		if m == nil {
			continue
		}
		if e.diag.hear(m); e.diag.failed() {
			return e.diag.fault()
		}
		if m.kind == gst.MessageAsyncDone {
			return nil
		}
	}
	return context.Cause(ctx)
}

func (e *encoded) listen(wait time.Duration) {
	for m := e.pipe.hear(wait); m != nil; m = e.pipe.hear(0) {
		e.diag.hear(m)
	}
}

// Codec is as pipeline.EncodedStream says.
func (e *encoded) Codec() pipeline.Codec { return e.codec }

// Live is as pipeline.EncodedStream says.
func (e *encoded) Live() bool { return e.live }

// Next is as pipeline.EncodedStream says.
func (e *encoded) Next(ctx context.Context) (pipeline.AccessUnit, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for began := time.Now(); ; {
		select {
		case <-e.end:
			return pipeline.AccessUnit{}, core.Faultf(core.Closed, "next", e.plan.name, "the stream is closed")
		case <-ctx.Done():
			return pipeline.AccessUnit{}, context.Cause(ctx)
		default:
		}
		var c C.bus_unit
		switch C.bus_pull_unit(e.pipe.unsafeElement("sink"), C.int64_t(slice), &c) {
		case C.BUS_FRAME:
			e.diag.frames = true
			if u := e.unit(&c); len(u.NALs) > 0 {
				return u, nil
			}
		case C.BUS_EOS:
			if e.listen(0); e.diag.failed() || !e.diag.frames {
				return pipeline.AccessUnit{}, e.diag.fault()
			}
			return pipeline.AccessUnit{}, io.EOF
		default:
			if e.listen(0); e.diag.failed() {
				return pipeline.AccessUnit{}, e.diag.fault()
			}
			if time.Since(began) > e.media.Stall {
				return pipeline.AccessUnit{}, core.Faultf(core.SourceStalled, "play", e.plan.name, "no picture for %s", e.media.Stall)
			}
		}
	}
}

// unit makes a unit of what C gave, and frees that.
func (e *encoded) unit(c *C.bus_unit) pipeline.AccessUnit {
	b := C.GoBytes(c.data, C.int(c.size))
	C.g_free(C.gpointer(unsafe.Pointer(c.data)))
	u := pipeline.AccessUnit{PTS: time.Duration(c.pts), DTS: time.Duration(c.dts), Key: c.delta == 0, NALs: splitNALs(b, e.codec)}
	if u.DTS < 0 {
		u.DTS = u.PTS
	}
	if u.DTS < 0 { // it has neither
		u.DTS = 0
		if e.last >= 0 {
			u.DTS = e.last + max(time.Duration(c.duration), time.Millisecond)
		}
	}
	u.DTS = max(u.DTS, e.last)
	if e.last = u.DTS; u.PTS < 0 {
		u.PTS = u.DTS
	}
	if u.At = time.Duration(c.at); c.placed == 0 {
		u.At = u.PTS
	}
	return u
}

var startCode = []byte{0, 0, 1}

// splitNALs gives the units between start codes, without delimiters.
func splitNALs(b []byte, codec pipeline.Codec) [][]byte {
	var out [][]byte
	for _, nal := range bytes.Split(b, startCode) {
		nal = bytes.TrimRight(nal, "\x00") // of a longer start code; no unit ends with 0
		if len(nal) == 0 || codec == pipeline.H264 && nal[0]&31 == 9 || codec == pipeline.H265 && nal[0]>>1&63 == 35 {
			continue
		}
		out = append(out, nal)
	}
	return out
}

// Close is as pipeline.EncodedStream says.
func (e *encoded) Close() error {
	e.once.Do(func() {
		close(e.end)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.failed = e.pipe.stop()
	})
	return e.failed
}
