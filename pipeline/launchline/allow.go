package launchline

import (
	"regexp"
	"slices"
	"strings"
)

// Roles of elements.
const (
	source = "source" // takes {url}
	middle = ""
	sink   = "sink"
)

// kind is what may be said of one kind of element.
type kind struct {
	group      string
	role       string
	properties map[string]string // types by name
}

// Types of properties: int, float, bool, fraction, nick (of an enumeration or of flags), caps, and
// url:SCHEMES, which takes {url} and nothing else.

// allowed lists the elements in groups: what they are for, their role, and on each line elements
// with the properties that they may have. None of them opens a file, a socket or a program beside
// the one that {url} names.
var groups = []struct {
	name, role string
	lines      []string
}{
	{"Sources", source, []string{
		"uridecodebin: uri=url:rtsp,rtsps,http,https,file,v4l2 caps=caps buffer-duration=int buffer-size=int use-buffering=bool connection-speed=int force-sw-decoders=bool",
		"rtspsrc: location=url:rtsp,rtsps latency=int protocols=nick timeout=int tcp-timeout=int retry=int drop-on-latency=bool do-retransmission=bool do-rtcp=bool " +
			"do-rtsp-keep-alive=bool buffer-mode=nick ntp-sync=bool udp-buffer-size=int udp-reconnect=bool probation=int is-live=bool connection-speed=int",
		"souphttpsrc: location=url:http,https timeout=int retries=int is-live=bool do-timestamp=bool keep-alive=bool blocksize=int",
		"v4l2src: device=url:v4l2 io-mode=nick do-timestamp=bool",
	}},
	{"Demultiplexers", middle, []string{
		"qtdemux:", "matroskademux:", "avidemux:", "flvdemux:", "tsdemux:", "mpegpsdemux:", "multipartdemux: single-stream=bool", "rtpjitterbuffer: latency=int mode=nick drop-on-latency=bool do-lost=bool",
	}},
	{"Depayloaders", middle, []string{
		"rtph264depay: wait-for-keyframe=bool request-keyframe=bool", "rtph265depay:", "rtph263depay:", "rtph263pdepay:", "rtpjpegdepay:", "rtpmp4vdepay:", "rtpmpvdepay:", "rtpmp2tdepay:",
		"rtpvp8depay: wait-for-keyframe=bool request-keyframe=bool", "rtpvp9depay: wait-for-keyframe=bool request-keyframe=bool", "rtpav1depay:", "rtpvrawdepay:",
	}},
	{"Parsers", middle, []string{
		"parsebin:", "h264parse: config-interval=int disable-passthrough=bool", "h265parse: config-interval=int disable-passthrough=bool", "mpeg4videoparse: config-interval=int drop=bool",
		"mpegvideoparse:", "jpegparse:", "vp9parse:", "av1parse:", "h263parse:",
	}},
	{"Decoders", middle, []string{
		"decodebin: caps=caps force-sw-decoders=bool use-buffering=bool connection-speed=int",
		"avdec_h264 avdec_h265 avdec_mpeg4 avdec_mpeg2video avdec_vp8 avdec_vp9 avdec_av1: max-threads=int skip-frame=nick output-corrupt=bool thread-type=nick lowres=nick direct-rendering=bool",
		"avdec_mjpeg avdec_h263: skip-frame=nick output-corrupt=bool lowres=nick direct-rendering=bool",
		"openh264dec:", "libde265dec: max-threads=int", "vp8dec vp9dec: threads=int", "dav1ddec: n-threads=int", "av1dec:", "jpegdec:", "pngdec:",
		"nvh264dec nvh265dec nvjpegdec nvv4l2decoder: max-display-delay=int", "vah264dec vah265dec vajpegdec:", "vaapidecodebin vaapih264dec vaapih265dec vaapijpegdec: low-latency=bool",
		"v4l2h264dec v4l2h265dec v4l2jpegdec:", "omxh264dec omxh265dec:", "msdkh264dec msdkh265dec msdkmjpegdec:",
	}},
	{"Converters", middle, []string{
		"videoconvert: n-threads=int dither=nick chroma-mode=nick matrix-mode=nick", "videoscale: method=nick add-borders=bool n-threads=int", "videoconvertscale: method=nick add-borders=bool n-threads=int",
		"videocrop: top=int bottom=int left=int right=int", "aspectratiocrop: aspect-ratio=fraction", "videobox: top=int bottom=int left=int right=int fill=nick autocrop=bool",
		"videoflip: method=nick video-direction=nick", "videobalance: brightness=float contrast=float hue=float saturation=float", "gamma: gamma=float",
		"videorate: drop-only=bool max-rate=int skip-to-first=bool", "deinterlace: mode=nick method=nick fields=nick",
		"vapostproc:", "vaapipostproc:", "nvvidconv:", "nvvideoconvert:", "cudadownload:", "v4l2convert:",
	}},
	{"Flow", middle, []string{
		"capsfilter: caps=caps", "identity: sync=bool silent=bool single-segment=bool drop-probability=float",
		"queue: max-size-buffers=int max-size-bytes=int max-size-time=int min-threshold-buffers=int min-threshold-bytes=int min-threshold-time=int leaky=nick silent=bool flush-on-eos=bool",
		"queue2: max-size-buffers=int max-size-bytes=int max-size-time=int use-buffering=bool", "tee: allow-not-linked=bool", "valve: drop=bool",
	}},
	{"Sinks", sink, []string{
		"appsink: sync=bool drop=bool max-buffers=int emit-signals=bool enable-last-sample=bool wait-on-eos=bool async=bool qos=bool caps=caps", "fakesink: sync=bool async=bool silent=bool",
	}},
}

// kinds is groups by element.
var kinds = func() map[string]kind {
	out := map[string]kind{}
	for _, g := range groups {
		for _, line := range g.lines {
			names, rest, _ := strings.Cut(line, ":")
			properties := map[string]string{}
			for _, p := range strings.Fields(rest) {
				name, t, _ := strings.Cut(p, "=")
				properties[name] = t
			}
			for _, n := range strings.Fields(names) {
				out[n] = kind{g.name, g.role, properties}
			}
		}
	}
	return out
}()

// values are the patterns of the types of properties.
var values = map[string]*regexp.Regexp{
	"int":      regexp.MustCompile(`^-?[0-9]{1,18}$`),
	"float":    regexp.MustCompile(`^-?[0-9]{1,9}(\.[0-9]{1,9})?$`),
	"bool":     regexp.MustCompile(`^(?i:true|false|yes|no|0|1)$`),
	"fraction": regexp.MustCompile(`^[0-9]{1,6}/[0-9]{1,6}$`),
	"nick":     regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_+-]{0,63}$`),
}

// allowed holds elements and properties against the list, and reads caps.
func (p *Pipeline) allowed() error {
	for i := range p.Elements {
		e := &p.Elements[i]
		k, ok := kinds[e.Kind]
		if !ok {
			f := fault("the element %s is not allowed", e.Kind)
			f.Hint = "docs/reference/pipelines.md lists those that are"
			return f
		}
		for j := range e.Properties {
			if err := e.Properties[j].allowed(e.Kind, k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *Property) allowed(element string, k kind) (err error) {
	t, ok := k.properties[v.Name]
	switch {
	case !ok:
		f := fault("the property %s of %s is not allowed", v.Name, element)
		f.Hint = "docs/reference/pipelines.md lists those that are"
		return f
	case strings.HasPrefix(t, "url:"):
		if v.Value != URL {
			return fault("%s of %s has to be %s: the stream's URL stands in the stream", v.Name, element, URL)
		}
	case t == "caps":
		if v.Caps == nil {
			if v.Caps, err = parseCaps(v.Value); err != nil {
				return err
			}
			v.Value = v.Caps.String()
		}
	case !values[t].MatchString(v.Value):
		return fault("the value of %s of %s is not of the type %s", v.Name, element, t)
	}
	return nil
}

// Allowed is one kind of element that may be used.
type Allowed struct {
	Kind, Group string
	Properties  [][2]string // names with types, in order
}

// List gives the allow-list, in the order of groups and then of names.
func List() []Allowed {
	var out []Allowed
	for _, g := range groups {
		var of []Allowed
		for name, k := range kinds {
			if k.group != g.name {
				continue
			}
			a := Allowed{Kind: name, Group: g.name}
			for p, t := range k.properties {
				a.Properties = append(a.Properties, [2]string{p, t})
			}
			slices.SortFunc(a.Properties, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
			of = append(of, a)
		}
		slices.SortFunc(of, func(a, b Allowed) int { return strings.Compare(a.Kind, b.Kind) })
		out = append(out, of...)
	}
	return out
}

// Reference gives the allow-list as it stands in docs/reference/pipelines.md.
func Reference() string {
	var b strings.Builder
	group := ""
	for _, a := range List() {
		if a.Group != group {
			group = a.Group
			b.WriteString("\n## " + group + "\n\n| element | properties |\n|---|---|\n")
		}
		b.WriteString("| `" + a.Kind + "` | ")
		for i, p := range a.Properties {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("`" + p[0] + "` " + typeName(p[1]))
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// typeName says what a property takes.
func typeName(t string) string {
	if schemes, ok := strings.CutPrefix(t, "url:"); ok {
		return "`" + URL + "`: " + strings.ReplaceAll(schemes, ",", ", ")
	}
	return t
}
