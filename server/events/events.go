// Package events tells what happens to the world outside: it keeps events in the transaction of
// what happened, and delivers each to webhooks, MQTT and NATS at least once and in the order of its
// stream.
package events

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// The kinds of event. What stands before the dot is the group.
const (
	AlertBegan     = "alert.began"
	AlertEnded     = "alert.ended"
	AlertVerified  = "alert.verified"
	StreamRunning  = "stream.running"  // the first result after a start or a failure
	StreamFailed   = "stream.failed"   // it will be opened again
	DetectionBegan = "detection.began" // a track was seen for the first time
	DetectionEnded = "detection.ended" // a track is not seen any more
	DetectionSeen  = "detection.seen"  // something without a track is there
	Test           = "test"            // an administrator asked for it
)

// Kinds are all kinds that destinations can choose; they can name groups too.
var Kinds = []string{AlertBegan, AlertEnded, AlertVerified, StreamRunning, StreamFailed, DetectionBegan, DetectionEnded, DetectionSeen}

// group gives the part of a kind before the dot.
func group(kind string) string {
	g, _, _ := strings.Cut(kind, ".")
	return g
}

// Event is something that happened. Stream, zone and alarm say which destinations want it; Data is
// one of AlertData, StreamData, DetectionData.
type Event struct {
	Kind    string
	At      time.Time
	Stream  core.StreamNumber // 0: of no stream
	Zone    core.ZoneID       // 0: of no zone
	Alarm   core.AlarmID      // 0: of no alarm
	Subject string            // "streams/7/alerts/9"
	Data    any
}

// Envelope is an event as it is told: CloudEvents 1.0, structured.
type Envelope struct {
	SpecVersion string    `json:"specversion"` // "1.0"
	ID          string    `json:"id"`          // the same however often the event is told
	Source      string    `json:"source"`      // "urn:capstan:" and the ID of the server
	Type        string    `json:"type"`        // "capstan." and the kind
	Subject     string    `json:"subject,omitempty"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"` // "application/json"
	Data        any       `json:"data"`
}

// Named is something with its name.
type Named struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// AlertData is what is told of an alert.
type AlertData struct {
	Stream Named  `json:"stream"`
	Zone   Named  `json:"zone"`
	Alarm  Named  `json:"alarm"`
	Alert  Alert  `json:"alert"`
	By     string `json:"by,omitempty"`     // who verified it
	Reason string `json:"reason,omitempty"` // why it ended, when not by its conditions: "deleted"
}

// Alert is an alert as it is told.
type Alert struct {
	ID       int64      `json:"id"`
	Start    time.Time  `json:"start"`
	End      *time.Time `json:"end"`      // null: it is on
	Verified *bool      `json:"verified"` // null: nobody has looked at it
	Frame    *int64     `json:"frame"`    // the ID of its picture in storage; null: none
}

// AlertOf gives an alert as it is told.
func AlertOf(a core.Alert) Alert {
	out := Alert{ID: int64(a.ID), Start: a.Start.UTC(), Verified: a.Verified}
	if !a.End.IsZero() {
		end := a.End.UTC()
		out.End = &end
	}
	if a.Frame != 0 {
		frame := int64(a.Frame)
		out.Frame = &frame
	}
	return out
}

// StreamData is what is told of a stream's state.
type StreamData struct {
	Stream Named  `json:"stream"`
	State  string `json:"state"`           // "running" or "failed"
	Error  string `json:"error,omitempty"` // why it failed
}

// DetectionData is what is told of an object: of a track, or (Track empty) of something that is
// there without one.
type DetectionData struct {
	Stream     Named             `json:"stream"`
	Class      string            `json:"class"`
	Track      string            `json:"track,omitempty"`
	Began      time.Time         `json:"began"`             // when it was first seen
	Ended      *time.Time        `json:"ended,omitempty"`   // when it was last seen
	Seconds    *float64          `json:"seconds,omitempty"` // between the two
	Frames     int               `json:"frames,omitempty"`  // on which it was seen
	Box        [4]float64        `json:"box"`               // where it was seen last: left, top, right, bottom, in pixels
	Attributes map[string]string `json:"attributes,omitempty"`
	Identity   *Identity         `json:"identity,omitempty"` // who it is judged to be
	Zones      []Named           `json:"zones,omitempty"`    // that it was within
}

// Identity is who something is judged to be.
type Identity struct {
	ID         int64  `json:"id"`
	UniqueName string `json:"unique_name"`
	Nickname   string `json:"nickname"`
}

// TestData is what an administrator's test tells.
type TestData struct {
	Destination Named  `json:"destination"`
	By          string `json:"by"`
}

// source is the CloudEvents source of a server.
func source(server string) string { return "urn:capstan:" + server }

// seal makes the row of an event.
func seal(server string, e Event) (store.Event, error) {
	key, err := uuid.NewV7() // in order, so that what sorts by it is sorted by time
	if err != nil {
		return store.Event{}, core.Faultf(core.Internal, "event", e.Kind, "%w", err)
	}
	body, err := json.Marshal(Envelope{
		SpecVersion: "1.0", ID: key.String(), Source: source(server), Type: "capstan." + e.Kind, Subject: e.Subject,
		Time: e.At.UTC(), ContentType: "application/json", Data: e.Data,
	})
	if err != nil {
		return store.Event{}, core.Faultf(core.Invalid, "event", e.Kind, "it cannot be written as JSON: %w", err)
	}
	return store.Event{Key: key.String(), Stream: e.Stream, Kind: e.Kind, At: e.At, Payload: body}, nil
}
