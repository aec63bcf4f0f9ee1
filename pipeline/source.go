package pipeline

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/hashicorp/go-hclog"
)

// SourceState says how a session's source is.
type SourceState string

// The states of a source.
const (
	SourceConnecting SourceState = "connecting" // not open yet, or being opened again
	SourceRunning    SourceState = "running"    // frames come
	SourceStalled    SourceState = "stalled"    // open, but no frame for StallAfter
	SourceFailed     SourceState = "failed"     // broken for good
	SourceEnded      SourceState = "ended"      // played to its end, or stopped
)

// SourceStatus is a source's state and how it came to it.
type SourceStatus struct {
	State     SourceState
	Since     time.Time
	LastError string // of the last failure, also when it runs again
	Attempts  int    // of opening since it last ran
}

// Reconnect says when a live source that broke is opened again.
type Reconnect struct {
	First  time.Duration // pause before the first attempt; 0: 250 ms
	Most   time.Duration // the pause doubles up to this; 0: 15 s
	GiveUp time.Duration // failed after so long without a frame; 0: never
	Never  bool
}

const defaultStallAfter = 10 * time.Second

// source opens media, watches the age of its frames and opens it again when it breaks. Frames
// of all its openings have one run of sequence numbers and PTS. next is called from one
// goroutine; the rest from any.
type source struct {
	media      Media
	spec       Source
	policy     Reconnect
	stallAfter time.Duration
	log        hclog.Logger
	now        func() time.Time

	stream  MediaStream
	lastSeq uint64 // of the session
	seqBase uint64 // the session's sequence when this opening began
	ptsBase core.PTS
	lastPTS core.PTS
	began   time.Time // of the session's first frame
	noSlot  uint64    // of this opening, seen so far

	mu     sync.Mutex
	status SourceStatus
	past   MediaStats // of earlier openings
	over   bool       // the current opening is counted in past
	closed bool
}

// reconnects says whether a source of this URL has no end of its own, so that its end is a fault.
func reconnects(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	switch strings.ToLower(u.Scheme) {
	case "rtsp", "rtsps", "rtspt", "v4l2":
		return true
	default:
		return false
	}
}

func (s *source) open(ctx context.Context) error {
	s.enter(SourceConnecting, nil)
	stream, err := s.media.Open(ctx, s.spec)
	if err != nil {
		s.enter(SourceFailed, err)
		return err
	}
	return s.adopt(stream)
}

// adopt makes stream the current one.
func (s *source) adopt(stream MediaStream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = stream.Close()
		return core.Faultf(core.Closed, "source", string(s.spec.Stream), "it was closed while it opened")
	}
	s.stream, s.seqBase, s.noSlot, s.over = stream, s.lastSeq, 0, false
	s.setLocked(SourceRunning, nil)
	return nil
}

func (s *source) enter(state SourceState, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(state, err)
}

func (s *source) setLocked(state SourceState, err error) {
	if err != nil {
		s.status.LastError = err.Error()
	}
	if state == SourceConnecting {
		s.status.Attempts++
	}
	if s.status.State != state {
		s.status.State, s.status.Since = state, s.now()
	}
}

// Status gives the present state.
func (s *source) Status() SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// info gives what is known of the source; nothing before it was opened.
func (s *source) info() MediaInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == nil {
		return MediaInfo{}
	}
	return s.stream.Info()
}

// next gives the next frame with its place in the session and how many were dropped before it.
func (s *source) next(ctx context.Context) (core.Frame, Picture, map[string]uint64, error) {
	for {
		f, p, err := s.nextOrStall(ctx)
		if err == nil {
			f, drops := s.place(f)
			return f, p, drops, nil
		}
		if ctx.Err() != nil {
			return f, nil, nil, context.Cause(ctx)
		}
		if err = s.recover(ctx, err); err != nil {
			return f, nil, nil, err
		}
	}
}

// nextOrStall waits for a frame, for a live source only as long as StallAfter.
func (s *source) nextOrStall(ctx context.Context) (core.Frame, Picture, error) {
	if !s.stream.Info().Live {
		return s.stream.Next(ctx)
	}
	stalled := core.Faultf(core.SourceStalled, "stream "+string(s.spec.Stream), "", "no frame for %s", s.stallAfter)
	aged, cancel := context.WithTimeoutCause(ctx, s.stallAfter, stalled)
	defer cancel()
	f, p, err := s.stream.Next(aged)
	if err != nil && ctx.Err() == nil && aged.Err() != nil {
		s.enter(SourceStalled, stalled)
		return f, nil, stalled
	}
	return f, p, err
}

// place moves a frame of this opening into the session's sequence and time.
func (s *source) place(f core.Frame) (core.Frame, map[string]uint64) {
	f.Seq += s.seqBase
	f.PTS += s.ptsBase
	if s.began.IsZero() {
		s.began = f.Captured
	}
	drops := map[string]uint64{}
	if gap := f.Seq - s.lastSeq - 1; f.Seq > s.lastSeq && gap > 0 {
		noSlot := s.stream.Stats().NoSlot
		if n := min(noSlot-s.noSlot, gap); n > 0 {
			drops[DropNoSlot] = n
			gap -= n
		}
		s.noSlot = noSlot
		if gap > 0 {
			drops[DropLate] = gap
		}
	}
	s.lastSeq, s.lastPTS = f.Seq, f.PTS
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Attempts = 0
	s.setLocked(SourceRunning, nil)
	return f, drops
}

// recover opens a broken source again, or says why that is the end.
func (s *source) recover(ctx context.Context, cause error) error {
	endless := s.stream.Info().Live && reconnects(s.spec.URL)
	if errors.Is(cause, io.EOF) {
		if !endless {
			s.enter(SourceEnded, nil)
			return io.EOF
		}
		cause = core.Faultf(core.SourceBroken, "stream "+string(s.spec.Stream), "", "the source ended the stream")
	}
	if !endless || s.policy.Never {
		s.enter(SourceFailed, cause)
		return cause
	}
	s.log.Warn("source broke; opening it again", "stream", s.spec.Stream, "err", cause)
	s.enter(SourceConnecting, cause)
	s.retire()
	return s.reopen(ctx, cause)
}

// retire closes the current opening and keeps its counts.
func (s *source) retire() {
	st := s.stream.Stats()
	_ = s.stream.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past, s.over = addMedia(s.past, st), true
}

func (s *source) reopen(ctx context.Context, cause error) error {
	pause := orElse(s.policy.First, 250*time.Millisecond)
	most := orElse(s.policy.Most, 15*time.Second)
	began := s.now()
	for {
		if s.policy.GiveUp > 0 && s.now().Sub(began) >= s.policy.GiveUp {
			err := core.Faultf(core.SourceBroken, "stream "+string(s.spec.Stream), "", "not back after %s: %w", s.policy.GiveUp, cause)
			s.enter(SourceFailed, err)
			return err
		}
		if err := sleep(ctx, jitter(pause)); err != nil {
			return err
		}
		pause = min(2*pause, most)
		s.enter(SourceConnecting, nil)
		stream, err := s.media.Open(ctx, s.spec)
		if err == nil {
			if err = s.adopt(stream); err != nil {
				return err
			}
			s.ptsBase = max(s.lastPTS+1, core.PTS(s.now().Sub(s.began)))
			s.log.Info("source is back", "stream", s.spec.Stream, "attempts", s.Status().Attempts)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		cause = err
		s.enter(SourceConnecting, err)
	}
}

// jitter spreads d over 75 % to 125 %, so that many streams of one dead server do not return
// at the same moment.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + rand.Float64()/2)) // #nosec G404 -- a pause, no secret
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stats gives the counts of all openings together.
func (s *source) stats() MediaStats {
	s.mu.Lock()
	past, stream, over := s.past, s.stream, s.over
	s.mu.Unlock()
	if stream == nil || over {
		return past
	}
	return addMedia(past, stream.Stats())
}

func addMedia(a, b MediaStats) MediaStats {
	return MediaStats{
		Frames: a.Frames + b.Frames, InArena: a.InArena + b.InArena, Copied: a.Copied + b.Copied, Dropped: a.Dropped + b.Dropped,
		NoSlot: a.NoSlot + b.NoSlot, Skipped: a.Skipped + b.Skipped, Converted: a.Converted + b.Converted, Converts: a.Converts + b.Converts, ConvertTime: a.ConvertTime + b.ConvertTime,
	}
}

// close stops the source; next must not be under way.
func (s *source) close() error {
	s.mu.Lock()
	stream, was := s.stream, s.closed
	s.closed = true
	if s.status.State != SourceFailed {
		s.setLocked(SourceEnded, nil)
	}
	s.mu.Unlock()
	if stream == nil || was {
		return nil
	}
	return stream.Close()
}
