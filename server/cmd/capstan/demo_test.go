package main

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/server/config"
	showcase "github.com/capstan-video/capstan/server/demo"
)

// TestServeDemo is a newcomer: the line that is printed is run as it is, until it shows a face within the
// zone with its alert.
func TestServeDemo(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	c := config.Default()
	c.Data, c.Demo = filepath.Join(t.TempDir(), "data"), "on"
	c.Capsules.Dirs, c.Capsules.Unsafe = []string{fewCapsules(t)}, true
	s := startServer(t, c)
	line := ""
	for end := time.Now().Add(30 * time.Second); line == "" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, l := range strings.Split(s.out.String(), "\n") {
			if strings.HasPrefix(l, "  curl") && strings.Contains(s.out.String(), "--demo=remove") {
				line = l
			}
		}
	}
	if !strings.Contains(s.out.String(), "not recognised: capstan models pull") {
		t.Errorf("it does not say that faces are not named here:\n%s", s.out)
	}
	seen := false
	var last []byte
	for end := time.Now().Add(30 * time.Second); !seen && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		last, _ = exec.CommandContext(ctx, "sh", "-c", line).Output()
		cancel()
		var all map[string]map[string]status
		if json.Unmarshal(last, &all) == nil {
			for _, zones := range all {
				z := zones[showcase.ZoneName]
				seen = seen || len(z.Within) > 0 && z.Within[0].Class == "face" && len(z.Alerts) > 0
			}
		}
	}
	if !seen {
		t.Fatalf("no face is seen by %q: %.2000s\n%s", line, last, s.out)
	}
	s.stop()
	c.Demo, c.NoAuth = "remove", config.OnLoopback
	s = startServer(t, c)
	for end := time.Now().Add(30 * time.Second); !strings.Contains(s.out.String(), "was removed") && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	var streams, identities []any
	s.call("GET", "/api/streams", "", nil, &streams)
	s.call("GET", "/api/identities", "", nil, &identities)
	if len(streams)+len(identities) > 0 {
		t.Errorf("left: %v %v", streams, identities)
	}
}
