package service_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/service"
)

const ownLine = "rtspsrc location={url} ! rtph264depay ! avdec_h264 ! appsink name=main_sink"

// TestOwnPipeline has an administrator give a stream a pipeline. Others may change the rest of it.
func TestOwnPipeline(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	opened := map[string]int{}
	opens := func(what string) func() (pipeline.MediaStream, error) {
		return func() (pipeline.MediaStream, error) {
			mu.Lock()
			defer mu.Unlock()
			opened[what]++
			return live()
		}
	}
	times := func(what string) int {
		mu.Lock()
		defer mu.Unlock()
		return opened[what]
	}
	w := newWorld(t, media{"rtsp://a": opens("ours"), "rtsp://a | " + ownLine: opens("own")}, nil, walker())
	s := w.camera("rtsp://a")
	w.analyze(s.Number, true)
	until(t, "it is opened", func() bool { return times("ours") == 1 })

	s.Connection.Pipeline = ownLine
	_, err := w.SaveStream(t.Context(), editor, s)
	kindOn(t, err, core.Denied, "role")
	fresh := core.StreamConfig{Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://b", Pipeline: ownLine}}
	_, err = w.SaveStream(t.Context(), editor, fresh)
	kindOn(t, err, core.Denied, "role")
	if list, err := w.Streams(t.Context(), admin, 0); err != nil || len(list) != 1 || list[0].Connection.Pipeline != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	if s, err = w.SaveStream(t.Context(), admin, s); err != nil || s.Connection.Pipeline != ownLine {
		t.Fatalf("%+v, %v", s, err)
	}
	until(t, "it is opened by its pipeline", func() bool { return times("own") == 1 })

	s.Name = "another name"
	if s, err = w.SaveStream(t.Context(), editor, s); err != nil || s.Name != "another name" {
		t.Errorf("%+v, %v", s, err)
	}
	without := s
	without.Connection.Pipeline = ""
	_, err = w.SaveStream(t.Context(), editor, without)
	kindOn(t, err, core.Denied, "role")
	if _, err = w.SaveStream(t.Context(), admin, without); err != nil {
		t.Error(err)
	}
	until(t, "it is opened by ours", func() bool { return times("ours") == 2 })
	if times("own") != 1 {
		t.Errorf("a name opened it anew: %d times", times("own"))
	}
	s.Connection.Pipeline = "uridecodebin uri={url} ! filesink location=/tmp/secret"
	_, err = w.SaveStream(t.Context(), admin, s)
	kindOn(t, err, core.Invalid, "stream")
	if err != nil && (!strings.Contains(err.Error(), "filesink is not allowed") || strings.Contains(err.Error(), "secret")) {
		t.Error(err)
	}
}

// seen notes what is served again.
type seen struct {
	mu     sync.Mutex
	forgot []core.StreamNumber
}

func (v *seen) URL(host string, n core.StreamNumber) (string, error) {
	return "rtsp://" + host + "/streams/" + string(rune('0'+n)), nil
}

func (v *seen) Forget(n core.StreamNumber) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forgot = append(v.forgot, n)
}

// TestVideo serves files and webcams again, and has them forgotten when they are gone or others.
func TestVideo(t *testing.T) {
	t.Parallel()
	var v seen
	w := newWorld(t, media{}, func(c *service.Config) { c.Viewing = &v })
	b, err := w.SaveBlob(t.Context(), admin, "video/mp4", strings.NewReader("a clip"))
	if err != nil {
		t.Fatal(err)
	}
	camera := w.camera("rtsp://me:secret@a")
	clip, err := w.SaveStream(t.Context(), admin, core.StreamConfig{Connection: core.Connection{Kind: core.FileClip, Blob: b.ID}})
	if err != nil {
		t.Fatal(err)
	}
	webcam, err := w.SaveStream(t.Context(), admin, core.StreamConfig{Connection: core.Connection{Kind: core.Webcam, Device: 3}})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[core.StreamNumber]string{camera.Number: "rtsp://me:secret@a", clip.Number: "rtsp://here/streams/2", webcam.Number: "rtsp://here/streams/3"} {
		if got, err := w.StreamURL(t.Context(), editor, n, "here"); got != want || err != nil {
			t.Errorf("stream %d: %s, %v; want %s", n, got, err, want)
		}
	}
	_, err = w.StreamURL(t.Context(), viewer, 99, "here")
	kindOn(t, err, core.NotFound, "stream")
	_, err = w.StreamURL(t.Context(), service.Caller{}, clip.Number, "here")
	kindOn(t, err, core.Denied, "role")

	if src, _, err := w.Video(t.Context(), clip.Number); err != nil || !strings.HasPrefix(src.URL, w.dir) {
		t.Errorf("%+v, %v", src, err)
	}
	if src, seen, err := w.Video(t.Context(), webcam.Number); seen != nil || err != nil || src.URL != "v4l2:///dev/video3" {
		t.Errorf("%+v, %v", src, err)
	}
	_, _, err = w.Video(t.Context(), camera.Number)
	kindOn(t, err, core.NotFound, "stream")
	_, _, err = w.Video(t.Context(), 99)
	kindOn(t, err, core.NotFound, "stream")

	webcam.Name = "a name"
	if webcam, err = w.SaveStream(t.Context(), admin, webcam); err != nil || len(v.forgot) > 0 {
		t.Errorf("%v, %v", v.forgot, err)
	}
	webcam.Connection.Device = 4
	if _, err = w.SaveStream(t.Context(), admin, webcam); err != nil {
		t.Error(err)
	}
	if err := w.DeleteStream(t.Context(), admin, clip.Number); err != nil {
		t.Error(err)
	}
	if len(v.forgot) != 2 || v.forgot[0] != webcam.Number || v.forgot[1] != clip.Number {
		t.Errorf("forgotten are %v", v.forgot)
	}
}

// TestVideoOff says why there is no URL.
func TestVideoOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{}, nil)
	s, err := w.SaveStream(t.Context(), admin, core.StreamConfig{Connection: core.Connection{Kind: core.Webcam}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.StreamURL(t.Context(), admin, s.Number, "here")
	kindOn(t, err, core.Unsupported, "stream")
	if err != nil && !strings.Contains(err.Error(), "rtsp.listen") {
		t.Error(err)
	}
}
