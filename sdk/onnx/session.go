package onnx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/onnx/files"
	ort "github.com/yalue/onnxruntime_go"
	"gorgonia.org/tensor"
)

var (
	libraryOnce sync.Mutex
	libraryPath string // of the library that is loaded; a process can load one
)

// openLibrary loads ONNX Runtime once a process and gives its path.
func openLibrary(given string) (string, error) {
	libraryOnce.Lock()
	defer libraryOnce.Unlock()
	if libraryPath != "" && given == "" {
		return libraryPath, nil
	}
	path, err := files.Runtime(given)
	if err != nil {
		return "", err
	}
	switch libraryPath {
	case path:
		return path, nil
	case "":
	default:
		return "", core.Faultf(core.Invalid, "onnxruntime", path, "this process has loaded %s already, and can have one library only", libraryPath)
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		f := core.Faultf(core.Unsupported, "onnxruntime", path, "it is not a library that can be used: %s", plain(err))
		f.Hint = "fetch the right one by: make onnxruntime"
		return "", f
	}
	_ = ort.DisableTelemetry() // there is none in Linux builds; it is refused where there is nothing to disable
	libraryPath = path
	return path, nil
}

// plain is an error of the runtime on one line.
func plain(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// session is a model in the runtime.
type session struct {
	inputs, outputs []Port
	mu              sync.RWMutex // held for reading by runs
	session         *ort.DynamicAdvancedSession
}

// openSession reads the file and gives the session and the provider that it really has.
func openSession(path string, cfg Config) (*session, string, error) {
	data, err := readModel(path)
	if err != nil {
		return nil, "", err
	}
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(data)
	if err != nil {
		return nil, "", broken(path, len(data), err)
	}
	s := &session{}
	if s.inputs, err = ports(inputs); err == nil {
		s.outputs, err = ports(outputs)
	}
	if err != nil {
		return nil, "", core.Faultf(core.Unsupported, "onnx", path, "%w", err)
	}
	options, provider, err := sessionOptions(path, cfg)
	if err != nil {
		return nil, "", err
	}
	defer options.Destroy()
	s.session, err = ort.NewDynamicAdvancedSessionWithONNXData(data, portNames(s.inputs), portNames(s.outputs), options)
	if err != nil {
		return nil, "", broken(path, len(data), err)
	}
	return s, provider, nil
}

// maxModel bounds a model file: ONNX itself ends at 2 GiB.
const maxModel = 2 << 30

func readModel(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		f := core.Faultf(core.NotFound, "onnx", path, "there is no such file")
		f.Hint = "capstan models list says where model files are looked for"
		return nil, f
	case !info.Mode().IsRegular():
		return nil, core.Faultf(core.Invalid, "onnx", path, "it is not a file")
	case info.Size() == 0 || info.Size() > maxModel:
		return nil, core.Faultf(core.Invalid, "onnx", path, "%d bytes are no model, want an ONNX file", info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, core.Faultf(core.Denied, "onnx", path, "%w", err)
	}
	if bytes.HasPrefix(data, []byte("version https://git-lfs")) {
		f := core.Faultf(core.Invalid, "onnx", path, "it is a Git LFS pointer, not the model itself")
		f.Hint = "fetch the content by: git lfs pull"
		return nil, f
	}
	return data, nil
}

func broken(path string, size int, err error) error {
	f := core.Faultf(core.Invalid, "onnx", path, "its %d bytes are not a whole ONNX model: %s", size, plain(err))
	f.Hint = "compare it with its SHA-256 by: capstan models verify"
	return f
}

func ports(infos []ort.InputOutputInfo) ([]Port, error) {
	list := make([]Port, 0, len(infos))
	for _, info := range infos {
		t, ok := types[info.DataType]
		if !ok || info.OrtValueType != ort.ONNXTypeTensor {
			return nil, fmt.Errorf("%q is a %v of %v, which cannot be used", info.Name, info.OrtValueType, info.DataType)
		}
		list = append(list, Port{Name: info.Name, Shape: ints(info.Dimensions), Type: t})
	}
	return list, nil
}

func portNames(list []Port) []string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Name
	}
	return names
}

func find(list []Port, name string) int {
	return slices.IndexFunc(list, func(p Port) bool { return p.Name == name })
}

// sessionOptions are threads and provider.
func sessionOptions(path string, cfg Config) (*ort.SessionOptions, string, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, "", core.Faultf(core.Internal, "onnx", path, "%s", plain(err))
	}
	err = errors.Join(o.SetIntraOpNumThreads(cfg.Threads), o.SetInterOpNumThreads(1),
		// Threads that spin while they wait take the CPU that the decoder needs.
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	)
	if err != nil {
		_ = o.Destroy()
		return nil, "", core.Faultf(core.Internal, "onnx", path, "%s", plain(err))
	}
	provider := cfg.Provider
	if err := appendProvider(o, provider); err != nil {
		if !cfg.AllowFallback || !slices.Contains(Providers, provider) {
			_ = o.Destroy()
			return nil, "", noProvider(path, provider, err)
		}
		cfg.Log.Warn("the provider is not there; the model runs on the CPU", "file", path, "asked", provider, "error", plain(err))
		provider = CPU
	}
	return o, provider, nil
}

func noProvider(path, provider string, err error) error {
	if !slices.Contains(Providers, provider) {
		return core.Faultf(core.Invalid, "onnx", path, "provider %q is not one of %s", provider, strings.Join(Providers, ", "))
	}
	f := core.Faultf(core.Unsupported, "onnx", path, "the library has no provider %s on this machine: %s", provider, plain(err))
	f.Hint = "name a library with it in " + files.LibraryEnv + ", use the provider cpu, or allow the fall-back"
	return f
}

func appendProvider(o *ort.SessionOptions, provider string) error {
	switch provider {
	case CPU:
		return nil
	case CUDA:
		c, err := ort.NewCUDAProviderOptions()
		if err != nil {
			return err
		}
		defer c.Destroy()
		return o.AppendExecutionProviderCUDA(c)
	case TensorRT:
		c, err := ort.NewTensorRTProviderOptions()
		if err != nil {
			return err
		}
		defer c.Destroy()
		return o.AppendExecutionProviderTensorRT(c)
	case OpenVINO:
		return o.AppendExecutionProviderOpenVINO(nil)
	default:
		return fmt.Errorf("unknown provider %q", provider)
	}
}

// takesBatches says whether the first axis of every input and output is free.
func (s *session) takesBatches() bool {
	free := func(p Port) bool { return len(p.Shape) > 0 && p.Shape[0] < 0 }
	for _, p := range s.inputs {
		if !free(p) {
			return false
		}
	}
	for _, p := range s.outputs {
		if len(p.Shape) == 0 {
			return false
		}
	}
	return len(s.inputs) > 0
}

// zeros gives inputs for the warm-up; nil when their shapes are not known.
func (s *session) zeros(cfg Config) ([]*tensor.Dense, error) {
	in := make([]*tensor.Dense, len(s.inputs))
	for i, p := range s.inputs {
		shape := slices.Clone(p.Shape)
		if i < len(cfg.Warm) {
			shape = slices.Clone(cfg.Warm[i])
		} else if len(shape) > 0 && shape[0] < 0 {
			shape[0] = 1
		}
		if len(shape) == 0 || slices.ContainsFunc(shape, func(n int) bool { return n <= 0 }) {
			return nil, nil
		}
		in[i] = tensor.New(tensor.WithShape(shape...), tensor.Of(p.Type))
	}
	return in, nil
}

// seen notes the shape of an output in the first run, where the file leaves it open.
func (s *session) seen(i int, shape tensor.Shape) {
	p := &s.outputs[i]
	if len(p.Shape) != len(shape) {
		p.Shape = slices.Clone(shape)
		return
	}
	for k, n := range shape {
		if p.Shape[k] < 0 && k > 0 {
			p.Shape[k] = n
		}
	}
}

// accepts refuses an input that the model cannot take.
func (s *session) accepts(path string, i int, d *tensor.Dense) error {
	p := s.inputs[i]
	if d == nil {
		return core.Faultf(core.Invalid, "onnx", path, "input %s is missing", p)
	}
	if size := d.Shape().TotalSize(); d.Dtype() != p.Type || !fits(p.Shape, d.Shape()) || size == 0 || size != d.DataSize() {
		return core.Faultf(core.Invalid, "onnx", path, "input %s was given a tensor of %v %v", p, d.Dtype(), d.Shape())
	}
	return nil
}

// fits says whether b can be had where a is wanted; an axis of -1 on either side fits any.
func fits(a, b []int) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] >= 0 && b[i] >= 0 && a[i] != b[i] {
			return false
		}
	}
	return true
}

// run calls the runtime, and ends the call when ctx ends.
func (s *session) run(ctx context.Context, in []*tensor.Dense) ([]*tensor.Dense, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.session == nil {
		return nil, core.Faultf(core.Closed, "onnx", "", "the model is closed")
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	values := make([]ort.Value, 0, len(in))
	defer func() { destroy(values) }()
	for _, d := range in {
		pins.Pin(first(d))
		v, err := value(d)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	options, stop, err := endsWith(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	out := make([]ort.Value, len(s.outputs))
	defer func() { destroy(out) }()
	if err := s.session.RunWithOptions(values, out, options); err != nil {
		return nil, errors.New(plain(err))
	}
	results := make([]*tensor.Dense, len(out))
	for i, v := range out {
		if results[i], err = dense(v); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// endsWith gives options whose run ends with ctx; none for a context that does not end. stop
// frees them, after the run.
func endsWith(ctx context.Context) (*ort.RunOptions, func(), error) {
	if ctx.Done() == nil {
		return nil, func() {}, nil
	}
	o, err := ort.NewRunOptions()
	if err != nil {
		return nil, nil, err
	}
	ended := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = o.Terminate()
	})
	return o, func() {
		if !cancel() {
			<-ended
		}
		_ = o.Destroy()
	}, nil
}

func destroy(values []ort.Value) {
	for _, v := range values {
		if v != nil {
			_ = v.Destroy()
		}
	}
}

// close waits for what runs and unloads the model.
func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		_ = s.session.Destroy()
		s.session = nil
	}
}

// match finds the places of the expected ports among the file's and refuses a model that has
// others.
func (m *Model) match(cfg Config) (err error) {
	if m.inputs, err = m.places("input", cfg.Inputs, m.session.inputs); err != nil {
		return err
	}
	m.outputs, err = m.places("output", cfg.Outputs, m.session.outputs)
	return err
}

func (m *Model) places(kind string, want, have []Port) ([]int, error) {
	places := make([]int, 0, len(have))
	if want == nil {
		for i := range have {
			places = append(places, i)
		}
		return places, nil
	}
	if kind == "input" && len(want) != len(have) {
		return nil, m.unexpected(kind, want, have)
	}
	for i, w := range want {
		at := i
		if w.Name != "" {
			at = find(have, w.Name)
		}
		if at < 0 || at >= len(have) || have[at].dtype() != w.dtype() || !fits(w.Shape, have[at].Shape) {
			return nil, m.unexpected(kind, want, have)
		}
		places = append(places, at)
	}
	return places, nil
}

func (m *Model) unexpected(kind string, want, have []Port) error {
	f := core.Faultf(core.Invalid, "onnx", m.path, "it is another model: its %ss are %v, expected %v", kind, have, want)
	f.Hint = "-1 is an axis of any size; name the right file in the option model"
	return f
}
