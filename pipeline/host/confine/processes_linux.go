package confine

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// members gives the processes of each of the process groups; those that have ended and are not
// yet waited for do not count. A confined process cannot leave its group.
func members(groups map[int]bool) map[int][]int {
	found := map[int][]int{}
	dir, err := os.Open("/proc")
	if err != nil {
		return found
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if group, err := unix.Getpgid(pid); err == nil && groups[group] && !ended(pid) {
			found[group] = append(found[group], pid)
		}
	}
	return found
}

// stands says whether somebody has stopped a process.
func stands(pid int) bool {
	_, state, ok := strings.Cut(readFile(fmt.Sprintf("/proc/%d/stat", pid)), ") ")
	return ok && state[0] == 'T'
}

// ended says whether a process is gone but for its number.
func ended(pid int) bool {
	_, state, ok := strings.Cut(readFile(fmt.Sprintf("/proc/%d/stat", pid)), ") ")
	return !ok || state[0] == 'Z' || state[0] == 'X'
}

// threads gives how many threads the machine has now, for a fraction of what counting them costs.
func threads() int {
	fields := strings.Fields(readFile("/proc/loadavg"))
	if len(fields) < 4 {
		return 0
	}
	_, all, _ := strings.Cut(fields[3], "/")
	n, _ := strconv.Atoi(all)
	return n
}

// resident gives an upper bound of a process's memory in bytes, cheaply: files and arenas count.
func resident(pid int) int64 {
	fields := strings.Fields(readFile(fmt.Sprintf("/proc/%d/statm", pid)))
	if len(fields) < 3 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// used gives the memory of a process in bytes: its own, swapped or not, and its share of memory
// files; not arenas, nor what is only read of files.
func used(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	var total int64
	var m mapping
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 0 && !strings.HasSuffix(fields[0], ":") { // the first line of a mapping
			total += m.used()
			m = mapping{name: strings.Join(fields[min(5, len(fields)):], " ")}
			continue
		}
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "Pss:":
			m.share = n << 10
		case "Anonymous:":
			m.own = n << 10
		case "SwapPss:":
			m.swap = n << 10
		}
	}
	return total + m.used()
}

// mapping is one of a process, in bytes.
type mapping struct {
	name             string
	share, own, swap int64
}

// arena begins the name of what the engine shares with its capsules.
const arena = "/memfd:capstan-arena"

func (m mapping) used() int64 {
	if strings.HasPrefix(m.name, arena) {
		return 0
	}
	for _, memory := range []string{"[", "/memfd:", "/dev/zero", "/dev/shm/", "/SYSV"} {
		if m.name == "" || strings.HasPrefix(m.name, memory) {
			return m.share + m.swap
		}
	}
	return min(m.share, m.own) + m.swap // of a file only what was changed
}
