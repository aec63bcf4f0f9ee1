package sdktest

import (
	"image"
	"os"
	"testing"
	"time"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/conform"
	"github.com/hashicorp/go-hclog"
)

// Run is the conformance run that every capsule has to pass, on the given pictures and on many
// of its own making, or, where none are given, those of $CAPSTAN_TESTDATA. It holds the capsule against its declaration with every format, every
// option at its limits and beyond, no nodes and odd ones, frames of many streams at once, and
// checks that nothing is left when it is closed. capstan capsule check is the same run over a
// real process, with the cases that need one.
//
// It counts goroutines and memory: call it from a test that is not parallel.
func Run(t *testing.T, c sdk.Capsule, images ...image.Image) {
	t.Helper()
	RunWith(t, c, nil, images...)
}

// RunWith is Run with options that the capsule cannot do without, a path for example.
func RunWith(t *testing.T, c sdk.Capsule, base map[string]any, images ...image.Image) {
	t.Helper()
	if data := os.Getenv(conform.DataEnv); data != "" && len(images) == 0 {
		images = conform.DataPictures(data)
	}
	RunSuite(t, c, conform.Suite{Options: base, Pictures: images})
}

// RunSuite is Run with settings of the suite's own. Each case shows as a subtest.
func RunSuite(t *testing.T, c sdk.Capsule, s conform.Suite) {
	t.Helper()
	if testing.Short() && s.Budget == 0 {
		s.Budget = 2 * time.Second
	}
	end := s.End
	s.End = func(r conform.Result) {
		t.Run(r.Name, func(t *testing.T) { show(t, r) })
		if end != nil {
			end(r)
		}
	}
	log := hclog.New(&hclog.LoggerOptions{Name: c.Name, Level: hclog.Debug, Output: testWriter{t}, DisableTime: true})
	if _, err := s.Run(t.Context(), conform.Inside(c, log)); err != nil {
		t.Fatal(err)
	}
}

func show(t *testing.T, r conform.Result) {
	t.Logf("%s: %d frames in %s", r.About, r.Frames, r.Took.Round(time.Millisecond))
	for _, f := range r.Notes {
		t.Log(f)
	}
	for _, f := range r.Findings {
		t.Error(f)
	}
	if r.Verdict == conform.NotApplicable {
		t.Skip(r.Reason)
	}
}
