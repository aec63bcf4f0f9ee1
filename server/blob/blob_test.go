package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/capstan-video/capstan/core"
)

func open(t *testing.T, dir string, o Options) *Folder {
	t.Helper()
	f, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// put writes a file under a name.
func put(t *testing.T, f *Folder, id core.BlobID, content []byte) *Pending {
	t.Helper()
	p, err := f.Write(context.Background(), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Keep(id); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// content reads a file.
func content(t *testing.T, f *Folder, id core.BlobID) []byte {
	t.Helper()
	r, size, err := f.Read(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		t.Fatalf("read %d of %d bytes: %v", len(b), size, err)
	}
	return b
}

// files gives all files below a folder but the lock.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != lockName {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func wantKind(t *testing.T, what string, err error, kind core.Kind) {
	t.Helper()
	if core.KindOf(err) != kind {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir, Options{MaxBytes: 3*step + 7, Reserve: 1})
	for id, size := range map[core.BlobID]int{1: 0, 2: 1, 255: step - 1, 256: step, 257: 3*step + 7} {
		data := bytes.Repeat([]byte{byte(id)}, size)
		p := put(t, f, id, data)
		sum := sha256.Sum256(data)
		if p.Size != int64(size) || p.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%d: size %d, sum %s", id, p.Size, p.SHA256)
		}
		if !bytes.Equal(content(t, f, id), data) {
			t.Errorf("%d comes back as something else", id)
		}
		if err := p.Close(); err != nil {
			t.Errorf("close twice: %v", err)
		}
		wantKind(t, "keep after close", p.Keep(id+1), core.Internal)
	}
	info, err := os.Stat(f.path(2))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info, err)
	}
	if got := files(t, filepath.Join(dir, tmpDir)); len(got) != 0 {
		t.Errorf("left in tmp: %v", got)
	}
}

func TestReadAndDelete(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir(), Options{})
	put(t, f, 7, []byte("0123456789"))
	r, size, err := f.Read(7)
	if err != nil || size != 10 {
		t.Fatal(size, err)
	}
	defer r.Close()
	if err := f.Delete(7); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Seek(-3, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); string(b) != "789" || err != nil {
		t.Errorf("the end of a deleted file is %q, %v", b, err)
	}
	for _, id := range []core.BlobID{7, 0, -1, 1 << 60} {
		_, _, err = f.Read(id)
		wantKind(t, fmt.Sprint("read ", id), err, core.NotFound)
		var fault *core.Fault
		if errors.As(err, &fault); fault.On != "blob" {
			t.Errorf("fault on %q", fault.On)
		}
		if err := f.Delete(id); err != nil {
			t.Errorf("delete of what is gone: %v", err)
		}
	}
}

// TestRefused: what is refused leaves nothing on the disk.
func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir, Options{MaxBytes: 100})
	gone, cancel := context.WithCancel(context.Background())
	middle, cut := context.WithCancel(context.Background())
	cancel()
	for what, c := range map[string]struct {
		ctx  context.Context
		from io.Reader
		kind core.Kind
	}{
		"too long":       {context.Background(), strings.NewReader(strings.Repeat("x", 101)), core.Invalid},
		"endless":        {context.Background(), endless{}, core.Invalid},
		"reader fails":   {context.Background(), iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("xyz"))), core.Invalid},
		"cut short":      {context.Background(), io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.ErrUnexpectedEOF)), core.Invalid},
		"cancelled":      {gone, strings.NewReader("x"), core.Cancelled},
		"cancelled then": {middle, readerFunc(func([]byte) (int, error) { cut(); return 0, context.Canceled }), core.Cancelled},
	} {
		p, err := f.Write(c.ctx, c.from)
		wantKind(t, what, err, c.kind)
		if p != nil {
			t.Errorf("%s: a Pending with an error", what)
		}
	}
	p, err := f.Write(context.Background(), strings.NewReader("never kept"))
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, "keep as 0", p.Keep(0), core.Internal)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestKeptTwice: a transaction that runs again gives another name.
func TestKeptTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir, Options{})
	p, err := f.Write(context.Background(), strings.NewReader("frame"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []core.BlobID{5, 6, 6} {
		if err := p.Keep(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"06/6"}) {
		t.Errorf("files %v", got)
	}
	if f.held(5) || f.held(6) {
		t.Error("a name is still held")
	}
}

// TestCrash: what a crash leaves half-written is gone after it, what was kept is there.
func TestCrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	child.Env = append(os.Environ(), "CAPSTAN_TEST_BLOBS="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("writing\n"))); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{})
	wantKind(t, "a folder in use", err, core.Invalid)
	_ = child.Process.Kill()
	_ = child.Wait()
	if got := files(t, dir); len(got) != 3 {
		t.Fatalf("files of the killed process: %v, want one kept, one pending and one half-written", got)
	}
	f := open(t, dir, Options{})
	if got := files(t, dir); !slices.Equal(got, []string{"03/3"}) {
		t.Errorf("files after the crash: %v", got)
	}
	if got := string(content(t, f, 3)); got != "kept" {
		t.Errorf("content %q", got)
	}
}

// TestCrashChild is the process that TestCrash kills.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv("CAPSTAN_TEST_BLOBS")
	if dir == "" {
		t.Skip("it is run by TestCrash")
	}
	f := open(t, dir, Options{})
	put(t, f, 3, []byte("kept"))
	if _, err := f.Write(context.Background(), strings.NewReader("pending")); err != nil {
		t.Fatal(err)
	}
	said := false
	_, _ = f.Write(context.Background(), io.MultiReader(strings.NewReader("half"), readerFunc(func([]byte) (int, error) {
		if !said {
			fmt.Println("writing")
			said = true
		}
		select {}
	})))
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir, Options{})
	for id := range core.BlobID(10) {
		put(t, f, id+1, []byte("12345"))
	}
	pending, err := f.Write(context.Background(), strings.NewReader("in a transaction"))
	if err != nil {
		t.Fatal(err)
	}
	if err := pending.Keep(300); err != nil {
		t.Fatal(err)
	}
	for _, strange := range []string{"01/notes.txt", "01/01", "02/1"} { // 1 lies in the folder 01
		if err := os.WriteFile(filepath.Join(dir, strange), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(id core.BlobID) (bool, error) { return id%2 == 0 && id <= 10, nil }
	got, err := f.Sweep(context.Background(), rows)
	if want := (Swept{Files: 11, Removed: 5, Bytes: 25, Strange: 3}); err != nil || got != want {
		t.Errorf("swept %+v, %v, want %+v", got, err, want)
	}
	if err := pending.Close(); err != nil {
		t.Fatal(err)
	}
	got, err = f.Sweep(context.Background(), rows)
	if want := (Swept{Files: 6, Removed: 1, Bytes: 16, Strange: 3}); err != nil || got != want {
		t.Errorf("swept %+v, %v, want %+v", got, err, want)
	}
	put(t, f, 12, []byte("1234"))
	blobs := []core.Blob{{ID: 2, Size: 5}, {ID: 3, Size: 5}, {ID: 12, Size: 5}, {ID: 0}}
	if got := f.Missing(blobs); !slices.Equal(got, []core.BlobID{3, 12, 0}) {
		t.Errorf("missing %v", got)
	}
	got, err = f.Sweep(context.Background(), func(core.BlobID) (bool, error) { return false, syscall.EIO })
	if !errors.Is(err, syscall.EIO) || got.Removed != 0 {
		t.Errorf("a database that is gone: %+v, %v", got, err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = f.Sweep(gone, rows)
	wantKind(t, "cancelled", err, core.Cancelled)
}

// TestSweepBeside: a sweep beside uploads removes none whose row is there in the end.
func TestSweepBeside(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir(), Options{})
	var mu sync.Mutex
	rows := map[core.BlobID]bool{}
	has := func(id core.BlobID) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		return rows[id], nil
	}
	var uploads, sweeps sync.WaitGroup
	stop := make(chan struct{})
	sweeps.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := f.Sweep(context.Background(), has); err != nil {
				t.Error(err)
			}
		}
	})
	for g := range 4 {
		uploads.Go(func() {
			for i := range 25 {
				id := core.BlobID(g*25 + i + 1)
				p, err := f.Write(context.Background(), strings.NewReader("x"))
				if err != nil {
					t.Error(err)
					return
				}
				err = p.Keep(id)
				mu.Lock()
				rows[id] = i%5 > 0 // each fifth transaction fails
				mu.Unlock()
				if err := errors.Join(err, p.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	uploads.Wait()
	close(stop)
	sweeps.Wait()
	if _, err := f.Sweep(context.Background(), has); err != nil {
		t.Fatal(err)
	}
	for id, kept := range rows {
		r, _, err := f.Read(id)
		if (err == nil) != kept {
			t.Errorf("blob %d: %v, and it has a row: %t", id, err, kept)
		}
		if err == nil {
			_ = r.Close()
		}
	}
}

// TestFull fills a small disk: what fits is kept, what does not leaves nothing.
func TestFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("A FULL DISK IS NOT TESTED: no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f := open(t, dir, Options{})
	put(t, f, 1, make([]byte, 10<<20))
	_, err := f.Write(context.Background(), bytes.NewReader(make([]byte, 10<<20)))
	wantKind(t, "full", err, core.Exhausted)
	if got := files(t, dir); !slices.Equal(got, []string{"01/1"}) {
		t.Errorf("files %v", got)
	}
	put(t, f, 2, make([]byte, 4<<20)) // the room of what failed is free again
	_ = f.Close()
	careful := open(t, dir, Options{Reserve: 8 << 20})
	_, err = careful.Write(context.Background(), strings.NewReader("x"))
	wantKind(t, "reserve", err, core.Exhausted)
	if err != nil && !strings.Contains(err.Error(), "8 MB stay free") {
		t.Errorf("%v does not say how much stays free", err)
	}
	if got := len(content(t, careful, 1)); got != 10<<20 {
		t.Errorf("%d bytes of the first file", got)
	}
}

// TestShown wants no path of the machine in what people are told.
func TestShown(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "a data folder")
	f, err := Open(filepath.Join(data, "blobs"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for text, want := range map[string]string{
		"": "", "nothing of it: /etc/passwd": "nothing of it: /etc/passwd",
		"open " + f.path(7) + ": no such file":                           "open file 7: no such file",
		f.path(300) + " and file://" + f.path(2):                         "file 300 and file 2",
		"file://" + strings.ReplaceAll(f.path(7), " ", "%20") + ": torn": "file 7: torn",
		"capsule x: " + data + "/capsules/capsule-1/x does not start":    "capsule x: capsules/capsule-1/x does not start",
	} {
		if got := f.Shown(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}
