package pipeline_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/hashicorp/go-hclog"
)

func reportOf(s *pipeline.Session, name string) pipeline.CapsuleReport {
	list := s.Stats().Capsules
	i := slices.IndexFunc(list, func(c pipeline.CapsuleReport) bool { return c.Name == name })
	return list[i]
}

// movingAt finds motion on the given frames. Later frames are answered sooner, so that frames
// reach what comes after it out of order.
func movingAt(frames ...uint64) *pipelinetest.Capsule {
	d := declare("motion", core.Description{}, core.Description{Size: core.SizeAll, Detections: []string{"motion"}})
	find := pipelinetest.Finding(func(seq uint64) []*core.Node {
		if slices.Contains(frames, seq) {
			return []*core.Node{node("motion")}
		}
		return nil
	})
	return &pipelinetest.Capsule{Decl: d, ProcessFunc: func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		time.Sleep(time.Duration(3-c.Frame.Seq%4) * time.Millisecond)
		return find(ctx, c)
	}}
}

func seqs(c *pipelinetest.Capsule) []uint64 {
	list := []uint64{}
	for _, call := range c.Calls() {
		list = append(list, call.Frame.Seq)
	}
	slices.Sort(list)
	return list
}

func span(from, to uint64) []uint64 {
	var list []uint64
	for ; from <= to; from++ {
		list = append(list, from)
	}
	return list
}

// TestGate plays 40 frames, 40 ms apart, with motion on frames 10 to 12 and 20.
func TestGate(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := map[string]struct {
		gate    core.Gate
		everyN  int
		want    []uint64
		skipped map[string]uint64
	}{
		"off":                          {core.Gate{}, 0, span(1, 40), map[string]uint64{}},
		"motion":                       {core.Gate{Class: "motion"}, 0, []uint64{10, 11, 12, 20}, map[string]uint64{pipeline.SkipGate: 36}},
		"held for five frames":         {core.Gate{Class: "motion", Hold: 200 * ms}, 0, append(span(10, 17), span(20, 25)...), map[string]uint64{pipeline.SkipGate: 26}},
		"and at least every 400 ms":    {core.Gate{Class: "motion", Hold: 40 * ms, AtLeast: 400 * ms}, 0, []uint64{1, 10, 11, 12, 13, 20, 21, 31}, map[string]uint64{pipeline.SkipGate: 32}},
		"on a schedule alone":          {core.Gate{AtLeast: 400 * ms}, 0, []uint64{1, 11, 21, 31}, map[string]uint64{pipeline.SkipGate: 36}},
		"every second of those":        {core.Gate{Class: "motion"}, 2, []uint64{11}, map[string]uint64{pipeline.SkipGate: 19, pipeline.SkipEveryN: 20}},
		"motion on a frame not called": {core.Gate{Class: "motion", Hold: 80 * ms}, 4, []uint64{13, 21}, map[string]uint64{pipeline.SkipGate: 8, pipeline.SkipEveryN: 30}},
		"nobody gives the class":       {core.Gate{Class: "smoke", Hold: 40 * ms}, 0, span(1, 40), map[string]uint64{}},
	}
	for name, tt := range tests {
		for kind, keeps := range map[string]bool{"stateless": false, "stateful": true} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				d := pvb
				d.Stateful, d.EveryN = keeps, tt.everyN
				gated := detecting(d, node("person"))
				job := pipeline.Job{Window: 6, Gates: map[string]core.Gate{"detector_pvb": tt.gate}}
				s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 40}), gated, movingAt(10, 11, 12, 20)), job)
				results := play(t, s)
				if got := seqs(gated); len(results) != 40 || !slices.Equal(got, tt.want) {
					t.Errorf("%d results; called on %v, want %v", len(results), got, tt.want)
				}
				for _, r := range results {
					persons := slices.ContainsFunc(r.Nodes, func(n *core.Node) bool { return n.Class == "person" })
					if called := slices.Contains(tt.want, r.Frame.Seq); persons != called {
						t.Errorf("frame %d: persons %v, called %v", r.Frame.Seq, persons, called)
					}
				}
				if got := reportOf(s, "detector_pvb"); !maps.Equal(got.Skipped, tt.skipped) || got.Calls != uint64(len(tt.want)) {
					t.Errorf("%d calls, skipped %v, want %d and %v", got.Calls, got.Skipped, len(tt.want), tt.skipped)
				}
			})
		}
	}
}

// TestGateOfTheDeclaration is taken over by the job, for better or worse.
func TestGateOfTheDeclaration(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		job  map[string]core.Gate
		want []uint64
	}{
		"as declared":      {nil, []uint64{3}},
		"the job says off": {map[string]core.Gate{"detector_pvb": {}}, span(1, 5)},
	} {
		d := pvb
		d.Gate = core.Gate{Class: "motion"}
		gated := detecting(d, node("person"))
		s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 5}), gated, movingAt(3)), pipeline.Job{Gates: tt.job})
		play(t, s)
		if got := seqs(gated); !slices.Equal(got, tt.want) {
			t.Errorf("%s: called on %v, want %v", name, got, tt.want)
		}
	}
}

// TestGateGoesOff breaks the capsule that opens the gate: the gated one must run on every frame
// from then on, and it must be said.
func TestGateGoesOff(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	gated, motion := detecting(pvb, node("person")), movingAt(2)
	motion.ProcessFunc = func(_ context.Context, c pipeline.Call) (pipeline.Answer, error) {
		if c.Frame.Seq < 5 {
			return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList}}}, nil
		}
		broken.Store(true)
		return pipeline.Answer{}, core.Faultf(core.CapsuleFailed, "process", "motion", "it is gone")
	}
	motion.StatsFunc = func() pipeline.CapsuleStats {
		return pipeline.CapsuleStats{State: map[bool]string{false: pipeline.CapsuleRunning, true: pipeline.CapsuleBroken}[broken.Load()]}
	}
	var out bytes.Buffer
	e := pipeline.New(pipelinetest.Playing(pipelinetest.Script{Frames: 20}), hclog.New(&hclog.LoggerOptions{Output: &out}))
	for _, c := range []*pipelinetest.Capsule{gated, motion} {
		if err := e.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, e, pipeline.Job{Window: 1, Gates: map[string]core.Gate{"detector_pvb": {Class: "motion"}}})
	play(t, s)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if got := seqs(gated); !slices.Equal(got, span(6, 20)) {
		t.Errorf("called on %v, want every frame after the fifth", got)
	}
	if !strings.Contains(out.String(), "gate of a capsule is off") {
		t.Errorf("it was not said:\n%s", out.String())
	}
}

func TestHistogramMerge(t *testing.T) {
	t.Parallel()
	var a, b, both pipeline.Histogram
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond
		both.Add(d)
		if i%3 == 0 {
			a.Add(d)
		} else {
			b.Add(d)
		}
	}
	a.Merge(&b)
	if a != both {
		t.Errorf("merged: %d of mean %s, want %d of mean %s", a.Count(), a.Mean(), both.Count(), both.Mean())
	}
}
