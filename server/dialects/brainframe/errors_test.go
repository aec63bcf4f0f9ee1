package brainframe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

// TestEveryErrorKind has each of the contract's kinds, by what the service or a request does.
func TestEveryErrorKind(t *testing.T) {
	t.Parallel()
	fault := func(k core.Kind, on string) error { return core.Faultf(k, "op", on, "why") }
	raised := map[string]error{
		"UnknownError":                  errors.New("anything"),
		"InvalidSyntaxError":            &httpx.SyntaxError{Reason: "x"},
		"InvalidFormatError":            &httpx.FormatError{Reason: "x"},
		"NotImplementedError":           fault(core.Unsupported, "stream"),
		"UnauthorizedError":             denied(fault(core.Denied, ""), "UnauthorizedError"),
		"InvalidSessionError":           denied(fault(core.Denied, ""), "InvalidSessionError"),
		"InsufficientRoleError":         fault(core.Denied, "role"),
		"StreamConfigNotFoundError":     fault(core.NotFound, "stream"),
		"StreamNotOpenedError":          fault(core.SourceOpen, "stream 7"),
		"DuplicateStreamSourceError":    fault(core.Exists, "stream"),
		"AnalysisLimitExceededError":    fault(core.Exhausted, "stream"),
		"InvalidRuntimeOptionError":     fault(core.Invalid, "runtime option"),
		"ZoneNotFoundError":             fault(core.NotFound, "zone"),
		"ZoneNotDeletableError":         refuse("ZoneNotDeletableError", "x"), // TestBadRequests has the route
		"ZoneNotEditableError":          fault(core.Denied, "zone"),
		"DuplicateZoneNameError":        fault(core.Exists, "zone"),
		"ZoneAlarmNotFoundError":        fault(core.NotFound, "alarm 3"),
		"AlertNotFoundError":            fault(core.NotFound, "alert"),
		"FrameNotFoundForAlertError":    fault(core.NotFound, "frame"),
		"StorageNotFoundError":          fault(core.NotFound, "blob"),
		"IdentityNotFoundError":         fault(core.NotFound, "identity"),
		"DuplicateIdentityNameError":    fault(core.Exists, "identity"),
		"EncodingNotFoundError":         fault(core.NotFound, "encoding"),
		"ImageNotFoundForIdentityError": fault(core.NotFound, "image"),
		"InvalidImageTypeError":         fault(core.Invalid, "image"),
		"NoDetectorForClassError":       fault(core.NotFound, "detector"),
		"NoEncoderForClassError":        fault(core.NotFound, "encoder"),
		"NoDetectionsInImageError":      fault(core.NotFound, "detection"),
		"TooManyDetectionsInImageError": fault(core.Invalid, "detection"),
		"ImageAlreadyEncodedError":      fault(core.Exists, "image"),
		"DuplicateVectorError":          fault(core.Exists, "encoding"),
		"VectorTooLongError":            fault(core.Exhausted, "vector"),
		"PluginNotFoundError":           fault(core.NotFound, "capsule"),
		"InvalidPluginOptionError":      fault(core.Invalid, "option"),
		"InvalidCapsuleError":           fault(core.Invalid, "capsule"),
		"IncompatibleCapsuleError":      fault(core.CapsuleVersion, "capsule"),
		"PremisesNotFoundError":         fault(core.NotFound, "premises"),
		"UserNotFoundError":             fault(core.NotFound, "user"),
		"DuplicateUsernameError":        fault(core.Exists, "user"),
		"AdminMustExistError":           fault(core.Denied, "admin"),
		"LicenseRequiredError":          fault(core.NotFound, "license"),
		"LicenseExpiredError":           refuse("LicenseExpiredError", "x"), // never raised: nothing expires
		"LicenseInvalidError":           fault(core.Invalid, "license"),
		"RemoteConnectionError":         refuse("RemoteConnectionError", "x"), // never raised: nothing remote is asked
		"UnauthorizedTokensError":       refuse("UnauthorizedTokensError", "x"),
		"CloudUserNotFoundError":        refuse("CloudUserNotFoundError", "x"),
	}
	if len(statuses) != 46 {
		t.Errorf("%d kinds, want 46", len(statuses))
	}
	for want, status := range statuses {
		r := reply(raised[want])
		got, _ := r.Body.(failure)
		if got.Title != want || r.Status != status || got.Description == "" {
			t.Errorf("%s: got %d %+v, want %d", want, r.Status, got, status)
		}
	}
	for w, title := range titles {
		if statuses[title] == 0 {
			t.Errorf("%v: %q is no kind of the contract", w, title)
		}
	}
}

func TestFaultsOfOursAreNotTold(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("secret"), core.Faultf(core.Internal, "", "stream", "secret")} {
		r := reply(err)
		if body, _ := r.Body.(failure); r.Status != 500 || body.Title != "UnknownError" || strings.Contains(body.Description, "secret") {
			t.Errorf("%v: %d %+v", err, r.Status, body)
		}
	}
	for err, want := range map[error]int{
		core.Faultf(core.Closed, "", "stream", "x"): 502, core.Faultf(core.NotFound, "", "thing", "x"): 404,
		core.Faultf(core.Exhausted, "write blob", "blob", "the disk of the server is full"): 507, core.Faultf(core.Exhausted, "", "disk", "x"): 507,
		context.Canceled: 499, core.Faultf(core.CapsuleFailed, "", "c", "x"): 500, &httpx.TooLargeError{Limit: 1}: 413,
	} {
		if r := reply(err); r.Status != want {
			t.Errorf("%v: status %d, want %d", err, r.Status, want)
		}
	}
}

// badRequest is refused before, or by, the service.
type badRequest struct {
	name, method, path, body string
	status                   int
	title                    string
}

// badPlaces are about streams, zones and alarms.
func badPlaces() []badRequest {
	zone := func(coords string) string { return `{"name":"a","stream_id":1,"coords":` + coords + `,"alarms":[]}` }
	count := func(fields string) string {
		return `{"name":"a","zone_id":1,"use_active_time":false,"count_conditions":[{"with_class_name":"a",` + fields + `}]}`
	}
	stream := func(kind, options, runtime string) string {
		return `{"name":"a","connection_type":"` + kind + `","connection_options":` + options + `,"runtime_options":` + runtime + `}`
	}
	return []badRequest{
		{"unknown route", "GET", "/api/nothing", "", 404, "UnknownError"},
		{"trailing slash", "GET", "/api/version/", "", 404, "UnknownError"},
		{"wrong method", "DELETE", "/api/version", "", 405, "UnknownError"},
		{"head of what has no end", "HEAD", "/api/streams/statuses", "", 405, "UnknownError"},
		{"ID of letters", "GET", "/api/streams/abc", "", 400, "InvalidFormatError"},
		{"ID 0", "GET", "/api/streams/0", "", 404, "StreamConfigNotFoundError"},
		{"huge ID", "GET", "/api/zones/99999999999999999999", "", 404, "ZoneNotFoundError"},
		{"no body", "POST", "/api/streams", "", 400, "InvalidSyntaxError"},
		{"no JSON", "POST", "/api/streams", "{", 400, "InvalidSyntaxError"},
		{"two values", "POST", "/api/streams", "{}{}", 400, "InvalidSyntaxError"},
		{"NaN", "PUT", "/api/alerts/1", "NaN", 400, "InvalidSyntaxError"},
		{"not UTF-8", "POST", "/api/premises", "{\"name\":\"\xff\"}", 400, "InvalidSyntaxError"},
		{"NUL", "POST", "/api/premises", `{"name":"a\u0000"}`, 400, "InvalidFormatError"},
		{"deep", "POST", "/api/premises", `{"name":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, 400, "InvalidFormatError"},
		{"large", "POST", "/api/premises", `{"name":"` + strings.Repeat("a", 5<<20) + `"}`, 413, "InvalidFormatError"},
		{"a list", "POST", "/api/premises", `[]`, 400, "InvalidFormatError"},
		{"missing name", "POST", "/api/premises", `{"id":null}`, 400, "InvalidFormatError"},
		{"null name", "POST", "/api/premises", `{"name":null}`, 400, "InvalidFormatError"},
		{"number for a name", "POST", "/api/premises", `{"name":5}`, 400, "InvalidFormatError"},
		{"fraction for an ID", "POST", "/api/premises", `{"id":1.5,"name":"a"}`, 400, "InvalidFormatError"},
		{"huge ID in a body", "POST", "/api/premises", `{"id":1e300,"name":"a"}`, 400, "InvalidFormatError"},
		{"premises that are not there", "POST", "/api/premises", `{"id":77,"name":"a"}`, 404, "PremisesNotFoundError"},

		{"connection type", "POST", "/api/streams", stream("virtual", "{}", "{}"), 400, "InvalidFormatError"},
		{"no url", "POST", "/api/streams", stream("ip_camera", "{}", "{}"), 400, "InvalidFormatError"},
		{"no file", "POST", "/api/streams", stream("file", "{}", "{}"), 400, "InvalidFormatError"},
		{"file that is not there", "POST", "/api/streams", stream("file", `{"storage_id":99}`, "{}"), 404, "StorageNotFoundError"},
		{"device", "POST", "/api/streams", stream("webcam", `{"device_id":-1}`, "{}"), 400, "InvalidFormatError"},
		{"same source", "POST", "/api/streams", stream("ip_camera", `{"url":"rtsp://10.0.0.7/1"}`, "{}"), 409, "DuplicateStreamSourceError"},
		{"unknown runtime option", "POST", "/api/streams", stream("ip_camera", `{"url":"rtsp://x"}`, `{"speed":1}`), 400, "InvalidRuntimeOptionError"},
		{"runtime option of a wrong type", "PUT", "/api/streams/1/runtime_options", `{"keyframes_only":1}`, 400, "InvalidRuntimeOptionError"},
		{"metadata of huge numbers", "POST", "/api/streams", `{"name":"a","connection_type":"ip_camera","connection_options":{"url":"x"},"metadata":{"a":[1e999]}}`, 400, "InvalidFormatError"},
		{"stream that is not there", "POST", "/api/streams", `{"id":9,` + stream("ip_camera", `{"url":"rtsp://x"}`, `{}`)[1:], 404, "StreamConfigNotFoundError"},
		{"analyze maybe", "PUT", "/api/streams/1/analyze", `null`, 400, "InvalidFormatError"},

		{"no points", "POST", "/api/zones", zone("null"), 400, "InvalidFormatError"},
		{"one point", "POST", "/api/zones", zone("[[1,2]]"), 400, "InvalidFormatError"},
		{"point of three", "POST", "/api/zones", zone("[[1,2,3],[1,2]]"), 400, "InvalidFormatError"},
		{"far point", "POST", "/api/zones", zone("[[1e9,2],[1,2]]"), 400, "InvalidFormatError"},
		{"points of text", "POST", "/api/zones", zone(`[["a",2],[1,2]]`), 400, "InvalidFormatError"},
		{"zone that becomes the whole frame", "POST", "/api/zones", `{"id":3,"name":"Line","stream_id":1,"coords":null}`, 400, "InvalidFormatError"},
		{"zone name that is taken", "POST", "/api/zones", strings.Replace(zone("[[1,2],[3,4]]"), `"a"`, `"Line"`, 1), 409, "DuplicateZoneNameError"},
		{"zone of no stream", "POST", "/api/zones", `{"name":"a","stream_id":9,"coords":[[1,2],[3,4]]}`, 404, "StreamConfigNotFoundError"},
		{"edit Screen", "POST", "/api/zones", screen1, 400, "ZoneNotEditableError"},
		{"delete Screen", "DELETE", "/api/zones/1", "", 400, "ZoneNotDeletableError"},
		{"zones of a stream that is not there", "GET", "/api/zones?stream_id=9", "", 404, "StreamConfigNotFoundError"},
		{"methods of a zone that is not there", "OPTIONS", "/api/zones/9", "", 404, "ZoneNotFoundError"},

		{"alarm of no zone", "POST", "/api/zone_alarms", `{"name":"a","zone_id":null,"use_active_time":false}`, 400, "InvalidFormatError"},
		{"time of day", "POST", "/api/zone_alarms", `{"name":"a","zone_id":1,"use_active_time":true,"active_start_time":"7:00:00","active_end_time":"24:00:00"}`, 400, "InvalidFormatError"},
		{"test of a rate for a count", "POST", "/api/zone_alarms", count(`"test":">=","check_value":1`), 400, "InvalidFormatError"},
		{"threshold", "POST", "/api/zone_alarms", count(`"test":">","check_value":1,"window_threshold":1.1`), 400, "InvalidFormatError"},
		{"window", "POST", "/api/zone_alarms", count(`"test":">","check_value":1,"window_duration":-1`), 400, "InvalidFormatError"},
		{"intersection point", "POST", "/api/zone_alarms", count(`"test":">","check_value":1,"intersection_point":"middle"`), 400, "InvalidFormatError"},
		{"attribute", "POST", "/api/zone_alarms", count(`"test":">","check_value":1,"with_attribute":{"category":"a"}`), 400, "InvalidFormatError"},
		{"alarms of a zone that is not there", "GET", "/api/zone_alarms?zone_id=9", "", 404, "ZoneNotFoundError"},
	}
}

// badOthers are about everything else.
func badOthers() []badRequest {
	noImage, _ := form("", `{"plugins":[],"options":{}}`)
	badJSON, _ := form("\xff\xd8", `{`)
	badImage, _ := form("text", `{"plugins":["detector_face"]}`)
	badOption, _ := form("\xff\xd8", `{"plugins":["detector_face"],"options":{"detector_face":{"threshold":true}}}`)
	noCapsule, _ := form("\xff\xd8", `{"plugins":[],"options":{"nobody":{}}}`)
	return []badRequest{
		{"alerts of a stream that is not there", "GET", "/api/alerts?stream_id=9", "", 404, "StreamConfigNotFoundError"},
		{"verification", "GET", "/api/alerts?verification=maybe", "", 400, "InvalidFormatError"},
		{"limit", "GET", "/api/alerts?limit=-1", "", 400, "InvalidFormatError"},
		{"broken query", "GET", "/api/alerts?limit=%zz", "", 400, "InvalidFormatError"},
		{"query with NUL", "GET", "/api/identities?search=%00", "", 400, "InvalidFormatError"},
		{"query not UTF-8", "GET", "/api/identities?search=%ff", "", 400, "InvalidFormatError"},
		{"sort field", "GET", "/api/identities?sort_by=password:asc", "", 400, "InvalidFormatError"},
		{"sort order", "GET", "/api/identities?sort_by=id", "", 400, "InvalidFormatError"},
		{"no frame", "GET", "/api/alerts/2/frame", "", 404, "FrameNotFoundForAlertError"},
		{"frame of no alert", "GET", "/api/alerts/9/frame", "", 404, "AlertNotFoundError"},

		{"capsule that is not there", "GET", "/api/streams/1/plugins/none/options", "", 404, "PluginNotFoundError"},
		{"capsule of a stream that is not there", "GET", "/api/streams/9/plugins/detector_face/active", "", 404, "StreamConfigNotFoundError"},
		{"unknown option", "PUT", "/api/plugins/detector_face/options", `{"x":1}`, 400, "InvalidPluginOptionError"},
		{"option out of bounds", "PATCH", "/api/streams/1/plugins/detector_face/options", `{"threshold":2}`, 400, "InvalidPluginOptionError"},
		{"options of a list", "PUT", "/api/plugins/detector_face/options", `[]`, 400, "InvalidFormatError"},
		{"active of a number", "PUT", "/api/plugins/detector_face/active", `1`, 400, "InvalidFormatError"},
		{"capsule of no file", "PUT", "/api/plugins", `{"storage_id":99}`, 404, "StorageNotFoundError"},

		{"name that is taken", "POST", "/api/identities", `{"unique_name":"ada"}`, 409, "DuplicateIdentityNameError"},
		{"vector that is there", "POST", "/api/identities/1/vectors", `{"class_name":"face","vector":[3]}`, 400, "DuplicateVectorError"},
		{"vector of nothing", "POST", "/api/identities/1/vectors", `{"class_name":"face","vector":[]}`, 400, "InvalidFormatError"},
		{"vector of huge numbers", "POST", "/api/identities/1/vectors", `{"class_name":"face","vector":[1e39]}`, 400, "InvalidFormatError"},
		{"image that is not there", "POST", "/api/identities/1/images", `{"class_name":"face","storage_id":99}`, 404, "StorageNotFoundError"},
		{"fields", "GET", "/api/encodings?fields=vector", "", 400, "InvalidFormatError"},
		{"delete encodings of nobody", "DELETE", "/api/encodings?identity_id=0", "", 400, "InvalidFormatError"},
		{"delete encodings of no class", "DELETE", "/api/encodings?class_name=", "", 400, "InvalidFormatError"},

		{"empty upload", "POST", "/api/storage", "", 400, "InvalidFormatError"},
		{"user without a password", "POST", "/api/users", `{"username":"a","password":null,"role":"editor"}`, 400, "InvalidFormatError"},
		{"role", "POST", "/api/users", `{"username":"a","password":"b","role":"viewer"}`, 400, "InvalidFormatError"},
		{"user of another API", "GET", "/api/users/2", "", 404, "UserNotFoundError"},
		{"user name that is taken", "POST", "/api/users", `{"username":"ed","password":"b","role":"editor"}`, 409, "DuplicateUsernameError"},
		{"last admin", "DELETE", "/api/users/1", "", 400, "AdminMustExistError"},
		{"license", "PUT", "/api/license", "not base64!", 400, "LicenseInvalidError"},
		{"no license", "PUT", "/api/license", "", 400, "LicenseInvalidError"},
		{"tokens", "PUT", "/api/cloud_tokens", `{}`, 400, "InvalidFormatError"},

		{"no form", "POST", "/api/process_image", `{}`, 400, "InvalidFormatError"},
		{"form without an image", "POST", "/api/process_image", noImage, 400, "InvalidFormatError"},
		{"form that breaks off", "POST", "/api/process_image", noImage[:80], 400, "InvalidSyntaxError"},
		{"form with no JSON", "POST", "/api/process_image", badJSON, 400, "InvalidSyntaxError"},
		{"form with no picture", "POST", "/api/process_image", badImage, 400, "InvalidImageTypeError"},
		{"form with a bad option", "POST", "/api/process_image", badOption, 400, "InvalidPluginOptionError"},
		{"form with no such capsule", "POST", "/api/process_image", noCapsule, 404, "PluginNotFoundError"},
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	for _, c := range append(badPlaces(), badOthers()...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := serve(handler(furnished(t), Options{}), c.method, c.path, c.body)
			if got := title(t, w); w.Code != c.status || got != c.title {
				t.Errorf("got %d %s, want %d %s: %s", w.Code, got, c.status, c.title, w.Body)
			}
		})
	}
}

func TestAnalysisLimit(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	w.analyze = func(context.Context, service.Caller, core.StreamNumber, bool) error {
		return core.Faultf(core.Exhausted, "", "machine", "it carries 4 streams")
	}
	got := serve(handler(w, Options{}), "PUT", "/api/streams/1/analyze", "true")
	if title(t, got) != "AnalysisLimitExceededError" || got.Code != 503 {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// TestStarting holds clients off with a 502 that has a body, on every route and off them.
func TestStarting(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	w.starting = true
	for _, path := range []string{"/api/version", "/api/streams/statuses", "/api/nothing"} {
		if got := serve(handler(w, Options{}), "GET", path, ""); got.Code != http.StatusBadGateway || title(t, got) != "ServerNotReadyError" {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
}

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f := &fake{ready: func() bool { return true }, anonymous: func() (service.Caller, error) { return adminCaller, nil }}
	h := New(f, hclog.New(&hclog.LoggerOptions{Output: &log}), Options{})
	if got := serve(h, "GET", "/api/streams", ""); got.Code != 500 || title(t, got) != "UnknownError" {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if !strings.Contains(log.String(), "the test sets no streams") {
		t.Errorf("the log does not tell: %s", log.String())
	}
}

// TestBodyThatHangs is refused, and not waited for without end.
func TestBodyThatHangs(t *testing.T) {
	t.Parallel()
	address := listen(t, furnished(t), Options{ReadLimit: 50 * time.Millisecond})
	part := "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"i\"\r\n\r\n"
	for path, body := range map[string]string{"POST /api/premises": "{", "POST /api/storage": "abc", "PUT /api/license": "b", "POST /api/process_image": part} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: server\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n%s", path, body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var f failure
		if err := json.NewDecoder(answer.Body).Decode(&f); err != nil || answer.StatusCode != 400 || f.Title != "InvalidSyntaxError" {
			t.Errorf("%s: %d %+v %v", path, answer.StatusCode, f, err)
		}
		_ = errors.Join(answer.Body.Close(), conn.Close())
	}
}

// TestServerDeadlines keeps the status stream going under a server that limits reading and writing.
func TestServerDeadlines(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	s := httptest.NewUnstartedServer(handler(w, Options{KeepAlive: 20 * time.Millisecond}))
	s.Config.ReadTimeout, s.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	s.Start()
	defer s.Close()
	defer w.stop()
	c := dial(t, s.Listener.Addr().String())
	for range 20 {
		if _, err := c.packet(); err != nil {
			t.Fatal(err)
		}
	}
}
