package brainframe

import (
	"context"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// python gives an interpreter that has requests, the library that the vendor's client is made on.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import requests").Run() == nil {
			return name
		}
	}
	t.Skip("SKIPPED: no python3 with requests here (apt install python3-requests), so that no client of another make has read these answers")
	return ""
}

// TestStory runs the acceptance story through a client in Python. The server is starting when it
// comes, its first session runs out, and its status streams break off in the middle.
func TestStory(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	w := newWorld()
	w.locked = true
	var asked, resumed atomic.Int64
	w.fake.ready = func() bool { return asked.Add(1) > 3 }
	resume, analyze := w.resume, w.analyze
	w.resume = func(ctx context.Context, token string) (service.Caller, error) {
		if resumed.Add(1) == 10 {
			return service.Caller{}, core.Faultf(core.Denied, "", "session", "the session is over")
		}
		return resume(ctx, token)
	}
	w.analyze = func(ctx context.Context, c service.Caller, n core.StreamNumber, on bool) error {
		if !on {
			w.stop()
		}
		return analyze(ctx, c, n, on)
	}
	address := listen(t, w, Options{KeepAlive: 50 * time.Millisecond})
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, interpreter, "testdata/client.py", "http://"+address).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "story: ok") {
		t.Errorf("%v\n%s", err, out)
	}
}
