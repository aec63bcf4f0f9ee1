package gstreamer

// #include "bus.h"
import "C"

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/launchline"
)

// own is a pipeline that somebody wrote, understood and checked by launchline. Its text is made
// anew of what was understood; the URL is put in as a property when it is built.
type own struct {
	line *launchline.Pipeline
	uri  string // for people's {url}: of uridecodebin and rtspsrc, without userinfo for HTTP
	path string // of v4l2src
}

// planOwn plays what ours would play by a pipeline of the source's own.
func planOwn(s pipeline.Source, ours plan) (plan, error) {
	line, err := launchline.Parse(s.Pipeline)
	if err != nil {
		return plan{}, err
	}
	scheme := "file"
	var at *url.URL
	if head, _, found := strings.Cut(s.URL, "://"); found && len(head) > 1 && !strings.ContainsAny(head, "/. ") {
		if at, err = url.Parse(s.URL); err != nil { // planFor has read it
			return plan{}, core.Faultf(core.Invalid, "open", ours.name, "it is not a URL")
		}
		scheme = strings.ToLower(at.Scheme)
	}
	if err := line.Takes(scheme); err != nil {
		return plan{}, err
	}
	if len(ours.items) != 1 || ours.period > 0 {
		return plan{}, core.Faultf(core.Invalid, "open", ours.name, "a pipeline plays one file, not a folder")
	}
	o := &own{line: line, uri: ours.items[0].uri}
	out := plan{name: ours.name, live: true, user: ours.user}
	switch scheme {
	case "file":
		if o.uri == "" {
			if o.uri, err = fileURI(ours.items[0].path); err != nil {
				return plan{}, err
			}
		}
		out.live, out.local, out.seek, out.frames = ours.live, true, ours.seek, ours.frames
	case "v4l2":
		o.path = at.Path
	}
	out.items = []item{{own: o, name: ours.name, sync: out.local && s.Realtime, drop: out.live}}
	return out, nil
}

// elementName is what element i is called in the text: it stands in GStreamer's messages.
func (o *own) elementName(i int) string { return fmt.Sprintf("e%d-%s", i, o.line.Elements[i].Kind) }

// launch gives the text, with the end of our pipelines in the place of main_sink.
func (o *own) launch(end string) string {
	var b strings.Builder
	for i, e := range o.line.Elements {
		if i == o.line.Sink {
			continue
		}
		fmt.Fprintf(&b, "%s name=%s ", e.Kind, o.elementName(i))
		for _, v := range o.settings(i) {
			fmt.Fprintf(&b, "%s=\"%s\" ", v[0], v[1])
		}
	}
	b.WriteString(end)
	for _, l := range o.line.Links {
		fmt.Fprintf(&b, " %s.%s ! ", o.elementName(l.From), l.FromPad)
		if l.To == o.line.Sink {
			b.WriteString("convert.")
		} else {
			fmt.Fprintf(&b, "%s.%s", o.elementName(l.To), l.ToPad)
		}
	}
	return b.String()
}

// defaults are properties that elements of ours have too, where the line does not set them.
var defaults = map[string][][2]string{
	"rtspsrc":        {{"protocols", "tcp"}, {"tcp-timeout", fmt.Sprint(peerTimeout.Microseconds())}, {"timeout", fmt.Sprint(peerTimeout.Microseconds())}},
	"souphttpsrc":    {{"timeout", fmt.Sprint(int(peerTimeout / time.Second))}, {"retries", "1"}},
	"uridecodebin":   {{"caps", "video/x-raw(ANY)"}, {"expose-all-streams", "false"}},
	"decodebin":      {{"caps", "video/x-raw(ANY)"}, {"expose-all-streams", "false"}},
	"multipartdemux": {{"single-stream", "true"}},
}

// settings gives the properties of element i as they are written: all but the URL.
func (o *own) settings(i int) [][2]string {
	e := o.line.Elements[i]
	var out [][2]string
	for _, v := range e.Properties {
		switch {
		case v.Value == launchline.URL:
		case v.Caps != nil && o.last(i):
			out = append(out, [2]string{v.Name, v.Caps.Without("format").String()})
		default:
			out = append(out, [2]string{v.Name, v.Value})
		}
	}
	for _, d := range defaults[e.Kind] {
		if _, set := e.Get(d[0]); !set {
			out = append(out, d)
		}
	}
	return out
}

// last says whether element i is a filter in front of main_sink for raw video in plain memory. Its
// format is ours to choose: capsules get what they ask for whatever it is, and any but the
// decoder's own would be converted twice.
func (o *own) last(i int) bool {
	e := o.line.Elements[i]
	if e.Kind != "capsfilter" || len(e.Properties) != 1 || e.Properties[0].Caps.Media != "video/x-raw" || e.Properties[0].Caps.Features != "" {
		return false
	}
	for _, l := range o.line.Links {
		if l.From == i && l.To == o.line.Sink {
			return true
		}
	}
	return false
}

// place puts the URL into the element that takes it.
func (o *own) place(m *Media, p *pipe, user *url.Userinfo) error {
	i := o.line.Source
	name := o.elementName(i)
	switch o.line.Elements[i].Kind {
	case "v4l2src":
		return p.set(name, "device", o.path)
	case "rtspsrc":
		if _, set := o.line.Elements[i].Get("latency"); !set {
			if err := p.set(name, "latency", uint(m.Latency/time.Millisecond)); err != nil {
				return err
			}
		}
		C.bus_video_only(p.unsafeElement(name))
		return p.set(name, "location", o.uri)
	case "souphttpsrc":
		if user != nil {
			password, _ := user.Password()
			if err := p.set(name, "user-id", user.Username()); err != nil {
				return err
			}
			if err := p.set(name, "user-pw", password); err != nil {
				return err
			}
		}
		return p.set(name, "location", o.uri)
	}
	if err := p.set(name, "uri", o.uri); err != nil {
		return err
	}
	C.bus_on_source_setup(p.unsafeElement(name), sourceOptions(m, user))
	return nil
}
