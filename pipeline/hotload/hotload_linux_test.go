package hotload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/hashicorp/go-hclog"
)

// built is the capsule of the tests, built once.
var built struct {
	once    sync.Once
	program []byte
	err     error
}

func TestMain(m *testing.M) {
	if err := os.Unsetenv("CAPSTAN_CAPSULES"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// version is what a marker is; see testdata/marker.
type version struct {
	Version string
	Name    string `json:",omitempty"`
	Class   string `json:",omitempty"`
	Needs   string `json:",omitempty"`
	Fault   string `json:",omitempty"`
}

// program gives a marker's program.
func program(t *testing.T, v version) []byte {
	t.Helper()
	built.once.Do(func() {
		path := filepath.Join(os.TempDir(), fmt.Sprintf("capstan-marker-%d", os.Getpid()))
		defer os.Remove(path)
		out, err := exec.Command("go", "build", "-o", path, "./testdata/marker").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
			return
		}
		built.program, built.err = os.ReadFile(path)
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(built.program, []byte("\n"), text)
}

// manifest gives a marker's manifest.
func manifest(v version) string {
	name, class, input := "detector_marker", "mark", "size: none"
	if v.Name != "" {
		name = v.Name
	}
	if v.Class != "" {
		class = v.Class
	}
	if v.Needs != "" {
		input = "{size: all, detections: [" + v.Needs + "]}"
	}
	if !strings.HasPrefix(input, "{") {
		input = "{" + input + "}"
	}
	return fmt.Sprintf(`name: %s
version: %s
api: "1.0"
input: %s
output: {size: all, detections: [%s], extra_data: [version]}
options:
  word: {type: str, default: none}
  pause: {type: duration, default: 0s}
stateful: true
entry: marker
`, name, v.Version, input, class)
}

// install writes a version into a folder: in place, or by files that take the place of others.
func install(t *testing.T, dir string, v version, inPlace bool) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "marker"), program(t, v), inPlace)
	write(t, filepath.Join(dir, "capsule.yaml"), []byte(manifest(v)), inPlace)
}

func write(t *testing.T, path string, data []byte, inPlace bool) {
	t.Helper()
	to := path
	if !inPlace {
		to = path + "~"
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Close())
	}
	if err == nil && to != path {
		err = os.Rename(to, path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stand is an engine with a host and a keeper over one folder.
type stand struct {
	t        *testing.T
	dir      string
	engine   *pipeline.Engine
	host     *host.Host
	keeper   *Keeper
	launches map[string]int // of programs, by version
	mu       sync.Mutex
	options  map[string]map[string]any
	closed   bool
}

func newStand(t *testing.T, frames int, cfg host.Config) *stand {
	t.Helper()
	s := &stand{t: t, dir: t.TempDir(), launches: map[string]int{}}
	cfg.Log = hclog.NewNullLogger()
	s.host = host.New(cfg)
	s.engine = pipeline.New(pipelinetest.Playing(pipelinetest.Script{Frames: frames}), hclog.NewNullLogger())
	var err error
	s.keeper, err = New(Config{Engine: s.engine, Wanted: s.wanted, Launch: s.launch, Quiet: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func (s *stand) close() {
	if s.closed {
		return
	}
	s.closed = true
	if err := errors.Join(s.engine.Close(), s.host.Close(), s.keeper.Close()); err != nil {
		s.t.Error(err)
	}
}

func (s *stand) launch(ctx context.Context, spec host.Spec) (Capsule, error) {
	s.mu.Lock()
	s.launches[spec.Declaration.Version]++
	s.mu.Unlock()
	return s.host.Launch(ctx, spec)
}

func (s *stand) set(options map[string]map[string]any) {
	s.mu.Lock()
	s.options = options
	s.mu.Unlock()
}

func (s *stand) wanted(ctx context.Context) (List, error) {
	list := List{Broken: map[string]error{}}
	entries, err := catalog.Loader{Broken: func(path string, err error) { list.Broken[path] = err }}.Load(ctx, s.dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		list.Capsules = append(list.Capsules, Wanted{
			Spec: host.Spec{Declaration: e.Declaration, Path: e.Program(), Options: s.options[e.Declaration.Name]}, File: e.File, Dir: e.Dir,
		})
	}
	return list, err
}

func (s *stand) start() {
	s.t.Helper()
	if err := s.keeper.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) update() Report {
	s.t.Helper()
	r, err := s.keeper.Update(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// copies counts the capsules that are copied.
func (s *stand) copies() int {
	list, err := filepath.Glob(filepath.Join(s.keeper.scratch, "*_*"))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

func (s *stand) open() *pipeline.Session {
	s.t.Helper()
	session, err := s.engine.Open(s.t.Context(), pipeline.Job{Source: pipeline.Source{Stream: "s"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return session
}

// mark is what a frame says of the process that saw it.
type mark struct {
	seq           uint64
	version, word string
	pid, seen     int
}

// next takes n results, fewer at the end, with one mark each.
func (s *stand) next(session *pipeline.Session, n int) (marks []mark) {
	s.t.Helper()
	for range n {
		r, err := session.Next(s.t.Context())
		if errors.Is(err, io.EOF) {
			return marks
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if len(r.Nodes) != 1 {
			s.t.Fatalf("frame %d has %d nodes; drops %v", r.Frame.Seq, len(r.Nodes), r.Drops)
		}
		m := mark{seq: r.Frame.Seq}
		for key, to := range map[string]any{"version": &m.version, "word": &m.word, "pid": &m.pid, "seen": &m.seen} {
			if err := json.Unmarshal(r.Nodes[0].ExtraData[key], to); err != nil {
				s.t.Fatal(err)
			}
		}
		r.Release()
		marks = append(marks, m)
	}
	return marks
}

func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(b), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestReplaceFiveTimes replaces a running program five times, in place and by renaming, and
// wants each frame once, in order, from versions that go up, with state that begins anew, and
// nothing left behind.
func TestReplaceFiveTimes(t *testing.T) {
	const frames = 300
	warm := newStand(t, 1, host.Config{}) // what the runtime and gRPC open once
	install(t, filepath.Join(warm.dir, "marker"), version{Version: "1"}, false)
	warm.start()
	warm.next(warm.open(), 2)
	warm.close()
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	s := newStand(t, frames, host.Config{})
	folder := filepath.Join(s.dir, "marker")
	install(t, folder, version{Version: "1"}, false)
	s.start()
	session := s.open()
	var marks []mark
	boundaries := []uint64{}
	for v := 2; v <= 6; v++ {
		marks = append(marks, s.next(session, 40)...)
		install(t, folder, version{Version: fmt.Sprint(v)}, v%2 == 0)
		r := s.update()
		if !slices.Equal(r.Replaced, []string{"detector_marker"}) || len(r.Refused)+len(r.Waiting) != 0 {
			t.Fatalf("version %d: %+v", v, r)
		}
		boundaries = append(boundaries, r.Streams[0].Before)
		if n := s.copies(); n != 1 {
			t.Errorf("%d copies are kept, want one", n)
		}
	}
	marks = append(marks, s.next(session, frames)...)
	if len(marks) != frames {
		t.Fatalf("%d frames are answered, want %d", len(marks), frames)
	}
	pids, at, seen := map[int]bool{}, 0, 0
	for i, m := range marks {
		seen++
		for at < len(boundaries) && m.seq > boundaries[at] {
			at, seen = at+1, 1
		}
		if m.seq != uint64(i+1) || m.version != fmt.Sprint(at+1) || m.seen != seen {
			t.Fatalf("place %d: %+v, want version %d for the %d. time", i, m, at+1, seen)
		}
		pids[m.pid] = true
	}
	if len(pids) != 6 {
		t.Errorf("%d processes, want 6", len(pids))
	}
	if rep := session.Stats().Capsules; len(rep) != 1 || rep[0].Replaced != 5 || rep[0].Calls != frames || rep[0].Restarts != 0 {
		t.Errorf("the report says %+v", rep)
	}
	s.close()
	for pid := range pids {
		if running(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	if _, err := os.Stat(s.keeper.scratch); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copies are still there: %v", err)
	}
	for range 400 { // gRPC ends its goroutines in its own time
		if runtime.NumGoroutine() <= goroutines && descriptors(t) <= fds {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines and %d descriptors, before there were %d and %d", runtime.NumGoroutine(), descriptors(t), goroutines, fds)
}

// TestRefused installs versions that do not work over one that does: it runs on, each is
// launched once, and a good one mends it.
func TestRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		install func(t *testing.T, dir string)
		says    string
	}{
		{"does not start", func(t *testing.T, dir string) { install(t, dir, version{Version: "2", Fault: "start"}, false) }, "status 7"},
		{"fails its probe", func(t *testing.T, dir string) { install(t, dir, version{Version: "2", Fault: "probe"}, false) }, "no such model"},
		{"breaks its declaration", func(t *testing.T, dir string) { install(t, dir, version{Version: "2", Fault: "output"}, false) }, "something else"},
		{"is not what its manifest says", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "capsule.yaml"), []byte(manifest(version{Version: "2"})), false)
		}, "capsule.yaml"},
		{"is no program", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "marker"), []byte("\x7fELF"), false) }, "exec format"},
		{"is not there", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "marker")); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, 60, host.Config{})
			folder := filepath.Join(s.dir, "marker")
			install(t, folder, version{Version: "1"}, false)
			s.start()
			session := s.open()
			s.next(session, 5)
			tt.install(t, folder)
			r := s.update()
			if r.Refused["detector_marker"] == nil || !strings.Contains(r.Refused["detector_marker"].Error(), tt.says) || !r.Empty() {
				t.Fatalf("%+v, want a refusal that says %q", r, tt.says)
			}
			if strings.Contains(r.Refused["detector_marker"].Error(), s.keeper.scratch) {
				t.Errorf("%v speaks of a copy that is gone", r.Refused["detector_marker"])
			}
			launched := fmt.Sprint(s.launches)
			if r := s.update(); len(r.Refused) != 0 || fmt.Sprint(s.launches) != launched {
				t.Errorf("it is tried again: %+v, launches %v", r, s.launches)
			}
			if m := s.next(session, 15); m[14].version != "1" || m[14].seen != 20 {
				t.Errorf("frame 20: %+v", m[14])
			}
			if n := s.copies(); n != 1 {
				t.Errorf("%d copies are kept, want one", n)
			}
			install(t, folder, version{Version: "3"}, false)
			if r := s.update(); !slices.Equal(r.Replaced, []string{"detector_marker"}) {
				t.Fatalf("the mended one: %+v", r)
			}
			if rest := s.next(session, 60); len(rest) != 40 || rest[39].version != "3" {
				t.Errorf("%d frames more, the last %+v", len(rest), rest[len(rest)-1])
			}
		})
	}
}

// TestBrokenManifest has one that cannot be read: its capsule stays, others change.
func TestBrokenManifest(t *testing.T) {
	t.Parallel()
	s := newStand(t, 60, host.Config{})
	install(t, filepath.Join(s.dir, "marker"), version{Version: "1"}, false)
	s.start()
	session := s.open()
	s.next(session, 5)
	write(t, filepath.Join(s.dir, "marker", "capsule.yaml"), []byte("name: detector_marker\nversion:"), false)
	install(t, filepath.Join(s.dir, "other"), version{Version: "1", Name: "tracker_other", Class: "mark", Needs: "mark"}, false)
	if r := s.update(); len(r.Removed) != 0 || len(r.Replaced) != 0 {
		t.Errorf("%+v", r)
	}
	if m := s.next(session, 10); m[9].version != "1" || m[9].seen != 15 {
		t.Errorf("frame 15: %+v", m[9])
	}
}

// TestComeAndGo adds capsules, one of which feeds another, and removes them.
func TestComeAndGo(t *testing.T) {
	t.Parallel()
	s := newStand(t, 100, host.Config{})
	install(t, filepath.Join(s.dir, "last"), version{Version: "1", Name: "detector_last", Class: "last", Needs: "mark"}, false)
	s.start()
	session := s.open()
	if n := len(s.engine.Capsules()); n != 0 {
		t.Errorf("%d capsules run that nobody feeds", n)
	}
	install(t, filepath.Join(s.dir, "marker"), version{Version: "1"}, false)
	r := s.update()
	if !slices.Equal(r.Added, []string{"detector_last", "detector_marker"}) || len(r.Streams) != 1 || session.Plan().Capsules() != 2 {
		t.Fatalf("%+v", r)
	}
	if said := strings.Join(r.Streams[0].Plan, "; "); !strings.Contains(said, "detector_last is new, in stage 2") {
		t.Errorf("the plan: %s", said)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "marker")); err != nil {
		t.Fatal(err)
	}
	r = s.update()
	if !slices.Equal(r.Removed, []string{"detector_marker"}) || len(s.engine.Capsules()) != 1 || len(session.Plan().Blocked) != 1 {
		t.Fatalf("%+v; blocked %v", r, session.Plan().Blocked)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "last")); err != nil {
		t.Fatal(err)
	}
	if r = s.update(); !slices.Equal(r.Removed, []string{"detector_last"}) {
		t.Fatalf("%+v", r)
	}
	if n := s.copies(); n != 0 {
		t.Errorf("%d copies are kept", n)
	}
	if r = s.update(); !r.Empty() || len(r.Refused) != 0 {
		t.Errorf("nothing happened, and it says %+v", r)
	}
}

// TestOptions changes options of a running process: it stays, with its state; values that it
// refuses leave the old ones.
func TestOptions(t *testing.T) {
	t.Parallel()
	s := newStand(t, 100, host.Config{})
	install(t, filepath.Join(s.dir, "marker"), version{Version: "1"}, false)
	s.start()
	session := s.open()
	first := s.next(session, 10)
	s.set(map[string]map[string]any{"detector_marker": {"word": "hello"}})
	r := s.update()
	if !slices.Equal(r.Configured, []string{"detector_marker"}) {
		t.Fatalf("%+v", r)
	}
	before := r.Streams[0].Before
	for _, bad := range []any{"bad one", 7} { // refused by the capsule, and before it is asked
		s.set(map[string]map[string]any{"detector_marker": {"word": bad}})
		if r := s.update(); r.Refused["detector_marker"] == nil || len(r.Configured) != 0 {
			t.Fatalf("%v: %+v", bad, r)
		}
	}
	for _, m := range s.next(session, 200) {
		want := "none"
		if m.seq > before {
			want = "hello"
		}
		if m.word != want || m.pid != first[0].pid || m.seen != int(m.seq) {
			t.Fatalf("%+v, want %q from process %d", m, want, first[0].pid)
		}
	}
	if s.launches["1"] != 1 {
		t.Errorf("%d launches", s.launches["1"])
	}
}

// TestRepair replaces a capsule that dies on every frame, and was given up.
func TestRepair(t *testing.T) {
	t.Parallel()
	s := newStand(t, 400, host.Config{Restart: host.Restart{First: time.Millisecond, Most: time.Millisecond, Breaker: 2, Window: time.Hour}})
	folder := filepath.Join(s.dir, "marker")
	install(t, folder, version{Version: "1", Fault: "crash"}, false)
	s.start()
	session := s.open()
	for session.Plan().Capsules() > 0 {
		r, err := session.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
	}
	if r := s.update(); !r.Empty() {
		t.Errorf("%+v", r)
	}
	install(t, folder, version{Version: "2"}, false)
	if r := s.update(); !slices.Equal(r.Replaced, []string{"detector_marker"}) {
		t.Fatalf("%+v", r)
	}
	last := 0
	for {
		r, err := session.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		last = len(r.Nodes)
		r.Release()
	}
	if last != 1 {
		t.Errorf("the last frame has %d nodes", last)
	}
}

// TestHangingCapsule replaces one that does not answer: the frames in it go on without it, the
// process ends, the later frames are the new one's.
func TestHangingCapsule(t *testing.T) {
	t.Parallel()
	s := newStand(t, 60, host.Config{StopTimeout: 100 * time.Millisecond, Deadline: time.Hour})
	s.keeper.cfg.Drain = 100 * time.Millisecond
	folder := filepath.Join(s.dir, "marker")
	install(t, folder, version{Version: "1", Fault: "hang"}, false)
	s.start()
	session := s.open()
	pid := s.next(session, 4)[0].pid
	install(t, folder, version{Version: "2"}, false)
	r := s.update()
	if !slices.Equal(r.Replaced, []string{"detector_marker"}) || !r.Streams[0].Late {
		t.Fatalf("%+v", r)
	}
	if running(pid) {
		t.Error("the old process is still there")
	}
	for seq := uint64(5); seq <= r.Streams[0].Before; seq++ {
		result, err := session.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Nodes) != 0 || len(result.Drops) != 1 {
			t.Errorf("frame %d has %d nodes, drops %v", seq, len(result.Nodes), result.Drops)
		}
		result.Release()
	}
	if rest := s.next(session, 60); len(rest) != 60-int(r.Streams[0].Before) || rest[0].version != "2" || rest[0].seen != 1 {
		t.Errorf("%d frames more, the first %+v", len(rest), rest[0])
	}
}

// TestHalfWritten leaves a program open for writing: it is not taken before it is closed, also
// when the writer makes a long pause.
func TestHalfWritten(t *testing.T) {
	t.Parallel()
	s := newStand(t, 60, host.Config{})
	folder := filepath.Join(s.dir, "marker")
	install(t, folder, version{Version: "1"}, false)
	s.start()
	session := s.open()
	whole := program(t, version{Version: "2"})
	f, err := os.OpenFile(filepath.Join(folder, "marker"), os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err) // text file busy: the program runs from where it is
	}
	defer f.Close()
	if _, err := f.Write(whole[:len(whole)/2]); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "capsule.yaml"), []byte(manifest(version{Version: "2"})), false)
	for range 3 {
		if r := s.update(); !slices.Equal(r.Waiting, []string{"detector_marker"}) || !r.Empty() || len(r.Refused) != 0 {
			t.Fatalf("half of it is there: %+v", r)
		}
	}
	if _, err := f.Write(whole[len(whole)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if r := s.update(); !slices.Equal(r.Replaced, []string{"detector_marker"}) {
		t.Fatalf("all of it is there: %+v", r)
	}
	if m := s.next(session, 60); len(m) != 60 || m[59].version != "2" {
		t.Errorf("%d frames", len(m))
	}
}

// TestLinkedFolder has a capsule whose folder is a link, with a link to a folder in it; what is
// written where they lead to is followed.
func TestLinkedFolder(t *testing.T) {
	t.Parallel()
	s := newStand(t, 10_000, host.Config{})
	far, models := t.TempDir(), t.TempDir()
	install(t, far, version{Version: "1"}, false)
	if err := errors.Join(os.Symlink(far, filepath.Join(s.dir, "marker")), os.Symlink(models, filepath.Join(far, "models"))); err != nil {
		t.Fatal(err)
	}
	replaced := make(chan Report, 10)
	s.keeper.cfg.Seen = func(r Report, err error) {
		if len(r.Replaced) > 0 {
			replaced <- r
		}
	}
	s.start()
	inside, err := filepath.Glob(filepath.Join(s.keeper.scratch, "*", "models"))
	if err != nil || len(inside) != 1 {
		t.Fatalf("the copy has no link to the models: %v, %v", inside, err)
	}
	if to, err := os.Readlink(inside[0]); err != nil || to != models {
		t.Errorf("the copy's link leads to %q, %v", to, err)
	}
	session := s.open()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.keeper.Watch(ctx, s.dir) }()
	install(t, far, version{Version: "2"}, false)
	select {
	case <-replaced:
	case <-time.After(20 * time.Second):
		t.Error("it is not replaced")
	}
	stop()
	if err := errors.Join(<-done, session.Close()); err != nil {
		t.Error(err)
	}
}

// TestScratch removes the folders of keepers that are gone, and of no others.
func TestScratch(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	gone, lock, err := newScratch(parent)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(gone, "copy"), nil, 0o600), lock.Close()); err != nil {
		t.Fatal(err)
	}
	strange := filepath.Join(parent, scratchName+"strange")
	if err := os.Mkdir(strange, 0o755); err != nil {
		t.Fatal(err)
	}
	var live []string
	for range 3 {
		dir, lock, err := newScratch(parent)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		live = append(live, dir)
	}
	got, err := filepath.Glob(filepath.Join(parent, "*"))
	want := append(live, strange)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
}

// TestWatch has a keeper follow its folder by itself.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := newStand(t, 10_000, host.Config{})
	install(t, filepath.Join(s.dir, "group", "marker"), version{Version: "1"}, false)
	seen := make(chan Report, 100)
	s.keeper.cfg.Seen = func(r Report, err error) {
		if err != nil {
			t.Error(err)
		}
		if !r.Empty() || len(r.Refused) > 0 {
			seen <- r
		}
	}
	s.start()
	session := s.open()
	options := filepath.Join(t.TempDir(), "options.yaml")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.keeper.Watch(ctx, s.dir, options) }()
	change := func(what string, do func(), ok func(r Report) bool) {
		t.Helper()
		do()
		for {
			select {
			case r := <-seen:
				if ok(r) {
					return
				}
				// The manifest and the program are two files; a look between them refuses.
				if !r.Empty() {
					t.Fatalf("%s: %+v", what, r)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s is not seen", what)
			}
		}
	}
	change("a new folder", func() {
		install(t, filepath.Join(s.dir, "more", "deep"), version{Version: "1", Name: "detector_deep", Class: "deep"}, true)
	}, func(r Report) bool { return slices.Equal(r.Added, []string{"detector_deep"}) })
	for v := 2; v <= 4; v++ {
		change("a new version", func() { install(t, filepath.Join(s.dir, "group", "marker"), version{Version: fmt.Sprint(v)}, v%2 == 0) },
			func(r Report) bool { return slices.Equal(r.Replaced, []string{"detector_marker"}) })
	}
	change("a folder that goes", func() { _ = os.RemoveAll(filepath.Join(s.dir, "more")) },
		func(r Report) bool { return slices.Equal(r.Removed, []string{"detector_deep"}) })
	change("options", func() {
		s.set(map[string]map[string]any{"detector_marker": {"word": "x"}})
		write(t, options, []byte("any"), true)
	}, func(r Report) bool { return slices.Equal(r.Configured, []string{"detector_marker"}) })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if m := s.next(session, 200); m[199].version != "4" || m[199].word != "x" {
		t.Errorf("%+v", m[199])
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func(s *stand)
		says string
	}{
		{"a manifest that is none", func(s *stand) { write(t, filepath.Join(s.dir, "capsule.yaml"), []byte("name:"), true) }, "name"},
		{"an option that is not allowed", func(s *stand) {
			install(t, filepath.Join(s.dir, "marker"), version{Version: "1"}, false)
			s.set(map[string]map[string]any{"detector_marker": {"nope": 1}})
		}, "nope"},
		{"a program that does not start", func(s *stand) {
			install(t, filepath.Join(s.dir, "marker"), version{Version: "1", Fault: "start"}, false)
			install(t, filepath.Join(s.dir, "other"), version{Version: "1", Name: "detector_other"}, false)
		}, "status 7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, 1, host.Config{})
			tt.make(s)
			if err := s.keeper.Start(t.Context()); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want something about %q", err, tt.says)
			}
		})
	}
	if _, err := ReadOptions("nowhere.yaml"); core.KindOf(err) != core.NotFound {
		t.Errorf("options: %v", err)
	}
}
