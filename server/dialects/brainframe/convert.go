package brainframe

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// mapped converts a list; the result is never nil.
func mapped[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = f(a)
	}
	return out
}

// orNull gives nil for 0, which is no ID.
func orNull[T ~int64](id T) *int64 {
	if id == 0 {
		return nil
	}
	n := int64(id)
	return &n
}

func filled[M ~map[string]V, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

// seconds gives seconds since 1970, to the microsecond; the zero time is 0.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}

// pixels rounds to whole pixels, half to even, as the vendor's SDK does. What is no number is 0.
func pixels(p core.Polygon) []point {
	return mapped(p, func(q core.Point) point { return point{pixel(q.X), pixel(q.Y)} })
}

func pixel(x float64) int64 {
	const far = 1 << 30 // no picture is larger
	if math.IsNaN(x) {
		return 0
	}
	return int64(math.RoundToEven(min(max(x, -far), far)))
}

func toStream(s core.StreamConfig) streamConfiguration {
	return streamConfiguration{
		ID: int64(s.Number), Name: s.Name, PremisesID: orNull(s.Premises), ConnectionType: string(s.Connection.Kind),
		ConnectionOptions: toConnection(s.Connection, s.Said), RuntimeOptions: toRuntime(s), Metadata: filled(s.Metadata),
	}
}

// toConnection gives the options of a connection. A file may be transcoded unless that is said.
func toConnection(c core.Connection, said core.Said) map[string]any {
	m := map[string]any{}
	maps.Copy(m, said.Other)
	switch c.Kind {
	case core.IPCamera:
		m["url"] = c.URL
	case core.Webcam:
		m["device_id"] = c.Device
	case core.FileClip:
		m["storage_id"] = int64(c.Blob)
		if said.Transcode || !c.Transcode {
			m["transcode"] = c.Transcode
		}
	}
	if c.Pipeline != "" {
		m["pipeline"] = c.Pipeline
	}
	return m
}

// toRuntime gives the options that are not as they come, or were given.
func toRuntime(s core.StreamConfig) map[string]any {
	if s.KeyframesOnly || s.Said.Keyframes {
		return map[string]any{"keyframes_only": s.KeyframesOnly}
	}
	return map[string]any{}
}

func toZone(z core.Zone, alarms []core.Alarm) zone {
	w := zone{ID: int64(z.ID), Name: z.Name, StreamID: int64(z.Stream), Alarms: mapped(alarms, toAlarm)}
	if !z.IsScreen() {
		w.Coords = pixels(z.Coords)
	}
	return w
}

func toAlarm(a core.Alarm) zoneAlarm {
	w := zoneAlarm{
		ID: int64(a.ID), Name: a.Name, ZoneID: int64(a.Zone), StreamID: int64(a.Stream),
		CountConditions: mapped(a.Counts, toCount), RateConditions: mapped(a.Rates, toRate),
	}
	h := noHours
	if a.Hours != nil {
		h = *a.Hours
	}
	w.UseActiveTime, w.ActiveStartTime, w.ActiveEndTime = !h.Off, timeOfDay(h.Start), timeOfDay(h.End)
	return w
}

// timeOfDay writes HH:MM:SS; midnight at the end of the day is 00:00:00.
func timeOfDay(d time.Duration) string {
	s := int(d/time.Second) % 86400
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func toCount(c core.CountCondition) countCondition {
	return countCondition{
		ID: c.ID, Test: string(c.Test), CheckValue: int64(c.Value), WithClassName: c.Objects.Class,
		WithAttribute: toAttribute(c.Objects.Attribute), WindowDuration: c.Seconds(),
		WindowThreshold: c.Threshold, IntersectionPoint: toAnchor(c.Objects.Anchor),
	}
}

func toRate(r core.RateCondition) rateCondition {
	return rateCondition{
		ID: r.ID, Test: string(r.Test), Duration: r.Seconds(), Change: r.Change, Direction: string(r.Movement),
		WithClassName: r.Objects.Class, WithAttribute: toAttribute(r.Objects.Attribute), IntersectionPoint: toAnchor(r.Objects.Anchor),
	}
}

func toAttribute(a *core.AttributeValue) *attribute {
	if a == nil {
		return nil
	}
	return &attribute{a.Name, a.Value}
}

func toAnchor(a core.Anchor) string {
	if a == "" {
		return string(core.AnchorBottom)
	}
	return string(a)
}

func toAlert(a core.Alert) alert {
	w := alert{
		ID: int64(a.ID), AlarmID: int64(a.Alarm), ZoneID: int64(a.Zone), StreamID: int64(a.Stream),
		StartTime: seconds(a.Start), VerifiedAs: a.Verified,
	}
	if !a.End.IsZero() {
		end := seconds(a.End)
		w.EndTime = &end
	}
	return w
}

func toDetections(nodes []*core.Node) []detection { return mapped(nodes, toDetection) }

func toDetection(n *core.Node) detection {
	w := detection{
		ClassName: n.Class, Coords: pixels(n.Coords), Children: toDetections(n.Children),
		Attributes: filled(n.Attributes), ExtraData: toExtra(n), TrackID: toTrack(n.TrackID),
	}
	if n.Identity != nil {
		i := toIdentity(*n.Identity)
		w.WithIdentity = &i
	}
	return w
}

// The keys of extra data that clients look for.
const (
	confidenceKey = "detection_confidence"
	distanceKey   = "encoding_distance" // they index it on every object that is named
)

// toExtra gives a node's extra data, with the keys that clients look for where they are to be had.
func toExtra(n *core.Node) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage, len(n.ExtraData)+2)
	for k, raw := range n.ExtraData {
		if !json.Valid(raw) {
			raw = json.RawMessage("null")
		}
		m[k] = raw
	}
	if _, ok := m[confidenceKey]; !ok {
		if _, ok := n.ExtraData.Float("confidence"); ok {
			m[confidenceKey] = n.ExtraData["confidence"]
		}
	}
	if _, ok := n.ExtraData.Float(distanceKey); !ok && n.Identity != nil {
		m[distanceKey] = json.RawMessage("0")
	}
	return m
}

// toTrack gives a UUID: the client fails on anything else, so that other names become one that is
// always the same.
func toTrack(id core.TrackID) *string {
	if id == "" {
		return nil
	}
	u, err := uuid.Parse(string(id))
	if err != nil {
		u = uuid.NewSHA1(uuid.NameSpaceOID, []byte(id))
	}
	s := u.String()
	return &s
}

// toStatuses gives a stream's statuses by zone name. The client indexes Screen in every map that
// is not empty, so that one without it counts as not there yet.
func toStatuses(list []service.ZoneStatus) map[string]zoneStatus {
	m := make(map[string]zoneStatus, len(list))
	for i := range list {
		m[list[i].Zone.Name] = toStatus(&list[i])
	}
	if _, ok := m[core.ScreenZone]; !ok {
		return map[string]zoneStatus{}
	}
	return m
}

func toStatus(s *service.ZoneStatus) zoneStatus {
	return zoneStatus{
		Zone: toZone(s.Zone, s.Alarms), Tstamp: seconds(s.At),
		TotalEntered: filled(s.Totals.Entered), TotalExited: filled(s.Totals.Exited),
		Within: toDetections(s.Within), Entering: toDetections(s.Entering), Exiting: toDetections(s.Exiting),
		Alerts: mapped(s.Alerts, toAlert),
	}
}

// foundBy gives the classes that the capsules find, each once.
func foundBy(list []service.CapsuleInfo) []string {
	var found []string
	for _, i := range list {
		found = append(found, i.Declaration.Capability().Detections...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// toCapsule tells of a capsule, where the classes that others find are known. The desktop client
// offers an attribute with the classes that stand beside it: for one that every class may have
// these are all that are found.
func toCapsule(i service.CapsuleInfo, found []string) capsule {
	d := i.Declaration
	if len(d.Output.Detections) == 0 && len(d.Capability().Attributes) > 0 {
		d.Output.Detections = found
	}
	w := capsule{
		Name: d.Name, Version: toVersion(d.Version), Description: d.Description, InputType: toDescription(d.Input),
		OutputType: toDescription(d.Output), Capability: toDescription(i.Declaration.Capability()), Options: map[string]capsuleOption{},
	}
	for _, o := range d.Options {
		w.Options[o.Name] = toOption(o)
	}
	return w
}

// toVersion makes one number of a version: "3" is 3, "1.2.3" is 1002003; what cannot be read is 0.
func toVersion(version string) int64 {
	parts := strings.Split(version, ".")
	if len(parts) == 1 {
		return leading(version)
	}
	total := int64(0)
	for i := range 3 {
		total *= 1000
		if i < len(parts) {
			total += min(leading(parts[i]), 999)
		}
	}
	return total
}

// leading gives the number that the text begins with: 2 of "2-rc1".
func leading(s string) int64 {
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return 0
	}
	return n
}

func toDescription(d core.Description) nodeDescription {
	w := nodeDescription{
		Size: d.Size.String(), Detections: mapped(d.Detections, same), Attributes: map[string][]string{},
		Encoded: d.Encoded, Tracked: d.Tracked, ExtraData: mapped(d.ExtraData, same),
	}
	for _, a := range d.Attributes {
		w.Attributes[a.Name] = mapped(a.Values, same)
	}
	return w
}

func same(s string) string { return s }

// toOption tells the three types that the client does not know as those nearest to them: a secret
// and a list (with commas) as str, a duration as float (seconds).
func toOption(o core.Option) capsuleOption {
	w := capsuleOption{Type: string(o.Type), Default: toValue(o, o.Default), Constraints: map[string]any{}}
	if o.Description != "" {
		w.Description = &o.Description
	}
	switch o.Type {
	case core.FloatOption, core.IntOption, core.DurationOption:
		w.Constraints["min_val"], w.Constraints["max_val"] = o.Min, o.Max
	case core.EnumOption:
		w.Constraints["choices"] = mapped(o.Choices, same)
	}
	switch o.Type {
	case core.SecretOption, core.ListOption:
		w.Type = string(core.StringOption)
	case core.DurationOption:
		w.Type = string(core.FloatOption)
	}
	return w
}

// inSeconds gives a duration that was given as seconds, as it was given.
func inSeconds(o core.Option, v any) (seconds any, ok bool) {
	if _, text := v.(string); text || o.Type != core.DurationOption {
		return nil, false
	}
	o.Type = core.FloatOption
	seconds, err := o.Check(v)
	return seconds, err == nil
}

// toValue gives a value of the option as the client takes it; a secret is never told.
func toValue(o core.Option, v any) any {
	if o.Type == core.SecretOption {
		return ""
	}
	switch x := v.(type) {
	case []string:
		return strings.Join(x, ",")
	case time.Duration:
		return x.Seconds()
	default:
		return x
	}
}

// toValues gives values that were set. Those that the capsule does not take any more are left out.
func toValues(d core.Declaration, values map[string]any) map[string]any {
	m := make(map[string]any, len(values))
	for name, v := range values {
		o, ok := d.Option(name)
		if !ok {
			continue
		}
		if x, err := o.Check(v); err == nil {
			m[name] = toValue(o, x)
		}
		if s, ok := inSeconds(o, v); ok {
			m[name] = s
		}
	}
	return m
}

func toIdentity(i core.Identity) identity {
	w := identity{ID: i.ID, UniqueName: i.UniqueName, Metadata: filled(i.Metadata)}
	if i.Nickname != "" || i.EmptyNickname {
		w.Nickname = &i.Nickname
	}
	return w
}

func toEncoding(v core.Vector) encoding {
	w := encoding{ID: int64(v.ID), IdentityID: v.Identity, ClassName: v.Class, FromImage: orNull(v.Blob), Vector: v.Numbers()}
	return w
}

// toEncodingClasses gives each class once, in the order that they come in.
func toEncodingClasses(list []core.Vector) []encodingClass {
	out, seen := []encodingClass{}, map[string]bool{}
	for _, v := range list {
		if !seen[v.Class] {
			seen[v.Class] = true
			out = append(out, encodingClass{v.Class})
		}
	}
	return out
}

func toPremises(p core.Premises) premises { return premises{int64(p.ID), p.Name} }

func toUser(u core.User) user { return user{ID: int64(u.ID), Username: u.Name, Role: string(u.Role)} }
