package gstreamer

// #include "bus.h"
import "C"

import (
	"fmt"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// Finding is one thing that Check looked at.
type Finding struct {
	Name     string // "GStreamer", "element x264enc", "decoder H.264", "shared memory", …
	OK       bool
	Required bool   // nothing works without it; else only what Use says is lost
	Detail   string // a version, a list, or what is wrong
	Use      string // what it is for
	Package  string // the Debian package that brings it; empty: none does
}

// needed lists the elements that are used.
var needed = []struct {
	element, pkg, use string
	required          bool
}{
	{"uridecodebin", "gstreamer1.0-plugins-base", "opening sources", true},
	{"videoconvert", "gstreamer1.0-plugins-base", "odd pixel formats", true},
	{"appsink", "gstreamer1.0-plugins-base", "taking frames", true},
	{"typefind", "libgstreamer1.0-0", "opening sources", true},
	{"videoflip", "gstreamer1.0-plugins-good", "turned video", false},
	{"videotestsrc", "gstreamer1.0-plugins-base", "test:// sources", false},
	{"qtdemux", "gstreamer1.0-plugins-good", "mp4 and mov files", false},
	{"matroskademux", "gstreamer1.0-plugins-good", "mkv and webm files", false},
	{"avidemux", "gstreamer1.0-plugins-good", "avi files", false},
	{"tsdemux", "gstreamer1.0-plugins-bad", "ts files and HLS", false},
	{"h264parse", "gstreamer1.0-plugins-bad", "H.264", false},
	{"h265parse", "gstreamer1.0-plugins-bad", "H.265", false},
	{"rtspsrc", "gstreamer1.0-plugins-good", "rtsp:// sources", false},
	{"souphttpsrc", "gstreamer1.0-plugins-good", "http:// sources", false},
	{"hlsdemux", "gstreamer1.0-plugins-bad", "HLS", false},
	{"multipartdemux", "gstreamer1.0-plugins-good", "MJPEG over HTTP", false},
	{"v4l2src", "gstreamer1.0-plugins-good", "v4l2:// cameras", false},
	{"jpegdec", "gstreamer1.0-plugins-good", "JPEG images", false},
	{"pngdec", "gstreamer1.0-plugins-good", "PNG images", false},
	{"gdkpixbufdec", "gstreamer1.0-plugins-good", "GIF, BMP and TIFF images", false},
	{"webpdec", "gstreamer1.0-plugins-bad", "WebP images", false},
	{"appsrc", "gstreamer1.0-plugins-base", "writing video", false},
	{"videoscale", "gstreamer1.0-plugins-base", "writing video of odd sizes", false},
	{"jpegenc", "gstreamer1.0-plugins-good", "frames of alerts", false},
	{"x264enc", "gstreamer1.0-plugins-ugly", "writing video", false},
	{"mp4mux", "gstreamer1.0-plugins-good", "writing video", false},
	{"compositor", "gstreamer1.0-plugins-base", "the demo clip", false},
	{"imagefreeze", "gstreamer1.0-plugins-good", "the demo clip", false},
}

// decoders lists, for each kind of video, the elements of which one is enough.
var decoders = []struct {
	name, pkg string
	any       []string
}{
	{"H.264", "gstreamer1.0-libav", []string{"avdec_h264", "openh264dec", "vah264dec", "nvh264dec", "v4l2h264dec"}},
	{"H.265", "gstreamer1.0-libav", []string{"avdec_h265", "libde265dec", "vah265dec", "nvh265dec", "v4l2h265dec"}},
	{"VP8", "gstreamer1.0-plugins-good", []string{"vp8dec", "avdec_vp8"}},
	{"VP9", "gstreamer1.0-plugins-good", []string{"vp9dec", "avdec_vp9"}},
	{"AV1", "gstreamer1.0-plugins-bad", []string{"dav1ddec", "av1dec", "avdec_av1"}},
	{"MPEG-4", "gstreamer1.0-libav", []string{"avdec_mpeg4"}},
	{"MPEG-2", "gstreamer1.0-plugins-ugly", []string{"mpeg2dec", "avdec_mpeg2video"}},
	{"Motion JPEG", "gstreamer1.0-plugins-good", []string{"jpegdec", "avdec_mjpeg"}},
	{"GIF", "gstreamer1.0-libav", []string{"avdec_gif"}},
}

func hasElement(name string) bool {
	c := C.CString(name)
	defer C.g_free(C.gpointer(c))
	return C.bus_has_element(c) != 0
}

// Check looks at what this package needs of the machine: GStreamer, its elements and
// decoders, libyuv, shared memory. It opens no source.
func Check() []Finding {
	begin()
	findings := []Finding{version(), {Name: "libyuv", OK: true, Required: true, Detail: fmt.Sprintf("version %d", int(C.bus_yuv_version())), Use: "conversions", Package: "libyuv0"}, memory()}
	for _, n := range needed {
		f := Finding{Name: "element " + n.element, OK: hasElement(n.element), Required: n.required, Use: n.use, Package: n.pkg}
		if !f.OK {
			f.Detail = "missing"
		}
		findings = append(findings, f)
	}
	for _, d := range decoders {
		found := slices.DeleteFunc(slices.Clone(d.any), func(e string) bool { return !hasElement(e) })
		f := Finding{Name: "decoder " + d.name, OK: len(found) > 0, Detail: strings.Join(found, ", "), Use: d.name + " video", Package: d.pkg}
		if !f.OK {
			f.Detail = "missing"
		}
		findings = append(findings, f)
	}
	return findings
}

// version is 1.20 at least: mp4mux finishes fragmented files, and appsrc counts frames, since then.
func version() Finding {
	var major, minor, micro, nano C.guint
	C.gst_version(&major, &minor, &micro, &nano)
	f := Finding{Name: "GStreamer", OK: major > 1 || minor >= 20, Required: true, Detail: fmt.Sprintf("%d.%d.%d", major, minor, micro), Use: "everything", Package: "libgstreamer1.0-0"}
	if !f.OK {
		f.Detail += " is older than 1.20"
	}
	return f
}

func memory() Finding {
	f := Finding{Name: "shared memory", Required: true, Use: "frames that are not copied", Detail: "sealed memfd"}
	a, err := shm.Create(pageSize)
	if err != nil {
		f.Detail = err.Error()
		return f
	}
	a.Bytes()[0] = 1
	f.OK = a.Close() == nil
	return f
}
