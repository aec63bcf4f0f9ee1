// Package record writes what a session does into a bundle, and plays the frames of a bundle as
// media: with the times that they had, and without waiting for them.
package record

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/bundle"
)

// Options says what is recorded.
type Options struct {
	Only     string   // one capsule with its pictures, and nothing else; "": all
	Pictures []string // capsules whose pictures are kept too
	Frames   bool     // the frames themselves are kept
	Clip     string   // the file that is put into the bundle; "": none
	Limit    int64    // bytes; 0: no limit but the disk's
}

// Recorder records one session. Taps may be used from several goroutines; the rest from one.
type Recorder struct {
	opt Options
	out *bundle.Writer

	mu      sync.Mutex
	pending map[uint64][]*taken // calls of frames whose results are not there yet
}

// taken is one call with what came of it.
type taken struct {
	call   bundle.Call
	layout core.Layout
	pixels []byte // without padding; nil: they are not kept
}

// New gives a recorder that waits for Begin.
func New(opt Options) *Recorder { return &Recorder{opt: opt, pending: map[uint64][]*taken{}} }

// Tap gives the capsule with its calls recorded: the engine is to be given this one.
func (r *Recorder) Tap(c pipeline.Capsule) pipeline.Capsule {
	name := c.Declaration().Name
	if r.opt.Only != "" && r.opt.Only != name {
		return c
	}
	return &tap{Capsule: c, recorder: r, name: name, pictures: r.keepsPictures(name)}
}

func (r *Recorder) keepsPictures(name string) bool {
	return r.opt.Only == name || slices.Contains(r.opt.Pictures, name)
}

// tap is a capsule whose calls are recorded.
type tap struct {
	pipeline.Capsule
	recorder *Recorder
	name     string
	pictures bool
}

// Process is the capsule's.
func (t *tap) Process(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
	k := &taken{call: bundle.Call{Capsule: t.name, Nodes: bundle.NodesOf(clones(c.Nodes)), Returns: []bundle.Return{}}}
	if t.pictures && c.View.Arena != nil {
		k.layout = c.View.Layout
		k.pixels = bundle.Pack(c.View.Layout, c.View.Arena.Bytes())
	}
	a, err := t.Capsule.Process(ctx, c)
	if err != nil {
		k.call.Error = bundle.ErrorOf(err)
	} else {
		k.call.Returns = bundle.ReturnsOf(copies(a.Returns))
	}
	t.recorder.take(c.Frame.Seq, k)
	return a, err
}

func clones(list []*core.Node) []*core.Node {
	out := make([]*core.Node, len(list))
	for i, n := range list {
		out[i] = n.Clone()
	}
	return out
}

// copies gives returns that share no nodes: the engine numbers and changes those that were added.
func copies(list []core.Return) []core.Return {
	out := slices.Clone(list)
	for i := range out {
		out[i].Added = clones(out[i].Added)
	}
	return out
}

// take keeps a call until the frame's result is there. Of a call that is made a second time the
// last one counts.
func (r *Recorder) take(seq uint64, k *taken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, old := range r.pending[seq] {
		if old.call.Capsule == k.call.Capsule {
			r.pending[seq][i] = k
			return
		}
	}
	r.pending[seq] = append(r.pending[seq], k)
}

// Begin begins the bundle at path. h says what is known of the session; its media and clip are
// set here.
func (r *Recorder) Begin(ctx context.Context, path string, h bundle.Header) (err error) {
	switch {
	case r.opt.Clip != "" && h.Clip != nil:
		h.Media = bundle.MediaClip
	case r.opt.Frames:
		h.Media, h.Clip = bundle.MediaFrames, nil
	default:
		h.Media, h.Clip = bundle.MediaNone, nil
	}
	h.Capsules = slices.DeleteFunc(slices.Clone(h.Capsules), func(c bundle.Capsule) bool { return r.opt.Only != "" && c.Name != r.opt.Only })
	for i := range h.Capsules {
		h.Capsules[i].Pictures = r.keepsPictures(h.Capsules[i].Name)
	}
	r.out, err = bundle.Create(ctx, path, h, r.opt.Clip, r.opt.Limit)
	return err
}

// sourceFormats are those of decoders, in which frames are kept.
var sourceFormats = []core.PixelFormat{core.I420, core.NV12}

// Frame writes a result with the calls that led to it; the result stays the caller's. It gives
// bundle.ErrLimit when the bundle is full.
func (r *Recorder) Frame(res *pipeline.Result) error {
	seq := res.Frame.Seq
	r.mu.Lock()
	calls := r.pending[seq]
	for s := range r.pending { // of frames that gave no result there will be none
		if s <= seq {
			delete(r.pending, s)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(calls, func(a, b *taken) int { return strings.Compare(a.call.Capsule, b.call.Capsule) })
	f := bundle.FrameOf(res.Frame)
	f.Drops = res.Drops
	if r.opt.Only == "" {
		f.Nodes = bundle.NodesOf(res.Nodes)
	}
	if r.opt.Frames && r.opt.Only == "" {
		if err := r.frame(f, res); err != nil {
			return err
		}
	}
	for _, k := range calls {
		if k.pixels != nil {
			var err error
			if k.call.Picture, err = r.out.Picture(bundle.PictureName(k.call.Capsule, seq), k.layout, k.pixels); err != nil {
				return err
			}
		}
		f.Calls = append(f.Calls, k.call)
	}
	if r.opt.Only != "" && len(f.Calls) == 0 {
		return nil
	}
	return r.out.Frame(f)
}

func (r *Recorder) frame(f *bundle.Frame, res *pipeline.Result) error {
	v, err := res.View(sourceFormats, core.PictureSize{})
	if err != nil {
		return err
	}
	f.Picture, err = r.out.Picture(bundle.FrameName(f.Seq), v.Layout, bundle.Pack(v.Layout, v.Arena.Bytes()))
	return err
}

// Frames gives the frames written so far, Written the bytes.
func (r *Recorder) Frames() int { return r.out.Frames() }

// Written gives the bytes written so far.
func (r *Recorder) Written() int64 { return r.out.Written() }

// Close completes the bundle with how the session ended. It is safe to call twice, and does
// nothing before Begin.
func (r *Recorder) Close(status string, cause error) error {
	if r.out == nil {
		return nil
	}
	return r.out.Close(status, cause)
}

// Abort gives the bundle up.
func (r *Recorder) Abort() {
	if r.out != nil {
		r.out.Abort()
	}
}
