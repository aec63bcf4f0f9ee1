package admission

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// CPUs gives how many CPUs this process may use: those that it may run on, or fewer where a
// control group limits it.
func CPUs() float64 {
	return min(float64(runtime.NumCPU()), quota(os.DirFS("/")))
}

// quota reads the least limit of the process's control groups, of either version; +Inf where there
// is none.
func quota(root fs.FS) float64 {
	least := math.Inf(1)
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, limit := "sys/fs/cgroup", limit2
		if parts[1] != "" {
			if !contains(parts[1], "cpu") {
				continue
			}
			base, limit = "sys/fs/cgroup/"+parts[1], limit1
		}
		// A group is bounded by those above it. In a container its path may lead nowhere from here.
		for dir := path.Join("/", parts[2]); ; dir = path.Dir(dir) {
			least = min(least, limit(root, path.Join(base, dir)))
			if dir == "/" {
				break
			}
		}
	}
	return least
}

func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// limit2 reads cpu.max of a control group of version 2: "QUOTA PERIOD" or "max PERIOD".
func limit2(root fs.FS, dir string) float64 {
	text, err := fs.ReadFile(root, path.Join(dir, "cpu.max"))
	if err != nil {
		return math.Inf(1)
	}
	q, period, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	return ratio(q, period)
}

// limit1 reads the two files of version 1; a quota of -1 is none.
func limit1(root fs.FS, dir string) float64 {
	q, err1 := fs.ReadFile(root, path.Join(dir, "cpu.cfs_quota_us"))
	period, err2 := fs.ReadFile(root, path.Join(dir, "cpu.cfs_period_us"))
	if errors.Join(err1, err2) != nil {
		return math.Inf(1)
	}
	return ratio(strings.TrimSpace(string(q)), strings.TrimSpace(string(period)))
}

func ratio(quota, period string) float64 {
	q, err1 := strconv.ParseInt(quota, 10, 64)
	p, err2 := strconv.ParseInt(period, 10, 64)
	if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
		return math.Inf(1)
	}
	return float64(q) / float64(p)
}

// clockTick is the unit of times in /proc, the same on every Linux that Go runs on.
const clockTick = time.Second / 100

// maxTicks is more than any process lives; sums of them fit into a time.Duration.
const maxTicks = 1 << 36

// TimeOf gives the CPU time that a process has used, with its children that have ended; 0 for one
// that is not there.
func TimeOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return parseStat(string(text))
}

// Idle gives the CPU time that nobody has used since the machine was started, of all its CPUs
// together. What runs with a low priority gives way, so that its time counts as not used. It is
// negative where that cannot be read.
func Idle() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return -1
	}
	return parseIdle(string(text))
}

// parseIdle reads the first line of /proc/stat: "cpu USER NICE SYSTEM IDLE IOWAIT …".
func parseIdle(text string) time.Duration {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return -1
	}
	var ticks int64
	for _, i := range [...]int{2, 4, 5} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil || n < 0 || n > maxTicks {
			return -1
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}

// parseStat reads /proc/PID/stat. The name, in parentheses, may hold anything; the fields after it
// are counted from its end.
func parseStat(text string) time.Duration {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || n < 0 || n > maxTicks {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}
