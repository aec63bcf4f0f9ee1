package native

import (
	"reflect"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// TestComesBackAsGiven: numbers keep their digits, hours that are off are kept, and what only the
// BrainFrame dialect tells survives a change made here.
func TestComesBackAsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	has := func(method, path, body, want string) {
		t.Helper()
		if a := w.ask(method, path, body); a.Code > 201 || !strings.Contains(a.Body.String(), want) {
			t.Errorf("%s %s %s: %d %s, want %s", method, path, body, a.Code, a.Body, want)
		}
	}
	const digits = `"metadata":{"a":1.0,"b":9007199254740993,"c":1180591620717411303424,"d":0.12345678901234567890}`
	has("POST", "/streams", `{"name":"s","connection":{"kind":"webcam"},`+digits+`}`, digits)
	cfg, err := w.svc.Stream(t.Context(), service.Caller{Role: core.Admin}, 1)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Said = core.Said{Keyframes: true, Other: map[string]any{"url": nil}}
	if _, err := w.svc.SaveStream(t.Context(), service.Caller{Role: core.Admin}, cfg); err != nil {
		t.Fatal(err)
	}
	has("PATCH", "/streams/1", `{"name":"t"}`, digits)
	got, err := w.svc.Stream(t.Context(), service.Caller{Role: core.Admin}, 1)
	if err != nil || got.Name != "t" || !reflect.DeepEqual(got.Said, cfg.Said) {
		t.Errorf("after a change: %+v %v, want %+v", got, err, cfg.Said)
	}
	if seen, err := w.svc.Stream(t.Context(), service.Caller{Role: core.Viewer}, 1); err != nil || seen.Said.Other != nil {
		t.Errorf("a viewer is told %v, %v", seen.Said.Other, err)
	}
	w.must(201, "POST", "/zones", `{"stream":1,"name":"z","coords":[[0,0],[9,9]]}`)
	const off = `"hours":{"start":"08:30:15","end":"17:45:59","off":true}`
	has("POST", "/alarms", `{"zone":2,"name":"a",`+off+`,"counts":[{"objects":{"class":"face"},"test":">","value":0,"window":0.3333333333333333}]}`, off)
	has("PATCH", "/alarms/1", `{"name":"b"}`, `"window":0.3333333333333333`)
	has("PATCH", "/alarms/1", `{"hours":{"off":false}}`, `"hours":{"start":"08:30:15","end":"17:45:59"}`)
	has("POST", "/identities", `{"unique_name":"a",`+digits+`}`, digits)
	has("POST", "/identities", `{"unique_name":"b"}`, `"metadata":{}`)
	if got := w.must(200, "GET", "/identities?sort=metadata", nil); at(got, "items.0.unique_name") != "b" || at(got, "items.1.unique_name") != "a" {
		t.Errorf("by metadata: %v", got)
	}
}
