package deploy

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/server/config"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUnit has systemd look the unit over, with a program that is there.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	text := read(t, "capstan.service")
	if !strings.Contains(text, "Type=notify\n") || !strings.Contains(text, "WatchdogSec=") {
		t.Error("systemd is not told how the server does")
	}
	program := filepath.Join(t.TempDir(), "capstan")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "capstan.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(text, "/opt/capstan/capstan", program)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	if err != nil || len(strings.TrimSpace(string(out))) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestExampleConfig reads the example as it stands, and with everything that is commented out.
func TestExampleConfig(t *testing.T) {
	t.Parallel()
	text := read(t, "capstan.yaml")
	if _, err := config.Load(config.Sources{File: "capstan.yaml"}); err != nil {
		t.Error(err)
	}
	whole := regexp.MustCompile(`(?m)^# ((?:database|tls|events):|  )`).ReplaceAllString(text, "$1")
	file := filepath.Join(t.TempDir(), "whole.yaml")
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := config.Load(config.Sources{File: file})
	if err != nil || l.TLS.Cert == "" || l.Database == "" || len(l.Events.Webhooks) != 1 {
		t.Errorf("%v in\n%s", err, whole)
	}
}

// statements are the Dockerfile's, with their lines joined.
func statements(t *testing.T) [][]string {
	t.Helper()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, "Dockerfile"), "")
	var out [][]string
	for _, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// TestDockerfile wants every path that is copied to be there, every variable to mean something, and
// the last stage to run as a user, on Debian 12, with a look at its health.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	var last []string
	for _, s := range statements(t) {
		seen[s[0]]++
		last = s
		switch s[0] {
		case "FROM":
			if !strings.Contains(s[1], "bookworm") && !strings.HasPrefix(s[1], "debian:12") {
				t.Errorf("%v is not Debian 12", s)
			}
		case "COPY":
			for _, path := range s[1 : len(s)-1] {
				if strings.HasPrefix(path, "--from=") {
					break
				}
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					t.Errorf("COPY %s: %v", path, err)
				}
			}
		case "ENV":
			checkVariables(t, s[1:])
		case "USER":
			if s[1] == "0" || s[1] == "root" {
				t.Error("it runs as root")
			}
		}
	}
	for _, want := range []string{"USER", "HEALTHCHECK", "VOLUME", "EXPOSE", "ENTRYPOINT"} {
		if seen[want] == 0 {
			t.Errorf("there is no %s", want)
		}
	}
	if seen["FROM"] != 2 || last[0] != "HEALTHCHECK" {
		t.Errorf("%d stages, ending with %s", seen["FROM"], last[0])
	}
}

// checkVariables holds CAPSTAN_… variables against the keys.
func checkVariables(t *testing.T, list []string) {
	t.Helper()
	l, err := config.Load(config.Sources{Env: list})
	if err != nil || len(l.Warnings) > 0 {
		t.Errorf("ENV %v: %v %v", list, err, l.Warnings)
	}
	if l.Data != "/data" || !slices.Equal(l.Listen, []string{"0.0.0.0:8080"}) {
		t.Errorf("ENV %v", list)
	}
}

// TestPackages wants every package of the Dockerfile to be one of Debian's, and every plug-in of
// GStreamer that is built with to be there at run time.
func TestPackages(t *testing.T) {
	t.Parallel()
	var packages []string
	for _, s := range statements(t) {
		at := slices.Index(s, "--no-install-recommends")
		if s[0] != "RUN" || at < 0 {
			continue
		}
		for _, word := range s[at+1:] {
			if word == "&&" {
				break
			}
			packages = append(packages, word)
		}
	}
	if len(packages) < 8 {
		t.Fatalf("only %v", packages)
	}
	for _, plugin := range regexp.MustCompile(`gstreamer1\.0-(?:plugins-\w+|libav)`).FindAllString(read(t, root+"/.ci/setup"), -1) {
		if !slices.Contains(packages, plugin) {
			t.Errorf("%s is built with, and not there at run time", plugin)
		}
	}
	if lists, _ := filepath.Glob("/var/lib/apt/lists/*Packages*"); len(lists) == 0 {
		t.Skip("apt has no lists of packages: apt-get update")
	}
	for _, p := range packages {
		out, err := exec.CommandContext(t.Context(), "apt-cache", "show", "--no-all-versions", p).Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) || !strings.Contains(string(out), "Package: "+p+"\n") {
			t.Errorf("Debian has no package %s: %v", p, err)
		}
	}
}

// TestSameGo wants the Dockerfile's Go to be the module's.
func TestSameGo(t *testing.T) {
	t.Parallel()
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, root+"/go.mod"))
	if want == nil || !strings.Contains(read(t, "Dockerfile"), "golang:"+want[1]+"-bookworm") {
		t.Errorf("the Dockerfile does not build with Go %v", want)
	}
}
