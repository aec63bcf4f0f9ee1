package brainframe

import (
	"net/http/httptest"
	"testing"
)

// TestRefuse wants the client's error body for what never reaches the dialect.
func TestRefuse(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{429: "UnknownError", 502: "ServerNotReadyError"} {
		w := httptest.NewRecorder()
		if Refuse(w, nil, status, "wait"); w.Code != status || title(t, w) != want {
			t.Errorf("%d: %d %s, want %s", status, w.Code, w.Body, want)
		}
	}
}
