package onnx

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
	"gorgonia.org/tensor"
)

// Run gives the outputs for these inputs, in the order of Config. It does not change the inputs
// and keeps none; the outputs are the caller's. When ctx ends, the run is ended too.
func (m *Model) Run(ctx context.Context, in ...*tensor.Dense) ([]*tensor.Dense, error) {
	ordered, err := m.order(in)
	if err != nil {
		return nil, err
	}
	out, err := m.run(ctx, ordered)
	if err != nil {
		return nil, err
	}
	return m.pick(out), nil
}

// RunNamed is Run with inputs and outputs under the names that the file has for them.
func (m *Model) RunNamed(ctx context.Context, in map[string]*tensor.Dense) (map[string]*tensor.Dense, error) {
	ordered := make([]*tensor.Dense, len(m.session.inputs))
	for name, d := range in {
		i := find(m.session.inputs, name)
		if i < 0 {
			return nil, m.fault("there is no input %q; it has: %v", name, m.session.inputs)
		}
		ordered[i] = d
	}
	out, err := m.run(ctx, ordered)
	if err != nil {
		return nil, err
	}
	named := make(map[string]*tensor.Dense, len(out))
	for i, d := range out {
		named[m.session.outputs[i].Name] = d
	}
	return named, nil
}

// Infer is Run for one input of a batch: the first axis of every tensor is 1. Where the model
// takes batches, inputs that arrive close together, from whatever stream or node, run together.
func (m *Model) Infer(ctx context.Context, in ...*tensor.Dense) ([]*tensor.Dense, error) {
	if len(m.batchers) == 0 {
		return m.Run(ctx, in...)
	}
	ordered, err := m.order(in)
	if err != nil {
		return nil, err
	}
	for i, d := range ordered {
		if err := m.session.accepts(m.path, i, d); err != nil {
			return nil, err
		}
		if d.Shape()[0] != 1 {
			return nil, m.fault("input %s: the first axis of %v is not 1", m.session.inputs[i], d.Shape())
		}
	}
	out, err := m.batchers[m.turn.Add(1)%uint64(len(m.batchers))].Do(ctx, ordered)
	if err != nil {
		return nil, err
	}
	return m.pick(out), nil
}

func (m *Model) order(in []*tensor.Dense) ([]*tensor.Dense, error) {
	if len(in) != len(m.inputs) {
		return nil, m.fault("%d inputs were given, it takes %d: %v", len(in), len(m.inputs), m.session.inputs)
	}
	ordered := make([]*tensor.Dense, len(m.session.inputs))
	for i, d := range in {
		ordered[m.inputs[i]] = d
	}
	return ordered, nil
}

func (m *Model) pick(out []*tensor.Dense) []*tensor.Dense {
	picked := make([]*tensor.Dense, len(m.outputs))
	for i, at := range m.outputs {
		picked[i] = out[at]
	}
	return picked
}

func (s *shared) fault(format string, args ...any) error {
	return core.Faultf(core.Invalid, "onnx", s.path, format, args...)
}

// run is one run of the session, tensors in the file's order.
func (s *shared) run(ctx context.Context, in []*tensor.Dense) ([]*tensor.Dense, error) {
	for i, d := range in {
		if err := s.session.accepts(s.path, i, d); err != nil {
			return nil, err
		}
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	started := time.Now()
	out, err := s.session.run(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, core.Faultf(core.CapsuleFailed, "onnx", s.path, "%w", err)
	}
	smooth(&s.service, int64(time.Since(started)))
	return out, nil
}

// smooth moves a towards v by an eighth.
func smooth(a interface {
	Load() int64
	Store(int64)
}, v int64) {
	if old := a.Load(); old != 0 {
		v = old + (v-old)/8
	}
	a.Store(v)
}

// runBatch joins inputs along the first axis, runs them and parts the outputs.
func (s *shared) runBatch(ctx context.Context, all [][]*tensor.Dense) ([][]*tensor.Dense, error) {
	if len(all) == 1 {
		smooth(&s.batched, 1000)
		out, err := s.run(ctx, all[0])
		return [][]*tensor.Dense{out}, err
	}
	smooth(&s.batched, int64(len(all))*1000)
	// Inputs of different sizes (a model with free height and width) cannot share a run.
	alike := func(in []*tensor.Dense) bool { return sameShapes(in, all[0]) }
	if i := slices.IndexFunc(all, func(in []*tensor.Dense) bool { return !alike(in) }); i >= 0 {
		first, err := s.runBatch(ctx, all[:i])
		if err != nil {
			return first, err
		}
		rest, err := s.runBatch(ctx, all[i:])
		return append(first, rest...), err
	}
	in := make([]*tensor.Dense, len(all[0]))
	for i := range in {
		in[i] = join(all, i)
	}
	out, err := s.run(ctx, in)
	if err != nil {
		return nil, err
	}
	return part(out, len(all))
}

func sameShapes(a, b []*tensor.Dense) bool {
	for i := range a {
		if !a[i].Shape().Eq(b[i].Shape()) {
			return false
		}
	}
	return true
}

// part gives each of n inputs its share of the outputs, without a copy.
func part(out []*tensor.Dense, n int) ([][]*tensor.Dense, error) {
	parts := make([][]*tensor.Dense, n)
	for _, d := range out {
		shape := d.Shape()
		if len(shape) == 0 || shape[0] != n {
			return nil, fmt.Errorf("an output of a batch of %d has shape %v", n, shape)
		}
		for i := range parts {
			parts[i] = append(parts[i], share(d, i, n))
		}
	}
	return parts, nil
}

// window is how long an idle model waits for more inputs: an eighth of a run while batches do
// form, and never more than 2 ms; nothing where inputs come alone.
func (s *shared) window() time.Duration {
	if s.batched.Load() < 1250 {
		return 0
	}
	return min(time.Duration(s.service.Load())/8, 2*time.Millisecond)
}
