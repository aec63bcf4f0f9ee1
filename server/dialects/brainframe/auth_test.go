package brainframe

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// TestAuthentication goes through the contract's cases in turn; the cookie is that of the last
// answer that had one.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	w.locked = true
	h := handler(w, Options{})
	cookie := ""
	for _, c := range []struct {
		name           string
		user, password string
		header         string
		cookie         bool
		method, path   string
		status         int
		title          string
		set            bool // a cookie
	}{
		{"nobody", "", "", "", false, "GET", "/api/version", 401, "UnauthorizedError", false},
		{"nobody, at the status stream", "", "", "", false, "GET", "/api/streams/statuses", 401, "UnauthorizedError", false},
		{"wrong password", "admin", "x", "", false, "GET", "/api/version", 401, "UnauthorizedError", false},
		{"another scheme", "", "", "Bearer abc", false, "GET", "/api/version", 401, "UnauthorizedError", false},
		{"broken Basic", "", "", "Basic !", false, "GET", "/api/version", 401, "UnauthorizedError", false},
		{"a failure opens no session", "admin", "pässword", "", false, "GET", "/api/streams/9", 404, "StreamConfigNotFoundError", false},
		{"UTF-8", "admin", "pässword", "", false, "GET", "/api/version", 200, "", true},
		{"Latin-1", "\xe9diteur", "p\xe4ssword", "", false, "GET", "/api/version", 200, "", true},
		{"session", "", "", "", true, "GET", "/api/version", 200, "", false},
		{"session with too low a role", "", "", "", true, "GET", "/api/users", 403, "InsufficientRoleError", false},
		{"license with too low a role", "", "", "", true, "PUT", "/api/license", 403, "InsufficientRoleError", false},
		{"tokens with too low a role", "", "", "", true, "PUT", "/api/cloud_tokens", 403, "InsufficientRoleError", false},
		{"session that is over", "", "", "session_id=old", false, "GET", "/api/version", 401, "InvalidSessionError", false},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(""))
		switch {
		case c.user != "":
			r.SetBasicAuth(c.user, c.password)
		case strings.HasPrefix(c.header, "session_id"):
			r.Header.Set("Cookie", c.header)
		case c.header != "":
			r.Header.Set("Authorization", c.header)
		case c.cookie:
			r.Header.Set("Cookie", cookie)
		}
		got := httptest.NewRecorder()
		h.ServeHTTP(got, r)
		if got.Code != c.status || (c.title != "" && title(t, got) != c.title) {
			t.Errorf("%s: %d %s, want %d %s", c.name, got.Code, got.Body, c.status, c.title)
		}
		set := got.Header().Get("Set-Cookie")
		if (set != "") != c.set {
			t.Errorf("%s: cookie %q", c.name, set)
		}
		if set == "" {
			continue
		}
		cookie, _, _ = strings.Cut(set, ";")
		for _, part := range []string{"session_id=", "Path=/", "HttpOnly"} {
			if !strings.Contains(set, part) {
				t.Errorf("%s: cookie %q lacks %s", c.name, set, part)
			}
		}
		if strings.Contains(set, "Domain") || strings.Contains(set, "Secure") {
			t.Errorf("%s: cookie %q", c.name, set)
		}
	}
}

// TestAuthorizationOff lets everybody in, whatever they send.
func TestAuthorizationOff(t *testing.T) {
	t.Parallel()
	h := handler(furnished(t), Options{})
	for name, set := range map[string]func(*http.Request){
		"nothing":       func(*http.Request) {},
		"a password":    func(r *http.Request) { r.SetBasicAuth("who", "ever") },
		"an old cookie": func(r *http.Request) { r.Header.Set("Cookie", "session_id=old") },
	} {
		r := httptest.NewRequest("GET", "/api/users", nil)
		set(r)
		got := httptest.NewRecorder()
		if h.ServeHTTP(got, r); got.Code != 200 {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
}

// TestAuthorizationWithoutItsDatabase: the client's status receiver dies of any error but one, and
// its wait for the server too. While nobody can be known they have to wait.
func TestAuthorizationWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	w.locked = true
	away := core.Faultf(core.Internal, "store", "", "secret: connection refused")
	w.authenticate = func(context.Context, string, string) (service.Caller, string, error) {
		return service.Caller{}, "", away
	}
	w.resume = func(context.Context, string) (service.Caller, error) { return service.Caller{}, away }
	h := handler(w, Options{})
	for _, header := range []string{"Authorization", "Cookie"} {
		for _, path := range []string{"/api/version", "/api/streams/statuses"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set(header, map[string]string{"Authorization": "Basic YTpi", "Cookie": "session_id=1.x"}[header])
			got := httptest.NewRecorder()
			h.ServeHTTP(got, r)
			if got.Code != 502 || title(t, got) != "ServerNotReadyError" || strings.Contains(got.Body.String(), "secret") || got.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("%s, %s: %d %v %s", header, path, got.Code, got.Header(), got.Body)
			}
		}
	}
}

// tokened is a world that knows an API token.
type tokened struct{ *world }

func (tokened) Bearer(_ context.Context, secret string) (service.Caller, error) {
	if secret != "cap_ours" {
		return service.Caller{}, core.Faultf(core.Denied, "", "credentials", "the token is unknown or over")
	}
	return service.Caller{User: 1, Name: "admin (token ci)", Role: core.Editor}, nil
}

func TestBearer(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	w.locked = true
	h := handler(tokened{w}, Options{})
	for header, status := range map[string]int{"Bearer cap_ours": 200, "bearer  cap_ours ": 200, "Bearer cap_theirs": 401, "Bearer": 401, "Basic cap_ours": 401} {
		r := httptest.NewRequest("GET", "/api/version", nil)
		r.Header.Set("Authorization", header)
		got := httptest.NewRecorder()
		h.ServeHTTP(got, r)
		if got.Code != status || got.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s", header, got.Code, got.Body)
		}
	}
}
