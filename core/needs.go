package core

import (
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Needs is what a capsule takes of the machine beside its own folder. The zero value is the
// strictest: no network, no files of others, no devices, and the default bounds.
type Needs struct {
	Network   []string   // host:port that it connects to by TCP, * for any host; none: no network
	Files     []FileNeed // beside its own folder, its models and the system's libraries
	Devices   []string   // below /dev, * for a part of a name: /dev/nvidia*
	Memory    int64      // bytes, over all its processes; 0: DefaultMemory
	CPU       float64    // CPUs' worth of time; 0: no bound
	Processes int        // child processes at one time; 0: none, in Python PythonProcesses
}

// The bounds of a capsule that declares none. One in Python may have workers behind it, and its
// libraries start programs to look at the system.
const (
	DefaultMemory   = 4 << 30
	PythonProcesses = 32
)

// FileNeed is a file, or a folder with all that is in it.
type FileNeed struct {
	Path  string // absolute, or ${name}: what the option of that name names; empty values name nothing
	Write bool   // it is written too
}

// IsZero says whether nothing is declared.
func (n Needs) IsZero() bool { return n.Equal(Needs{}) }

// Equal compares all fields.
func (n Needs) Equal(o Needs) bool {
	return slices.Equal(n.Network, o.Network) && slices.Equal(n.Files, o.Files) && slices.Equal(n.Devices, o.Devices) &&
		n.Memory == o.Memory && n.CPU == o.CPU && n.Processes == o.Processes
}

// MemoryLimit gives the bound in bytes.
func (n Needs) MemoryLimit() int64 {
	if n.Memory > 0 {
		return n.Memory
	}
	return DefaultMemory
}

// Resolve gives the needs with every ${option} of Files replaced by what the option's value
// names: one path, each path of a list, or none.
func (n Needs) Resolve(v Values) Needs {
	files := make([]FileNeed, 0, len(n.Files))
	for _, f := range n.Files {
		name, ok := reference(f.Path)
		if !ok {
			files = append(files, f)
			continue
		}
		for _, p := range append(v.List(name), v.Text(name)) {
			if p != "" {
				files = append(files, FileNeed{Path: p, Write: f.Write})
			}
		}
	}
	n.Files = files
	return n
}

// The least and most that can be declared.
const (
	minMemory    = 16 << 20
	minCPU       = 0.01
	maxCPU       = 1 << 10
	maxProcesses = 1 << 12
)

func (d Declaration) checkNeeds() error {
	n := d.Needs
	for _, s := range n.Network {
		if err := CheckEndpoint(s); err != nil {
			return fmt.Errorf("needs: network: %w", err)
		}
	}
	for _, f := range n.Files {
		if err := d.checkFileNeed(f); err != nil {
			return fmt.Errorf("needs: files: %w", err)
		}
	}
	for _, s := range n.Devices {
		if _, err := path.Match(s, ""); err != nil || !strings.HasPrefix(s, "/dev/") || path.Clean(s) != s {
			return fmt.Errorf("needs: devices: %q is not the path of a device below /dev", s)
		}
	}
	switch {
	case n.Memory != 0 && n.Memory < minMemory:
		return fmt.Errorf("needs: memory: %d bytes are below %d MiB, with which nothing starts", n.Memory, minMemory>>20)
	case n.CPU != 0 && !(n.CPU >= minCPU && n.CPU <= maxCPU):
		return fmt.Errorf("needs: cpu: %v is not within %v..%d", n.CPU, minCPU, maxCPU)
	case n.Processes < 0 || n.Processes > maxProcesses:
		return fmt.Errorf("needs: processes: %d is not within 0..%d", n.Processes, maxProcesses)
	}
	return nil
}

func (d Declaration) checkFileNeed(f FileNeed) error {
	name, ok := reference(f.Path)
	if !ok {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || strings.ContainsRune(f.Path, 0) {
			return fmt.Errorf("%q is neither a plain absolute path nor ${option}", f.Path)
		}
		return nil
	}
	o, known := d.Option(name)
	if !known || o.Type != StringOption && o.Type != ListOption {
		return fmt.Errorf("%s: there is no option %q of type str or list", f.Path, name)
	}
	return nil
}

// CheckEndpoint refuses what is not host:port. The host is a name, an address or *.
func CheckEndpoint(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return fmt.Errorf("%q is not host:port, such as api.example.com:443 or *:443", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q: the port is a number within 1..65535", s)
	}
	return nil
}
