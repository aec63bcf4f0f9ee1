package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/server/config"
)

// operateLines gives the lines of docs/4-operate.md that are commands, those that begin with a word.
func operateLines(t *testing.T, word string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "4-operate.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^    (.+)$`).FindAllStringSubmatch(string(text), -1) {
		for _, part := range strings.Split(m[1], " | ") {
			if strings.HasPrefix(part, word+" ") {
				out = append(out, part)
			}
		}
	}
	return out
}

// TestOperateCommands wants every command of docs/4-operate.md to be one, with flags that there are.
func TestOperateCommands(t *testing.T) {
	t.Parallel()
	lines := operateLines(t, "capstan")
	if len(lines) < 10 {
		t.Fatalf("only %q", lines)
	}
	for _, line := range lines {
		line, _, _ = strings.Cut(line, " > ")
		line, _, _ = strings.Cut(line, "  #")
		cmd, args, err := rootCommand().Find(strings.Fields(line)[1:])
		if err == nil {
			err = cmd.ParseFlags(args)
		}
		if err == nil && cmd.Args != nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil || cmd.Name() == "capstan" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestOperateRequests runs every curl line of docs/4-operate.md as it stands, at a server that has
// just been installed.
func TestOperateRequests(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	c := config.Default()
	c.Data, c.AdminPassword = filepath.Join(t.TempDir(), "data"), "PASSWORD"
	c.Capsules.Dirs, c.Capsules.Unsafe = []string{fewCapsules(t)}, true
	s := startServer(t, c)
	dir := t.TempDir()
	for _, name := range []string{"clip.mp4", "dog.cap"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := operateLines(t, "curl")
	if len(lines) < 8 {
		t.Fatalf("only %q", lines)
	}
	for _, line := range lines {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		line = strings.Replace(strings.ReplaceAll(line, "http://127.0.0.1:8080", s.url), "curl ", "curl -sS -w ' %{http_code}' ", 1)
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		cancel()
		want := "200"
		switch {
		case strings.Contains(line, "/api/plugins -d"): // the numbered file is not there
			want = "404"
		case strings.Contains(line, "/api/plugins/detector_dog"):
			want = "404"
		}
		if got := fmt.Sprint(string(out)); err != nil || !strings.HasSuffix(got, " "+want) {
			t.Errorf("%s: %v %.300s, want %s", line, err, got, want)
		}
	}
}
