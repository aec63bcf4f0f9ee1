package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
)

// PythonEnv names the environment variable with the interpreter of capsules in Python; without
// it the host looks for one.
const PythonEnv = "CAPSTAN_PYTHON"

// pythonEntry is how the program of a capsule in Python ends.
const pythonEntry = ".py"

// probeTime is how long one interpreter may take to say what it can import: a second, and far
// more where the disk is cold and other capsules start too.
const probeTime = 30 * time.Second

// probe is what an interpreter is asked. It answers its own path, which spares the wrappers of
// version managers at every later start, and "own" where it has the package capstan.
const probe = `import sys
missing = []
for name, package in ("grpc", "grpcio"), ("numpy", "numpy"), ("google.protobuf", "protobuf"):
    try:
        __import__(name)
    except ImportError:
        missing.append(package)
try:
    import importlib.util
    own = importlib.util.find_spec("capstan") is not None
except Exception:
    own = False
print("capstan-python", sys.executable, "own" if own else "none", ",".join(missing) or "-", sep="|")`

// python is an interpreter that can run capsules.
type python struct {
	path string
	own  bool // it has the package capstan itself
}

// pythons remembers what was found, by the environment that decides it: a probe takes a third
// of a second, and a capsule may be started many times.
var pythons struct {
	mu    sync.Mutex
	found map[string]python
}

// command gives the command of a capsule: its program, or the interpreter that runs it.
func (c *Capsule) command(ctx context.Context, env []string) (*exec.Cmd, error) {
	cmd := exec.Command(c.spec.Path, c.spec.Args...)
	cmd.Dir, cmd.Env = c.spec.Dir, env
	if filepath.Ext(c.spec.Path) != pythonEntry {
		return cmd, nil
	}
	if err := checkScript(c.spec.Path); err != nil {
		return nil, core.Faultf(core.CapsuleStart, "capsule "+c.name, "", "%s cannot be started: %w", c.spec.Path, err)
	}
	py, err := findPython(ctx, env)
	if err != nil {
		return nil, &core.Fault{Op: "capsule " + c.name, Kind: core.CapsuleStart, Err: err}
	}
	cmd = exec.Command(py.path, append([]string{c.spec.Path}, c.spec.Args...)...)
	cmd.Dir, cmd.Env = c.spec.Dir, env
	if py.own {
		return cmd, nil
	}
	shipped := shippedPython()
	if shipped == "" {
		f := core.Faultf(core.CapsuleStart, "capsule "+c.name, "", "%s has no package capstan, and there is none beside this program", py.path)
		f.Hint = "pip install ./sdk/python of Capstan's sources, or name that folder in PYTHONPATH"
		return nil, f
	}
	cmd.Env = withPath(env, shipped)
	return cmd, nil
}

// scripted says whether an interpreter runs the capsule.
func scripted(cmd *exec.Cmd) bool {
	return len(cmd.Args) > 1 && filepath.Ext(cmd.Args[1]) == pythonEntry
}

func checkScript(path string) error {
	st, err := os.Stat(path)
	if err == nil && st.IsDir() {
		return fmt.Errorf("it is a folder: %w", os.ErrPermission)
	}
	return err
}

// Python gives the path of the interpreter that runs capsules in Python which start with this
// environment. A fault of kind Unsupported says what to install.
func Python(ctx context.Context, env []string) (string, error) {
	py, err := findPython(ctx, env)
	return py.path, err
}

// findPython gives $CAPSTAN_PYTHON, else the first of python3 in PATH and /usr/bin/python3 that
// can import what a capsule needs.
func findPython(ctx context.Context, env []string) (python, error) {
	key := strings.Join([]string{lookup(env, PythonEnv), lookup(env, "PATH"), lookup(env, "PYTHONPATH"), lookup(env, "VIRTUAL_ENV")}, "\x00")
	pythons.mu.Lock()
	defer pythons.mu.Unlock()
	if py, ok := pythons.found[key]; ok {
		return py, nil
	}
	py, err := searchPython(ctx, env)
	if err != nil {
		return python{}, err
	}
	if pythons.found == nil {
		pythons.found = map[string]python{}
	}
	pythons.found[key] = py
	return py, nil
}

func searchPython(ctx context.Context, env []string) (python, error) {
	var tried []error
	for _, path := range candidates(env) {
		py, err := probePython(ctx, path, env)
		if err == nil {
			return py, nil
		}
		if ctx.Err() != nil {
			return python{}, core.Faultf(core.Cancelled, "find python", path, "%w", context.Cause(ctx))
		}
		tried = append(tried, fmt.Errorf("%s: %w", path, err))
	}
	if len(tried) == 0 {
		tried = append(tried, errors.New("there is no python3 in PATH"))
	}
	f := core.Faultf(core.Unsupported, "find python", "", "%w", joinLines(tried))
	f.Hint = "apt install python3-grpcio python3-numpy python3-protobuf, or pip install grpcio numpy protobuf; " + PythonEnv + " names another interpreter"
	return python{}, f
}

// joinLines is errors.Join on one line.
func joinLines(list []error) error {
	err := list[0]
	for _, e := range list[1:] {
		err = fmt.Errorf("%w; %w", err, e)
	}
	return err
}

// candidates gives the interpreters to try, best first.
func candidates(env []string) []string {
	if named := lookup(env, PythonEnv); named != "" {
		return []string{named}
	}
	var list []string
	for _, dir := range filepath.SplitList(lookup(env, "PATH")) {
		path := filepath.Join(dir, "python3")
		if st, err := os.Stat(path); filepath.IsAbs(path) && err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			list = append(list, path)
			break
		}
	}
	const system = "/usr/bin/python3"
	if _, err := os.Stat(system); err == nil && !slices.Contains(list, system) {
		list = append(list, system)
	}
	return list
}

// probePython asks an interpreter whether it can run capsules.
func probePython(ctx context.Context, path string, env []string) (python, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-c", probe)
	cmd.Env, cmd.WaitDelay = env, time.Second
	var said, words strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &words
	err := cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return python{}, fmt.Errorf("it did not answer within %s", probeTime)
	case ctx.Err() != nil:
		return python{}, context.Cause(ctx)
	}
	_, line, _ := strings.Cut(said.String(), "capstan-python|")
	parts := strings.Split(strings.TrimSpace(line), "|")
	switch {
	case err == nil && len(parts) == 3 && parts[2] == "-" && parts[0] != "":
		return python{path: parts[0], own: parts[1] == "own"}, nil
	case len(parts) == 3:
		return python{}, errors.New("it lacks " + strings.ReplaceAll(parts[2], ",", ", "))
	case err != nil:
		return python{}, fmt.Errorf("%w: %s", err, clip(strings.TrimSpace(words.String())))
	default:
		return python{}, errors.New("it is no Python 3")
	}
}

// shippedPython gives the folder with the package capstan that came with this program: python
// beside it, or sdk/python of the checkout that it was built in. "" when there is none.
func shippedPython() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	dir := filepath.Dir(self)
	for _, folder := range []string{filepath.Join(dir, "python"), filepath.Join(filepath.Dir(dir), "sdk", "python")} {
		if _, err := os.Stat(filepath.Join(folder, "capstan", "__init__.py")); err == nil {
			return folder
		}
	}
	return ""
}

// lookup gives the value of a variable; the last one counts.
func lookup(env []string, name string) string {
	for _, e := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// withPath appends a folder to PYTHONPATH.
func withPath(env []string, folder string) []string {
	if old := lookup(env, "PYTHONPATH"); old != "" {
		folder = old + string(os.PathListSeparator) + folder
	}
	return append(slices.Clone(env), "PYTHONPATH="+folder)
}
