package main

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/overlay"
	"github.com/hashicorp/go-hclog"
)

// film is the overlay video of a run. Its pictures have the size of the first frame; the frames
// of a source that changes size are scaled to it.
type film struct {
	encoder *gstreamer.Encoder
	canvas  *overlay.Canvas
	painter *overlay.Painter
	last    core.PTS
	frames  int
}

// filmWriteTimeout bounds how long one frame waits for the encoder.
const filmWriteTimeout = 30 * time.Second

func openFilm(path string, caps core.Caps, log hclog.Logger) (*film, error) {
	painter, err := overlay.NewPainter(caps.Height)
	if err != nil {
		return nil, err
	}
	e, err := gstreamer.OpenEncoder(path, caps, gstreamer.EncoderOptions{Log: log})
	if err != nil {
		return nil, err
	}
	return &film{encoder: e, canvas: overlay.NewCanvas(caps.Width, caps.Height), painter: painter}, nil
}

// frame draws a result's detections into a copy of its picture and writes that.
func (f *film) frame(r *pipeline.Result) error {
	size := core.PictureSize{}
	w, h := f.canvas.Layout.Width, f.canvas.Layout.Height
	nodes := r.Nodes
	if c := r.Frame.Caps; c.Width != w || c.Height != h {
		size = core.PictureSize{Width: w, Height: h}
		nodes = resized(nodes, float64(w)/float64(c.Width), float64(h)/float64(c.Height))
	}
	v, err := r.View([]core.PixelFormat{core.I420}, size)
	if err != nil {
		return err
	}
	if err := f.canvas.Load(v.Layout, v.Arena.Bytes()); err != nil {
		return err
	}
	f.painter.Draw(f.canvas, nodes)
	pts := r.Frame.PTS
	if f.frames > 0 && pts <= f.last {
		pts = f.last + core.PTS(time.Microsecond)
	}
	f.last = pts
	f.frames++
	ctx, cancel := context.WithTimeout(context.Background(), filmWriteTimeout)
	defer cancel()
	return f.encoder.Write(ctx, f.canvas.Pix, pts)
}

func resized(nodes []*core.Node, sx, sy float64) []*core.Node {
	out := make([]*core.Node, len(nodes))
	for i, n := range nodes {
		out[i] = n.Clone()
		out[i].Scale(sx, sy)
	}
	return out
}

func (f *film) close() error { return f.encoder.Close() }
