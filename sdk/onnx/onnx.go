// Package onnx runs the networks of capsules by ONNX Runtime, tensors in and tensors out:
//
//	m, err := onnx.Open("osnet.onnx", onnx.Config{Log: log})
//	if err != nil {
//		return err
//	}
//	defer m.Close()
//	out, err := m.Run(ctx, tensor.New(tensor.WithShape(1, 3, 256, 128), tensor.WithBacking(pixels)))
//
// A process loads a model once, however many streams open it. The library is loaded when the
// first model is opened; make onnxruntime fetches it.
package onnx

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/hashicorp/go-hclog"
	"gorgonia.org/tensor"
)

// The execution providers. Which of them a library has depends on how it was built.
const (
	CPU      = "cpu"
	CUDA     = "cuda"
	TensorRT = "tensorrt"
	OpenVINO = "openvino"
)

// Providers lists the execution providers that can be asked for.
var Providers = []string{CPU, CUDA, TensorRT, OpenVINO}

// DefaultBatch is the largest batch where Config names none.
const DefaultBatch = 16

// Config says how a model is run and what it must look like. The zero value runs any model on
// the CPU by one thread a run.
type Config struct {
	Library       string // of ONNX Runtime; "": searched, see package files
	Provider      string // one of Providers; "": CPU
	AllowFallback bool   // true: a provider that is not there is replaced by the CPU, with a warning
	Threads       int    // of one run; 0: 1. Runs of one model go side by side on the other CPUs
	MaxBatch      int    // inputs that Infer may run together; 0: DefaultBatch, 1: none

	// Inputs and Outputs are what the capsule expects, in the order in which it gives and
	// takes them; nil takes the file's, as they are.
	Inputs, Outputs []Port

	// Warm are the shapes of the inputs in the first run, at Open; nil: those of the file, with
	// 1 for a batch of any size. A model that has other axes of any size needs it.
	Warm [][]int

	Log hclog.Logger // nil: none
}

// Port is an input or output of a model.
type Port struct {
	Name  string // "": any name; the port of the same place
	Shape []int  // -1: of any size; nil: any shape
	Type  tensor.Dtype
}

// String reads like "images float32 [1 3 416 416]".
func (p Port) String() string {
	s := fmt.Sprint(p.dtype())
	if p.Name != "" {
		s = fmt.Sprintf("%q %s", p.Name, s)
	}
	if p.Shape != nil {
		s += fmt.Sprintf(" %v", p.Shape)
	}
	return s
}

func (p Port) dtype() tensor.Dtype {
	if p.Type.Type == nil {
		return tensor.Float32
	}
	return p.Type
}

// Model is an open model. Its methods may be called from several goroutines.
type Model struct {
	*shared
	inputs, outputs []int // places of the caller's ports among the file's
	closed          atomic.Bool
}

// shared is a model that is loaded; all Models of the same file and settings have the same.
type shared struct {
	path     string
	provider string // really used
	session  *session
	batchers []*batcher    // one for each run side by side; none: the model takes one at a time
	turn     atomic.Uint64 // counts inputs, to spread them over the batchers
	slots    chan struct{} // runs side by side
	service  atomic.Int64  // nanoseconds of a run, smoothed
	batched  atomic.Int64  // mean size of a batch, in 1/1000
	key      string
	users    int // under loading
}

type batcher = sdk.Batcher[[]*tensor.Dense, []*tensor.Dense]

var (
	loading sync.Mutex
	loaded  = map[string]*shared{}
)

// Open loads the model at path, unless this process has it already with the same settings, holds
// it against cfg and runs it once with zeros. The caller closes it. Faults name the file and what
// was expected.
func Open(path string, cfg Config) (*Model, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, core.Faultf(core.Invalid, "onnx", path, "%w", err)
	}
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	loading.Lock()
	defer loading.Unlock()
	key := fmt.Sprint(path, "\x00", cfg.Library, "\x00", cfg.Provider, cfg.AllowFallback, cfg.Threads, cfg.MaxBatch, cfg.Warm)
	s := loaded[key]
	if s == nil {
		if s, err = load(path, cfg); err != nil {
			return nil, err
		}
		s.key = key
	}
	m := &Model{shared: s}
	if err := m.match(cfg); err != nil {
		if s.users == 0 {
			s.release()
		}
		return nil, err
	}
	s.users++
	loaded[key] = s
	return m, nil
}

func (c *Config) complete() error {
	if c.Provider == "" {
		c.Provider = CPU
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Threads < 0 || c.MaxBatch < 0 {
		return core.Faultf(core.Invalid, "onnx", "", "threads %d or max_batch %d is below 0", c.Threads, c.MaxBatch)
	}
	if c.Threads == 0 {
		c.Threads = 1
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = DefaultBatch
	}
	return nil
}

func load(path string, cfg Config) (*shared, error) {
	library, err := openLibrary(cfg.Library)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	se, provider, err := openSession(path, cfg)
	if err != nil {
		return nil, err
	}
	s := &shared{path: path, provider: provider, session: se}
	s.slots = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/cfg.Threads))
	if err := s.warmUp(cfg); err != nil {
		se.close()
		return nil, err
	}
	if cfg.MaxBatch > 1 && se.takesBatches() {
		for range cap(s.slots) {
			b := sdk.NewBatcher(cfg.MaxBatch, s.runBatch)
			b.Gather(s.window)
			s.batchers = append(s.batchers, b)
		}
	}
	cfg.Log.Info("model loaded", "file", path, "provider", provider, "asked", cfg.Provider, "threads", cfg.Threads,
		"batches", len(s.batchers) > 0, "library", library, "took", time.Since(started).Round(time.Millisecond).String())
	return s, nil
}

// warmUp runs the model once with zeros: the first run allocates, and tells the true shapes of
// the outputs.
func (s *shared) warmUp(cfg Config) error {
	in, err := s.session.zeros(cfg)
	if err != nil || in == nil {
		return err
	}
	out, err := s.run(context.Background(), in)
	if err != nil {
		return err
	}
	for i, d := range out {
		s.session.seen(i, d.Shape())
	}
	return nil
}

// Path gives the file.
func (m *Model) Path() string { return m.path }

// Provider gives the execution provider that is really used.
func (m *Model) Provider() string { return m.provider }

// Batches says whether Infer runs several inputs together.
func (m *Model) Batches() bool { return len(m.batchers) > 0 }

// Input gives the i-th input, as the file has it; -1 stands for an axis of any size.
func (m *Model) Input(i int) Port { return m.session.inputs[m.inputs[i]] }

// Output gives the i-th output, with the sizes that it had in the first run where the file says
// none.
func (m *Model) Output(i int) Port { return m.session.outputs[m.outputs[i]] }

// Service gives the smoothed time of a run; 0 before the first.
func (m *Model) Service() time.Duration { return time.Duration(m.service.Load()) }

// Close gives the model back; the last to do so unloads it, when what runs has ended. It is
// safe to call twice.
func (m *Model) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	loading.Lock()
	defer loading.Unlock()
	if m.users--; m.users == 0 {
		m.release()
	}
	return nil
}

// release unloads the model; loading is locked.
func (s *shared) release() {
	delete(loaded, s.key)
	for _, b := range s.batchers {
		_ = b.Close()
	}
	s.session.close()
}
