package gstreamer

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/launchline"
	"github.com/hashicorp/go-hclog"
)

// TestOwnPipelineFile plays a real clip by lines that somebody could have written.
func TestOwnPipelineFile(t *testing.T) {
	t.Parallel()
	clip := data(t, "videos/faces/head-pose-face-detection-female-and-male_480x270_from_gif.mp4")
	for name, c := range map[string]struct {
		line    string
		w, h    int
		frames  int
		inArena bool
	}{
		"short":         {`uridecodebin uri={url} ! appsink name=main_sink`, 480, 270, 56, true},
		"as documented": {`uridecodebin uri="{url}" ! videoconvert ! video/x-raw,format=(string)BGR ! appsink name="main_sink"`, 480, 270, 56, true},
		"by hand":       {`uridecodebin uri={url} caps=video/x-h264 ! h264parse name=buffer_src ! avdec_h264 ! queue ! appsink name=main_sink sync=false`, 480, 270, 56, true},
		"cropped":       {`uridecodebin uri={url} ! videocrop top=10 left=20 ! videoconvert ! appsink name=main_sink`, 460, 260, 56, false},
		"scaled":        {`uridecodebin uri={url} ! videoscale ! video/x-raw, width=(int)240, height=136 ! videoconvert ! "video/x-raw, format=RGB" ! appsink name=main_sink`, 240, 136, 56, false},
		"two branches":  {`uridecodebin uri={url} ! tee name=t t. ! queue ! fakesink t. ! queue ! appsink name=main_sink`, 480, 270, 56, false},
		"beforehand":    {`t. ! queue ! appsink name=main_sink uridecodebin uri={url} ! tee name=t`, 480, 270, 56, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t, newMedia(t), pipeline.Source{URL: clip, Pipeline: c.line})
			frames, err := drain(t, st, nil)
			if err != nil || len(frames) != c.frames {
				t.Fatalf("%d frames, %v; want %d", len(frames), err, c.frames)
			}
			if g := frames[0].Caps; g.Width != c.w || g.Height != c.h {
				t.Errorf("frames are %dx%d, want %dx%d", g.Width, g.Height, c.w, c.h)
			}
			if s := st.Stats(); c.inArena && s.InArena != s.Frames {
				t.Errorf("not all frames came straight from the decoder: %+v", s)
			}
		})
	}
}

// TestOwnPipelineKeyframes has the decoder see key frames only, one that decodebin makes and one that
// stands in the line.
func TestOwnPipelineKeyframes(t *testing.T) {
	t.Parallel()
	clip := data(t, "videos/vehicles/car-detection.mp4")
	m := newMedia(t)
	ours := open(t, m, pipeline.Source{URL: clip, KeyframesOnly: true})
	want, err := drain(t, ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`uridecodebin uri={url} ! appsink name=main_sink`, `uridecodebin uri={url} caps=video/x-h264 ! h264parse ! avdec_h264 ! appsink name=main_sink`} {
		st := open(t, m, pipeline.Source{URL: clip, KeyframesOnly: true, Pipeline: line})
		frames, err := drain(t, st, nil)
		if err != nil || len(frames) != len(want) || len(frames) == 0 || st.Stats().Skipped != ours.Stats().Skipped {
			t.Errorf("%s: %d key frames, want %d; %+v (%v)", line, len(frames), len(want), st.Stats(), err)
		}
	}
}

// TestOwnPipelineRTSP plays a camera by rtspsrc and by uridecodebin, and says why it cannot.
func TestOwnPipelineRTSP(t *testing.T) {
	t.Parallel()
	c := startCamera(t, freeAddress(t), "me", "ge@heim", accessUnits(t))
	var log bytes.Buffer
	m, err := New(hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log}))
	if err != nil {
		t.Fatal(err)
	}
	at := "rtsp://me:ge%40heim@" + c.server.RTSPAddress + "/cam"
	for _, line := range []string{
		`rtspsrc location="{url}" latency=50 ! rtph264depay ! avdec_h264 ! videoconvert ! video/x-raw,format=(string)BGR ! appsink name="main_sink"`,
		`rtspsrc location={url} ! application/x-rtp,media=(string)video ! rtph264depay name=buffer_src ! h264parse ! decodebin ! appsink name=main_sink`,
		`uridecodebin uri={url} ! queue leaky=downstream ! appsink name=main_sink`,
	} {
		st := open(t, m, pipeline.Source{URL: at, Pipeline: line})
		if i := st.Info(); !i.Live || i.Caps.Width != 320 {
			t.Errorf("%s: info is %+v", line, i)
		}
		for range 15 {
			_, p, err := st.Next(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			p.Release()
		}
		if s := st.Stats(); s.InArena != 15 {
			t.Errorf("%s: %+v", line, s)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	wrong := pipeline.Source{URL: "rtsp://me:falsch@" + c.server.RTSPAddress + "/cam", Pipeline: `rtspsrc location={url} ! rtph264depay ! avdec_h264 ! appsink name=main_sink`}
	if _, err := m.Open(t.Context(), wrong); core.KindOf(err) != core.SourceOpen || strings.Contains(err.Error(), "falsch") {
		t.Errorf("a wrong password: %v", err)
	}
	if strings.Contains(log.String(), "heim") || strings.Contains(log.String(), "falsch") {
		t.Errorf("a password is in the log: %s", &log)
	}
}

// TestOwnPipelineFaults plays lines that are allowed and do not work.
func TestOwnPipelineFaults(t *testing.T) {
	t.Parallel()
	clip := data(t, "videos/faces/head-pose-face-detection-female-and-male_480x270_from_gif.mp4")
	m := newMedia(t)
	m.OpenLimit = 5 * time.Second
	for name, c := range map[string]struct {
		url, line string
		kind      core.Kind
		says      string
	}{
		"not on this machine": {clip, `uridecodebin uri={url} caps=video/x-h264 ! omxh264dec ! appsink name=main_sink`, core.Unsupported, "omxh264dec"},
		"cannot be linked":    {clip, `uridecodebin uri={url} ! h264parse ! jpegdec ! appsink name=main_sink`, core.Unsupported, "jpegdec"},
		"not this URL":        {clip, `rtspsrc location={url} ! rtph264depay ! avdec_h264 ! appsink name=main_sink`, core.Invalid, "file://"},
		"test pictures":       {"test://", `uridecodebin uri={url} ! appsink name=main_sink`, core.Invalid, "test://"},
		"wrong video":         {clip, `uridecodebin uri={url} caps=video/x-h264 ! h265parse ! avdec_h265 ! appsink name=main_sink`, core.SourceFormat, ""},
		"a value beyond":      {clip, `uridecodebin uri={url} ! videocrop top=100000 ! appsink name=main_sink`, core.SourceFormat, ""},
		"not allowed":         {clip, `uridecodebin uri={url} ! filesink location=x appsink name=main_sink`, core.Invalid, "filesink"},
		"not there":           {clip + "x", `uridecodebin uri={url} ! appsink name=main_sink`, core.SourceOpen, ""},
	} {
		st, err := m.Open(t.Context(), pipeline.Source{URL: c.url, Pipeline: c.line})
		if err == nil {
			st.Close()
		}
		if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s: %q", name, err, c.kind, c.says)
		}
	}
}

// TestAllowedElements holds the allow-list against GStreamer, for the elements that are installed: a
// line with every property set to something is built.
func TestAllowedElements(t *testing.T) {
	t.Parallel()
	begin()
	found := 0
	for _, a := range launchline.List() {
		if !hasElement(a.Kind) {
			continue
		}
		found++
		for _, property := range a.Properties {
			value := map[string]string{"int": "1", "float": "1", "bool": "true", "fraction": "1/1", "nick": "0", "caps": "video/x-raw"}[property[1]]
			if value == "" {
				value = "x:///x"
			}
			p, err := newPipe(hclog.NewNullLogger(), a.Kind+" "+property[0]+"=\""+value+"\" fakesrc ! fakesink")
			if err != nil {
				t.Errorf("%s %s: %v", a.Kind, property[0], err)
				continue
			}
			p.stop()
		}
	}
	if found < 40 {
		t.Errorf("only %d elements of the list are installed", found)
	}
}

// TestNothingElseReachesGStreamer builds what is let through of lines that were changed at random, and
// looks at what GStreamer made of it.
func TestNothingElseReachesGStreamer(t *testing.T) {
	t.Parallel()
	begin()
	allowed := map[string]bool{"videoconvert": true, "capsfilter": true}
	for _, a := range launchline.List() {
		allowed[a.Kind] = true
	}
	seeds := []string{
		`rtspsrc location="{url}" latency=100 ! rtph264depay name=buffer_src ! avdec_h264 ! videoconvert ! video/x-raw,format=(string)BGR ! appsink name="main_sink"`,
		`uridecodebin uri={url} ! tee name=t t.src_0 ! queue ! fakesink t. ! video/x-raw, width=[1,2], format={I420,NV12} ! appsink name=main_sink sync=false`,
		`uridecodebin uri={url} caps="video/x-h264" ! h264parse ! avdec_h264 ! videocrop top=1 ! "video/x-raw, framerate=(fraction)30/1" ! queue leaky=2 ! appsink name=main_sink`,
	}
	parts := []string{" ! ", " filesink location=/tmp/capstan-mutation ", "execsrc", "{url}", "\"", "'", "\\", "(", ")", ".", "=", ",", " queue ! ", "name=x", "x.", "video/x-raw", " fakesink ", "location=", "u\u0000", ";"}
	r := rand.New(rand.NewPCG(3, 4))
	built, made := 0, 0
	for range 30_000 {
		line := seeds[r.IntN(len(seeds))]
		for range 1 + r.IntN(3) {
			at := r.IntN(len(line) + 1)
			line = line[:at] + parts[r.IntN(len(parts))] + line[min(at+r.IntN(5), len(line)):]
		}
		parsed, err := launchline.Parse(line)
		if err != nil {
			continue
		}
		if built++; built > 400 {
			break
		}
		o := &own{line: parsed, uri: "file:///not/there"}
		p, err := newPipe(hclog.NewNullLogger(), item{own: o}.launch(false))
		if err != nil {
			continue // it cannot be linked
		}
		made++
		elements, err := p.pipeline.GetElements()
		if err != nil {
			t.Fatal(err)
		}
		if len(elements) != len(parsed.Elements)+2 { // videoconvert and its filter stand before the sink
			t.Errorf("%q makes %d elements of %d", line, len(elements), len(parsed.Elements))
		}
		for _, e := range elements {
			if kind := e.GetFactory().GetName(); !allowed[kind] {
				t.Errorf("%q makes a %s", line, kind)
			}
		}
		p.stop()
	}
	if made < 50 {
		t.Errorf("only %d of %d could be built; the test says little", made, built)
	}
}
