// Package check runs the conformance suite of sdk/conform over real processes, in whatever
// language the capsule is written, and measures such a process by itself.
package check

import (
	"context"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/sdk/conform"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// Home gives the home of a capsule that the host h runs as a process. spec.Declaration is what
// its manifest says; spec.Options are not used. opens is how often the case reopen opens a
// stream. h stays the caller's.
func Home(h *host.Host, spec host.Spec, opens int) conform.Home {
	m := &home{host: h, spec: spec}
	return conform.Home{
		Name: "as a process", Declaration: spec.Declaration, Start: m.start, Program: m.program, Opens: opens,
	}
}

type home struct {
	host *host.Host
	spec host.Spec

	mu    sync.Mutex
	found *core.Declaration // what the program says of itself
}

// program starts the capsule without its manifest and asks it what it is.
func (m *home) program(ctx context.Context) (core.Declaration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.found != nil {
		return *m.found, nil
	}
	spec := m.spec
	spec.Declaration = core.Declaration{Needs: m.spec.Declaration.Needs} // without a name it is not held against anything
	c, err := m.host.Launch(ctx, spec)
	if err != nil {
		return core.Declaration{}, err
	}
	defer c.Close()
	d := c.Declaration()
	m.found = &d
	return d, nil
}

// start starts the capsule as its program declares it: where the manifest says something else,
// that is for the case manifest to say, not for all of them.
func (m *home) start(ctx context.Context, s conform.Settings) (conform.Subject, error) {
	d, err := m.program(ctx)
	if err != nil {
		return nil, err
	}
	spec := m.spec
	spec.Declaration, spec.Options = d, s.Options
	spec.Declaration.Needs = m.spec.Declaration.Needs
	if s.Deadline > 0 {
		spec.Declaration.Deadline = s.Deadline
	}
	c, err := m.host.Launch(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &subject{capsule: c}, nil
}

// subject is a capsule that runs as a process.
type subject struct{ capsule *host.Capsule }

var _ conform.Process = (*subject)(nil)

// OpenStream sends the options as they are: the capsule has to check them.
func (s *subject) OpenStream(ctx context.Context, id core.StreamID, options map[string]any) error {
	return s.capsule.OpenStream(ctx, id, core.Values(options))
}

// CloseStream is the capsule's.
func (s *subject) CloseStream(ctx context.Context, id core.StreamID) error {
	return s.capsule.CloseStream(ctx, id)
}

// Process puts the frame into an arena of its own and hands that over.
func (s *subject) Process(ctx context.Context, f *conform.Frame) ([]core.Return, error) {
	call := pipeline.Call{Frame: f.Info, Nodes: f.Nodes}
	if f.Layout.Format != "" {
		a, err := shm.Create(int64(len(f.Memory)))
		if err != nil {
			return nil, err
		}
		defer a.Close()
		copy(a.Bytes(), f.Memory)
		call.View = shm.View{Arena: a, Layout: f.Layout}
	}
	answer, err := s.capsule.Process(ctx, call)
	return answer.Returns, err
}

// Usage is that of the process and of those that it started.
func (s *subject) Usage() conform.Usage { return usageOf(s.capsule.Stats().PID) }

// Halt stops the process where it is.
func (s *subject) Halt() error { return signalProcess(s.capsule.Stats().PID, halt) }

// Kill ends the process.
func (s *subject) Kill() error { return signalProcess(s.capsule.Stats().PID, kill) }

// Ready waits until the capsule runs.
func (s *subject) Ready(ctx context.Context) error { return s.capsule.Ready(ctx) }

// Close ends the capsule and waits.
func (s *subject) Close() error { return s.capsule.Close() }
