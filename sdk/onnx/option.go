package onnx

import (
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/onnx/files"
)

// Options are the options that every capsule with a network has, after its own ones.
func Options(own ...sdk.Option) []sdk.Option {
	return append(own,
		sdk.Text("model", "", "Path of the model file; empty: the capsule's own, from CAPSTAN_MODELS, beside the program or the cache."),
		sdk.Text("onnxruntime", "", "Path of the ONNX Runtime library or its folder; empty: CAPSTAN_ONNXRUNTIME, beside the program, the cache or the system's."),
		sdk.Enum("provider", CPU, Providers, "What runs the network."),
		sdk.Bool("allow_fallback", false, "Run on the CPU where the provider is not there, instead of refusing to open."),
		sdk.Int("threads", 1, "CPU threads of one run; runs go side by side on the other CPUs.", sdk.Between(1, 64)),
	)
}

// BatchOptions is Options for a model that takes batches.
func BatchOptions(own ...sdk.Option) []sdk.Option {
	return append(Options(own...), sdk.Int("max_batch", DefaultBatch, "Most inputs that run together; 1: each by itself.", sdk.Between(1, 256)))
}

// FromOptions opens the model of a capsule as its Options say: the file of the option model, or
// else that of m. What cfg leaves open for options is taken from them.
func FromOptions(s sdk.Stream, m core.Model, cfg Config) (*Model, error) {
	path, err := files.Model(m.File, s.Options.Text("model"))
	if err != nil {
		return nil, err
	}
	cfg.Library = s.Options.Text("onnxruntime")
	cfg.Provider = s.Options.Text("provider")
	cfg.AllowFallback = s.Options.Bool("allow_fallback")
	cfg.Threads = s.Options.Int("threads")
	cfg.MaxBatch = s.Options.Int("max_batch")
	cfg.Log = s.Log
	return Open(path, cfg)
}

// Resources are those of a capsule with Options: the files that model and onnxruntime name, and
// the devices of the providers.
var Resources = sdk.Resources{
	Files:   []sdk.FileNeed{{Path: "${model}"}, {Path: "${onnxruntime}"}},
	Devices: []string{"/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/dri/*", "/dev/accel/*"},
}
