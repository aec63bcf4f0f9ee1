package brainframe

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

// world is a small service in memory behind a fake: enough rules for a story, and none of media.
type world struct {
	fake
	mu       sync.Mutex
	streams  table[core.StreamNumber, core.StreamConfig]
	premises table[core.PremisesID, core.Premises]
	zones    table[core.ZoneID, core.Zone]
	alarms   table[core.AlarmID, core.Alarm]
	alerts   table[core.AlertID, core.Alert]
	idents   table[int64, core.Identity]
	vectors  table[core.VectorID, core.Vector]
	blobs    table[core.BlobID, stored]
	users    table[core.UserID, core.User]
	sessions map[string]service.Caller
	settings map[setting]core.CapsuleSetting
	capsules map[string]service.CapsuleInfo
	now      *service.Snapshot
	subs     map[chan *service.Snapshot]bool
	locked   bool // authorization is on
	starting bool
}

type stored struct {
	core.Blob
	content []byte
}

type setting struct {
	capsule string
	stream  core.StreamNumber
}

// table is rows by ID.
type table[K ~int64, V any] struct {
	on   string
	rows map[K]V
	last K
}

func newTable[K ~int64, V any](on string) table[K, V] {
	return table[K, V]{on: on, rows: map[K]V{}}
}

func (t *table[K, V]) get(id K) (V, error) {
	v, ok := t.rows[id]
	if !ok {
		return v, core.Faultf(core.NotFound, "", t.on, "there is no %s %d", t.on, id)
	}
	return v, nil
}

// put saves a row under its ID, or a new one.
func (t *table[K, V]) put(id K, row func(K) V) (V, error) {
	if id == 0 {
		t.last++
		id = t.last
	} else if _, err := t.get(id); err != nil {
		var zero V
		return zero, err
	}
	t.rows[id] = row(id)
	return t.rows[id], nil
}

func (t *table[K, V]) drop(id K) error {
	_, err := t.get(id)
	delete(t.rows, id)
	return err
}

func (t *table[K, V]) list(choose func(V) bool) []V {
	var out []V
	for _, id := range slices.Sorted(maps.Keys(t.rows)) {
		if choose == nil || choose(t.rows[id]) {
			out = append(out, t.rows[id])
		}
	}
	return out
}

var adminCaller = service.Caller{User: 1, Name: "admin", Role: core.Admin}

func newWorld() *world {
	w := &world{
		streams: newTable[core.StreamNumber, core.StreamConfig]("stream"), premises: newTable[core.PremisesID, core.Premises]("premises"),
		zones: newTable[core.ZoneID, core.Zone]("zone"), alarms: newTable[core.AlarmID, core.Alarm]("alarm"),
		alerts: newTable[core.AlertID, core.Alert]("alert"), idents: newTable[int64, core.Identity]("identity"),
		vectors: newTable[core.VectorID, core.Vector]("encoding"), blobs: newTable[core.BlobID, stored]("blob"),
		users: newTable[core.UserID, core.User]("user"), sessions: map[string]service.Caller{},
		settings: map[setting]core.CapsuleSetting{}, capsules: map[string]service.CapsuleInfo{},
		now: &service.Snapshot{}, subs: map[chan *service.Snapshot]bool{},
	}
	_, _ = w.users.put(0, func(id core.UserID) core.User {
		return core.User{ID: id, Name: "admin", Role: core.Admin, Hash: "secret"}
	})
	w.capsules["detector_face"] = service.CapsuleInfo{Declaration: faceDetector, Active: true}
	w.setAccess()
	w.setStreams()
	w.setZones()
	w.setAlerts()
	w.setStatuses()
	w.setCapsules()
	w.setIdentities()
	w.setStorage()
	w.setUsers()
	return w
}

func ptr[T any](v T) *T { return &v }

// faceDetector has an option of every type.
var faceDetector = core.Declaration{
	Name: "detector_face", Version: "1.2.3", API: "1.0", Description: "Finds faces.",
	Input: core.Description{Size: core.SizeNone},
	Output: core.Description{
		Size: core.SizeAll, Detections: []string{"face"}, Attributes: []core.Attribute{{Name: "mask", Values: []string{"on", "off"}}},
		Encoded: true, ExtraData: []string{"detection_confidence"},
	},
	Options: []core.Option{
		{Name: "threshold", Type: core.FloatOption, Default: 0.5, Min: ptr(0.0), Max: ptr(1.0), Description: "How sure it has to be."},
		{Name: "most", Type: core.IntOption, Default: int64(10)},
		{Name: "mode", Type: core.EnumOption, Default: "fast", Choices: []string{"fast", "exact"}},
		{Name: "flip", Type: core.BoolOption, Default: false},
		{Name: "label", Type: core.StringOption, Default: "x"},
		{Name: "token", Type: core.SecretOption, Default: "hidden"},
		{Name: "classes", Type: core.ListOption, Default: []string{"a", "b"}},
		{Name: "pause", Type: core.DurationOption, Default: 250 * time.Millisecond, Min: ptr(0.0)},
	},
}

func (w *world) setAccess() {
	w.fake.ready = func() bool { return !w.starting }
	w.anonymous = func() (service.Caller, error) {
		if w.locked {
			return service.Caller{}, core.Faultf(core.Denied, "", "", "sign in first")
		}
		return adminCaller, nil
	}
	w.authenticate = func(_ context.Context, name, password string) (service.Caller, string, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		role, ok := map[string]core.Role{"admin": core.Admin, "éditeur": core.Editor}[name]
		if !ok || password != "pässword" {
			return service.Caller{}, "", core.Faultf(core.Denied, "", "", "wrong name or password")
		}
		token := "token-" + strings.Repeat("i", len(w.sessions)+1)
		w.sessions[token] = service.Caller{User: 1, Name: name, Role: role}
		return w.sessions[token], token, nil
	}
	w.resume = func(_ context.Context, token string) (service.Caller, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		c, ok := w.sessions[token]
		if !ok {
			return c, core.Faultf(core.Denied, "", "", "the session is over")
		}
		return c, nil
	}
}

func (w *world) setStreams() {
	w.fake.streams = func(_ context.Context, _ service.Caller, p core.PremisesID) ([]core.StreamConfig, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.streams.list(func(s core.StreamConfig) bool { return p == 0 || s.Premises == p }), nil
	}
	w.stream = func(_ context.Context, _ service.Caller, n core.StreamNumber) (core.StreamConfig, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.streams.get(n)
	}
	w.saveStream = func(_ context.Context, _ service.Caller, s core.StreamConfig) (core.StreamConfig, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.addStream(s)
	}
	w.deleteStream = func(_ context.Context, _ service.Caller, n core.StreamNumber) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		maps.DeleteFunc(w.zones.rows, func(_ core.ZoneID, z core.Zone) bool { return z.Stream == n })
		maps.DeleteFunc(w.alarms.rows, func(_ core.AlarmID, a core.Alarm) bool { return a.Stream == n })
		maps.DeleteFunc(w.alerts.rows, func(_ core.AlertID, a core.Alert) bool { return a.Stream == n })
		err := w.streams.drop(n)
		w.publish(n, nil)
		return err
	}
	w.streamURL = func(_ context.Context, _ service.Caller, n core.StreamNumber) (string, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		s, err := w.streams.get(n)
		if s.Connection.URL == "" && err == nil {
			return "rtsp://127.0.0.1:8554/stream", nil
		}
		return s.Connection.URL, err
	}
	w.analyze = func(_ context.Context, _ service.Caller, n core.StreamNumber, on bool) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		s, err := w.streams.get(n)
		if err != nil {
			return err
		}
		s.Analyze = on
		w.streams.rows[n] = s
		if on {
			w.publish(n, w.see(n))
		}
		return nil
	}
	w.setPremises()
}

func (w *world) addStream(s core.StreamConfig) (core.StreamConfig, error) {
	if s.Connection.Blob != 0 {
		if _, err := w.blobs.get(s.Connection.Blob); err != nil {
			return s, err
		}
	}
	for _, o := range w.streams.rows {
		if o.Number != s.Number && o.Connection == s.Connection {
			return s, core.Faultf(core.Exists, "", "stream", "stream %d has this source", o.Number)
		}
	}
	isNew := s.Number == 0
	s, err := w.streams.put(s.Number, func(n core.StreamNumber) core.StreamConfig { s.Number = n; return s })
	if isNew && err == nil {
		_, err = w.zones.put(0, func(id core.ZoneID) core.Zone { return core.Zone{ID: id, Stream: s.Number, Name: core.ScreenZone} })
		w.publish(s.Number, []service.ZoneStatus{})
	}
	return s, err
}

func (w *world) setPremises() {
	w.fake.premises = func(context.Context, service.Caller) ([]core.Premises, error) { return w.premises.list(nil), nil }
	w.onePremises = func(_ context.Context, _ service.Caller, id core.PremisesID) (core.Premises, error) {
		return w.premises.get(id)
	}
	w.savePremises = func(_ context.Context, _ service.Caller, p core.Premises) (core.Premises, error) {
		return w.premises.put(p.ID, func(id core.PremisesID) core.Premises { p.ID = id; return p })
	}
	w.deletePremises = func(_ context.Context, _ service.Caller, id core.PremisesID) error { return w.premises.drop(id) }
}

func (w *world) setZones() {
	w.fake.zones = func(_ context.Context, _ service.Caller, n core.StreamNumber) ([]core.Zone, error) {
		return w.zones.list(func(z core.Zone) bool { return n == 0 || z.Stream == n }), nil
	}
	w.zone = func(_ context.Context, _ service.Caller, id core.ZoneID) (core.Zone, error) { return w.zones.get(id) }
	w.saveZone = func(_ context.Context, _ service.Caller, z core.Zone, alarms []core.Alarm) (core.Zone, []core.Alarm, error) {
		if _, err := w.streams.get(z.Stream); err != nil {
			return z, nil, err
		}
		if z.IsScreen() {
			return z, nil, core.Faultf(core.Denied, "", "zone", "Screen cannot be edited")
		}
		for _, o := range w.zones.rows {
			if o.Stream == z.Stream && o.Name == z.Name && o.ID != z.ID {
				return z, nil, core.Faultf(core.Exists, "", "zone", "zone %q is there", z.Name)
			}
		}
		z, err := w.zones.put(z.ID, func(id core.ZoneID) core.Zone { z.ID = id; return z })
		if err != nil {
			return z, nil, err
		}
		for _, a := range alarms {
			a.Zone = z.ID
			if _, err := w.addAlarm(a); err != nil {
				return z, nil, err
			}
		}
		return z, w.alarmsOf(z.ID), nil
	}
	w.deleteZone = func(_ context.Context, _ service.Caller, id core.ZoneID) error {
		if z, err := w.zones.get(id); err == nil && z.IsScreen() {
			return core.Faultf(core.Denied, "", "zone", "Screen cannot be deleted")
		}
		return w.zones.drop(id)
	}
	w.fake.alarms = func(_ context.Context, _ service.Caller, n core.StreamNumber, z core.ZoneID) ([]core.Alarm, error) {
		return w.alarms.list(func(a core.Alarm) bool { return (n == 0 || a.Stream == n) && (z == 0 || a.Zone == z) }), nil
	}
	w.alarm = func(_ context.Context, _ service.Caller, id core.AlarmID) (core.Alarm, error) {
		return w.alarms.get(id)
	}
	w.saveAlarm = func(_ context.Context, _ service.Caller, a core.Alarm) (core.Alarm, error) { return w.addAlarm(a) }
	w.deleteAlarm = func(_ context.Context, _ service.Caller, id core.AlarmID) error { return w.alarms.drop(id) }
}

func (w *world) alarmsOf(z core.ZoneID) []core.Alarm {
	return w.alarms.list(func(a core.Alarm) bool { return a.Zone == z })
}

func (w *world) addAlarm(a core.Alarm) (core.Alarm, error) {
	z, err := w.zones.get(a.Zone)
	if err != nil {
		return a, err
	}
	return w.alarms.put(a.ID, func(id core.AlarmID) core.Alarm {
		a.ID, a.Stream = id, z.Stream
		a.Counts, a.Rates = slices.Clone(a.Counts), slices.Clone(a.Rates)
		for i := range a.Counts {
			a.Counts[i].ID = int64(id)*10 + int64(i)
		}
		for i := range a.Rates {
			a.Rates[i].ID = int64(id)*10 + 5 + int64(i)
		}
		return a
	})
}

func (w *world) setAlerts() {
	w.fake.alerts = func(_ context.Context, _ service.Caller, f store.AlertFilter) ([]core.Alert, int, error) {
		list := w.alerts.list(func(a core.Alert) bool {
			return (f.Stream == 0 || a.Stream == f.Stream) && (f.Zone == 0 || a.Zone == f.Zone) && (f.Alarm == 0 || a.Alarm == f.Alarm) && verifiedAs(a, f.Verification)
		})
		slices.Reverse(list)
		return paged(list, f.Page), len(list), nil
	}
	w.alert = func(_ context.Context, _ service.Caller, id core.AlertID) (core.Alert, error) {
		return w.alerts.get(id)
	}
	w.verifyAlert = func(_ context.Context, _ service.Caller, id core.AlertID, as *bool) error {
		a, err := w.alerts.get(id)
		if err == nil {
			a.Verified = as
			w.alerts.rows[id] = a
		}
		return err
	}
	w.alertFrame = func(_ context.Context, _ service.Caller, id core.AlertID) (io.ReadCloser, error) {
		a, err := w.alerts.get(id)
		if err != nil {
			return nil, err
		}
		if a.Frame == 0 {
			return nil, core.Faultf(core.NotFound, "", "frame", "alert %d has no frame", id)
		}
		return io.NopCloser(strings.NewReader("\xff\xd8jpeg")), nil
	}
}

func verifiedAs(a core.Alert, any []store.Verification) bool {
	is := store.Unverified
	if a.Verified != nil {
		is = map[bool]store.Verification{true: store.VerifiedTrue, false: store.VerifiedFalse}[*a.Verified]
	}
	return len(any) == 0 || slices.Contains(any, is)
}

func paged[T any](list []T, p store.Page) []T {
	list = list[min(p.Offset, len(list)):]
	if p.Limit > 0 {
		list = list[:min(p.Limit, len(list))]
	}
	return list
}

func (w *world) setStatuses() {
	w.statuses = func(context.Context, service.Caller) (*service.Snapshot, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now, nil
	}
	w.subscribe = func(ctx context.Context, _ service.Caller) (<-chan *service.Snapshot, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		ch := make(chan *service.Snapshot, 1)
		w.subs[ch] = true
		context.AfterFunc(ctx, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.leave(ch)
		})
		return ch, nil
	}
}

// publish changes a stream's statuses, nil: it is gone. The lock is held.
func (w *world) publish(n core.StreamNumber, list []service.ZoneStatus) {
	next := maps.Clone(w.now.Streams)
	if next == nil {
		next = map[core.StreamNumber][]service.ZoneStatus{}
	}
	if next[n] = list; list == nil {
		delete(next, n)
	}
	w.now = &service.Snapshot{Streams: next}
	for ch := range w.subs {
		select {
		case <-ch:
		default:
		}
		ch <- w.now
	}
}

func (w *world) leave(ch chan *service.Snapshot) {
	if w.subs[ch] {
		delete(w.subs, ch)
		close(ch)
	}
}

// stop ends all subscriptions, as a service does that closes.
func (w *world) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.subs {
		w.leave(ch)
	}
}

// see makes statuses with a face that somebody has, in every zone, and an alert for every alarm.
func (w *world) see(n core.StreamNumber) []service.ZoneStatus {
	face := &core.Node{
		Class: "face", Coords: core.Rect(10, 20, 30, 40), TrackID: "8c0e2b1c-6cfb-4a43-9b33-0a8f3a1c8c11",
		ExtraData: core.ExtraData{"detection_confidence": []byte("0.75")},
	}
	if who := w.idents.list(nil); len(who) > 0 {
		face.Identity = &who[0]
		face.ExtraData["encoding_distance"] = []byte("0.25")
	}
	at := time.UnixMilli(1601450507800)
	var list []service.ZoneStatus
	for _, z := range w.zones.list(func(z core.Zone) bool { return z.Stream == n }) {
		s := service.ZoneStatus{At: at, Alarms: w.alarmsOf(z.ID)}
		s.Zone, s.Within = z, []*core.Node{face}
		if z.IsLine() {
			s.Entering, s.Totals = []*core.Node{face}, zones.Totals{Entered: map[string]uint64{"face": 1}}
		}
		for _, a := range s.Alarms {
			if !slices.ContainsFunc(w.alerts.list(nil), func(b core.Alert) bool { return b.Alarm == a.ID }) {
				_, _ = w.alerts.put(0, func(id core.AlertID) core.Alert {
					return core.Alert{ID: id, Alarm: a.ID, Zone: z.ID, Stream: n, Start: at, Frame: 1}
				})
			}
		}
		s.Alerts = w.alerts.list(func(a core.Alert) bool { return a.Zone == z.ID })
		list = append(list, s)
	}
	return list
}

func (w *world) setCapsules() {
	w.fake.capsules = func(context.Context, service.Caller) ([]service.CapsuleInfo, error) {
		return slices.SortedFunc(maps.Values(w.capsules), func(a, b service.CapsuleInfo) int {
			return cmp.Compare(a.Declaration.Name, b.Declaration.Name)
		}), nil
	}
	w.capsule = func(_ context.Context, _ service.Caller, name string) (service.CapsuleInfo, error) {
		i, ok := w.capsules[name]
		if !ok {
			return i, core.Faultf(core.NotFound, "", "capsule", "there is no capsule %q", name)
		}
		return i, nil
	}
	w.loadCapsule = func(_ context.Context, _ service.Caller, b core.BlobID, name string) (service.CapsuleInfo, error) {
		if _, err := w.blobs.get(b); err != nil {
			return service.CapsuleInfo{}, err
		}
		i := service.CapsuleInfo{Declaration: faceDetector, Active: true, Removable: true}
		i.Declaration.Name = cmp.Or(name, "uploaded")
		w.capsules[i.Declaration.Name] = i
		return i, nil
	}
	w.unloadCapsule = func(ctx context.Context, c service.Caller, name string) error {
		_, err := w.capsule(ctx, c, name)
		delete(w.capsules, name)
		return err
	}
	w.setting = func(_ context.Context, _ service.Caller, name string, n core.StreamNumber) (core.CapsuleSetting, error) {
		return w.settings[setting{name, n}], nil
	}
	w.setOptions = func(_ context.Context, _ service.Caller, name string, n core.StreamNumber, options map[string]any, merge bool) error {
		s := w.settings[setting{name, n}]
		all := map[string]any{}
		if merge {
			maps.Copy(all, s.Options)
		}
		for k, v := range options {
			if all[k] = v; v == nil {
				delete(all, k)
			}
		}
		if _, err := w.capsules[name].Declaration.Complete(all); err != nil {
			return err
		}
		s.Options = all
		w.settings[setting{name, n}] = s
		return nil
	}
	w.setActive = func(_ context.Context, _ service.Caller, name string, n core.StreamNumber, active *bool) error {
		s := w.settings[setting{name, n}]
		s.Active = active
		w.settings[setting{name, n}] = s
		return nil
	}
	w.processImage = func(_ context.Context, _ service.Caller, picture []byte, capsules []string, options map[string]map[string]any) ([]*core.Node, error) {
		if !bytes.HasPrefix(picture, []byte("\xff\xd8")) {
			return nil, core.Faultf(core.Invalid, "", "image", "it is no picture")
		}
		n := &core.Node{Class: strings.Join(capsules, "+"), Coords: core.Rect(1, 2, 3, 4), Attributes: map[string]string{}}
		for name, values := range options {
			if _, err := w.capsules[name].Declaration.Complete(values); err != nil {
				return nil, core.Faultf(core.Invalid, "", "option", "%w", err)
			}
		}
		return []*core.Node{n}, nil
	}
}

func (w *world) setIdentities() {
	w.identities = func(_ context.Context, _ service.Caller, f store.IdentityFilter) ([]core.Identity, int, error) {
		list := w.idents.list(func(i core.Identity) bool {
			return (f.UniqueName == "" || i.UniqueName == f.UniqueName) && strings.Contains(i.UniqueName+i.Nickname, f.Search)
		})
		if f.Descending {
			slices.Reverse(list)
		}
		return paged(list, f.Page), len(list), nil
	}
	w.identity = func(_ context.Context, _ service.Caller, id int64) (core.Identity, error) { return w.idents.get(id) }
	w.saveIdentity = func(_ context.Context, _ service.Caller, i core.Identity) (core.Identity, error) {
		for _, o := range w.idents.rows {
			if o.UniqueName == i.UniqueName && o.ID != i.ID {
				return i, core.Faultf(core.Exists, "", "identity", "%q is taken", i.UniqueName)
			}
		}
		return w.idents.put(i.ID, func(id int64) core.Identity { i.ID = id; return i })
	}
	w.deleteIdentity = func(_ context.Context, _ service.Caller, id int64) error {
		maps.DeleteFunc(w.vectors.rows, func(_ core.VectorID, v core.Vector) bool { return v.Identity == id })
		return w.idents.drop(id)
	}
	w.addImage = func(_ context.Context, _ service.Caller, id int64, class string, b core.BlobID) (core.Vector, error) {
		if _, err := w.idents.get(id); err != nil {
			return core.Vector{}, err
		}
		if _, err := w.blobs.get(b); err != nil {
			return core.Vector{}, err
		}
		return w.addTo(core.Vector{Identity: id, Class: class, Blob: b, Encoder: "e@1", Values: core.Encoding{0.5, 0.25}})
	}
	w.addVector = func(_ context.Context, _ service.Caller, id int64, class string, numbers []float64) (core.Vector, error) {
		if _, err := w.idents.get(id); err != nil {
			return core.Vector{}, err
		}
		values, given := core.Rounded(numbers)
		return w.addTo(core.Vector{Identity: id, Class: class, Values: values, Given: given})
	}
	w.fake.vectors = func(_ context.Context, _ service.Caller, f store.VectorFilter) ([]core.Vector, error) {
		return w.vectors.list(chosen(f)), nil
	}
	w.vector = func(_ context.Context, _ service.Caller, id core.VectorID) (core.Vector, error) {
		return w.vectors.get(id)
	}
	w.deleteVectors = func(_ context.Context, _ service.Caller, f store.VectorFilter) error {
		maps.DeleteFunc(w.vectors.rows, func(_ core.VectorID, v core.Vector) bool { return chosen(f)(v) })
		return nil
	}
	w.deleteVector = func(_ context.Context, _ service.Caller, id core.VectorID) error { return w.vectors.drop(id) }
}

func chosen(f store.VectorFilter) func(core.Vector) bool {
	return func(v core.Vector) bool {
		return (f.Identity == 0 || f.Identity == v.Identity) && (f.Class == "" || f.Class == v.Class)
	}
}

func (w *world) addTo(v core.Vector) (core.Vector, error) {
	for _, o := range w.vectors.rows {
		if o.Identity == v.Identity && o.Class == v.Class && slices.Equal(o.Values, v.Values) {
			return v, core.Faultf(core.Exists, "", "encoding", "it is there")
		}
	}
	return w.vectors.put(0, func(id core.VectorID) core.Vector { v.ID = id; return v })
}

type seeker struct{ *bytes.Reader }

func (seeker) Close() error { return nil }

func (w *world) setStorage() {
	w.saveBlob = func(_ context.Context, _ service.Caller, mime string, from io.Reader) (core.Blob, error) {
		content, err := io.ReadAll(from)
		if err != nil {
			return core.Blob{}, core.Faultf(core.Internal, "", "blob", "%w", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		b, err := w.blobs.put(0, func(id core.BlobID) stored {
			return stored{core.Blob{ID: id, Type: mime, Size: int64(len(content))}, content}
		})
		return b.Blob, err
	}
	w.blob = func(_ context.Context, _ service.Caller, id core.BlobID) (core.Blob, io.ReadSeekCloser, error) {
		b, err := w.blobs.get(id)
		return b.Blob, seeker{bytes.NewReader(b.content)}, err
	}
	w.deleteBlob = func(_ context.Context, _ service.Caller, id core.BlobID) error { return w.blobs.drop(id) }
}

func (w *world) setUsers() {
	w.fake.users = func(_ context.Context, c service.Caller) ([]core.User, error) {
		if !c.Role.May(core.Admin) {
			return nil, core.Faultf(core.Denied, "", "role", "only an admin may")
		}
		return w.users.list(nil), nil
	}
	w.user = func(_ context.Context, _ service.Caller, id core.UserID) (core.User, error) { return w.users.get(id) }
	w.saveUser = func(_ context.Context, _ service.Caller, u core.User, password string) (core.User, error) {
		for _, o := range w.users.rows {
			if o.Name == u.Name && o.ID != u.ID {
				return u, core.Faultf(core.Exists, "", "user", "%q is taken", u.Name)
			}
		}
		u.Hash = password
		return w.users.put(u.ID, func(id core.UserID) core.User { u.ID = id; return u })
	}
	w.deleteUser = func(_ context.Context, _ service.Caller, id core.UserID) error {
		if id == 1 {
			return core.Faultf(core.Denied, "", "admin", "the last administrator stays")
		}
		return w.users.drop(id)
	}
}

// furnished is a world with one of everything, for tables.
func furnished(t testing.TB) *world {
	t.Helper()
	w := newWorld()
	must(t)(w.premises.put(0, func(id core.PremisesID) core.Premises { return core.Premises{ID: id, Name: "Office"} }))
	for _, mime := range []string{"video/mp4", "image/jpeg"} {
		must(t)(w.blobs.put(0, func(id core.BlobID) stored { return stored{core.Blob{ID: id, Type: mime, Size: 5}, []byte("bytes")} }))
	}
	must(t)(w.addStream(core.StreamConfig{
		Name: "Door", Premises: 1, Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://10.0.0.7/1"}, KeyframesOnly: true,
		Metadata: map[string]any{"floor": int64(2)}, Analyze: true,
	}))
	must(t)(w.addStream(core.StreamConfig{Name: "Clip", Connection: core.Connection{Kind: core.FileClip, Blob: 1, Transcode: true}, Said: core.Said{Transcode: true}}))
	must(t)(w.zones.put(0, func(id core.ZoneID) core.Zone {
		return core.Zone{ID: id, Stream: 1, Name: "Line", Coords: core.Polygon{{X: 0, Y: 10}, {X: 20, Y: 10}}}
	}))
	must(t)(w.addAlarm(core.Alarm{
		Name: "Crowd", Zone: 3, Hours: &core.ActiveHours{Start: 22 * time.Hour, End: 6*time.Hour + 30*time.Minute + 5*time.Second},
		Counts: []core.CountCondition{{
			Objects: core.Objects{Class: "face", Attribute: &core.AttributeValue{Name: "mask", Value: "on"}, Anchor: core.AnchorCenter},
			Test:    core.Greater, Value: 2, Window: 5 * time.Second, Threshold: 0.5,
		}},
		Rates: []core.RateCondition{{Objects: core.Objects{Class: "car"}, Test: core.GreaterEqual, Change: 1.5, Window: 10 * time.Second, Movement: core.Entering}},
	}))
	began := time.UnixMilli(1601450500250)
	must(t)(w.alerts.put(0, func(id core.AlertID) core.Alert {
		return core.Alert{ID: id, Alarm: 1, Zone: 3, Stream: 1, Start: began, End: began.Add(1500 * time.Millisecond), Verified: ptr(true), Frame: 2}
	}))
	must(t)(w.alerts.put(0, func(id core.AlertID) core.Alert {
		return core.Alert{ID: id, Alarm: 1, Zone: 3, Stream: 1, Start: began.Add(time.Minute)}
	}))
	must(t)(w.idents.put(0, func(id int64) core.Identity {
		return core.Identity{ID: id, UniqueName: "ada", Nickname: "Ada", Metadata: map[string]any{"x": "y"}}
	}))
	must(t)(w.addTo(core.Vector{Identity: 1, Class: "face", Blob: 2, Values: core.Encoding{0.1, -2}}))
	must(t)(w.addTo(core.Vector{Identity: 1, Class: "face", Values: core.Encoding{3}}))
	must(t)(w.users.put(0, func(id core.UserID) core.User { return core.User{ID: id, Name: "looker", Role: core.Viewer} }))
	must(t)(w.users.put(0, func(id core.UserID) core.User { return core.User{ID: id, Name: "ed", Role: core.Editor} }))
	w.settings[setting{"detector_face", 1}] = core.CapsuleSetting{Options: map[string]any{"threshold": 0.9}, Active: ptr(false)}
	w.publish(1, w.see(1))
	return w
}

// must fails the test when a row cannot be made.
func must(t testing.TB) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func handler(svc service.API, opt Options) http.Handler { return New(svc, hclog.NewNullLogger(), opt) }
