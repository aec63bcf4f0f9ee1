package native

import (
	"net/http"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// TestWhoseFault wants what is not the caller's fault to have another status than what is.
func TestWhoseFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
		detail string
	}{
		"a full disk":              {&core.Fault{Op: "write blob", Kind: core.Exhausted, On: "blob", Err: http.ErrBodyNotAllowed, Hint: "the server's administrator has to make room"}, 507, "write blob"},
		"a full disk for capsules": {core.Faultf(core.Exhausted, "", "disk", "that of the server is full"), 507, "disk: that of the server is full"},
		"too many readers":         {core.Faultf(core.Exhausted, "results", "", "100 readers"), 503, "100 readers"},
	} {
		p := problemOf(c.err)
		if p.Status != c.status || !strings.Contains(p.Detail, c.detail) || p.Blame != "capstan" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestSignIn wants who is not known to read what to send: tokens too.
func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	got := w.send("GET", "/streams", "")
	if got.Code != http.StatusUnauthorized || !strings.Contains(got.Body.String(), "Authorization: Bearer TOKEN") || !strings.Contains(got.Body.String(), "API token") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}
