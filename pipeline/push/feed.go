package push

import (
	"context"
	"io"
	"math"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// Policy says what Push does when as many frames wait as may.
type Policy int

// The policies.
const (
	Wait       Policy = iota // Push waits: nothing is lost, as with a file
	DropOldest               // Push goes on and the frame that has waited longest is dropped, as with a camera
)

// Stamps says where the PTS of frames come from.
type Stamps int

// The ways to stamp frames. The first frame always has PTS 0.
const (
	ByClock Stamps = iota // the time that has passed since the first Push
	ByRate                // one period of Config.FPS after the frame before
	Given                 // Frame.PTS, less that of the first frame; each has to be above the one before
)

// Config is how a feed treats its frames. The zero value is good for pictures that are all to be
// worked on.
type Config struct {
	Queue  int    // most frames that wait for the session; 0: 4
	Full   Policy // what happens when they do; DropOldest makes the source a live one
	Stamps Stamps
	FPS    float64 // the rate that sessions are told, frames a second; 0: not known

	// Memory bounds the shared memory of the feed in bytes, one half for frames and one half for
	// pictures that are made of them; 0: 1 GiB. Pages are taken from the system when first used.
	Memory int64
}

const (
	defaultQueue  = 4
	maxQueue      = 1 << 12
	defaultMemory = 1 << 30
)

func (c Config) complete(name string) (Config, error) {
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	switch {
	case name == "":
		return c, core.Faultf(core.Invalid, "push", name, "a feed needs a name")
	case c.Queue < 0 || c.Queue > maxQueue:
		return c, core.Faultf(core.Invalid, "push", name, "queue %d is not within 1..%d", c.Queue, maxQueue)
	case c.Full != Wait && c.Full != DropOldest:
		return c, core.Faultf(core.Invalid, "push", name, "policy %d is not Wait or DropOldest", c.Full)
	case c.Stamps < ByClock || c.Stamps > Given:
		return c, core.Faultf(core.Invalid, "push", name, "stamps %d are not ByClock, ByRate or Given", c.Stamps)
	case !(c.FPS >= 0 && c.FPS <= 1000):
		return c, core.Faultf(core.Invalid, "push", name, "rate %v is not within 0..1000 frames a second", c.FPS)
	case c.Stamps == ByRate && c.FPS == 0:
		return c, core.Faultf(core.Invalid, "push", name, "to stamp by rate needs FPS")
	case c.Memory < 1<<20:
		return c, core.Faultf(core.Invalid, "push", name, "memory of %d bytes is below 1 MiB", c.Memory)
	}
	return c, nil
}

// Stats counts since the feed was made.
type Stats struct {
	Pushed  uint64 // by Push, with success
	Given   uint64 // to the session
	Dropped uint64 // replaced by newer ones before the session took them
	NoSlot  uint64 // dropped because all memory was held
	Waiting int    // now in the queue
	Held    int    // given and not released
}

// Feed is a source whose frames the program pushes. Its methods may be called from several
// goroutines; frames keep the order in which Push got its turn.
type Feed struct {
	name   string
	cfg    Config
	forget func()
	frames *memory // pushed frames
	views  *memory // pictures made of them
	count  counters

	turn  chan struct{} // held by the Push that is under way
	ready chan struct{} // capacity 1: something for Next
	space chan struct{} // capacity 1: something for Push
	life  context.Context
	kill  context.CancelCauseFunc

	mu     sync.Mutex
	opened bool
	ended  bool
	err    error // in place of io.EOF
	queue  []*picture
	seq    uint64 // of the last frame
	info   pipeline.MediaInfo
	layout core.Layout   // of the last frame, to see a change
	began  time.Time     // of the first Push
	base   time.Duration // PTS that the first frame was given
	last   core.PTS
}

type counters struct {
	pushed, given, dropped, noSlot, converts atomic.Uint64
	convertTime, held                        atomic.Int64
}

func newFeed(name string, c Config, forget func()) *Feed {
	f := &Feed{name: name, cfg: c, forget: forget, frames: newMemory(c.Memory / 2), views: newMemory(c.Memory / 2),
		turn: make(chan struct{}, 1), ready: make(chan struct{}, 1), space: make(chan struct{}, 1)}
	f.life, f.kill = context.WithCancelCause(context.Background())
	f.info.Live = c.Full == DropOldest
	return f
}

// Source gives what to open in a session: the stream has the feed's name. A session ends a live
// feed that gives it nothing for Job.StallAfter.
func (f *Feed) Source() pipeline.Source {
	return pipeline.Source{Stream: core.StreamID(f.name), URL: Scheme + "://" + url.PathEscape(f.name)}
}

// Push copies a frame into shared memory and puts it into the queue; the pixels are the caller's
// again when it returns. What it does when the queue is full is the feed's policy: it waits, or
// drops a frame and counts it. A frame that cannot be is a fault of kind Invalid and changes
// nothing; after End or Close it is one of kind Closed. When ctx ends Push returns its cause.
func (f *Feed) Push(ctx context.Context, fr Frame) error {
	layout, size, err := fr.check(f.name)
	if err != nil {
		return err
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-f.life.Done():
		return context.Cause(f.life)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	at, err := f.begin(fr, layout)
	if err != nil {
		return err
	}
	s, err := f.room(ctx, size)
	if err != nil {
		return err
	}
	if s == nil { // live, and all memory is held
		f.note(at)
		f.count.noSlot.Add(1)
		f.count.pushed.Add(1)
		return nil
	}
	l := shifted(layout, s.offset)
	fr.copyTo(planesOf(l, s.bytes()))
	p := &picture{feed: f, layout: l, slot: s}
	p.refs.Store(1)
	return f.enqueue(p, at)
}

// stamp is when a frame is from.
type stamp struct {
	pts      core.PTS
	captured time.Time
}

// begin refuses a frame that cannot follow the last one, and gives its time.
func (f *Feed) begin(fr Frame, l core.Layout) (stamp, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.overLocked(); err != nil {
		return stamp{}, err
	}
	now := time.Now()
	first := f.seq == 0
	began, base := f.began, f.base
	if first {
		began, base = now, fr.PTS
	}
	var pts core.PTS
	switch f.cfg.Stamps {
	case Given:
		pts = core.PTS(fr.PTS - base)
		if !first && pts <= f.last {
			return stamp{}, core.Faultf(core.Invalid, "push", f.name, "PTS %s is not above that of the frame before, %s", fr.PTS, time.Duration(f.last)+base)
		}
	case ByRate:
		pts = core.PTS(math.Round(float64(f.seq) * float64(time.Second) / f.cfg.FPS))
	default:
		pts = core.PTS(now.Sub(began))
	}
	if !first {
		pts = max(pts, f.last+core.PTS(time.Microsecond))
	}
	if changed(f.layout, l) {
		f.frames.retire()
		f.views.retire()
	}
	f.began, f.base, f.layout = began, base, l
	at := stamp{pts: pts, captured: fr.Captured.UTC()}
	if fr.Captured.IsZero() {
		at.captured = began.Add(time.Duration(pts)).UTC()
	}
	return at, nil
}

func changed(a, b core.Layout) bool {
	return a.Format != "" && (a.Format != b.Format || a.Width != b.Width || a.Height != b.Height)
}

// overLocked says why no frame is taken any more.
func (f *Feed) overLocked() error {
	if f.life.Err() != nil {
		return context.Cause(f.life)
	}
	if f.ended {
		return core.Faultf(core.Closed, "push", f.name, "the feed was ended")
	}
	return nil
}

// room finds memory for a frame, and a place in the queue. nil without an error: there is none,
// and the frame is to be dropped.
func (f *Feed) room(ctx context.Context, size int64) (*slot, error) {
	for {
		s, err := f.frames.take(size)
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		err = f.overLocked()
		full := len(f.queue) >= f.cfg.Queue
		var old *picture
		if f.cfg.Full == DropOldest && len(f.queue) > 0 && (full || s == nil) {
			old = f.shiftLocked()
		}
		f.mu.Unlock()
		if old != nil {
			f.count.dropped.Add(1)
			old.free()
		}
		switch {
		case err != nil:
			s.give()
			return nil, err
		case s != nil && (!full || old != nil):
			return s, nil
		case old != nil:
			continue // its memory may do
		case f.cfg.Full == DropOldest:
			return nil, nil
		}
		s.give()
		select {
		case <-f.space:
		case <-f.life.Done():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (f *Feed) shiftLocked() *picture {
	p := f.queue[0]
	f.queue[0] = nil
	f.queue = f.queue[1:]
	return p
}

// note gives a frame its number.
func (f *Feed) note(at stamp) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.noteLocked(at)
}

func (f *Feed) noteLocked(at stamp) uint64 {
	f.seq++
	f.last = at.pts
	return f.seq
}

func (f *Feed) enqueue(p *picture, at stamp) error {
	f.mu.Lock()
	if err := f.overLocked(); err != nil {
		f.mu.Unlock()
		p.free()
		return err
	}
	p.frame = core.Frame{Stream: core.StreamID(f.name), Seq: f.noteLocked(at), PTS: at.pts, Captured: at.captured, Caps: f.caps(p.layout)}
	if f.info.Caps.Format == "" {
		f.info.Caps = p.frame.Caps
	}
	f.queue = append(f.queue, p)
	f.count.pushed.Add(1)
	f.mu.Unlock()
	tell(f.ready)
	return nil
}

func (f *Feed) caps(l core.Layout) core.Caps {
	c := core.Caps{Format: l.Format, Width: l.Width, Height: l.Height, Matrix: l.Matrix, FullRange: l.FullRange}
	if f.cfg.FPS > 0 {
		c.RateN, c.RateD = int(math.Round(f.cfg.FPS*1000)), 1000
	}
	return c
}

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// End says that no more frames come. What waits is still given to the session, and then the end.
// It is safe to call twice.
func (f *Feed) End() { f.Fail(nil) }

// Fail is End for a source that broke: the session is given err after the frames that wait.
func (f *Feed) Fail(err error) {
	f.mu.Lock()
	if !f.ended {
		f.ended, f.err = true, err
	}
	f.mu.Unlock()
	tell(f.ready)
	tell(f.space)
}

// Close ends the feed at once: what waits is dropped, Push and the session's reading end with a
// fault of kind Closed. Pictures that are held stay valid. It is safe to call twice. The session
// closes its feed too.
func (f *Feed) Close() error {
	f.mu.Lock()
	if f.life.Err() != nil {
		f.mu.Unlock()
		return nil
	}
	f.kill(core.Faultf(core.Closed, "push", f.name, "the feed is closed"))
	queue := f.queue
	f.queue = nil
	f.mu.Unlock()
	for _, p := range queue {
		f.count.dropped.Add(1)
		p.free()
	}
	f.frames.close()
	f.views.close()
	f.forget()
	return nil
}

// Stats gives the counts.
func (f *Feed) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &f.count
	return Stats{Pushed: c.pushed.Load(), Given: c.given.Load(), Dropped: c.dropped.Load(), NoSlot: c.noSlot.Load(),
		Waiting: len(f.queue), Held: int(c.held.Load())}
}

// open waits for the first frame.
func (f *Feed) open(ctx context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	f.mu.Lock()
	was := f.opened
	f.opened = true
	f.mu.Unlock()
	if was {
		return nil, core.Faultf(core.SourceOpen, "push", f.name, "the feed was opened before; it plays once")
	}
	if err := f.wait(ctx); err != nil {
		f.mu.Lock()
		f.opened = false
		f.mu.Unlock()
		if err == io.EOF {
			err = core.Faultf(core.SourceOpen, "push", f.name, "the feed ended before its first frame")
		}
		return nil, err
	}
	return &stream{feed: f, id: s.Stream}, nil
}

// wait returns when a frame is in the queue, or says why none will be.
func (f *Feed) wait(ctx context.Context) error {
	for {
		f.mu.Lock()
		n, ended, err := len(f.queue), f.ended, f.err
		f.mu.Unlock()
		switch {
		case f.life.Err() != nil:
			return context.Cause(f.life)
		case n > 0:
			return nil
		case ended && err != nil:
			return err
		case ended:
			return io.EOF
		}
		select {
		case <-f.ready:
		case <-f.life.Done():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// next takes the frame that has waited longest.
func (f *Feed) next(ctx context.Context) (*picture, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
		f.mu.Lock()
		if len(f.queue) == 0 { // dropped meanwhile
			f.mu.Unlock()
			continue
		}
		p := f.shiftLocked()
		f.count.given.Add(1)
		f.count.held.Add(1)
		f.mu.Unlock()
		tell(f.space)
		return p, nil
	}
}

// stream is a feed as a session sees it.
type stream struct {
	feed *Feed
	id   core.StreamID
}

// Info says what is known since the first frame.
func (s *stream) Info() pipeline.MediaInfo {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return s.feed.info
}

// Next is as pipeline.MediaStream says.
func (s *stream) Next(ctx context.Context) (core.Frame, pipeline.Picture, error) {
	p, err := s.feed.next(ctx)
	if err != nil {
		return core.Frame{}, nil, err
	}
	frame := p.frame
	if s.id != "" {
		frame.Stream = s.id
	}
	return frame, p, nil
}

// Stats counts since Open; every frame is a copy.
func (s *stream) Stats() pipeline.MediaStats {
	c := &s.feed.count
	n := c.given.Load()
	return pipeline.MediaStats{Frames: n, Copied: n, Dropped: c.dropped.Load(), NoSlot: c.noSlot.Load(),
		Converts: c.converts.Load(), ConvertTime: time.Duration(c.convertTime.Load())}
}

// Close is Feed.Close.
func (s *stream) Close() error { return s.feed.Close() }
