package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/capstan-video/capstan/sdk/pack/starter"
)

// resultNode is what these tests look at of a result's detection.
type resultNode struct {
	Class      string            `json:"class_name"`
	Attributes map[string]string `json:"attributes"`
	Track      string            `json:"track_id"`
	Encoding   []float64         `json:"encoding"`
}

// nodesOf gives the detections of all frames of a run.
func nodesOf(t *testing.T, c called) (nodes []resultNode, frames int) {
	t.Helper()
	for line := range strings.Lines(c.stdout) {
		var r struct {
			Seq        int          `json:"seq"`
			Detections []resultNode `json:"detections"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if r.Seq > 0 {
			frames++
			nodes = append(nodes, r.Detections...)
		}
	}
	return nodes, frames
}

const brightBall = "test://?pattern=ball&size=320x240&frames=40"

// packed packs with the built program: the race detector makes the packing of a program slow.
func packed(t *testing.T, dir, path string) {
	t.Helper()
	if c := call(t, "capsule", "pack", dir, "-o", path, "--quiet"); c.status != 0 {
		t.Fatalf("capstan capsule pack %s: status %d\n%s", dir, c.status, c.stderr)
	}
}

// startedProject begins a project of a role and builds it.
func startedProject(t *testing.T, dir, role string) string {
	t.Helper()
	dir = filepath.Join(dir, role+"_of_mine")
	if _, err := starter.Make(starter.Project{Dir: dir, Language: "go", SDK: root}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", role+"_of_mine", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// TestStartedProjectsRun runs what capstan capsule new makes, all roles in one chain, from their
// folders and from packages.
func TestStartedProjectsRun(t *testing.T) {
	program(t)
	dir, caps := t.TempDir(), t.TempDir()
	t.Setenv("CAPSTAN_CACHE", t.TempDir())
	for _, role := range starter.Roles {
		packed(t, startedProject(t, dir, role), filepath.Join(caps, role+".cap"))
	}
	for name, folder := range map[string]string{"folders": dir, "packages": caps} {
		c := call(t, "run", brightBall, "--capsules", folder, "--option", "detector_of_mine.threshold=0.5", "--json", "-", "--quiet")
		nodes, frames := nodesOf(t, c)
		if c.status != 0 || frames != 40 || len(nodes) < 35 {
			t.Fatalf("%s: status %d, %d frames, %d nodes\n%s", name, c.status, frames, len(nodes), c.stderr)
		}
		tracks := map[string]int{}
		for _, n := range nodes {
			tracks[n.Track]++
			if n.Class != "bright_region" || n.Attributes["brightness"] == "" || len(n.Encoding) != 24 {
				t.Fatalf("%s: %+v", name, n)
			}
		}
		if len(tracks) != 2 || tracks[""] > 2 { // none in the first frame, then one
			t.Errorf("%s: tracks %v", name, tracks)
		}
	}
}

// TestPackageRuns: a package runs; its spoiled folder in the cache is made anew; a spoiled package
// is refused before anything of it runs; signed ones can be demanded.
func TestPackageRuns(t *testing.T) {
	dir := filepath.Join(filepath.Dir(program(t)), "capsules", "detector_motion_background")
	cache, caps := t.TempDir(), t.TempDir()
	t.Setenv("CAPSTAN_CACHE", cache)
	path := filepath.Join(caps, "motion.cap")
	packed(t, dir, path)
	args := []string{"run", brightBall, "--capsules", path, "--json", "-", "--quiet"}
	first := call(t, args...)
	nodes, frames := nodesOf(t, first)
	if first.status != 0 || frames != 40 || len(nodes) == 0 {
		t.Fatalf("status %d, %d frames, %d nodes\n%s", first.status, frames, len(nodes), first.stderr)
	}
	found, err := filepath.Glob(filepath.Join(cache, "capsules", "*", "detector_motion_background"))
	if err != nil || len(found) != 1 {
		t.Fatalf("in the cache: %v, %v", found, err)
	}
	if err := errors.Join(os.Chmod(found[0], 0o755), os.WriteFile(found[0], []byte("#!/bin/sh\ntouch \""+cache+"/ran\"\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	again := call(t, args...)
	if n, frames := nodesOf(t, again); again.status != 0 || frames != 40 || len(n) != len(nodes) {
		t.Errorf("after the cache was spoiled: status %d, %d frames, %d nodes, want %d\n%s", again.status, frames, len(n), len(nodes), again.stderr)
	}
	if _, err := os.Stat(filepath.Join(cache, "ran")); !os.IsNotExist(err) {
		t.Error("the spoiled program was run")
	}
	signedOnly(t, path, args)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := errors.Join(os.WriteFile(path, data, 0o644), os.RemoveAll(filepath.Join(cache, "capsules"))); err != nil {
		t.Fatal(err)
	}
	if c := call(t, args...); c.status != exitFailed || !strings.HasPrefix(c.stderr, "capstan: package: "+path+": ") {
		t.Errorf("a spoiled package: status %d, %s", c.status, c.stderr)
	}
	if left, err := os.ReadDir(filepath.Join(cache, "capsules")); err != nil || len(left) > 0 {
		t.Errorf("left in the cache: %v, %v", left, err)
	}
}

func signedOnly(t *testing.T, path string, args []string) {
	t.Helper()
	args = append(args, "--require-signed")
	key := filepath.Join(t.TempDir(), "anna")
	must(t, "keys", key)
	t.Setenv(pack.TrustEnv, "")
	if c := call(t, args...); c.status != exitUsage || !strings.Contains(c.stderr, "names no public keys") {
		t.Errorf("nobody is trusted: status %d, %s", c.status, c.stderr)
	}
	t.Setenv(pack.TrustEnv, filepath.Dir(key))
	if c := call(t, args...); c.status != exitFailed || !strings.Contains(c.stderr, "none of the 1 trusted keys has signed it") {
		t.Errorf("not signed: status %d, %s", c.status, c.stderr)
	}
	must(t, "sign", path, "--with", key+".key", "--quiet")
	if c := call(t, args...); c.status != 0 {
		t.Errorf("signed: status %d, %s", c.status, c.stderr)
	}
	if c := call(t, "run", brightBall, "--require-signed", "--only", "detector_motion_background"); c.status != exitFailed || !strings.Contains(c.stderr, "it is a folder, which nobody can sign") {
		t.Errorf("a folder: status %d, %s", c.status, c.stderr)
	}
}
