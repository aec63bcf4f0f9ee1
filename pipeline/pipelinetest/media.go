// Package pipelinetest has scripted media and capsules made of functions, so that every test of
// the engine runs without GStreamer and without processes.
package pipelinetest

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// Media is media made of a function. The zero value refuses every source.
type Media struct {
	OpenFunc func(ctx context.Context, s pipeline.Source) (pipeline.MediaStream, error)
}

var _ pipeline.Media = (*Media)(nil)

// Open calls OpenFunc.
func (m *Media) Open(ctx context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	if m.OpenFunc == nil {
		return nil, core.Faultf(core.SourceOpen, "pipelinetest", s.URL, "no OpenFunc")
	}
	return m.OpenFunc(ctx, s)
}

// Playing gives media that opens every source as the script says.
func Playing(s Script) *Media {
	return &Media{OpenFunc: func(context.Context, pipeline.Source) (pipeline.MediaStream, error) { return s.Open() }}
}

// Script says which frames come.
type Script struct {
	Frames        int           // 0: none, straight to the end
	Width, Height int           // 0: 64 by 48
	Every         time.Duration // between PTS of frames; 0: 40 ms
	Live          bool          // frames have a pace of their own; those not taken in time are dropped
	Err           error         // in place of io.EOF at the end
	Hang          bool          // after the last frame nothing comes, not even the end
}

// Stream is a scripted media stream. Held says how many pictures are not released.
type Stream struct {
	script Script
	arena  *shm.Arena
	layout core.Layout
	began  time.Time
	closed chan struct{}
	once   sync.Once
	seq    uint64
	stats  pipeline.MediaStats
	mu     sync.Mutex
	held   atomic.Int64
}

var _ pipeline.MediaStream = (*Stream)(nil)

// Open starts the script.
func (s Script) Open() (*Stream, error) {
	if s.Width == 0 {
		s.Width, s.Height = 64, 48
	}
	if s.Every == 0 {
		s.Every = 40 * time.Millisecond
	}
	l, size := core.Packed(core.I420, s.Width, s.Height)
	a, err := shm.Create(size)
	if err != nil {
		return nil, err
	}
	return &Stream{script: s, arena: a, layout: l, began: time.Now(), closed: make(chan struct{})}, nil
}

// Info gives the script's size and rate.
func (s *Stream) Info() pipeline.MediaInfo {
	n := int(s.script.Every / time.Millisecond)
	return pipeline.MediaInfo{
		Caps: core.Caps{Format: core.I420, Width: s.script.Width, Height: s.script.Height, RateN: 1000, RateD: max(1, n)},
		Live: s.script.Live, Frames: s.script.Frames,
	}
}

// Next gives the next frame of the script, for a live one at its time.
func (s *Stream) Next(ctx context.Context) (core.Frame, pipeline.Picture, error) {
	select {
	case <-s.closed:
		return core.Frame{}, nil, core.Faultf(core.Closed, "pipelinetest", "", "closed")
	default:
	}
	if ctx.Err() != nil {
		return core.Frame{}, nil, context.Cause(ctx)
	}
	if s.script.Live {
		if err := s.pace(ctx); err != nil {
			return core.Frame{}, nil, err
		}
	}
	if s.seq >= uint64(s.script.Frames) {
		return core.Frame{}, nil, s.end(ctx)
	}
	s.seq++
	s.mu.Lock()
	s.stats.Frames++
	s.stats.InArena++
	s.mu.Unlock()
	pts := time.Duration(s.seq-1) * s.script.Every
	p := &Picture{stream: s}
	p.refs.Store(1)
	s.held.Add(1)
	return core.Frame{Seq: s.seq, PTS: core.PTS(pts), Captured: s.began.Add(pts).UTC(), Caps: s.Info().Caps}, p, nil
}

// pace waits for the next frame's time, or skips the frames that a newer one has replaced. The
// last one has none after it: it is given, however late.
func (s *Stream) pace(ctx context.Context) error {
	for s.seq < uint64(s.script.Frames) {
		wait := time.Until(s.began.Add(time.Duration(s.seq) * s.script.Every))
		if wait > 0 {
			return s.wait(ctx, wait)
		}
		if wait > -s.script.Every || s.seq == uint64(s.script.Frames)-1 {
			return nil
		}
		s.seq++
		s.mu.Lock()
		s.stats.Dropped++
		s.mu.Unlock()
	}
	return nil
}

func (s *Stream) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.closed:
		return core.Faultf(core.Closed, "pipelinetest", "", "closed")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Stream) end(ctx context.Context) error {
	if s.script.Hang {
		return s.wait(ctx, time.Hour)
	}
	if s.script.Err != nil {
		return s.script.Err
	}
	return io.EOF
}

// Stats gives the counts.
func (s *Stream) Stats() pipeline.MediaStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Held gives the number of pictures that are not released.
func (s *Stream) Held() int { return int(s.held.Load()) }

// Close ends the script. The arena stays until every picture is released.
func (s *Stream) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Picture is a picture of a script: grey, the same memory for all.
type Picture struct {
	stream *Stream
	refs   atomic.Int64
}

// View gives the frame's memory as I420, or its luma as GRAY8; other formats are refused.
func (p *Picture) View(formats []core.PixelFormat, _ core.PictureSize) (shm.View, error) {
	if p.refs.Load() <= 0 {
		return shm.View{}, core.Faultf(core.Closed, "pipelinetest", "", "the picture was released")
	}
	for _, f := range formats {
		switch f {
		case core.I420:
			return shm.View{Arena: p.stream.arena, Layout: p.stream.layout}, nil
		case core.GRAY8:
			l := p.stream.layout
			l.Format, l.Planes = core.GRAY8, l.Planes[:1]
			return shm.View{Arena: p.stream.arena, Layout: l}, nil
		}
	}
	return shm.View{}, core.Faultf(core.Unsupported, "pipelinetest", "", "no picture in %v", formats)
}

// Retain adds a reference.
func (p *Picture) Retain() { p.refs.Add(1) }

// Release gives a reference back.
func (p *Picture) Release() {
	switch n := p.refs.Add(-1); {
	case n == 0:
		p.stream.held.Add(-1)
	case n < 0:
		panic("pipelinetest: a picture was released once too often")
	}
}
