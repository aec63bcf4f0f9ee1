package gstreamer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/go-gst/go-gst/gst"
	"github.com/hashicorp/go-hclog"
)

func newMedia(t testing.TB) *Media {
	t.Helper()
	m, err := New(hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: testWriter{t}}))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// testWriter sends a log to a test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

func open(t testing.TB, m *Media, s pipeline.Source) pipeline.MediaStream {
	t.Helper()
	st, err := m.Open(t.Context(), s)
	if err != nil {
		t.Fatalf("open %s: %v", s.URL, err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return st
}

// drain plays to the end and gives the frames' data; see, if given, looks at each picture.
func drain(t testing.TB, st pipeline.MediaStream, see func(core.Frame, pipeline.Picture)) ([]core.Frame, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var frames []core.Frame
	for {
		f, p, err := st.Next(ctx)
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		if see != nil {
			see(f, p)
		}
		p.Release()
		frames = append(frames, f)
	}
}

// data gives a path below the test data, and skips the test where there is none.
func data(t testing.TB, path string) string {
	t.Helper()
	dir := os.Getenv("CAPSTAN_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	path = filepath.Join(dir, path)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no test data: %v; set CAPSTAN_TESTDATA", err)
	}
	return path
}

// build makes a media file in a folder of the test, by a pipeline that ends before the filesink.
func build(t testing.TB, name, launch string, args ...any) string {
	t.Helper()
	begin()
	path := filepath.Join(t.TempDir(), name)
	run(t, fmt.Sprintf(launch+" ! filesink name=out", args...), map[string]string{"out": path})
	return path
}

// run plays a pipeline to its end; places are the locations of its named elements.
func run(t testing.TB, launch string, places map[string]string) {
	t.Helper()
	p, err := newPipe(hclog.NewNullLogger(), launch)
	if err != nil {
		t.Fatalf("%s: %v", launch, err)
	}
	defer p.stop()
	for name, path := range places {
		if err := p.set(name, "location", path); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.state(gst.StatePlaying, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		switch m := p.hear(time.Second); {
		case m == nil:
		case m.kind == gst.MessageError:
			t.Fatalf("%s: %s %s", launch, m.text, m.debug)
		case m.kind == gst.MessageEOS:
			return
		}
	}
	t.Fatalf("%s: it does not end", launch)
}
