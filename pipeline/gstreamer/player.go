package gstreamer

// #include <stdlib.h>
// #include "bus.h"
import "C"

import (
	"context"
	"net/url"
	"os"
	"runtime/cgo"
	"syscall"
	"time"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"github.com/go-gst/go-gst/gst"
	"golang.org/x/sys/unix"
)

// slice is how long a frame is waited for at a time, so that errors, ctx and Close are noticed.
const slice = 100 * time.Millisecond

// peerTimeout is how long a server may take for an answer.
const peerTimeout = 5 * time.Second

// player runs the pipeline of one item.
type player struct {
	pipe *pipe
	sink *C.bus_sink
	diag diagnosis
	ends bool // the sink said so

	// bell is an eventfd that counts the frames, and the end, that the sink has got. Go's poller
	// waits for it: a goroutine that blocks in C would have the runtime's monitor run at 20 µs
	// beside it, and come back through the scheduler for every frame.
	bell *os.File
	raw  syscall.RawConn // of bell
}

// newPlayer builds the pipeline; nothing moves yet. handle is that of the stream's arenas.
func newPlayer(m *Media, it item, upright bool, user *url.Userinfo, handle cgo.Handle) (*player, error) {
	p, err := newPipe(m.log, it.launch(upright))
	if err != nil {
		return nil, unsupported(err, it.name)
	}
	pl := &player{pipe: p, diag: diagnosis{name: it.name}}
	if it.uri != "" {
		if err := p.set("source", "uri", it.uri); err != nil {
			p.stop()
			return nil, err
		}
		C.bus_on_source_setup(p.unsafeElement("source"), sourceOptions(m, user))
	}
	if it.path != "" {
		if err := p.set("file", "location", it.path); err != nil {
			p.stop()
			return nil, err
		}
	}
	if it.own != nil {
		if err := it.own.place(m, p, user); err != nil {
			p.stop()
			return nil, err
		}
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK|unix.EFD_SEMAPHORE)
	if err != nil {
		p.stop()
		return nil, core.Faultf(core.Exhausted, "open", it.name, "eventfd: %w", err)
	}
	pl.bell = os.NewFile(uintptr(fd), "frame-bell")
	if pl.raw, err = pl.bell.SyscallConn(); err != nil {
		p.stop()
		return nil, core.Faultf(core.Internal, "open", it.name, "eventfd: %w", err)
	}
	pl.sink = C.bus_sink_new(p.unsafeElement("sink"), p.unsafeElement("convert"), p.unsafeElement("flip"), C.uintptr_t(handle), C.int(fd))
	if it.even {
		C.bus_even_times(p.unsafeElement("convert"), C.int64_t(defaultPeriod))
	}
	if it.keys {
		C.bus_key_frames_only(p.pipeline.Unsafe(), pl.sink)
	}
	return pl, nil
}

func unsupported(err error, name string) error {
	return &core.Fault{Op: "open", Kind: core.Unsupported, On: name, Err: err, Hint: "capstan doctor shows what is missing"}
}

func sourceOptions(m *Media, user *url.Userinfo) *C.bus_source_options {
	o := (*C.bus_source_options)(C.g_malloc0(C.sizeof_bus_source_options))
	o.latency_ms = C.int(m.Latency / time.Millisecond)
	o.timeout_ns = C.int64_t(peerTimeout)
	if user != nil {
		password, _ := user.Password()
		o.user, o.password = C.CString(user.Username()), C.CString(password)
	}
	return o
}

// preroll brings a pipeline that is not live to its first frame and waits for it there.
func (p *player) preroll(ctx context.Context) error {
	if err := p.pipe.state(gst.StatePaused, time.Until(deadline(ctx))); err != nil {
		return p.failure(err)
	}
	return p.settle(ctx)
}

// settle waits until the pipeline has done what it was last asked.
func (p *player) settle(ctx context.Context) error {
	for ctx.Err() == nil {
		m := p.pipe.hear(slice)
		if m == nil {
			continue
		}
		if p.diag.hear(m); p.diag.failed() {
			return p.failure(nil)
		}
		if m.kind == gst.MessageAsyncDone {
			return nil
		}
	}
	return context.Cause(ctx)
}

func (p *player) play(ctx context.Context) error {
	if err := p.pipe.state(gst.StatePlaying, time.Until(deadline(ctx))); err != nil {
		return p.failure(err)
	}
	return nil
}

func deadline(ctx context.Context) time.Time {
	if t, ok := ctx.Deadline(); ok {
		return t
	}
	return time.Now().Add(stopLimit)
}

// failure gives the fault that the bus tells of, else err.
func (p *player) failure(err error) error {
	p.listen(50 * time.Millisecond)
	if p.diag.failed() || err == nil || len(p.diag.missing) > 0 {
		return p.diag.fault()
	}
	return &core.Fault{Op: "open", Kind: core.SourceOpen, On: p.diag.name, Err: err}
}

// listen takes in what the bus has, and waits once for the first.
func (p *player) listen(wait time.Duration) {
	for m := p.pipe.hear(wait); m != nil; m = p.pipe.hear(0) {
		p.diag.hear(m)
	}
}

// turned says whether the source asks for its pictures to be turned or mirrored.
func (p *player) turned() bool { return C.bus_sink_turned(p.sink) != 0 }

// seek plays from start on. It says false when the source cannot.
func (p *player) seek(ctx context.Context, start time.Duration) (bool, error) {
	if C.bus_seek(p.pipe.pipeline.Unsafe(), C.int64_t(start), -1) == 0 {
		return false, nil
	}
	return true, p.settle(ctx)
}

// endless says whether a server gives neither a time nor a size for what it sends.
func (p *player) endless(list bool) bool {
	return p.duration() == 0 && (list || C.bus_source_bytes(p.pipe.unsafeElement("source")) <= 0)
}

func (p *player) duration() time.Duration {
	return max(0, time.Duration(C.bus_duration(p.pipe.pipeline.Unsafe())))
}

// pull gives a frame, or false when none came within a slice. It looks at the bus when
// nothing comes, so frames that were decoded before an error are given first.
func (p *player) pull(f *C.bus_frame) (got bool, err error) {
	p.wait(slice)
	switch C.bus_pull(p.sink, f) {
	case C.BUS_FRAME:
		p.diag.frames = true
		if f.seq%64 == 0 {
			p.listen(0) // damaged video warns at every frame
		}
		return true, nil
	case C.BUS_EOS:
		p.ends = true
		p.listen(0)
	default:
		p.listen(0)
	}
	if p.diag.failed() {
		return false, p.failure(nil)
	}
	return false, nil
}

// wait takes one ring of the bell, waiting for it at most so long. A ring whose frame the sink
// has dropped since does no harm. Reading does not block, so Go's scheduler is not told.
func (p *player) wait(most time.Duration) {
	_ = p.bell.SetReadDeadline(time.Now().Add(most))
	var count [8]byte
	_ = p.raw.Read(func(fd uintptr) bool {
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count[0])), uintptr(len(count)))
		return errno != unix.EAGAIN
	})
}

// stop ends the pipeline. After a fault the C side stays as it is: something still runs in it.
func (p *player) stop() error {
	if err := p.pipe.stop(); err != nil {
		return err
	}
	C.bus_sink_unref(p.sink)
	p.sink = nil
	return p.bell.Close()
}
