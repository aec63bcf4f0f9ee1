package host

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/host/confine"
	"github.com/capstan-video/capstan/sdk/onnx/files"
)

// scratchSize bounds the temporary folder of a capsule, and each file that one without files of
// its own writes, in bytes.
const scratchSize = 1 << 30

// confine closes a process into its cage: what its manifest needs, and what every capsule may
// use. scratch is its temporary folder, where its socket is too.
func (c *Capsule) confine(p *process, cmd *exec.Cmd, scratch string) {
	if p.cfg.Unsafe {
		return
	}
	cmd.Env = append(cmd.Env, "TMPDIR="+scratch)
	cage := c.cage(cmd, scratch)
	c.confined.Do(func() {
		if missing := cage.Missing(); len(missing) > 0 {
			c.log.Warn("the capsule is confined in part: this machine cannot enforce all that it should", "missing", strings.Join(missing, "; "))
		}
		for _, path := range slices.Concat(cage.Needed, cage.Devices) {
			if _, err := os.Stat(path); err != nil {
				c.log.Warn("a file that the capsule needs is not there", "file", path)
			}
		}
	})
	p.runner.cage, p.runner.guard = cage, &c.host.guard
	p.runner.over = func(err error) { p.fail(err, 0) }
}

// cage gives what a process of the capsule may use.
func (c *Capsule) cage(cmd *exec.Cmd, scratch string) *confine.Cage {
	needs := c.needs()
	cage := &confine.Cage{
		Read: ownFolders(c.spec), Write: []string{scratch}, Scratch: scratch, ScratchSize: c.host.cfg.scratch, FileSize: c.host.cfg.scratch,
		Memory: needs.MemoryLimit(), Processes: needs.Processes, CPU: needs.CPU,
	}
	if cage.Processes == 0 && filepath.Ext(c.spec.Path) == pythonEntry {
		cage.Processes = core.PythonProcesses
	}
	cage.Read = append(cage.Read, libraries(cmd)...)
	cage.Look = models(cmd.Env)
	for _, f := range needs.Files {
		path := absolute(cmd.Dir, f.Path)
		cage.Needed = append(cage.Needed, path)
		if f.Write {
			cage.Write, cage.FileSize = append(cage.Write, path), 0
		} else {
			cage.Read = append(cage.Read, path)
		}
	}
	for _, pattern := range needs.Devices {
		found, _ := filepath.Glob(pattern)
		cage.Devices = append(cage.Devices, found...)
	}
	connections(cage, needs.Network)
	return cage
}

// needs gives the capsule's needs with the files that its options name put in: those of the
// capsule and those of every open stream.
func (c *Capsule) needs() core.Needs {
	c.mu.Lock()
	defer c.mu.Unlock()
	values, err := c.decl.Complete(c.spec.Options)
	if err != nil {
		values = nil // the launch will fail of it
	}
	n := c.decl.Needs.Resolve(values)
	for _, s := range c.streams {
		for _, f := range c.decl.Needs.Resolve(s.values).Files {
			if !slices.Contains(n.Files, f) {
				n.Files = append(n.Files, f)
			}
		}
	}
	return n
}

// connections sets what a capsule may connect to.
func connections(cage *confine.Cage, hosts []string) {
	for _, s := range hosts {
		host, text, err := net.SplitHostPort(s)
		port, err2 := strconv.ParseUint(text, 10, 16)
		if err != nil || err2 != nil {
			continue // the manifest was checked
		}
		cage.Network = true
		cage.Ports = append(cage.Ports, uint16(port))
		if net.ParseIP(host) == nil && !cage.Names {
			cage.Names, cage.Ports = true, append(cage.Ports, 53) // names are asked by TCP where an answer is long
		}
	}
}

// ownFolders gives the folder of the program, and that of the manifest, whose entry may lie
// deeper; where they are links, also what they point to.
func ownFolders(s Spec) []string {
	list := []string{filepath.Dir(s.Path)}
	if entry := filepath.FromSlash(s.Declaration.Entry); entry != "" && strings.HasSuffix(s.Path, string(filepath.Separator)+entry) {
		list = append(list, strings.TrimSuffix(s.Path, entry))
	}
	if real, err := filepath.EvalSymlinks(s.Path); err == nil {
		list = append(list, filepath.Dir(real))
	}
	return list
}

// libraries gives the folders with code outside the system's own that the environment and an
// interpreter name.
func libraries(cmd *exec.Cmd) []string {
	var list []string
	for _, name := range []string{"LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"} {
		for _, dir := range filepath.SplitList(lookup(cmd.Env, name)) {
			if dir != "" {
				list = append(list, absolute(cmd.Dir, dir))
			}
		}
	}
	if !scripted(cmd) {
		return list
	}
	for path := cmd.Path; ; { // of a virtual environment, and of the interpreter that it was made from
		list = append(list, filepath.Dir(filepath.Dir(path)))
		real, err := filepath.EvalSymlinks(path)
		if err != nil || real == path {
			break
		}
		path = real
	}
	if home := lookup(cmd.Env, "HOME"); home != "" {
		found, _ := filepath.Glob(filepath.Join(home, ".local", "lib", "python3*"))
		list = append(list, found...)
	}
	return list
}

// models gives the folders in which capsules look for models and for the library that runs
// them, as package files finds them.
func models(env []string) []string {
	var list []string
	add := func(paths ...string) {
		for _, p := range paths {
			if p != "" {
				list = append(list, absolute("", p))
			}
		}
	}
	add(filepath.SplitList(lookup(env, files.ModelsEnv))...)
	if library := lookup(env, files.LibraryEnv); library != "" {
		add(library)
		if st, err := os.Stat(library); err == nil && !st.IsDir() {
			add(filepath.Dir(library)) // it loads its providers from there
		}
	}
	cache := lookup(env, files.CacheEnv)
	if cache == "" {
		if cache = lookup(env, "XDG_CACHE_HOME"); cache == "" && lookup(env, "HOME") != "" {
			cache = filepath.Join(lookup(env, "HOME"), ".cache")
		}
		if cache != "" {
			cache = filepath.Join(cache, "capstan")
		}
	}
	if cache != "" {
		add(filepath.Join(cache, "models"), filepath.Join(cache, "lib"))
	}
	return list
}

// absolute gives a path as a process sees it whose working folder is dir; "": that of this one.
func absolute(dir, path string) string {
	if dir == "" {
		dir, _ = os.Getwd()
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// allowed refuses values that name files which the process was not given: a cage is closed for
// good when it starts.
func (c *Capsule) allowed(p *process, values core.Values) error {
	if p.runner.cage == nil {
		return nil
	}
	c.mu.Lock()
	needs := c.decl.Needs
	c.mu.Unlock()
	for _, f := range needs.Resolve(values).Files {
		if path := absolute(p.runner.cmd.Dir, f.Path); !p.runner.cage.Allows(path, f.Write) {
			fault := core.Faultf(core.Denied, "capsule "+c.name, path, "the running process was not given this file")
			fault.Hint = "name it in the option of the capsule before it starts, or declare its folder in needs: files"
			return fault
		}
	}
	return nil
}

// hinted adds to an error of the capsule what its author can do, where its words are those of
// something refused.
func (p *process) hinted(err error) error {
	if p.runner.cage == nil || err == nil {
		return err
	}
	hint := confine.Hint(err.Error())
	if hint == "" {
		return err
	}
	return &core.Fault{Kind: core.KindOf(err), Err: err, Hint: hint}
}
