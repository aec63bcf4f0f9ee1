package gstreamer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

func TestNaturally(t *testing.T) {
	t.Parallel()
	want := []string{"1.jpg", "01.png", "2.jpg", "10.jpg", "a1b2.jpg", "a1b10.jpg", "A2.jpg", "img.jpg", "img1.jpg", "img2.jpg", "img10.jpg",
		"img99999999999999999999.jpg", "img100000000000000000000.jpg", "z"}
	for range 3 {
		got := slices.Clone(want)
		slices.Reverse(got)
		slices.SortFunc(got, naturally)
		if !slices.Equal(got, want) {
			t.Fatalf("sorted: %v", got)
		}
	}
}

func TestParseTest(t *testing.T) {
	t.Parallel()
	full := testPicture{pattern: "ball", width: 1920, height: 1080, rateN: 30, rateD: 1, frames: 1050}
	ntsc := testPicture{pattern: "smpte", width: 1280, height: 720, rateN: 30000, rateD: 1001, live: true}
	tests := []struct {
		url  string
		want testPicture
		says string // of the fault
	}{
		{"test://?pattern=ball&size=1920x1080&fps=30&frames=1050", full, ""},
		{"test://?fps=30000/1001&live=true", ntsc, ""},
		{"test://", testPicture{pattern: "smpte", width: 1280, height: 720, rateN: 30, rateD: 1}, ""},
		{"test://?colour=red", testPicture{}, `"colour" is not one of pattern, size, fps, frames, live`},
		{"test://?size=0x10", testPicture{}, "1..8192"},
		{"test://?size=10", testPicture{}, "WIDTHxHEIGHT"},
		{"test://?size=+10x10", testPicture{}, "WIDTHxHEIGHT"},
		{"test://?size=99999x10", testPicture{}, "1..8192"},
		{"test://?fps=0", testPicture{}, "1..1000"},
		{"test://?fps=30/0", testPicture{}, "1..1000"},
		{"test://?fps=2000", testPicture{}, "1..1000"},
		{"test://?fps=x", testPicture{}, "1..1000"},
		{"test://?frames=0", testPicture{}, "at least 1"},
		{"test://?frames=-1", testPicture{}, "at least 1"},
		{"test://?live=maybe", testPicture{}, "true or false"},
		{"test://?pattern=fakesrc", testPicture{}, "one of smpte"},
		{"test://?fps=30&fps=25", testPicture{}, "2 times"},
		{"test://host/path", testPicture{}, "more than a query"},
		{"test://?%zz", testPicture{}, "cannot be read"},
	}
	for _, c := range tests {
		got, err := parseTest(c.url)
		if c.says == "" && (err != nil || got != c.want) {
			t.Errorf("%s: %+v, %v", c.url, got, err)
		}
		if c.says != "" && (core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.url, err, c.says)
		}
	}
}

// FuzzParseTest holds that what is accepted is within its limits and harmless in a pipeline.
func FuzzParseTest(f *testing.F) {
	for _, s := range []string{"?pattern=ball&size=1920x1080&fps=30&frames=1050", "?fps=30000/1001&live=true", "", "?size=1x1&&", "?pattern=ball%20!%20filesink"} {
		f.Add("test://" + s)
	}
	f.Fuzz(func(t *testing.T, url string) {
		p, err := parseTest(url)
		if err != nil {
			if core.KindOf(err) != core.Invalid {
				t.Fatalf("%q: %v", url, err)
			}
			return
		}
		if !slices.Contains(patterns, p.pattern) || p.width < 1 || p.width > 8192 || p.height < 1 || p.height > 8192 || p.rateN < 1 || p.rateD < 1 || p.frames < 0 {
			t.Fatalf("%q: %+v", url, p)
		}
	})
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"rtsp://u:p@h/x failed":             "rtsp://…@h/x failed",
		"a http://u@h, b rtsp://x:y@z:1/q":  "a http://…@h, b rtsp://…@z:1/q",
		"http://h/x?a=1&access_token=s&b=2": "http://h/x?a=1&access_token=…&b=2",
		"/plain/path?Password=1":            "/plain/path?Password=…",
		"rtsp://u:p@ss@h/x":                 "rtsp://…@h/x",
		"rtsp://u:p/w@h/x":                  "rtsp://…@h/x",
	} {
		if got := redact(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := []struct {
		name      string
		raw, want []time.Duration
	}{
		{"plain", []time.Duration{500 * ms, 540 * ms, 580 * ms}, []time.Duration{0, 40 * ms, 80 * ms}},
		{"none", []time.Duration{-1, -1, -1}, []time.Duration{0, 100 * ms, 200 * ms}},
		{"one missing", []time.Duration{0, -1, 200 * ms}, []time.Duration{0, 100 * ms, 200 * ms}},
		{"a muddle", []time.Duration{0, 80 * ms, 40 * ms, 120 * ms}, []time.Duration{0, 80 * ms, 80*ms + time.Microsecond, 120 * ms}},
		{"again from the start", []time.Duration{0, 5000 * ms, 0, 40 * ms}, []time.Duration{0, 5000 * ms, 5100 * ms, 5140 * ms}},
		{"twice the same", []time.Duration{0, 0, 0}, []time.Duration{0, time.Microsecond, 2 * time.Microsecond}},
	}
	for _, c := range tests {
		var k clock
		for i, raw := range c.raw {
			if got := time.Duration(k.next(raw, 100*ms)); got != c.want[i] {
				t.Errorf("%s: frame %d has %v, want %v", c.name, i, got, c.want[i])
			}
		}
	}
}

// TestTestPicture plays test://, whole, in part, live, and counts.
func TestTestPicture(t *testing.T) {
	t.Parallel()
	m := newMedia(t)
	tests := []struct {
		source pipeline.Source
		frames int
		live   bool
	}{
		{pipeline.Source{URL: "test://?pattern=ball&size=322x242&fps=30&frames=50"}, 50, false},
		{pipeline.Source{URL: "test://?size=64x48&fps=10", Duration: 2 * time.Second}, 20, false},
		{pipeline.Source{URL: "test://?size=64x48&fps=10&frames=50", Start: 2 * time.Second, Duration: time.Second}, 10, false},
		{pipeline.Source{URL: "test://?size=64x48&fps=100&frames=50&live=true"}, 50, true},
	}
	for _, c := range tests {
		st := open(t, m, c.source)
		frames, err := drain(t, st, nil)
		s, i := st.Stats(), st.Info()
		if err != nil || len(frames)+int(s.Dropped) != c.frames || i.Live != c.live || s.InArena != s.Frames || i.Frames != c.frames {
			t.Errorf("%+v: %d frames, %+v, %+v (%v)", c.source, len(frames), s, i, err)
		}
	}
}

// FuzzSource plans every URL: what cannot be played is refused, with the reason, and no name for
// people has a password.
func FuzzSource(f *testing.F) {
	for _, u := range []string{"", "x", "rtsp://me:geheim@h/x", "rtsp://h:99999/", "http://me:geheim@h/a.mp4?x=%zz", "v4l2:///dev/video0", "v4l2://x", "file:///nowhere?fps=1e9", "test://?size=1x1", "FILE:///", "rtsp://h/\" ! filesink location=/x"} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, url string) {
		p, err := planOf(pipeline.Source{Stream: "s", URL: url})
		if err != nil {
			if core.KindOf(err) == core.Unknown {
				t.Errorf("%q: %v", url, err)
			}
			return
		}
		for _, i := range p.items {
			if strings.Contains(i.head, "filesink") || strings.Contains(i.head, "\"") && i.own == nil && strings.Contains(i.head, url) {
				t.Errorf("%q is in the pipeline: %s", url, i.head)
			}
		}
		if strings.Contains(url, "geheim@") && strings.Contains(p.name, "geheim") {
			t.Errorf("%q is shown as %s", url, p.name)
		}
	})
}
