package gstreamer

// #include "bus.h"
import "C"

import (
	"context"
	"errors"
	"io"
	"math"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// way is how a frame came into the arena.
type way int

const (
	inArena   way = iota // the decoder wrote it there
	converted            // videoconvert or videoflip did
	copied               // we did
)

// counters are the numbers of a stream, written from several goroutines.
type counters struct {
	frames, dropped, noSlot, converts atomic.Uint64
	undecoded                         atomic.Uint64    // of the item that plays: only one that is alone has any
	came                              [3]atomic.Uint64 // by way
	convertTime                       atomic.Int64
	held                              atomic.Int64  // pictures that are out
	freed                             chan struct{} // told of each release
}

func (c *counters) released() {
	c.held.Add(-1)
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

func (c *counters) made(took time.Duration) {
	c.converts.Add(1)
	c.convertTime.Add(int64(took))
}

// stream is one opened source.
type stream struct {
	media  *Media
	source pipeline.Source
	plan   plan
	count  counters
	set    *arenas
	handle cgo.Handle
	info   pipeline.MediaInfo
	opened time.Time

	life   context.Context // until Close
	end    context.CancelFunc
	once   sync.Once
	failed error // of Close

	mu      sync.Mutex // held by Next, and by Close after the pipeline is stopped
	player  *player
	at      int // item that plays
	first   *pulled
	clock   clock
	skip    time.Duration // frames before are not given: the source could not seek there
	seq     uint64        // of the last frame given
	arrived uint64        // number of the last frame that came from the sink
	wall    int64         // arrival of the first frame
	began   time.Time     // of a folder that is played at its own speed
	done    error         // what Next gives from now on
}

// tolerance absorbs the rounding of time stamps where Start and Duration cut.
const tolerance = 500 * time.Microsecond

// pulled is a frame that came from the sink.
type pulled struct {
	frame   core.Frame
	picture *picture
	came    way
}

func newStream(m *Media, s pipeline.Source, p plan) *stream {
	st := &stream{media: m, source: s, plan: p, set: &arenas{log: m.log}, opened: time.Now().UTC()}
	st.life, st.end = context.WithCancel(context.Background())
	st.count.freed = make(chan struct{}, 1)
	st.handle = cgo.NewHandle(st.set)
	return st
}

// open plays until the first frame is there.
func (s *stream) open(ctx context.Context) error {
	limit := &core.Fault{Op: "open", Kind: core.SourceOpen, On: s.plan.name, Err: errors.New("no frame came within " + s.media.OpenLimit.String())}
	if s.plan.local {
		limit.Kind, limit.Hint = core.SourceFormat, "the file may be damaged"
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.media.OpenLimit, limit)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.info.Live = s.plan.live
	if err := s.start(ctx); err != nil {
		return err
	}
	f, err := s.take(ctx, math.MaxInt64) // ctx bounds it
	if err == io.EOF {
		return s.player.diag.fault()
	}
	if err != nil {
		return err
	}
	s.first, s.began = f, time.Now()
	s.describe(f.frame.Caps)
	return nil
}

// start builds and plays the item that is next.
func (s *stream) start(ctx context.Context) error {
	if err := s.build(false); err != nil {
		return err
	}
	if s.plan.live && !s.plan.seek {
		return s.player.play(ctx)
	}
	if err := s.preroll(ctx); err != nil {
		return err
	}
	if s.player.turned() {
		if err := s.uprightly(ctx); err != nil {
			return err
		}
	}
	if s.at == 0 && s.plan.period == 0 {
		if err := s.position(ctx); err != nil {
			return err
		}
	}
	return s.player.play(ctx)
}

// firstTry is what a local file gets to show its first frame before it is opened once more:
// decodebin now and then loses the error message of a damaged file and waits for ever.
const firstTry = 4 * time.Second

func (s *stream) preroll(ctx context.Context) error {
	if !s.plan.local || time.Until(deadline(ctx)) < 2*firstTry {
		return s.player.preroll(ctx)
	}
	try, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	err := s.player.preroll(try)
	if err == nil || try.Err() == nil || ctx.Err() != nil {
		return err
	}
	if err := s.player.stop(); err != nil {
		return err
	}
	s.player = nil
	if err := s.build(false); err != nil {
		return err
	}
	return s.player.preroll(ctx)
}

func (s *stream) build(upright bool) error {
	p, err := newPlayer(s.media, s.plan.items[s.at], upright, s.plan.user, s.handle)
	s.arrived = 0
	if err == nil {
		s.player = p
	}
	return err
}

// uprightly begins again with a pipeline that turns the pictures.
func (s *stream) uprightly(ctx context.Context) error {
	if err := s.player.stop(); err != nil {
		return err
	}
	s.player = nil
	if err := s.build(true); err != nil {
		return err
	}
	return s.player.preroll(ctx)
}

// position reads the length of a source, finds out whether it is live after all, and goes to Start.
func (s *stream) position(ctx context.Context) error {
	d := s.player.duration()
	if s.plan.web && !s.info.Live && s.player.endless(s.plan.list) {
		s.info.Live = true
		return s.player.pipe.set("sink", "drop", true)
	}
	s.info.Duration = d
	if s.source.Start == 0 {
		return nil
	}
	if s.plan.seek {
		ok, err := s.player.seek(ctx, s.source.Start)
		if ok || err != nil {
			return err
		}
	}
	s.skip = s.source.Start
	return nil
}

func (s *stream) describe(c core.Caps) {
	s.info.Caps = c
	start := s.source.Start
	if s.plan.period > 0 {
		s.info.Duration, start = time.Duration(s.plan.frames)*s.plan.period, 0 // planned without what is before
	}
	if d := s.info.Duration; d > 0 {
		d = max(0, d-start)
		if s.source.Duration > 0 {
			d = min(d, s.source.Duration)
		}
		s.info.Duration = d
	} else if s.source.Duration > 0 {
		s.info.Duration = s.source.Duration
	}
	if s.plan.items[0].keys {
		return // who knows how many
	}
	s.info.Frames = int(math.Round(s.info.Duration.Seconds() * c.FPS()))
	if s.plan.frames > 0 && (s.info.Frames == 0 || (start == 0 && s.source.Duration == 0)) {
		s.info.Frames = s.plan.frames
	}
}

// Info says what is known since Open.
func (s *stream) Info() pipeline.MediaInfo { return s.info }

// Stats counts since Open.
func (s *stream) Stats() pipeline.MediaStats {
	c := &s.count
	return pipeline.MediaStats{
		Frames: c.frames.Load(), InArena: c.came[inArena].Load(), Converted: c.came[converted].Load(), Copied: c.came[copied].Load(), Dropped: c.dropped.Load(),
		NoSlot: c.noSlot.Load(), Skipped: c.undecoded.Load(), Converts: c.converts.Load(), ConvertTime: time.Duration(c.convertTime.Load()),
	}
}

// Next is as pipeline.MediaStream says.
func (s *stream) Next(ctx context.Context) (core.Frame, pipeline.Picture, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.next(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.done = err
		}
		return core.Frame{}, nil, err
	}
	s.count.frames.Add(1)
	s.count.came[f.came].Add(1)
	return f.frame, f.picture, nil
}

func (s *stream) next(ctx context.Context) (*pulled, error) {
	if s.done != nil {
		return nil, s.done
	}
	f := s.first
	s.first = nil
	if f == nil {
		var err error
		if f, err = s.take(ctx, s.patience()); err != nil {
			return nil, err
		}
	}
	if d := s.source.Duration; d > 0 && time.Duration(f.frame.PTS) >= d-tolerance {
		f.picture.Release()
		return nil, io.EOF
	}
	return f, nil
}

// patience is how long no frame may come. Cameras send a key frame every ten seconds or so.
func (s *stream) patience() time.Duration {
	if s.source.KeyframesOnly {
		return 4 * s.media.Stall
	}
	return s.media.Stall
}

// take waits for a frame, going from item to item. None for the time of stall is a fault.
func (s *stream) take(ctx context.Context, stall time.Duration) (*pulled, error) {
	patience := time.Now()
	for {
		select {
		case <-s.life.Done():
			return nil, core.Faultf(core.Closed, "next", s.plan.name, "the stream is closed")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		default:
		}
		if s.player == nil {
			if err := s.resume(ctx); err != nil {
				return nil, err
			}
			patience = time.Now()
		}
		var c C.bus_frame
		got, err := s.player.pull(&c)
		s.count.undecoded.Store(uint64(c.undecoded))
		if err != nil {
			return nil, s.inItem(err)
		}
		if got {
			patience = time.Now()
			f, err := s.accept(ctx, &c)
			if f != nil || err != nil {
				return f, err
			}
			continue
		}
		if s.player.ends {
			if err := s.following(); err != nil {
				return nil, err
			}
			continue
		}
		if waited := time.Since(patience); waited > stall {
			return nil, &core.Fault{Op: "play", Kind: core.SourceStalled, On: s.plan.name, Err: errors.New("no frame for " + stall.String())}
		}
	}
}

// inItem makes a fault at a later image of a folder one of a source that broke.
func (s *stream) inItem(err error) error {
	var f *core.Fault
	if s.at > 0 && errors.As(err, &f) {
		g := *f
		g.Kind = core.SourceBroken
		return &g
	}
	return err
}

// following goes to the next item when one has ended; at the last it gives how the source ended.
func (s *stream) following() error {
	if w := s.player.diag.warning; s.info.Live && w != nil && w.element == "rtspsrc" {
		return &core.Fault{Op: "play", Kind: core.SourceBroken, On: s.plan.name, Err: errors.New(redact(useful(w)))}
	}
	if s.plan.web && !s.plan.list && s.info.Live && !s.source.Realtime {
		return &core.Fault{Op: "play", Kind: core.SourceBroken, On: s.plan.name, Err: errors.New("the server ended the stream")}
	}
	if !s.player.diag.frames && s.plan.period > 0 {
		return s.inItem(s.player.diag.fault())
	}
	if s.at+1 >= len(s.plan.items) {
		return io.EOF
	}
	if err := s.player.stop(); err != nil {
		return err
	}
	s.player = nil
	s.at++
	return nil
}

// resume plays the item that is next. When ctx ends on the way it can be called again.
func (s *stream) resume(ctx context.Context) error {
	if err := s.pace(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.media.OpenLimit)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	err := s.start(limited)
	if err != nil && s.player != nil {
		if stopped := s.player.stop(); stopped != nil {
			return stopped
		}
		s.player = nil
	}
	return s.inItem(err)
}

// pace waits until an image of a folder is due, and passes over those whose time has gone, when
// the folder is played at its own speed.
func (s *stream) pace(ctx context.Context) error {
	if !s.source.Realtime {
		return nil
	}
	if late := int(time.Since(s.began)/s.plan.period) - s.at; late > 0 {
		late = min(late, len(s.plan.items)-1-s.at)
		s.at += late
		s.seq += uint64(late)
		s.count.dropped.Add(uint64(late))
	}
	t := time.NewTimer(time.Until(s.began.Add(time.Duration(s.at) * s.plan.period)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.life.Done():
		return core.Faultf(core.Closed, "next", s.plan.name, "the stream is closed")
	}
}

// accept makes a picture of what the sink gave; nil without an error when it is not given on.
func (s *stream) accept(ctx context.Context, c *C.bus_frame) (*pulled, error) {
	s.number(c)
	if time.Duration(c.pts) < s.skip-tolerance && c.pts >= 0 {
		C.bus_sample_unref(c.sample)
		s.seq--
		return nil, nil
	}
	f := &pulled{frame: core.Frame{Stream: s.source.Stream, Seq: s.seq}}
	p := &picture{set: s.set, count: &s.count}
	var err error
	if f.came, err = s.place(ctx, c, p); err != nil || p.arena == nil {
		return nil, err
	}
	p.layout = layoutOf(&p.native)
	p.refs.Store(1)
	s.count.held.Add(1)
	f.picture = p
	f.frame.Caps = capsOf(c, s.plan.period)
	s.stamp(c, &f.frame)
	return f, nil
}

// number gives the frame its place in the session: one after the last, plus what the sink dropped.
func (s *stream) number(c *C.bus_frame) {
	n := uint64(c.seq)
	lost := uint64(0)
	if s.arrived > 0 && n > s.arrived+1 {
		lost = n - s.arrived - 1
	}
	s.arrived = n
	s.seq += 1 + lost
	s.count.dropped.Add(lost)
}

func (s *stream) stamp(c *C.bus_frame, f *core.Frame) {
	raw := time.Duration(c.pts)
	switch {
	case s.plan.period > 0:
		raw = time.Duration(s.at) * s.plan.period
	case raw < 0 && s.info.Live:
		if s.wall == 0 {
			s.wall = int64(c.arrived)
		}
		raw = time.Duration(int64(c.arrived) - s.wall)
	}
	var period time.Duration
	if fps := f.Caps.FPS(); fps > 0 {
		period = time.Duration(float64(time.Second) / fps)
	}
	f.PTS = s.clock.next(raw, period)
	if s.info.Live {
		f.Captured = time.Unix(0, int64(c.arrived)).UTC()
	} else {
		f.Captured = s.opened.Add(s.source.Start + time.Duration(f.PTS))
	}
}

func capsOf(c *C.bus_frame, period time.Duration) core.Caps {
	out := core.Caps{Format: codeFormats[c.pic.format], Width: int(c.pic.width), Height: int(c.pic.height), RateN: int(c.rate_n), RateD: int(c.rate_d),
		Matrix: matrixName(c.pic.matrix), FullRange: c.pic.full_range != 0}
	if period > 0 {
		out.RateN, out.RateD = int(math.Round(1000/period.Seconds())), 1000
	}
	if out.RateN <= 0 || out.RateD <= 0 {
		out.RateN, out.RateD = 0, 0
	}
	return out
}

// place puts the picture where capsules can see it. p.arena stays nil when a live frame had to
// be dropped. The sample is owned by the picture, or gone.
func (s *stream) place(ctx context.Context, c *C.bus_frame, p *picture) (way, error) {
	p.native = c.pic
	if c.arena != 0 {
		p.arena, p.sample = arenaOf(c.arena), c.sample
		if c.converted != 0 {
			return converted, nil
		}
		return inArena, nil
	}
	defer C.bus_sample_unref(c.sample)
	format := codeFormats[c.pic.format]
	l, size := core.Packed(format, int(c.pic.width), int(c.pic.height))
	at, ok, err := s.room(ctx, l, size)
	if err != nil {
		return copied, err
	}
	if !ok {
		s.count.noSlot.Add(1)
		return copied, nil
	}
	for i := range l.Planes {
		p.native.offset[i], p.native.stride[i] = C.int64_t(at.offset+l.Planes[i].Offset), C.int(l.Planes[i].Stride)
	}
	if n := C.bus_copy_sample(c.sample, blockOf(at.arena.block), &p.native); n != 0 {
		at.give()
		return copied, core.Faultf(core.Internal, "copy", s.plan.name, "a frame of %s %dx%d cannot be read (%d)", format, l.Width, l.Height, int(n))
	}
	p.arena, p.copied = at.arena, at
	return copied, nil
}

// room finds a slot for a copy. A live source goes without; a file waits for a release, and
// gets extra memory when none can come or comes in time.
func (s *stream) room(ctx context.Context, l core.Layout, size int64) (slot, bool, error) {
	if a, err := s.set.need(l.Width, l.Height, size); err == nil {
		unref(a)
	} else if s.info.Live {
		return slot{}, false, nil
	} else {
		return slot{}, false, err
	}
	at, ok := s.set.forCopy(size)
	if ok || s.info.Live {
		return at, ok, nil
	}
	t := time.NewTimer(s.media.SlotWait)
	defer t.Stop()
	for s.count.held.Load() > 0 {
		select {
		case <-s.count.freed:
			if at, ok = s.set.forCopy(size); ok {
				return at, true, nil
			}
			continue
		case <-s.life.Done():
			return at, false, core.Faultf(core.Closed, "next", s.plan.name, "the stream is closed")
		case <-ctx.Done():
			return at, false, context.Cause(ctx)
		case <-t.C:
		}
		break
	}
	if err := s.set.grow(size); err != nil {
		return at, false, &core.Fault{Op: "next", Kind: core.Exhausted, On: s.plan.name, Err: err, Hint: "release pictures that are done with"}
	}
	at, ok = s.set.forCopy(size)
	return at, ok, nil
}

// Close is as pipeline.MediaStream says. Stopping takes 10 s at most; a pipeline that does not
// stop by then is leaked and the fault says so.
func (s *stream) Close() error {
	s.once.Do(func() {
		s.end()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done = core.Faultf(core.Closed, "next", s.plan.name, "the stream is closed")
		if s.first != nil {
			s.first.picture.Release()
			s.first = nil
		}
		if s.player != nil {
			s.failed = s.player.stop()
			s.player = nil
		}
		s.set.close()
		if s.failed == nil {
			s.handle.Delete() // else C may still ask for arenas
		}
	})
	return s.failed
}
