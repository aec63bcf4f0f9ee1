package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// fast restarts at once and never gives up.
var fast = Restart{First: time.Millisecond, Most: time.Millisecond, Breaker: 1 << 20}

// alive says whether a process is there and not a zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

func send(t testing.TB, c *Capsule, seq uint64) (pipeline.Answer, error) {
	t.Helper()
	return c.Process(context.Background(), pipeline.Call{Frame: frame(seq)})
}

// works checks that the capsule answers now, after a restart if need be.
func works(t testing.TB, c *Capsule) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		t.Fatalf("ready: %v", err)
	}
	a, err := send(t, c, 1)
	if err != nil || len(a.Returns) != 1 {
		t.Fatalf("it does not answer: %v, %d returns", err, len(a.Returns))
	}
}

func TestLaunchRefusesWhatIsNoCapsule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	act := func(act string) Spec { return actSpec(act) }
	declared := func(change func(*core.Declaration)) Spec {
		d := actCapsule("nothing").Declaration()
		change(&d)
		return actSpec("nothing", func(s *Spec) { s.Declaration = d })
	}
	tests := []struct {
		name string
		spec Spec
		kind core.Kind
		says []string
	}{
		{"missing", Spec{Path: filepath.Join(dir, "nobody")}, core.CapsuleStart, []string{"nobody", "no such file", "capsule.yaml"}},
		{"folder", Spec{Path: dir}, core.CapsuleStart, []string{"folder"}},
		{"not executable", Spec{Path: write("plain", "#!/bin/sh\n", 0o600)}, core.CapsuleStart, []string{"permission denied", "chmod +x"}},
		{"other machine", Spec{Path: write("other", "\x7fELF garbage", 0o700)}, core.CapsuleStart, []string{"exec format error", machine()}},
		{"bin true", Spec{Path: "/bin/true"}, core.CapsuleStart, []string{"status 0", "did not shake hands"}},
		{"ends at once", act("true"), core.CapsuleStart, []string{"status 0"}},
		{"ends with words", act("words"), core.CapsuleStart, []string{"status 7", "no such model: faces.bin"}},
		{"prints something", act("hello"), core.CapsuleStart, []string{`"Hello, world!"`, "not a capsule"}},
		{"hangs", act("hang"), core.CapsuleStart, []string{"did not shake hands within 1s"}},
		{"deaf", act("deaf"), core.CapsuleStart, []string{"did not shake hands within 1s"}},
		{"other version", act("version"), core.CapsuleVersion, []string{"version 9", "version 1", "rebuild"}},
		{"garbage of itself", act("raw-describe"), core.CapsuleStart, []string{"describe", "size 77"}},
		{"cannot load", act("unloadable"), core.CapsuleStart, []string{"no such model: faces.bin"}},
		{"stuck in load", act("raw-stuck"), core.CapsuleStart, []string{"configure", "2s"}},
		{"other name", declared(func(d *core.Declaration) { d.Name = "somebody" }), core.CapsuleStart, []string{"name", "somebody", "manifest > capsule.yaml"}},
		{"other version of itself", declared(func(d *core.Declaration) { d.Version = "2" }), core.CapsuleStart, []string{"version", "manifest > capsule.yaml"}},
		{"other output", declared(func(d *core.Declaration) { d.Output.Tracked = true }), core.CapsuleStart, []string{"output", "+track"}},
		{"other option", declared(func(d *core.Declaration) { d.Options[0].Name = "x" }), core.CapsuleStart, []string{"options", "x str"}},
		{"unknown option", actSpec("nothing", func(s *Spec) { s.Options = map[string]any{"nope": 1} }), core.Invalid, []string{"nope"}},
		{"bad value", actSpec("nothing", func(s *Spec) { s.Options = map[string]any{"word": 1} }), core.Invalid, []string{"word"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newTestHost(t, Config{StartTimeout: time.Second, LoadTimeout: 2 * time.Second})
			if tt.name != "hangs" && tt.name != "deaf" {
				h.cfg.StartTimeout = 20 * time.Second // the machine may be busy
			}
			c, err := h.Launch(context.Background(), tt.spec)
			if err == nil {
				t.Fatalf("it was launched: %+v", c.Stats())
			}
			if core.KindOf(err) != tt.kind {
				t.Errorf("kind %v, want %v: %v", core.KindOf(err), tt.kind, err)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than a sentence", err)
			}
		})
	}
}

func TestLaunchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, Config{})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := h.Launch(ctx, actSpec("hang")); core.KindOf(err) != core.Cancelled {
		t.Errorf("%v, want cancelled", err)
	}
}

// A caller that gives up a control call leaves the capsule as it is; one that never ends is the
// end of its process.
func TestControlCallsEnd(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{LoadTimeout: 500 * time.Millisecond, Restart: fast}, "slow_open")
	pid := c.Stats().PID
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := c.OpenStream(ctx, "given up", c.Values()); core.KindOf(err) != core.Cancelled || c.Stats().PID != pid {
		t.Errorf("%v, want cancelled; stats %+v", err, c.Stats())
	}
	if err := c.OpenStream(context.Background(), "too long", c.Values()); core.KindOf(err) != core.CapsuleDeadline || alive(pid) {
		t.Errorf("%v, want deadline; stats %+v", err, c.Stats())
	}
	if err := c.Ready(context.Background()); err != nil {
		t.Error(err)
	}
}

// Each of these frames ends the process; the call gets the right kind, the capsule comes back,
// its stream is open again.
func TestCapsuleThatEndsIsStartedAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		seq  uint64
		kind core.Kind
		says string
	}{
		{"exit", seqExit, core.CapsuleExited, "exited with status 3; its last words: cannot go on"},
		{"crash", seqCrash, core.CapsuleExited, "exited with status 2; its last words: panic: boom"},
		{"hang", seqHang, core.CapsuleDeadline, "did not answer within 2s"},
		{"child", seqChild, core.CapsuleExited, "exited with status 4"},
		{"silence", seqSilence, core.CapsuleExited, "signal 9"},
	}
	for _, copying := range []bool{false, true} {
		for _, tt := range tests {
			if copying && tt.name == "silence" {
				continue // there is no doorbell
			}
			t.Run(fmt.Sprintf("%s copy=%v", tt.name, copying), func(t *testing.T) {
				t.Parallel()
				_, c := launchAct(t, Config{Copy: copying, Restart: fast, Deadline: 2 * time.Second}, "naughty", func(s *Spec) {
					s.Declaration = actCapsule("naughty").Declaration()
					s.Declaration.Needs.Processes = 1
				})
				openTest(t, c)
				works(t, c)
				pid := c.Stats().PID
				_, err := send(t, c, tt.seq)
				if core.KindOf(err) != tt.kind || !strings.Contains(fmt.Sprint(err), tt.says) {
					t.Errorf("%v (%v), want %v with %q", err, core.KindOf(err), tt.kind, tt.says)
				}
				if alive(pid) {
					t.Errorf("the call is over and process %d is still there", pid)
				}
				if _, words, ok := strings.Cut(fmt.Sprint(err), "last words: child "); ok {
					child, convErr := strconv.Atoi(words)
					if convErr != nil {
						t.Fatal(convErr)
					}
					waitFor(t, "its child to end", func() bool { return !alive(child) })
				} else if tt.name == "child" {
					t.Errorf("%v does not name its child", err)
				}
				works(t, c)
				if s := c.Stats(); s.Restarts == 0 || s.PID == pid || s.State != pipeline.CapsuleRunning || s.LastErr == "" {
					t.Errorf("stats %+v", s)
				}
			})
		}
	}
}

func TestKillInMidCall(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{Restart: fast}, "naughty")
	openTest(t, c)
	var calls sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		calls.Go(func() { _, errs[i] = send(t, c, seqHang) })
	}
	p, err := c.current()
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "8 calls", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.calls) == 8 })
	if err := unix.Kill(c.Stats().PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	calls.Wait()
	for i, err := range errs {
		if core.KindOf(err) != core.CapsuleExited || !strings.Contains(err.Error(), "signal 9") {
			t.Errorf("call %d: %v", i, err)
		}
	}
	works(t, c)
}

func TestOnlyTheLateCallIsLate(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{Restart: fast, Deadline: 1500 * time.Millisecond}, "naughty")
	openTest(t, c)
	var calls sync.WaitGroup
	errs := make([]error, 2)
	calls.Go(func() { _, errs[0] = send(t, c, seqHang) })
	time.Sleep(700 * time.Millisecond)
	calls.Go(func() { _, errs[1] = send(t, c, seqHang) })
	calls.Wait()
	if core.KindOf(errs[0]) != core.CapsuleDeadline || core.KindOf(errs[1]) != core.CapsuleExited {
		t.Errorf("%v and %v, want deadline and exited", errs[0], errs[1])
	}
}

// Each of many calls waits for those before it, which is no sign of a capsule that is stuck.
func TestManyCallsHavePatience(t *testing.T) {
	t.Parallel()
	for _, copying := range []bool{false, true} {
		_, c := launchAct(t, Config{Copy: copying, Restart: fast, Deadline: time.Second}, "naughty")
		openTest(t, c)
		var calls sync.WaitGroup
		errs := make([]error, 4*runtime.GOMAXPROCS(0))
		for i := range errs {
			calls.Go(func() { _, errs[i] = send(t, c, seqSlow) })
		}
		calls.Wait()
		for i, err := range errs {
			if err != nil {
				t.Errorf("copy=%v: call %d: %v", copying, i, err)
			}
		}
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	cpus := runtime.GOMAXPROCS(0)
	for open, want := range map[int]time.Duration{
		1: time.Second, cpus: time.Second, 3 * cpus: 3 * time.Second, 6 * cpus: 6 * time.Second, 1000 * cpus: 6 * time.Second,
	} {
		if got := patience(time.Second, open); got != want {
			t.Errorf("%d calls: %s, want %s", open, got, want)
		}
	}
}

func TestGarbageEndsTheProcess(t *testing.T) {
	t.Parallel()
	for _, act := range []string{"raw-noise", "raw-empty", "raw-unknown", "raw-kind", "raw-odd", "raw-json", "raw-time"} {
		t.Run(act, func(t *testing.T) {
			t.Parallel()
			_, c := launchAct(t, Config{Restart: fast}, act)
			openTest(t, c)
			pid := c.Stats().PID
			if _, err := send(t, c, 1); core.KindOf(err) != core.CapsuleGarbage {
				t.Errorf("%v, want garbage", err)
			}
			if alive(pid) {
				t.Error("the process is still there")
			}
			waitFor(t, "a restart", func() bool { return c.Stats().Restarts > 0 && c.Stats().State == pipeline.CapsuleRunning })
		})
	}
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		_, c := launchAct(t, Config{Restart: fast}, "raw-twice")
		openTest(t, c)
		_, _ = send(t, c, 1) // the first of the two may count
		_, _ = send(t, c, 2) // the second is read by the next call at the latest
		waitFor(t, "a restart", func() bool { return c.Stats().Restarts > 0 && strings.Contains(c.Stats().LastErr, "not open") })
	})
}

// A capsule may say that it failed, but not that its process did.
func TestFaultOfTheCapsuleItself(t *testing.T) {
	t.Parallel()
	for _, act := range []string{"raw-fault", "raw-ready"} {
		_, c := launchAct(t, Config{}, act)
		openTest(t, c)
		if _, err := send(t, c, 1); core.KindOf(err) != core.CapsuleFailed {
			t.Errorf("%s: %v, want failed", act, err)
		}
		if s := c.Stats(); s.Restarts != 0 || s.State != pipeline.CapsuleRunning {
			t.Errorf("%s: %+v", act, s)
		}
	}
}

func TestErrorsOfAuthorsCodeEndNothing(t *testing.T) {
	t.Parallel()
	for _, copying := range []bool{false, true} {
		_, c := launchAct(t, Config{Copy: copying}, "naughty")
		openTest(t, c)
		for seq, says := range map[uint64]string{
			seqPanic: "panic in Process: boom in Process", seqFail: "this frame is not to my taste", seqNaN: "NaN",
		} {
			a, err := send(t, c, seq)
			if err != nil || len(a.Returns) != 1 {
				t.Fatalf("frame %d: %v, %d returns", seq, err, len(a.Returns))
			}
			r := a.Returns[0]
			if core.KindOf(r.Err) != core.CapsuleFailed || !strings.Contains(fmt.Sprint(r.Err), says) || len(r.Added) != 0 {
				t.Errorf("frame %d: %v and %d nodes, want %q and none", seq, r.Err, len(r.Added), says)
			}
		}
		if _, err := send(t, c, seqUTF8); core.KindOf(err) != core.CapsuleFailed || !strings.Contains(fmt.Sprint(err), "UTF-8") {
			t.Errorf("text that is not UTF-8: %v", err)
		}
		works(t, c)
		if s := c.Stats(); s.Restarts != 0 {
			t.Errorf("restarts: %+v", s)
		}
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	cfg := Config{Restart: Restart{First: time.Millisecond, Most: time.Millisecond, Breaker: 4, Window: time.Hour}}
	_, c := launchAct(t, cfg, "naughty")
	openTest(t, c)
	crash := func() {
		t.Helper()
		if err := c.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := send(t, c, seqExit); core.KindOf(err) != core.CapsuleExited {
			t.Fatal(err)
		}
	}
	for range 3 {
		crash()
	}
	works(t, c) // a good answer: the count begins again
	for range 4 {
		crash()
	}
	err := c.Ready(context.Background())
	if err == nil {
		t.Fatal("it is not given up")
	}
	for _, s := range []string{"4 times", "status 3", "cannot go on"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
	if s := c.Stats(); s.State != pipeline.CapsuleBroken || s.PID != 0 || s.LastErr != err.Error() {
		t.Errorf("stats %+v", s)
	}
	if _, err2 := send(t, c, 1); err2 == nil || err2.Error() != err.Error() {
		t.Errorf("process: %v", err2)
	}
	if err := c.CloseStream(context.Background(), "s"); err != nil {
		t.Errorf("close stream: %v", err)
	}
}

func TestReadyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{Restart: Restart{First: time.Hour, Most: time.Hour}}, "naughty")
	openTest(t, c)
	_, _ = send(t, c, seqExit)
	waitFor(t, "the crash", func() bool { return c.Stats().State == pipeline.CapsuleRestarting })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := c.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's", err)
	}
	if _, err := send(t, c, 1); core.KindOf(err) != core.CapsuleExited {
		t.Errorf("process while restarting: %v", err)
	}
}

func TestCloseEndsCalls(t *testing.T) {
	t.Parallel()
	for _, copying := range []bool{false, true} {
		h, c := launchAct(t, Config{Copy: copying, StopTimeout: 200 * time.Millisecond}, "naughty")
		openTest(t, c)
		pid := c.Stats().PID
		call := make(chan error, 1)
		go func() { _, err := send(t, c, seqHang); call <- err }()
		waitFor(t, "the call", func() bool { return c.Counters().Calls == 1 })
		time.Sleep(20 * time.Millisecond)
		h.Close()
		if err := <-call; core.KindOf(err) != core.Closed {
			t.Errorf("the call: %v, want closed", err)
		}
		if alive(pid) {
			t.Error("the process is still there")
		}
		for what, err := range map[string]error{
			"process":     func() error { _, err := send(t, c, 1); return err }(),
			"open stream": c.OpenStream(context.Background(), "x", nil),
			"ready":       c.Ready(context.Background()),
			"launch":      func() error { _, err := h.Launch(context.Background(), actSpec("nothing")); return err }(),
		} {
			if core.KindOf(err) != core.Closed {
				t.Errorf("%s: %v, want closed", what, err)
			}
		}
		if c.Stats().State != pipeline.CapsuleClosed || c.Close() != nil || h.Close() != nil {
			t.Errorf("closing twice: %+v", c.Stats())
		}
	}
}

func TestStubbornCapsuleIsKilled(t *testing.T) {
	t.Parallel()
	h, c := launchAct(t, Config{StopTimeout: 100 * time.Millisecond}, "stubborn")
	openTest(t, c)
	pid := c.Stats().PID
	h.Close()
	if alive(pid) {
		t.Error("the process is still there")
	}
}

// lockedBuffer takes a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What a capsule logs and prints arrives in the engine's log, with its level, fields and name.
func TestLogOfACapsule(t *testing.T) {
	t.Parallel()
	for _, copying := range []bool{false, true} {
		var out lockedBuffer
		log := hclog.New(&hclog.LoggerOptions{Name: "engine", Level: hclog.Info, Output: &out, DisableTime: true})
		d := actCapsule("talkative").Declaration()
		_, c := launchAct(t, Config{Copy: copying, Log: log}, "talkative", func(s *Spec) { s.Declaration = d })
		openTest(t, c)
		works(t, c)
		for _, want := range []string{
			"[WARN]  engine.test_talkative: dark picture:", " stream=s", " luma=7",
			"[INFO]  engine.test_talkative: printed to standard output\n",
			"[ERROR] engine.test_talkative: [ERROR] printed to standard error\n",
		} {
			waitFor(t, want, func() bool { return strings.Contains(out.String(), want) })
		}
		if s := out.String(); strings.Contains(s, "nobody asked") || strings.Contains(s, "plugin") {
			t.Errorf("the log has more than it should: %s", s)
		}
	}
}

func TestFloodOfOutput(t *testing.T) {
	t.Parallel()
	for _, copying := range []bool{false, true} {
		_, c := launchAct(t, Config{Copy: copying, Deadline: 60 * time.Second}, "flood")
		openTest(t, c)
		a, err := send(t, c, 1)
		if err != nil || a.Returns[0].Err != nil {
			t.Fatalf("%v, %+v", err, a)
		}
		waitFor(t, "lines to be left out", func() bool { return c.Counters().Suppressed > 10_000 })
		works(t, c)
	}
}

// An engine that is killed leaves no capsule behind, not even one that does not want to end.
func TestCapsulesDieWithTheEngine(t *testing.T) {
	t.Parallel()
	for _, copying := range []string{"", "1"} {
		spec := actSpec("engine")
		cmd := exec.Command(spec.Path)
		cmd.Env = append(os.Environ(), spec.Env[0], "COPY="+copying, "TMPDIR="+t.TempDir()) // it has no time to tidy up
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var pids []int
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "ready" {
			pid, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(lines.Text())
			}
			pids = append(pids, pid)
		}
		if len(pids) != 2 || !alive(pids[0]) || !alive(pids[1]) {
			t.Fatalf("capsules %v", pids)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		for _, pid := range pids {
			waitFor(t, "a capsule to end", func() bool { return !alive(pid) })
		}
	}
}
