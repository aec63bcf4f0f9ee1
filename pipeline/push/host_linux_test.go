package push

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/hashicorp/go-hclog"
)

// spot is a dark picture of a format with one bright square of 32 pixels a side, the n-th of them.
func spot(f core.PixelFormat, w, h, n int) (Frame, core.Box) {
	x, y := n%(w/32)*32, n/(w/32)%(h/32)*32
	fr := Frame{Format: f, Width: w, Height: h}
	for i := range f.Planes() {
		row, rows := f.PlaneSize(i, w, h)
		pix := make([]byte, row*rows)
		step := row / w
		for k := range pix {
			switch at := k % row; {
			case i > 0:
				pix[k] = 128
			case step > 0 && at/step >= x && at/step < x+32 && k/row >= y && k/row < y+32:
				pix[k] = 220
			default:
				pix[k] = 30
			}
		}
		fr.Planes = append(fr.Planes, pix)
	}
	return fr, core.Box{X1: float64(x), Y1: float64(y), X2: float64(x + 32), Y2: float64(y + 32)}
}

// hello launches the capsule of examples/capsule-hello.
func hello(t *testing.T) *host.Capsule {
	t.Helper()
	program := filepath.Join(t.TempDir(), "capsule-hello")
	if out, err := exec.Command("go", "build", "-o", program, "../../examples/capsule-hello").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := exec.Command(program, "manifest").Output()
	if err != nil {
		t.Fatal(err)
	}
	decl, err := manifest.Decode("capsule.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	h := host.New(host.Config{Log: hclog.NewNullLogger()})
	t.Cleanup(func() { h.Close() })
	c, err := h.Launch(t.Context(), host.Spec{Declaration: decl, Path: program})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCapsuleSeesWhatIsPushed changes size and format in mid-stream, again and again, with a
// capsule in a process of its own: it finds every square, and keeps no arena that is gone.
func TestCapsuleSeesWhatIsPushed(t *testing.T) {
	t.Parallel()
	c := hello(t)
	m, f := newTestFeed(t, Config{Queue: 3})
	e := pipeline.New(m, hclog.NewNullLogger())
	defer e.Close()
	if err := e.Add(c); err != nil {
		t.Fatal(err)
	}
	const frames, each = 240, 6
	want := make(chan core.Box, frames)
	go func() {
		defer f.End()
		for i := range frames {
			n := i / each
			fr, box := spot(core.PixelFormats[n%5], 160+n%7*32, 96+n%3*64, i)
			want <- box
			if err := f.Push(t.Context(), fr); err != nil {
				t.Error(err)
			}
		}
	}()
	s, err := e.Open(t.Context(), pipeline.Job{Source: f.Source()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	most := 0
	for i := 0; ; i++ {
		r, err := s.Next(t.Context())
		if err == io.EOF && i == frames {
			break
		}
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if box := <-want; len(r.Nodes) != 1 || r.Nodes[0].Coords.Box() != box {
			t.Errorf("frame %d of %v: found %+v, want %v", i, r.Frame.Caps, r.Nodes, box)
		}
		r.Release()
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", c.Stats().PID))
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, strings.Count(string(maps), "capstan-arena"))
	}
	if st := c.Stats(); st.Restarts != 0 || most == 0 || most > 12 {
		t.Errorf("the capsule had up to %d arenas of %d sizes; %+v", most, frames/each, st)
	}
}
