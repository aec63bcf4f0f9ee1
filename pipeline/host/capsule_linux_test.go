package host

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/wire/shm"
	"github.com/hashicorp/go-hclog"
)

// actEnv makes this test binary a capsule (or something that only looks like one).
const actEnv = "CAPSTAN_TEST_ACT"

func TestMain(m *testing.M) {
	if act := os.Getenv(actEnv); act != "" {
		perform(act)
		return
	}
	os.Exit(m.Run())
}

// launchAct launches the test binary in a role.
func launchAct(t testing.TB, cfg Config, act string, change ...func(*Spec)) (*Host, *Capsule) {
	t.Helper()
	h := newTestHost(t, cfg)
	c, err := h.Launch(t.Context(), actSpec(act, change...))
	if err != nil {
		t.Fatalf("launch %s: %v", act, err)
	}
	return h, c
}

func newTestHost(t testing.TB, cfg Config) *Host {
	if cfg.Log == nil {
		level := hclog.Warn
		if testing.Verbose() {
			level = hclog.Debug
		}
		cfg.Log = hclog.New(&hclog.LoggerOptions{Level: level, Output: &strings.Builder{}})
	}
	h := New(cfg)
	t.Cleanup(func() { h.Close() })
	return h
}

func actSpec(act string, change ...func(*Spec)) Spec {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	s := Spec{Path: self, Env: []string{actEnv + "=" + act}}
	for _, f := range change {
		f(&s)
	}
	return s
}

// openTest opens stream "s" with the capsule's own options.
func openTest(t testing.TB, c *Capsule) {
	t.Helper()
	if err := c.OpenStream(t.Context(), "s", c.Values()); err != nil {
		t.Fatalf("open stream: %v", err)
	}
}

// gray makes an arena with a GRAY8 picture of noise in it.
func gray(t testing.TB, w, h int) shm.View {
	t.Helper()
	stride := w + 13
	a, err := shm.Create(int64(stride*h) + 4096)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	for i := range a.Bytes() {
		a.Bytes()[i] = byte(i * i >> 3)
	}
	return shm.View{Arena: a, Layout: core.Layout{
		Format: core.GRAY8, Width: w, Height: h, Planes: []core.Plane{{Offset: 4096, Stride: stride}}, Matrix: core.BT709,
	}}
}

func frame(seq uint64) core.Frame {
	return core.Frame{Stream: "s", Seq: seq, PTS: core.PTS(seq * 40e6), Captured: time.Unix(1700000000, 5).UTC(), Caps: core.Caps{Width: 640, Height: 360, RateN: 25, RateD: 1}}
}

// sum is what the capsule "sum" says of a picture: size, range and a checksum of its rows.
func sum(l core.Layout, mem []byte) string {
	crc := crc32.NewIEEE()
	for i, p := range l.Planes {
		row, rows := l.Format.PlaneSize(i, l.Width, l.Height)
		for y := range rows {
			crc.Write(mem[p.Offset+int64(y*p.Stride):][:row])
		}
	}
	return fmt.Sprintf("%s %dx%d %s %v %08x", l.Format, l.Width, l.Height, l.Matrix, l.FullRange, crc.Sum32())
}

func text(t testing.TB, n *core.Node, key string) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(n.ExtraData[key], &s); err != nil {
		t.Fatalf("extra data %s: %v (%s)", key, err, n.ExtraData[key])
	}
	return s
}

func TestProcessGivesWhatTheCapsuleSaw(t *testing.T) {
	for _, copying := range []bool{false, true} {
		t.Run(fmt.Sprintf("copy=%v", copying), func(t *testing.T) {
			_, c := launchAct(t, Config{Copy: copying}, "sum")
			openTest(t, c)
			view := gray(t, 320, 180)
			want := sum(view.Layout, view.Arena.Bytes())
			for seq := uint64(1); seq <= 20; seq++ {
				a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(seq), View: view})
				if err != nil {
					t.Fatal(err)
				}
				if len(a.Returns) != 1 || a.Returns[0].Kind != core.ReturnList || len(a.Returns[0].Added) != 1 {
					t.Fatalf("returns %+v", a.Returns)
				}
				n := a.Returns[0].Added[0]
				if got := text(t, n, "sum"); got != want {
					t.Fatalf("the capsule saw %s, want %s", got, want)
				}
				if got := text(t, n, "frame"); got != fmt.Sprintf("s %d %d 2023-11-14T22:13:20.000000005Z 640x360 @ 25 fps", seq, seq*40e6) {
					t.Fatalf("the capsule saw the frame %s", got)
				}
				if box := n.Coords.Box(); box != (core.Box{X1: 0, Y1: 0, X2: 640, Y2: 360}) {
					t.Fatalf("the whole picture came back as %v", box)
				}
			}
			if n := c.Counters(); n.Calls != 20 || (n.BytesCopied > 0) != copying {
				t.Errorf("counters %+v", n)
			}
		})
	}
}
