package brainframe

import (
	"strings"
	"testing"
)

// TestThePictureComesAgain: the desktop client uploads a folder of pictures anew, and passes over
// those that are encoded already when this is the error.
func TestThePictureComesAgain(t *testing.T) {
	t.Parallel()
	h := handler(furnished(t), Options{})
	first := serve(h, "POST", "/api/identities/1/images", `{"class_name":"face","storage_id":1}`)
	again := serve(h, "POST", "/api/identities/1/images", `{"class_name":"face","storage_id":2}`)
	if first.Code != 200 || again.Code != 400 || !strings.Contains(again.Body.String(), `"ImageAlreadyEncodedError"`) {
		t.Errorf("%d %s\n%d %s", first.Code, first.Body, again.Code, again.Body)
	}
}
