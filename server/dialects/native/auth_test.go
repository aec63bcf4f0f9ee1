package native

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// send is a request with headers: "Name: value".
func (w *world) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://server"+Base+path, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	a := httptest.NewRecorder()
	w.ServeHTTP(a, r)
	told(w.t, method, path, a)
	return a
}

func TestSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	problemIs(t, w.ask("POST", "/session", `{"name":"admin","password":"wrong"}`, "-"), 401, "denied")
	a := w.ask("POST", "/session", `{"name":"admin","password":"a test's own"}`, "-")
	cookie := a.Header().Get("Set-Cookie")
	for _, part := range []string{"session_id=1.", "; HttpOnly", "; SameSite=Strict", "; Path=/"} {
		if a.Code != 200 || !strings.Contains(cookie, part) {
			t.Errorf("signed in: %d, %q without %q", a.Code, cookie, part)
		}
	}
	cookie = "Cookie: " + strings.Split(cookie, ";")[0]
	if got := w.send("GET", "/session", "", cookie); got.Code != 200 || !strings.Contains(got.Body.String(), `"via":"session"`) {
		t.Errorf("who am I: %d %s", got.Code, got.Body)
	}
	for _, c := range []struct {
		name, header string
		status       int
	}{
		{"a page of ours", "Origin: http://server", 201}, {"a page of another origin", "Origin: http://evil", 403}, {"another port", "Origin: http://server:1", 403},
		{"a browser that says so", "Sec-Fetch-Site: cross-site", 403}, {"another site below the same", "Sec-Fetch-Site: same-site", 403}, {"no browser", "X-A: b", 201}, {"no origin", "Origin: null", 403},
	} {
		for _, by := range []string{cookie, "Authorization: Basic YWRtaW46YSB0ZXN0J3Mgb3du"} {
			if got := w.send("POST", "/premises", `{"name":"x"}`, by, c.header); got.Code != c.status {
				t.Errorf("%s: %d, want %d: %s", c.name, got.Code, c.status, got.Body)
			}
		}
	}
	if got := w.send("GET", "/premises", "", cookie, "Origin: http://evil"); got.Code != 200 || got.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("reading: %d %v", got.Code, got.Header())
	}
	if got := w.send("DELETE", "/session", "", cookie); got.Code != 204 || !strings.Contains(got.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signed out: %d %v", got.Code, got.Header())
	}
	problemIs(t, w.send("GET", "/session", "", cookie), 401, "denied")
}

// TestPasswordsAreKnown sends a password many times: it is checked once, and not any more when it
// has changed.
func TestPasswordsAreKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.must(201, "POST", "/users", `{"name":"vic","role":"viewer","password":"one"}`)
	for range 50 {
		w.must(200, "GET", "/session", nil, "vic:one")
	}
	w.must(200, "PATCH", "/users/2", `{"password":"two"}`)
	problemIs(t, w.ask("GET", "/session", nil, "vic:one"), 401, "denied")
	w.must(200, "GET", "/session", nil, "vic:two")
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.must(201, "POST", "/users", `{"name":"eve","role":"editor","password":"p"}`)
	made := w.must(201, "POST", "/tokens", `{"name":"ci","role":"viewer"}`, "eve:p")
	secret, _ := made["secret"].(string)
	if !strings.HasPrefix(secret, "cap_") || len(secret) < 30 || made["used"] != nil {
		t.Fatalf("%v", made)
	}
	if who := w.must(200, "GET", "/session", nil, secret); who["role"] != "viewer" || who["name"] != "eve (token ci)" || who["via"] != "token" || who["user"] != 2.0 {
		t.Errorf("who: %v", who)
	}
	if list := w.must(200, "GET", "/tokens", nil, "eve:p"); at(list, "items.0.used") == nil || strings.Contains(marshal(t, list), secret) {
		t.Errorf("list: %v", list)
	}
	problemIs(t, w.ask("POST", "/premises", `{"name":"x"}`, secret), 403, "denied")
	problemIs(t, w.ask("POST", "/tokens", `{"name":"x","role":"viewer"}`, secret), 403, "denied")
	problemIs(t, w.ask("POST", "/tokens", `{"name":"x","role":"admin"}`, "eve:p"), 403, "denied")
	problemIs(t, w.ask("POST", "/tokens", `{"name":"x","role":"viewer","user":1}`, "eve:p"), 403, "denied")
	problemIs(t, w.ask("POST", "/tokens", `{"name":"x","role":"admin","user":2}`), 403, "denied") // more than its user
	problemIs(t, w.ask("POST", "/tokens", `{"name":"x","role":"viewer","expires":"2001-01-01T00:00:00Z"}`), 400, "invalid")
	problemIs(t, w.ask("POST", "/tokens", `{"name":"x","role":"viewer","expires":"tomorrow"}`), 400, "invalid")
	problemIs(t, w.ask("GET", "/session", nil, secret+"x"), 401, "denied")
	own := w.must(201, "POST", "/tokens", `{"name":"all","role":"editor","expires":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`, "eve:p")
	w.must(200, "PATCH", "/users/2", `{"role":"viewer"}`)
	if who := w.must(200, "GET", "/session", nil, own["secret"].(string)); who["role"] != "viewer" {
		t.Errorf("a token may more than its user: %v", who)
	}
	if got := w.send("POST", "/premises", `{"name":"x"}`, "Authorization: Bearer "+w.must(201, "POST", "/tokens", `{"name":"a","role":"admin"}`)["secret"].(string), "Origin: http://elsewhere"); got.Code != 201 {
		t.Errorf("a token from another origin: %d %s", got.Code, got.Body)
	}
	problemIs(t, w.ask("DELETE", "/tokens/3", nil, "eve:p"), 404, "not_found") // not hers
	w.must(204, "DELETE", "/tokens/1", nil, "eve:p")
	problemIs(t, w.ask("GET", "/session", nil, secret), 401, "denied")
	w.must(204, "DELETE", "/users/2", nil)
	problemIs(t, w.ask("GET", "/session", nil, own["secret"].(string)), 401, "denied")
	log := marshal(t, w.must(200, "GET", "/audit", nil))
	for _, want := range []string{"create token", "revoke token", "ci of eve", "admin (token a)"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not tell of %q: %s", want, log)
		}
	}
}

func TestLostUpdates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.furnish()
	for _, path := range []string{"/streams/1", "/zones/2", "/alarms/1", "/identities/1", "/users/2", "/premises/1", "/capsules/finder/setting"} {
		tag := w.ask("GET", path, nil).Header().Get("ETag")
		auth := "Authorization: Basic YWRtaW46YSB0ZXN0J3Mgb3du"
		if got := w.send("GET", path, "", auth, "If-None-Match: "+tag); got.Code != http.StatusNotModified || got.Body.Len() > 0 {
			t.Errorf("%s with the tag: %d %s", path, got.Code, got.Body)
		}
		body := `{"name":"another"}`
		switch path {
		case "/identities/1":
			body = `{"nickname":"another"}`
		case "/capsules/finder/setting":
			body = `{"options":{"most":7}}`
		}
		first := w.send("PATCH", path, body, auth, "If-Match: "+tag)
		if first.Code != 200 || first.Header().Get("ETag") == tag || first.Header().Get("ETag") != w.ask("GET", path, nil).Header().Get("ETag") {
			t.Errorf("%s: %d %s", path, first.Code, first.Body)
		}
		problemIs(t, w.send("PATCH", path, body, auth, "If-Match: "+tag), http.StatusPreconditionFailed, "invalid")
		if !strings.Contains(path, "setting") {
			problemIs(t, w.send("DELETE", path, "", auth, "If-Match: "+tag), http.StatusPreconditionFailed, "invalid")
		}
	}
}
