package replay

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/record"
	"github.com/capstan-video/capstan/sdk/bundle"
	"github.com/capstan-video/capstan/sdk/bundle/diff"
)

// Settings are those of every replay.
type Settings struct {
	Media     *record.Media // plays the bundle
	Tolerance diff.Tolerance
	Repeat    int                       // replay so often; below 2: once
	Progress  func(frames int)          // told after each frame; may be nil
	Options   map[string]map[string]any // by capsule, over those recorded
}

func (s *Settings) progress(n int) {
	if s.Progress != nil {
		s.Progress(n)
	}
}

// Job gives the job that repeats a recording; Options stand over what was recorded. The engine
// has to have the capsules.
func Job(h *bundle.Header, have []string, options map[string]map[string]any) (pipeline.Job, []string, error) {
	job := pipeline.Job{
		Source: pipeline.Source{Stream: h.Stream, URL: h.Source}, Options: map[string]map[string]any{},
		EveryN: map[string]int{}, Gates: map[string]core.Gate{},
	}
	for name, o := range options {
		job.Options[name] = o
	}
	var notes []string
	known := map[string]bool{}
	for _, name := range have {
		known[name] = true
	}
	for _, c := range h.Capsules {
		if !known[c.Name] {
			notes = append(notes, fmt.Sprintf("capsule %s took part in the recording and is not there", c.Name))
			continue
		}
		if c.EveryN > 0 {
			job.EveryN[c.Name] = c.EveryN
		}
		if c.Gate != "" {
			g, err := core.ParseGate(c.Gate)
			if err != nil {
				return job, nil, core.Faultf(core.Invalid, "bundle", "capsule "+c.Name, "gate: %w", err)
			}
			job.Gates[c.Name] = g
		}
	}
	return job, notes, nil
}

// Plan replays the whole plan of r by the engine, whose media plays the bundle. r is the
// caller's; the engine's capsules have their options.
func Plan(ctx context.Context, e *pipeline.Engine, job pipeline.Job, r *bundle.Reader, s Settings) (*Report, error) {
	report := newReport(r, Whole, s.Tolerance)
	for _, c := range e.Capsules() {
		report.Capsules = append(report.Capsules, c.Declaration().Name)
	}
	again := steady{first: map[uint64]Result{}, unstable: map[uint64]bool{}}
	for i := range max(1, s.Repeat) {
		report.Repeats++
		c := &diff.Comparer{Tolerance: s.Tolerance}
		err := play(ctx, e, job, func(res Result, last bool) error {
			switch {
			case i > 0:
				again.hold(c, "", res)
				return nil
			case s.Repeat > 1:
				again.first[res.Seq] = res
			}
			return report.against(r, c, res, last, s)
		}, r)
		if err != nil {
			return nil, err
		}
	}
	report.mark(again.unstable, "")
	report.finish()
	return report, nil
}

// against compares one result with the next frame of the recording.
func (r *Report) against(b *bundle.Reader, c *diff.Comparer, res Result, last bool, s Settings) error {
	for {
		f, err := b.Next()
		switch {
		case errors.Is(err, io.EOF) && last:
			return nil
		case errors.Is(err, io.EOF):
			r.add([]diff.Change{missing(res.Seq, res.PTS, "", nil, "a frame")})
			return nil
		case err != nil:
			return err
		}
		r.Frames++
		s.progress(r.Frames)
		if !last && f.Seq == res.Seq {
			was := Result{Seq: f.Seq, PTS: core.PTS(f.PTS), Nodes: bundle.CoreNodes(f.Nodes)}
			r.add(compare(c, "", was, res))
			return nil
		}
		r.add([]diff.Change{missing(f.Seq, core.PTS(f.PTS), "", "a frame", nil)})
	}
}

// play runs one session and gives its results, then once more with last set.
func play(ctx context.Context, e *pipeline.Engine, job pipeline.Job, each func(res Result, last bool) error, r *bundle.Reader) error {
	r.Rewind()
	session, err := e.Open(ctx, job)
	if err != nil {
		return err
	}
	defer session.Close()
	defer context.AfterFunc(ctx, session.Stop)()
	for {
		res, err := session.Next(ctx)
		if errors.Is(err, io.EOF) && ctx.Err() == nil {
			return each(Result{}, true)
		}
		if err != nil {
			return err
		}
		err = each(Result{Seq: res.Frame.Seq, PTS: res.Frame.PTS, Nodes: res.Nodes}, false)
		res.Release()
		if err != nil {
			return err
		}
	}
}
