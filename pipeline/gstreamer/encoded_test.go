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
