package host

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/host/confine"
)

// scriptProcesses is how many children a script may have at one time: libraries of Python start
// programs to look at the system.
const scriptProcesses = 32

// Script is one run of a module of the package capstan, in the interpreter and the kind of cage
// that capsules in Python get.
type Script struct {
	Module string   // such as "capstan.vcap"
	Args   []string // for the module
	Env    []string // nil: that of this process
	Dir    string   // its working folder, and its temporary one: written to

	Read   []string   // files and folders that it may read beside
	Needs  core.Needs // what else it may use; files named by options are left out
	Unsafe bool       // no cage
	Output io.Writer  // standard output and standard error; nil: nobody reads them
}

// Run runs the script to its end and gives the path of the interpreter, "" where none was found.
// When ctx ends, the script's whole process group is ended. An error of kind CapsuleLimit says
// what it took too much of; an *exec.ExitError is its own failure.
func (s Script) Run(ctx context.Context) (string, error) {
	env := s.Env
	if env == nil {
		env = os.Environ()
	}
	py, err := findPython(ctx, env)
	if err != nil {
		return "", err
	}
	if !py.own {
		shipped := shippedPython()
		if shipped == "" {
			f := core.Faultf(core.Unsupported, "run "+s.Module, py.path, "it has no package capstan, and there is none beside this program")
			f.Hint = "pip install ./sdk/python of Capstan's sources, or name that folder in PYTHONPATH"
			return py.path, f
		}
		env = withPath(env, shipped)
	}
	cmd := exec.Command(py.path, append([]string{"-m", s.Module}, s.Args...)...)
	cmd.Dir, cmd.Env = s.Dir, append(env[:len(env):len(env)], "TMPDIR="+s.Dir)
	cmd.Stdout, cmd.Stderr = s.Output, s.Output
	cmd.WaitDelay = pipeTime
	tie(cmd)
	return py.path, s.run(ctx, cmd)
}

func (s Script) run(ctx context.Context, cmd *exec.Cmd) error {
	l := newLauncher()
	defer l.close()
	if s.Unsafe {
		if err := l.start(cmd); err != nil {
			return core.Faultf(core.Unsupported, "run "+s.Module, "", "%w", err)
		}
		return attend(ctx, &child{cmd: cmd})
	}
	cage := s.cage(cmd)
	run, held, err := cage.Command(cmd)
	if err != nil {
		return core.Faultf(core.Unsupported, "run "+s.Module, "", "%w", err)
	}
	run.WaitDelay = cmd.WaitDelay
	pid := 0
	if err = l.start(run); err == nil {
		pid = run.Process.Pid
	}
	if begun := held.Begun(pid); err == nil && begun != nil {
		_ = run.Wait()
		err = begun
	}
	if err != nil {
		_ = held.End(s.Module)
		return core.Faultf(core.Unsupported, "run "+s.Module, "", "%w", err)
	}
	return s.watched(ctx, run, held)
}

// watched waits for the process, which ends where it takes more than its cage has.
func (s Script) watched(ctx context.Context, run *exec.Cmd, held *confine.Held) error {
	var guard confine.Guard
	defer guard.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	forget := guard.Watch(s.Module, held, func(err error) { cancel(err) })
	err := attend(ctx, &child{cmd: run})
	forget()
	if over := held.End(s.Module); over != nil {
		return over
	}
	return err
}

// attend waits for a process, and ends its group when ctx does, whose cause it gives then.
func attend(ctx context.Context, c *child) error {
	gone := make(chan struct{})
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		select {
		case <-ctx.Done():
			c.kill()
		case <-gone:
		}
	}()
	err := c.wait()
	close(gone)
	<-killed
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s Script) cage(cmd *exec.Cmd) *confine.Cage {
	cage := &confine.Cage{
		Read: append([]string{}, s.Read...), Look: models(cmd.Env), Write: []string{s.Dir}, Scratch: s.Dir, ScratchSize: scratchSize, FileSize: scratchSize,
		Memory: s.Needs.MemoryLimit(), Processes: scriptProcesses, CPU: s.Needs.CPU, Devices: devices(s.Needs.Devices),
	}
	// What belongs to the interpreter, as libraries finds it for a capsule's own script.
	asCapsule := *cmd
	asCapsule.Args = []string{cmd.Path, "x" + pythonEntry}
	cage.Read = append(cage.Read, libraries(&asCapsule)...)
	for _, f := range s.Needs.Files {
		switch {
		case strings.HasPrefix(f.Path, "${"):
		case f.Write:
			cage.Write = append(cage.Write, f.Path)
		default:
			cage.Read = append(cage.Read, f.Path)
		}
	}
	connections(cage, s.Needs.Network)
	return cage
}

// devices gives the device files that patterns name.
func devices(patterns []string) []string {
	var list []string
	for _, p := range patterns {
		found, _ := filepath.Glob(p)
		list = append(list, found...)
	}
	return list
}
