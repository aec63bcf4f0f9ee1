package brainframe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// The furnished world, as it is on the wire.
const (
	stream1   = `{"id":1,"name":"Door","premises_id":1,"connection_type":"ip_camera","connection_options":{"url":"rtsp://10.0.0.7/1"},"runtime_options":{"keyframes_only":true},"metadata":{"floor":2}}`
	stream2   = `{"id":2,"name":"Clip","premises_id":null,"connection_type":"file","connection_options":{"storage_id":1,"transcode":true},"runtime_options":{},"metadata":{}}`
	screen1   = `{"id":1,"name":"Screen","stream_id":1,"coords":null,"alarms":[]}`
	screen2   = `{"id":2,"name":"Screen","stream_id":2,"coords":null,"alarms":[]}`
	zone3     = `{"id":3,"name":"Line","stream_id":1,"coords":[[0,10],[20,10]],"alarms":[` + alarm1 + `]}`
	alarm1    = `{"id":1,"name":"Crowd","zone_id":3,"stream_id":1,"use_active_time":true,"active_start_time":"22:00:00","active_end_time":"06:30:05","count_conditions":[` + count10 + `],"rate_conditions":[` + rate15 + `]}`
	count10   = `{"id":10,"test":">","check_value":2,"with_class_name":"face","with_attribute":{"category":"mask","value":"on"},"window_duration":5,"window_threshold":0.5,"intersection_point":"center"}`
	rate15    = `{"id":15,"test":">=","duration":10,"change":1.5,"direction":"entering","with_class_name":"car","with_attribute":null,"intersection_point":"bottom"}`
	alert1    = `{"id":1,"alarm_id":1,"zone_id":3,"stream_id":1,"start_time":1601450500.25,"end_time":1601450501.75,"verified_as":true}`
	alert2    = `{"id":2,"alarm_id":1,"zone_id":3,"stream_id":1,"start_time":1601450560.25,"end_time":null,"verified_as":null}`
	ada       = `{"id":1,"unique_name":"ada","nickname":"Ada","metadata":{"x":"y"}}`
	encoding1 = `{"id":1,"identity_id":1,"class_name":"face","from_image":2,"vector":[0.1,-2]}`
	encoding2 = `{"id":2,"identity_id":1,"class_name":"face","from_image":null,"vector":[3]}`
	user1     = `{"id":1,"username":"admin","password":null,"role":"admin"}`
	user3     = `{"id":3,"username":"ed","password":null,"role":"editor"}`
	valid1    = `{"state":"valid","terms":{"online_checkin":false,"max_streams":2147483647,"journal_max_allowed_age":3155760000,"expiration_date":null}}`
	face1     = `{"class_name":"face","coords":[[10,20],[30,20],[30,40],[10,40]],"children":[],"attributes":{},"with_identity":` + ada + `,"extra_data":{"detection_confidence":0.75,"encoding_distance":0.25},"track_id":"8c0e2b1c-6cfb-4a43-9b33-0a8f3a1c8c11"}`
	status1   = `{"1":{"Line":{"zone":` + zone3 + `,"tstamp":1601450507.8,"total_entered":{"face":1},"total_exited":{},"within":[` + face1 + `],"entering":[` + face1 + `],"exiting":[],"alerts":[` + alert1 + `,` + alert2 + `]},` +
		`"Screen":{"zone":` + screen1 + `,"tstamp":1601450507.8,"total_entered":{},"total_exited":{},"within":[` + face1 + `],"entering":[],"exiting":[],"alerts":[]}},"2":{}}`
	detector = `{"name":"detector_face","version":1002003,"description":"Finds faces.",` +
		`"input_type":{"size":"none","detections":[],"attributes":{},"encoded":false,"tracked":false,"extra_data":[]},` +
		`"output_type":{"size":"all","detections":["face"],"attributes":{"mask":["on","off"]},"encoded":true,"tracked":false,"extra_data":["detection_confidence"]},` +
		`"capability":{"size":"all","detections":["face"],"attributes":{"mask":["on","off"]},"encoded":true,"tracked":false,"extra_data":["detection_confidence"]},` +
		`"options":{"classes":{"type":"str","default":"a,b","constraints":{},"description":null},` +
		`"flip":{"type":"bool","default":false,"constraints":{},"description":null},` +
		`"label":{"type":"str","default":"x","constraints":{},"description":null},` +
		`"mode":{"type":"enum","default":"fast","constraints":{"choices":["fast","exact"]},"description":null},` +
		`"most":{"type":"int","default":10,"constraints":{"max_val":null,"min_val":null},"description":null},` +
		`"pause":{"type":"float","default":0.25,"constraints":{"max_val":null,"min_val":0},"description":null},` +
		`"threshold":{"type":"float","default":0.5,"constraints":{"max_val":1,"min_val":0},"description":"How sure it has to be."},` +
		`"token":{"type":"str","default":"","constraints":{},"description":null}}}`
	globals = `{"classes":"a,b","flip":false,"label":"x","mode":"fast","most":10,"pause":0.25,"threshold":0.5,"token":""}`
)

// form is the body of process_image as the client writes it.
func form(image, metadata string) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range [][4]string{{"image", "image.jpg", "image/jpeg", image}, {"metadata", "metadata.json", "application/json", metadata}} {
		if p[3] == "" {
			continue
		}
		part, _ := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, p[0], p[1])}, "Content-Type": {p[2]},
		})
		_, _ = io.WriteString(part, p[3])
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

// call is one request; then, a path that is asked for afterwards, shows what it has changed.
type call struct {
	name, method, path, body string
	status                   int    // 0: 200
	want                     string // the body; of an error its title
	then, after              string
	header                   string // "Total-Count: 2"
}

// calls has every route.
func calls() []call {
	image, _ := form("\xff\xd8", `{"plugins":["detector_face"],"options":{"detector_face":{"classes":"a, c"}}}`)
	return []call{
		{name: "version", method: "GET", path: "/api/version", want: `"0.30.5"`},
		{name: "double slash", method: "GET", path: "//api//version", want: `"0.30.5"`},

		{name: "streams", method: "GET", path: "/api/streams", want: `[` + stream1 + `,` + stream2 + `]`},
		{name: "streams of premises", method: "GET", path: "/api/streams?premises_id=1", want: `[` + stream1 + `]`},
		{name: "streams of none", method: "GET", path: "/api/streams?premises_id=9", want: `[]`},
		{name: "create stream", method: "POST", path: "/api/streams", body: `{"id":null,"name":"Cam","premises_id":null,"connection_type":"webcam","connection_options":{"device_id":3,"pipeline":"{url} ! main_sink"},"runtime_options":{},"metadata":{"a":[1,null,{"b":9007199254740993}]},"more":1}`,
			want: `{"id":3,"name":"Cam","premises_id":null,"connection_type":"webcam","connection_options":{"device_id":3,"pipeline":"{url} ! main_sink"},"runtime_options":{},"metadata":{"a":[1,null,{"b":9007199254740993}]}}`},
		{name: "change stream", method: "POST", path: "/api/streams", body: strings.Replace(stream1, "Door", "Gate", 1), want: strings.Replace(stream1, "Door", "Gate", 1), then: "/api/streams/1/analyze", after: `true`},
		{name: "stream", method: "GET", path: "/api/streams/1", want: stream1},
		{name: "delete stream", method: "DELETE", path: "/api/streams/1", want: ``, then: "/api/streams", after: `[` + stream2 + `]`},
		{name: "url", method: "GET", path: "/api/streams/1/url", want: `"rtsp://10.0.0.7/1"`},
		{name: "url by routing", method: "GET", path: "/api/streams/1/url?routing_type=rtsp", want: `{"url":"rtsp://10.0.0.7/1","rtsp_url":"rtsp://10.0.0.7/1"}`},
		{name: "runtime options", method: "GET", path: "/api/streams/2/runtime_options", want: `{}`},
		{name: "set runtime options", method: "PUT", path: "/api/streams/2/runtime_options", body: `{"keyframes_only":true}`, then: "/api/streams/2/runtime_options", after: `{"keyframes_only":true}`},
		{name: "analyzing", method: "GET", path: "/api/streams/2/analyze", want: `false`},
		{name: "analyze", method: "PUT", path: "/api/streams/2/analyze", body: `true`, want: `true`, then: "/api/streams/2/analyze", after: `true`},
		{name: "stop", method: "PUT", path: "/api/streams/1/analyze", body: `false`, want: `false`, then: "/api/streams/1/analyze", after: `false`},
		{name: "status", method: "GET", path: "/api/streams/status", want: status1},

		{name: "zones", method: "GET", path: "/api/zones", want: `[` + screen1 + `,` + screen2 + `,` + zone3 + `]`},
		{name: "zones of a stream", method: "GET", path: "/api/zones?stream_id=2", want: `[` + screen2 + `]`},
		{name: "create zone with an alarm", method: "POST", path: "/api/zones",
			body: `{"id":null,"name":"Hall","stream_id":1,"coords":[[0,0],[10.4,0],[10,10]],"alarms":[{"id":null,"name":"Any","zone_id":null,"stream_id":null,"use_active_time":false,"active_start_time":"00:00:00","active_end_time":"23:59:59","count_conditions":[{"id":null,"test":"!=","check_value":0,"with_class_name":"face","with_attribute":null,"window_duration":0.0,"window_threshold":0.0,"intersection_point":"bottom"}],"rate_conditions":[]}]}`,
			want: `{"id":4,"name":"Hall","stream_id":1,"coords":[[0,0],[10,0],[10,10]],"alarms":[{"id":2,"name":"Any","zone_id":4,"stream_id":1,"use_active_time":false,"active_start_time":"00:00:00","active_end_time":"23:59:59","count_conditions":[{"id":20,"test":"!=","check_value":0,"with_class_name":"face","with_attribute":null,"window_duration":0,"window_threshold":0,"intersection_point":"bottom"}],"rate_conditions":[]}]}`},
		{name: "change zone", method: "POST", path: "/api/zones", body: zone3, want: zone3},
		{name: "zone", method: "GET", path: "/api/zones/3", want: zone3},
		{name: "delete zone", method: "DELETE", path: "/api/zones/3", then: "/api/zones", after: `[` + screen1 + `,` + screen2 + `]`},
		{name: "methods of a zone", method: "OPTIONS", path: "/api/zones/3", header: "Allow: GET, DELETE, POST, OPTIONS"},
		{name: "methods of Screen", method: "OPTIONS", path: "/api/zones/1", header: "Allow: GET, OPTIONS"},

		{name: "alarms", method: "GET", path: "/api/zone_alarms", want: `[` + alarm1 + `]`},
		{name: "alarms of a zone", method: "GET", path: "/api/zone_alarms?stream_id=1&zone_id=1", want: `[]`},
		{name: "change alarm", method: "POST", path: "/api/zone_alarms", body: alarm1, want: alarm1},
		{name: "create alarm", method: "POST", path: "/api/zone_alarms", body: `{"id":null,"name":"A","zone_id":1,"stream_id":null,"use_active_time":false,"active_start_time":null,"active_end_time":null,"count_conditions":[],"rate_conditions":[]}`,
			want: `{"id":2,"name":"A","zone_id":1,"stream_id":1,"use_active_time":false,"active_start_time":"00:00:00","active_end_time":"23:59:59","count_conditions":[],"rate_conditions":[]}`},
		{name: "alarm", method: "GET", path: "/api/zone_alarms/1", want: alarm1},
		{name: "delete alarm", method: "DELETE", path: "/api/zone_alarms/1", then: "/api/zone_alarms", after: `[]`},

		{name: "alerts", method: "GET", path: "/api/alerts", want: `[` + alert2 + `,` + alert1 + `]`, header: "Total-Count: 2"},
		{name: "page of alerts", method: "GET", path: "/api/alerts?stream_id=1&limit=1&offset=1", want: `[` + alert1 + `]`, header: "Total-Count: 2"},
		{name: "page of no alerts", method: "GET", path: "/api/alerts?limit=0", want: `[]`, header: "Total-Count: 2"},
		{name: "alerts by verification", method: "GET", path: "/api/alerts?verification=unverified%2Cfalse", want: `[` + alert2 + `]`, header: "Total-Count: 1"},
		{name: "alert", method: "GET", path: "/api/alerts/1", want: alert1},
		{name: "verify alert", method: "PUT", path: "/api/alerts/2", body: `true`, then: "/api/alerts/2", after: strings.Replace(alert2, `"verified_as":null`, `"verified_as":true`, 1)},
		{name: "unverify alert", method: "PUT", path: "/api/alerts/1", body: `null`, then: "/api/alerts/1", after: strings.Replace(alert1, `"verified_as":true`, `"verified_as":null`, 1)},
		{name: "frame", method: "GET", path: "/api/alerts/1/frame", want: "\xff\xd8jpeg", header: "Content-Type: image/jpeg"},

		{name: "capsules", method: "GET", path: "/api/plugins", want: `[` + detector + `]`},
		{name: "capsule", method: "GET", path: "/api/plugins/detector_face", want: detector},
		{name: "load capsule", method: "PUT", path: "/api/plugins", body: `{"storage_id":1,"dev_options":{"source_path":"None"},"name":"other"}`, want: strings.Replace(detector, "detector_face", "other", 1)},
		{name: "unload capsule", method: "DELETE", path: "/api/plugins/detector_face", then: "/api/plugins", after: `[]`},
		{name: "options", method: "GET", path: "/api/plugins/detector_face/options", want: globals},
		{name: "set options", method: "PUT", path: "/api/plugins/detector_face/options", body: `{"threshold":1,"classes":"x , y","pause":2}`, then: "/api/plugins/detector_face/options",
			after: `{"classes":"x,y","flip":false,"label":"x","mode":"fast","most":10,"pause":2,"threshold":1,"token":""}`},
		{name: "change options", method: "PATCH", path: "/api/plugins/detector_face/options", body: `{"threshold":null,"most":3}`, then: "/api/plugins/detector_face/options", after: strings.Replace(globals, `"most":10`, `"most":3`, 1)},
		{name: "active", method: "GET", path: "/api/plugins/detector_face/active", want: `true`},
		{name: "set active", method: "PUT", path: "/api/plugins/detector_face/active", body: `false`, then: "/api/plugins/detector_face/active", after: `false`},
		{name: "own options", method: "GET", path: "/api/streams/1/plugins/detector_face/options", want: `{"threshold":0.9}`},
		{name: "no own options", method: "GET", path: "/api/streams/2/plugins/detector_face/options", want: `{}`},
		{name: "set own options", method: "PUT", path: "/api/streams/1/plugins/detector_face/options", body: `{"flip":true}`, then: "/api/streams/1/plugins/detector_face/options", after: `{"flip":true}`},
		{name: "clear own options", method: "PUT", path: "/api/streams/1/plugins/detector_face/options", body: `{}`, then: "/api/streams/1/plugins/detector_face/options", after: `{}`},
		{name: "change own options", method: "PATCH", path: "/api/streams/1/plugins/detector_face/options", body: `{"threshold":null,"label":"y"}`, then: "/api/streams/1/plugins/detector_face/options", after: `{"label":"y"}`},
		{name: "own active", method: "GET", path: "/api/streams/1/plugins/detector_face/active", want: `false`},
		{name: "not its own active", method: "GET", path: "/api/streams/2/plugins/detector_face/active", want: `null`},
		{name: "clear own active", method: "PUT", path: "/api/streams/1/plugins/detector_face/active", body: `null`, then: "/api/streams/1/plugins/detector_face/active", after: `null`},

		{name: "identities", method: "GET", path: "/api/identities?search=&sort_by=unique_name%3Adesc", want: `[` + ada + `]`, header: "Total-Count: 1"},
		{name: "no identities", method: "GET", path: "/api/identities?unique_name=bob&encoded_for_class=face", want: `[]`, header: "Total-Count: 0"},
		{name: "create identity", method: "POST", path: "/api/identities", body: `{"id":null,"unique_name":"bob","nickname":"B","metadata":{}}`, want: `{"id":2,"unique_name":"bob","nickname":"B","metadata":{}}`},
		{name: "create identity without a nickname", method: "POST", path: "/api/identities", body: `{"id":null,"unique_name":"bob","nickname":null,"metadata":{}}`, want: `{"id":2,"unique_name":"bob","nickname":null,"metadata":{}}`},
		{name: "change identity", method: "POST", path: "/api/identities", body: ada, want: ada},
		{name: "identity", method: "GET", path: "/api/identities/1", want: ada},
		{name: "delete identity", method: "DELETE", path: "/api/identities/1", then: "/api/encodings", after: `[]`},
		{name: "add image", method: "POST", path: "/api/identities/1/images", body: `{"class_name":"cat","storage_id":2}`, want: `{"id":3,"identity_id":1,"class_name":"cat","from_image":2,"vector":[0.5,0.25]}`},
		{name: "add vector", method: "POST", path: "/api/identities/1/vectors", body: `{"class_name":"cat","vector":[1,0.5]}`, want: `{"id":3,"identity_id":1,"class_name":"cat","from_image":null,"vector":[1,0.5]}`},
		{name: "encodings", method: "GET", path: "/api/encodings?identity_id=1&class_name=face", want: `[` + encoding1 + `,` + encoding2 + `]`},
		{name: "classes of encodings", method: "GET", path: "/api/encodings?fields=class_name", want: `[{"class_name":"face"}]`},
		{name: "delete encodings", method: "DELETE", path: "/api/encodings", then: "/api/encodings", after: `[]`},
		{name: "delete encodings of a class", method: "DELETE", path: "/api/encodings?class_name=cat", then: "/api/encodings", after: `[` + encoding1 + `,` + encoding2 + `]`},
		{name: "encoding", method: "GET", path: "/api/encodings/1", want: encoding1},
		{name: "delete encoding", method: "DELETE", path: "/api/encodings/1", then: "/api/encodings", after: `[` + encoding2 + `]`},

		{name: "all premises", method: "GET", path: "/api/premises", want: `[{"id":1,"name":"Office"}]`},
		{name: "create premises", method: "POST", path: "/api/premises", body: `{"id":null,"name":"Yard"}`, want: `{"id":2,"name":"Yard"}`},
		{name: "premises", method: "GET", path: "/api/premises/1", want: `{"id":1,"name":"Office"}`},
		{name: "delete premises", method: "DELETE", path: "/api/premises/1", then: "/api/premises", after: `[]`},

		{name: "store", method: "POST", path: "/api/storage", body: "raw \x00 bytes", want: `3`, then: "/api/storage/3", after: "raw \x00 bytes"},
		{name: "stored", method: "GET", path: "/api/storage/1", want: "bytes", header: "Content-Type: video/mp4"},
		{name: "delete stored", method: "DELETE", path: "/api/storage/1"},

		{name: "users", method: "GET", path: "/api/users", want: `[` + user1 + `,` + user3 + `]`},
		{name: "create user", method: "POST", path: "/api/users", body: `{"id":null,"username":"eve","password":"p","role":"editor"}`, want: `{"id":4,"username":"eve","password":null,"role":"editor"}`},
		{name: "change user", method: "POST", path: "/api/users", body: user3, want: user3},
		{name: "user", method: "GET", path: "/api/users/1", want: user1},
		{name: "delete user", method: "DELETE", path: "/api/users/3", then: "/api/users", after: `[` + user1 + `]`},

		{name: "license", method: "GET", path: "/api/license", want: valid1},
		{name: "set license", method: "PUT", path: "/api/license", body: "bGljZW5zZQ==", want: valid1},
		{name: "cloud tokens", method: "PUT", path: "/api/cloud_tokens", body: `{"access_token":"a","refresh_token":"b"}`, status: 401, want: "UnauthorizedTokensError"},
		{name: "cloud user", method: "GET", path: "/api/cloud_user", status: 404, want: "CloudUserNotFoundError"},
		{name: "oauth2", method: "GET", path: "/api/oauth2_info", want: `{"domain":"","client_id":"","scopes":[]}`},
		{name: "process image", method: "POST", path: "/api/process_image", body: image,
			want: `[{"class_name":"detector_face","coords":[[1,2],[3,2],[3,4],[1,4]],"children":[],"attributes":{},"with_identity":null,"extra_data":{},"track_id":null}]`},
	}
}

// serve serves one request.
func serve(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://server/", strings.NewReader(body))
	target, query, _ := strings.Cut(path, "?")
	r.URL.Path, r.URL.RawQuery = target, query
	if first, _, ok := strings.Cut(body, "\r\n"); ok && strings.HasPrefix(first, "--") {
		r.Header.Set("Content-Type", "multipart/form-data; boundary="+first[2:])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, c := range calls() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := handler(furnished(t), Options{})
			w := serve(h, c.method, c.path, c.body)
			if want := max(c.status, http.StatusOK); w.Code != want {
				t.Fatalf("status %d, want %d: %s", w.Code, want, w.Body)
			}
			got := w.Body.String()
			if c.status >= 400 {
				got = title(t, w)
			}
			if got != c.want {
				t.Errorf("body\n got %s\nwant %s", got, c.want)
			}
			if name, value, ok := strings.Cut(c.header, ": "); ok && w.Header().Get(name) != value {
				t.Errorf("header %s is %q, want %q", name, w.Header().Get(name), value)
			}
			if c.then == "" {
				return
			}
			if got := serve(h, "GET", c.then, "").Body.String(); got != c.after {
				t.Errorf("afterwards %s\n got %s\nwant %s", c.then, got, c.after)
			}
		})
	}
}

// TestSecretsStay writes back all options as they were told, which is what the desktop client does.
func TestSecretsStay(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	h := handler(w, Options{})
	for _, body := range []string{`{"token":"new"}`, globals} {
		if got := serve(h, "PUT", "/api/plugins/detector_face/options", body); got.Code != 200 {
			t.Fatalf("%d %s", got.Code, got.Body)
		}
	}
	if got := w.settings[setting{"detector_face", 0}].Options; got["token"] != "new" || got["label"] != "x" {
		t.Errorf("%v", got)
	}
	if got := serve(h, "GET", "/api/plugins/detector_face/options", ""); got.Body.String() != globals {
		t.Errorf("%s", got.Body)
	}
}

// title reads the body of an error, which has both keys.
func title(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct{ Title, Description *string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Title == nil || body.Description == nil || *body.Description == "" {
		t.Fatalf("%d is no error of the contract: %s", w.Code, w.Body)
	}
	return *body.Title
}

// TestEveryRouteIsThere holds the engine against the contract's count, and the table above against
// the engine.
func TestEveryRouteIsThere(t *testing.T) {
	t.Parallel()
	e := handler(newWorld(), Options{}).(*gin.Engine)
	all := slices.DeleteFunc(e.Routes(), func(r gin.RouteInfo) bool { return r.Method == http.MethodHead }) // every GET but one
	if len(all) != 66 {
		t.Errorf("%d routes, want 66", len(all))
	}
	for _, r := range all {
		if r.Path == "/api/streams/statuses" {
			continue // statuses_test.go
		}
		if !slices.ContainsFunc(calls(), func(c call) bool { return c.method == r.Method && fits(r.Path, c.path) }) {
			t.Errorf("no test of %s %s", r.Method, r.Path)
		}
	}
}

func fits(pattern, path string) bool {
	path, _, _ = strings.Cut(path, "?")
	a, b := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(a, b, func(p, s string) bool { return p == s || strings.HasPrefix(p, ":") })
}
