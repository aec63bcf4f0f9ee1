package gstreamer

import (
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/go-gst/go-gst/gst"
)

// TestDiagnosis reads what GStreamer says, as it was seen on the bus.
func TestDiagnosis(t *testing.T) {
	t.Parallel()
	const where = "../gst/x.c(1): f (): /GstPipeline:pipeline0/x:\n"
	failed := func(domain string, code int, element, text, line string) *message {
		return &message{kind: gst.MessageError, domain: "gst-" + domain + "-error-quark", code: code, element: element, text: text, debug: where + line}
	}
	h265 := "no suitable plugins found:\nMissing decoder: MPEG-4 AAC (audio/mpeg, mpegversion=(int)4)\nMissing decoder: H.265 (Main Profile) (video/x-h265, stream-format=(string)hvc1)\n"
	tests := []struct {
		name     string
		messages []*message
		playing  bool
		kind     core.Kind
		says     []string
	}{
		{"no decoder", []*message{failed("core", 12, "uridecodebin", "Your GStreamer installation is missing a plug-in.", h265)}, false,
			core.SourceFormat, []string{"no decoder for H.265 (Main Profile)", "gstreamer1.0-libav"}},
		{"missing plugin message", []*message{{kind: gst.MessageElement, missing: "image/webp", missingWords: "WebP image decoder"}, failed("stream", 6, "uridecodebin", "x", "")}, false,
			core.SourceFormat, []string{"WebP", "gstreamer1.0-plugins-bad"}},
		{"sound only", []*message{failed("core", 12, "uridecodebin", "x", "Missing decoder: Vorbis (audio/x-vorbis, rate=(int)44100)")}, false,
			core.SourceFormat, []string{"no video track"}},
		{"the first of many", []*message{failed("resource", 3, "souphttpsrc", "Not Found", "Not Found (404), URL: http://u:p@h/x, Redirect to: (NULL)"), failed("stream", 1, "typefind", "Internal data stream error.", "streaming stopped, reason error (-5)")}, false,
			core.SourceOpen, []string{"Not Found (404)"}},
		{"password", []*message{failed("resource", 15, "rtspsrc", "Unauthorized", "")}, false, core.SourceOpen, []string{"check user and password"}},
		{"text", []*message{failed("stream", 5, "decodebin", "This appears to be a text file", "")}, false, core.SourceFormat, []string{"not a video"}},
		{"alpha", []*message{{kind: gst.MessageElement, missing: "video/x-vp9", missingWords: "VP9"}, failed("core", 12, "uridecodebin", "x", "no suitable plugins found:\nMissing decoder: VP9 (video/x-vp9, codec-alpha=(boolean)true, width=(int)320)\n")}, false,
			core.SourceFormat, []string{"alpha channel", "encode it without"}},
		{"cut off", []*message{failed("stream", 1, "qtdemux", "This file contains no playable streams.", "no known streams found")}, false, core.SourceFormat, []string{"no playable streams", "cut off"}},
		{"nothing at all", nil, false, core.SourceFormat, []string{"no picture"}},
		{"broke", []*message{failed("stream", 1, "qtdemux", "Internal data stream error.", "streaming stopped, reason error (-5)")}, true, core.SourceBroken, []string{"play:", "reason error"}},
		{"secret", []*message{failed("resource", 5, "rtspsrc", "Could not open rtsp://me:geheim@h/x.", "")}, false, core.SourceOpen, []string{"rtsp://…@h/x"}},
	}
	for _, c := range tests {
		d := diagnosis{name: "it", frames: c.playing}
		for _, m := range c.messages {
			d.hear(m)
		}
		f := d.fault()
		for _, s := range c.says {
			if !strings.Contains(f.Error(), s) {
				t.Errorf("%s: %v lacks %q", c.name, f, s)
			}
		}
		if f.Kind != c.kind || strings.Contains(f.Error(), "geheim") || strings.Contains(f.Error(), "u:p") {
			t.Errorf("%s: %s: %v", c.name, f.Kind, f)
		}
	}
}
