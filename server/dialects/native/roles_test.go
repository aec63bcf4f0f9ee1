package native

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
)

// TestRoles asks every route as everybody: who may is told something else than 401 and 403, who
// may not is told that and nothing else.
func TestRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{KeepAlive: time.Millisecond})
	w.furnish()
	callers := map[core.Role]string{"": "-", core.Viewer: "vic:p", core.Editor: "eve:p", core.Admin: "admin:" + password}
	for _, r := range (&api{}).routes() {
		for _, role := range []core.Role{"", core.Viewer, core.Editor, core.Admin} {
			if role.May(r.role) && r.method == del && role != "" || r.id == "signOut" {
				continue // deleting is what the last test is for
			}
			path, body := sample(r)
			if r.id == "getUser" {
				path = map[core.Role]string{"": "/users/1", core.Viewer: "/users/3", core.Editor: "/users/2", core.Admin: "/users/1"}[role]
			}
			a := w.briefly(r, path, body, callers[role])
			got := a.Code != http.StatusUnauthorized && a.Code != http.StatusForbidden
			want := r.role == "" || role.May(r.role)
			if got != want {
				t.Errorf("%s %s as %q: %d %s", r.method, r.path, role, a.Code, a.Body)
			}
			if role == "" && !want && (a.Code != http.StatusUnauthorized || !strings.Contains(a.Header().Get("WWW-Authenticate"), "Basic")) {
				t.Errorf("%s %s as nobody: %d %v", r.method, r.path, a.Code, a.Header())
			}
			if a.Code >= 500 && !strings.Contains(a.Body.String(), "unsupported") {
				t.Errorf("%s %s as %q: %d %s", r.method, r.path, role, a.Code, a.Body)
			}
		}
	}
	a := w.ask("GET", "/users/1", nil, "vic:p")
	problemIs(t, a, http.StatusForbidden, "denied") // somebody else
}

// briefly asks, and goes away where the answer has no end.
func (w *world) briefly(r route, path string, body any, auth string) *httptest.ResponseRecorder {
	w.t.Helper()
	if r.id != "followResults" && r.id != "followStreamResults" {
		return w.ask(r.method, path, body, auth)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 100*time.Millisecond)
	defer cancel()
	req := httptest.NewRequestWithContext(ctx, r.method, "http://server"+Base+path, nil)
	if name, secret, ok := strings.Cut(auth, ":"); ok {
		req.SetBasicAuth(name, secret)
	}
	a := httptest.NewRecorder()
	w.ServeHTTP(a, req)
	return a
}

// TestEveryDelete deletes one of everything, and finds it gone.
func TestEveryDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.furnish()
	w.must(200, "PATCH", "/streams/1", `{"analyze":false}`)
	for _, path := range []string{"/vectors/1", "/identities/1", "/tokens/1", "/users/3", "/alarms/1", "/zones/2", "/streams/1", "/premises/1", "/blobs/1"} {
		w.must(204, "DELETE", path, nil)
		problemIs(t, w.ask("DELETE", path, nil), 404, "not_found")
	}
	w.must(204, "DELETE", "/session", nil)
	problemIs(t, w.ask("DELETE", "/users/1", nil), 409, "denied")            // the last administrator
	problemIs(t, w.ask("DELETE", "/capsules/finder", nil), 404, "not_found") // it came with the server
}
