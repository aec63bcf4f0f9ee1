package sdktest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/bundle"
	"github.com/capstan-video/capstan/sdk/bundle/diff"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

// told keeps what a test would say.
type told struct {
	testing.TB
	errors []string
	fatal  string
}

func (r *told) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *told) Logf(string, ...any) {}
func (r *told) Helper()             {}
func (r *told) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	panic(r)
}

// golden runs Golden and gives what it says.
func golden(t *testing.T, c sdk.Capsule, path string, tolerance diff.Tolerance) (r *told) {
	r = &told{TB: t}
	defer func() {
		if v := recover(); v != nil && v != r {
			panic(v)
		}
	}()
	sdktest.GoldenWith(r, c, path, tolerance, nil)
	return r
}

// goldenBundle records three frames of a capsule that marks the brightest pixel.
func goldenBundle(t *testing.T, c sdk.Capsule) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.bundle")
	values, err := c.Declaration().Complete(nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := bundle.CapsuleOf(c.Declaration(), values)
	if err != nil {
		t.Fatal(err)
	}
	w, err := bundle.Create(t.Context(), path, bundle.Header{Stream: "s", Media: bundle.MediaNone, Capsules: []bundle.Capsule{k}}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := sdktest.Open(t, c, nil)
	for seq := range uint64(3) {
		f := sdktest.FrameOf(gradient(40+int(seq), 30), sdk.GRAY8, sdktest.Seq(seq+1), sdktest.At(time.Duration(seq)*time.Second))
		out := b.Process(f)
		rec := bundle.FrameOf(f.Info)
		p, err := w.Picture(bundle.PictureName(c.Name, f.Info.Seq), f.Layout, bundle.Pack(f.Layout, f.Memory))
		if err != nil {
			t.Fatal(err)
		}
		rec.Calls = append(rec.Calls, bundle.Call{Capsule: c.Name, Picture: p, Nodes: []bundle.Node{}, Returns: bundle.ReturnsOf(out.Returns)})
		if err := w.Frame(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(bundle.Done, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// moved is the capsule of brightest with its boxes moved.
func moved(by float64) sdk.Capsule {
	c := brightest(sdk.GRAY8)
	open := c.Open
	c.Open = func(ctx context.Context, s sdk.Stream) (sdk.Processor, error) {
		p, err := open(ctx, s)
		return sdk.ProcessorFunc(func(ctx context.Context, f *sdk.Frame) error {
			if err := p.Process(ctx, f); err != nil {
				return err
			}
			o := f.Added()[0].Coords()
			for i := range o {
				o[i].X += by
			}
			return nil
		}), err
	}
	return c
}

func TestGolden(t *testing.T) {
	path := goldenBundle(t, brightest(sdk.GRAY8))
	sdktest.Golden(t, brightest(sdk.GRAY8), path)

	changed := golden(t, moved(0.25), path, diff.Tolerance{})
	if len(changed.errors) != 3 || !strings.Contains(changed.errors[1], "frame 2: spot at") || !strings.Contains(changed.errors[1], "moved by 0.2 px") {
		t.Errorf("boxes a quarter of a pixel away: it says %q", changed.errors)
	}
	if r := golden(t, moved(0.25), path, diff.Tolerance{Pixels: 0.5}); len(r.errors)+len(r.fatal) != 0 {
		t.Errorf("within the tolerance it says %q %s", r.errors, r.fatal)
	}
	other := brightest(sdk.GRAY8)
	other.Name = "detector_other"
	if r := golden(t, other, path, diff.Tolerance{}); !strings.Contains(r.fatal, "not in the recording") {
		t.Errorf("of another capsule it says %q", r.fatal)
	}
	if r := golden(t, other, path+"x", diff.Tolerance{}); !strings.Contains(r.fatal, "x.bundlex") {
		t.Errorf("without the file it says %q", r.fatal)
	}
}

// TestGoldenIsWritten makes the bundle anew from its own pictures.
func TestGoldenIsWritten(t *testing.T) {
	path := goldenBundle(t, brightest(sdk.GRAY8))
	t.Setenv(sdktest.GoldenEnv, "write")
	sdktest.Golden(t, moved(0.25), path)
	t.Setenv(sdktest.GoldenEnv, "")
	sdktest.Golden(t, moved(0.25), path)
	if r := golden(t, brightest(sdk.GRAY8), path, diff.Tolerance{}); len(r.errors) != 3 {
		t.Errorf("the old capsule now has %d changes, want 3: %q", len(r.errors), r.errors)
	}
	b, err := bundle.Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
	if f, err := b.Next(); err != nil || f.Caps.Width != 40 || f.PTS != 0 {
		t.Errorf("frame 1 is %+v, %v", f, err)
	}
}
