package native

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// nonsense are values that stand in for every member of every body.
var nonsense = []string{
	`null`, `true`, `0`, `-1`, `1.5`, `1e400`, `-9223372036854775809`, `18446744073709551616`, `9223372036854775807`, `"x"`, `""`, `"\u0000"`, `"\ud800"`, "\"\xff\"",
	`[]`, `{}`, `[[[]]]`, `[null]`, `{"a":{"b":[1e400]}}`, `"` + strings.Repeat("x", 70000) + `"`, strings.Repeat("[", 200) + strings.Repeat("]", 200), `'`, `NaN`, ``,
}

// theirs wants a good answer, or a problem that is the caller's.
func theirs(t *testing.T, what string, a *httptest.ResponseRecorder) {
	t.Helper()
	var p problem
	switch {
	case a.Code == http.StatusNotImplemented || a.Code == 499 || a.Code >= 100 && a.Code < 400:
	case a.Code >= 500:
		t.Errorf("%s: %d %.300s", what, a.Code, a.Body)
	case a.Header().Get("Content-Type") != problemType || json.Unmarshal(a.Body.Bytes(), &p) != nil || p.Detail == "" || p.Status != a.Code:
		t.Errorf("%s: %d is no problem: %.300s", what, a.Code, a.Body)
	case len(a.Body.Bytes()) > 4000:
		t.Errorf("%s: a problem of %d bytes: %.300s", what, a.Body.Len(), a.Body)
	}
}

// any asks as an administrator; what has no end is left soon.
func (w *world) any(method, path, query, body string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	if strings.HasSuffix(path, "/results") {
		ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	}
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, "http://server/", strings.NewReader(body))
	r.URL.Path, r.URL.RawQuery = path, query
	r.SetBasicAuth("admin", password)
	a := httptest.NewRecorder()
	w.ServeHTTP(a, r)
	return a
}

// TestNonsense sends every route what it does not take.
func TestNonsense(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.furnish()
	w.must(200, "PATCH", "/streams/1", `{"analyze":false}`)
	for _, r := range (&api{}).routes() {
		if r.id == "getStreamPicture" || r.method == del {
			continue
		}
		path, body := sample(r)
		path, query, _ := strings.Cut(path, "?")
		if text, ok := body.(string); ok {
			w.bodies(t, r, path, query, text)
		}
		for _, name := range queries(r.params) {
			for _, v := range []string{"", "x", "-1", "1e9", "99999999999999999999", "true", "0", "1", "\x00", "\xff", "a,b,,c", strings.Repeat("9", 5000), "{}", "[]"} {
				theirs(t, fmt.Sprintf("%s %s?%s=%.40q", r.method, path, name, v), w.any(r.method, Base+path, name+"="+url.QueryEscape(v), ""))
			}
		}
		theirs(t, path+"?a=%zz", w.any(r.method, Base+path, "a=%zz", ""))
		problemIs(t, w.any(http.MethodTrace, Base+path, "", ""), http.StatusMethodNotAllowed, "invalid")
		for _, id := range []string{"0", "-1", "x", "1.0", "99999999999999999999", "9223372036854775807", "\x00", "\xff", "a b", strings.Repeat("1", 3000), "%2e%2e"} {
			odd := strings.NewReplacer("{capsule}", id, "{file}", id, "{api}", id, "{zone}", id, "{stream}", id, "{premises}", id, "{alarm}", id, "{alert}", id, "{blob}", id,
				"{identity}", id, "{vector}", id, "{user}", id, "{token}", id, "{destination}", id, "{delivery}", id).Replace(r.path)
			if odd != r.path {
				text, _ := body.(string)
				theirs(t, fmt.Sprintf("%s %.80q", r.method, odd), w.any(r.method, Base+odd, query, text))
			}
		}
	}
}

// bodies sends nonsense as the body, and in place of each of its members.
func (w *world) bodies(t *testing.T, r route, path, query, good string) {
	t.Helper()
	for _, bad := range nonsense {
		theirs(t, fmt.Sprintf("%s %s %.60q", r.method, path, bad), w.any(r.method, Base+path, query, bad))
	}
	if r.body == nil {
		return
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(good), &members); err != nil {
		t.Fatal(err)
	}
	for i := range r.body.NumField() {
		name, _, _ := strings.Cut(r.body.Field(i).Tag.Get("json"), ",")
		for _, bad := range nonsense {
			if name == "" || name == "analyze" && bad == "true" {
				continue
			}
			text := `{"` + name + `":` + bad
			for other, v := range members {
				if other != name {
					text += `,"` + other + `":` + string(v)
				}
			}
			theirs(t, fmt.Sprintf("%s %s %.200q", r.method, path, text), w.any(r.method, Base+path, query, text+"}"))
		}
	}
}

func queries(t reflect.Type) []string {
	var out []string
	for i := 0; t != nil && i < t.NumField(); i++ {
		if f := t.Field(i); f.Anonymous {
			out = append(out, queries(f.Type)...)
		} else if name := f.Tag.Get("query"); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// FuzzRequests sends anything anywhere: never a panic, never a 5xx, and always a problem.
func FuzzRequests(f *testing.F) {
	for _, r := range (&api{}).routes() {
		path, body := sample(r)
		path, query, _ := strings.Cut(path, "?")
		text, _ := body.(string)
		f.Add(r.method, path, query, text)
	}
	f.Add("GET", "/../../etc", "limit=1&cursor=1.2", "")
	w := newWorld(f, Options{})
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		if method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || strings.HasSuffix(path, "/picture") {
			t.Skip()
		}
		theirs(t, fmt.Sprintf("%s %q %q %q", method, path, query, body), w.any(method, Base+path, query, body))
	})
}
