package check

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/conform"
)

// Load says what a capsule is measured with.
type Load struct {
	Media  pipeline.Media
	Source pipeline.Source // is played again and again
	Values core.Values     // of the stream, complete
	Nodes  int             // made-up ones a frame, for a capsule that takes nodes
	Time   time.Duration   // for each of the two parts
	Window int             // calls under way at once in the second part; a stateful capsule has one
}

// Measured is what a capsule did under a load. The times are of the first part, in which one call
// is under way: nothing waits for another.
type Measured struct {
	Calls    uint64
	Failed   uint64
	FirstErr error
	Found    uint64 // nodes added or patched

	Queue, Convert, Handoff, Compute, Total pipeline.Histogram

	Rate   float64 // calls a second in the second part, on pictures that are ready
	Window int
	Start  conform.Usage // when it was launched
	After  conform.Usage
	Peak   int64 // bytes of memory, of its main process; 0: not known
}

// Measure gives a capsule frames as fast as it takes them: one at a time, then several. The
// capsule is the caller's.
func Measure(ctx context.Context, c pipeline.Capsule, load Load) (*Measured, error) {
	d := c.Declaration()
	resolved, err := d.Resolve(load.Values)
	if err != nil {
		return nil, err
	}
	id := or(load.Source.Stream, "bench")
	load.Source.Stream = id
	m := &measuring{capsule: c, decl: resolved, load: load, random: rand.New(rand.NewPCG(1, 1))} // #nosec G404 -- the same load every time
	m.out.Start = usageOf(c.Stats().PID)
	if err := c.OpenStream(ctx, id, load.Values); err != nil {
		return nil, err
	}
	defer func() { _ = c.CloseStream(context.WithoutCancel(ctx), id) }()
	defer m.close()
	if err := m.one(ctx); err != nil {
		return nil, err
	}
	if err := m.many(ctx); err != nil {
		return nil, err
	}
	pid := c.Stats().PID
	m.out.After, m.out.Peak = usageOf(pid), peakOf(pid)
	return &m.out, nil
}

func or(id, otherwise core.StreamID) core.StreamID {
	if id == "" {
		return otherwise
	}
	return id
}

type measuring struct {
	capsule pipeline.Capsule
	decl    core.Declaration
	load    Load
	random  *rand.Rand

	stream pipeline.MediaStream
	seq    uint64
	offset core.PTS // of the present round of the source
	last   core.PTS

	mu  sync.Mutex
	out Measured
}

// next gives the next frame with its nodes; the source begins again at its end.
func (m *measuring) next(ctx context.Context) (pipeline.Call, pipeline.Picture, error) {
	for began := false; ; {
		if m.stream == nil {
			var err error
			if m.stream, err = m.load.Media.Open(ctx, m.load.Source); err != nil {
				return pipeline.Call{}, nil, err
			}
			began = true
		}
		f, p, err := m.stream.Next(ctx)
		if errors.Is(err, io.EOF) && !began {
			m.close()
			m.offset = m.last + core.PTS(40*time.Millisecond)
			continue
		}
		if errors.Is(err, io.EOF) {
			err = core.Faultf(core.SourceBroken, "bench", m.load.Source.URL, "not one frame came out of it")
		}
		if err != nil {
			return pipeline.Call{}, nil, err
		}
		m.seq++
		f.Stream, f.Seq, f.PTS = m.load.Source.Stream, m.seq, f.PTS+m.offset
		m.last = f.PTS
		nodes := conform.Nodes(m.random, m.decl.Input, f.Caps, m.load.Nodes)
		for i, n := range nodes {
			n.ID = core.NodeID(m.seq*(pipeline.MaxNodes+1) + uint64(i) + 1)
		}
		return pipeline.Call{Frame: f, Nodes: nodes}, p, nil
	}
}

func (m *measuring) close() {
	if m.stream != nil {
		_ = m.stream.Close()
		m.stream = nil
	}
}

// call is one call with its picture, which is released.
func (m *measuring) call(ctx context.Context, c pipeline.Call, p pipeline.Picture, timed bool) error {
	defer p.Release()
	began := time.Now()
	if len(m.decl.Formats) > 0 {
		var err error
		if c.View, err = p.View(m.decl.Formats, m.decl.Picture); err != nil {
			return err
		}
	}
	converted := time.Since(began)
	a, err := m.capsule.Process(ctx, c)
	took := time.Since(began)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out.Calls++
	for i := range a.Returns {
		err = errors.Join(err, a.Returns[i].Err)
		m.out.Found += uint64(len(a.Returns[i].Added) + len(a.Returns[i].Patches))
	}
	if err != nil {
		m.out.Failed++
		if m.out.FirstErr == nil {
			m.out.FirstErr = err
		}
		return nil
	}
	if timed {
		m.out.Queue.Add(a.Queued)
		m.out.Convert.Add(converted)
		m.out.Handoff.Add(a.Handoff)
		m.out.Compute.Add(a.Compute)
		m.out.Total.Add(took)
	}
	return nil
}

// warm is how many calls are made before times count.
const warm = 5

// one has one call under way.
func (m *measuring) one(ctx context.Context) error {
	began := time.Now()
	for i := 0; i < warm+1 || time.Since(began) < m.load.Time; i++ {
		c, p, err := m.next(ctx)
		if err == nil {
			err = m.call(ctx, c, p, i >= warm)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ready is how many frames with their pictures made are given again and again in the second part,
// so that neither the source nor converting bounds the rate.
const ready = 16

// prepare takes frames and has their pictures made. The caller releases them.
func (m *measuring) prepare(ctx context.Context) (calls []pipeline.Call, pictures []pipeline.Picture, err error) {
	for len(calls) < ready && err == nil {
		var c pipeline.Call
		var p pipeline.Picture
		if c, p, err = m.next(ctx); err != nil {
			break
		}
		if len(m.decl.Formats) > 0 {
			_, err = p.View(m.decl.Formats, m.decl.Picture)
		}
		calls, pictures = append(calls, c), append(pictures, p)
	}
	return calls, pictures, err
}

// again gives one of the calls as the next frame of the stream.
func (m *measuring) again(calls []pipeline.Call, i int) pipeline.Call {
	c := calls[i%len(calls)]
	m.seq++
	m.last += core.PTS(40 * time.Millisecond)
	c.Frame.Seq, c.Frame.PTS = m.seq, m.last
	return c
}

// many has several under way and counts them.
func (m *measuring) many(ctx context.Context) error {
	calls, pictures, err := m.prepare(ctx)
	defer func() {
		for _, p := range pictures {
			p.Release()
		}
	}()
	if err != nil {
		return err
	}

	window := max(1, m.load.Window)
	if m.decl.Stateful {
		window = 1
	}
	m.out.Window = window
	before, began := m.out.Calls, time.Now()
	room := make(chan struct{}, window)
	errs := make(chan error, window)
	var running sync.WaitGroup
	for i := 0; err == nil && ctx.Err() == nil && time.Since(began) < m.load.Time; i++ {
		c, p := m.again(calls, i), pictures[i%len(pictures)]
		p.Retain() // call gives it back
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			if e := m.call(ctx, c, p, false); e != nil {
				select {
				case errs <- e:
				default:
				}
			}
		})
		select {
		case err = <-errs:
		default:
		}
	}
	running.Wait()
	m.out.Rate = float64(m.out.Calls-before) / time.Since(began).Seconds()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}
