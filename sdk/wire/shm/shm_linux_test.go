package shm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"golang.org/x/sys/unix"
)

func mustCreate(t testing.TB, size int64) *Arena {
	t.Helper()
	a, err := Create(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func mustPair(t testing.TB) (near, far *Conn) {
	t.Helper()
	near, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	far, err = Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func TestArenaIsSeenByItsReaders(t *testing.T) {
	t.Parallel()
	a := mustCreate(t, 10_000)
	if len(a.Bytes())%os.Getpagesize() != 0 || len(a.Bytes()) < 10_000 {
		t.Fatalf("%d bytes", len(a.Bytes()))
	}
	if b := mustCreate(t, 1); b.ID() == a.ID() || b.ID() == 0 {
		t.Errorf("two arenas %d and %d", a.ID(), b.ID())
	}
	m, err := Map(a.File(), int64(len(a.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	copy(a.Bytes()[9000:], "written after it was mapped")
	if !bytes.Equal(m.Bytes(), a.Bytes()) {
		t.Error("the reader sees something else")
	}
	a.Close()
	if string(m.Bytes()[9000:9007]) != "written" {
		t.Error("the reader's view went with the arena")
	}
	if errors.Join(m.Close(), m.Close()) != nil || m.Bytes() != nil {
		t.Error("closing twice")
	}
}

func TestArenaCannotBeChangedByOthers(t *testing.T) {
	t.Parallel()
	a := mustCreate(t, 4096)
	file, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", a.File().Fd()), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := unix.Mmap(int(file.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		t.Error("it can be mapped for writing")
	}
	if _, err := file.WriteAt([]byte{1}, 0); err == nil {
		t.Error("it can be written")
	}
	if file.Truncate(0) == nil || file.Truncate(1<<20) == nil {
		t.Error("its size can be changed")
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); err == nil {
		t.Error("seals can be added")
	}
	a.Bytes()[0] = 7 // its creator still may
}

func TestCreateAndPrefaultRefuse(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, -1, MaxArena + 1} {
		if _, err := Create(size); core.KindOf(err) != core.Invalid {
			t.Errorf("create %d: %v", size, err)
		}
	}
	a := mustCreate(t, 8192)
	for _, r := range [][2]int64{{-1, 1}, {0, 8193}, {8192, 1}, {1, 1<<63 - 1}, {0, -1}} {
		if err := a.Prefault(r[0], r[1]); core.KindOf(err) != core.Invalid {
			t.Errorf("prefault %v: %v", r, err)
		}
	}
	for _, r := range [][2]int64{{0, 0}, {0, 8192}, {5000, 1}, {8192, 0}} {
		if err := a.Prefault(r[0], r[1]); err != nil {
			t.Errorf("prefault %v: %v", r, err)
		}
	}
}

func TestArenaClose(t *testing.T) {
	t.Parallel()
	a := mustCreate(t, 4096)
	var said []string
	a.OnClose(func() { said = append(said, fmt.Sprint("hook ", len(a.Bytes()))) })
	forget := a.OnClose(func() { said = append(said, "forgotten") })
	forget()
	if errors.Join(a.Close(), a.Close()) != nil {
		t.Error("closing twice")
	}
	a.OnClose(func() { said = append(said, "late") })()
	if fmt.Sprint(said) != "[hook 4096 late]" {
		t.Errorf("hooks %v", said)
	}
}

func memfd(t *testing.T, size int64, seals int) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("x", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "x")
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestMapBelievesNothing(t *testing.T) {
	t.Parallel()
	plain, err := os.Create(t.TempDir() + "/plain")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	closed := memfd(t, 4096, 0)
	closed.Close()
	tests := []struct {
		name string
		file *os.File
		size int64
	}{
		{"larger than it is", mustCreate(t, 4096).File(), 8192},
		{"nothing", mustCreate(t, 4096).File(), 0},
		{"negative", mustCreate(t, 4096).File(), -4096},
		{"huge", mustCreate(t, 4096).File(), 1 << 62},
		{"not sealed", memfd(t, 4096, 0), 4096},
		{"may shrink", memfd(t, 4096, unix.F_SEAL_GROW|unix.F_SEAL_SEAL), 4096},
		{"file", plain, 4096},
		{"pipe", pipe, 4096},
		{"closed", closed, 4096},
	}
	for _, tt := range tests {
		if m, err := Map(tt.file, tt.size); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v %v, want invalid", tt.name, m, err)
		}
	}
}

func TestPacketsKeepTheirBoundsAndOrder(t *testing.T) {
	t.Parallel()
	near, far := mustPair(t)
	if near.MaxPacket() < 64<<10 || near.MaxPacket() > PacketLimit {
		t.Fatalf("largest packet %d", near.MaxPacket())
	}
	sizes := []int{1, 2, 4096, 4097, near.MaxPacket(), 1}
	go func() {
		for i, n := range sizes {
			if err := near.Send(time.Time{}, bytes.Repeat([]byte{byte(i + 1)}, n)); err != nil {
				t.Error(err)
			}
		}
		near.Close()
	}()
	buf := make([]byte, PacketLimit)
	for i, want := range sizes {
		n, files, err := far.Recv(time.Time{}, buf)
		if err != nil || n != want || len(files) != 0 || !bytes.Equal(buf[:n], bytes.Repeat([]byte{byte(i + 1)}, n)) {
			t.Fatalf("packet %d: %d bytes of %d, %d files, %v", i, n, want, len(files), err)
		}
	}
	if _, _, err := far.Recv(time.Time{}, buf); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if err := far.Send(time.Time{}, []byte{1}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("to nobody: %v", err)
	}
}

func TestArenasTravel(t *testing.T) {
	t.Parallel()
	near, far := mustPair(t)
	a, b := mustCreate(t, 4096), mustCreate(t, 4096)
	copy(a.Bytes(), "first")
	copy(b.Bytes(), "second")
	if err := near.Send(time.Time{}, []byte("two"), a.File(), b.File()); err != nil {
		t.Fatal(err)
	}
	n, files, err := far.Recv(time.Time{}, make([]byte, 10))
	if err != nil || n != 3 || len(files) != 2 {
		t.Fatalf("%d bytes, %d files, %v", n, len(files), err)
	}
	for i, want := range []string{"first", "second"} {
		if flags, err := unix.FcntlInt(files[i].Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("file %d would be inherited: %x %v", i, flags, err)
		}
		m, err := Map(files[i], 4096)
		if err != nil || string(m.Bytes()[:len(want)]) != want {
			t.Errorf("file %d: %v", i, err)
		}
		m.Close()
		files[i].Close()
	}
}

func TestSendRefuses(t *testing.T) {
	t.Parallel()
	near, _ := mustPair(t)
	f := mustCreate(t, 1).File()
	for name, err := range map[string]error{
		"nothing":  near.Send(time.Time{}, nil),
		"too much": near.Send(time.Time{}, make([]byte, near.MaxPacket()+1)),
		"files":    near.Send(time.Time{}, []byte{1}, f, f, f, f, f),
	} {
		if core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A packet that does not fit is lost, files and all; the next one arrives.
func TestTruncationIsSeen(t *testing.T) {
	t.Parallel()
	near, far := mustPair(t)
	f := mustCreate(t, 1).File()
	raw, err := near.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = near.Send(time.Time{}, make([]byte, 100), f)
	_ = raw.Control(func(fd uintptr) { // more files than Send would take
		n := int(f.Fd())
		if err := unix.Sendmsg(int(fd), []byte{2}, unix.UnixRights(n, n, n, n, n, n, n, n, n, n), nil, 0); err != nil {
			t.Error(err)
		}
	})
	_ = near.Send(time.Time{}, []byte{3})
	buf := make([]byte, 50)
	for i := range 2 {
		if _, files, err := far.Recv(time.Time{}, buf); core.KindOf(err) != core.Invalid || len(files) != 0 {
			t.Errorf("packet %d: %v, %d files", i, err, len(files))
		}
	}
	if n, _, err := far.Recv(time.Time{}, buf); err != nil || n != 1 || buf[0] != 3 {
		t.Errorf("the next one: %d %v", n, err)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	near, far := mustPair(t)
	soon := func() time.Time { return time.Now().Add(10 * time.Millisecond) }
	if _, _, err := far.Recv(soon(), make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("recv: %v", err)
	}
	var err error
	sent := 0
	for ; err == nil && sent < 100_000; sent++ {
		err = near.Send(soon(), make([]byte, 1000))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || sent < 2 {
		t.Errorf("send %d: %v", sent, err)
	}
	for range sent - 1 { // what was sent before arrives
		if n, _, err := far.Recv(time.Time{}, make([]byte, 2000)); err != nil || n != 1000 {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	if err := near.Send(time.Time{}, []byte{1}); err != nil {
		t.Errorf("after a late one: %v", err)
	}
}

func TestCloseEndsWaiting(t *testing.T) {
	t.Parallel()
	near, _ := mustPair(t)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if _, _, err := near.Recv(time.Time{}, make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("recv: %v", err)
		}
	})
	waiting.Go(func() {
		for {
			if err := near.Send(time.Time{}, make([]byte, 1000)); err != nil {
				if !errors.Is(err, os.ErrClosed) {
					t.Errorf("send: %v", err)
				}
				return
			}
		}
	})
	time.Sleep(20 * time.Millisecond)
	if errors.Join(near.Close(), near.Close()) != nil {
		t.Error("closing twice")
	}
	waiting.Wait()
	if err := near.Send(time.Time{}, []byte{1}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("send after close: %v", err)
	}
	if _, _, err := near.Recv(time.Time{}, make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("recv after close: %v", err)
	}
}

func TestOpenRefusesOtherDescriptors(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, fd := range []int{int(r.Fd()), 1 << 20, -1} {
		if _, err := Open(fd); core.KindOf(err) != core.Invalid {
			t.Errorf("descriptor %d: %v", fd, err)
		}
	}
}

func TestManySendersLoseNothing(t *testing.T) {
	t.Parallel()
	near, far := mustPair(t)
	const senders, each = 8, 500
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				if err := near.Send(time.Time{}, fmt.Appendf(nil, "%d %d", s, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := make([]int, senders)
	buf := make([]byte, 100)
	for range senders * each {
		n, _, err := far.Recv(time.Time{}, buf)
		var s, i int
		if _, scanErr := fmt.Sscan(string(buf[:n]), &s, &i); err != nil || scanErr != nil || i != next[s] {
			t.Fatalf("%q, want number %d: %v", buf[:n], next[s], err)
		}
		next[s]++
	}
	sending.Wait()
}
