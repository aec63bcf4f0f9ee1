package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/host/confine"
	"github.com/capstan-video/capstan/sdk/wire"
	"github.com/hashicorp/go-plugin/runner"
)

var _ runner.Runner = (*processRunner)(nil)

// pipeTime is how long output is still read after a process is gone: only a process that left
// the group can hold the pipes open longer.
const pipeTime = 500 * time.Millisecond

// processRunner is how go-plugin starts a capsule: by the launcher's thread, with pipes that
// never block the capsule and a group that can be killed as a whole.
type processRunner struct {
	launcher *launcher
	name     string
	cmd      *exec.Cmd
	run      *exec.Cmd // what is really started: cmd, or what closes its cage and becomes it
	out      *output

	cage  *confine.Cage // nil: it is not confined
	held  *confine.Held // nil without a cage
	guard *confine.Guard
	over  func(error) // it took more than its cage allows

	stdout, stderr   *io.PipeReader // what go-plugin reads
	stdoutW, stderrW *io.PipeWriter
	life             *os.File // our end of its standard input; its end is ours

	mu     sync.Mutex
	child  *child
	doomed bool   // killed before it had started
	first  string // the first line of its standard output
	exited chan struct{}
	exit   error
	quiet  chan struct{} // closed when its output is read to the end
}

func newRunner(l *launcher, name string, cmd *exec.Cmd, out *output) *processRunner {
	r := &processRunner{launcher: l, name: name, cmd: cmd, out: out, exited: make(chan struct{}), quiet: make(chan struct{})}
	r.stdout, r.stdoutW = io.Pipe()
	r.stderr, r.stderrW = io.Pipe()
	return r
}

// Start starts the process.
func (r *processRunner) Start(context.Context) error {
	var mine, theirs []*os.File
	for range 3 { // 0: standard input, 1 and 2: output
		in, out, err := os.Pipe()
		if err != nil {
			closeFiles(append(mine, theirs...))
			return core.Faultf(core.Exhausted, "start capsule", r.name, "%w", err)
		}
		mine, theirs = append(mine, in), append(theirs, out)
	}
	mine[0], theirs[0] = theirs[0], mine[0]
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	tie(r.cmd)
	forget, err := r.begin()
	closeFiles(theirs)
	if err != nil {
		closeFiles(mine)
		return err
	}
	r.life = mine[0]
	r.mu.Lock()
	r.child = &child{cmd: r.run}
	doomed := r.doomed
	r.mu.Unlock()
	if doomed {
		r.kill()
	}
	var reading sync.WaitGroup
	reading.Add(2)
	go func() {
		defer reading.Done()
		r.out.handshake(mine[1], r.stdoutW, r.setFirst)
	}()
	go func() {
		defer reading.Done()
		r.out.errors(mine[2], r.stderrW)
	}()
	go r.reap(mine[1:], &reading, forget)
	return nil
}

// begin starts the process, in its cage if it has one.
func (r *processRunner) begin() (forget func(), err error) {
	r.run = r.cmd
	if r.cage == nil {
		return func() {}, r.launcher.start(r.cmd)
	}
	run, held, err := r.cage.Command(r.cmd)
	if err != nil {
		return nil, err
	}
	r.run = run
	if err := r.launcher.start(run); err != nil {
		_ = held.Begun(0)
		_ = held.End(r.name)
		return nil, err
	}
	if err := held.Begun(run.Process.Pid); err != nil {
		_ = run.Wait()
		_ = held.End(r.name)
		return nil, err
	}
	r.held = held
	return r.guard.Watch(r.name, held, r.over), nil
}

// reap waits for the process and ends its output.
func (r *processRunner) reap(pipes []*os.File, reading *sync.WaitGroup, forget func()) {
	r.exit = r.child.wait()
	forget()
	if err := r.held.End(r.name); err != nil {
		r.over(err)
	}
	r.life.Close()
	close(r.exited)
	late := time.AfterFunc(pipeTime, func() { closeFiles(pipes) })
	reading.Wait()
	late.Stop()
	closeFiles(pipes)
	close(r.quiet)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (r *processRunner) setFirst(line string) {
	r.mu.Lock()
	r.first = line
	r.mu.Unlock()
}

// firstLine gives the first line of its standard output, "" when there is none yet.
func (r *processRunner) firstLine() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// protocol gives the version that it speaks, "" when its first line is no handshake.
func (r *processRunner) protocol() string {
	parts := strings.Split(strings.TrimSpace(r.firstLine()), "|")
	if len(parts) < 4 {
		return ""
	}
	if _, err := strconv.Atoi(parts[1]); err != nil {
		return ""
	}
	return parts[1]
}

// pid gives the process number, 0 when it was not started.
func (r *processRunner) pid() int {
	if !r.started() {
		return 0
	}
	return r.run.Process.Pid
}

func (r *processRunner) started() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.child != nil
}

// kill ends the process and its group at once, or as soon as it has started; wait for exited.
func (r *processRunner) kill() {
	r.mu.Lock()
	c := r.child
	r.doomed = true
	r.mu.Unlock()
	if c != nil {
		c.kill()
	}
}

// ending says how a process that is gone ended: "exited with status 2".
func (r *processRunner) ending() string {
	var e *exec.ExitError
	switch {
	case r.exit == nil:
		return "exited with status 0"
	case !errors.As(r.exit, &e):
		return "ended: " + r.exit.Error()
	}
	if w, ok := e.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return fmt.Sprintf("was ended by signal %d (%s)", int(w.Signal()), w.Signal())
	}
	return fmt.Sprintf("exited with status %d", e.ExitCode())
}

// Wait returns when the process is gone.
func (r *processRunner) Wait(context.Context) error {
	<-r.exited
	return r.exit
}

// Kill ends the process and waits until it is gone.
func (r *processRunner) Kill(context.Context) error {
	r.kill()
	if r.started() {
		<-r.exited
	}
	return nil
}

// Stdout gives the line of the handshake.
func (r *processRunner) Stdout() io.ReadCloser { return r.stdout }

// Stderr gives the lines of the log.
func (r *processRunner) Stderr() io.ReadCloser { return r.stderr }

// Name gives the capsule's name, under which go-plugin logs.
func (r *processRunner) Name() string { return r.name }

// ID gives the process number.
func (r *processRunner) ID() string { return strconv.Itoa(r.pid()) }

// Diagnose gives nothing: startFault says it better.
func (r *processRunner) Diagnose(context.Context) string { return "" }

// PluginToHost changes nothing.
func (r *processRunner) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin changes nothing.
func (r *processRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// program gives the path of the capsule's program: the script where an interpreter runs it.
func (r *processRunner) program() string {
	if scripted(r.cmd) {
		return r.cmd.Args[1]
	}
	return r.cmd.Path
}

// byHand gives how a person starts the program.
func (r *processRunner) byHand() string {
	if scripted(r.cmd) {
		return r.cmd.Path + " " + r.cmd.Args[1]
	}
	return r.cmd.Path
}

// startFault says why a process did not become a capsule. It must be gone.
func (r *processRunner) startFault(cause error, late bool, timeout time.Duration) error {
	if v := r.protocol(); v != "" && v != strconv.Itoa(wire.ProtocolVersion) {
		return wire.VersionFault(r.name, v)
	}
	fault := func(hint, format string, args ...any) error {
		f := core.Faultf(core.CapsuleStart, "capsule "+r.name, "", format, args...)
		f.Hint = hint
		return f
	}
	words := r.out.lastWords()
	if words != "" {
		words = "; its last words: " + words
	}
	hint := "try it by hand: " + r.byHand() + " describe"
	switch {
	case !r.started():
		return fault(startHint(cause), "%s cannot be started: %w", r.cmd.Path, cause)
	case late:
		return fault(hint, "%s did not shake hands within %s%s", r.program(), timeout, words)
	case r.firstLine() == "":
		return fault(hint, "%s %s and did not shake hands%s", r.program(), r.ending(), words)
	case r.protocol() == "":
		return fault(hint, "%s is not a capsule: it printed %q in place of the handshake", r.program(), clip(r.firstLine()))
	default:
		return fault(hint, "%s %s while it was being started%s: %w", r.program(), r.ending(), words, cause)
	}
}

func startHint(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "the entry of its capsule.yaml names a program that is not there: build it, or mend the entry"
	case errors.Is(err, os.ErrPermission):
		return "make it executable: chmod +x"
	case errors.Is(err, syscall.ENOEXEC):
		return "it is no program for this machine: build it for " + machine()
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.EAGAIN):
		return "raise the limits of open files and processes: ulimit -n, ulimit -u"
	default:
		return ""
	}
}
