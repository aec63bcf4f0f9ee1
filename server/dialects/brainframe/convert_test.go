package brainframe

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

// value makes what a request would have of something.
func value(t testing.TB, v any) httpx.Value {
	t.Helper()
	b, err := httpx.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	w, err := httpx.ParseJSON(b)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return w
}

// trip sends a value out and takes it in again.
func trip[T, W any](t *testing.T, name string, v T, to func(T) W, from func(httpx.Value) (T, error)) {
	t.Helper()
	got, err := from(value(t, to(v)))
	if err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("%s:\n got %+v, %v\nwant %+v", name, got, err, v)
	}
}

// TestRoundTrips gives every noun that goes both ways out and takes it in again.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	meta := map[string]any{"a": int64(1), "b": 1.5, "c": []any{nil, true, "x"}, "d": map[string]any{}, "big": int64(math.MaxInt64)}
	for _, c := range []core.Connection{
		{Kind: core.IPCamera, URL: "rtsp://u:p@h/1?a=<&>", Pipeline: "{url} ! main_sink"}, {Kind: core.Webcam}, {Kind: core.FileClip, Blob: 9},
		{Kind: core.FileClip, Blob: 9, Transcode: true},
	} {
		for _, keyframes := range []bool{false, true} {
			s := core.StreamConfig{Number: 3, Name: "ü\U0001f600", Premises: 2, Connection: c, KeyframesOnly: keyframes, Metadata: meta}
			s.Said = core.Said{Keyframes: keyframes, Transcode: c.Kind == core.FileClip && !c.Transcode}
			trip(t, "stream", s, toStream, parseStream)
			s.Said = core.Said{Keyframes: true, Transcode: c.Kind == core.FileClip, Other: map[string]any{"other": []any{nil}, "pipeline": ""}}
			if c.Pipeline == "" {
				trip(t, "stream, all said", s, toStream, parseStream)
			}
		}
	}
	for _, anchor := range core.Anchors {
		for _, hours := range []*core.ActiveHours{nil, {Start: 23*time.Hour + 59*time.Minute + 59*time.Second}, {End: time.Hour, Off: true}} {
			trip(t, "alarm", core.Alarm{
				ID: 1, Zone: 2, Stream: 3, Name: "a", Hours: hours,
				Counts: []core.CountCondition{{ID: 4, Objects: core.Objects{Class: "c", Anchor: anchor}, Test: core.NotEqual, Value: -7, Window: 1500 * time.Millisecond, Threshold: 1}},
				Rates: []core.RateCondition{{
					ID: 5, Objects: core.Objects{Class: "c", Attribute: &core.AttributeValue{Name: "n", Value: "v"}, Anchor: anchor}, Test: core.LessEqual,
					Change: 0.1, Window: time.Hour, Movement: core.EnteringOrExiting,
				}},
			}, toAlarm, parseAlarm)
		}
	}
	for _, z := range []core.Zone{{ID: 1, Stream: 2, Name: core.ScreenZone}, {ID: 1, Stream: 2, Name: "l", Coords: core.Polygon{{X: -5, Y: 0}, {X: 7, Y: 8}}}} {
		trip(t, "zone", z, func(z core.Zone) zone { return toZone(z, nil) }, func(v httpx.Value) (core.Zone, error) {
			z, _, err := parseZone(v)
			return z, err
		})
	}
	trip(t, "identity", core.Identity{ID: 1, UniqueName: "u", EmptyNickname: true, Metadata: meta}, toIdentity, parseIdentity)
	trip(t, "identity", core.Identity{ID: 1, UniqueName: "u", Metadata: meta}, toIdentity, parseIdentity)
	trip(t, "identity", core.Identity{ID: 1, UniqueName: "u", Nickname: "n", Metadata: meta}, toIdentity, parseIdentity)
	trip(t, "premises", core.Premises{ID: 1, Name: "p"}, toPremises, parsePremises)
	trip(t, "user", core.User{ID: 1, Name: "u", Role: core.Editor}, toUser, func(v httpx.Value) (core.User, error) {
		u, password, err := parseUser(v)
		if password != "" {
			t.Errorf("password %q", password)
		}
		return u, err
	})
}

// TestOptionValues gives values of every type out and takes them in again.
func TestOptionValues(t *testing.T) {
	t.Parallel()
	given := map[string]any{
		"threshold": 1.0, "most": int64(-3), "mode": "exact", "flip": true, "label": "a,b", "classes": []string{"a", "b c"}, "pause": 1500 * time.Millisecond,
	}
	values, err := parseValues(faceDetector, value(t, toValues(faceDetector, given)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := faceDetector.Complete(values)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range given {
		if !reflect.DeepEqual(got[name], want) {
			t.Errorf("%s: %#v, want %#v", name, got[name], want)
		}
	}
	stale := toValues(faceDetector, map[string]any{"gone": 1, "threshold": "text", "token": "secret"})
	if !reflect.DeepEqual(stale, map[string]any{"token": ""}) {
		t.Errorf("values of an older version: %v", stale)
	}
}

// TestDetection has what must never reach a client as it is.
func TestDetection(t *testing.T) {
	t.Parallel()
	n := &core.Node{
		Class: "a", Coords: core.Polygon{{X: math.NaN(), Y: math.Inf(1)}, {X: 2.5, Y: -0.4}}, TrackID: "track 7", Identity: &core.Identity{ID: 1},
		ExtraData: core.ExtraData{"broken": []byte("{"), "confidence": []byte("0.5"), "lines": []byte("[1,\r\n2]")},
		Children:  []*core.Node{{Class: "b"}},
	}
	b, err := httpx.Marshal(toDetection(n))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"class_name":"a","coords":[[0,1073741824],[2,0]],"children":[{"class_name":"b","coords":[],"children":[],"attributes":{},"with_identity":null,"extra_data":{},"track_id":null}],` +
		`"attributes":{},"with_identity":{"id":1,"unique_name":"","nickname":null,"metadata":{}},` +
		`"extra_data":{"broken":null,"confidence":0.5,"detection_confidence":0.5,"encoding_distance":0,"lines":[1,2]},"track_id":"` + *toTrack("track 7") + `"}`
	if string(b) != want {
		t.Errorf("\n got %s\nwant %s", b, want)
	}
	if a, b := *toTrack("track 7"), *toTrack("track 8"); a == b || len(a) != 36 || a != *toTrack("track 7") {
		t.Errorf("tracks %s and %s", a, b)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int64{"": 0, "3": 3, "x": 0, "1.2.3": 1002003, "0.1": 1000, "2.0.0-rc1": 2000000, "1.2.3-rc1": 1002003, "1.99999.1": 1999001, "99999999999999999999": 0} {
		if got := toVersion(version); got != want {
			t.Errorf("%q: %d, want %d", version, got, want)
		}
	}
}

// TestEmptyObjects marshals the zero value of every noun: no list and no object is null.
func TestEmptyObjects(t *testing.T) {
	t.Parallel()
	nullable := map[string]bool{
		"premises_id": true, "coords": true, "end_time": true, "verified_as": true, "with_identity": true, "track_id": true, "with_attribute": true,
		"from_image": true, "nickname": true, "password": true, "expiration_date": true, "description": true,
	}
	for name, v := range map[string]any{
		"stream": toStream(core.StreamConfig{}), "zone": toZone(core.Zone{}, nil), "alarm": toAlarm(core.Alarm{}), "alert": toAlert(core.Alert{}),
		"count": toCount(core.CountCondition{}), "rate": toRate(core.RateCondition{}), "detection": toDetection(&core.Node{}),
		"identity": toIdentity(core.Identity{}), "encoding": toEncoding(core.Vector{}), "description": toDescription(core.Description{Size: core.SizeAll}),
		"option": toOption(core.Option{Type: core.EnumOption, Default: "a", Choices: []string{"a"}}), "user": toUser(core.User{}), "status": toStatus(&numbered(1)[0]),
	} {
		b, err := httpx.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		for field, raw := range m {
			if string(raw) == "null" && !nullable[field] {
				t.Errorf("%s: %s is null", name, field)
			}
		}
		if strings.Contains(string(b), `"alarms":null`) || strings.Contains(string(b), `"children":null`) {
			t.Errorf("%s: %s", name, b)
		}
	}
}
