package brainframe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/server/service"
)

// asked is a real server and an administrator who asks it.
type asked struct {
	*testing.T
	http.Handler
}

func askReal(t *testing.T) asked { return asked{t, realServer(t).Config.Handler} }

// ok asks, and gives the answer's body.
func (a asked) ok(method, path, body string) string {
	a.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.SetBasicAuth("admin", "secret")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		a.Fatalf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
	}
	return w.Body.String()
}

// given are IDs that a client leaves to the server.
var given = regexp.MustCompile(`"(id|zone_id|stream_id)":(null|[0-9]+)`)

// back saves an object, and wants it back, but for its ID: in the answer, by itself, and when it is
// saved once more as it came.
func (a asked) back(path, object string) {
	a.Helper()
	want := plain(a.T, object)
	first := a.ok("POST", path, object)
	var id struct{ ID int64 }
	if err := json.Unmarshal([]byte(first), &id); err != nil || id.ID == 0 {
		a.Fatalf("%s: %v", first, err)
	}
	place := fmt.Sprintf("%s/%d", path, id.ID)
	for what, got := range map[string]string{"saved": first, "read": a.ok("GET", place, ""), "saved again": a.ok("POST", path, first)} {
		if !reflect.DeepEqual(plain(a.T, got), want) {
			a.Errorf("%s\n got %s\nwant %s", what, got, object)
		}
	}
	if again := a.ok("GET", place, ""); again != first {
		a.Errorf("read again\n got %s\nwant %s", again, first)
	}
}

// plain gives an object without IDs, its numbers as they are written.
func plain(t *testing.T, object string) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(given.ReplaceAllString(object, `"$1":null`)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	return v
}

// oddMetadata has every type, with values that are easily changed on the way.
const oddMetadata = `{"":"","z":1,"a":1.0,"A":-0.0,"e":1e3,"E":1E+21,"third":0.3333333333333333,"much":0.12345678901234567890123,"small":5e-324,` +
	`"odd":9007199254740993,"edge":-9223372036854775808,"over":9223372036854775808,"huge":1180591620717411303424,"deep":[[],{},[null,[true,false,{"y":{"x":null}}]]],` +
	`"ü\ud83d\ude00":"\u2028<>&\"\\\u0001 e\u0301"}`

func TestStreamsComeBackAsGiven(t *testing.T) {
	t.Parallel()
	a := askReal(t)
	clip := a.ok("POST", "/api/storage", "clip")
	n := 0
	save := func(kind, connection, runtime, metadata string) {
		t.Helper()
		n++
		connection = strings.NewReplacer("URL", fmt.Sprintf(`"url":"rtsp://u:p%%40w@host%d/a?b=%%20#c"`, n), "DEVICE", fmt.Sprintf(`"device_id":%d`, n), "CLIP", `"storage_id":`+clip).Replace(connection)
		a.back("/api/streams", `{"id":null,"name":" ü\n","premises_id":null,"connection_type":"`+kind+`","connection_options":`+connection+`,"runtime_options":`+runtime+`,"metadata":`+metadata+`}`)
		if kind == "file" { // the same file is not given twice
			a.ok("DELETE", fmt.Sprintf("/api/streams/%d", n), "")
		}
	}
	save("ip_camera", `{URL}`, `{}`, oddMetadata)
	save("ip_camera", `{URL,"pipeline":"rtspsrc location={url} ! decodebin ! appsink name=main_sink"}`, `{"keyframes_only":true}`, `{}`)
	save("ip_camera", `{URL,"pipeline":"","transcode":true,"device_id":7}`, `{"keyframes_only":false}`, `{}`)
	save("ip_camera", `{URL,"pipeline":null,"other":`+oddMetadata+`}`, `{"keyframes_only":false}`, `{}`)
	save("webcam", `{DEVICE,"url":null}`, `{}`, `{}`)
	for _, clipped := range []string{`{CLIP}`, `{CLIP,"transcode":true}`, `{CLIP,"transcode":false}`, `{CLIP,"transcode":null,"pipeline":"","url":""}`} {
		save("file", clipped, `{}`, `{}`)
	}
}

func TestRuntimeOptionsComeBackAsGiven(t *testing.T) {
	t.Parallel()
	a := askReal(t)
	a.ok("POST", "/api/streams", `{"id":null,"name":"s","premises_id":null,"connection_type":"ip_camera","connection_options":{"url":"rtsp://a"},"runtime_options":{},"metadata":{}}`)
	for _, options := range []string{`{"keyframes_only":false}`, `{}`, `{"keyframes_only":true}`, `{}`} {
		a.ok("PUT", "/api/streams/1/runtime_options", options)
		if got := a.ok("GET", "/api/streams/1/runtime_options", ""); got != options {
			t.Errorf("options %s, want %s", got, options)
		}
		if got := a.ok("GET", "/api/streams/1", ""); !strings.Contains(got, `"runtime_options":`+options+`,`) {
			t.Errorf("stream %s, want %s", got, options)
		}
	}
}

func TestAlarmsComeBackAsGiven(t *testing.T) {
	t.Parallel()
	a := askReal(t)
	a.ok("POST", "/api/streams", `{"id":null,"name":"s","premises_id":null,"connection_type":"ip_camera","connection_options":{"url":"rtsp://a"},"runtime_options":{},"metadata":{}}`)
	const alarm = `{"id":null,"name":"A","zone_id":null,"stream_id":null,"use_active_time":%t,"active_start_time":"%s","active_end_time":"%s",` +
		`"count_conditions":[{"id":null,"test":"!=","check_value":-9007199254740991,"with_class_name":"","with_attribute":{"category":"","value":"ü"},"window_duration":%s,"window_threshold":0.3333333333333333,"intersection_point":"left"}],` +
		`"rate_conditions":[{"id":null,"test":"<=","duration":%[5]s,"change":-0.1234567890123456,"direction":"exiting","with_class_name":"\u2028","with_attribute":null,"intersection_point":"top"}]}`
	for i, c := range []struct {
		on                 bool
		start, end, window string
	}{
		{false, "00:00:00", "23:59:59", "5"}, {false, "08:30:15", "17:45:59", "0.3333333333333333"}, {false, "22:00:00", "06:00:00", "12345.678901234567"},
		{false, "00:00:00", "00:00:00", "86400"}, {true, "00:00:00", "23:59:59", "1e-9"}, {true, "08:30:15", "17:45:59", "6.000000000100001e-7"},
	} {
		a.back("/api/zones", fmt.Sprintf(`{"id":null,"name":"z%d","stream_id":1,"coords":[[0,0],[-1,7]],"alarms":[`+alarm+`]}`, i, c.on, c.start, c.end, c.window))
	}
	one := a.ok("GET", "/api/zone_alarms/2", "")
	for _, on := range []string{"true", "false"} { // on and off again, with the same hours
		one = regexp.MustCompile(`"use_active_time":\w+`).ReplaceAllString(one, `"use_active_time":`+on)
		a.back("/api/zone_alarms", one)
	}
	if got := a.ok("POST", "/api/zone_alarms", strings.Replace(one, `"08:30:15"`, `null`, 1)); !strings.Contains(got, `"active_start_time":"00:00:00","active_end_time":"17:45:59"`) {
		t.Errorf("without a start: %s", got)
	}
}

func TestIdentitiesComeBackAsGiven(t *testing.T) {
	t.Parallel()
	a := askReal(t)
	for i, rest := range []string{`"nickname":"","metadata":` + oddMetadata, `"nickname":null,"metadata":{}`, `"nickname":" ü\n","metadata":{"a":{"b":[]}}`} {
		a.back("/api/identities", fmt.Sprintf(`{"id":null,"unique_name":"<%d>",%s}`, i, rest))
	}
	for by, want := range map[string]string{
		"id:asc": "123", "unique_name:desc": "321", "nickname:desc": "312", "metadata:asc": "213", "metadata:desc": "312",
	} {
		var list []identity
		if err := json.Unmarshal([]byte(a.ok("GET", "/api/identities?sort_by="+strings.Replace(by, ":", "%3A", 1), "")), &list); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, i := range list {
			got += fmt.Sprint(i.ID)
		}
		if got != want {
			t.Errorf("by %s: %s, want %s", by, got, want)
		}
	}
}

func TestVectorsComeBackAsGiven(t *testing.T) {
	t.Parallel()
	encoder := walker()
	encoder.Decl.Name, encoder.Decl.Output.Encoded = "encoder_person", true
	a := asked{t, realServer(t, func(c *service.Config) {
		if err := c.Engine.Add(encoder); err != nil {
			t.Fatal(err)
		}
	}).Config.Handler}
	a.ok("POST", "/api/identities", `{"id":null,"unique_name":"ada","nickname":null,"metadata":{}}`)
	for i, vector := range []string{"[0.1,-2,3e-7]", "[0.3333333333333333,1e-300]", "[0.12345679104328156,16777217]", "[0.30000000000000004]"} {
		saved := a.ok("POST", "/api/identities/1/vectors", `{"class_name":"person","vector":`+vector+`}`)
		want := fmt.Sprintf(`{"id":%d,"identity_id":1,"class_name":"person","from_image":null,"vector":%s}`, i+1, vector)
		if read := a.ok("GET", fmt.Sprintf("/api/encodings/%d", i+1), ""); saved != want || read != want {
			t.Errorf("saved %s, read %s, want %s", saved, read, want)
		}
	}
}

func TestOptionsComeBackAsGiven(t *testing.T) {
	t.Parallel()
	a := askReal(t)
	a.ok("POST", "/api/streams", `{"id":null,"name":"s","premises_id":null,"connection_type":"ip_camera","connection_options":{"url":"rtsp://a"},"runtime_options":{},"metadata":{}}`)
	for _, place := range []string{"/api/streams/1/plugins/detector_face/options", "/api/plugins/detector_face/options"} {
		for _, option := range []string{
			`"pause":0.3333333333333333`, `"pause":1.5`, `"pause":12345.678901234567`, `"threshold":0.12345678901234566`, `"most":9007199254740993`, `"label":" ü\n"`, `"flip":true`, `"mode":"exact"`,
		} {
			a.ok("PATCH", place, "{"+option+"}")
			if got := a.ok("GET", place, ""); !strings.Contains(got, option) {
				t.Errorf("%s: %s, want %s", place, got, option)
			}
		}
	}
}

func TestNamesComeBackAsGiven(t *testing.T) {
	t.Parallel()
	a := askReal(t)
	for i, name := range []string{"", " x ", `ü\ud83d\ude00`, `<&>\u2028\u0001\"\\/`, `\ufeff`, strings.Repeat("z", 1024)} {
		a.back("/api/premises", `{"id":null,"name":"`+name+`"}`)
		if name != "" {
			a.back("/api/zones", fmt.Sprintf(`{"id":null,"name":"%s","stream_id":%s,"coords":[[0,0],[10,0],[10,10]],"alarms":[]}`, name, a.stream(i)))
		}
	}
}

// stream makes one, and gives its ID.
func (a asked) stream(i int) string {
	a.Helper()
	s := a.ok("POST", "/api/streams", fmt.Sprintf(`{"id":null,"name":"","premises_id":null,"connection_type":"ip_camera","connection_options":{"url":"rtsp://host%d"},"runtime_options":{},"metadata":{}}`, i))
	return regexp.MustCompile(`[0-9]+`).FindString(s)
}
