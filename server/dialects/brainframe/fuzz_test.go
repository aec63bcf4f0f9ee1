package brainframe

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/server/httpx"
)

// parsers has every reader of a request's body, by what it reads.
var parsers = map[string]func(httpx.Value) (any, error){
	"stream":   anyOf(parseStream),
	"runtime":  anyOf(parseRuntime),
	"alarm":    anyOf(parseAlarm),
	"tristate": anyOf(parseTristate),
	"upload":   anyOf(parseUpload),
	"identity": anyOf(parseIdentity),
	"picture":  anyOf(parsePicture),
	"vector":   anyOf(parseVector),
	"premises": anyOf(parsePremises),
	"tokens":   anyOf(parseTokens),
	"job":      anyOf(parseJob),
	"options":  func(v httpx.Value) (any, error) { return parseValues(faceDetector, v) },
	"zone": func(v httpx.Value) (any, error) {
		z, _, err := parseZone(v)
		return z, err
	},
	"user": func(v httpx.Value) (any, error) {
		u, _, err := parseUser(v)
		return u, err
	},
}

func anyOf[T any](parse func(httpx.Value) (T, error)) func(httpx.Value) (any, error) {
	return func(v httpx.Value) (any, error) { return parse(v) }
}

// FuzzBodies gives every reader every body: what it refuses is the caller's fault, and is named.
func FuzzBodies(f *testing.F) {
	for _, c := range calls() {
		f.Add(c.body)
		f.Add(c.want)
	}
	f.Add(`{"id":1e400,"coords":[[[]]],"alarms":[{"count_conditions":[null]}],"vector":[1e38,-1e39],"metadata":{"":[]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := httpx.ParseJSON([]byte(text))
		if err != nil {
			theirs(t, "JSON", err)
			return
		}
		for name, parse := range parsers {
			if _, err := parse(v); err != nil {
				theirs(t, name, err)
			}
		}
	})
}

func theirs(t *testing.T, name string, err error) {
	var (
		own    *apiError
		syntax *httpx.SyntaxError
		format *httpx.FormatError
	)
	if !errors.As(err, &own) && !errors.As(err, &syntax) && !errors.As(err, &format) {
		t.Errorf("%s: %T %v is not the caller's fault", name, err, err)
	}
}

// FuzzQueries gives every reader of a query every query.
func FuzzQueries(f *testing.F) {
	for _, q := range []string{"", "limit=1&offset=2", "limit=-1", "sort_by=id%3Aasc", "verification=true,,false", "stream_id=0", "a=%zz", "search=%00", "limit=9223372036854775807", "identity_id=1;x"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}}
		q, err := httpx.ReadQuery(r)
		if err != nil {
			theirs(t, "query", err)
			return
		}
		if a, err := parseAlertFilter(q); err != nil {
			theirs(t, "alerts", err)
		} else if a.Page.Limit < 0 || a.Page.Offset < 0 || len(a.Verification) > 3 {
			t.Errorf("%q: %+v", query, a)
		}
		if i, err := parseIdentityFilter(q); err != nil {
			theirs(t, "identities", err)
		} else if i.Page.Limit < 0 || i.Page.Offset < 0 {
			t.Errorf("%q: %+v", query, i)
		}
		if v, err := parseVectorFilter(q); err != nil {
			theirs(t, "encodings", err)
		} else if v.Identity < 0 {
			t.Errorf("%q: %+v", query, v)
		}
	})
}

// FuzzRequests sends anything anywhere: never a panic, never a 5xx but those of the contract, and
// always its body.
func FuzzRequests(f *testing.F) {
	for _, c := range calls() {
		f.Add(c.method, c.path, c.body)
	}
	for _, path := range []string{"/", "//", "/api/../api/version", "/api/streams/-1/analyze", "/api/plugins/%00/options", "/api/plugins/a b\xff", "/api/zones/1/../2"} {
		f.Add("GET", path, "")
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if !validMethod(method) || strings.Contains(path, "statuses") {
			t.Skip()
		}
		w := serve(handler(furnished(t), Options{}), method, "/"+strings.TrimPrefix(path, "/"), body)
		switch {
		case w.Code >= 500:
			t.Errorf("%s %q %q: %d %s", method, path, body, w.Code, w.Body)
		case w.Code >= 400:
			if name := title(t, w); statuses[name] == 0 {
				t.Errorf("%s %q: unknown kind %s", method, path, name)
			}
		case w.Code != 200:
			t.Errorf("%s %q: status %d", method, path, w.Code)
		}
	})
}

// validMethod says whether net/http would take the method.
func validMethod(m string) bool {
	return m != "" && strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// FuzzHeaders sends anything as credentials and as types of bodies: never a panic, never a 5xx.
func FuzzHeaders(f *testing.F) {
	for _, v := range []string{"", "Basic YTpi", "Basic !", "Bearer x", "Digest a=b", "multipart/form-data; boundary=x", "multipart/form-data; boundary=" + strings.Repeat("x", 80), "\xff", "a;b=c;;=", "session_id=1.x; session_id="} {
		f.Add(v, v, v, "--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\nbytes\r\n--x--\r\n")
	}
	f.Fuzz(func(t *testing.T, authorization, cookie, kind, body string) {
		for _, path := range []string{"/api/process_image", "/api/storage", "/api/streams"} {
			r := httptest.NewRequest(http.MethodPost, "http://server"+path, strings.NewReader(body))
			r.Header["Authorization"], r.Header["Cookie"], r.Header["Content-Type"] = []string{authorization}, []string{cookie}, []string{kind}
			w := httptest.NewRecorder()
			handler(furnished(t), Options{}).ServeHTTP(w, r)
			if w.Code >= 500 && w.Code != http.StatusNotImplemented {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			} else if w.Code >= 400 {
				title(t, w)
			}
		}
	})
}
