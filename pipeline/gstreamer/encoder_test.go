package gstreamer

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// TestEncoder writes pictures that are known and reads them back.
func TestEncoder(t *testing.T) {
	for _, size := range [][2]int{{320, 240}, {161, 121}} {
		path := filepath.Join(t.TempDir(), "out.mp4")
		w, h := size[0], size[1]
		caps := core.Caps{Width: w, Height: h, RateN: 25, RateD: 1, Matrix: core.BT709}
		e, err := OpenEncoder(path, caps, EncoderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, bytes := core.Packed(core.I420, w, h)
		picture := func(n int) []byte {
			b := make([]byte, bytes)
			for i := range b {
				b[i] = 128
				if i < w*h {
					b[i] = byte(60 + 2*n + i%w/4)
				}
			}
			return b
		}
		for n := range 40 {
			if err := e.Write(t.Context(), picture(n), core.PTS(time.Duration(n)*40*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Write(t.Context(), picture(0), 0); core.KindOf(err) != core.Invalid {
			t.Errorf("a PTS that goes back gives %v", err)
		}
		if err := e.Write(t.Context(), nil, core.PTS(time.Hour)); core.KindOf(err) != core.Invalid {
			t.Errorf("a frame without bytes gives %v", err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("the file has its name before it is finished")
		}
		if err := errors.Join(e.Close(), e.Close()); err != nil {
			t.Fatal(err)
		}
		if err := e.Write(t.Context(), picture(0), core.PTS(time.Hour)); core.KindOf(err) != core.Closed {
			t.Errorf("after Close it gives %v", err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 || e.Frames() != 40 {
			t.Errorf("%d frames in %v", e.Frames(), left)
		}
		frames, err := drain(t, open(t, newMedia(t), pipeline.Source{URL: path}), func(f core.Frame, p pipeline.Picture) {
			g, want := gray(t, p), picture(int(f.Seq)-1)
			if f.Caps.Matrix != core.BT709 || f.Caps.Width != (w+1)/2*2 || f.Caps.FPS() != 25 {
				t.Errorf("caps are %+v", f.Caps)
			}
			sum := 0.0
			for y := range h {
				for x := range w {
					d := float64(g[y*f.Caps.Width+x]) - float64(want[y*w+x])
					sum += d * d
				}
			}
			if psnr := 10 * math.Log10(255*255/(sum/float64(w*h)+1e-9)); psnr < 38 {
				t.Errorf("frame %d: %.1f dB", f.Seq, psnr)
			}
		})
		if err != nil || len(frames) != 40 {
			t.Errorf("%d frames (%v)", len(frames), err)
		}
	}
}

// TestEncoderInterrupted reads what is there when nobody closes the encoder.
func TestEncoderInterrupted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.mp4")
	e, err := OpenEncoder(path, core.Caps{Width: 64, Height: 48, RateN: 25, RateD: 1}, EncoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 64*48*3/2)
	for n := range 200 {
		for i := range noise {
			noise[i] = byte(i * n * 7)
		}
		if err := e.Write(t.Context(), noise, core.PTS(time.Duration(n)*40*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	part := filepath.Join(filepath.Dir(path), "out.part.mp4")
	cut := filepath.Join(filepath.Dir(path), "cut.mp4")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		b, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cut, b, 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := newMedia(t).Open(t.Context(), pipeline.Source{URL: cut})
		n := 0
		if err == nil {
			var frames []core.Frame
			frames, err = drain(t, st, nil)
			n = len(frames)
			st.Close()
		}
		if n >= 50 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d frames in %d bytes (%v)", n, len(b), err)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestEncoderRefuses opens what cannot be written.
func TestEncoderRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := core.Caps{Width: 64, Height: 48}
	for name, c := range map[string]struct {
		path string
		caps core.Caps
		opt  EncoderOptions
	}{
		"size":    {filepath.Join(dir, "a.mp4"), core.Caps{}, EncoderOptions{}},
		"name":    {filepath.Join(dir, "a.avi"), good, EncoderOptions{}},
		"folder":  {filepath.Join(dir, "no", "a.mp4"), good, EncoderOptions{}},
		"quality": {filepath.Join(dir, "a.mp4"), good, EncoderOptions{Quality: 60}},
	} {
		if _, err := OpenEncoder(c.path, c.caps, c.opt); core.KindOf(err) != core.Invalid {
			t.Errorf("%s gives %v", name, err)
		}
	}
	e, err := OpenEncoder(filepath.Join(dir, "b.mp4"), good, EncoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); core.KindOf(err) != core.Invalid {
		t.Errorf("a file without frames gives %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestEncoderFullDisk writes where there is no room.
func TestEncoderFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	part := filepath.Join(dir, "a.part.mp4")
	if err := os.Symlink("/dev/full", part); err != nil {
		t.Fatal(err)
	}
	e, err := OpenEncoder(filepath.Join(dir, "a.mp4"), core.Caps{Width: 64, Height: 48}, EncoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 64*48*3/2)
	for n := range 500 {
		for i := range frame {
			frame[i] = byte(i * n * 11)
		}
		if err = e.Write(t.Context(), frame, core.PTS(time.Duration(n)*40*time.Millisecond)); err != nil {
			break
		}
	}
	if closed := e.Close(); closed == nil || err != nil && closed.Error() != err.Error() {
		t.Errorf("Write gives %v, Close %v", err, closed)
	} else {
		t.Log(closed)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestScene renders two pictures that move, and finds them where they should be.
func TestScene(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begin()
	a, b := filepath.Join(dir, "a.png"), filepath.Join(dir, "b.jpg")
	run(t, "videotestsrc pattern=white num-buffers=1 ! video/x-raw,format=RGB,width=100,height=50 ! pngenc ! filesink name=out", map[string]string{"out": a})
	run(t, "videotestsrc pattern=black num-buffers=1 ! video/x-raw,format=RGB,width=50,height=50 ! jpegenc ! filesink name=out", map[string]string{"out": b})
	sprites := []Sprite{
		{Path: a, Width: 80, X: 0.25, Y: 0.5, SwingY: 0.2, Turns: 1},
		{Path: b, Width: 60, X: 0.75, Y: 0.5, SwingX: 0.1, Turns: 2, Zoom: 0.2, Mirror: true},
	}
	opt := SceneOptions{Width: 640, Height: 360, FPS: 20, Duration: 2 * time.Second}
	var first []byte
	for round := range 2 {
		out := filepath.Join(dir, "scene.mp4")
		if err := RenderScene(t.Context(), out, sprites, opt); err != nil {
			t.Fatal(err)
		}
		var sums []byte
		frames, err := drain(t, open(t, newMedia(t), pipeline.Source{URL: out}), func(f core.Frame, p pipeline.Picture) {
			g := gray(t, p)
			part := float64(f.Seq-1) / 40
			s := sprite{sprites[0], 2}
			x, y := s.centre(part, opt)
			if v := g[int(y)*640+int(x)]; v < 220 {
				t.Errorf("frame %d: %d where the white picture is (%.0f,%.0f)", f.Seq, v, x, y)
			}
			if v := g[int(y)*640+int(x)+44]; v > 200 {
				t.Errorf("frame %d: %d beside the white picture", f.Seq, v)
			}
			s = sprite{sprites[1], 1}
			x, y = s.centre(part, opt)
			if v := g[int(y)*640+int(x)]; v > 30 {
				t.Errorf("frame %d: %d where the black picture is", f.Seq, v)
			}
			sums = append(sums, g[100*640+320], g[int(y)*640+int(x)])
		})
		if err != nil || len(frames) != 40 || frames[0].Caps.Width != 640 || frames[0].Caps.FPS() != 20 {
			t.Errorf("%d frames (%v)", len(frames), err)
		}
		if round == 1 && string(first) != string(sums) {
			t.Error("the same scene looks different")
		}
		first = sums
	}
	if err := RenderScene(t.Context(), filepath.Join(dir, "x.mp4"), []Sprite{{Path: "no.png", Width: 10}}, opt); core.KindOf(err) != core.SourceOpen {
		t.Errorf("a missing picture gives %v", err)
	}
	if err := RenderScene(t.Context(), filepath.Join(dir, "x.mp4"), nil, opt); core.KindOf(err) != core.Invalid {
		t.Errorf("no pictures give %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := RenderScene(gone, filepath.Join(dir, "x.mp4"), sprites, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled scene gives %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "x*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	findings := Check()
	for _, f := range findings {
		if f.Name == "" || f.Use == "" || f.Required && !f.OK {
			t.Errorf("%+v", f)
		}
		if !f.OK && !strings.HasPrefix(f.Detail, "missing") {
			t.Errorf("%+v", f)
		}
	}
	if len(findings) < 30 || hasElement("no-such-element") {
		t.Errorf("%d findings", len(findings))
	}
}
