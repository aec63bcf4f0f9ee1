package gstreamer

// #include <stdlib.h>
// #include "bus.h"
// static char *error_domain(GstMessage *m, int *code, char **text, char **debug, char **element) {
//   GError *e = NULL;
//   gchar *d = NULL;
//   if (GST_MESSAGE_TYPE(m) == GST_MESSAGE_WARNING) gst_message_parse_warning(m, &e, &d);
//   else gst_message_parse_error(m, &e, &d);
//   if (!e) return NULL;
//   char *domain = g_strdup(g_quark_to_string(e->domain));
//   *code = e->code;
//   *text = g_strdup(e->message);
//   *debug = d;
//   GstElementFactory *f = GST_IS_ELEMENT(GST_MESSAGE_SRC(m)) ? gst_element_get_factory(GST_ELEMENT(GST_MESSAGE_SRC(m))) : NULL;
//   *element = g_strdup(f ? GST_OBJECT_NAME(f) : "");
//   g_error_free(e);
//   return domain;
// }
import "C"

import (
	"runtime"
	"time"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"github.com/go-gst/go-gst/gst"
	"github.com/hashicorp/go-hclog"
)

// stopLimit bounds the way down to NULL: network sources wait for their peer there.
const stopLimit = 10 * time.Second

// pipe is a GStreamer pipeline with the few elements of it that are spoken to. Its C objects
// are let go in stop, not by finalizers: a forgotten pipeline holds descriptors and megabytes
// until the next garbage collection.
type pipe struct {
	log      hclog.Logger
	pipeline *gst.Pipeline
	bus      *gst.Bus
	elements map[string]*gst.Element
}

func newPipe(log hclog.Logger, launch string) (*pipe, error) {
	p, err := gst.NewPipelineFromString(launch)
	if err != nil {
		return nil, core.Faultf(core.Unsupported, "pipeline", "", "%w", err)
	}
	return &pipe{log: log, pipeline: p, bus: p.GetPipelineBus(), elements: map[string]*gst.Element{}}, nil
}

// element finds an element by its name in the description; nil when there is none.
func (p *pipe) element(name string) *gst.Element {
	if e, ok := p.elements[name]; ok {
		return e
	}
	e, err := p.pipeline.GetElementByName(name)
	if err != nil || e == nil {
		return nil
	}
	p.elements[name] = e
	return e
}

// unsafeElement is element for C; nil when there is none.
func (p *pipe) unsafeElement(name string) unsafe.Pointer {
	if e := p.element(name); e != nil {
		return e.Unsafe()
	}
	return nil
}

func (p *pipe) set(name, property string, value any) error {
	e := p.element(name)
	if e == nil {
		return core.Faultf(core.Internal, "pipeline", "", "it has no element %q", name)
	}
	if err := e.SetProperty(property, value); err != nil {
		return core.Faultf(core.Internal, "pipeline", "", "%s.%s: %w", name, property, err)
	}
	return nil
}

// state asks for a state, and waits limit at most for the request to be taken.
func (p *pipe) state(s gst.State, limit time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- p.pipeline.SetState(s) }()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return core.Faultf(core.SourceStalled, "pipeline", "", "it did not go to %s within %s", s, limit)
	}
}

// stop ends the pipeline and lets its objects go. When that takes longer than the limit the
// pipeline is left alone, with everything that it uses, and the fault says so.
func (p *pipe) stop() error {
	if err := p.state(gst.StateNull, stopLimit); err != nil {
		p.log.Error("a pipeline does not stop; it is leaked", "error", err)
		return &core.Fault{Op: "close", Kind: core.Internal, Err: err}
	}
	for _, e := range p.elements {
		letGo(e.Object)
	}
	letGo(p.bus.Object)
	letGo(p.pipeline.Object)
	return nil
}

// letGo gives back the reference that a Go wrapper owns, now instead of at a garbage collection.
func letGo(o *gst.Object) {
	g := o.GObject()
	runtime.SetFinalizer(g, nil)
	g.Unref()
}

// message is what the bus said, in Go's memory.
type message struct {
	kind                  gst.MessageType
	domain                string // of errors and warnings: gst-resource-error-quark, …
	code                  int
	text, debug, element  string
	missing, missingWords string // of missing plugins: caps name, words for people
}

const heard = gst.MessageError | gst.MessageWarning | gst.MessageEOS | gst.MessageElement | gst.MessageAsyncDone

// hear gives the next message of the bus, waiting at most that long; nil when there is none.
func (p *pipe) hear(wait time.Duration) *message {
	m := p.bus.TimedPopFiltered(gst.ClockTime(wait), heard)
	if m == nil {
		return nil
	}
	defer func() {
		runtime.SetFinalizer(m, nil)
		m.Unref()
	}()
	raw := (*C.GstMessage)(unsafe.Pointer(m.Instance()))
	out := &message{kind: m.Type()}
	switch out.kind {
	case gst.MessageError, gst.MessageWarning:
		var code C.int
		var text, debug, element *C.char
		domain := C.error_domain(raw, &code, &text, &debug, &element)
		out.domain, out.code, out.text, out.debug, out.element = take(domain), int(code), take(text), take(debug), take(element)
	case gst.MessageElement:
		var words *C.char
		out.missing = take(C.bus_missing(raw, &words))
		out.missingWords = take(words)
	}
	return out
}

// take makes a Go string of one that GLib allocated, and frees that.
func take(s *C.char) string {
	if s == nil {
		return ""
	}
	defer C.g_free(C.gpointer(unsafe.Pointer(s)))
	return C.GoString(s)
}
