package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/host/confine"
	"github.com/capstan-video/capstan/sdk"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// openRogue is a capsule that does what its option word says, "deed argument", at every frame
// but the first, and tells how that went.
func openRogue(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	deed, argument, _ := strings.Cut(s.Options.Text("word"), " ")
	return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
		if f.Seq() == 1 {
			return nil
		}
		do, ok := deeds[deed]
		if !ok {
			return fmt.Errorf("there is no deed %q", deed)
		}
		if err := do(argument); err != nil {
			return err
		}
		f.Add("done", nil)
		return nil
	}), nil
}

// deeds are what a capsule may try. A deed without an error was done.
var deeds = map[string]func(string) error{
	"dial": func(a string) error {
		network, address, _ := strings.Cut(a, " ")
		conn, err := net.Dial(network, address)
		if err == nil {
			_, err = conn.Write([]byte("secrets"))
			conn.Close()
		}
		return err
	},
	"listen": func(a string) error {
		l, err := net.Listen("tcp", a)
		if err == nil {
			l.Close()
		}
		return err
	},
	"socket": func(a string) error {
		var family, kind, protocol int
		if _, err := fmt.Sscan(a, &family, &kind, &protocol); err != nil {
			return err
		}
		fd, err := unix.Socket(family, kind, protocol)
		if err == nil {
			unix.Close(fd)
		}
		return os.NewSyscallError("socket", err)
	},
	"rubbish": func(string) error { // the kernel reads 32 bits of a family, a filter 64
		_, _, e := unix.RawSyscall(unix.SYS_SOCKET, 1<<40|unix.AF_INET, unix.SOCK_DGRAM, 0)
		return sysErr("socket", e)
	},
	"read":     func(a string) error { _, err := os.ReadFile(a); return err },
	"list":     func(a string) error { _, err := os.ReadDir(a); return err },
	"write":    func(a string) error { return os.WriteFile(a, []byte("x"), 0o600) },
	"remove":   os.Remove,
	"truncate": func(a string) error { return os.Truncate(a, 0) },
	"link":     func(a string) error { return os.Link(a, filepath.Join(os.TempDir(), "link")) },
	"chmod":    func(a string) error { return os.Chmod(a, 0o777) },
	"scratch": func(string) error {
		path := filepath.Join(os.TempDir(), "mine")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && len(b) == 0 {
			err = errors.New("it is empty")
		}
		return err
	},
	"run": func(a string) error { return exec.Command(a).Run() },
	"install": func(string) error {
		path := filepath.Join(os.TempDir(), "program")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			return err
		}
		return exec.Command(path).Run()
	},
	"signal": func(a string) error {
		pid, err := strconv.Atoi(a)
		if err != nil {
			return err
		}
		if err := unix.Kill(pid, 0); err != nil {
			return os.NewSyscallError("kill", err)
		}
		return unix.Kill(pid, unix.SIGKILL)
	},
	"threads": func(a string) error { // of another process, one by one
		list, err := os.ReadDir("/proc/" + a + "/task")
		if err != nil {
			return err
		}
		for _, e := range list {
			tid, _ := strconv.Atoi(e.Name())
			if err = unix.Kill(tid, 0); err == nil {
				return nil
			}
		}
		return os.NewSyscallError("kill", err)
	},
	"limits": func(a string) error {
		pid, _ := strconv.Atoi(a)
		return os.NewSyscallError("prlimit", unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil))
	},
	"priority": func(a string) error {
		pid, _ := strconv.Atoi(a)
		return os.NewSyscallError("setpriority", unix.Setpriority(unix.PRIO_PROCESS, pid, 19))
	},
	"trace": func(a string) error {
		pid, _ := strconv.Atoi(a)
		return os.NewSyscallError("ptrace", unix.PtraceAttach(pid))
	},
	"peek": func(a string) error {
		pid, _ := strconv.Atoi(a)
		b := make([]byte, 1)
		_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &b[0], Len: 1}}, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&b[0])), Len: 1}}, 0)
		return os.NewSyscallError("process_vm_readv", err)
	},
	"session": func(string) error {
		cmd := exec.Command("/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return cmd.Run()
	},
	"group": func(string) error {
		cmd := exec.Command("/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return cmd.Run()
	},
	"namespace": func(string) error {
		return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWUSER|unix.CLONE_NEWNET))
	},
	"clone": func(string) error {
		cmd := exec.Command("/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}
		return cmd.Run()
	},
	"mount": func(a string) error {
		return os.NewSyscallError("mount", unix.Mount("none", a, "tmpfs", 0, ""))
	},
	"uring": func(string) error {
		var params [120]byte
		_, _, e := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params[0])), 0)
		return sysErr("io_uring_setup", e)
	},
	"forks":  forkAlways,
	"memory": func(string) error { return eat(unix.MAP_PRIVATE) },
	"shared": func(string) error { return eat(unix.MAP_SHARED) },
	"reserve": func(string) error {
		_, err := unix.Mmap(-1, 0, 16<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
		return os.NewSyscallError("mmap", err)
	},
	"fill": func(string) error {
		for i := range 64 {
			if err := os.WriteFile(filepath.Join(os.TempDir(), fmt.Sprint("fill", i)), make([]byte, 1<<20), 0o600); err != nil {
				return err
			}
		}
		select {}
	},
	"big": func(string) error {
		return os.WriteFile(filepath.Join(os.TempDir(), "big"), make([]byte, 32<<20), 0o600)
	},
	"core": func(string) error {
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil || l.Max != 0 {
			return nil
		}
		return errors.New("operation not permitted: core dumps")
	},
}

func sysErr(name string, e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return os.NewSyscallError(name, e)
}

// forkAlways starts processes until it is ended; each leaves its parent.
func forkAlways(string) error {
	for {
		if err := exec.Command("/bin/sh", "-c", "sleep 600 & sleep 600 &").Run(); err != nil {
			return err
		}
	}
}

// eat takes memory until it is ended, 1 GiB at most.
func eat(kind int) error {
	const step = 32 << 20
	for range 32 {
		b, err := unix.Mmap(-1, 0, step, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|kind)
		if err != nil {
			return os.NewSyscallError("mmap", err)
		}
		for i := 0; i < step; i += 4096 {
			b[i] = 1
		}
		time.Sleep(5 * time.Millisecond)
	}
	select {}
}

// beside runs a capsule that answers frames while body works with another one of the same host,
// and checks that it answered all of them, with one process.
func beside(t *testing.T, h *Host, body func()) {
	t.Helper()
	other, err := h.Launch(t.Context(), actSpec("sum"))
	if err != nil {
		t.Fatal(err)
	}
	openTest(t, other)
	view := gray(t, 64, 36)
	stop := make(chan struct{})
	var frames sync.WaitGroup
	frames.Go(func() {
		for seq := uint64(1); ; seq++ {
			a, err := other.Process(context.Background(), pipeline.Call{Frame: frame(seq), View: view})
			if err != nil || len(a.Returns) != 1 || text(t, a.Returns[0].Added[0], "sum") != sum(view.Layout, view.Arena.Bytes()) {
				t.Errorf("the other capsule at frame %d: %v", seq, err)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	body()
	close(stop)
	frames.Wait()
	if s := other.Stats(); s.Restarts != 0 {
		t.Errorf("the other capsule: %+v", s)
	}
}

// rogue launches the capsule with a deed.
func rogue(t *testing.T, cfg Config, needs core.Needs, deed string) (*Host, *Capsule) {
	t.Helper()
	h, c := launchAct(t, cfg, "rogue", func(s *Spec) {
		s.Declaration = actCapsule("rogue").Declaration()
		s.Declaration.Needs = needs
		s.Options = map[string]any{"word": deed}
	})
	openTest(t, c)
	works(t, c)
	return h, c
}

// needsParts skips a test where the system cannot enforce what it is about.
func needsParts(t *testing.T, names ...string) {
	t.Helper()
	for _, p := range confine.Check() {
		for _, n := range names {
			if p.Name == n && !p.OK {
				t.Skipf("SKIPPED, this machine does not enforce %s: %s", p.Name, p.How)
			}
		}
	}
}

// attempt gives the error of a deed; nil: it was done.
func attempt(t *testing.T, needs core.Needs, deed string) error {
	t.Helper()
	_, c := rogue(t, Config{}, needs, deed)
	a, err := send(t, c, 2)
	if err != nil {
		return err
	}
	if len(a.Returns) != 1 {
		t.Fatalf("%d returns", len(a.Returns))
	}
	if err := a.Returns[0].Err; err != nil {
		works(t, c)
		if s := c.Stats(); s.Restarts != 0 {
			t.Errorf("it was started again: %+v", s)
		}
		return err
	}
	if len(a.Returns[0].Added) != 1 {
		t.Fatalf("returns %+v", a.Returns)
	}
	return nil
}

// Each of these is refused, said by the capsule, and the host says what to declare.
func TestConfinedCapsuleIsRefused(t *testing.T) {
	t.Parallel()
	needsParts(t, "files", "network", "signals to other processes", "system calls")
	outside := t.TempDir()
	file := filepath.Join(outside, "theirs")
	if err := os.WriteFile(file, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	socket, err := net.Listen("unix", filepath.Join(outside, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	abstract, err := net.Listen("unix", "@capstan-test-"+filepath.Base(filepath.Dir(outside)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { abstract.Close() })
	self, me := fmt.Sprint(os.Executable()), fmt.Sprint(os.Getpid())
	self, _, _ = strings.Cut(self, " ")
	network, files := "needs: network", "needs: files"
	parent := core.Needs{Processes: 4}
	talker := core.Needs{Network: []string{"127.0.0.1:1"}}
	tests := []struct {
		name, deed, hint string
		needs            core.Needs
	}{
		{"tcp", "dial tcp " + tcp.Addr().String(), network, core.Needs{}},
		{"udp", "dial udp 127.0.0.1:53", network, core.Needs{}},
		{"tcp socket", fmt.Sprintf("socket %d %d 0", unix.AF_INET, unix.SOCK_STREAM), network, core.Needs{}},
		{"udp socket", fmt.Sprintf("socket %d %d 0", unix.AF_INET, unix.SOCK_DGRAM), network, core.Needs{}},
		{"udp6 socket", fmt.Sprintf("socket %d %d 0", unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), network, core.Needs{}},
		{"raw socket", fmt.Sprintf("socket %d %d 1", unix.AF_INET, unix.SOCK_RAW), network, core.Needs{}},
		{"packet socket", fmt.Sprintf("socket %d %d 0", unix.AF_PACKET, unix.SOCK_RAW), network, core.Needs{}},
		{"netlink", fmt.Sprintf("socket %d %d 0", unix.AF_NETLINK, unix.SOCK_RAW), network, core.Needs{}},
		{"vsock", fmt.Sprintf("socket %d %d 0", unix.AF_VSOCK, unix.SOCK_STREAM), network, core.Needs{}},
		{"a family with rubbish above", "rubbish", network, core.Needs{}},
		{"unix datagrams", fmt.Sprintf("socket %d %d 0", unix.AF_UNIX, unix.SOCK_DGRAM), network, core.Needs{}},
		{"unix", "dial unix " + socket.Addr().String(), network, core.Needs{}},
		{"abstract", "dial unix " + abstract.Addr().String(), network, core.Needs{}},
		{"another port", "dial tcp " + tcp.Addr().String(), network, talker},
		{"multipath tcp", fmt.Sprintf("socket %d %d 262", unix.AF_INET, unix.SOCK_STREAM), network, talker},
		{"udp beside tcp", fmt.Sprintf("socket %d %d 0", unix.AF_INET, unix.SOCK_DGRAM), network, talker},
		{"packets beside tcp", fmt.Sprintf("socket %d %d 0", unix.AF_PACKET, unix.SOCK_RAW), network, talker},
		{"listening beside tcp", "listen 127.0.0.1:0", network, talker},
		{"abstract beside tcp", "dial unix " + abstract.Addr().String(), network, talker},
		{"shadow", "read /etc/shadow", files, core.Needs{}},
		{"home", "list " + os.Getenv("HOME"), files, core.Needs{}},
		{"another's file", "read " + file, files, core.Needs{}},
		{"another's folder", "list " + outside, files, core.Needs{}},
		{"a new file outside", "write " + filepath.Join(outside, "new"), files, core.Needs{}},
		{"over a file outside", "write " + file, files, core.Needs{}},
		{"its own folder", "write " + filepath.Join(filepath.Dir(self), "new"), files, core.Needs{}},
		{"its own program", "write " + self, "", core.Needs{}},
		{"over a file that it may read", "write " + file, files, core.Needs{Files: []core.FileNeed{{Path: file}}}},
		{"truncating one", "truncate " + file, files, core.Needs{Files: []core.FileNeed{{Path: file}}}},
		{"removing one", "remove " + file, files, core.Needs{Files: []core.FileNeed{{Path: outside}}}},
		{"linking one", "link " + file, "", core.Needs{}},
		{"the mode of one", "chmod " + file, files, core.Needs{Files: []core.FileNeed{{Path: file}}}},
		{"a program of its own making", "install", "permission denied", parent},
		{"a program of the system", "run /bin/true", "needs: processes", core.Needs{}},
		{"forking", "forks", "needs: processes", core.Needs{}},
		{"killing the engine", "signal " + me, files, core.Needs{}},
		{"killing a thread of it", "threads " + me, files, core.Needs{}},
		{"limits of the engine", "limits " + me, files, core.Needs{}},
		{"priority of the engine", "priority " + me, "", core.Needs{}},
		{"tracing the engine", "trace " + me, files, core.Needs{}},
		{"reading it", "peek " + me, files, core.Needs{}},
		{"its memory", "read /proc/" + me + "/mem", files, core.Needs{}},
		{"its environment", "read /proc/" + me + "/environ", files, core.Needs{}},
		{"its files", "read /proc/" + me + "/fd/0", files, core.Needs{}},
		{"a session", "session", "operation not permitted", parent},
		{"a group", "group", "operation not permitted", parent},
		{"namespaces", "namespace", files, core.Needs{}},
		{"a child in namespaces", "clone", "operation not permitted", parent},
		{"mounting", "mount " + outside, files, core.Needs{}},
		{"io_uring", "uring", files, core.Needs{}},
		{"core dumps", "core", files, core.Needs{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := attempt(t, tt.needs, tt.deed)
			if err == nil {
				t.Fatal("it was done")
			}
			if tt.hint != "" && !strings.Contains(err.Error(), tt.hint) || strings.Contains(err.Error(), "no deed") {
				t.Errorf("%v (%v): want the hint %q", err, core.KindOf(err), tt.hint)
			}
		})
	}
	t.Cleanup(func() {
		if b, err := os.ReadFile(file); err != nil || string(b) != "theirs" {
			t.Errorf("the file has %q: %v", b, err)
		}
	})
}

// What was declared works, and so does what every capsule may do.
func TestConfinedCapsuleMay(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	file := filepath.Join(outside, "theirs")
	if err := os.WriteFile(file, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := tcp.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer conn.Close()
		b := make([]byte, 64)
		n, _ := conn.Read(b)
		got <- string(b[:n])
	}()
	for _, tt := range []struct {
		name, deed string
		needs      core.Needs
	}{
		{"scratch", "scratch", core.Needs{}},
		{"system", "read /etc/passwd", core.Needs{}},
		{"a program of the system", "run /bin/true", core.Needs{Processes: 1}},
		{"a file", "read " + file, core.Needs{Files: []core.FileNeed{{Path: file}}}},
		{"a folder", "list " + outside, core.Needs{Files: []core.FileNeed{{Path: outside}}}},
		{"writing", "write " + filepath.Join(outside, "new"), core.Needs{Files: []core.FileNeed{{Path: outside, Write: true}}}},
		{"what an option names", "read " + file, core.Needs{Files: []core.FileNeed{{Path: "${word}"}, {Path: outside}}}},
		{"a device", "write /dev/zero", core.Needs{Devices: []string{"/dev/zer*"}}},
		{"udp for names", fmt.Sprintf("socket %d %d 0", unix.AF_INET, unix.SOCK_DGRAM), core.Needs{Network: []string{"example.com:443"}}},
		{"tcp", "dial tcp " + tcp.Addr().String(), core.Needs{Network: []string{tcp.Addr().String()}}},
	} {
		if err := attempt(t, tt.needs, tt.deed); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if s := <-got; s != "secrets" {
		t.Errorf("the listener got %q", s)
	}
	if b, err := os.ReadFile(filepath.Join(outside, "new")); err != nil || string(b) != "x" {
		t.Errorf("it wrote %q: %v", b, err)
	}
}

// What takes too much is ended with a fault that says so, nothing of it stays, it starts again,
// and the capsule beside it never notices.
func TestCapsuleThatTakesTooMuchIsEnded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, deed string
		needs      core.Needs
		kind       core.Kind
		says       []string
	}{
		{"processes", "forks", core.Needs{Processes: 8}, core.CapsuleLimit, []string{"capsule test_rogue: it started", "processes, and 8 are allowed", "declare needs: processes"}},
		{"memory", "memory", core.Needs{Memory: 256 << 20}, core.CapsuleLimit, []string{"capsule test_rogue: it took", "and 256 MiB are allowed", "declare needs: memory"}},
		{"shared memory", "shared", core.Needs{Memory: 256 << 20}, core.CapsuleLimit, []string{"capsule test_rogue: it took", "and 256 MiB are allowed"}},
		{"reserved memory", "reserve", core.Needs{Memory: 256 << 20}, core.CapsuleFailed, []string{"cannot allocate memory", "declare more needs: memory"}},
		{"disk", "fill", core.Needs{}, core.CapsuleLimit, []string{"capsule test_rogue: it wrote", "and 16 MiB are allowed", "declare needs: files"}},
		{"one file", "big", core.Needs{}, core.CapsuleFailed, []string{"file too large", "declare the file in needs: files"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, c := rogue(t, Config{Restart: fast, Deadline: 20 * time.Second, scratch: 16 << 20}, tt.needs, tt.deed)
			pid := c.Stats().PID
			beside(t, h, func() {
				a, err := send(t, c, 2)
				if err == nil && len(a.Returns) == 1 {
					err = a.Returns[0].Err
				}
				if core.KindOf(err) != tt.kind {
					t.Errorf("%v (%v), want %v", err, core.KindOf(err), tt.kind)
				}
				for _, s := range tt.says {
					if !strings.Contains(fmt.Sprint(err), s) {
						t.Errorf("%v does not say %q", err, s)
					}
				}
				if tt.kind != core.CapsuleFailed {
					waitFor(t, "its processes to end", func() bool { return groupSize(t, pid) == 0 })
					works(t, c)
					if s := c.Stats(); s.Restarts == 0 || s.PID == pid {
						t.Errorf("stats %+v", s)
					}
				}
			})
		})
	}
}

// groupSize counts the processes of a group that have not ended.
func groupSize(t *testing.T, group int) int {
	t.Helper()
	list, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range list {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if g, err := unix.Getpgid(pid); err == nil && g == group && alive(pid) {
			n++
		}
	}
	return n
}

// Without a cage the same deeds are done: the tests above can fail.
func TestUnsafe(t *testing.T) {
	t.Parallel()
	var out lockedBuffer
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &out})
	outside := filepath.Join(t.TempDir(), "new")
	_, c := rogue(t, Config{Unsafe: true, Log: log}, core.Needs{}, "write "+outside)
	if a, err := send(t, c, 2); err != nil || a.Returns[0].Err != nil {
		t.Errorf("%v, %+v", err, a.Returns)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "isolation is off"); n != 1 {
		t.Errorf("it is said %d times: %s", n, out.String())
	}
	_, c = rogue(t, Config{Unsafe: true}, core.Needs{}, fmt.Sprintf("socket %d %d 0", unix.AF_INET, unix.SOCK_DGRAM))
	if a, err := send(t, c, 2); err != nil || a.Returns[0].Err != nil {
		t.Errorf("%v, %+v", err, a.Returns)
	}
}

// An option of a stream cannot name a file that the running process was not given.
func TestFilesOfStreamOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	given, other := filepath.Join(dir, "given"), filepath.Join(dir, "other")
	for _, p := range []string{given, other} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, c := launchAct(t, Config{}, "order", func(s *Spec) {
		s.Declaration = actCapsule("order").Declaration()
		s.Declaration.Needs.Files = []core.FileNeed{{Path: "${word}"}}
		s.Options = map[string]any{"word": given}
	})
	openTest(t, c)
	works(t, c)
	values := core.Values{"word": other, "span": time.Second}
	err := c.OpenStream(t.Context(), "other", values)
	if core.KindOf(err) != core.Denied || !strings.Contains(fmt.Sprint(err), other) {
		t.Errorf("%v, want denied", err)
	}
	values["word"] = ""
	if err := c.OpenStream(t.Context(), "other", values); err != nil {
		t.Error(err)
	}
}

// A capsule that keeps the descriptor of an arena can do nothing with it but read.
func TestArenaIsReadOnlyToWhoHasIt(t *testing.T) {
	t.Parallel()
	for _, unsafe := range []bool{false, true} {
		_, c := launchAct(t, Config{Unsafe: unsafe}, "raw-keep")
		openTest(t, c)
		view := gray(t, 64, 36)
		before := sum(view.Layout, view.Arena.Bytes())
		a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: view})
		if err != nil || len(a.Returns) != 1 || len(a.Returns[0].Added) != 1 {
			t.Fatalf("%v, %+v", err, a)
		}
		var tried map[string]string
		if err := json.Unmarshal(a.Returns[0].Added[0].ExtraData["tried"], &tried); err != nil {
			t.Fatal(err)
		}
		if len(tried) < 9 {
			t.Errorf("only %d ways were tried: %v", len(tried), tried)
		}
		for what, how := range tried {
			if how == "" {
				t.Errorf("unsafe %v: %s was done", unsafe, what)
			}
		}
		if after := sum(view.Layout, view.Arena.Bytes()); after != before {
			t.Errorf("the picture was %s and is %s", before, after)
		}
	}
}

// keep tries every way to write by the descriptor of an arena; "" is success.
func keep(file *os.File) map[string]string {
	tried := map[string]string{}
	try := func(what string, err error) {
		tried[what] = ""
		if err != nil {
			tried[what] = err.Error()
		}
	}
	fd := int(file.Fd())
	mapped := func(what string, fd int) {
		m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err == nil {
			m[0] ^= 0xff
		}
		try(what, err)
	}
	mapped("mmap", fd)
	m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err == nil {
		err = unix.Mprotect(m, unix.PROT_READ|unix.PROT_WRITE)
	}
	try("mprotect", err)
	_, err = unix.Pwrite(fd, []byte{1}, 0)
	try("pwrite", err)
	try("truncate", unix.Ftruncate(fd, 0))
	try("grow", unix.Ftruncate(fd, 1<<30))
	try("punch", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096))
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	try("seal", err)
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDWR, 0)
	if err != nil {
		try("open again", err)
		try("mmap again", err)
		return tried
	}
	defer again.Close()
	mapped("mmap again", int(again.Fd()))
	_, err = unix.Pwrite(int(again.Fd()), []byte{1}, 0)
	try("write again", err)
	try("truncate again", again.Truncate(0))
	return tried
}
