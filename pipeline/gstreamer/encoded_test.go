package gstreamer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// units plays a source to its end, at most so many units.
func units(t testing.TB, m *Media, url string, most int) (pipeline.Codec, []pipeline.AccessUnit) {
	t.Helper()
	st, err := m.OpenEncoded(t.Context(), pipeline.Source{URL: url})
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	defer func() {
		if err := errors.Join(st.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	}()
	var out []pipeline.AccessUnit
	for len(out) < most {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		u, err := st.Next(ctx)
		cancel()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: unit %d: %v", url, len(out), err)
		}
		out = append(out, u)
	}
	return st.Codec(), out
}

// rawNALs gives the units of an MP4 file as they lie in it, each behind its length.
func rawNALs(t testing.TB, path string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(build(t, "raw", "filesrc location=\""+path+"\" ! qtdemux ! video/x-h264,stream-format=avc"))
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for len(b) > 4 {
		n := int(binary.BigEndian.Uint32(b))
		out = append(out, b[4:4+n])
		b = b[4+n:]
	}
	return out
}

// TestEncodedFile holds that the units of a file come as they lie in it.
func TestEncodedFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path   string
		frames int
	}{
		{"videos/faces/head-pose-face-detection-female-and-male_480x270_from_gif.mp4", 56},
		{"videos/vehicles/car-detection.mp4", 377},
		{"videos/street/MOT17-13_960x540_h264_from_h265.mp4", 750},
	} {
		path := data(t, c.path)
		codec, list := units(t, newMedia(t), path, 1<<20)
		if codec != pipeline.H264 || len(list) != c.frames {
			t.Fatalf("%s: %d units of %s, want %d of H.264", c.path, len(list), codec, c.frames)
		}
		isSlice := func(nal []byte) bool { k := nal[0] & 31; return k >= 1 && k <= 5 }
		var got, want [][]byte
		last := time.Duration(-1)
		for i, u := range list {
			if u.DTS < last || u.PTS < 0 {
				t.Errorf("%s: unit %d has DTS %s after %s, PTS %s", c.path, i, u.DTS, last, u.PTS)
			}
			last = u.DTS
			if u.Key && (len(u.NALs) < 3 || u.NALs[0][0]&31 != 7) {
				t.Errorf("%s: key unit %d does not begin with parameter sets", c.path, i)
			}
			for _, nal := range u.NALs {
				if isSlice(nal) {
					got = append(got, nal)
				}
			}
		}
		if !list[0].Key {
			t.Errorf("%s: it does not begin with a key frame", c.path)
		}
		for _, nal := range rawNALs(t, path) {
			nal, _, _ = bytes.Cut(nal, []byte{0, 0, 0, 1}) // one clip has the end of its sequence behind the last
			if isSlice(nal) {
				want = append(want, nal)
			}
		}
		if len(got) != len(want) || len(got) == 0 {
			t.Fatalf("%s: %d slices, want %d", c.path, len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("%s: slice %d differs: %d bytes ending in %x, want %d ending in %x", c.path, i, len(got[i]), got[i][len(got[i])-8:], len(want[i]), want[i][len(want[i])-8:])
			}
		}
	}
}

// TestEncodedH265 gives H.265 on, of a file without time stamps too.
func TestEncodedH265(t *testing.T) {
	t.Parallel()
	codec, list := units(t, newMedia(t), data(t, "videos/street/MOT17-13-SDP-raw.h265"), 1<<20)
	if codec != pipeline.H265 || len(list) != 750 {
		t.Fatalf("%d units of %s", len(list), codec)
	}
	if d := list[749].DTS - list[0].DTS; d < 29*time.Second || d > 31*time.Second {
		t.Errorf("it takes %s, want 30 s", d)
	}
}

// TestWithoutTimes: pictures of a file that says nothing of time come at a steady pace, played and sent.
func TestWithoutTimes(t *testing.T) {
	t.Parallel()
	const frames = 15
	path := build(t, "v.mjpeg", "videotestsrc num-buffers=%d ! video/x-raw,width=160,height=120 ! jpegenc", frames)
	codec, list := units(t, newMedia(t), path, 100)
	if codec != pipeline.H264 || len(list) != frames {
		t.Fatalf("%d units of %s", len(list), codec)
	}
	for i := 1; i < frames; i++ {
		if d := list[i].PTS - list[i-1].PTS; d < 39*time.Millisecond || d > 41*time.Millisecond || list[i].DTS <= list[i-1].DTS {
			t.Errorf("unit %d comes %s after the one before, decoded at %s after %s", i, d, list[i].DTS, list[i-1].DTS)
		}
	}
	played, err := drain(t, open(t, newMedia(t), pipeline.Source{URL: path, Realtime: true}), nil)
	if err != nil || len(played) < frames/2 {
		t.Errorf("%d frames of %d were not late: %v", len(played), frames, err)
	}
	for i := 1; i < len(played); i++ {
		want := int64(played[i].Seq-played[i-1].Seq) * int64(40*time.Millisecond)
		if got := int64(played[i].PTS - played[i-1].PTS); got < want-int64(time.Millisecond) || got > want+int64(time.Millisecond) {
			t.Errorf("frame %d: %d ns after the one before, want %d", played[i].Seq, got, want)
		}
	}
}

// TestEncodedOther encodes what is neither.
func TestEncodedOther(t *testing.T) {
	t.Parallel()
	vp8 := build(t, "v.webm", "videotestsrc num-buffers=20 ! video/x-raw,width=161,height=121,framerate=10/1 ! vp8enc ! webmmux")
	for url, live := range map[string]bool{vp8: false, "test://?size=161x121&fps=30&frames=20": false} {
		st, err := newMedia(t).OpenEncoded(t.Context(), pipeline.Source{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if st.Live() != live {
			t.Errorf("%s: live is %t", url, st.Live())
		}
		st.Close()
		codec, list := units(t, newMedia(t), url, 100)
		if codec != pipeline.H264 || len(list) != 20 || !list[0].Key {
			t.Errorf("%s: %d units of %s", url, len(list), codec)
		}
	}
}

func TestEncodedFaults(t *testing.T) {
	t.Parallel()
	m := newMedia(t)
	junk := t.TempDir() + "/junk"
	if err := os.WriteFile(junk, bytes.Repeat([]byte("no video "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	sound := build(t, "s.ogg", "audiotestsrc num-buffers=20 ! vorbisenc ! oggmux")
	for url, kind := range map[string]core.Kind{junk: core.SourceFormat, sound: core.SourceFormat, "/not/there": core.SourceOpen, "v4l2:///dev/video99": core.SourceOpen, t.TempDir(): core.SourceOpen} {
		st, err := m.OpenEncoded(t.Context(), pipeline.Source{URL: url})
		if err == nil {
			_, err = st.Next(t.Context())
			st.Close()
		}
		if core.KindOf(err) != kind {
			t.Errorf("%s: %v, want %s", url, err, kind)
		}
	}
	st, err := m.OpenEncoded(t.Context(), pipeline.Source{URL: "test://?live=true"})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	if _, err := st.Next(t.Context()); core.KindOf(err) != core.Closed {
		t.Errorf("after Close: %v", err)
	}
}

// feed is pictures that a test makes.
type feed struct {
	caps   core.Caps
	n, end int
	big    int // from here on they are larger; 0: never
	closed int
}

func (f *feed) Next(ctx context.Context) (pipeline.I420, error) {
	if f.n == f.end {
		return pipeline.I420{}, core.Faultf(core.Closed, "", "", "it is over")
	}
	if f.n > 0 {
		select {
		case <-ctx.Done():
			return pipeline.I420{}, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	c := f.caps
	if f.big > 0 && f.n >= f.big {
		c.Width *= 2
	}
	_, size := core.Packed(core.I420, c.Width, c.Height)
	f.n++
	return pipeline.I420{Caps: c, PTS: core.PTS(f.n) * core.PTS(20*time.Millisecond), Pixels: bytes.Repeat([]byte{byte(f.n)}, int(size))}, nil
}

func (f *feed) Close() error { f.closed++; return nil }

// TestEncodePictures encodes what is fed, to its end, to another size, and until it is closed.
func TestEncodePictures(t *testing.T) {
	t.Parallel()
	m := newMedia(t)
	for name, c := range map[string]struct {
		feed feed
		want int
	}{
		"to the end":     {feed{caps: core.Caps{Format: core.I420, Width: 161, Height: 121}, end: 20}, 20},
		"to another one": {feed{caps: core.Caps{Format: core.I420, Width: 160, Height: 120, RateN: 50, RateD: 1}, end: 30, big: 15}, 15},
	} {
		st, err := m.EncodePictures(t.Context(), &c.feed)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n, last := 0, time.Duration(-1)
		for {
			u, err := st.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if u.PTS <= last || (n == 0) != u.Key {
				t.Errorf("%s: unit %d at %s after %s, key %t", name, n, u.PTS, last, u.Key)
			}
			last = u.PTS
			n++
		}
		if n > c.want || n < c.want-3 { // a busy machine leaves some out
			t.Errorf("%s: %d units, want %d", name, n, c.want)
		}
		if err := errors.Join(st.Close(), st.Close()); err != nil || c.feed.closed == 0 || !st.Live() {
			t.Errorf("%s: %v, closed %d times", name, err, c.feed.closed)
		}
	}
	endless := &feed{caps: core.Caps{Format: core.I420, Width: 160, Height: 120}, end: 1 << 30}
	st, err := m.EncodePictures(t.Context(), endless)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Next(t.Context()); err != nil {
		t.Error(err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	nothing := &feed{}
	if _, err := m.EncodePictures(t.Context(), nothing); core.KindOf(err) != core.Closed || nothing.closed != 1 {
		t.Errorf("nothing is encoded: %v, closed %d times", err, nothing.closed)
	}
}

// TestEncodedFrom begins in the middle, at the key frame before. Each picture has the place in the file that it has from the beginning.
func TestEncodedFrom(t *testing.T) {
	t.Parallel()
	const source = "videotestsrc num-buffers=100 ! video/x-raw,format=I420,width=160,height=120,framerate=20/1 ! "
	for name, c := range map[string]struct {
		file, launch string
		first        time.Duration
	}{
		"MP4 with B-frames": {"v.mp4", source + "x264enc key-int-max=20 bframes=2 ! mp4mux", 2 * time.Second},
		"Matroska":          {"v.mkv", source + "x264enc key-int-max=20 bframes=2 ! matroskamux", 2 * time.Second},
		"encoded anew":      {"v.webm", source + "vp8enc keyframe-max-dist=20 ! webmmux", 0},
	} {
		path := build(t, c.file, c.launch)
		whole := map[time.Duration]bool{}
		_, list := units(t, newMedia(t), path, 1000)
		for i, u := range list {
			whole[u.At.Round(time.Millisecond)] = true
			if i == 0 && (u.At < -time.Millisecond || u.At > time.Millisecond) {
				t.Errorf("%s: it begins at %s", name, u.At)
			}
		}
		st, err := newMedia(t).OpenEncoded(t.Context(), pipeline.Source{URL: path, Start: 2500 * time.Millisecond})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := 0
		for ; ; n++ {
			u, err := st.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: unit %d: %v", name, n, err)
			}
			if at := u.At.Round(time.Millisecond); n == 0 && c.first == 0 && at >= 2*time.Second && at <= 2500*time.Millisecond {
				c.first = at // an encoder may begin wherever it likes
			}
			if n == 0 && (!u.Key || u.At.Round(time.Millisecond) != c.first) || !whole[u.At.Round(time.Millisecond)] {
				t.Errorf("%s: unit %d is at %s, key %t; want one at %s first", name, n, u.At, u.Key, c.first)
			}
		}
		if want := 100 - int(c.first/(50*time.Millisecond)); n != want {
			t.Errorf("%s: %d units, want %d", name, n, want)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	path := build(t, "v.mp4", source+"x264enc ! mp4mux")
	st, err := newMedia(t).OpenEncoded(t.Context(), pipeline.Source{URL: path, Start: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for n := 0; ; n++ {
		if _, err := st.Next(t.Context()); errors.Is(err, io.EOF) {
			break
		} else if err != nil || n > 100 {
			t.Fatalf("after its end: unit %d, %v", n, err)
		}
	}
}

// TestEncodedTurned sends the pictures of a file that is to be turned upright, as they are analysed.
func TestEncodedTurned(t *testing.T) {
	t.Parallel()
	for name, upright := range map[string]bool{"to be turned": false, "upright": true} {
		path := build(t, "a.mp4", "videotestsrc pattern=gradient num-buffers=20 ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! x264enc ! mp4mux")
		if !upright {
			quarterTurn(t, path)
		}
		_, list := units(t, newMedia(t), path, 1000)
		if len(list) != 20 {
			t.Fatalf("%s: %d units", name, len(list))
		}
		var raw []byte
		for _, u := range list {
			for _, nal := range u.NALs {
				raw = append(append(raw, 0, 0, 0, 1), nal...)
			}
		}
		sent := t.TempDir() + "/sent.h264"
		if err := os.WriteFile(sent, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		_, err := drain(t, open(t, newMedia(t), pipeline.Source{URL: sent}), func(f core.Frame, p pipeline.Picture) {
			n++
			if upright {
				if f.Caps.Width != 320 || f.Caps.Height != 240 {
					t.Errorf("%s: %v", name, f.Caps)
				}
				return
			}
			g := gray(t, p)
			if f.Caps.Width != 240 || f.Caps.Height != 320 || g[10*240+235] > 60 || g[10*240+5] < 180 {
				t.Fatalf("%s: %v: luma %d left, %d right", name, f.Caps, g[10*240+5], g[10*240+235])
			}
		})
		if err != nil || n != 20 {
			t.Errorf("%s: %d pictures, %v", name, n, err)
		}
	}
}
