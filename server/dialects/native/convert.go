package native

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// orNull gives nil for 0, which is no ID.
func orNull[T ~int64](id T) *int64 {
	if id == 0 {
		return nil
	}
	n := int64(id)
	return &n
}

func orZero[T ~int64](id *int64) T {
	if id == nil {
		return 0
	}
	return T(*id)
}

// timeOrNull gives nil for the zero time.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func filled[M ~map[string]V, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

// finite gives what JSON can write.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

func toPoints(p core.Polygon) []point {
	return mapped(p, func(q core.Point) point { return point{finite(q.X), finite(q.Y)} })
}

func fromPoints(list []point) core.Polygon {
	if len(list) == 0 {
		return nil
	}
	return mapped(list, func(p point) core.Point { return core.Point{X: p[0], Y: p[1]} })
}

func toConnection(c core.Connection) connection {
	return connection{
		Kind: string(c.Kind), URL: c.URL, Device: int64(c.Device), Blob: int64(c.Blob), Transcode: c.Transcode, Pipeline: c.Pipeline,
	}
}

func fromConnection(c connection) core.Connection {
	return core.Connection{
		Kind: core.ConnectionKind(c.Kind), URL: c.URL, Device: int(c.Device), Blob: core.BlobID(c.Blob), Transcode: c.Transcode, Pipeline: c.Pipeline,
	}
}

func toStream(s core.StreamConfig) stream {
	return stream{
		ID: int64(s.Number), Name: s.Name, Premises: orNull(s.Premises), Connection: toConnection(s.Connection),
		KeyframesOnly: s.KeyframesOnly, Metadata: filled(s.Metadata), Analyze: s.Analyze,
	}
}

func toStreamInput(s core.StreamConfig) streamInput {
	w := toStream(s)
	return streamInput{Name: w.Name, Premises: w.Premises, Connection: w.Connection, KeyframesOnly: w.KeyframesOnly, Metadata: w.Metadata, Analyze: w.Analyze}
}

func fromStream(n core.StreamNumber, w streamInput) core.StreamConfig {
	return core.StreamConfig{
		Number: n, Name: w.Name, Premises: orZero[core.PremisesID](w.Premises), Connection: fromConnection(w.Connection),
		KeyframesOnly: w.KeyframesOnly, Metadata: filled(w.Metadata), Analyze: w.Analyze,
	}
}

func toState(s service.StreamState) streamState {
	return streamState{
		Stream: int64(s.Number), Analyze: s.Analyzing, State: s.State, Since: timeOrNull(s.Since), Error: unsecret(s.Err), Attempts: int64(s.Attempts),
		Frames: s.Frames, FPS: math.Round(finite(s.FPS)*100) / 100, Dropped: s.Dropped,
	}
}

// secretInURL is the password of a URL, wherever in a text it stands.
var secretInURL = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*):[^\s@]*@`)

// unsecret takes the passwords of cameras out of what went wrong with them.
func unsecret(text string) string { return secretInURL.ReplaceAllString(text, "$1:xxxxx@") }

func toPremises(p core.Premises) premises { return premises{int64(p.ID), p.Name} }

func toZone(z core.Zone) zone {
	return zone{ID: int64(z.ID), Stream: int64(z.Stream), Name: z.Name, Coords: toPoints(z.Coords)}
}

func toAlarm(a core.Alarm) alarm {
	w := alarm{
		ID: int64(a.ID), Zone: int64(a.Zone), Stream: int64(a.Stream), Name: a.Name,
		Counts: mapped(a.Counts, toCount), Rates: mapped(a.Rates, toRate),
	}
	if a.Hours != nil {
		w.Hours = &activeHours{Start: timeOfDay(a.Hours.Start), End: timeOfDay(a.Hours.End), Off: a.Hours.Off}
	}
	return w
}

func toAlarmInput(a core.Alarm) alarmInput {
	w := toAlarm(a)
	return alarmInput{Zone: w.Zone, Name: w.Name, Hours: w.Hours, Counts: w.Counts, Rates: w.Rates}
}

func fromAlarm(id core.AlarmID, w alarmInput) core.Alarm {
	a := core.Alarm{ID: id, Zone: core.ZoneID(w.Zone), Name: w.Name, Counts: mapped(w.Counts, fromCount), Rates: mapped(w.Rates, fromRate)}
	if w.Hours != nil {
		a.Hours = &core.ActiveHours{Start: sinceMidnight(w.Hours.Start), End: sinceMidnight(w.Hours.End), Off: w.Hours.Off}
	}
	return a
}

// timeOfDay writes HH:MM:SS; midnight at the end of the day is 00:00:00.
func timeOfDay(d time.Duration) string {
	s := int(d/time.Second) % 86400
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// sinceMidnight reads HH:MM:SS, which the schema has checked.
func sinceMidnight(s string) time.Duration {
	t, _ := time.Parse(time.TimeOnly, s)
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
}

func toObjects(o core.Objects) objects {
	w := objects{Class: o.Class, Anchor: string(o.Anchor)}
	if w.Anchor == "" {
		w.Anchor = string(core.AnchorBottom)
	}
	if o.Attribute != nil {
		w.Attribute = &attribute{Name: o.Attribute.Name, Value: o.Attribute.Value}
	}
	return w
}

func fromObjects(w objects) core.Objects {
	o := core.Objects{Class: w.Class, Anchor: core.Anchor(w.Anchor)}
	if o.Anchor == "" {
		o.Anchor = core.AnchorBottom
	}
	if w.Attribute != nil {
		o.Attribute = &core.AttributeValue{Name: w.Attribute.Name, Value: w.Attribute.Value}
	}
	return o
}

func toCount(c core.CountCondition) countCondition {
	return countCondition{ID: c.ID, Objects: toObjects(c.Objects), Test: string(c.Test), Value: c.Value, Window: c.Seconds(), Threshold: c.Threshold}
}

func fromCount(w countCondition) core.CountCondition {
	window, given := core.Window(w.Window)
	return core.CountCondition{ID: w.ID, Objects: fromObjects(w.Objects), Test: core.Comparison(w.Test), Value: w.Value, Window: window, Given: given, Threshold: w.Threshold}
}

func toRate(c core.RateCondition) rateCondition {
	return rateCondition{ID: c.ID, Objects: toObjects(c.Objects), Test: string(c.Test), Change: c.Change, Window: c.Seconds(), Movement: string(c.Movement)}
}

func fromRate(w rateCondition) core.RateCondition {
	window, given := core.Window(w.Window)
	return core.RateCondition{ID: w.ID, Objects: fromObjects(w.Objects), Test: core.Comparison(w.Test), Change: w.Change, Window: window, Given: given, Movement: core.Movement(w.Movement)}
}

func toAlert(a core.Alert) alert {
	return alert{
		ID: int64(a.ID), Alarm: int64(a.Alarm), Zone: int64(a.Zone), Stream: int64(a.Stream), Start: a.Start.UTC(), End: timeOrNull(a.End),
		Verified: a.Verified, Frame: a.Frame != 0,
	}
}

func toDescription(d core.Description) description {
	w := description{
		Size: d.Size.String(), Detections: mapped(d.Detections, same), Attributes: map[string][]string{},
		Encoded: d.Encoded, Tracked: d.Tracked, ExtraData: mapped(d.ExtraData, same),
	}
	for _, a := range d.Attributes {
		w.Attributes[a.Name] = mapped(a.Values, same)
	}
	return w
}

func same(s string) string { return s }

func toCapsule(i service.CapsuleInfo) capsule {
	d := i.Declaration
	return capsule{
		Name: d.Name, Version: d.Version, Description: d.Description, Input: toDescription(d.Input), Output: toDescription(d.Output),
		Capability: toDescription(d.Capability()), Options: mapped(d.Options, toOption), Values: toValues(d, i.Values), Active: i.Active, Removable: i.Removable,
		State: i.State, Error: unsecret(i.Err),
	}
}

func toOption(o core.Option) option {
	return option{
		Name: o.Name, Type: string(o.Type), Default: toValue(o, o.Default), Min: o.Min, Max: o.Max, Choices: mapped(o.Choices, same), Description: o.Description,
	}
}

// toValue gives a value of an option in JSON; durations are seconds, a secret is never told.
func toValue(o core.Option, v any) any {
	if o.Type == core.SecretOption {
		return ""
	}
	if x, ok := v.(time.Duration); ok {
		return x.Seconds()
	}
	return v
}

// toValues gives values that were set. Those that the capsule does not take any more are left out.
func toValues(d core.Declaration, values map[string]any) map[string]any {
	m := make(map[string]any, len(values))
	for name, v := range values {
		if o, ok := d.Option(name); ok {
			if x, err := o.Check(v); err == nil {
				m[name] = toValue(o, x)
			}
		}
	}
	return m
}

func toBlob(b core.Blob) blob {
	return blob{ID: int64(b.ID), Type: b.Type, Size: b.Size, SHA256: b.SHA256, Created: b.Created.UTC()}
}

func toIdentity(i core.Identity) identity {
	return identity{ID: i.ID, UniqueName: i.UniqueName, Nickname: i.Nickname, Metadata: filled(i.Metadata)}
}

func toVector(v core.Vector, values bool) vector {
	w := vector{ID: int64(v.ID), Identity: v.Identity, Class: v.Class, Blob: orNull(v.Blob), Encoder: string(v.Encoder)}
	if values {
		w.Values = v.Numbers()
	}
	return w
}

func toUser(u core.User) user { return user{ID: int64(u.ID), Name: u.Name, Role: string(u.Role)} }

func toToken(k core.Token) token {
	return token{
		ID: int64(k.ID), User: int64(k.User), Name: k.Name, Role: string(k.Role), Created: k.Created.UTC(),
		Expires: timeOrNull(k.Expires), Used: timeOrNull(k.Used),
	}
}

func toAudit(e core.AuditEntry) auditEntry {
	return auditEntry{ID: e.ID, At: e.At.UTC(), User: e.User, Action: e.Action, Object: e.Object}
}

func toDetections(nodes []*core.Node) []detection { return mapped(nodes, toDetection) }

func toDetection(n *core.Node) detection {
	w := detection{
		ID: uint64(n.ID), Class: n.Class, Coords: toPoints(n.Coords), Attributes: filled(n.Attributes), ExtraData: map[string]json.RawMessage{},
		TrackID: toTrack(n.TrackID), Children: toDetections(n.Children), Encoding: n.Encoding,
	}
	for k, raw := range n.ExtraData {
		if !json.Valid(raw) {
			raw = json.RawMessage("null")
		}
		w.ExtraData[k] = raw
	}
	if n.Identity != nil {
		i := toIdentity(*n.Identity)
		w.Identity = &i
	}
	return w
}

func toTrack(id core.TrackID) *string {
	if id == "" {
		return nil
	}
	s := string(id)
	return &s
}

func toObject(n *core.Node) object {
	w := object{ID: uint64(n.ID), Class: n.Class, TrackID: toTrack(n.TrackID)}
	if n.Identity != nil {
		w.Identity = n.Identity.UniqueName
	}
	return w
}

func toZoneStatus(s service.ZoneStatus) zoneStatus {
	return zoneStatus{
		Zone: int64(s.Zone.ID), Name: s.Zone.Name, At: s.At.UTC(), TotalEntered: filled(s.Totals.Entered), TotalExited: filled(s.Totals.Exited),
		Within: mapped(s.Within, toObject), Entering: mapped(s.Entering, toObject), Exiting: mapped(s.Exiting, toObject), Alerts: mapped(s.Alerts, toAlert),
	}
}

func toFrame(f *service.Found) *frame {
	if f == nil {
		return nil
	}
	return &frame{Seq: f.Seq, PTS: f.PTS.Seconds(), Captured: f.Captured.UTC(), Detections: toDetections(f.Nodes), Drops: f.Drops}
}
