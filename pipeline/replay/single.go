package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/record"
	"github.com/capstan-video/capstan/sdk/bundle"
	"github.com/capstan-video/capstan/sdk/bundle/diff"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// Capsules gives each capsule by itself, with options of its own, what the capsule of its name
// was given in the recording, frame after frame.
func Capsules(ctx context.Context, capsules []pipeline.Capsule, r *bundle.Reader, s Settings) (*Report, error) {
	report := newReport(r, Single, s.Tolerance)
	for _, c := range capsules {
		if err := report.capsule(ctx, c, r, s); err != nil {
			return nil, err
		}
	}
	report.finish()
	return report, nil
}

func (r *Report) capsule(ctx context.Context, c pipeline.Capsule, b *bundle.Reader, s Settings) error {
	name := c.Declaration().Name
	was, ok := b.Header.Capsule(name)
	if !ok {
		f := core.Faultf(core.NotFound, "replay", "capsule "+name, "it did not take part in the recording")
		f.Hint = fmt.Sprintf("there are: %v; --whole replays the plan with it", names(&b.Header))
		return f
	}
	r.Capsules = append(r.Capsules, name)
	values, notes, err := Values(c.Declaration(), was, s.Options[name])
	if err != nil {
		return err
	}
	r.Notes = append(r.Notes, notes...)
	again := steady{first: map[uint64]Result{}, unstable: map[uint64]bool{}}
	for i := range max(1, s.Repeat) {
		r.Repeats = max(r.Repeats, i+1)
		cmp := &diff.Comparer{Tolerance: s.Tolerance}
		one := &single{report: r, capsule: c, name: name, reader: b, settings: s, values: values}
		err := one.run(ctx, func(was *bundle.Call, res Result) {
			switch {
			case i > 0:
				again.hold(cmp, name, res)
				return
			case s.Repeat > 1:
				again.first[res.Seq] = res
			}
			r.Frames++
			s.progress(r.Frames)
			then := res
			then.Answer = answerOf(was)
			r.add(compare(cmp, name, then, res))
		})
		if err != nil {
			return err
		}
	}
	r.mark(again.unstable, name)
	return nil
}

func names(h *bundle.Header) []string {
	var list []string
	for _, c := range h.Capsules {
		list = append(list, c.Name)
	}
	return list
}

// Values gives the values for a capsule: those recorded, as far as it has such options, under
// the given ones. notes say what was left out.
func Values(d core.Declaration, was bundle.Capsule, given map[string]any) (v core.Values, notes []string, err error) {
	all, err := was.Values()
	if err != nil {
		return nil, nil, err
	}
	use := map[string]any{}
	for name, value := range all {
		o, ok := d.Option(name)
		if !ok {
			notes = append(notes, fmt.Sprintf("%s has no option %s any more", d.Name, name))
			continue
		}
		if _, err := o.Check(value); err != nil && given[name] == nil {
			notes = append(notes, fmt.Sprintf("%s refuses the recorded value of option %s, and has its default: %v", d.Name, name, err))
			continue
		}
		use[name] = value
	}
	slices.Sort(notes)
	for name, value := range given {
		use[name] = value
	}
	v, err = d.Complete(use)
	return v, notes, err
}

func answerOf(c *bundle.Call) diff.Answer {
	if c.Error != nil {
		return diff.Answer{Err: errors.New(c.Error.Text)}
	}
	return diff.Answer{Returns: bundle.CoreReturns(c.Returns)}
}

// single is one replay of one capsule.
type single struct {
	report   *Report
	capsule  pipeline.Capsule
	name     string
	reader   *bundle.Reader
	settings Settings
	values   core.Values
	media    pipeline.MediaStream // opened when the first picture of it is needed
}

func (o *single) run(ctx context.Context, each func(was *bundle.Call, res Result)) error {
	stream := o.reader.Header.Stream
	if err := o.capsule.OpenStream(ctx, stream, o.values); err != nil {
		return err
	}
	defer func() {
		_ = o.capsule.CloseStream(context.WithoutCancel(ctx), stream)
		if o.media != nil {
			_ = o.media.Close()
		}
	}()
	return recorded(o.reader, func(f *bundle.Frame) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		was := f.Call(o.name)
		if was == nil {
			return nil
		}
		res, err := o.call(ctx, f, was)
		if err == nil {
			each(was, res)
		}
		return err
	})
}

// call gives one recorded call to the capsule.
func (o *single) call(ctx context.Context, f *bundle.Frame, was *bundle.Call) (Result, error) {
	res := Result{Seq: f.Seq, PTS: core.PTS(f.PTS), Input: bundle.CoreNodes(was.Nodes)}
	call := pipeline.Call{Frame: f.Info(o.reader.Header.Stream), Nodes: clones(res.Input)}
	d := o.capsule.Declaration()
	if len(d.Formats) > 0 {
		p, err := o.picture(ctx, f, was, d)
		if err != nil {
			return res, err
		}
		defer p.Release()
		if call.View, err = p.View(d.Formats, d.Picture); err != nil {
			return res, err
		}
	}
	a, err := o.capsule.Process(ctx, call)
	switch core.KindOf(err) {
	case core.Cancelled, core.Closed:
		return res, err
	case core.CapsuleExited, core.CapsuleDeadline, core.CapsuleGarbage, core.CapsuleLimit:
		_ = o.capsule.Ready(ctx) // the next frame finds it again
	}
	res.Answer = diff.Answer{Returns: a.Returns, Err: err}
	return res, nil
}

func clones(list []*core.Node) []*core.Node {
	out := make([]*core.Node, len(list))
	for i, n := range list {
		out[i] = n.Clone()
	}
	return out
}

// picture gives the picture that the capsule saw, if it is there and still fits; else the frame.
func (o *single) picture(ctx context.Context, f *bundle.Frame, was *bundle.Call, d core.Declaration) (pipeline.Picture, error) {
	if p := was.Picture; p != nil {
		w, h := d.Picture.Fit(f.Caps.Width, f.Caps.Height)
		if slices.Contains(d.Formats, p.Format) && p.Width == w && p.Height == h || o.reader.Header.Media == bundle.MediaNone {
			l, mem, err := o.reader.Pixels(p)
			if err != nil {
				return nil, err
			}
			in, err := record.NewPicture(l, mem, o.settings.Media.Convert)
			if err != nil {
				return nil, err
			}
			return exact{in, l, slices.Contains(d.Formats, p.Format) && p.Width == w && p.Height == h}, nil
		}
	}
	if o.reader.Header.Media == bundle.MediaNone {
		f := core.Faultf(core.Unsupported, "replay", "capsule "+o.name, "it needs pictures, and %s has none for it", o.reader.Path())
		f.Hint = "record with --pictures " + o.name + ", or without --for"
		return nil, f
	}
	return o.frame(ctx, f.Seq)
}

// frame plays the media up to a frame.
func (o *single) frame(ctx context.Context, seq uint64) (pipeline.Picture, error) {
	if o.media == nil {
		var err error
		if o.media, err = o.settings.Media.Open(ctx, pipeline.Source{Stream: o.reader.Header.Stream}); err != nil {
			return nil, err
		}
	}
	for {
		f, p, err := o.media.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil, core.Faultf(core.SourceBroken, "replay", o.reader.Path(), "it has no frame %d", seq)
		}
		if err != nil {
			return nil, err
		}
		if f.Seq == seq {
			return p, nil
		}
		p.Release()
	}
}

// exact is a capsule's own picture: it is given as it is, where it fits.
type exact struct {
	*record.Picture
	layout core.Layout
	fits   bool
}

// View gives the picture itself.
func (e exact) View(formats []core.PixelFormat, size core.PictureSize) (shm.View, error) {
	if e.fits {
		return e.Picture.View([]core.PixelFormat{e.layout.Format}, core.PictureSize{})
	}
	return e.Picture.View(formats, size)
}
