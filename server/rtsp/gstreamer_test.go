package rtsp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
)

// data gives a path below the test data, and skips the test where there is none.
func data(t testing.TB, path string) string {
	t.Helper()
	dir := os.Getenv("CAPSTAN_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	path, err := filepath.Abs(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no test data: %v; set CAPSTAN_TESTDATA", err)
	}
	return path
}

// TestRealClip serves a real clip: what arrives is what is in the file, to the last bit, over the point
// where it begins again, by a client of another making too.
func TestRealClip(t *testing.T) {
	t.Parallel()
	m, err := gstreamer.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := data(t, "videos/faces/face-demographics-walking_480x270_from_gif.mp4")
	src, err := m.OpenEncoded(t.Context(), pipeline.Source{URL: path})
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	for {
		u, err := src.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, bytes.Join(u.NALs, []byte{0, 0, 1}))
	}
	if err := src.Close(); err != nil || len(want) != 35 {
		t.Fatalf("%d pictures, %v", len(want), err)
	}
	s := listen(t, Config{Key: []byte("key"), Open: func(ctx context.Context, _ core.StreamNumber, from time.Duration) (pipeline.EncodedStream, error) {
		return m.OpenEncoded(ctx, pipeline.Source{URL: path, Start: from})
	}})
	u := mustURL(t, s, 1)
	v, err := watch(t, u, gortsplib.TransportTCP)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 50 {
		p := v.next(t)
		if got := bytes.Join(p.nals, []byte{0, 0, 1}); !bytes.Equal(got, want[i%35]) {
			t.Fatalf("picture %d has %d bytes, not the %d of the file", i, len(got), len(want[i%35]))
		}
	}
	if took := time.Since(began); took < 3*time.Second { // 50 pictures at 12 a second
		t.Errorf("it is played in %s, too fast", took)
	}
	// What plays cameras plays this.
	st, err := m.Open(t.Context(), pipeline.Source{URL: u})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for range 20 {
		f, p, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		if f.Caps.Width != 480 || f.Caps.Height != 270 {
			t.Errorf("it is %dx%d", f.Caps.Width, f.Caps.Height)
		}
	}
	if n := s.Stats(); n.Streams != 1 || n.Viewers != 2 {
		t.Errorf("%+v", n)
	}
}
