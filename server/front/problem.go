package front

import (
	"encoding/json"
	"net/http"
)

// Problem refuses as RFC 9457 has it, in the form of Capstan's own API.
func Problem(w http.ResponseWriter, _ *http.Request, status int, text string) {
	kind, blame := "closed", "capstan"
	if status == http.StatusTooManyRequests {
		kind, blame = "exhausted", "caller"
	} else if status == http.StatusBadGateway {
		status = http.StatusServiceUnavailable // nobody stands behind it
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // a client that is gone is none of ours
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": text, "kind": kind, "on": "", "blame": blame,
	})
}
