package native

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/crypto/bcrypt"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/pipeline/push"
	files "github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

const password = "a test's own"

// scripted plays live frames, whatever the source.
type scripted struct{}

func (scripted) Open(context.Context, pipeline.Source) (pipeline.MediaStream, error) {
	return pipelinetest.Script{Frames: 1 << 30, Every: 20 * time.Millisecond, Live: true}.Open()
}

func ptr[T any](v T) *T { return &v }

// finder finds a face on every frame, that walks from left to right, and encodes it.
var finder = core.Declaration{
	Name: "finder", Version: "1.2.3", API: core.APIVersion, Description: "Finds faces.",
	Input: core.Description{Size: core.SizeNone},
	Output: core.Description{
		Size: core.SizeAll, Detections: []string{"face"}, Attributes: []core.Attribute{{Name: "mask", Values: []string{"on", "off"}}}, Encoded: true, Tracked: true,
	},
	Options: []core.Option{
		{Name: "threshold", Type: core.FloatOption, Default: 0.5, Min: ptr(0.0), Max: ptr(1.0), Description: "How sure it has to be."},
		{Name: "recognition_threshold", Type: core.FloatOption, Default: 0.4},
		{Name: "most", Type: core.IntOption, Default: int64(10)},
		{Name: "mode", Type: core.EnumOption, Default: "fast", Choices: []string{"fast", "exact"}},
		{Name: "token", Type: core.SecretOption, Default: "hidden"},
		{Name: "classes", Type: core.ListOption, Default: []string{"a", "b"}},
		{Name: "pause", Type: core.DurationOption, Default: 250 * time.Millisecond, Min: ptr(0.0)},
	},
	Metric: core.Euclidean, Deadline: time.Second, Formats: []core.PixelFormat{core.GRAY8},
}

func face(seq uint64) []*core.Node {
	x := float64(seq % 10 * 10)
	return []*core.Node{{
		Class: "face", Coords: core.Rect(x, 10, x+8, 30), Attributes: map[string]string{"mask": "off"}, Encoding: core.Encoding{1, 0, 0},
		TrackID: "8c0e2b1c-6cfb-4a43-9b33-0a8f3a1c8c11", ExtraData: core.ExtraData{"confidence": []byte("0.75")},
	}}
}

// world is the API over a real service, with scripted media and a capsule.
type world struct {
	t   testing.TB
	svc *service.Service
	*Handler
}

func newWorld(t testing.TB, opt Options) *world {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(dir, "capstan.db"))
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := files.Open(filepath.Join(dir, "blobs"), files.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pictures := push.New(scripted{})
	engine := pipeline.New(pictures, hclog.NewNullLogger())
	if err := engine.Add(&pipelinetest.Capsule{Decl: finder, ProcessFunc: pipelinetest.Finding(face)}); err != nil {
		t.Fatal(err)
	}
	svc, _, err := service.New(t.Context(), service.Config{
		Store: db, Blobs: blobs, Engine: engine, Pictures: pictures, Cost: bcrypt.MinCost, Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, svc: svc, Handler: New(svc, hclog.NewNullLogger(), opt)}
	t.Cleanup(func() {
		if err := errors.Join(svc.Close(), engine.Close(), db.Close(), blobs.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// ask sends a request as admin, or as whom auth says: "name:password", a token, or "-" for nobody.
func (w *world) ask(method, path string, body any, auth ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, "http://server"+Base+path, reader(w.t, body))
	if len(auth) == 0 {
		auth = []string{"admin:" + password}
	}
	if name, secret, ok := strings.Cut(auth[0], ":"); ok {
		r.SetBasicAuth(name, secret)
	} else if auth[0] != "-" {
		r.Header.Set("Authorization", "Bearer "+auth[0])
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	told(w.t, method, path, answer)
	return answer
}

func reader(t testing.TB, body any) io.Reader {
	t.Helper()
	switch body := body.(type) {
	case nil:
		return nil
	case string:
		return strings.NewReader(body)
	case []byte:
		return bytes.NewReader(body)
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(text)
}

// must wants a status, and gives the answer's body.
func (w *world) must(status int, method, path string, body any, auth ...string) map[string]any {
	w.t.Helper()
	a := w.ask(method, path, body, auth...)
	if a.Code != status {
		w.t.Fatalf("%s %s: %d, want %d: %s", method, path, a.Code, status, a.Body)
	}
	var m map[string]any
	if a.Body.Len() > 0 {
		if err := json.Unmarshal(a.Body.Bytes(), &m); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
		}
	}
	return m
}

// onePixel is a picture.
func onePixel(t testing.TB) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 64, 48))
	img.Set(3, 3, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// furnish makes one of everything, with ID 1, and starts the stream: until an alert is on.
func (w *world) furnish() {
	w.t.Helper()
	w.must(201, "POST", "/blobs", onePixel(w.t))
	w.must(201, "POST", "/premises", `{"name":"Office"}`)
	w.must(201, "POST", "/streams", `{"name":"Door","premises":1,"connection":{"kind":"ip_camera","url":"rtsp://eve:secret@10.0.0.7/1"},"metadata":{"floor":2}}`)
	w.must(201, "POST", "/zones", `{"stream":1,"name":"all","coords":[[0,0],[200,0],[200,200],[0,200]]}`) // 2: 1 is Screen
	w.must(201, "POST", "/alarms", `{"zone":2,"name":"a face","counts":[{"objects":{"class":"face"},"test":">","value":0}]}`)
	w.must(201, "POST", "/identities", `{"unique_name":"ada","nickname":"Ada","metadata":{"x":"y"}}`)
	w.must(201, "POST", "/identities/1/vectors", `{"class":"face","values":[1,0,0]}`)
	w.must(201, "POST", "/users", `{"name":"eve","role":"editor","password":"p"}`)
	w.must(201, "POST", "/users", `{"name":"vic","role":"viewer","password":"p"}`)
	w.must(201, "POST", "/tokens", `{"name":"ci","role":"admin"}`)
	w.must(200, "PATCH", "/streams/1", `{"analyze":true}`)
	w.until("/alerts", func(m map[string]any) bool { return len(m["items"].([]any)) > 0 })
}

// until asks until the answer is as it should be.
func (w *world) until(path string, ok func(map[string]any) bool) map[string]any {
	w.t.Helper()
	var last map[string]any
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if last = w.must(200, "GET", path, nil); ok(last) {
			return last
		}
	}
	w.t.Fatalf("%s never was as it should be: %v", path, last)
	return nil
}

// at gives a value of nested objects and lists by its path: items.0.name.
func at(v any, path string) any {
	for _, key := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[key]
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// problemIs wants a problem of this status and kind.
func problemIs(t testing.TB, a *httptest.ResponseRecorder, status int, kind string) {
	t.Helper()
	var p problem
	if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil || a.Header().Get("Content-Type") != problemType {
		t.Fatalf("%d is no problem: %q %s", a.Code, a.Header().Get("Content-Type"), a.Body)
	}
	if a.Code != status || p.Status != status || p.Kind != kind || p.Detail == "" || p.Title == "" || p.Blame == "" || !strings.HasPrefix(p.Type, Base) {
		t.Errorf("want %d %s: %d %+v", status, kind, a.Code, p)
	}
}

var _ http.Handler = (*Handler)(nil)
