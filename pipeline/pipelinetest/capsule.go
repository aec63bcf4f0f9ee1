package pipelinetest

import (
	"context"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// Capsule is a capsule made of functions; those that are nil do the obvious.
type Capsule struct {
	Decl        core.Declaration
	Settings    map[string]any
	ProcessFunc func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error)
	ReadyFunc   func(ctx context.Context) error
	OpenFunc    func(ctx context.Context, id core.StreamID, v core.Values) error
	StatsFunc   func() pipeline.CapsuleStats

	// ConfigureFunc says whether the capsule takes new settings.
	ConfigureFunc func(ctx context.Context, v core.Values) error

	mu     sync.Mutex
	values core.Values // of Configure
	open   map[core.StreamID]core.Values
	calls  []pipeline.Call
}

var _ pipeline.Capsule = (*Capsule)(nil)

// Declaration gives Decl.
func (c *Capsule) Declaration() core.Declaration { return c.Decl }

// Values gives Settings over the defaults, or what Configure was given.
func (c *Capsule) Values() core.Values {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values != nil {
		return c.values
	}
	v, err := c.Decl.Complete(c.Settings)
	if err != nil {
		panic(err)
	}
	return v
}

// Configure keeps the values unless ConfigureFunc refuses them.
func (c *Capsule) Configure(ctx context.Context, v core.Values) error {
	if c.ConfigureFunc != nil {
		if err := c.ConfigureFunc(ctx, v); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values = v
	return nil
}

// OpenStream notes the stream as open, with these values.
func (c *Capsule) OpenStream(ctx context.Context, id core.StreamID, v core.Values) error {
	if c.OpenFunc != nil {
		if err := c.OpenFunc(ctx, id, v); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[core.StreamID]core.Values{}
	}
	c.open[id] = v
	return nil
}

// CloseStream notes the stream as closed.
func (c *Capsule) CloseStream(_ context.Context, id core.StreamID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, id)
	return nil
}

// OpenStreams gives the number of streams that are open.
func (c *Capsule) OpenStreams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// StreamValues gives the values of a stream, nil when it is not open.
func (c *Capsule) StreamValues(id core.StreamID) core.Values {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[id]
}

// Process keeps the call and calls ProcessFunc.
func (c *Capsule) Process(ctx context.Context, call pipeline.Call) (pipeline.Answer, error) {
	c.mu.Lock()
	c.calls = append(c.calls, call)
	c.mu.Unlock()
	if c.ProcessFunc == nil {
		return Nothing(c.Decl, call), nil
	}
	return c.ProcessFunc(ctx, call)
}

// Calls gives the calls so far, in the order in which they began.
func (c *Capsule) Calls() []pipeline.Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]pipeline.Call(nil), c.calls...)
}

// Ready calls ReadyFunc.
func (c *Capsule) Ready(ctx context.Context) error {
	if c.ReadyFunc != nil {
		return c.ReadyFunc(ctx)
	}
	return nil
}

// Stats calls StatsFunc.
func (c *Capsule) Stats() pipeline.CapsuleStats {
	if c.StatsFunc != nil {
		return c.StatsFunc()
	}
	return pipeline.CapsuleStats{State: pipeline.CapsuleRunning}
}

// Nothing is the answer of a capsule that adds nothing to a call.
func Nothing(d core.Declaration, call pipeline.Call) pipeline.Answer {
	if d.Input.Size != core.SizeSingle {
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList}}}
	}
	var a pipeline.Answer
	for _, n := range call.Nodes {
		a.Returns = append(a.Returns, core.Return{Kind: core.ReturnNull, Node: n.ID})
	}
	return a
}

// Finding gives a detector's ProcessFunc that finds what f makes for each frame.
func Finding(f func(seq uint64) []*core.Node) func(context.Context, pipeline.Call) (pipeline.Answer, error) {
	return func(_ context.Context, c pipeline.Call) (pipeline.Answer, error) {
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: f(c.Frame.Seq)}}}, nil
	}
}

// Patching gives a ProcessFunc that patches every node of a call.
func Patching(d core.Declaration, f func(n *core.Node) core.Patch) func(context.Context, pipeline.Call) (pipeline.Answer, error) {
	return func(_ context.Context, c pipeline.Call) (pipeline.Answer, error) {
		var a pipeline.Answer
		all := core.Return{Kind: core.ReturnList}
		for _, n := range c.Nodes {
			p := f(n)
			p.Node = n.ID
			if d.Input.Size == core.SizeSingle {
				a.Returns = append(a.Returns, core.Return{Kind: core.ReturnNull, Node: n.ID, Patches: []core.Patch{p}})
				continue
			}
			all.Patches = append(all.Patches, p)
			all.Returned = append(all.Returned, n.ID)
		}
		if d.Input.Size != core.SizeSingle {
			a.Returns = []core.Return{all}
		}
		return a, nil
	}
}
