package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// walk is one frame on its way through the plan. Its fields belong to the goroutine of the
// frame; during a stage the capsules' goroutines only read nodes.
type walk struct {
	session *Session
	route   *route
	ticket  uint64 // 0, 1, 2… of the frames admitted
	frame   core.Frame
	picture Picture
	nodes   []*core.Node
	drops   map[string]uint64
	began   time.Time
	added   int // nodes that were given an ID
	times   []CallTime
}

// outcome is what one station gave for the frame.
type outcome struct {
	station *station
	in      []*core.Node
	returns []core.Return
	err     error
	time    *CallTime // nil: it was not called, or nobody asks
}

// through runs the stages in order. It passes every turnstile of the route, also when ctx has
// ended, because frames behind this one wait there.
func (w *walk) through(ctx context.Context) {
	for i, stage := range w.route.stages {
		out := w.stage(ctx, stage)
		w.apply(out)
		if w.session.job.Times {
			w.keepTimes(i, out)
		}
	}
}

// keepTimes keeps the times of a stage's calls.
func (w *walk) keepTimes(stage int, out []outcome) {
	for _, o := range out {
		if o.time != nil {
			o.time.Stage = stage
			w.times = append(w.times, *o.time)
		}
	}
}

// stage calls the stations side by side; the last one runs in this goroutine.
func (w *walk) stage(ctx context.Context, stage []*station) []outcome {
	out := make([]outcome, len(stage))
	var wg sync.WaitGroup
	for i, st := range stage {
		if i == len(stage)-1 {
			out[i] = w.visit(ctx, st)
			break
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			out[i] = w.visit(ctx, st)
		}()
	}
	wg.Wait()
	return out
}

// visit calls one station, at its turn if it is stateful. One that is only gated decides in
// frame order and then works side by side.
func (w *walk) visit(ctx context.Context, st *station) outcome {
	o := outcome{station: st}
	arrived := time.Now()
	if st.turns != nil {
		defer st.turns.leave(w.ticket)
		if o.err = st.turns.enter(ctx, w.ticket); o.err != nil {
			return o
		}
	}
	if why := w.skips(st); why != "" {
		st.tally.skip(why)
		return o
	}
	if st.turns != nil && !st.decl.Stateful {
		st.turns.leave(w.ticket)
	}
	if st.decl.Input.Size != core.SizeNone {
		var lacks map[string]int
		o.in, lacks = plan.Match(st.decl.Input, st.name, w.nodes)
		st.tally.starve(lacks)
		if len(o.in) == 0 {
			w.sayStarved(st, lacks)
		}
		if st.decl.Input.Size == core.SizeSingle && len(o.in) == 0 {
			return o
		}
	}
	w.call(ctx, &o, arrived)
	return o
}

// sayStarved says once a session that nodes of the right class are there and none of them can
// be taken; the counts are in the report.
func (w *walk) sayStarved(st *station, lacks map[string]int) {
	if len(lacks) > 0 && st.tally.hungry.CompareAndSwap(false, true) {
		w.session.log.Warn("capsule is not fed", "capsule", st.name, "seq", w.frame.Seq, "lacks", lacks)
	}
}

// call makes the picture and has the capsule process it, a second time when the first one
// died with it and the source can wait.
func (w *walk) call(ctx context.Context, o *outcome, arrived time.Time) {
	st, started := o.station, time.Now()
	var view shm.View
	if len(st.decl.Formats) > 0 {
		if view, o.err = w.picture.View(st.decl.Formats, st.decl.Picture); o.err != nil {
			return
		}
	}
	converted := time.Since(started)
	c := Call{Frame: w.frame, View: view, Nodes: o.in}
	a, err := st.capsule.Process(ctx, c)
	if err != nil && !w.session.source.info().Live && lostFrame(err) {
		a, err = w.again(ctx, st, c, err)
	}
	queued, took := started.Sub(arrived), max(0, time.Since(started)-a.Queued) // Queued is the capsule's word
	o.returns, o.err = a.Returns, err
	if err == nil {
		st.tally.called(took, queued, converted, a)
	}
	if w.session.job.Times {
		o.time = &CallTime{Capsule: st.name, Began: arrived, Queue: queued + a.Queued, Convert: converted, Compute: a.Compute, Took: took, Nodes: len(o.in), Err: err}
	}
}

// lostFrame says whether a capsule took the frame down with it.
func lostFrame(err error) bool {
	switch core.KindOf(err) {
	case core.CapsuleExited, core.CapsuleDeadline, core.CapsuleGarbage, core.CapsuleLimit:
		return true
	default:
		return false
	}
}

// restartTimeout bounds how long a frame of a file waits for its capsule to come back.
const restartTimeout = 60 * time.Second

// again tries a frame that was lost a second time. One frame at a time: if it was this one that
// the capsule cannot bear, it takes no other retry down with it.
func (w *walk) again(ctx context.Context, st *station, c Call, lost error) (Answer, error) {
	select {
	case st.retry <- struct{}{}:
	case <-ctx.Done():
		return Answer{}, lost
	}
	defer func() { <-st.retry }()
	if !w.comesBack(ctx, st) {
		return Answer{}, lost
	}
	st.tally.count(&st.tally.retries, 1)
	return st.capsule.Process(ctx, c)
}

func (w *walk) comesBack(ctx context.Context, st *station) bool {
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	return st.capsule.Ready(ctx) == nil
}
