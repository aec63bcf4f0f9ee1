package check

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/conform"
)

const (
	halt = syscall.SIGSTOP
	kill = syscall.SIGKILL
)

// signalProcess sends a signal to the capsule's process alone; the host ends the group. A process
// that is halted stands still when it returns.
func signalProcess(pid int, s syscall.Signal) error {
	if pid <= 0 {
		return core.Faultf(core.CapsuleExited, "signal", "", "the capsule has no process")
	}
	if err := syscall.Kill(pid, s); err != nil || s != halt {
		return err
	}
	for range 200 { // each thread stops in its own time
		if standsStill(pid) {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return core.Faultf(core.CapsuleFailed, "signal", "", "process %d does not stop", pid)
}

// standsStill says whether every thread of a process is stopped.
func standsStill(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		if state := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])); len(state) == 0 || state[0] != "T" && state[0] != "t" {
			return false
		}
	}
	return true
}

// usageOf adds up what a capsule's process group holds; processes that end meanwhile count nothing.
func usageOf(pid int) conform.Usage {
	var u conform.Usage
	if pid <= 0 {
		return u
	}
	members, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return u
	}
	for _, dir := range members {
		if !inGroup(dir, pid) {
			continue
		}
		status := statusOf(dir)
		u.Memory += status["VmRSS"]
		u.Threads += int(status["Threads"])
		if list, err := os.ReadDir(dir + "/fd"); err == nil {
			u.Files += len(list)
		}
	}
	return u
}

// inGroup says whether a process of /proc belongs to a group.
func inGroup(dir string, group int) bool {
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name may have spaces
	return len(fields) > 2 && fields[2] == strconv.Itoa(group)
}

// peakOf gives the most memory that a process has held, 0 when it is gone.
func peakOf(pid int) int64 {
	if pid <= 0 {
		return 0
	}
	return statusOf("/proc/" + strconv.Itoa(pid))["VmHWM"]
}

// statusOf reads the numbers of a /proc/PID/status, those in kB as bytes; empty when it is not there.
func statusOf(dir string) map[string]int64 {
	values := map[string]int64{}
	file, err := os.Open(dir + "/status")
	if err != nil {
		return values
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		var n int64
		if _, err := fmt.Sscan(rest, &n); err != nil {
			continue
		}
		if strings.HasSuffix(rest, " kB") {
			n *= 1024
		}
		values[name] = n
	}
	return values
}
