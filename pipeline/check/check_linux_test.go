package check_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/check"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/conform"
)

// actEnv has this binary be a capsule; lockEnv names a file that some of them make.
const (
	actEnv  = "CAPSTAN_CHECK_ACT"
	lockEnv = "CAPSTAN_CHECK_LOCK"
)

func TestMain(m *testing.M) {
	if act := os.Getenv(actEnv); act != "" {
		sdk.Serve(capsuleOf(act))
	}
	os.Exit(m.Run())
}

// held is what leaking capsules keep.
var held struct {
	bytes [][]byte
	files []*os.File
}

// capsuleOf makes the capsule of a role. It finds a spot on each frame.
func capsuleOf(act string) sdk.Capsule {
	lock := os.Getenv(lockEnv)
	c := sdk.Capsule{Name: "test_check", Version: "1", Gives: sdk.Finds("spot"), Formats: []sdk.PixelFormat{sdk.GRAY8}, Options: []sdk.Option{sdk.Float("score", 0.5, "", sdk.Between(0, 1))}}
	// What only the host and people have to know does not cross the process line.
	c.OnDemand, c.Resources = true, sdk.Resources{Memory: 1 << 30}
	c.Models = []sdk.Model{{File: "x.onnx", URL: "https://example.org/x.onnx", SHA256: strings.Repeat("0", 64), Licence: "MIT", Source: "nobody"}}
	if act == "other" {
		c.Options = nil
	}
	if act == "lock" {
		if f, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "another one is running:", err)
			os.Exit(3)
		} else {
			_ = f.Close()
		}
	}
	c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) {
		switch act {
		case "memory":
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i)
			}
			held.bytes = append(held.bytes, b)
		case "files":
			if f, err := os.Open(os.DevNull); err == nil {
				held.files = append(held.files, f)
			}
		}
		return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
			f.Add("spot", sdk.Rect(0, 0, 1, 1))
			switch {
			case act == "writes":
				f.Memory()[0] = 1
			case act == "exits" && f.Width() == 1:
				fmt.Fprintln(os.Stderr, "one pixel is not enough")
				os.Exit(4)
			}
			return nil
		}), nil
	}
	return c
}

func home(t *testing.T, act string, opens int) conform.Home {
	t.Helper()
	h := host.New(host.Config{Restart: host.Restart{First: time.Millisecond, Most: 10 * time.Millisecond}})
	t.Cleanup(func() { _ = h.Close() })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return check.Home(h, host.Spec{
		Declaration: capsuleOf("good").Declaration(), Path: exe, Env: []string{actEnv + "=" + act, lockEnv + "=" + filepath.Join(t.TempDir(), "lock")},
	}, opens)
}

func run(t *testing.T, act string, opens int, only ...string) *conform.Report {
	t.Helper()
	r, err := conform.Suite{Only: only, Limit: 10 * time.Second, Budget: 5 * time.Second}.Run(t.Context(), home(t, act, opens))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGoodProcess passes every case, those among them that need a process.
func TestGoodProcess(t *testing.T) {
	t.Parallel()
	r := run(t, "good", 25)
	ran := map[string]bool{}
	for _, c := range r.Cases {
		ran[c.Name] = c.Verdict == conform.Passed
		if c.Verdict == conform.Failed {
			t.Errorf("%s: %v", c.Name, c.Findings)
		}
	}
	for _, name := range []string{"manifest", "refusals", "deadline", "kill", "reopen", "close", "streams", "classes"} {
		if !ran[name] {
			t.Errorf("case %s did not pass", name)
		}
	}
}

// TestBrokenProcesses has for each thing that only a process can do wrong one that does it.
func TestBrokenProcesses(t *testing.T) {
	t.Parallel()
	tests := []struct{ act, in, says string }{
		{"other", "manifest", "by the program"},
		{"writes", "formats", "mapped read-only"},
		{"exits", "sizes", "one pixel is not enough"},
		{"memory", "reopen", "memory grows"},
		{"files", "reopen", "open descriptors grow"},
		{"lock", "kill", "another one is running"},
	}
	for _, tt := range tests {
		t.Run(tt.act, func(t *testing.T) {
			t.Parallel()
			r := run(t, tt.act, 50, tt.in)
			c, ok := r.Case(tt.in)
			text := fmt.Sprint(c.Findings)
			if !ok || c.Verdict != conform.Failed || !strings.Contains(text, tt.says) {
				t.Errorf("%s %s: %s; want %q", tt.in, c.Verdict, text, tt.says)
			}
		})
	}
}

// TestMeasure counts the calls of a capsule and sees its memory.
func TestMeasure(t *testing.T) {
	t.Parallel()
	d := capsuleOf("good").Declaration()
	c := &pipelinetest.Capsule{Decl: d, ProcessFunc: pipelinetest.Finding(func(uint64) []*core.Node { return []*core.Node{{Class: "spot"}} })}
	m, err := check.Measure(t.Context(), c, check.Load{
		Media: pipelinetest.Playing(pipelinetest.Script{Frames: 7}), Values: c.Values(), Time: 20 * time.Millisecond, Window: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	calls := c.Calls()
	if m.Calls != uint64(len(calls)) || m.Calls < 20 || m.Found != m.Calls || m.Failed != 0 || m.Rate <= 0 || m.Window != 4 || m.Total.Count() == 0 {
		t.Errorf("%+v of %d calls", m, len(calls))
	}
	seen := map[uint64]bool{}
	for _, c := range calls {
		if seen[c.Frame.Seq] || c.Frame.Stream != "bench" || c.View.Arena == nil {
			t.Fatalf("call %+v", c.Frame)
		}
		seen[c.Frame.Seq] = true
	}
	if c.OpenStreams() != 0 {
		t.Error("the stream is left open")
	}
}

// TestMeasureProcess measures a real process.
func TestMeasureProcess(t *testing.T) {
	t.Parallel()
	h := host.New(host.Config{})
	defer h.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.Launch(t.Context(), host.Spec{Path: exe, Env: []string{actEnv + "=good"}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := check.Measure(t.Context(), c, check.Load{
		Media: pipelinetest.Playing(pipelinetest.Script{Frames: 3}), Source: pipeline.Source{Stream: "x"}, Values: c.Values(), Time: 50 * time.Millisecond, Window: 2,
	})
	if err != nil || m.Start.Memory < 1<<20 || m.Peak < m.Start.Memory/2 || m.Start.Threads < 2 || m.Start.Files < 3 || m.Calls == 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestMeasureWithoutFrames ends with a sentence.
func TestMeasureWithoutFrames(t *testing.T) {
	t.Parallel()
	c := &pipelinetest.Capsule{Decl: capsuleOf("good").Declaration()}
	_, err := check.Measure(t.Context(), c, check.Load{Media: pipelinetest.Playing(pipelinetest.Script{}), Values: c.Values(), Time: time.Millisecond})
	if core.KindOf(err) != core.SourceBroken {
		t.Errorf("%v", err)
	}
}
