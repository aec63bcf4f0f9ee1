package main

import (
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

func TestEffortFlags(t *testing.T) {
	t.Parallel()
	f := effortFlags{every: 2, everyN: []string{"a=3", "b=1"}, gates: []string{"a=motion,hold=2s,every=10s", "b=off"}, pictures: []string{"a=416,linear", "b=native", "c=64x48"}, keyframes: true}
	var job pipeline.Job
	if err := f.apply(&job, []string{"a", "b", "c"}); err != nil {
		t.Fatal(err)
	}
	want := core.Gate{Class: "motion", Hold: 2 * time.Second, AtLeast: 10 * time.Second}
	if job.Every != 2 || job.EveryN["a"] != 3 || job.EveryN["b"] != 1 || job.Gates["a"] != want || !job.Gates["b"].IsZero() || !job.Source.KeyframesOnly {
		t.Errorf("%+v", job)
	}
	if p, ok := job.Pictures["b"]; !ok || !p.Native() || job.Pictures["a"] != (core.PictureSize{MaxSide: 416, Filter: core.Linear}) || job.Pictures["c"] != (core.PictureSize{Width: 64, Height: 48}) {
		t.Errorf("pictures are %+v", job.Pictures)
	}
	if _, ok := job.Gates["b"]; !ok {
		t.Error("off does not take the gate of the declaration away")
	}
}

func TestEffortFlagsRefused(t *testing.T) {
	t.Parallel()
	for says, f := range map[string]effortFlags{
		`--every-n "a": want`:        {everyN: []string{"a"}},
		`--every-n "a=0": want`:      {everyN: []string{"a=0"}},
		`--every-n "=2": want`:       {everyN: []string{"=2"}},
		`--gate "a": want`:           {gates: []string{"a"}},
		`--gate "a=": "" is not`:     {gates: []string{"a="}},
		`--gate "a=x,hold=2": hold:`: {gates: []string{"a=x,hold=2"}},
		`--picture "a": `:            {pictures: []string{"a"}},
		`--picture "=9": want`:       {pictures: []string{"=9"}},
		`"0" is neither native`:      {pictures: []string{"a=0"}},
		`"4y" is neither native`:     {pictures: []string{"a=3x4y"}},
		`filter "cubic" is not one`:  {pictures: []string{"a=416,cubic"}},
		`sides are within`:           {pictures: []string{"a=99999"}},
		`--picture: "c" is not`:      {pictures: []string{"c=native"}},
		`--every-n: "c" is not`:      {everyN: []string{"c=2"}},
		`--gate: "detector_x" is not one of the capsules that run (did you mean detector_y?)`: {gates: []string{"detector_x=off"}},
	} {
		err := f.apply(&pipeline.Job{}, []string{"a", "b", "detector_y"})
		if _, usage := err.(usageError); !usage || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want a usage error with %q", f, err, says)
		}
	}
}

// TestGateOnAClip has faces looked for while there is motion. With nobody to report motion every
// frame is looked at, and both the run and the plan say so.
func TestGateOnAClip(t *testing.T) {
	t.Parallel()
	clip := demoClip(t)
	const gate = "detector_face_pigo=motion,hold=200ms,every=1s"
	c := call(t, "run", clip, "--only", "detector_face_pigo,detector_motion_background", "--gate", gate, "--every-n", "detector_motion_background=2", "--quiet", "--json", "-")
	if c.status != 0 {
		t.Fatal(c.stderr)
	}
	frames, sum := parseRun(t, c.stdout)
	for _, p := range sum.Summary.Capsules {
		skipped := total(p.Skipped)
		if p.Calls == 0 || p.Calls+int(skipped) != len(frames) {
			t.Errorf("%s: %d calls and %d frames skipped of %d", p.Name, p.Calls, skipped, len(frames))
		}
		if p.Name == "detector_motion_background" && (p.Skipped[pipeline.SkipEveryN] != uint64(len(frames)/2) || p.Skipped[pipeline.SkipGate] != 0) {
			t.Errorf("skipped %v", p.Skipped)
		}
	}
	alone := call(t, "run", clip, "--only", "detector_face_pigo", "--gate", gate, "--duration", "500ms")
	if alone.status != 0 || !strings.Contains(alone.stdout, "ran on every frame, because nobody gives motion") || !strings.Contains(alone.stderr, "gate of a capsule is off") {
		t.Errorf("%d\n%s\n%s", alone.status, alone.stdout, alone.stderr)
	}
	p := call(t, "plan", "--active", "detector_face_pigo,detector_motion_background", "--gate", gate)
	if p.status != 0 || !strings.Contains(p.stdout, "after detector_motion_background: gate motion") {
		t.Errorf("%d\n%s\n%s", p.status, p.stdout, p.stderr)
	}
}
