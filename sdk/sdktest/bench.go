// Package sdktest is for the tests of capsules: it runs a capsule inside the test's process on
// pictures of the test's making, and holds what the capsule does against what it declares.
//
//	b := sdktest.Open(t, capsule, nil)
//	got := b.Process(sdktest.FrameOf(picture, sdk.GRAY8))
package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/hashicorp/go-hclog"
)

// Bench is a capsule at work inside the test's process. It is for one goroutine.
type Bench struct {
	t       testing.TB
	rt      *sdk.Runtime
	decl    core.Declaration // options put in
	options map[string]any
	open    map[core.StreamID]bool
	lastID  core.NodeID
}

// Outcome is what a capsule made of one frame, in the pixels of the stream.
type Outcome struct {
	Returns []core.Return
	Nodes   []*core.Node // the frame's nodes with the patches put on, then the added ones
	Added   []*core.Node // of these, the added ones
}

// Open validates the declaration, runs Load and opens a stream with these options; what is
// missing in options has its default. It is closed when the test ends. A capsule that cannot
// be opened ends the test.
func Open(t testing.TB, c sdk.Capsule, options map[string]any) *Bench {
	t.Helper()
	b, err := open(t, c, options)
	if err != nil {
		t.Fatalf("open %s: %v", c.Name, err)
	}
	return b
}

func open(t testing.TB, c sdk.Capsule, options map[string]any) (*Bench, error) {
	log := hclog.New(&hclog.LoggerOptions{Name: c.Name, Level: hclog.Debug, Output: testWriter{t}, DisableTime: true})
	rt, err := sdk.NewRuntime(c, log)
	if err != nil {
		return nil, err
	}
	t.Cleanup(rt.Close)
	values, err := rt.Declaration().Complete(options)
	if err != nil {
		return nil, err
	}
	decl, err := rt.Declaration().Resolve(values)
	if err != nil {
		return nil, err
	}
	b := &Bench{t: t, rt: rt, decl: decl, options: options, open: map[core.StreamID]bool{}}
	if b.options == nil {
		b.options = map[string]any{}
	}
	return b, b.openStream("test")
}

func (b *Bench) openStream(id core.StreamID) error {
	if b.open[id] {
		return nil
	}
	if err := b.rt.OpenStream(context.Background(), id, b.options); err != nil {
		return err
	}
	b.open[id] = true
	return nil
}

// Declaration gives the capsule's declaration with the options put in.
func (b *Bench) Declaration() core.Declaration { return b.decl }

// CloseStream ends a stream; the next frame of it opens it anew, without its state.
func (b *Bench) CloseStream(id core.StreamID) {
	b.rt.CloseStream(id)
	delete(b.open, id)
}

// Process gives the frame to the capsule as an engine would: with those of its nodes that the
// capsule needs. The test fails when a run fails, breaks the return contract, gives nodes that
// do not satisfy the declared output, or writes to the frame's pixels.
func (b *Bench) Process(f *Frame) Outcome {
	b.t.Helper()
	out, err := b.Try(f)
	if err != nil {
		b.t.Errorf("%s, frame %d: %v", b.decl.Name, f.Info.Seq, err)
	}
	return out
}

// Try is Process that gives the errors back.
func (b *Bench) Try(f *Frame) (Outcome, error) {
	if err := b.openStream(f.Info.Stream); err != nil {
		return Outcome{}, err
	}
	nodes := make([]*core.Node, 0, len(f.Nodes))
	for _, n := range f.Nodes {
		n = n.Clone()
		if n.ID == 0 {
			b.lastID++
			n.ID = b.lastID + 1<<32
		}
		nodes = append(nodes, n)
	}
	needed, ids := b.needed(nodes)
	before := crc32.ChecksumIEEE(f.Memory)
	res := b.rt.Process(context.Background(), sdk.Request{
		Stream: f.Info.Stream, Frame: f.Info, Layout: f.Layout, Memory: f.Memory, Nodes: needed,
	})
	if crc32.ChecksumIEEE(f.Memory) != before {
		return Outcome{}, errors.New("the capsule wrote to the pixels of the frame, which are read-only")
	}
	if res.Err != nil {
		return Outcome{}, res.Err
	}
	return b.judge(nodes, ids, res.Returns)
}

// needed gives copies of the nodes that the capsule asks for.
func (b *Bench) needed(nodes []*core.Node) (needed []*core.Node, ids []core.NodeID) {
	if b.decl.Input.Size == core.SizeNone {
		return nil, nil
	}
	for _, n := range nodes {
		if ok, err := b.decl.Input.Describes(n); ok && err == nil {
			needed = append(needed, n.Clone())
			ids = append(ids, n.ID)
		}
	}
	return needed, ids
}

// judge puts the returns on the nodes and checks them.
func (b *Bench) judge(nodes []*core.Node, input []core.NodeID, returns []core.Return) (Outcome, error) {
	out := Outcome{Returns: returns, Nodes: nodes}
	byID := map[core.NodeID]*core.Node{}
	for _, n := range nodes {
		byID[n.ID] = n
	}
	var errs []error
	for i := range returns {
		r := &returns[i]
		if r.Err != nil {
			errs = append(errs, r.Err)
			continue
		}
		errs = append(errs, core.CheckReturn(b.decl.Input.Size, b.decl.Output.Size, r))
		for j := range r.Patches {
			if n := byID[r.Patches[j].Node]; n != nil {
				r.Patches[j].Apply(n)
			}
		}
		for _, id := range r.Effective(input) {
			errs = append(errs, b.satisfies(byID[id]))
		}
		for _, n := range r.Added {
			b.lastID++
			n.ID, n.Origin = b.lastID+1<<32, b.decl.Name
			errs = append(errs, b.satisfies(n))
			out.Added = append(out.Added, n)
		}
	}
	out.Nodes = append(out.Nodes, out.Added...)
	return out, errors.Join(errs...)
}

// satisfies holds a node against the declared output, and its JSON against itself.
func (b *Bench) satisfies(n *core.Node) error {
	if n == nil {
		return errors.New("a return names a node that was not in the input")
	}
	ok, err := b.decl.Output.Describes(n)
	if err != nil {
		return fmt.Errorf("node %q: %w", n.Class, err)
	}
	if !ok {
		return fmt.Errorf("node %q does not satisfy the declared output %s; missing: %v", n.Class, b.decl.Output, b.decl.Output.Missing(n))
	}
	for k, raw := range n.ExtraData {
		if !json.Valid(raw) {
			return fmt.Errorf("node %q: extra_data %s is not JSON: %q", n.Class, k, raw)
		}
	}
	return nil
}

// testWriter puts log lines into the test's output.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	w.t.Logf("%s", p)
	return len(p), nil
}
