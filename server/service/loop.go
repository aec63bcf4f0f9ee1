package service

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// standing is how long the last frame of a file is left standing at most.
const standing = 10 * time.Second

// Looping gives media that begins files again at their end, where they are played at their own
// speed. Sessions see one source without an end: trackers, models and arenas stay. c is told where
// they stand; nil: nobody is.
func Looping(m pipeline.Media, c *Clocks) pipeline.Media {
	if c == nil {
		c = &Clocks{}
	}
	return looping{m, c}
}

type looping struct {
	inner  pipeline.Media
	clocks *Clocks
}

// Open opens the source, for a file once for each time that it is played.
func (l looping) Open(ctx context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	first, err := l.inner.Open(ctx, s)
	if err != nil || !s.Realtime || !filepath.IsAbs(s.URL) {
		return first, err
	}
	info := first.Info()
	lasts := time.Duration(0)
	if s.KeyframesOnly { // its end may come long before that of the file
		lasts = info.Duration
	}
	info.Frames, info.Duration = 0, 0
	return &round{lasts: lasts, media: l.inner, source: s, info: info, clock: l.clocks.open(s.Stream), now: first, began: time.Now(), closed: make(chan struct{})}, nil
}

// round is a file that is played over and over.
type round struct {
	media  pipeline.Media
	source pipeline.Source
	info   pipeline.MediaInfo
	lasts  time.Duration // of the file, where its last frame does not tell its end; 0: it does
	clock  *clock
	closed chan struct{}

	// Next alone uses these.
	began   time.Time // this time
	last    time.Time // when the last frame came
	frames  int       // this time
	seqBase uint64
	ptsBase core.PTS
	lastSeq uint64
	lastPTS core.PTS

	mu   sync.Mutex
	now  pipeline.MediaStream
	past pipeline.MediaStats // of the times before
	over bool                // now is counted in past
}

func (r *round) Info() pipeline.MediaInfo { return r.info }

// Next gives the next frame; numbers and times go on where the file begins again. A file without
// a frame ends.
func (r *round) Next(ctx context.Context) (core.Frame, pipeline.Picture, error) {
	for {
		r.mu.Lock()
		now := r.now
		r.mu.Unlock()
		f, p, err := now.Next(ctx)
		switch {
		case errors.Is(err, io.EOF) && r.frames > 0:
			r.clock.end()
			if err := r.again(ctx); err != nil {
				return core.Frame{}, nil, err
			}
			continue
		case err != nil:
			return f, p, err
		}
		r.frames++
		r.last = time.Now()
		r.clock.frame(f.PTS)
		f.Seq, f.PTS = f.Seq+r.seqBase, f.PTS+r.ptsBase
		r.lastSeq, r.lastPTS = f.Seq, f.PTS
		return f, p, nil
	}
}

// again opens the file anew when its last frame has had its time, at most once in shortest.
func (r *round) again(ctx context.Context) error {
	period := 40 * time.Millisecond
	if fps := r.info.Caps.FPS(); fps > 0 {
		period = time.Duration(float64(time.Second) / fps)
	}
	here := time.Duration(r.lastPTS - r.ptsBase) // of the last frame
	left := min(max(period, r.lasts-here), standing)
	t := time.NewTimer(max(shortest-time.Since(r.began), left-time.Since(r.last)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.closed:
		return r.closedFault()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.mu.Lock()
	old := r.now
	if !r.over {
		r.past, r.over = sumOf(r.past, old.Stats()), true
	}
	r.mu.Unlock()
	if err := old.Close(); err != nil {
		return err
	}
	next, err := r.media.Open(ctx, r.source)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.closed:
		return errors.Join(r.closedFault(), next.Close())
	default:
	}
	r.clock.again()
	r.now, r.over, r.frames, r.began = next, false, 0, time.Now()
	r.seqBase, r.ptsBase = r.lastSeq, r.lastPTS+core.PTS(max(period, left))
	return nil
}

func (r *round) closedFault() error {
	return core.Faultf(core.Closed, "next", string(r.source.Stream), "the stream is closed")
}

// Stats counts over all times.
func (r *round) Stats() pipeline.MediaStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return r.past
	}
	return sumOf(r.past, r.now.Stats())
}

func sumOf(a, b pipeline.MediaStats) pipeline.MediaStats {
	return pipeline.MediaStats{
		Frames: a.Frames + b.Frames, InArena: a.InArena + b.InArena, Copied: a.Copied + b.Copied, Converted: a.Converted + b.Converted,
		Dropped: a.Dropped + b.Dropped, NoSlot: a.NoSlot + b.NoSlot, Skipped: a.Skipped + b.Skipped,
		Converts: a.Converts + b.Converts, ConvertTime: a.ConvertTime + b.ConvertTime,
	}
}

// Close stops the file wherever it is.
func (r *round) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.closed:
	default:
		close(r.closed)
		r.clock.close()
	}
	return r.now.Close()
}
