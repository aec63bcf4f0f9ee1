package service_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
)

// TestWithoutACapsule has a stream run without a capsule that could not be started, take what is set
// for it, and have it when another one comes in its place: by Replace, and over HTTP.
func TestWithoutACapsule(t *testing.T) {
	t.Parallel()
	away := pipeline.NewAbsent(tuned().Decl, errors.New("libnothing.so is not there"))
	w, _ := uploading(t, &launches{}, nil, media{"rtsp://a": live}, away)
	a := w.camera("rtsp://a").Number
	w.analyze(a, true)
	until(t, "results", func() bool { return w.state().Frames > 3 })
	if st := w.state(); st.State != "running" || !strings.Contains(st.Err, "it runs without tuned") || !strings.Contains(st.Err, "libnothing.so") {
		t.Errorf("%+v", st)
	}
	for _, n := range []core.StreamNumber{0, a} {
		if err := w.SetOptions(t.Context(), editor, "tuned", n, map[string]any{"persons": float64(n) + 2}, false); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Capsule(t.Context(), viewer, "tuned")
	if err != nil || info.State != pipeline.CapsuleBroken || !strings.Contains(info.Err, "libnothing.so") || info.Values["persons"] != int64(2) {
		t.Errorf("%+v, %v", info, err)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	_, err = w.ProcessImage(t.Context(), viewer, picture.Bytes(), []string{"tuned"}, nil)
	kindOn(t, err, core.CapsuleExited, "capsule")
	there := tuned()
	if err := w.Replace(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	until(t, "three persons", func() bool { return len(w.zone(a, core.ScreenZone).Within) == 3 })
	if st := w.state(); st.Err != "" || there.Values().Int("persons") != 2 {
		t.Errorf("%+v, values %v", st, there.Values())
	}
	kindOn(t, w.Replace(t.Context(), tuned()), core.Exists, "capsule")
}

// TestLoadInPlace loads a capsule over HTTP in the place of one that came with the server and does
// not start, and has it there again after a restart.
func TestLoadInPlace(t *testing.T) {
	t.Parallel()
	stand := func() pipeline.Capsule {
		d := (&pipelinetest.Capsule{Decl: tuned().Decl}).Decl
		d.Name = "detector_dog"
		return pipeline.NewAbsent(d, errors.New("it crashes"))
	}
	w, _ := uploading(t, &launches{}, nil, media{"rtsp://a": live}, stand())
	a := w.camera("rtsp://a").Number
	w.analyze(a, true)
	w.load(packed(t, looks("detector_dog", 1)))
	dog := func() bool {
		z := w.zone(a, core.ScreenZone)
		return len(z.Within) == 1 && z.Within[0].Class == "dog"
	}
	until(t, "a dog", dog)
	w.stop()
	w.start(media{"rtsp://a": live}, stand())
	until(t, "a dog after a restart", dog)
	if broken := w.Broken(); len(broken) > 0 {
		t.Errorf("%v", broken)
	}
}
