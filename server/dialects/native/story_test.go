package native

import (
	"bytes"
	"image"
	_ "image/jpeg"
	"testing"
)

// TestStory does each thing that one does first.
func TestStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.furnish()
	list := w.until("/alerts", func(m map[string]any) bool { return at(m, "items.0.frame") == true })
	if at(list, "total") != 1.0 || at(list, "next") != nil || at(list, "items.0.alarm") != 1.0 || at(list, "items.0.end") != nil {
		t.Errorf("alerts: %v", list)
	}
	plain, boxes := w.ask("GET", "/alerts/1/frame", nil), w.ask("GET", "/alerts/1/frame?boxes=true", nil)
	for _, a := range []*bytes.Buffer{plain.Body, boxes.Body} {
		if img, _, err := image.Decode(bytes.NewReader(a.Bytes())); err != nil || img.Bounds().Dx() < 8 {
			t.Errorf("the frame: %v, %v", img, err)
		}
	}
	if bytes.Equal(plain.Body.Bytes(), boxes.Body.Bytes()) {
		t.Error("nothing is drawn on the frame")
	}
	w.must(200, "PATCH", "/alerts/1", `{"verified":true}`)
	if got := w.must(200, "GET", "/alerts?verification=true,false", nil); at(got, "items.0.verified") != true {
		t.Errorf("verified: %v", got)
	}
	got := w.until("/streams/1/status", func(m map[string]any) bool { return at(m, "zones.1.within.0.identity") == "ada" })
	if at(got, "zones.1.name") != "all" || at(got, "zones.1.alerts.0.id") != 1.0 {
		t.Errorf("status: %v", got)
	}
	if a := w.ask("GET", "/streams/1/picture?boxes=1", nil); a.Code != 200 || a.Header().Get("Content-Type") != "image/jpeg" {
		t.Errorf("picture: %d %s", a.Code, a.Body)
	}
	own := "/streams/1/capsules/finder/setting"
	if got := w.must(200, "PATCH", own, `{"options":{"threshold":0.9,"most":3}}`); at(got, "options.threshold") != 0.9 || at(got, "active") != nil {
		t.Errorf("own setting: %v", got)
	}
	if got := w.must(200, "PATCH", own, `{"options":{"threshold":null},"active":true}`); at(got, "options.threshold") != nil || at(got, "options.most") != 3.0 || at(got, "active") != true {
		t.Errorf("own setting, taken back: %v", got)
	}
	if got := w.must(200, "PUT", own, `{}`); len(at(got, "options").(map[string]any)) != 0 || at(got, "active") != nil {
		t.Errorf("own setting, replaced: %v", got)
	}
	got = w.must(200, "POST", "/process_image?capsules=finder&options=%7B%22finder%22%3A%7B%22threshold%22%3A1%7D%7D", onePixel(t))
	if at(got, "items.0.class_name") != "face" || at(got, "items.0.with_identity.nickname") != "Ada" {
		t.Errorf("process_image: %v", got)
	}
	w.must(200, "PATCH", "/streams/1", `{"analyze":false}`)
	if got := w.must(200, "GET", "/alerts/1", nil); at(got, "end") == nil {
		t.Errorf("the alert is on: %v", got)
	}
	if got := w.must(200, "GET", "/audit?limit=2", nil); at(got, "items.0.action") != "stop analysis" || at(got, "next") == nil {
		t.Errorf("audit: %v", got)
	}
	w.must(204, "DELETE", "/streams/1", nil)
	problemIs(t, w.ask("GET", "/alerts/1", nil), 404, "not_found")
}
