package gstreamer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

const ballH264 = "videotestsrc pattern=ball num-buffers=%d ! video/x-raw,format=I420,width=%d,height=%d,framerate=30/1 ! x264enc speed-preset=ultrafast key-int-max=15 ! h264parse"

// TestFiles plays files of every kind that the issue names, made here, and counts how each
// frame came into the arena.
func TestFiles(t *testing.T) {
	raw := "videotestsrc pattern=smpte num-buffers=20 ! video/x-raw,format=%s,width=320,height=240,framerate=10/1"
	tests := []struct {
		name, file, launch string
		frames             int
		w, h               int
		converted          bool
		fps                float64
	}{
		{"mp4", "a.mp4", fmt.Sprintf(ballH264, 45, 320, 240) + " ! mp4mux", 45, 320, 240, false, 30},
		{"mkv", "a.mkv", fmt.Sprintf(ballH264, 45, 320, 240) + " ! matroskamux", 45, 320, 240, false, 30},
		{"ts", "a.ts", fmt.Sprintf(ballH264, 45, 320, 240) + " ! mpegtsmux", 45, 320, 240, false, 30},
		{"avi", "a.avi", fmt.Sprintf(ballH264, 45, 320, 240) + " ! video/x-h264,stream-format=byte-stream ! avimux", 45, 320, 240, false, 30},
		{"raw h264", "a.h264", fmt.Sprintf(ballH264, 45, 320, 240) + " ! video/x-h264,stream-format=byte-stream", 45, 320, 240, false, 30},
		{"vp8 webm", "a.webm", "videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=320,height=240,framerate=10/1 ! vp8enc deadline=1 ! webmmux", 20, 320, 240, false, 10},
		{"odd size", "a.mkv", "videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=161,height=121,framerate=10/1 ! jpegenc ! matroskamux", 20, 161, 121, false, 10},
		{"10 bit", "a.mkv", fmt.Sprintf(raw, "I420_10LE") + " ! x264enc speed-preset=ultrafast ! matroskamux", 20, 320, 240, true, 10},
		{"4:2:2", "a.mkv", fmt.Sprintf(raw, "Y42B") + " ! x264enc speed-preset=ultrafast ! matroskamux", 20, 320, 240, true, 10},
		{"JPEG 4:2:2", "a.avi", fmt.Sprintf(raw, "Y42B") + " ! jpegenc ! avimux", 20, 320, 240, false, 10}, // jpegdec gives I420 itself
		{"RGB", "a.mov", fmt.Sprintf(raw, "RGB") + " ! pngenc snapshot=false ! qtmux", 20, 320, 240, true, 10},
		{"gray", "a.avi", fmt.Sprintf(raw, "GRAY8") + " ! jpegenc ! avimux", 20, 320, 240, true, 10},
		{"uncompressed", "a.avi", fmt.Sprintf(raw, "I420") + " ! avimux", 20, 320, 240, false, 10},
		{"with sound", "a.mp4", fmt.Sprintf(ballH264, 45, 320, 240) + " ! mux. audiotestsrc num-buffers=60 ! avenc_aac ! mux. mp4mux name=mux", 45, 320, 240, false, 30},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := open(t, newMedia(t), pipeline.Source{URL: build(t, c.file, "%s", c.launch), Stream: "s"})
			frames, err := drain(t, st, nil)
			if err != nil || len(frames) != c.frames {
				t.Fatalf("%d frames, want %d (%v)", len(frames), c.frames, err)
			}
			s := st.Stats()
			if c.converted && s.Converted != s.Frames || !c.converted && s.InArena != s.Frames && s.Copied != s.Frames {
				t.Errorf("stats are %+v", s)
			}
			if s.InArena+s.Converted+s.Copied != s.Frames || s.Dropped+s.NoSlot != 0 {
				t.Errorf("stats do not add up: %+v", s)
			}
			for i, f := range frames {
				if f.Seq != uint64(i+1) || f.Stream != "s" || f.Caps.Width != c.w || f.Caps.Height != c.h {
					t.Fatalf("frame %d is %+v", i+1, f)
				}
				want := time.Duration(float64(i) / c.fps * float64(time.Second))
				if d := time.Duration(f.PTS) - want; d < -2*time.Millisecond || d > 2*time.Millisecond {
					t.Fatalf("frame %d has PTS %v, want %v", i+1, time.Duration(f.PTS), want)
				}
			}
			if f := frames[5]; !f.Captured.Equal(frames[0].Captured.Add(time.Duration(f.PTS))) {
				t.Errorf("captured %v, and the first %v", f.Captured, frames[0].Captured)
			}
		})
	}
}

// quarterTurn has the track of an MP4 file be turned a quarter clockwise.
func quarterTurn(t testing.TB, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	turn := []byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0}
	copy(b[bytes.Index(b, []byte("tkhd"))+44:], turn) // the matrix of the track
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRotated plays a file whose track is to be turned: the pictures come upright.
func TestRotated(t *testing.T) {
	t.Parallel()
	path := build(t, "a.mp4", "videotestsrc pattern=gradient num-buffers=20 ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! x264enc ! mp4mux")
	quarterTurn(t, path)
	st := open(t, newMedia(t), pipeline.Source{URL: path})
	frames, err := drain(t, st, func(f core.Frame, p pipeline.Picture) {
		g := gray(t, p)
		if f.Caps.Width != 240 || f.Caps.Height != 320 || g[10*240+235] > 40 || g[10*240+5] < 200 || g[310*240+235] > 40 {
			t.Fatalf("%v: luma %d left, %d right", f.Caps, g[10*240+5], g[10*240+235])
		}
	})
	if s := st.Stats(); err != nil || len(frames) != 20 || s.Converted != 20 {
		t.Errorf("%d frames, %+v (%v)", len(frames), s, err)
	}
}

// TestRefused opens what cannot be played: each has a fault of the right kind that says why.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	noise := make([]byte, 200000)
	for i := range noise {
		noise[i] = byte(i*i>>7 ^ i*31)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(build(t, "w.mp4", ballH264+" ! mp4mux", 30, 320, 240))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, url string
		kind      core.Kind
		says      string
	}{
		{"nothing", "", core.Invalid, "empty"},
		{"missing", filepath.Join(dir, "no.mp4"), core.SourceOpen, "no such file"},
		{"missing URL", "file://" + filepath.Join(dir, "no.mp4"), core.SourceOpen, "no such file"},
		{"folder without images", empty, core.SourceOpen, "no images"},
		{"device", "/dev/zero", core.SourceOpen, "neither"},
		{"empty file", write("e.mp4", nil), core.SourceFormat, "empty"},
		{"text", write("t.mp4", bytes.Repeat([]byte("what it says here is no video. "), 100)), core.SourceFormat, "not a video"},
		{"garbage", write("g.mp4", noise), core.SourceFormat, "not a video"},
		{"head only", write("h.mp4", whole[:400]), core.SourceFormat, ""},
		{"without its index", write("i.mp4", whole[:len(whole)*3/4]), core.SourceFormat, ""},
		{"sound only", build(t, "a.ogg", "audiotestsrc num-buffers=20 ! vorbisenc ! oggmux"), core.SourceFormat, "no video track"},
		{"sound only mp4", build(t, "a.mp4", "audiotestsrc num-buffers=20 ! avenc_aac ! mp4mux"), core.SourceFormat, "no video track"},
		{"sound only wav", build(t, "a.wav", "audiotestsrc num-buffers=20 ! wavenc"), core.SourceFormat, "no video track"},
		{"broken image", write("b.jpg", append([]byte{0xff, 0xd8, 0xff, 0xe0}, noise[:500]...)), core.SourceFormat, ""},
		{"scheme", "gopher://x/y", core.Invalid, "gopher"},
		{"camera", "v4l2:///dev/video99", core.SourceOpen, "no such file"},
		{"no host", "rtsp:///x", core.Invalid, "host"},
		{"refused", "rtsp://u:geheim@127.0.0.1:1/x", core.SourceOpen, ""},
		{"refused http", "http://u:geheim@127.0.0.1:1/x.mp4", core.SourceOpen, ""},
		{"port", "rtsp://u:geheim@127.0.0.1:99999999/x", core.SourceOpen, ""},
		{"test", "test://?size=0x0", core.Invalid, "1..8192"},
	}
	m := newMedia(t)
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st, err := m.Open(t.Context(), pipeline.Source{URL: c.url})
			if err == nil {
				st.Close()
				t.Fatal("it opened")
			}
			t.Log(err)
			if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v; want %s with %q", core.KindOf(err), err, c.kind, c.says)
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}

// TestNamedSource: faults call a source as they were told to, not by its path.
func TestNamedSource(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret-place.mp4")
	if err := os.WriteFile(path, bytes.Repeat([]byte("no video "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	m, s := newMedia(t), pipeline.Source{URL: path, Name: "file 7"}
	_, played := m.Open(t.Context(), s)
	_, sent := m.OpenEncoded(t.Context(), s)
	for _, err := range []error{played, sent} {
		if err == nil || !strings.Contains(err.Error(), "file 7") || strings.Contains(err.Error(), "secret-place") {
			t.Errorf("%v", err)
		}
	}
}

// TestTruncated plays what is there of files that were cut, and ends.
func TestTruncated(t *testing.T) {
	for _, c := range []struct{ name, mux string }{{"a.mkv", "matroskamux"}, {"a.ts", "mpegtsmux"}, {"f.mp4", "mp4mux faststart=true"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := build(t, c.name, ballH264+" ! %s", 90, 320, 240, c.mux)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b[:len(b)*6/10], 0o600); err != nil {
				t.Fatal(err)
			}
			frames, err := drain(t, open(t, newMedia(t), pipeline.Source{URL: path}), nil)
			if len(frames) < 30 || len(frames) > 80 {
				t.Errorf("%d frames of 90 in six tenths of a file", len(frames))
			}
			if k := core.KindOf(err); err != nil && k != core.SourceBroken {
				t.Errorf("it ends with %v", err)
			}
		})
	}
}

// TestDamaged plays a file with noise in its middle: it ends, with or without a fault.
func TestDamaged(t *testing.T) {
	t.Parallel()
	path := build(t, "a.mkv", ballH264+" ! matroskamux", 90, 320, 240)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 3; i < len(b)/2; i++ {
		b[i] ^= byte(i*7 + i>>3)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMedia(t)
	m.Stall = 5 * time.Second
	frames, err := drain(t, open(t, m, pipeline.Source{URL: path}), nil)
	if len(frames) < 20 {
		t.Errorf("%d frames (%v)", len(frames), err)
	}
}

// TestResolutionChange plays sizes that change in mid-stream, up and down: new caps, and a new
// arena only when the slots are too small.
func TestResolutionChange(t *testing.T) {
	t.Parallel()
	enc := "videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=%d,height=%d,framerate=10/1 ! x264enc speed-preset=ultrafast tune=zerolatency key-int-max=5 ! video/x-h264,stream-format=byte-stream,profile=constrained-baseline"
	var all []byte
	for _, size := range [][2]int{{320, 240}, {640, 480}, {160, 120}, {1280, 720}} {
		b, err := os.ReadFile(build(t, "p.h264", enc, size[0], size[1]))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	path := filepath.Join(t.TempDir(), "all.h264")
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	st := open(t, newMedia(t), pipeline.Source{URL: path})
	sizes := map[string]int{}
	arenas := map[uint64]bool{}
	frames, err := drain(t, st, func(f core.Frame, p pipeline.Picture) {
		sizes[fmt.Sprintf("%dx%d", f.Caps.Width, f.Caps.Height)]++
		v, err := p.View([]core.PixelFormat{core.GRAY8}, core.PictureSize{})
		if err != nil || v.Layout.Width != f.Caps.Width || v.Layout.Check(int64(len(v.Arena.Bytes()))) != nil {
			t.Errorf("frame %d: %+v %v", f.Seq, v.Layout, err)
			return
		}
		arenas[v.Arena.ID()] = true
	})
	if err != nil || len(frames) != 80 || len(sizes) != 4 || sizes["640x480"] != 20 {
		t.Errorf("%d frames of sizes %v (%v)", len(frames), sizes, err)
	}
	if len(arenas) < 2 || len(arenas) > 3 {
		t.Errorf("%d arenas", len(arenas))
	}
	if s := st.Stats(); s.InArena != 80 {
		t.Errorf("stats are %+v", s)
	}
}

// TestVariableRate keeps the times that the frames have.
func TestVariableRate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "v.mp4")
	e, err := OpenEncoder(path, core.Caps{Width: 64, Height: 48}, EncoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	times := []time.Duration{0, 40, 80, 480, 500, 1500, 1510, 1900}
	for _, at := range times {
		if err := e.Write(t.Context(), make([]byte, 64*48*3/2), core.PTS(at*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	frames, err := drain(t, open(t, newMedia(t), pipeline.Source{URL: path}), nil)
	if err != nil || len(frames) != len(times) {
		t.Fatalf("%d frames (%v)", len(frames), err)
	}
	for i, f := range frames {
		if d := time.Duration(f.PTS) - times[i]*time.Millisecond; d < -time.Millisecond || d > time.Millisecond {
			t.Errorf("frame %d has PTS %v, want %vms", i+1, time.Duration(f.PTS), int(times[i]))
		}
	}
}

// TestStartAndDuration plays a part of files that can seek and of one that cannot.
func TestStartAndDuration(t *testing.T) {
	tests := []struct{ name, launch string }{
		{"a.mp4", ballH264 + " ! mp4mux"},
		{"a.h264", ballH264 + " ! video/x-h264,stream-format=byte-stream"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := build(t, c.name, c.launch, 90, 320, 240)
			st := open(t, newMedia(t), pipeline.Source{URL: path, Start: 1100 * time.Millisecond, Duration: time.Second})
			var first []byte
			frames, err := drain(t, st, func(f core.Frame, p pipeline.Picture) {
				if f.Seq == 1 {
					first = gray(t, p)
				}
			})
			if err != nil || len(frames) != 30 || frames[0].Seq != 1 || frames[0].PTS != 0 {
				t.Fatalf("%d frames (%v)", len(frames), err)
			}
			all := open(t, newMedia(t), pipeline.Source{URL: path})
			_, err = drain(t, all, func(f core.Frame, p pipeline.Picture) {
				if f.Seq == 34 && !bytes.Equal(gray(t, p), first) {
					t.Error("the first frame is not that of 1.1 s")
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// gray gives a copy of the luma without padding.
func gray(t testing.TB, p pipeline.Picture) []byte {
	t.Helper()
	v, err := p.View([]core.PixelFormat{core.GRAY8}, core.PictureSize{})
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for y := range v.Layout.Height {
		at := int(v.Layout.Planes[0].Offset) + y*v.Layout.Planes[0].Stride
		out = append(out, v.Arena.Bytes()[at:at+v.Layout.Width]...)
	}
	return out
}

// TestRealtime plays a file at its own speed and drops what is not taken in time.
func TestRealtime(t *testing.T) {
	t.Parallel()
	path := build(t, "a.mp4", ballH264+" ! mp4mux", 60, 320, 240)
	st := open(t, newMedia(t), pipeline.Source{URL: path, Realtime: true})
	if !st.Info().Live {
		t.Error("it is not live")
	}
	slow := true
	began := time.Now()
	frames, err := drain(t, st, func(core.Frame, pipeline.Picture) {
		if slow {
			time.Sleep(500 * time.Millisecond)
		}
		slow = false
	})
	s := st.Stats()
	if err != nil || s.Dropped < 5 || s.Frames+s.Dropped != 60 || frames[len(frames)-1].Seq != 60 {
		t.Errorf("%d frames, %+v (%v)", len(frames), s, err)
	}
	if d := time.Since(began); d < 1500*time.Millisecond {
		t.Errorf("two seconds were played in %v", d)
	}
}

// TestImages plays one image as one frame, and a folder in natural order.
func TestImages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shot := func(name, encoder string, w, h, level int) {
		run(t, fmt.Sprintf("videotestsrc pattern=solid-color foreground-color=%d num-buffers=1 ! video/x-raw,format=RGB,width=%d,height=%d ! %s ! filesink name=out",
			uint32(0xff000000|level<<16|level<<8|level), w, h, encoder), map[string]string{"out": filepath.Join(dir, name)})
	}
	begin()
	shot("img2.jpg", "jpegenc quality=95", 320, 240, 60)
	shot("img10.png", "pngenc", 200, 400, 120)
	shot("img1.jpeg", "jpegenc quality=95", 64, 48, 10)
	shot("img020.png", "pngenc", 33, 21, 200)
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	st := open(t, newMedia(t), pipeline.Source{URL: "file://" + dir + "?fps=10"})
	if i := st.Info(); i.Frames != 4 || i.Duration != 400*time.Millisecond || i.Live {
		t.Errorf("info is %+v", i)
	}
	var seen []string
	frames, err := drain(t, st, func(f core.Frame, p pipeline.Picture) {
		full := 255 * (int(gray(t, p)[0]) - 16) / 219
		if f.Caps.FullRange {
			full = int(gray(t, p)[0])
		}
		seen = append(seen, fmt.Sprintf("%dx%d:%d", f.Caps.Width, f.Caps.Height, (full+5)/10*10))
	})
	if err != nil || strings.Join(seen, " ") != "64x48:10 320x240:60 200x400:120 33x21:200" {
		t.Errorf("saw %v (%v)", seen, err)
	}
	if len(frames) == 4 && (frames[3].PTS != core.PTS(300*time.Millisecond) || frames[3].Caps.FPS() != 10 || frames[3].Seq != 4) {
		t.Errorf("last is %+v", frames[3])
	}
	part := open(t, newMedia(t), pipeline.Source{URL: "file://" + dir + "?fps=10", Start: 150 * time.Millisecond, Duration: 150 * time.Millisecond})
	if frames, err := drain(t, part, nil); err != nil || len(frames) != 2 || frames[0].Caps.Width != 200 || frames[0].PTS != 0 || part.Info().Frames != 2 {
		t.Errorf("%d frames of a part, %+v (%v)", len(frames), part.Info(), err)
	}
	late := open(t, newMedia(t), pipeline.Source{URL: "file://" + dir + "?fps=10", Realtime: true})
	time.Sleep(250 * time.Millisecond)
	if frames, err := drain(t, late, nil); err != nil || len(frames) > 3 || uint64(len(frames))+late.Stats().Dropped != 4 || frames[len(frames)-1].Seq != 4 || !late.Info().Live {
		t.Errorf("%d frames in real time, %+v (%v)", len(frames), late.Stats(), err)
	}
	one := open(t, newMedia(t), pipeline.Source{URL: filepath.Join(dir, "img10.png")})
	if frames, err := drain(t, one, nil); err != nil || len(frames) != 1 || one.Info().Frames != 1 {
		t.Errorf("%d frames of an image, %+v (%v)", len(frames), one.Info(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "img3.png"), []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := open(t, newMedia(t), pipeline.Source{URL: dir})
	if frames, err := drain(t, broken, nil); len(frames) != 2 || core.KindOf(err) != core.SourceBroken || !strings.Contains(err.Error(), "img3.png") {
		t.Errorf("%d frames, then %v", len(frames), err)
	}
}

// TestImageKinds plays one image of every kind that a folder may have.
func TestImageKinds(t *testing.T) {
	t.Parallel()
	m := image.NewPaletted(image.Rect(0, 0, 64, 48), color.Palette{color.Black, color.RGBA{200, 200, 200, 255}})
	for i := range m.Pix {
		m.Pix[i] = 1
	}
	kinds := map[string]func(io.Writer) error{
		"a.png": func(w io.Writer) error { return png.Encode(w, m) },
		"a.jpg": func(w io.Writer) error { return jpeg.Encode(w, m, nil) },
		"a.gif": func(w io.Writer) error {
			return gif.EncodeAll(w, &gif.GIF{Image: []*image.Paletted{m, m, m}, Delay: []int{10, 10, 10}})
		},
		"a.bmp":  func(w io.Writer) error { return bmp.Encode(w, m) },
		"a.tiff": func(w io.Writer) error { return tiff.Encode(w, m, nil) },
	}
	dir := t.TempDir()
	for name, encode := range kinds {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(encode(f), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	run(t, "videotestsrc pattern=white num-buffers=1 ! video/x-raw,format=RGB,width=64,height=48 ! webpenc ! filesink name=out", map[string]string{"out": filepath.Join(dir, "a.webp")})
	for name, frames := range map[string]int{"a.png": 1, "a.jpg": 1, "a.gif": 1, "a.bmp": 1, "a.tiff": 1, "a.webp": 1} {
		st, err := newMedia(t).Open(t.Context(), pipeline.Source{URL: filepath.Join(dir, name)})
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := drain(t, st, func(_ core.Frame, p pipeline.Picture) {
			if v := gray(t, p)[100]; v < 180 {
				t.Errorf("%s: luma %d", name, v)
			}
		})
		if err != nil || len(got) != frames || got[0].Caps.Width != 64 || got[0].Caps.Height != 48 {
			t.Errorf("%s: %d frames %+v (%v)", name, len(got), got, err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNextAndClose ends waiting calls: by their context, and by Close from elsewhere.
func TestNextAndClose(t *testing.T) {
	t.Parallel()
	m := newMedia(t)
	st := open(t, m, pipeline.Source{URL: "test://?size=64x48&fps=1&live=true"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for {
		_, p, err := st.Next(ctx)
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it ends with %v", err)
			}
			break
		}
		p.Release()
	}
	done := make(chan error, 1)
	go func() {
		for {
			_, p, err := st.Next(context.Background())
			if err != nil {
				done <- err
				return
			}
			p.Release()
		}
	}()
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; core.KindOf(err) != core.Closed {
		t.Errorf("Next gives %v", err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Open(gone, pipeline.Source{URL: "test://"}); !errors.Is(err, context.Canceled) {
		t.Errorf("open gives %v", err)
	}
}
