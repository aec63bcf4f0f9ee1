package gstreamer

// #include "bus.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pictures of scenes
	_ "image/png"
	"math"
	"os"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/go-gst/go-gst/gst"
	"github.com/hashicorp/go-hclog"
)

// Sprite is a picture that moves over a scene.
type Sprite struct {
	Path   string // an image file
	Mirror bool   // left and right swapped
	Width  int    // pixels at rest; the height follows from the picture
	// Where its centre is, as parts of the scene's width and height; it swings around that by
	// Swing (parts as well), Turns times in the scene, beginning at Phase (0..1).
	X, Y           float64
	SwingX, SwingY float64
	Turns, Phase   float64
	Zoom           float64 // it grows and shrinks by this part of its size; below 1
}

// SceneOptions sets up a scene; zero fields are 1280x720, 30 fps, 10 s, no log.
type SceneOptions struct {
	Width, Height, FPS int
	Duration           time.Duration
	Log                hclog.Logger
}

func (o SceneOptions) complete() SceneOptions {
	if o.Width == 0 || o.Height == 0 {
		o.Width, o.Height = 1280, 720
	}
	if o.FPS == 0 {
		o.FPS = 30
	}
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return o
}

// RenderScene writes an MP4 file in which the pictures move over a grey background, each on a
// smooth path of its own, the later ones before the earlier. The same scene gives the same
// file. The file appears when it is complete.
func RenderScene(ctx context.Context, out string, pictures []Sprite, opt SceneOptions) error {
	begin()
	opt = opt.complete()
	if len(pictures) == 0 {
		return core.Faultf(core.Invalid, "scene", out, "it has no pictures")
	}
	if opt.Width < 2 || opt.Height < 2 || opt.Width%2+opt.Height%2 != 0 || opt.FPS < 1 || opt.Duration < time.Second/time.Duration(opt.FPS) {
		return core.Faultf(core.Invalid, "scene", out, "%dx%d at %d fps for %s: sides are even, and there is one frame at least", opt.Width, opt.Height, opt.FPS, opt.Duration)
	}
	moving := make([]sprite, len(pictures))
	for i, s := range pictures {
		if s.Width < 2 || !(s.Zoom >= 0 && s.Zoom < 1) {
			return core.Faultf(core.Invalid, "scene", s.Path, "width %d is below 2, or zoom %g not within 0..1", s.Width, s.Zoom)
		}
		aspect, err := aspectOf(s.Path)
		if err != nil {
			return err
		}
		moving[i] = sprite{s, aspect}
	}
	part, err := partOf(out)
	if err != nil {
		return core.Faultf(core.Invalid, "scene", out, "%w", err)
	}
	if err = renderScene(ctx, part, moving, opt); err == nil {
		err = os.Rename(part, out)
	}
	if err != nil {
		os.Remove(part)
	}
	return err
}

// sprite is a Sprite whose picture has been looked at.
type sprite struct {
	Sprite
	aspect float64
}

func aspectOf(path string) (float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, openFault(path, err)
	}
	defer f.Close()
	c, _, err := image.DecodeConfig(f)
	if err != nil || c.Width < 1 || c.Height < 1 {
		return 0, core.Faultf(core.SourceFormat, "scene", path, "it is not a JPEG or PNG picture")
	}
	return float64(c.Width) / float64(c.Height), nil
}

func renderScene(ctx context.Context, part string, pictures []sprite, opt SceneOptions) (err error) {
	launch, err := sceneLaunch(pictures, opt)
	if err != nil {
		return err
	}
	p, err := newPipe(opt.Log, launch)
	if err != nil {
		return unsupported(err, part)
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.set("out", "location", part); err != nil {
		return err
	}
	for i, s := range pictures {
		if err := p.set(fmt.Sprintf("file%d", i), "location", s.Path); err != nil {
			return err
		}
		animate(p, i, s, opt)
	}
	if err := p.state(gst.StatePlaying, stopLimit); err != nil {
		return sceneFault(p, part, err)
	}
	return playOut(ctx, p, part)
}

func sceneLaunch(pictures []sprite, opt SceneOptions) (string, error) {
	frames := int(math.Round(opt.Duration.Seconds() * float64(opt.FPS)))
	var b strings.Builder
	fmt.Fprintf(&b, "videotestsrc pattern=gradient num-buffers=%d ! video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1 ! mix.sink_0 ",
		frames, opt.Width, opt.Height, opt.FPS)
	for i, s := range pictures {
		flip := ""
		if s.Mirror {
			flip = "videoflip video-direction=horiz ! "
		}
		fmt.Fprintf(&b, "filesrc name=file%d ! decodebin ! videoconvert ! video/x-raw,format=I420 ! %simagefreeze num-buffers=%d ! video/x-raw,framerate=%d/1 ! mix.sink_%d ",
			i, flip, frames, opt.FPS, i+1)
	}
	encoder, err := h264(20)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "compositor name=mix ! video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1 ! %s ! mp4mux faststart=true ! filesink name=out",
		opt.Width, opt.Height, opt.FPS, encoder)
	return b.String(), nil
}

// animate puts a key point for every frame on the place and size of a sprite.
func animate(p *pipe, i int, s sprite, opt SceneOptions) {
	pad := p.element("mix").GetStaticPad(fmt.Sprintf("sink_%d", i+1))
	if pad == nil {
		return
	}
	defer letGo(pad.Object)
	frames := int(math.Round(opt.Duration.Seconds() * float64(opt.FPS)))
	curves := map[string]func(part float64) float64{
		"width":  func(t float64) float64 { w, _ := s.size(t); return w },
		"height": func(t float64) float64 { _, h := s.size(t); return h },
		"xpos":   func(t float64) float64 { w, _ := s.size(t); x, _ := s.centre(t, opt); return x - w/2 },
		"ypos":   func(t float64) float64 { _, h := s.size(t); _, y := s.centre(t, opt); return y - h/2 },
	}
	for property, curve := range curves {
		values := make([]float64, frames)
		for n := range values {
			values[n] = math.Round(curve(float64(n) / float64(frames)))
		}
		name := C.CString(property)
		C.bus_animate(pad.Unsafe(), name, (*C.double)(&values[0]), C.int(frames), C.int(opt.FPS))
		C.g_free(C.gpointer(name))
	}
}

func (s sprite) size(t float64) (w, h float64) {
	w = float64(s.Width) * (1 + s.Zoom*math.Sin(2*math.Pi*(s.Turns*t+s.Phase)))
	return w, w / s.aspect
}

func (s sprite) centre(t float64, opt SceneOptions) (x, y float64) {
	a := 2 * math.Pi * (s.Turns*t + s.Phase)
	return float64(opt.Width) * (s.X + s.SwingX*math.Sin(a)), float64(opt.Height) * (s.Y + s.SwingY*math.Sin(2*a))
}

// playOut waits for the end of a pipeline that writes a file.
func playOut(ctx context.Context, p *pipe, name string) error {
	for {
		m := p.hear(100 * time.Millisecond)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case m == nil:
		case m.kind == gst.MessageError:
			return &core.Fault{Op: "scene", Kind: core.SourceOpen, On: name, Err: errors.New(useful(m))}
		case m.kind == gst.MessageEOS:
			return nil
		}
	}
}

func sceneFault(p *pipe, name string, err error) error {
	for m := p.hear(50 * time.Millisecond); m != nil; m = p.hear(0) {
		if m.kind == gst.MessageError {
			return &core.Fault{Op: "scene", Kind: core.SourceOpen, On: name, Err: errors.New(useful(m))}
		}
	}
	return &core.Fault{Op: "scene", Kind: core.Internal, On: name, Err: err}
}
