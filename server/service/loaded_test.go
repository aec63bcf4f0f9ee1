package service_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/capstan-video/capstan/server/service"
)

// packed makes a package of a manifest and a program that nobody runs.
func packed(t *testing.T, manifest string) []byte {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(t.TempDir(), "x.cap")
	err := errors.Join(os.WriteFile(filepath.Join(dir, "capsule.yaml"), []byte(manifest), 0o644),
		os.WriteFile(filepath.Join(dir, "program"), []byte("#!/bin/sh\nexit 1\n"), 0o755))
	if err == nil {
		_, err = pack.Write(t.Context(), dir, pack.Writing{Out: out})
	}
	data, e := os.ReadFile(out)
	if err = errors.Join(err, e); err != nil {
		t.Fatal(err)
	}
	return data
}

// rewritten gives a package another version of the contract.
func rewritten(t *testing.T, data []byte) []byte {
	t.Helper()
	from, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	to := zip.NewWriter(&out)
	for _, f := range from.File {
		if f.Name != "capsule.yaml" {
			err = errors.Join(err, to.Copy(f))
			continue
		}
		r, e := f.Open()
		w, e2 := to.Create(f.Name)
		text, e3 := io.ReadAll(r)
		text = regexp.MustCompile(`(?m)^api:.*$`).ReplaceAll(text, []byte(`api: "9.0"`))
		_, e4 := w.Write(text)
		err = errors.Join(err, e, e2, e3, e4)
	}
	if err := errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// looks is the manifest of a detector of dogs.
func looks(name string, version int) string {
	return fmt.Sprintf("name: %s\nversion: %d\noutput: {size: all, detections: [dog]}\nentry: program\noptions:\n  dogs: {type: int, default: 1, min: 0, max: 9}\n", name, version)
}

// fakeLaunched is a capsule that finds as many dogs as its option says, moved by its version.
type fakeLaunched struct {
	*pipelinetest.Capsule
	closed atomic.Bool
}

func (c *fakeLaunched) Close() error { c.closed.Store(true); return nil }

// launches launches what packages say of themselves; refuse may keep one from starting.
type launches struct {
	mu     sync.Mutex
	all    []*fakeLaunched
	refuse func(core.Declaration) error
	broken func(core.Declaration) bool // its answers break its declaration
}

func (l *launches) launch(_ context.Context, file string, options map[string]any) (service.Launched, error) {
	p, err := pack.Open(file, nil)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	d := p.Manifest.Declaration
	if l.refuse != nil {
		if err := l.refuse(d); err != nil {
			return nil, err
		}
	}
	c := &fakeLaunched{Capsule: &pipelinetest.Capsule{Decl: d, Settings: options}}
	class := "dog"
	if l.broken != nil && l.broken(d) {
		class = "cat"
	}
	c.ProcessFunc = func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
		var list []*core.Node
		dogs := int64(1)
		if v := c.StreamValues(call.Frame.Stream); v != nil {
			dogs = int64(v.Int("dogs"))
		}
		for range dogs {
			list = append(list, &core.Node{Class: class, Coords: core.Rect(0, 0, 9, 9), Attributes: map[string]string{}})
		}
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: list}}}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c)
	return c, nil
}

// running gives the versions that are launched and not closed.
func (l *launches) running() (versions []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.all {
		if !c.closed.Load() {
			versions = append(versions, c.Decl.Version)
		}
	}
	return versions
}

// uploading is a world that takes capsules.
func uploading(t *testing.T, l *launches, change func(*service.Config), m media, capsules ...pipeline.Capsule) (*world, string) {
	folder := filepath.Join(t.TempDir(), "capsules")
	return newWorld(t, m, func(c *service.Config) {
		c.Uploads = service.Uploads{Folder: folder, Launch: l.launch}
		if change != nil {
			change(c)
		}
	}, capsules...), folder
}

func (w *world) upload(data []byte) core.BlobID {
	w.t.Helper()
	b, err := w.SaveBlob(w.t.Context(), admin, "", bytes.NewReader(data))
	if err != nil {
		w.t.Fatal(err)
	}
	return b.ID
}

func (w *world) load(data []byte) service.CapsuleInfo {
	w.t.Helper()
	info, err := w.LoadCapsule(w.t.Context(), admin, w.upload(data), "")
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

// dogs gives how many dogs are seen, -1 before the first result.
func (w *world) dogs(n core.StreamNumber) int {
	z := w.zone(n, core.ScreenZone)
	if z.Zone.ID == 0 {
		return -1
	}
	count := 0
	for _, n := range z.Within {
		if n.Class == "dog" {
			count++
		}
	}
	return count
}

// folders gives what is in the folder of packages.
func folders(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestACapsuleIsLoaded loads one into streams that run, replaces it, restarts and unloads it.
func TestACapsuleIsLoaded(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	once := func() (pipeline.MediaStream, error) { opened.Add(1); return live() }
	l := &launches{}
	m := media{"rtsp://a": once, "rtsp://b": once}
	w, folder := uploading(t, l, nil, m, walker())
	a, b := w.camera("rtsp://a").Number, w.camera("rtsp://b").Number
	w.analyze(a, true)
	w.analyze(b, true)
	until(t, "results", func() bool { return w.dogs(a) == 0 && w.dogs(b) == 0 })
	info := w.load(packed(t, looks("detector_dog", 1)))
	if info.Declaration.Name != "detector_dog" || !info.Active || !info.Removable || info.Values["dogs"] != int64(1) {
		t.Errorf("loaded as %+v", info)
	}
	until(t, "a dog each", func() bool { return w.dogs(a) == 1 && w.dogs(b) == 1 })
	off := false
	if err := errors.Join(w.SetActive(t.Context(), editor, "detector_dog", a, &off),
		w.SetOptions(t.Context(), editor, "detector_dog", 0, map[string]any{"dogs": 3.0}, false),
		w.SetOptions(t.Context(), editor, "detector_dog", b, map[string]any{"dogs": 2.0}, false)); err != nil {
		t.Fatal(err)
	}
	until(t, "settings", func() bool { return w.dogs(a) == 0 && w.dogs(b) == 2 })
	second := packed(t, looks("detector_dog", 2))
	if info := w.load(second); info.Declaration.Version != "2" || info.Values["dogs"] != int64(3) {
		t.Errorf("replaced by %+v", info)
	}
	if got := l.running(); !slices.Equal(got, []string{"2"}) {
		t.Errorf("versions %v run, want the second alone", got)
	}
	until(t, "its settings in the second", func() bool { return w.dogs(a) == 0 && w.dogs(b) == 2 })
	if names := folders(t, folder); len(names) != 2 {
		t.Errorf("the folder has %v, want one package and the list", names)
	}
	if opened.Load() != 2 {
		t.Errorf("streams were opened %d times; capsules that come must not open them anew", opened.Load())
	}

	w.stop()
	if got := l.running(); len(got) != 0 {
		t.Errorf("versions %v run after the end", got)
	}
	left := filepath.Join(folder, "capsule-left-of-a-crash")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	w.start(m, walker())
	until(t, "its settings after a restart", func() bool { return w.dogs(a) == 0 && w.dogs(b) == 2 })
	if _, err := os.Stat(left); err == nil {
		t.Error("what a crash left is still there")
	}
	kindOn(t, w.UnloadCapsule(t.Context(), admin, "detector"), core.NotFound, "capsule")
	kindOn(t, w.UnloadCapsule(t.Context(), admin, "nobody"), core.NotFound, "capsule")
	kindOn(t, w.UnloadCapsule(t.Context(), editor, "detector_dog"), core.Denied, "role")
	if err := w.UnloadCapsule(t.Context(), admin, "detector_dog"); err != nil {
		t.Fatal(err)
	}
	until(t, "no dogs", func() bool { return w.dogs(b) == 0 })
	_, err := w.Capsule(t.Context(), viewer, "detector_dog")
	kindOn(t, err, core.NotFound, "capsule")
	if names := folders(t, folder); !slices.Equal(names, []string{"loaded.json"}) || len(l.running()) != 0 {
		t.Errorf("left are %v, and versions %v run", names, l.running())
	}
}

// TestALoadThatFailsChangesNothing has every way to be refused leave the old one at work and
// nothing on the disk.
func TestALoadThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	l := &launches{}
	w, folder := uploading(t, l, nil, media{"rtsp://a": live}, walker())
	n := w.camera("rtsp://a").Number
	w.analyze(n, true)
	w.load(packed(t, looks("detector_dog", 1)))
	until(t, "a dog", func() bool { return w.dogs(n) == 1 })
	before := folders(t, folder)
	l.refuse = func(d core.Declaration) error {
		if d.Version == "3" {
			return core.Faultf(core.CapsuleStart, "launch capsule", d.Name, "it exits at once")
		}
		if d.Version == "4" {
			return core.Faultf(core.Unsupported, "capsule "+d.Name, "", "it has no program for this machine")
		}
		return nil
	}
	l.broken = func(d core.Declaration) bool { return d.Version == "5" }
	good := packed(t, looks("detector_dog", 2))
	old := slices.Clone(good)
	old[len(old)/2] ^= 1
	for name, c := range map[string]struct {
		data []byte
		name string
		kind core.Kind
		says string
	}{
		"no package":           {[]byte("text"), "", core.Invalid, "older Python format"},
		"spoiled":              {old, "", core.Invalid, ""},
		"cut off":              {good[:len(good)-9], "", core.Invalid, ""},
		"another name":         {good, "cats", core.Invalid, "detector_dog"},
		"one of the server's":  {packed(t, looks("detector", 1)), "", core.Invalid, "came with the server"},
		"it does not start":    {packed(t, looks("detector_dog", 3)), "", core.Invalid, "exits at once"},
		"another machine":      {packed(t, looks("detector_dog", 4)), "", core.CapsuleVersion, "no program"},
		"it breaks its word":   {packed(t, looks("detector_dog", 5)), "", core.Invalid, "cat"},
		"of another interface": {rewritten(t, good), "", core.CapsuleVersion, "9.0"},
	} {
		_, err := w.LoadCapsule(t.Context(), admin, w.upload(c.data), c.name)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		kindOn(t, err, c.kind, "capsule")
	}
	_, err := w.LoadCapsule(t.Context(), admin, 9999, "")
	kindOn(t, err, core.NotFound, "blob")
	_, err = w.LoadCapsule(t.Context(), editor, w.upload(good), "")
	kindOn(t, err, core.Denied, "role")
	if after := folders(t, folder); !slices.Equal(before, after) || !slices.Equal(l.running(), []string{"1"}) {
		t.Errorf("the folder has %v, had %v; versions %v run, want 1", after, before, l.running())
	}
	if w.dogs(n) != 1 {
		t.Errorf("the stream sees %d dogs, want 1", w.dogs(n))
	}
	// The list cannot be written: the old one is put back.
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(folder, 0o700) }()
	if f, err := os.CreateTemp(folder, "x"); err == nil { // who may do everything is not stopped by this
		_ = errors.Join(f.Close(), os.Remove(f.Name()))
		return
	}
	if _, err := w.LoadCapsule(t.Context(), admin, w.upload(good), ""); err == nil {
		t.Error("loaded into a folder that cannot be written")
	}
}

// TestWhatIsWrittenDownIsThere has the list fail to be replaced when the new capsule runs already.
func TestWhatIsWrittenDownIsThere(t *testing.T) {
	t.Parallel()
	l := &launches{}
	w, folder := uploading(t, l, nil, media{"rtsp://a": live}, walker())
	n := w.camera("rtsp://a").Number
	w.analyze(n, true)
	w.load(packed(t, looks("detector_dog", 1)))
	list := filepath.Join(folder, "loaded.json")
	saved := list + ".saved"
	// A folder with something in it cannot be replaced by a file.
	if err := errors.Join(os.Rename(list, saved), os.MkdirAll(filepath.Join(list, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.LoadCapsule(t.Context(), admin, w.upload(packed(t, looks("detector_dog", 2))), ""); err == nil {
		t.Fatal("loaded, and not written down")
	}
	if err := w.UnloadCapsule(t.Context(), admin, "detector_dog"); err == nil {
		t.Fatal("unloaded, and not written down")
	}
	if err := errors.Join(os.RemoveAll(list), os.Rename(saved, list)); err != nil {
		t.Fatal(err)
	}
	if info, err := w.Capsule(t.Context(), viewer, "detector_dog"); err != nil || info.Declaration.Version != "1" || !slices.Equal(l.running(), []string{"1"}) {
		t.Errorf("version %s runs for clients (%v), %v as processes; want 1", info.Declaration.Version, err, l.running())
	}
	until(t, "a dog", func() bool { return w.dogs(n) == 1 })
}

func TestOnlySignedCapsules(t *testing.T) {
	t.Parallel()
	key, err := pack.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	l := &launches{}
	w, _ := uploading(t, l, func(c *service.Config) {
		c.Uploads.Signed, c.Uploads.Trust = true, pack.Trust{{PublicKey: key.Public(), Name: "us"}}
	}, media{})
	data := packed(t, looks("detector_dog", 1))
	_, err = w.LoadCapsule(t.Context(), admin, w.upload(data), "")
	kindOn(t, err, core.Invalid, "capsule")
	path := filepath.Join(t.TempDir(), "dog.cap")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pack.Sign(t.Context(), path, key, nil, nil); err != nil {
		t.Fatal(err)
	}
	signed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w.load(signed)
}

// TestACapsuleThatDoesNotStartAgain stays on the disk, is said, and can be unloaded or replaced.
func TestACapsuleThatDoesNotStartAgain(t *testing.T) {
	t.Parallel()
	l := &launches{}
	w, folder := uploading(t, l, nil, media{})
	w.load(packed(t, looks("detector_dog", 1)))
	w.load(packed(t, looks("detector_cat", 1)))
	w.stop()
	l.refuse = func(d core.Declaration) error {
		if d.Name == "detector_dog" && d.Version == "1" {
			return core.Faultf(core.CapsuleStart, "launch", d.Name, "not today")
		}
		return nil
	}
	w.start(media{})
	list, err := w.Capsules(t.Context(), viewer)
	if err != nil || len(list) != 2 || list[0].State != pipeline.CapsuleRunning || list[1].Declaration.Name != "detector_dog" ||
		list[1].State != pipeline.CapsuleBroken || !strings.Contains(list[1].Err, "not today") || !list[1].Removable {
		t.Fatalf("%+v, %v", list, err)
	}
	if n := len(folders(t, folder)); n != 3 {
		t.Errorf("%d things in the folder, want two packages and the list", n)
	}
	w.load(packed(t, looks("detector_dog", 2)))
	if err := w.UnloadCapsule(t.Context(), admin, "detector_cat"); err != nil {
		t.Fatal(err)
	}
	if list, _ := w.Capsules(t.Context(), viewer); len(list) != 1 || list[0].Declaration.Version != "2" || list[0].State != pipeline.CapsuleRunning {
		t.Errorf("%+v", list)
	}
}

// TestCapsulesAreSwitchedInARunningStream has a capsule go and come back while a stream runs: its
// source is opened once, and the tracker beside it keeps its tracks.
func TestCapsulesAreSwitchedInARunningStream(t *testing.T) {
	t.Parallel()
	var opened, sessions atomic.Int32
	dog := tuned()
	track := &pipelinetest.Capsule{Decl: core.Declaration{Name: "tracker", Version: "1", API: core.APIVersion, Entry: "tracker", Stateful: true,
		Input:  core.Description{Size: core.SizeAll, Detections: []string{"person"}},
		Output: core.Description{Size: core.SizeAll, Detections: []string{"person"}, Tracked: true}}}
	track.OpenFunc = func(_ context.Context, id core.StreamID, _ core.Values) error {
		if id != pipeline.ProbeStream {
			sessions.Add(1)
		}
		return nil
	}
	track.ProcessFunc = pipelinetest.Patching(track.Decl, func(*core.Node) core.Patch {
		return core.Patch{TrackID: core.TrackID(fmt.Sprintf("run-%d", sessions.Load()))}
	})
	m := media{"rtsp://a": func() (pipeline.MediaStream, error) { opened.Add(1); return live() }}
	w := newWorld(t, m, nil, walker(), dog, track)
	n := w.camera("rtsp://a").Number
	w.analyze(n, true)
	seen := func(persons int) func() bool {
		return func() bool {
			z := w.zone(n, core.ScreenZone)
			for _, p := range z.Within {
				if p.TrackID != "run-1" {
					t.Errorf("a person has track %q", p.TrackID)
				}
			}
			return z.Zone.ID != 0 && len(z.Within) == persons
		}
	}
	until(t, "two persons", seen(2))
	on, off := true, false
	for _, stream := range []core.StreamNumber{0, n} {
		for _, to := range []*bool{&off, &on, &off, nil} {
			if err := w.SetActive(t.Context(), editor, "tuned", stream, to); err != nil {
				t.Fatal(err)
			}
			want := 2
			if to == &off {
				want = 1
			}
			until(t, "the change", seen(want))
		}
	}
	if opened.Load() != 1 || sessions.Load() != 1 {
		t.Errorf("the source was opened %d times, the tracker told %d times; want once each", opened.Load(), sessions.Load())
	}
	dog.OpenFunc = func(context.Context, core.StreamID, core.Values) error {
		return core.Faultf(core.CapsuleFailed, "open", "tuned", "no room")
	}
	if err := w.SetActive(t.Context(), editor, "tuned", n, &off); err != nil {
		t.Fatal(err)
	}
	if err := w.SetActive(t.Context(), editor, "tuned", n, &on); core.KindOf(err) != core.CapsuleFailed {
		t.Errorf("switched on: %v", err)
	}
	if s, err := w.Setting(t.Context(), viewer, "tuned", n); err != nil || s.Active == nil || *s.Active {
		t.Errorf("a capsule that refuses is switched %+v, %v", s.Active, err)
	}
}
