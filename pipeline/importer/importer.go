// Package importer makes capsules of packages of the older Python format, OpenVisionCapsules:
// their files as they are, with a manifest, and a program that runs them.
package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/pack"
)

// Mode says how much of the older capsule is run to find out what it is.
type Mode string

// The modes.
const (
	Scan    Mode = "scan"    // nothing: its code is read, and has no declaration then
	Declare Mode = "declare" // its code, once, without its backends
	Load    Mode = "load"    // its code, and its backends are made once
)

// DefaultTimeout is how long the older capsule's code may run.
const DefaultTimeout = 3 * time.Minute

// Request says what is to be read, and how.
type Request struct {
	Path    string     // a package of the older format, or a folder with its files
	Key     pack.Key   // of an encrypted one; nil: there is none
	Mode    Mode       // "": Load
	Metric  string     // of an encoder, "cosine" or "euclidean"; "": as its code seems to have it
	Needs   core.Needs // what it may use of the machine, now and when it runs
	Timeout time.Duration
	Unsafe  bool     // run its code without a cage
	Env     []string // nil: that of this process
}

// Level is how good or bad a finding is.
type Level string

// The levels of findings, worst first.
const (
	Cannot Level = "cannot" // the capsule will not work
	Limits Level = "limits" // it works within limits, or after something was done
	Works  Level = "works"
)

// Finding is one thing to know about an older capsule that becomes one of ours.
type Finding struct {
	Level Level  `json:"level"`
	About string `json:"about"` // such as "devices", "packages"
	Words string `json:"words"`
}

// Imported is an older capsule that was read. Close removes what it holds on disk.
type Imported struct {
	Source      string           // the path that was read
	API         string           // the version of the older interface that it is made for
	Python      string           // the interpreter that read it; "" where none did
	VCAP        string           // the version of the user's package vcap; "" where it was not asked
	Findings    []Finding        // worst first
	Declaration core.Declaration // empty with Mode Scan
	Files       int              // of the older capsule that are taken over
	Size        int64            // of these, in bytes

	dir      string // temporary: original and what stands beside it
	json     []byte
	manifest []byte
}

func fault(path string, kind core.Kind, format string, args ...any) *core.Fault {
	return core.Faultf(kind, "import", path, format, args...)
}

// Original is the folder of the older capsule's files inside one that was made of it.
const Original = "original"

// The files that are made, beside the manifest.
const (
	declarationFile = "vcap.json"
	program         = "main.py"
)

const programText = `"""Runs the capsule in original/, which was written for OpenVisionCapsules. The package vcap that it
imports is that of the user's Python. Made by capstan capsule import."""

import capstan.vcap

if __name__ == "__main__":
    capstan.vcap.main(__file__)
`

// Read unpacks the older capsule and, unless the mode is Scan, runs its code once in a process
// of its own, confined as capsules are, to learn what it declares. Code that cannot be run is an
// error whose Imported is given all the same, with what was found. The caller closes it.
func Read(ctx context.Context, r Request) (*Imported, error) {
	if r.Mode == "" {
		r.Mode = Load
	}
	if r.Timeout == 0 {
		r.Timeout = DefaultTimeout
	}
	dir, err := os.MkdirTemp("", "capstan-import-")
	if err != nil {
		return nil, fault(r.Path, core.Denied, "%w", err)
	}
	m := &Imported{Source: r.Path, dir: dir}
	if err := m.unpack(ctx, r); err != nil {
		m.Close()
		return nil, err
	}
	return m, m.ask(ctx, r)
}

// Close removes the temporary files; it is safe to call twice.
func (m *Imported) Close() error { return os.RemoveAll(m.dir) }

// Cannot says whether a finding says that the capsule will not work.
func (m *Imported) Cannot() bool { return len(m.Findings) > 0 && m.Findings[0].Level == Cannot }

// answer is what the host of older capsules says of one.
type answer struct {
	Python      string          `json:"python"`
	VCAP        string          `json:"vcap"`
	Findings    []Finding       `json:"findings"`
	Declaration json.RawMessage `json:"declaration"`
	Manifest    string          `json:"manifest"`
	Error       string          `json:"error"`
}

// ask runs the host of older capsules on the unpacked files.
func (m *Imported) ask(ctx context.Context, r Request) error {
	scratch := filepath.Join(m.dir, "scratch")
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return fault(m.Source, core.Denied, "%w", err)
	}
	question, err := json.Marshal(map[string]any{"folder": filepath.Join(m.dir, Original), "mode": r.Mode, "metric": r.Metric, "needs": needsOf(r.Needs)})
	if err != nil {
		return err
	}
	asked, answered := filepath.Join(scratch, "request.json"), filepath.Join(scratch, "answer.json")
	if err := os.WriteFile(asked, question, 0o644); err != nil {
		return fault(m.Source, core.Denied, "%w", err)
	}
	said := &tail{}
	needs := r.Needs
	needs.Devices = append(needs.Devices[:len(needs.Devices):len(needs.Devices)], "/dev/nvidia*", "/dev/dri/*")
	s := host.Script{
		Module: "capstan.vcap", Args: []string{asked, answered}, Env: r.Env, Dir: scratch,
		Read: []string{filepath.Join(m.dir, Original)}, Needs: needs, Unsafe: r.Unsafe, Output: said,
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.Timeout, fault(m.Source, core.CapsuleDeadline, "its code did not end within %s", r.Timeout))
	defer cancel()
	m.Python, err = s.Run(ctx)
	if err != nil {
		return m.failed(err, said)
	}
	return m.take(answered, said, r.Mode)
}

// failed names a run that ended without an answer.
func (m *Imported) failed(err error, said *tail) error {
	if _, crashed := errors.AsType[*exec.ExitError](err); crashed {
		return fault(m.Source, core.CapsuleFailed, "its code ended the process that read it: %w%s", err, said.text())
	}
	if core.KindOf(err) == core.Unknown {
		return fault(m.Source, core.Cancelled, "%w", err)
	}
	return err
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 4 << 20

// take reads the answer, which is that of foreign code: nothing of it is believed unchecked.
func (m *Imported) take(path string, said *tail, mode Mode) error {
	f, err := os.Open(path)
	if err != nil {
		return fault(m.Source, core.CapsuleFailed, "its code ended the process that read it, without an answer%s", said.text())
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxAnswer))
	if err != nil {
		return err
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return fault(m.Source, core.CapsuleGarbage, "its answer is none: %w", err)
	}
	m.Python, m.VCAP = a.Python, a.VCAP
	m.Findings = append(m.Findings, a.Findings...)
	m.sort()
	if a.Error != "" {
		return fault(m.Source, core.CapsuleFailed, "%s%s", a.Error, said.text())
	}
	if mode == Scan {
		return nil
	}
	d, err := manifest.Decode(manifest.FileName, []byte(a.Manifest))
	if err != nil {
		return fault(m.Source, core.CapsuleContract, "no manifest can be made of what it declares: %w", err)
	}
	if d.Entry != program {
		return fault(m.Source, core.CapsuleGarbage, "its answer is none: the entry is %q", d.Entry)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, a.Declaration, "", " "); err != nil {
		return fault(m.Source, core.CapsuleGarbage, "its answer is none: %w", err)
	}
	pretty.WriteByte('\n')
	m.Declaration, m.manifest, m.json = d, []byte(a.Manifest), pretty.Bytes()
	return nil
}

// Write makes the folder dir, which must not be there yet: a capsule that runs. It is there as a
// whole or not at all.
func (m *Imported) Write(dir string) (err error) {
	if m.manifest == nil {
		return fault(m.Source, core.Invalid, "it was read without its declaration")
	}
	if _, err := os.Lstat(dir); err == nil {
		f := fault(dir, core.Exists, "it is there already")
		f.Hint = "name a folder that is not there yet"
		return f
	}
	part, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".import-")
	if err != nil {
		return fault(dir, core.Denied, "%w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(part))
		}
	}()
	if err := os.Chmod(part, 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(part, Original), os.DirFS(filepath.Join(m.dir, Original))); err != nil {
		return fault(dir, core.Denied, "%w", err)
	}
	for name, text := range map[string][]byte{manifest.FileName: m.manifest, declarationFile: m.json, program: []byte(programText)} {
		if err := os.WriteFile(filepath.Join(part, name), text, 0o644); err != nil {
			return fault(dir, core.Denied, "%w", err)
		}
	}
	if err := os.Rename(part, dir); err != nil {
		return fault(dir, core.Exists, "%w", err)
	}
	return nil
}

// Pack writes the capsule as the package out, which ends with pack.Extension.
func (m *Imported) Pack(ctx context.Context, out string, w pack.Writing) (pack.Written, error) {
	dir := filepath.Join(m.dir, "capsule")
	if err := os.RemoveAll(dir); err != nil {
		return pack.Written{}, fault(m.Source, core.Denied, "%w", err)
	}
	if err := m.Write(dir); err != nil {
		return pack.Written{}, err
	}
	w.Out = out
	return pack.Write(ctx, dir, w)
}

// needsOf gives needs as the package capstan takes them.
func needsOf(n core.Needs) map[string]any {
	out := map[string]any{}
	if len(n.Network) > 0 {
		out["network"] = n.Network
	}
	for _, f := range n.Files {
		key := "files"
		if f.Write {
			key = "writes"
		}
		list, _ := out[key].([]string)
		out[key] = append(list, f.Path)
	}
	if len(n.Devices) > 0 {
		out["devices"] = n.Devices
	}
	if n.Memory > 0 {
		out["memory"] = n.Memory
	}
	if n.CPU > 0 {
		out["cpu"] = n.CPU
	}
	if n.Processes > 0 {
		out["processes"] = n.Processes
	}
	return out
}

// tail keeps the last lines of what code says. It may be written to from several goroutines.
type tail struct {
	mu   sync.Mutex
	last []byte
}

const tailSize = 2 << 10 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - tailSize; over > 0 {
		t.last = t.last[over:]
	}
	return len(p), nil
}

// text gives what was said on lines of their own, "" where nothing was.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.TrimSpace(strings.ToValidUTF8(string(t.last), ""))
	if s == "" {
		return ""
	}
	return fmt.Sprintf("\nit said:\n  %s", strings.ReplaceAll(s, "\n", "\n  "))
}
