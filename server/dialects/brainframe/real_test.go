package brainframe

import (
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// walker finds one person, who goes right from x 0 to 60 and begins again.
func walker() *pipelinetest.Capsule {
	d := faceDetector
	d.Entry, d.Output = "detector", core.Description{Size: core.SizeAll, Detections: []string{"person"}}
	return &pipelinetest.Capsule{Decl: d, ProcessFunc: pipelinetest.Finding(func(seq uint64) []*core.Node {
		x := float64(seq % 60)
		return []*core.Node{{Class: "person", Coords: core.Rect(x-4, 10, x+4, 30)}}
	})}
}

// realServer is the dialect over the real service on SQLite, with scripted media.
func realServer(t *testing.T, changes ...func(*service.Config)) *httptest.Server {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(dir, "capstan.db"))
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "blobs"), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	engine := pipeline.New(pipelinetest.Playing(pipelinetest.Script{Frames: 1 << 30, Every: 20 * time.Millisecond, Live: true}), hclog.NewNullLogger())
	if err := engine.Add(walker()); err != nil {
		t.Fatal(err)
	}
	cfg := service.Config{Store: store, Blobs: blobs, Engine: engine, Cost: bcrypt.MinCost, Password: "secret"}
	for _, change := range changes {
		change(&cfg)
	}
	svc, _, err := service.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(New(svc, hclog.NewNullLogger(), Options{}))
	t.Cleanup(func() {
		err := svc.Close()
		s.Close()
		if err := errors.Join(err, engine.Close(), store.Close(), blobs.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRealService goes over the real service: what the fake has of its rules must be so there.
func TestRealService(t *testing.T) {
	t.Parallel()
	s := realServer(t)
	call := func(method, path, body string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.SetBasicAuth("admin", "secret")
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		return w
	}
	ok := func(method, path, body string) string {
		t.Helper()
		w := call(method, path, body)
		if w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	camera := `{"id":null,"name":"Cam","premises_id":null,"connection_type":"ip_camera","connection_options":{"url":"rtsp://a"},"runtime_options":{},"metadata":{"a":[1,null]}}`
	if got, want := ok("POST", "/api/streams", camera), strings.Replace(camera, `"id":null`, `"id":1`, 1); got != want {
		t.Errorf("stream\n got %s\nwant %s", got, want)
	}
	hall := ok("POST", "/api/zones", `{"id":null,"name":"Hall","stream_id":1,"coords":[[30,0],[64,0],[64,48],[30,48]],"alarms":[{"id":null,"name":"A","zone_id":null,"stream_id":null,"use_active_time":false,"active_start_time":"00:00:00","active_end_time":"23:59:59",`+
		`"count_conditions":[{"id":null,"test":">","check_value":0,"with_class_name":"person","with_attribute":null,"window_duration":0,"window_threshold":0,"intersection_point":"center"}],"rate_conditions":[]}]}`)
	if zones := ok("GET", "/api/zones?stream_id=1", ""); !strings.Contains(zones, hall) || !strings.Contains(zones, `"name":"Screen","stream_id":1,"coords":null`) {
		t.Errorf("zones %s", zones)
	}
	ok("PUT", "/api/streams/1/plugins/detector_face/options", `{"threshold":1}`)
	if got := ok("GET", "/api/streams/1/plugins/detector_face/options", ""); got != `{"threshold":1}` {
		t.Errorf("options %s", got)
	}
	if got := ok("GET", "/api/plugins/detector_face/options", ""); got != globals {
		t.Errorf("options for all %s", got)
	}
	ok("PUT", "/api/streams/1/analyze", "true")
	c := dialAs(t, s.Listener.Addr().String(), "admin", "secret")
	var began, ended bool
	for until := time.Now().Add(patience); !began || !ended; {
		var m map[string]map[string]zoneStatus
		if err := json.Unmarshal([]byte(c.next()), &m); err != nil {
			t.Fatal(err)
		}
		for _, a := range m["1"]["Hall"].Alerts {
			began, ended = began || a.EndTime == nil, ended || a.EndTime != nil
		}
		if time.Now().After(until) {
			t.Fatalf("began %t, ended %t", began, ended)
		}
	}
	for what, title := range map[string]string{
		"POST /api/streams " + camera:                                           "DuplicateStreamSourceError",
		"POST /api/zones " + strings.Replace(hall, `"id":2`, `"id":null`, 1):    "DuplicateZoneNameError",
		"POST /api/zones " + screen1:                                            "ZoneNotEditableError",
		"DELETE /api/zones/1 ":                                                  "ZoneNotDeletableError",
		"GET /api/zones?stream_id=9 ":                                           "StreamConfigNotFoundError",
		"GET /api/zone_alarms/9 ":                                               "ZoneAlarmNotFoundError",
		"GET /api/alerts?stream_id=9 ":                                          "StreamConfigNotFoundError",
		"GET /api/alerts/999999 ":                                               "AlertNotFoundError",
		"PUT /api/plugins/detector_face/options {\"threshold\":2}":              "InvalidPluginOptionError",
		"PUT /api/plugins/detector_face/options {\"none\":2}":                   "InvalidPluginOptionError",
		"GET /api/plugins/none ":                                                "PluginNotFoundError",
		"POST /api/identities/1/images {\"class_name\":\"a\",\"storage_id\":1}": "IdentityNotFoundError",
		"GET /api/encodings/9 ":                                                 "EncodingNotFoundError",
		"GET /api/storage/9 ":                                                   "StorageNotFoundError",
		"GET /api/premises/9 ":                                                  "PremisesNotFoundError",
		"GET /api/users/9 ":                                                     "UserNotFoundError",
		"DELETE /api/users/1 ":                                                  "AdminMustExistError",
		"POST /api/users {\"username\":\"admin\",\"password\":\"p\",\"role\":\"editor\"}": "DuplicateUsernameError",
	} {
		method, rest, _ := strings.Cut(what, " ")
		path, body, _ := strings.Cut(rest, " ")
		if w := call(method, path, body); w.Code < 400 || title0(w) != title {
			t.Errorf("%s: %d %s, want %s", what, w.Code, w.Body, title)
		}
	}
	if got := ok("POST", "/api/storage", "abc"); ok("GET", fmt.Sprintf("/api/storage/%s", got), "") != "abc" {
		t.Errorf("storage %s", got)
	}
	ok("DELETE", "/api/streams/1", "")
	for c.next() != "{}" {
	}
}

func title0(w *httptest.ResponseRecorder) string {
	var f failure
	_ = json.Unmarshal(w.Body.Bytes(), &f)
	return f.Title
}
