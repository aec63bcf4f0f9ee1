package pipeline_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
)

// TestAbsent has a session play without a capsule that could not be launched, and go on with the one
// that takes its place.
func TestAbsent(t *testing.T) {
	t.Parallel()
	away := pipeline.NewAbsent(trk, errors.New("libonnxruntime.so is not there"))
	det := detecting(pvb, node("person"))
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 40}), det)
	if err := e.Add(away); err != nil {
		t.Fatal(err)
	}
	s := open(t, e, pipeline.Job{Active: []string{pvb.Name, trk.Name}})
	if s.Plan().Stage(trk.Name) >= 0 || s.Plan().Stage(pvb.Name) != 0 {
		t.Errorf("stages: %v", s.Plan().Stages)
	}
	if st := away.Stats(); st.State != pipeline.CapsuleBroken || !strings.Contains(st.LastErr, "libonnxruntime.so") {
		t.Errorf("%+v", st)
	}
	if err := away.Ready(t.Context()); core.KindOf(err) != core.CapsuleExited {
		t.Error(err)
	}
	_, there := pair(nil)
	if _, err := e.Change(t.Context(), pipeline.Change{Put: []pipeline.Capsule{there}}); err != nil {
		t.Fatal(err)
	}
	if n := len(play(t, s)); n != 40 || s.Plan().Stage(trk.Name) != 1 || len(there.Calls()) == 0 {
		t.Errorf("%d results, stages %v, %d calls", n, s.Plan().Stages, len(there.Calls()))
	}
}
