package brainframe

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// shown serves files and webcams again.
type shown struct{}

func (shown) URL(host string, n core.StreamNumber) (string, error) {
	return fmt.Sprintf("rtsp://%s/streams/%d", host, n), nil
}
func (shown) Forget(core.StreamNumber) {}

// TestViewing asks for URLs, and gives streams pipelines, as administrator and as editor.
func TestViewing(t *testing.T) {
	t.Parallel()
	s := realServer(t, func(c *service.Config) { c.Viewing = shown{} })
	off := realServer(t)
	call := func(s *httptest.Server, user, method, path, body string) (int, string) {
		t.Helper()
		r := httptest.NewRequest(method, "http://cam.example.com:8080"+path, strings.NewReader(body))
		r.SetBasicAuth(user, "secret")
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	stream := func(id, kind, options string) string {
		return fmt.Sprintf(`{"id":%s,"name":"Cam","premises_id":null,"connection_type":%q,"connection_options":{%s},"runtime_options":{},"metadata":{}}`, id, kind, options)
	}
	const line = `rtspsrc location={url} latency=50 ! rtph264depay name=buffer_src ! avdec_h264 ! videoconvert ! video/x-raw,format=(string)BGR ! appsink name=main_sink`
	for _, s := range []*httptest.Server{s, off} {
		for _, c := range []string{stream("null", "ip_camera", `"url":"rtsp://me:geheim@a/1"`), stream("null", "webcam", `"device_id":0`)} {
			if code, body := call(s, "admin", "POST", "/api/streams", c); code != http.StatusOK {
				t.Fatalf("%d %s", code, body)
			}
		}
		if code, body := call(s, "admin", "POST", "/api/users", `{"id":null,"username":"eve","password":"secret","role":"editor"}`); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	own := stream("1", "ip_camera", `"url":"rtsp://me:geheim@a/1","pipeline":"`+line+`"`)
	for _, c := range []struct {
		name, user, method, path, body string
		off                            bool
		code                           int
		want                           string // is in the answer
	}{
		{name: "a camera", user: "eve", method: "GET", path: "/api/streams/1/url", code: 200, want: `"rtsp://me:geheim@a/1"`},
		{name: "a webcam", user: "eve", method: "GET", path: "/api/streams/2/url", code: 200, want: `"rtsp://cam.example.com:8080/streams/2"`},
		{name: "by routing", user: "eve", method: "GET", path: "/api/streams/2/url?routing_type=rtsp", code: 200, want: `"rtsp_url":"rtsp://cam.example.com:8080/streams/2"`},
		{name: "no stream", user: "eve", method: "GET", path: "/api/streams/9/url", code: 404, want: "StreamConfigNotFoundError"},
		{name: "a camera, off", off: true, user: "eve", method: "GET", path: "/api/streams/1/url", code: 200, want: `"rtsp://me:geheim@a/1"`},
		{name: "a webcam, off", off: true, user: "eve", method: "GET", path: "/api/streams/2/url", code: 501, want: "rtsp.listen"},
		{name: "a pipeline by an editor", user: "eve", method: "POST", path: "/api/streams", body: own, code: 403, want: "InsufficientRoleError"},
		{name: "a pipeline", user: "admin", method: "POST", path: "/api/streams", body: own, code: 200, want: line},
		{name: "it is kept", user: "eve", method: "GET", path: "/api/streams/1", code: 200, want: line},
		{name: "another name by an editor", user: "eve", method: "POST", path: "/api/streams", body: strings.Replace(own, "Cam", "Door", 1), code: 200, want: `"Door"`},
		{name: "another pipeline by an editor", user: "eve", method: "POST", path: "/api/streams", body: strings.Replace(own, "latency=50", "latency=60", 1), code: 403, want: "InsufficientRoleError"},
		{name: "none by an editor", user: "eve", method: "POST", path: "/api/streams", body: stream("1", "ip_camera", `"url":"rtsp://me:geheim@a/1"`), code: 403, want: "InsufficientRoleError"},
		{name: "a file", user: "admin", method: "POST", path: "/api/streams", body: strings.Replace(own, "avdec_h264", "filesink location=/tmp/x", 1), code: 400, want: "filesink is not allowed"},
		{name: "no URL", user: "admin", method: "POST", path: "/api/streams", body: strings.Replace(own, "{url}", "rtsp://b", 1), code: 400, want: "has to be {url}"},
		{name: "no sink", user: "admin", method: "POST", path: "/api/streams", body: strings.Replace(own, "main_sink", "sink", 1), code: 400, want: "main_sink"},
		{name: "another kind of URL", user: "admin", method: "POST", path: "/api/streams", body: stream("2", "webcam", `"device_id":0,"pipeline":"`+line+`"`), code: 400, want: "v4l2://"},
		{name: "none by an administrator", user: "admin", method: "POST", path: "/api/streams", body: stream("1", "ip_camera", `"url":"rtsp://me:geheim@a/1"`), code: 200, want: `"connection_options":{"url":"rtsp://me:geheim@a/1"}`},
	} {
		at := s
		if c.off {
			at = off
		}
		if code, body := call(at, c.user, c.method, c.path, c.body); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s; want %d with %q", c.name, code, body, c.code, c.want)
		}
	}
}
