package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// tutorial is the document whose commands are run. Every heading of the second level begins in an
// empty folder. In it, ```console blocks have commands after "$ " and what they print; ```diff
// blocks are edits of the file that they name.
const tutorial = "3-capsules.md"

// writeEnv has the test write what the commands print into the document, when it is "write".
const writeEnv = "CAPSTAN_DOCS"

// step is a command with its output, or an edit. Lines count from 0.
type step struct {
	command    string
	diff       []string
	line       int // of the command, or of the edit
	from, upto int // the lines of the output
}

// chapter is what stands under one heading.
type chapter struct {
	title string
	steps []step
}

func chapters(lines []string) (list []chapter) {
	block := ""
	for i, line := range lines {
		title, heading := strings.CutPrefix(line, "## ")
		switch {
		case block == "" && heading:
			list = append(list, chapter{title: title})
		case block == "" && (line == "```console" || line == "```diff"):
			if block = line; block == "```diff" {
				c := &list[len(list)-1]
				c.steps = append(c.steps, step{line: i})
			}
		case block != "" && line == "```":
			block = ""
		case block != "":
			c := &list[len(list)-1]
			if command, ok := strings.CutPrefix(line, "$ "); ok && block == "```console" {
				c.steps = append(c.steps, step{command: command, line: i, from: i + 1, upto: i + 1})
				continue
			}
			s := &c.steps[len(c.steps)-1]
			if block == "```diff" {
				s.diff = append(s.diff, line)
			} else {
				s.upto = i + 1
			}
		}
	}
	return list
}

// masks are the parts of an output that differ from run to run: numbers with a point, counts
// before a unit of time, size or rate, digests and platforms. Runs of blanks are one.
var masks = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\b[0-9a-f]{16,}\b`), "DIGEST"},
	{regexp.MustCompile(`\bSHA256:[A-Za-z0-9+/=]{16,}`), "DIGEST"},
	{regexp.MustCompile(`\b\d+\.\d+\b`), "N"},
	{regexp.MustCompile(`\b\d+\.\d+(ms|s|µs)\b`), "N s"},
	{regexp.MustCompile(`\b(N|\d+)(ms|s|µs)\b`), "N s"},
	{regexp.MustCompile(`\b(N|\d+) (ms|s|µs|bytes|kB|MB|GB|calls|nodes|fps)\b`), "N unit"},
	{regexp.MustCompile(`\blinux/(amd64|arm64)\b`), "PLATFORM"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

func masked(line string) string {
	for _, m := range masks {
		line = m.what.ReplaceAllString(line, m.by)
	}
	return strings.TrimSpace(line)
}

func TestMasks(t *testing.T) {
	t.Parallel()
	for a, b := range map[string]string{
		"  detector    100     90    0.43    2.78         0": "detector 100 90 0.51 12.78 0",
		"100 frames in 0.22 s: 453.2 fps":                    "100 frames in 1.22 s: 53.2 fps",
		"digest 1a79a4d60de6718e8e5b326e338ae533":            "digest 7215ee9c7d9dc229d2921a40e899ec5f",
		"ok  	detector_ball	0.240s":                          "ok  	detector_ball	11.2s",
		"memory: 18 MB when started":                         "memory: 17.5 MB when started",
		"3 passed in 0.10s":                                  "3 passed in 0.20s",
	} {
		if masked(a) != masked(b) {
			t.Errorf("%q and %q are %q and %q", a, b, masked(a), masked(b))
		}
	}
	if masked("100 frames, 90 detections") == masked("100 frames, 91 detections") {
		t.Error("counts are masked")
	}
}

// TestTutorial runs every command of the document and holds what it prints against what stands
// there. CAPSTAN_DOCS=write go test ./docs -run Tutorial writes the document anew.
func TestTutorial(t *testing.T) {
	text, err := os.ReadFile(tutorial)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	path := installed(t)
	printed := map[int][]string{} // by the first line of the output
	ends := map[int]int{}
	steps := 0
	for _, c := range chapters(lines) {
		if steps += len(c.steps); len(c.steps) == 0 {
			continue
		}
		t.Run(c.title, func(t *testing.T) {
			if strings.Contains(c.title, "Python") {
				needPython(t)
			}
			dir := t.TempDir()
			for _, s := range c.steps {
				if s.diff != nil {
					edit(t, dir, s)
					continue
				}
				var out []string
				if dir, out = do(t, path, dir, s.command); t.Failed() {
					t.FailNow()
				}
				printed[s.from], ends[s.from] = out, s.upto
				if os.Getenv(writeEnv) != "write" {
					compare(t, s, lines[s.from:s.upto], out)
				}
			}
		})
	}
	if steps < 20 {
		t.Errorf("only %d steps were found", steps)
	}
	if os.Getenv(writeEnv) == "write" {
		write(t, lines, printed, ends)
	}
}

func compare(t *testing.T, s step, want, got []string) {
	t.Helper()
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if masked(w) != masked(g) {
			t.Errorf("%s:%d: %s\nprints %q\nbut there stands %q\n(%s=write go test ./docs -run Tutorial writes it anew)\nall of it:\n%s",
				tutorial, s.from+i+1, s.command, g, w, writeEnv, strings.Join(got, "\n"))
			return
		}
	}
}

func write(t *testing.T, lines []string, printed map[int][]string, ends map[int]int) {
	var out []string
	for i := 0; i < len(lines); i++ {
		if p, ok := printed[i]; ok {
			out = append(out, p...)
			i = ends[i] // the next command, or the end of the block
		}
		out = append(out, lines[i])
	}
	if err := os.WriteFile(tutorial, []byte(strings.Join(out, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// do runs a command in dir and gives its output, or goes to another folder.
func do(t *testing.T, path, dir, command string) (string, []string) {
	t.Helper()
	if to, ok := strings.CutPrefix(command, "cd "); ok {
		return filepath.Join(dir, to), nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+path+string(os.PathListSeparator)+os.Getenv("PATH"), "CAPSTAN_CAPSULES=", "CAPSTAN_TRUST=",
		"GOPROXY=off", "MAKEFLAGS=", "MAKELEVEL=", "PYTHONDONTWRITEBYTECODE=1", "CAPSTAN_CACHE="+filepath.Join(path, "cache"))
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", command, err)
	}
	out := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	if len(out) == 1 && out[0] == "" {
		out = nil
	}
	for i, line := range out {
		out[i] = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), " ")
	}
	return dir, out
}

// edit changes the file that a diff names: what stands before a part (its blank and - lines) is
// replaced by what stands after it.
func edit(t *testing.T, dir string, s step) {
	t.Helper()
	name, ok := strings.CutPrefix(s.diff[0], "--- ")
	if !ok {
		t.Fatalf("%s:%d: the diff names no file", tutorial, s.line+1)
	}
	file := filepath.Join(dir, name)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for hunk := range strings.SplitSeq(strings.Join(s.diff[1:], "\n"), "@@\n") {
		var before, after strings.Builder
		for line := range strings.Lines(strings.TrimSuffix(hunk, "\n") + "\n") {
			if line[0] != '+' {
				before.WriteString(line[1:])
			}
			if line[0] != '-' {
				after.WriteString(line[1:])
			}
		}
		if n := bytes.Count(text, []byte(before.String())); n != 1 {
			t.Fatalf("%s:%d: %s has these lines %d times:\n%s", tutorial, s.line+1, name, n, before.String())
		}
		text = bytes.Replace(text, []byte(before.String()), []byte(after.String()), 1)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// installed builds the program in a folder of the checkout, as make build does, and gives the
// folder. Git ignores bin.
func installed(t *testing.T) string {
	t.Helper()
	if err := os.MkdirAll("../bin", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("../bin", ".tutorial-")
	if err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		run("..", "go", "build", "-o", filepath.Join(dir, "capstan"), "./server/cmd/capstan"),
		os.Mkdir(filepath.Join(dir, "capsules"), 0o755),
		os.CopyFS(filepath.Join(dir, "python", "capstan"), os.DirFS("../sdk/python/capstan")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(python); err == nil {
		if err := os.Symlink(python, filepath.Join(dir, "python3")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// python is the one of the system, which has Debian's packages.
const python = "/usr/bin/python3"

func needPython(t *testing.T) {
	t.Helper()
	if err := run(".", python, "-c", "import grpc, numpy, google.protobuf, pytest"); err != nil {
		t.Skipf("SKIPPED: the Python half of the tutorial needs python3-grpcio, python3-numpy, python3-protobuf and python3-pytest: %v", err)
	}
}

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
