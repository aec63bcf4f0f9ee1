package pipeline_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
)

// pair gives a detector and a tracker that do next to nothing, or fail.
func pair(fails error) (det, track *pipelinetest.Capsule) {
	det = &pipelinetest.Capsule{Decl: pvb, ProcessFunc: func(context.Context, pipeline.Call) (pipeline.Answer, error) {
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: []*core.Node{node("person", "confidence")}}}, Queued: time.Microsecond, Compute: time.Millisecond}, nil
	}}
	track = &pipelinetest.Capsule{Decl: stateful(trk), ProcessFunc: func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		if fails != nil {
			return pipeline.Answer{}, fails
		}
		return pipelinetest.Patching(trk, tracking)(ctx, c)
	}}
	return det, track
}

// TestTimes wants the times of every call, by stage, where they are asked for, and none elsewhere.
func TestTimes(t *testing.T) {
	t.Parallel()
	fails := core.Faultf(core.CapsuleFailed, "", "", "no")
	for _, asked := range []bool{false, true} {
		det, track := pair(fails)
		began := time.Now()
		s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 3}), det, track), pipeline.Job{Times: asked})
		for _, r := range play(t, s) {
			if !asked {
				if r.Times != nil {
					t.Errorf("frame %d has times that nobody asked for", r.Frame.Seq)
				}
				continue
			}
			got := ""
			for _, c := range r.Times {
				got += fmt.Sprintf("%d %s %d %v; ", c.Stage, c.Capsule, c.Nodes, c.Err)
				if c.Began.Before(began) || c.Began.After(time.Now()) || c.Took < 0 || c.Queue < 0 || c.Err == nil && (c.Compute != time.Millisecond || c.Queue < time.Microsecond) {
					t.Errorf("frame %d: %+v", r.Frame.Seq, c)
				}
			}
			if want := fmt.Sprintf("0 %s 0 <nil>; 1 %s 1 no; ", pvb.Name, trk.Name); got != want {
				t.Errorf("frame %d: %s, want %s", r.Frame.Seq, got, want)
			}
		}
	}
}

// BenchmarkTimes is what it costs a frame, with two capsules that do nothing, to have times kept: off
// is what everybody pays who has no tracing.
func BenchmarkTimes(b *testing.B) {
	for _, asked := range []bool{false, true} {
		b.Run(fmt.Sprintf("kept=%t", asked), func(b *testing.B) {
			det, track := pair(nil)
			s := open(b, engineOf(b, pipelinetest.Playing(pipelinetest.Script{Frames: b.N}), det, track), pipeline.Job{Times: asked})
			b.ReportAllocs()
			b.ResetTimer()
			for {
				r, err := s.Next(b.Context())
				if err != nil {
					break
				}
				r.Release()
			}
		})
	}
}
