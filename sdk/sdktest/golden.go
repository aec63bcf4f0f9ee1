package sdktest

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/bundle"
	"github.com/capstan-video/capstan/sdk/bundle/diff"
	"github.com/hashicorp/go-hclog"
)

// GoldenEnv has Golden write what the capsule answers now into the bundle, when it is "write",
// in place of comparing.
const GoldenEnv = "CAPSTAN_GOLDEN"

// Golden gives the capsule the pictures, nodes and times of a bundle and fails the test for
// everything that it answers otherwise than in the recording. Such a bundle is made by
//
//	capstan record VIDEO -o testdata/NAME.bundle --for CAPSULE --every 10
//
// and, where the new answers are the right ones, made anew from its own pictures by running the
// test with CAPSTAN_GOLDEN=write.
func Golden(t testing.TB, c sdk.Capsule, path string) {
	t.Helper()
	GoldenWith(t, c, path, diff.Tolerance{}, nil)
}

// GoldenWith is Golden with a tolerance, and with options over those of the recording: secrets
// are not in a bundle.
func GoldenWith(t testing.TB, c sdk.Capsule, path string, tolerance diff.Tolerance, options map[string]any) {
	t.Helper()
	g, err := openGolden(t, c, path, options)
	if err != nil {
		t.Fatalf("golden %s: %v", path, err)
	}
	defer g.close()
	if os.Getenv(GoldenEnv) == "write" {
		if err := g.write(); err != nil {
			t.Fatalf("golden %s: %v", path, err)
		}
		t.Logf("%s was written with %d frames", path, g.frames)
		return
	}
	changes, err := g.compare(tolerance)
	if err != nil {
		t.Fatalf("golden %s: %v", path, err)
	}
	if g.frames == 0 {
		t.Fatalf("golden %s: it has no call of %s", path, c.Name)
	}
	for i, change := range changes {
		if i == 20 {
			t.Errorf("and %d more changes", len(changes)-i)
			break
		}
		t.Errorf("frame %d: %s", change.Seq, change)
	}
	if len(changes) > 0 {
		t.Logf("if this is as it should be: %s=write go test", GoldenEnv)
	}
}

// golden is a capsule at work on a bundle.
type golden struct {
	reader *bundle.Reader
	rt     *sdk.Runtime
	decl   core.Declaration
	frames int
}

func openGolden(t testing.TB, c sdk.Capsule, path string, options map[string]any) (*golden, error) {
	b, err := bundle.Open(path, false)
	if err != nil {
		return nil, err
	}
	was, ok := b.Header.Capsule(c.Name)
	if !ok {
		_ = b.Close()
		f := core.Faultf(core.NotFound, "capsule "+c.Name, "", "it is not in the recording")
		f.Hint = "capstan record VIDEO -o " + path + " --for " + c.Name
		return nil, f
	}
	log := hclog.New(&hclog.LoggerOptions{Name: c.Name, Level: hclog.Debug, Output: testWriter{t}, DisableTime: true})
	rt, err := sdk.NewRuntime(c, log)
	if err != nil {
		_ = b.Close()
		return nil, err
	}
	g := &golden{reader: b, rt: rt, decl: c.Declaration()}
	use, err := was.Values()
	for name := range use {
		if _, ok := g.decl.Option(name); !ok {
			t.Logf("%s has no option %s any more", c.Name, name)
			delete(use, name)
		}
	}
	for name, v := range options {
		use[name] = v
	}
	if err == nil {
		err = rt.OpenStream(context.Background(), b.Header.Stream, use)
	}
	if err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *golden) close() {
	g.rt.Close()
	_ = g.reader.Close()
}

// each gives every recorded call to the capsule.
func (g *golden) each(do func(f *bundle.Frame, was *bundle.Call, req sdk.Request, res sdk.Result) error) error {
	for {
		f, err := g.reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		was := f.Call(g.decl.Name)
		if was == nil {
			continue
		}
		g.frames++
		req := sdk.Request{Stream: g.reader.Header.Stream, Frame: f.Info(g.reader.Header.Stream), Nodes: bundle.CoreNodes(was.Nodes)}
		if len(g.decl.Formats) > 0 {
			if was.Picture == nil {
				fault := core.Faultf(core.Invalid, "frame", "", "%d has no picture for %s", f.Seq, g.decl.Name)
				fault.Hint = "record with --for " + g.decl.Name
				return fault
			}
			if req.Layout, req.Memory, err = g.reader.Pixels(was.Picture); err != nil {
				return err
			}
		}
		if err := do(f, was, req, g.rt.Process(context.Background(), req)); err != nil {
			return err
		}
	}
}

func (g *golden) compare(tolerance diff.Tolerance) ([]diff.Change, error) {
	c := &diff.Comparer{Tolerance: tolerance}
	var changes []diff.Change
	err := g.each(func(f *bundle.Frame, was *bundle.Call, _ sdk.Request, res sdk.Result) error {
		before := diff.Answer{Returns: bundle.CoreReturns(was.Returns)}
		if was.Error != nil {
			before.Err = errors.New(was.Error.Text)
		}
		changes = append(changes, c.Returns("", f.Seq, core.PTS(f.PTS), bundle.CoreNodes(was.Nodes), before, diff.Answer{Returns: res.Returns, Err: res.Err})...)
		return nil
	})
	return changes, err
}

// write makes the bundle anew with the capsule's present answers.
func (g *golden) write() error {
	h := g.reader.Header
	was, _ := h.Capsule(g.decl.Name)
	used, err := was.Values()
	if err != nil {
		return err
	}
	for name := range used {
		if _, ok := g.decl.Option(name); !ok {
			delete(used, name)
		}
	}
	values, err := g.decl.Complete(used)
	if err != nil {
		return err
	}
	now, err := bundle.CapsuleOf(g.decl, values)
	if err != nil {
		return err
	}
	now.Pictures, now.EveryN, now.Gate = was.Pictures, was.EveryN, was.Gate
	h.Capsules, h.Media, h.Clip = []bundle.Capsule{now}, bundle.MediaNone, nil
	w, err := bundle.Create(context.Background(), g.reader.Path(), h, "", 0)
	if err != nil {
		return err
	}
	defer w.Abort()
	err = g.each(func(f *bundle.Frame, was *bundle.Call, req sdk.Request, res sdk.Result) error {
		out := bundle.FrameOf(f.Info(""))
		call := bundle.Call{Capsule: was.Capsule, Nodes: was.Nodes, Returns: bundle.ReturnsOf(res.Returns), Error: bundle.ErrorOf(res.Err)}
		if req.Memory != nil {
			if call.Picture, err = w.Picture(was.Picture.File, req.Layout, req.Memory); err != nil {
				return err
			}
		}
		out.Calls = append(out.Calls, call)
		return w.Frame(out)
	})
	if err != nil {
		return err
	}
	return w.Close(bundle.Done, nil)
}
