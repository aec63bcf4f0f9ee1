package conform

import (
	"context"
	"os"
	"runtime"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/hashicorp/go-hclog"
)

// Inside is the home of a capsule inside this process. Its log goes to log.
func Inside(c sdk.Capsule, log hclog.Logger) Home {
	return Home{
		Name: "in process", Declaration: c.Declaration(), Shared: true,
		Start: func(ctx context.Context, settings Settings) (Subject, error) {
			rt, err := sdk.NewRuntime(c, log)
			if err != nil {
				return nil, err
			}
			err = rt.Configure(settings.Options)
			if err == nil {
				err = rt.Load(ctx)
			}
			if err != nil {
				rt.Close()
				return nil, err
			}
			return &inside{rt}, nil
		},
	}
}

// inside is a capsule in a runtime of this process.
type inside struct{ rt *sdk.Runtime }

// OpenStream is the runtime's.
func (s *inside) OpenStream(ctx context.Context, id core.StreamID, options map[string]any) error {
	return s.rt.OpenStream(ctx, id, options)
}

// CloseStream is the runtime's.
func (s *inside) CloseStream(_ context.Context, id core.StreamID) error {
	s.rt.CloseStream(id)
	return nil
}

// Process waits for the capsule's code.
func (s *inside) Process(ctx context.Context, f *Frame) ([]core.Return, error) {
	res := s.rt.Process(ctx, sdk.Request{
		Stream: f.Info.Stream, Frame: f.Info, Layout: f.Layout, Memory: f.Memory, Nodes: f.Nodes,
	})
	return res.Returns, res.Err
}

// Usage is that of the whole process.
func (s *inside) Usage() Usage {
	runtime.GC()
	runtime.GC() // what the first one finalised
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{Memory: int64(m.HeapAlloc), Files: descriptors("self"), Threads: goroutines()}
}

// Close closes the runtime.
func (s *inside) Close() error {
	s.rt.Close()
	return nil
}

func goroutines() int { return runtime.NumGoroutine() }

// descriptors counts the open files of a process of /proc, 0 where that cannot be known.
func descriptors(pid string) int {
	list, err := os.ReadDir("/proc/" + pid + "/fd")
	if err != nil {
		return 0
	}
	return len(list)
}
