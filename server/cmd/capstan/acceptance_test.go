package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-video/capstan/sdk/onnx/files"
)

// started is capstan serve as a process of its own.
type started struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
	log bytes.Buffer
}

// startProgram starts the built program, with env beside the environment of the test, and waits
// until it says where it answers.
func startProgram(t *testing.T, env []string, args ...string) *started {
	t.Helper()
	s := &started{t: t, cmd: exec.Command(program(t), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	lines := bufio.NewScanner(out)
	for s.url == "" && lines.Scan() {
		s.url = answersAt.FindString(lines.Text())
	}
	if s.url == "" {
		t.Fatalf("it does not say where it answers\n%s", s.log.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	return s
}

// end sends a signal and waits for the process, which may be gone already.
func (s *started) end(signal syscall.Signal) {
	s.t.Helper()
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	alarm := time.AfterFunc(2*stopTimeout, func() { _ = s.cmd.Process.Kill() })
	err := s.cmd.Wait()
	if !alarm.Stop() || signal == syscall.SIGTERM && err != nil {
		s.t.Errorf("after %v: %v\n%s", signal, err, s.log.String())
	}
}

// vendorPython gives an interpreter that has requests, on which the vendor's client is made.
func vendorPython(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import requests").Run() == nil {
			return name
		}
	}
	t.Skip("SKIPPED: no python3 with requests here (apt install python3-requests), so that the vendor's client was not acted out")
	return ""
}

// portrait gives the photo whose face is in the demo clip.
func portrait(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/esimov/pigo").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "testdata", "sample.jpg")
}

// TestAcceptance is the vendor's client over the real program with real capsules: all of the story
// of contracts/brainframe.md, with a restart and a kill in the middle.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	python := vendorPython(t)
	models := data(t, "models")
	if _, err := files.Runtime(""); err != nil {
		t.Skipf("ONNX Runtime is absent: %v", err)
	}
	env := []string{files.ModelsEnv + "=" + models, "CAPSTAN_ADMIN_PASSWORD=geheim-9"}
	clip, photo, dir := demoClip(t), portrait(t), t.TempDir()
	args := []string{"--data", dir, "--only", "detector_face_yunet,encoder_face_mobilefacenet,tracker_bytetrack"}
	state := []byte("{}")
	for _, step := range []struct {
		part string
		end  syscall.Signal
	}{{"begin", syscall.SIGTERM}, {"after", syscall.SIGKILL}, {"end", syscall.SIGTERM}} {
		s := startProgram(t, env, args...)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		cmd := exec.CommandContext(ctx, python, filepath.Join("testdata", "acceptance.py"),
			filepath.Join(root, "server", "dialects", "brainframe", "testdata"), s.url, "geheim-9", clip, photo, step.part)
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		cmd.Stdin = bytes.NewReader(state)
		var out, notes bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &notes
		err := cmd.Run()
		cancel()
		t.Logf("%s: %s", step.part, notes.String())
		if err != nil {
			t.Fatalf("%s: %v\nthe server: %s", step.part, err, s.log.String())
		}
		state = out.Bytes()
		s.end(step.end)
		if strings.Contains(s.log.String(), "geheim-9") {
			t.Error("the password is in the log")
		}
	}
}
