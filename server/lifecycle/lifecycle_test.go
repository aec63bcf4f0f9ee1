package lifecycle

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
)

// diary writes down what parts do.
type diary struct{ entries []string }

func (d *diary) part(name string, fails error) Part {
	return Part{name, func(context.Context) (func(context.Context) error, error) {
		d.entries = append(d.entries, "start "+name)
		if fails != nil {
			return nil, fails
		}
		return func(context.Context) error { d.entries = append(d.entries, "stop "+name); return nil }, nil
	}}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		fail error
		want []string
	}{
		"all well":       {nil, []string{"start a", "start b", "start c", "stop c", "stop b", "stop a"}},
		"the third ends": {broken, []string{"start a", "start b", "start c", "stop b", "stop a"}},
	} {
		var d diary
		r, err := Start(t.Context(), hclog.NewNullLogger(), time.Second, []Part{d.part("a", nil), d.part("b", nil), d.part("c", c.fail)})
		if !errors.Is(err, c.fail) {
			t.Fatalf("%s: %v", name, err)
		}
		if r != nil {
			if err := errors.Join(r.Stop(t.Context()), r.Stop(t.Context())); err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(d.entries, c.want) {
			t.Errorf("%s: %v, want %v", name, d.entries, c.want)
		}
	}
}

// TestStopGoesOn leaves a part that hangs behind, and stops those before it.
func TestStopGoesOn(t *testing.T) {
	t.Parallel()
	var d diary
	hang := make(chan struct{})
	defer close(hang)
	r, err := Start(t.Context(), hclog.NewNullLogger(), time.Second, []Part{d.part("a", nil), {"hangs", func(context.Context) (func(context.Context) error, error) {
		return func(context.Context) error { <-hang; return nil }, nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Stop(ctx); err == nil || !strings.Contains(err.Error(), "hangs: ") {
		t.Errorf("%v", err)
	}
	if !slices.Contains(d.entries, "stop a") {
		t.Errorf("a was not stopped: %v", d.entries)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	if InUse(dir) {
		t.Error("a folder that is not there is in use")
	}
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	if !InUse(dir) {
		t.Error("it is not in use")
	}
	_, err = OpenFolder(dir)
	if core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "another server (process ") || !strings.Contains(err.Error(), "--data") {
		t.Errorf("a second server: %v", err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	if InUse(dir) {
		t.Error("it is still in use")
	}
	if f, err = OpenFolder(dir); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(filepath.Join(file, "data")); core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "cannot be written to") {
		t.Errorf("a folder below a file: %v", err)
	}
}

// TestNotify plays systemd.
func TestNotify(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000"}
	n := NewNotifier(func(k string) string { return env[k] })
	if err := n.Tell("READY=1"); err != nil {
		t.Fatal(err)
	}
	n.Watch(func(context.Context) bool { return true })
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		_ = socket.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 64)
		k, err := socket.Read(b)
		if err != nil || string(b[:k]) != want {
			t.Errorf("%q %v, want %s", b[:k], err, want)
		}
	}
	n.Close()
	n.Close()
	env = map[string]string{}
	none := NewNotifier(func(k string) string { return env[k] })
	none.Watch(nil)
	if err := none.Tell("READY=1"); err != nil {
		t.Error(err)
	}
	none.Close()
}
