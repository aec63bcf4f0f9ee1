package gstreamer

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// patterns are those of videotestsrc that make sense for tests.
var patterns = []string{"smpte", "snow", "black", "white", "red", "green", "blue", "checkers-1", "checkers-2", "checkers-4", "checkers-8",
	"circular", "blink", "smpte75", "zone-plate", "gamut", "chroma-zone-plate", "solid-color", "ball", "smpte100", "bar", "pinwheel",
	"spokes", "gradient", "colors"}

// testPicture is a test:// URL.
type testPicture struct {
	pattern       string
	width, height int
	rateN, rateD  int
	frames        int // 0: without end
	live          bool
}

const testHelp = "test://?pattern=ball&size=1920x1080&fps=30&frames=1050&live=true"

// parseTest reads a test:// URL strictly: what it does not know it refuses, saying what is allowed.
func parseTest(raw string) (testPicture, error) {
	t := testPicture{pattern: "smpte", width: 1280, height: 720, rateN: 30, rateD: 1}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "test" {
		return t, testFault(raw, "it is not a URL like %s", testHelp)
	}
	if u.Host != "" || u.Path != "" || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return t, testFault(raw, "it has more than a query: %s", testHelp)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return t, testFault(raw, "its query cannot be read: %w", err)
	}
	for key, values := range query {
		if len(values) != 1 {
			return t, testFault(raw, "%s is given %d times", key, len(values))
		}
		if err := t.set(key, values[0]); err != nil {
			return t, testFault(raw, "%w", err)
		}
	}
	return t, nil
}

func testFault(raw, format string, args ...any) error {
	return core.Faultf(core.Invalid, "open", redact(raw), format, args...)
}

func (t *testPicture) set(key, value string) (err error) {
	switch key {
	case "pattern":
		if !slices.Contains(patterns, value) {
			return fmt.Errorf("pattern %q is not one of %s", value, strings.Join(patterns, ", "))
		}
		t.pattern = value
	case "size":
		w, h, ok := strings.Cut(value, "x")
		if t.width, err = within(w, 1, 8192); ok && err == nil {
			t.height, err = within(h, 1, 8192)
		}
		if !ok || err != nil {
			return fmt.Errorf("size %q is not WIDTHxHEIGHT, each within 1..8192", value)
		}
	case "fps":
		n, d, fraction := strings.Cut(value, "/")
		t.rateD = 1
		if t.rateN, err = within(n, 1, 240000); err == nil && fraction {
			t.rateD, err = within(d, 1, 10000)
		}
		if err != nil || t.rateN > 1000*t.rateD {
			return fmt.Errorf("fps %q is not a whole number or fraction within 1..1000, such as 30 or 30000/1001", value)
		}
	case "frames":
		if t.frames, err = within(value, 1, 1<<30); err != nil {
			return fmt.Errorf("frames %q is not a number of at least 1; leave it out for no end", value)
		}
	case "live":
		if value != "true" && value != "false" {
			return fmt.Errorf("live %q is not true or false", value)
		}
		t.live = value == "true"
	default:
		return fmt.Errorf("%q is not one of pattern, size, fps, frames, live", key)
	}
	return nil
}

// within reads a decimal number without a sign.
func within(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || digits(s) != len(s) || n < low || n > high {
		return 0, fmt.Errorf("%q is not within %d..%d", s, low, high)
	}
	return n, nil
}

func planTest(s pipeline.Source, _ *url.URL) (plan, error) {
	t, err := parseTest(s.URL)
	if err != nil {
		return plan{}, err
	}
	count := -1
	if t.frames > 0 {
		count = t.frames
	}
	live := t.live || s.Realtime
	head := fmt.Sprintf("videotestsrc name=source pattern=%s num-buffers=%d is-live=%t ! video/x-raw,format=I420,width=%d,height=%d,framerate=%d/%d",
		t.pattern, count, t.live, t.width, t.height, t.rateN, t.rateD)
	return plan{name: s.URL, items: []item{{head: head, name: s.URL, sync: live, drop: live}}, live: live, frames: t.frames, seek: !t.live}, nil
}
