package onnx_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/onnx"
	"github.com/capstan-video/capstan/sdk/onnx/files"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/hashicorp/go-hclog"
	"gorgonia.org/tensor"
)

func open(t testing.TB, path string, cfg onnx.Config) *onnx.Model {
	t.Helper()
	m, err := onnx.Open(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func random(seed uint64, shape ...int) *tensor.Dense {
	r := rand.New(rand.NewPCG(seed, 1))
	d := make([]float32, tensor.Shape(shape).TotalSize())
	for i := range d {
		d[i] = r.Float32()
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(d))
}

func floats(d *tensor.Dense) []float32 { return d.Data().([]float32) }

func farthest(a, b []float32) float64 {
	far := 0.0
	for i := range a {
		far = math.Max(far, math.Abs(float64(a[i]-b[i])))
	}
	return far
}

func TestRunIsTheSameInEveryForm(t *testing.T) {
	path := onnxtest.Model(t, "person_reid", "osnet_x0_25_msmt17.onnx")
	m := open(t, path, onnx.Config{})
	if in, out := m.Input(0).String(), m.Output(0).String(); in != `"input" float32 [-1 3 256 128]` || out != `"output" float32 [-1 512]` {
		t.Errorf("ports: %s, %s", in, out)
	}
	in := random(1, 1, 3, 256, 128)
	before := append([]float32(nil), floats(in)...)
	one, err := m.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	named, err := m.RunNamed(t.Context(), map[string]*tensor.Dense{"input": in})
	if err != nil {
		t.Fatal(err)
	}
	alone, err := m.Infer(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(one) != 1 || len(floats(one[0])) != 512 || farthest(floats(one[0]), make([]float32, 512)) < 0.1 {
		t.Fatalf("output %v", one)
	}
	if farthest(floats(one[0]), floats(named["output"])) != 0 || farthest(floats(one[0]), floats(alone[0])) != 0 {
		t.Error("Run, RunNamed and Infer differ")
	}
	if farthest(before, floats(in)) != 0 {
		t.Error("the input was changed")
	}
}

func TestBatchesGiveWhatSinglesGive(t *testing.T) {
	path := onnxtest.Model(t, "person_reid", "osnet_x0_25_msmt17.onnx")
	single, together := open(t, path, onnx.Config{MaxBatch: 1}), open(t, path, onnx.Config{MaxBatch: 8})
	if single.Batches() || !together.Batches() {
		t.Fatalf("batches: %v, %v", single.Batches(), together.Batches())
	}
	const n = 24
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			in := random(uint64(i), 1, 3, 256, 128)
			want, err := single.Infer(t.Context(), in)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := together.Infer(t.Context(), in)
			if err != nil {
				t.Error(err)
				return
			}
			if far := farthest(floats(got[0]), floats(want[0])); far > 1e-3 {
				t.Errorf("input %d: outputs are %v apart", i, far)
			}
		})
	}
	wait.Wait()
}

func TestOneModelForAll(t *testing.T) {
	path := onnxtest.Model(t, "face_attributes", "ssrnet.onnx")
	var log strings.Builder
	cfg := onnx.Config{Log: hclog.New(&hclog.LoggerOptions{Output: &log})}
	a := open(t, path, cfg)
	b := open(t, path, cfg)
	if n := strings.Count(log.String(), "model loaded"); n != 1 {
		t.Errorf("loaded %d times:\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), "provider=cpu") {
		t.Errorf("the log does not say what runs it: %s", log.String())
	}
	_ = a.Close()
	_ = a.Close()
	if _, err := b.Run(t.Context(), random(1, 1, 3, 64, 64)); err != nil {
		t.Errorf("after the other was closed twice: %v", err)
	}
	_ = b.Close()
	if _, err := b.Run(t.Context(), random(1, 1, 3, 64, 64)); !errors.Is(err, &core.Fault{Kind: core.Closed}) && core.KindOf(err) != core.CapsuleFailed {
		t.Errorf("after Close: %v", err)
	}
}

func TestRefused(t *testing.T) {
	path := onnxtest.Model(t, "object_detection", "yolox_nano_416x416.onnx")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	flipped := append([]byte(nil), data...)
	for i := 1000; i < len(flipped); i += 5000 {
		flipped[i] ^= 0xff
	}
	want := func(p ...onnx.Port) []onnx.Port { return p }
	for name, c := range map[string]struct {
		path string
		cfg  onnx.Config
		want []string
	}{
		"no file":        {filepath.Join(dir, "none.onnx"), onnx.Config{}, []string{"none.onnx", "no such file", "capstan models list"}},
		"a folder":       {dir, onnx.Config{}, []string{"not a file"}},
		"empty":          {file("empty.onnx", nil), onnx.Config{}, []string{"empty.onnx", "0 bytes"}},
		"truncated":      {file("half.onnx", data[:len(data)/2]), onnx.Config{}, []string{"half.onnx", "not a whole ONNX model", "capstan models verify"}},
		"cut at the end": {file("cut.onnx", data[:len(data)-1]), onnx.Config{}, []string{"cut.onnx", "not a whole ONNX model"}},
		"not ONNX":       {file("text.onnx", []byte("hello, this is no model")), onnx.Config{}, []string{"text.onnx", "not a whole ONNX model"}},
		"LFS pointer":    {file("lfs.onnx", []byte("version https://git-lfs.github.com/spec/v1\n")), onnx.Config{}, []string{"Git LFS pointer"}},
		"other input":    {path, onnx.Config{Inputs: want(onnx.Port{Shape: []int{1, 3, 112, 112}})}, []string{"yolox_nano", "[1 3 416 416]", "[1 3 112 112]"}},
		"two inputs":     {path, onnx.Config{Inputs: want(onnx.Port{}, onnx.Port{})}, []string{"it is another model"}},
		"other output":   {path, onnx.Config{Outputs: want(onnx.Port{Shape: []int{1, 128}})}, []string{"its outputs are", "[1 128]", "85"}},
		"output's name":  {path, onnx.Config{Outputs: want(onnx.Port{Name: "cls_8"})}, []string{`"cls_8"`, `"output"`}},
		"other type":     {path, onnx.Config{Inputs: want(onnx.Port{Type: tensor.Uint8})}, []string{"uint8"}},
		"no CUDA":        {path, onnx.Config{Provider: onnx.CUDA}, []string{"no provider cuda", "allow the fall-back"}},
		"no OpenVINO":    {path, onnx.Config{Provider: onnx.OpenVINO}, []string{"no provider openvino"}},
		"no TensorRT":    {path, onnx.Config{Provider: onnx.TensorRT}, []string{"no provider tensorrt"}},
		"other provider": {path, onnx.Config{Provider: "tpu", AllowFallback: true}, []string{`"tpu"`, "cpu, cuda"}},
		"other library":  {path, onnx.Config{Library: file("libonnxruntime.so", []byte("x"))}, []string{"libonnxruntime.so"}},
		"threads":        {path, onnx.Config{Threads: -1}, []string{"threads -1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "other library" {
				open(t, path, onnx.Config{}) // a process can have one library only
			}
			m, err := onnx.Open(c.path, c.cfg)
			if err == nil {
				_ = m.Close()
				t.Fatal("it was opened")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in: %v", w, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %v", err)
			}
			if core.KindOf(err) == core.Unknown {
				t.Errorf("no fault: %v", err)
			}
		})
	}
	t.Run("damaged", func(t *testing.T) { // it may load or not, but never crash
		if m, err := onnx.Open(file("flipped.onnx", flipped), onnx.Config{}); err == nil {
			_ = m.Close()
		}
	})
}

func TestFallbackIsSaid(t *testing.T) {
	path := onnxtest.Model(t, "face_attributes", "ssrnet.onnx")
	var log strings.Builder
	m := open(t, path, onnx.Config{Provider: onnx.CUDA, AllowFallback: true, Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	if m.Provider() != onnx.CPU || !strings.Contains(log.String(), "[WARN]") || !strings.Contains(log.String(), "asked=cuda") {
		t.Errorf("provider %s, log:\n%s", m.Provider(), log.String())
	}
}

func TestInputsAreChecked(t *testing.T) {
	m := open(t, onnxtest.Model(t, "face_attributes", "ssrnet.onnx"), onnx.Config{})
	view, err := random(1, 1, 3, 64, 128).Slice(nil, nil, nil, tensor.S(0, 64))
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string][]*tensor.Dense{
		"none":  {},
		"two":   {random(1, 1, 3, 64, 64), random(1, 1, 3, 64, 64)},
		"nil":   {nil},
		"shape": {random(1, 1, 3, 64, 65)},
		"rank":  {random(1, 3, 64, 64)},
		"type":  {tensor.New(tensor.WithShape(1, 3, 64, 64), tensor.Of(tensor.Float64))},
		"view":  {view.(*tensor.Dense)},
	} {
		if _, err := m.Run(t.Context(), in...); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.RunNamed(t.Context(), map[string]*tensor.Dense{"x": random(1, 1, 3, 64, 64)}); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("name: %v", err)
	}
	if _, err := m.RunNamed(t.Context(), nil); core.KindOf(err) != core.Invalid {
		t.Errorf("missing: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	m := open(t, onnxtest.Model(t, "license_plate", "mnet_plate.onnx"), onnx.Config{Warm: [][]int{{1, 3, 640, 640}}})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := m.Run(ctx, random(1, 1, 3, 640, 640)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := m.Run(t.Context(), random(1, 1, 3, 640, 640)); err != nil {
		t.Errorf("the next run: %v", err)
	}
}

func TestMissingLibrary(t *testing.T) {
	t.Setenv(files.LibraryEnv, filepath.Join(t.TempDir(), "gone.so"))
	_, err := files.Runtime("")
	if core.KindOf(err) != core.NotFound {
		t.Errorf("got %v", err)
	}
}

func BenchmarkBatch(b *testing.B) {
	m := open(b, onnxtest.Model(b, "person_reid", "osnet_x0_25_msmt17.onnx"), onnx.Config{})
	for _, n := range []int{1, 4, 16} {
		in := random(1, n, 3, 256, 128)
		b.Run(map[int]string{1: "1", 4: "4", 16: "16"}[n], func(b *testing.B) {
			for b.Loop() {
				if _, err := m.Run(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n)/1000, "ms/input")
		})
	}
}
