// Package launchline reads GStreamer pipelines that somebody wrote as a line of text, and lets only
// those through that consist of elements and properties it knows to be harmless.
//
// It understands a part of GStreamer's own syntax, and refuses the rest instead of guessing. What
// is played is written anew from what was understood, never the text that came in.
package launchline

import (
	"fmt"
	"strings"

	"github.com/capstan-video/capstan/core"
)

const (
	// URL is what stands in a line for the stream's URL.
	URL = "{url}"
	// Sink is the name of the appsink that frames are taken from.
	Sink = "main_sink"
	// MaxLength is how many bytes a line may have.
	MaxLength = 8 << 10
	// MaxElements is how many elements it may have, with its caps filters.
	MaxElements = 64
)

// Pipeline is a line that was understood. Its links make a tree that begins at one source, and
// everything in it is on the allow-list.
type Pipeline struct {
	Elements []Element
	Links    []Link
	Source   int // index of the element that has {url}
	Sink     int // index of main_sink
}

// Element is one element. A caps filter between two links is one of kind "capsfilter".
type Element struct {
	Kind       string
	Name       string // as it was given; empty: none was
	Properties []Property
}

// Property is one property that was set.
type Property struct {
	Name  string
	Value string // in the form that GStreamer reads, without quotes; URL where that is to be put
	Caps  *Caps  // of a property that takes caps
}

// Get gives the value of a property, and whether it was set.
func (e Element) Get(name string) (string, bool) {
	for _, p := range e.Properties {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// Link joins two elements, by their pads where they were named.
type Link struct {
	From    int
	FromPad string
	To      int
	ToPad   string
}

// Parse reads a line and checks it. What it refuses is Invalid, on "pipeline"; values are not
// repeated in what it says, since somebody may have put a password there.
func Parse(line string) (*Pipeline, error) {
	if len(line) > MaxLength {
		return nil, fault("it has %d bytes; want at most %d", len(line), MaxLength)
	}
	p := &parser{scanner: scanner{text: line}, at: nowhere}
	if err := p.parse(); err != nil {
		return nil, err
	}
	if err := p.out.check(); err != nil {
		return nil, err
	}
	return &p.out, nil
}

func fault(format string, args ...any) *core.Fault {
	return core.Faultf(core.Invalid, "", "pipeline", format, args...)
}

// check looks at the pipeline as a whole.
func (p *Pipeline) check() error {
	if err := p.allowed(); err != nil {
		return err
	}
	p.Source, p.Sink = -1, -1
	for i, e := range p.Elements {
		for _, v := range e.Properties {
			if v.Value != URL {
				continue
			}
			if p.Source >= 0 {
				return fault("%s stands there twice; want it once", URL)
			}
			p.Source = i
		}
		if e.Kind != "appsink" {
			continue
		}
		if e.Name != Sink {
			return fault("there is an appsink that is not named %s", Sink)
		}
		p.Sink = i
	}
	switch {
	case p.Source < 0:
		return fault("%s is missing: the property of a source that takes the stream's URL, as in uridecodebin uri=%s", URL, URL)
	case p.Sink < 0:
		return fault("appsink name=%s is missing", Sink)
	}
	return p.tree()
}

// tree holds that every element gets something from the source and gives it to a sink.
func (p *Pipeline) tree() error {
	from := make([]int, len(p.Elements))
	gives := make([]bool, len(p.Elements))
	for i := range from {
		from[i] = -1
	}
	for _, l := range p.Links {
		if from[l.To] >= 0 || kinds[p.Elements[l.To].Kind].role == source {
			return fault("%s is linked to too often", p.name(l.To))
		}
		from[l.To], gives[l.From] = l.From, true
	}
	for i, e := range p.Elements {
		switch role := kinds[e.Kind].role; {
		case role == sink && gives[i]:
			return fault("nothing can come after %s", p.name(i))
		case role != sink && !gives[i]:
			return fault("nothing comes after %s", p.name(i))
		case role != source && from[i] < 0:
			return fault("nothing comes before %s", p.name(i))
		case role == source && i != p.Source:
			return fault("%s has no %s", p.name(i), URL)
		}
		at := i
		for range p.Elements {
			if at == p.Source || from[at] < 0 {
				break
			}
			at = from[at]
		}
		if at != p.Source {
			return fault("%s is linked in a circle", p.name(i))
		}
	}
	return nil
}

// name tells people which element is meant.
func (p *Pipeline) name(i int) string {
	if e := p.Elements[i]; e.Name != "" {
		return fmt.Sprintf("%s %q", e.Kind, e.Name)
	}
	return p.Elements[i].Kind
}

// Takes says whether the source can play URLs of a scheme: rtsp, rtsps, http, https, file, v4l2.
func (p *Pipeline) Takes(scheme string) error {
	e := p.Elements[p.Source]
	for name, t := range kinds[e.Kind].properties {
		if v, _ := e.Get(name); v != URL {
			continue
		}
		if schemes, _ := strings.CutPrefix(t, "url:"); !strings.Contains(" "+strings.ReplaceAll(schemes, ",", " ")+" ", " "+scheme+" ") {
			return fault("%s plays %s, and not %s://", e.Kind, strings.ReplaceAll(schemes, ",", ", "), scheme)
		}
	}
	return nil
}
