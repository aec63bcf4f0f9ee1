package launchline

import (
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// show writes what was understood, to compare.
func show(p *Pipeline) string {
	var b strings.Builder
	for i, e := range p.Elements {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.Kind)
		if e.Name != "" {
			b.WriteString(" #" + e.Name)
		}
		for _, v := range e.Properties {
			b.WriteString(" " + v.Name + "=" + v.Value)
		}
	}
	for _, l := range p.Links {
		b.WriteString(" | " + string(rune('0'+l.From)) + l.FromPad + ">" + string(rune('0'+l.To)) + l.ToPad)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, want string }{
		"shortest": {"uridecodebin uri={url} ! appsink name=main_sink", "uridecodebin uri={url}; appsink #main_sink | 0>1"},
		"quotes": {`rtspsrc location="{url}" ! rtph264depay name='buffer_src' ! decodebin ! appsink name="main_sink"`,
			"rtspsrc location={url}; rtph264depay #buffer_src; decodebin; appsink #main_sink | 0>1 | 1>2 | 2>3"},
		"spaces":    {"\n uridecodebin  uri = {url}\t!\n appsink  name =main_sink ", "uridecodebin uri={url}; appsink #main_sink | 0>1"},
		"no spaces": {"uridecodebin uri={url}!queue!appsink name=main_sink", "uridecodebin uri={url}; queue; appsink #main_sink | 0>1 | 1>2"},
		"caps": {"uridecodebin uri={url} ! video/x-raw , format = (string) { I420 , NV12 } , width=[ 1 , 640 ] ! appsink name=main_sink",
			"uridecodebin uri={url}; capsfilter caps=video/x-raw,format=(string){I420,NV12},width=[1,640]; appsink #main_sink | 0>1 | 1>2"},
		"caps in quotes": {`uridecodebin uri={url} ! "video/x-raw(memory:NVMM), framerate=(fraction)30/1" ! appsink name=main_sink`,
			"uridecodebin uri={url}; capsfilter caps=video/x-raw(memory:NVMM),framerate=(fraction)30/1; appsink #main_sink | 0>1 | 1>2"},
		"caps as a property": {`uridecodebin uri={url} ! capsfilter caps="video/x-raw, format=\u0022" ! appsink name=main_sink`, ""},
		"caps of a filter": {`uridecodebin uri={url} ! capsfilter caps="video/x-raw, width = 64" ! appsink name=main_sink`,
			"uridecodebin uri={url}; capsfilter caps=video/x-raw,width=64; appsink #main_sink | 0>1 | 1>2"},
		"branches": {"uridecodebin uri={url} ! tee name=t t.src_1 ! queue ! fakesink t. ! queue ! appsink name=main_sink",
			"uridecodebin uri={url}; tee #t; queue; fakesink; queue; appsink #main_sink | 0>1 | 1src_1>2 | 2>3 | 1>4 | 4>5"},
		"joined later": {"queue name=q ! appsink name=main_sink uridecodebin uri={url} ! q.sink", "queue #q; appsink #main_sink; uridecodebin uri={url} | 0>1 | 2>0sink"},
		"numbers": {"uridecodebin uri={url} ! videobalance brightness=-0.5 hue=1 ! queue max-size-time=3000000000 leaky=downstream ! appsink name=main_sink sync=False",
			"uridecodebin uri={url}; videobalance brightness=-0.5 hue=1; queue max-size-time=3000000000 leaky=downstream; appsink #main_sink sync=False | 0>1 | 1>2 | 2>3"},
	} {
		p, err := Parse(c.line)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: understood", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := show(p); got != c.want {
			t.Errorf("%s:\n %s, want\n %s", name, got, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const end = " ! appsink name=main_sink"
	for name, c := range map[string]struct{ line, says string }{
		"nothing":              {"", "{url} is missing"},
		"too long":             {strings.Repeat(" ", MaxLength) + "x", "bytes"},
		"no URL":               {"videotestsrc" + end, "videotestsrc is not allowed"},
		"no sink":              {"uridecodebin uri={url} ! fakesink", "main_sink is missing"},
		"another name":         {"uridecodebin uri={url} ! appsink name=sink", "not named main_sink"},
		"two sinks":            {"uridecodebin uri={url} ! tee name=t ! appsink name=main_sink t. ! appsink name=other", "not named"},
		"two of one name":      {"uridecodebin uri={url} ! tee name=t ! appsink name=main_sink t. ! appsink name=main_sink", "two elements"},
		"two URLs":             {"uridecodebin uri={url} ! fakesink uridecodebin uri={url}" + end, "twice"},
		"a file":               {"filesrc location={url} ! decodebin" + end, "filesrc is not allowed"},
		"a file to write":      {"uridecodebin uri={url} ! tee name=t t. ! filesink location=/etc/passwd t." + end, "filesink is not allowed"},
		"a server":             {"uridecodebin uri={url} ! tee name=t t. ! tcpserversink t." + end, "not allowed"},
		"a program":            {"execsrc command={url} ! decodebin" + end, "not allowed"},
		"a player":             {"playbin uri={url}" + end, "not allowed"},
		"a URL of one's own":   {"uridecodebin uri=file:///etc/passwd" + end, "has to be {url}"},
		"a URL and more":       {"uridecodebin uri={url}x" + end, "has to be {url}"},
		"a URL in quotes":      {`uridecodebin uri="file:///etc/passwd?{url}"` + end, "has to be {url}"},
		"a place for it":       {"uridecodebin uri={url} ! queue2 temp-template={url}" + end, "temp-template of queue2 is not allowed"},
		"a value":              {"uridecodebin uri={url} ! videocrop top={url}" + end, "not of the type int"},
		"a secret":             {"rtspsrc location={url} user-id=me ! decodebin" + end, "user-id of rtspsrc is not allowed"},
		"a child's property":   {"uridecodebin uri={url} source::location=x" + end, "not understood"},
		"a bin":                {"( uridecodebin uri={url} )" + end, "brackets"},
		"a named bin":          {"bin.( uridecodebin uri={url} )" + end, "brackets"},
		"all pads":             {"uridecodebin uri={url} : appsink name=main_sink", ": is not understood"},
		"a backslash":          {`uridecodebin uri={url} ! queue leaky=down\stream` + end, "not understood"},
		"a quote in a quote":   {`uridecodebin uri={url} ! queue leaky="a\"b"` + end, "quote"},
		"an open quote":        {`uridecodebin uri="{url}` + end, "quote"},
		"behind a quote":       {`uridecodebin uri="{url}"x` + end, "behind the quote"},
		"a NUL":                {"uridecodebin uri={url}\x00" + end, "not understood"},
		"other letters":        {"uridecodebin uri={url} ! größe" + end, "a character is not understood"},
		"no start":             {"! uridecodebin uri={url}" + end, "nothing before it"},
		"two links":            {"uridecodebin uri={url} ! !" + end, "nothing before it"},
		"no end":               {"uridecodebin uri={url}" + end + " !", "after the last !"},
		"after the sink":       {"uridecodebin uri={url}" + end + " ! fakesink", "nothing can come after"},
		"loose":                {"queue uridecodebin uri={url}" + end, "comes"},
		"no such name":         {"uridecodebin uri={url} ! x.", "x. is the name of no element"},
		"a name for nothing":   {"uridecodebin uri={url}" + end + " main_sink.", "nothing comes after main_sink."},
		"a circle":             {"uridecodebin uri={url}" + end + " queue name=a ! queue name=b ! a.", "circle"},
		"linked twice":         {"uridecodebin uri={url} ! tee name=t ! appsink name=main_sink t. ! main_sink.", "too often"},
		"a property alone":     {"uri={url} uridecodebin" + end, "not behind an element"},
		"a property of caps":   {"uridecodebin uri={url} ! video/x-raw width=3" + end, "not behind an element"},
		"set twice":            {"uridecodebin uri={url} ! queue silent=1 silent=0" + end, "set twice"},
		"a wrong name":         {"uridecodebin uri={url} name=1" + end, "want one name"},
		"caps of a text":       {"uridecodebin uri={url} ! text/x-raw" + end, "format of the caps"},
		"caps with no value":   {"uridecodebin uri={url} ! video/x-raw,width=" + end, "not understood"},
		"caps with a type":     {"uridecodebin uri={url} ! video/x-raw,width=(GstCaps)x" + end, "type of the field"},
		"caps and more":        {`uridecodebin uri={url} ! "video/x-raw ! filesink"` + end, "more than caps"},
		"caps without end":     {"uridecodebin uri={url} ! video/x-raw,format={I420" + end, "not understood"},
		"caps at the start":    {"video/x-raw ! uridecodebin uri={url}" + end, "no ! before"},
		"several caps":         {"uridecodebin uri={url} ! video/x-raw;image/jpeg" + end, "not understood"},
		"many elements":        {"uridecodebin uri={url}" + strings.Repeat(" ! queue", MaxElements) + end, "more than 64 elements"},
		"a URL as an element":  {"rtsp://me:secret@host/1 ! decodebin" + end, "not understood"},
		"a source of no URL":   {"uridecodebin uri={url} ! fakesink v4l2src" + end, "has no {url}"},
		"a path as an element": {"/bin/sh" + end, "not understood"},
	} {
		p, err := Parse(c.line)
		var f *core.Fault
		if err == nil || !errors.As(err, &f) || f.Kind != core.Invalid || f.On != "pipeline" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v; want %q", name, p, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the refusal tells a secret: %v", name, err)
		}
	}
}

func TestTakes(t *testing.T) {
	t.Parallel()
	for line, fits := range map[string]string{
		"uridecodebin uri={url}":                 "rtsp rtsps http https file v4l2",
		"rtspsrc location={url} ! decodebin":     "rtsp rtsps",
		"souphttpsrc location={url} ! decodebin": "http https",
		"v4l2src device={url} ! video/x-raw":     "v4l2",
	} {
		p, err := Parse(line + " ! appsink name=main_sink")
		if err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"rtsp", "rtsps", "http", "https", "file", "v4l2", "test", "", "ht", "rtsp,rtsps"} {
			if got, want := p.Takes(scheme) == nil, scheme != "" && strings.Contains(" "+fits+" ", " "+scheme+" "); got != want {
				t.Errorf("%s of %q: %t, want %t", line, scheme, got, want)
			}
		}
	}
}

// harmless says what is wrong with a pipeline that was let through, by rules of its own.
func harmless(p *Pipeline) string {
	list := map[string]map[string]string{}
	for _, a := range List() {
		list[a.Kind] = map[string]string{}
		for _, v := range a.Properties {
			list[a.Kind][v[0]] = v[1]
		}
	}
	urls := 0
	for _, e := range p.Elements {
		properties, ok := list[e.Kind]
		if !ok {
			return "element " + e.Kind
		}
		for _, v := range e.Properties {
			t, ok := properties[v.Name]
			if !ok {
				return "property " + v.Name
			}
			if v.Value == URL {
				urls++
				if !strings.HasPrefix(t, "url:") {
					return "a URL for " + v.Name
				}
				continue
			}
			if strings.HasPrefix(t, "url:") || strings.ContainsAny(v.Value, "\"'\\! \t\n\r;\x00") || t != "caps" && t != "fraction" && strings.ContainsAny(v.Value, "/:=(){}") {
				return "the value of " + v.Name
			}
		}
		if !isWord("x" + e.Name) {
			return "the name"
		}
	}
	for _, l := range p.Links {
		if !isWord("x"+l.FromPad) || !isWord("x"+l.ToPad) {
			return "a pad"
		}
	}
	if urls != 1 || p.Elements[p.Sink].Name != Sink || p.Elements[p.Sink].Kind != "appsink" {
		return "the ends"
	}
	return ""
}

var seeds = []string{
	`rtspsrc location="{url}" latency=100 ! rtph264depay name=buffer_src ! avdec_h264 ! videoconvert ! video/x-raw,format=(string)BGR ! appsink name="main_sink"`,
	`uridecodebin uri={url} ! tee name=t t.src_0 ! queue ! fakesink t. ! video/x-raw(memory:NVMM), width=[1,2], format={I420,NV12} ! appsink name=main_sink sync=false`,
	`uridecodebin uri={url} ! filesink location=/tmp/x ! appsink name=main_sink`,
	`v4l2src device={url} ! "video/x-raw, framerate=(fraction)30/1" ! queue leaky=2 ! appsink name=main_sink`,
}

// FuzzParse holds that what is let through is harmless by rules that are written down twice.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p, err := Parse(line)
		if err != nil {
			if core.KindOf(err) != core.Invalid {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		if wrong := harmless(p); wrong != "" {
			t.Fatalf("%q: %s", line, wrong)
		}
	})
}

// TestMutations changes good lines at random, a hundred thousand times, with parts of bad ones.
func TestMutations(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	parts := []string{" ! ", "filesink location=x", "execsrc", "{url}", "\"", "'", "\\", "(", ")", ".", "=", ",", "/", "name=main_sink", "t.", "tee name=t", " queue ", "appsink", "video/x-raw", "\x00", ":", ";", "fakesink", "location=", "uri="}
	passed := 0
	for range 100_000 {
		line := seeds[r.IntN(len(seeds))]
		for range 1 + r.IntN(4) {
			at, to := r.IntN(len(line)+1), r.IntN(len(line)+1)
			at, to = min(at, to), max(at, to)
			switch r.IntN(4) {
			case 0:
				line = line[:at] + line[min(at+r.IntN(4), len(line)):]
			case 1:
				line = line[:at] + parts[r.IntN(len(parts))] + line[at:]
			case 2:
				line = line[:at] + parts[r.IntN(len(parts))] + line[min(at+r.IntN(9), len(line)):]
			default:
				line = line[:at] + line[at:to] + line[at:]
			}
			line = line[:min(len(line), 4000)]
		}
		p, err := Parse(line)
		if err != nil {
			continue
		}
		passed++
		if wrong := harmless(p); wrong != "" {
			t.Fatalf("%q: %s", line, wrong)
		}
	}
	if passed < 100 {
		t.Errorf("only %d were let through; the test says little", passed)
	}
}

// TestReference holds docs/reference/pipelines.md against the list.
func TestReference(t *testing.T) {
	t.Parallel()
	const path = "../../docs/reference/pipelines.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, got, found := strings.Cut(string(text), "<!-- the list -->\n")
	if want := Reference(); !found || got != want {
		if os.Getenv("CAPSTAN_WRITE") != "" && found {
			head, _, _ := strings.Cut(string(text), "<!-- the list -->\n")
			if err := os.WriteFile(path, []byte(head+"<!-- the list -->\n"+want), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Errorf("%s is not what the code says; CAPSTAN_WRITE=1 go test ./pipeline/launchline writes it", path)
	}
}
