package record

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/bundle"
)

// Convert makes of a picture one of another format and size, without padding. It is
// gstreamer.Convert, so that pictures are those of the recording.
type Convert func(from core.Layout, mem []byte, format core.PixelFormat, w, h int) (core.Layout, []byte, error)

// Media plays the frames of a bundle: every frame that was recorded, in its order, with its
// number and times, as fast as they are taken.
type Media struct {
	Path    string
	Partial bool           // a bundle without its end will do
	Clips   pipeline.Media // opens the clip of a bundle that has one
	Convert Convert
	Folder  string // for the clip while it plays; "": that of the system
}

var _ pipeline.Media = (*Media)(nil)

// Open opens the bundle; what the source says but for its stream is not looked at.
func (m *Media) Open(ctx context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	r, err := bundle.Open(m.Path, m.Partial)
	if err != nil {
		return nil, err
	}
	list, err := placesOf(r)
	if err == nil {
		switch r.Header.Media {
		case bundle.MediaFrames:
			return newFrames(r, m.Convert, len(list)), nil
		case bundle.MediaClip:
			var st pipeline.MediaStream
			if st, err = m.clip(ctx, s, r, list); err == nil {
				return st, nil
			}
		default:
			f := core.Faultf(core.Unsupported, "bundle", m.Path, "it has no frames")
			f.Hint = "it is of single capsules: capstan replay --capsule DIR"
			err = f
		}
	}
	_ = r.Close()
	return nil, err
}

// place is what a frame has besides its pixels.
type place struct {
	seq      uint64
	pts      core.PTS
	captured time.Time
}

func placesOf(r *bundle.Reader) ([]place, error) {
	var list []place
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			r.Rewind()
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, place{f.Seq, core.PTS(f.PTS), f.Captured})
	}
}

// clip copies the clip out of the bundle and opens it.
func (m *Media) clip(ctx context.Context, s pipeline.Source, r *bundle.Reader, list []place) (pipeline.MediaStream, error) {
	dir, err := os.MkdirTemp(m.Folder, "capstan-replay-")
	if err != nil {
		return nil, core.Faultf(core.Exhausted, "bundle", m.Path, "%w", err)
	}
	c := r.Header.Clip
	path := filepath.Join(dir, "clip"+filepath.Ext(c.File))
	err = copyClip(r, path)
	var in pipeline.MediaStream
	if err == nil {
		in, err = m.Clips.Open(ctx, pipeline.Source{
			Stream: s.Stream, URL: path, Start: time.Duration(c.Start), Duration: time.Duration(c.Duration), KeyframesOnly: c.Keyframes,
		})
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return &clip{MediaStream: in, reader: r, dir: dir, list: list}, nil
}

func copyClip(r *bundle.Reader, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return core.Faultf(core.Exhausted, "bundle", r.Path(), "%w", err)
	}
	err = r.Clip(file)
	if e := file.Close(); err == nil && e != nil {
		err = core.Faultf(core.Exhausted, "bundle", r.Path(), "%w", e)
	}
	return err
}

// clip plays a clip with the places of a recording.
type clip struct {
	pipeline.MediaStream
	reader *bundle.Reader
	dir    string
	list   []place
	next   int
	once   sync.Once
	err    error
}

// Info is the clip's, with the number of frames that were recorded.
func (c *clip) Info() pipeline.MediaInfo {
	i := c.MediaStream.Info()
	i.Frames, i.Live = len(c.list), false
	return i
}

// Next skips the frames that are not in the recording.
func (c *clip) Next(ctx context.Context) (core.Frame, pipeline.Picture, error) {
	if c.next >= len(c.list) {
		return core.Frame{}, nil, io.EOF
	}
	want := c.list[c.next]
	for {
		f, p, err := c.MediaStream.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return f, nil, core.Faultf(core.SourceBroken, "replay", c.reader.Path(), "its clip ends before frame %d, which was recorded", want.seq)
		case err != nil:
			return f, nil, err
		case f.Seq < want.seq:
			p.Release()
		case f.Seq > want.seq:
			p.Release()
			return f, nil, core.Faultf(core.SourceBroken, "replay", c.reader.Path(), "its clip gives frame %d where frame %d was recorded", f.Seq, want.seq)
		default:
			c.next++
			f.PTS, f.Captured = want.pts, want.captured
			return f, p, nil
		}
	}
}

// Close removes the copy of the clip.
func (c *clip) Close() error {
	c.once.Do(func() { c.err = errors.Join(c.MediaStream.Close(), c.reader.Close(), os.RemoveAll(c.dir)) })
	return c.err
}

// frames plays the frames that are in a bundle.
type frames struct {
	reader  *bundle.Reader
	convert Convert
	info    pipeline.MediaInfo
	count   atomic.Uint64
	made    atomic.Uint64
	closed  atomic.Bool
}

func newFrames(r *bundle.Reader, convert Convert, n int) *frames {
	return &frames{reader: r, convert: convert, info: pipeline.MediaInfo{Caps: core.Caps(r.Header.Caps), Frames: n}}
}

// Info gives the recording's caps.
func (s *frames) Info() pipeline.MediaInfo { return s.info }

// Next reads one frame into an arena of its own.
func (s *frames) Next(ctx context.Context) (core.Frame, pipeline.Picture, error) {
	if ctx.Err() != nil {
		return core.Frame{}, nil, context.Cause(ctx)
	}
	if s.closed.Load() {
		return core.Frame{}, nil, core.Faultf(core.Closed, "replay", s.reader.Path(), "it is closed")
	}
	f, err := s.reader.Next()
	if err != nil {
		return core.Frame{}, nil, err
	}
	if f.Picture == nil {
		return core.Frame{}, nil, core.Faultf(core.Invalid, "bundle", s.reader.Path(), "frame %d has no picture", f.Seq)
	}
	l, mem, err := s.reader.Pixels(f.Picture)
	if err != nil {
		return core.Frame{}, nil, err
	}
	p, err := NewPicture(l, mem, s.convert)
	if err != nil {
		return core.Frame{}, nil, err
	}
	p.made = &s.made
	s.count.Add(1)
	return f.Info(""), p, nil
}

// Stats counts the frames given and the pictures made of them.
func (s *frames) Stats() pipeline.MediaStats {
	return pipeline.MediaStats{Frames: s.count.Load(), Copied: s.count.Load(), Converts: s.made.Load()}
}

// Close closes the bundle; pictures stay until they are released.
func (s *frames) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.reader.Close()
}
