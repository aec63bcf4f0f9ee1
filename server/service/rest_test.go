package service_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	clock := newClock()
	w := newWorld(t, media{}, func(c *service.Config) { c.NoAuth, c.Now = false, clock.now })
	if len(w.password) < 12 {
		t.Fatalf("the first start made the password %q", w.password)
	}
	_, err := w.Anonymous()
	kindOn(t, err, core.Denied, "credentials")
	who, token, err := w.Authenticate(t.Context(), "admin", w.password)
	if err != nil || who.User != 1 || who.Role != core.Admin || token == "" {
		t.Fatalf("%+v, %q, %v", who, token, err)
	}
	if again, err := w.Resume(t.Context(), token); err != nil || again != who {
		t.Errorf("resumed as %+v, %v", again, err)
	}
	for _, bad := range []string{"", "1", "1.x", "x." + token, token + "x", "2" + token} {
		_, err := w.Resume(t.Context(), bad)
		kindOn(t, err, core.Denied, "session")
	}
	_, err = w.SaveUser(t.Context(), who, core.User{ID: 1, Name: "admin", Role: core.Editor}, "")
	kindOn(t, err, core.Denied, "admin")
	kindOn(t, w.DeleteUser(t.Context(), who, 1), core.Denied, "admin")
	_, err = w.SaveUser(t.Context(), who, core.User{Name: "admin", Role: core.Editor}, "x")
	kindOn(t, err, core.Exists, "user")
	_, err = w.SaveUser(t.Context(), who, core.User{Name: "eve", Role: "boss"}, "x")
	kindOn(t, err, core.Invalid, "user")
	_, err = w.SaveUser(t.Context(), who, core.User{Name: "eve", Role: core.Editor}, "")
	kindOn(t, err, core.Invalid, "user")
	eve, err := w.SaveUser(t.Context(), who, core.User{Name: "eve", Role: core.Editor}, "first")
	if err != nil || eve.ID != 2 || eve.Hash != "" {
		t.Fatalf("%+v, %v", eve, err)
	}
	asEve, eves, err := w.Authenticate(t.Context(), "eve", "first")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Users(t.Context(), asEve)
	kindOn(t, err, core.Denied, "role")
	if _, err := w.SaveUser(t.Context(), who, eve, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Resume(t.Context(), eves); err != nil {
		t.Errorf("a session is over though the password stayed: %v", err)
	}
	if _, err := w.SaveUser(t.Context(), who, eve, "second"); err != nil {
		t.Fatal(err)
	}
	_, err = w.Resume(t.Context(), eves)
	kindOn(t, err, core.Denied, "session")
	clock.move(31 * 24 * time.Hour)
	_, err = w.Resume(t.Context(), token)
	kindOn(t, err, core.Denied, "session")
	if err := w.DeleteUser(t.Context(), who, eve.ID); err != nil {
		t.Fatal(err)
	}
	var did []string
	err = w.store.View(t.Context(), func(tx store.Tx) error {
		list, err := tx.Audit(store.Page{})
		for _, e := range list {
			did = append(did, e.User+" "+e.Action+" "+e.Object)
		}
		return err
	})
	if got := strings.Join(did, ", "); err != nil || got != "admin delete user eve, admin save user eve, admin save user eve, admin save user eve, capstan create user admin" {
		t.Errorf("audit: %s (%v)", got, err)
	}
}

func TestWhoGuessesWaits(t *testing.T) {
	t.Parallel()
	clock := newClock()
	w := newWorld(t, media{}, func(c *service.Config) { c.NoAuth, c.Now, c.Password = false, clock.now, "right" })
	if w.password != "" {
		t.Error("a password that was given is shown")
	}
	try := func(password string) error {
		_, _, err := w.Authenticate(t.Context(), "admin", password)
		return err
	}
	for i := range 5 {
		kindOn(t, try(fmt.Sprint("wrong", i)), core.Denied, "credentials")
	}
	kindOn(t, try("right"), core.Denied, "credentials")
	if _, _, err := w.Authenticate(service.From(t.Context(), "10.0.0.9:1"), "admin", "right"); core.KindOf(err) != core.Denied {
		t.Errorf("guesses lock the name for their address alone: %v", err)
	}
	if _, _, err := w.Authenticate(t.Context(), "nobody", "x"); err == nil || strings.Contains(err.Error(), "try again") {
		t.Errorf("another name waits too: %v", err)
	}
	clock.move(1100 * time.Millisecond)
	kindOn(t, try("wrong"), core.Denied, "credentials")
	clock.move(1100 * time.Millisecond)
	kindOn(t, try("right"), core.Denied, "credentials") // twice as long
	clock.move(time.Second)
	if err := try("right"); err != nil {
		t.Error(err)
	}
}

// TestAnOldPasswordIsNoGuess: the desktop client asks ten times a second with the password that it
// has, until that is right. It must not lock out who knows the new one.
func TestAnOldPasswordIsNoGuess(t *testing.T) {
	t.Parallel()
	clock := newClock()
	w := newWorld(t, media{}, func(c *service.Config) { c.NoAuth, c.Now, c.Password = false, clock.now, "new" })
	try := func(from, password string) error {
		_, _, err := w.Authenticate(service.From(t.Context(), from), "admin", password)
		return err
	}
	for i := range 50 {
		kindOn(t, try("10.0.0.7:4000", fmt.Sprint("old", i%4)), core.Denied, "credentials")
	}
	if err := try("10.0.0.7:4001", "new"); err == nil || !strings.Contains(err.Error(), "try again") {
		t.Errorf("from where the old ones come: %v", err)
	}
	if err := try("10.0.0.8:4000", "new"); err != nil {
		t.Fatalf("locked out by old passwords from elsewhere: %v", err)
	}
	clock.move(10 * time.Second)
	if err := try("10.0.0.7:4002", "new"); err != nil {
		t.Fatalf("locked out for long: %v", err)
	}
	u, err := w.User(t.Context(), admin, 1)
	if err != nil {
		t.Fatal(err)
	}
	kindOn(t, try("[::1]:1", "old0"), core.Denied, "credentials")
	if _, err := w.SaveUser(t.Context(), admin, u, "old0"); err != nil {
		t.Fatal(err)
	}
	if err := try("[::1]:1", "old0"); err != nil {
		t.Errorf("a password that was wrong before it was set: %v", err)
	}
}

// tuned is a detector whose option says how many persons it finds.
func tuned() *pipelinetest.Capsule {
	lo, hi := 0.0, 5.0
	d := core.Declaration{Name: "tuned", Version: "1", API: core.APIVersion, Entry: "tuned", Input: core.Description{Size: core.SizeNone},
		Output:  core.Description{Size: core.SizeAll, Detections: []string{"person"}},
		Options: []core.Option{{Name: "persons", Type: core.IntOption, Default: int64(1), Min: &lo, Max: &hi}}}
	c := &pipelinetest.Capsule{Decl: d}
	c.ProcessFunc = func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
		var list []*core.Node
		for i := range c.StreamValues(call.Frame.Stream).Int("persons") {
			x := float64(i * 10)
			list = append(list, &core.Node{Class: "person", Coords: core.Rect(x, 0, x+8, 20)})
		}
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: list}}}, nil
	}
	return c
}

func TestOptionsOfOneStream(t *testing.T) {
	t.Parallel()
	m := media{"rtsp://a": live, "rtsp://b": live}
	w := newWorld(t, m, nil, tuned())
	a, b := w.camera("rtsp://a").Number, w.camera("rtsp://b").Number
	w.analyze(a, true)
	w.analyze(b, true)
	within := func(n core.StreamNumber, persons int) func() bool {
		return func() bool {
			z := w.zone(n, core.ScreenZone)
			return z.Zone.ID != 0 && len(z.Within) == persons
		}
	}
	until(t, "one person each", func() bool { return within(a, 1)() && within(b, 1)() })
	set := func(n core.StreamNumber, options map[string]any, merge bool) {
		t.Helper()
		if err := w.SetOptions(t.Context(), editor, "tuned", n, options, merge); err != nil {
			t.Fatal(err)
		}
	}
	set(b, map[string]any{"persons": 3.0}, false)
	until(t, "three on b", within(b, 3))
	if !within(a, 1)() {
		t.Error("a changed too")
	}
	set(0, map[string]any{"persons": 2.0}, true)
	until(t, "two on a", within(a, 2))
	if !within(b, 3)() {
		t.Error("b lost its own")
	}
	own, err := w.Setting(t.Context(), viewer, "tuned", b)
	if err != nil || len(own.Options) != 1 || own.Active != nil {
		t.Errorf("set for b: %+v, %v", own, err)
	}
	if all, _ := w.Setting(t.Context(), viewer, "tuned", 0); all.Options["persons"] != int64(2) || all.Active == nil || !*all.Active {
		t.Errorf("set for all: %+v", all)
	}
	kindOn(t, w.SetOptions(t.Context(), editor, "tuned", b, map[string]any{"persons": 9.0}, true), core.Invalid, "option")
	kindOn(t, w.SetOptions(t.Context(), editor, "tuned", b, map[string]any{"people": 1.0}, true), core.NotFound, "option")
	kindOn(t, w.SetOptions(t.Context(), editor, "gone", b, nil, true), core.NotFound, "capsule")
	kindOn(t, w.SetOptions(t.Context(), editor, "tuned", 99, nil, true), core.NotFound, "stream")
	set(b, map[string]any{"persons": nil}, true)
	until(t, "two on b", within(b, 2))
	off := false
	if err := w.SetActive(t.Context(), editor, "tuned", b, &off); err != nil {
		t.Fatal(err)
	}
	until(t, "nobody on b", within(b, 0))
	if err := w.SetActive(t.Context(), editor, "tuned", b, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "two on b again", within(b, 2))
	w.stop()
	w.start(m, tuned())
	until(t, "two on a after a restart", within(a, 2))
}

// faces are a detector that finds one face for each 100 pixels of width, and an encoder whose
// vector turns with the stream's width.
func faces() []pipeline.Capsule {
	face := core.Description{Size: core.SizeAll, Detections: []string{"face"}}
	each := core.Description{Size: core.SizeSingle, Detections: []string{"face"}}
	encoded := each
	encoded.Encoded = true
	detector := &pipelinetest.Capsule{Decl: core.Declaration{Name: "detector", Version: "1", API: core.APIVersion, Entry: "d", Input: core.Description{Size: core.SizeNone}, Output: face}}
	detector.ProcessFunc = func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
		var list []*core.Node
		for x := 0; x+100 <= call.Frame.Caps.Width || x == 0 && call.Frame.Caps.Width == 64; x += 100 {
			list = append(list, &core.Node{Class: "face", Coords: core.Rect(float64(x), 0, float64(x)+40, 40)})
		}
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: list}}}, nil
	}
	lo, hi := 0.0, 2.0
	d := core.Declaration{Name: "encoder", Version: "1", API: core.APIVersion, Entry: "e", Input: each, Output: encoded, Metric: core.Cosine,
		Options: []core.Option{{Name: "recognition_threshold", Type: core.FloatOption, Default: 0.4, Min: &lo, Max: &hi}}}
	encoder := &pipelinetest.Capsule{Decl: d, ProcessFunc: pipelinetest.Patching(d, func(*core.Node) core.Patch {
		return core.Patch{Encoding: core.Encoding{1, 0, 0}}
	})}
	return []pipeline.Capsule{detector, encoder}
}

func picture(t *testing.T, width int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, 60))
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	img.Set(3, 3, color.RGBA{1, 2, 3, 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{"rtsp://a": live}, nil, faces()...)
	s := w.camera("rtsp://a").Number
	w.analyze(s, true)
	save := func(data []byte) core.BlobID {
		t.Helper()
		b, err := w.SaveBlob(t.Context(), editor, "image/png", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return b.ID
	}
	i, err := w.SaveIdentity(t.Context(), editor, core.Identity{UniqueName: "anna"})
	if err != nil || i.ID == 0 {
		t.Fatal(i, err)
	}
	named := func(name string) func() bool {
		return func() bool {
			z := w.zone(s, core.ScreenZone)
			if len(z.Within) != 1 {
				return false
			}
			n := z.Within[0]
			if n.Identity == nil {
				return name == ""
			}
			_, ok := n.ExtraData.Float("encoding_distance")
			return n.Identity.UniqueName == name && ok
		}
	}
	until(t, "a face without a name", named(""))
	one, two, none := save(picture(t, 150)), save(picture(t, 250)), save(picture(t, 50))
	add := func(class string, blob core.BlobID) error {
		_, err := w.AddImage(t.Context(), editor, i.ID, class, blob)
		return err
	}
	kindOn(t, add("cat", one), core.NotFound, "detector")
	kindOn(t, add("face", 99), core.NotFound, "blob")
	kindOn(t, add("face", save([]byte("no picture"))), core.Invalid, "image")
	kindOn(t, add("face", none), core.NotFound, "detection")
	kindOn(t, add("face", two), core.Invalid, "detection")
	v, err := w.AddImage(t.Context(), editor, i.ID, "face", one)
	if err != nil || v.ID == 0 || v.Encoder != "encoder@1" || v.Blob != one || len(v.Values) != 3 {
		t.Fatalf("%+v, %v", v, err)
	}
	kindOn(t, add("face", one), core.Exists, "image")
	until(t, "anna", named("anna"))
	i.UniqueName = "berta"
	if _, err := w.SaveIdentity(t.Context(), editor, i); err != nil {
		t.Fatal(err)
	}
	until(t, "berta", named("berta"))
	if err := w.DeleteVector(t.Context(), editor, v.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "no name", named(""))
	vector := func(values ...float64) error {
		_, err := w.AddVector(t.Context(), editor, i.ID, "face", values)
		return err
	}
	kindOn(t, vector(), core.Invalid, "encodings")
	kindOn(t, vector(0, 0), core.Invalid, "encodings")
	kindOn(t, vector(math.NaN()), core.Invalid, "encodings")
	kindOn(t, vector(make([]float64, 1<<15)...), core.Exhausted, "vector")
	if err := vector(1, 0.1, 0); err != nil {
		t.Fatal(err)
	}
	kindOn(t, vector(1, 0.1, 0), core.Exists, "encoding")
	until(t, "berta by a vector as given", named("berta"))
	if err := w.SetOptions(t.Context(), editor, "encoder", s, map[string]any{"recognition_threshold": 0.0001}, false); err != nil {
		t.Fatal(err)
	}
	until(t, "too far by the stream's own threshold", named(""))
	if err := w.SetOptions(t.Context(), editor, "encoder", s, nil, false); err != nil {
		t.Fatal(err)
	}
	until(t, "berta again", named("berta"))
	w.stop()
	w.start(media{"rtsp://a": live}, faces()...)
	until(t, "berta after a restart", named("berta"))
	if err := w.DeleteIdentity(t.Context(), editor, i.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "nobody", named(""))
}

func TestProcessImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{}, nil, faces()...)
	nodes, err := w.ProcessImage(t.Context(), viewer, picture(t, 250), []string{"detector"}, nil)
	if err != nil || len(nodes) != 2 || nodes[0].Encoding != nil {
		t.Errorf("%d objects, %v; want 2 that are not encoded", len(nodes), err)
	}
	nodes, err = w.ProcessImage(t.Context(), viewer, picture(t, 150), []string{"detector", "encoder"}, nil)
	if err != nil || len(nodes) != 1 || len(nodes[0].Encoding) != 3 {
		t.Errorf("%v, %v; want one that is encoded", nodes, err)
	}
	_, err = w.ProcessImage(t.Context(), viewer, []byte("text"), []string{"detector"}, nil)
	kindOn(t, err, core.Invalid, "image")
	_, err = w.ProcessImage(t.Context(), viewer, picture(t, 150), []string{"gone"}, nil)
	kindOn(t, err, core.NotFound, "capsule")
	_, err = w.ProcessImage(t.Context(), viewer, picture(t, 150), []string{"encoder"}, map[string]map[string]any{"encoder": {"recognition_threshold": "x"}})
	kindOn(t, err, core.Invalid, "option")
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{}, nil)
	_, err := w.SaveBlob(t.Context(), editor, "", strings.NewReader(""))
	kindOn(t, err, core.Invalid, "blob")
	b, err := w.SaveBlob(t.Context(), editor, "text/x", strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	got, c, err := w.Blob(t.Context(), viewer, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if data, err := io.ReadAll(c); err != nil || string(data) != "content" || got.Type != "text/x" || got.Size != 7 {
		t.Errorf("%q, %+v, %v", data, got, err)
	}
	if err := w.DeleteBlob(t.Context(), editor, b.ID); err != nil {
		t.Fatal(err)
	}
	kindOn(t, w.DeleteBlob(t.Context(), editor, b.ID), core.NotFound, "blob")
	_, _, err = w.Blob(t.Context(), viewer, b.ID)
	kindOn(t, err, core.NotFound, "blob")
}

// TestNobodyWaitsForASlowReader has one subscriber that takes nothing while another one is told
// of everything that it has time for.
func TestNobodyWaitsForASlowReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{"rtsp://a": live}, nil, walker())
	slow, err := w.Subscribe(t.Context(), viewer)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	fast, err := w.Subscribe(ctx, viewer)
	if err != nil {
		t.Fatal(err)
	}
	s := w.camera("rtsp://a").Number
	w.analyze(s, true)
	var last *service.Snapshot
	for range 20 {
		last = <-fast
	}
	if first := <-slow; first.Streams[s] == nil || first.Streams[s][0].PTS < last.Streams[s][0].PTS {
		t.Error("the slow reader was given an old snapshot")
	}
	cancel()
	until(t, "the end of a subscription", func() bool { _, ok := <-fast; return !ok })
	var done sync.WaitGroup
	done.Go(func() {
		for range slow {
		}
	})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	done.Wait()
}

// TestSilenceEndsAlerts has a camera that stops giving frames while an alarm is on.
func TestSilenceEndsAlerts(t *testing.T) {
	t.Parallel()
	m := media{"rtsp://a": script(pipelinetest.Script{Frames: 3, Every: 10 * time.Millisecond, Live: true, Hang: true})}
	w := newWorld(t, m, func(c *service.Config) { c.Silence = 200 * time.Millisecond }, walker())
	s := w.camera("rtsp://a").Number
	zones, err := w.Zones(t.Context(), viewer, s)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.SaveAlarm(t.Context(), editor, core.Alarm{Zone: zones[0].ID, Name: "always", Counts: []core.CountCondition{{Objects: core.Objects{Class: "person"}, Test: core.Greater}}})
	if err != nil {
		t.Fatal(err)
	}
	w.analyze(s, true)
	until(t, "an alert that ended", func() bool {
		list, n, err := w.Alerts(t.Context(), viewer, store.AlertFilter{Stream: s})
		return err == nil && n > 0 && !list[0].End.IsZero()
	})
	z := w.zone(s, core.ScreenZone)
	if len(z.Within) != 0 || len(z.Alerts) != 1 || z.Alerts[0].End.IsZero() {
		t.Errorf("told as %+v", z)
	}
}

func TestPremises(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{"rtsp://user:secret@a": live}, nil, walker())
	p, err := w.SavePremises(t.Context(), editor, core.Premises{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.SaveStream(t.Context(), editor, core.StreamConfig{Name: "in", Premises: p.ID, Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://user:secret@a"}})
	if err != nil {
		t.Fatal(err)
	}
	other := w.camera("rtsp://b")
	w.analyze(s.Number, true)
	if list, err := w.Streams(t.Context(), viewer, p.ID); err != nil || len(list) != 1 || strings.Contains(list[0].Connection.URL, "secret") {
		t.Errorf("a viewer sees %+v, %v", list, err)
	}
	if url, err := w.StreamURL(t.Context(), editor, s.Number, ""); err != nil || url != "rtsp://user:secret@a" {
		t.Errorf("an editor sees %s, %v", url, err)
	}
	until(t, "a result", func() bool { return w.zone(s.Number, core.ScreenZone).Zone.ID != 0 })
	pts := w.zone(s.Number, core.ScreenZone).PTS
	s.Name = "entrance"
	if s, err = w.SaveStream(t.Context(), editor, s); err != nil || !s.Analyze {
		t.Fatalf("%+v, %v", s, err)
	}
	if now := w.zone(s.Number, core.ScreenZone).PTS; now < pts {
		t.Error("another name opened the stream anew")
	}
	if err := w.DeletePremises(t.Context(), editor, p.ID); err != nil {
		t.Fatal(err)
	}
	list, err := w.Streams(t.Context(), viewer, 0)
	if err != nil || len(list) != 1 || list[0].Number != other.Number {
		t.Errorf("%+v are left, %v; want the other stream", list, err)
	}
	kindOn(t, w.DeletePremises(t.Context(), editor, p.ID), core.NotFound, "premises")
}
