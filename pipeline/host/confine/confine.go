// Package confine holds a process, and all that it starts, to the files, sockets, memory and
// processes that it was given.
package confine

import (
	"os"
	"slices"
	"strings"
	"time"
)

// Cage is what a process may use. What it does not name is refused where the system can: Check
// says what that is on this machine.
type Cage struct {
	Read    []string // files, and folders with all below: to read and to run
	Look    []string // the same, only to read
	Write   []string // the same, to read and write, not to run
	Devices []string // device files, to read, write and control

	Needed  []string // those of Read and Write that were asked for by name: for messages
	Network bool     // TCP by IP
	Names   bool     // UDP too, because host names have to be found
	Ports   []uint16 // the TCP ports that it may connect to

	Memory    int64   // bytes, over all its processes; 0: no bound
	Processes int     // beside the first one; 0: it cannot start any, below 0: no bound
	CPU       float64 // CPUs' worth of time; 0: no bound
	FileSize  int64   // bytes of the largest file that it may write; 0: no bound

	Group string // the folder of a control group to join; Command sets it

	Scratch     string // a folder in Write whose content has a bound; "": none
	ScratchSize int64  // bytes
}

// Allows says whether the cage has a path, by its name: links are not followed.
func (c *Cage) Allows(path string, write bool) bool {
	lists := [][]string{c.Write}
	if !write {
		lists = append(lists, c.Read, c.Look, systemRead)
	}
	for _, p := range slices.Concat(lists...) {
		if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(p, "/")); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// Held is a process that was started in a cage.
type Held struct {
	cage        Cage
	pid         int      // its own, and that of its process group
	group       string   // the folder of its control group; "": none
	status, end *os.File // the pipe by which it says what went wrong
}

// Part is one side of a cage on this machine.
type Part struct {
	Name string
	OK   bool   // it is enforced
	How  string // by what, or why not
}

// systemRead is what every program needs of a system, to read and to run.
var systemRead = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store"}

// The parts that matter to some cages only.
const (
	partPorts = "network ports"
	partCPU   = "cpu"
)

// Missing names the parts of this cage that the machine does not enforce, with the reason.
func (c *Cage) Missing() []string {
	var list []string
	for _, p := range Check() {
		if !p.OK && (p.Name != partPorts || c.Network) && (p.Name != partCPU || c.CPU > 0) {
			list = append(list, p.Name+": "+p.How)
		}
	}
	return list
}

// Hint gives what an author has to declare so that a refusal whose words these are does not come
// again; "" for words that are no refusal.
func Hint(words string) string {
	const because = "its isolation may have refused this: "
	w := strings.ToLower(words)
	switch {
	case strings.Contains(w, "cannot allocate memory"), strings.Contains(w, "out of memory"), strings.Contains(w, "memoryerror"), strings.Contains(w, "bad_alloc"):
		return because + "declare more needs: memory in its capsule.yaml"
	case strings.Contains(w, "sigxfsz"), strings.Contains(w, "file too large"), strings.Contains(w, "file size limit"):
		return because + "write less to the temporary folder, or declare the file in needs: files of its capsule.yaml with mode rw"
	}
	refused := strings.Contains(w, "operation not permitted") || strings.Contains(w, "permission denied") || strings.Contains(w, "permissionerror")
	if !refused {
		return ""
	}
	for _, s := range []string{"fork", "subprocess", "spawn", "popen"} {
		if strings.Contains(w, s) {
			return because + "declare how many in needs: processes of its capsule.yaml, or run with --unsafe while developing"
		}
	}
	for _, s := range []string{"socket", "dial ", "lookup ", "connect", "listen", "network"} {
		if strings.Contains(w, s) {
			return because + "declare the host and port in needs: network of its capsule.yaml, or run with --unsafe while developing"
		}
	}
	return because + "declare the file in needs: files of its capsule.yaml, or run with --unsafe while developing"
}

// interval is how often what processes use is looked at: short enough that a process that eats
// memory at 1 GB/s is some 100 MB over its bound when it is ended.
const interval = 100 * time.Millisecond
