package brainframe

import (
	"encoding/json"
	"net/http"
)

// Refuse answers a request that does not get as far as the dialect. With 502 the client waits and
// asks again, whatever the title is.
func Refuse(w http.ResponseWriter, _ *http.Request, status int, text string) {
	title := "UnknownError"
	if status == http.StatusBadGateway {
		title = "ServerNotReadyError"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{title, text}) // a client that is gone is none of ours
}
