package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/capstan-video/capstan/pipeline"
)

// self is the engine's own process among the capsules' names: decoding, pictures, hand-off.
const self = "capstan"

// cpuTimes gives the CPU time that this process and those of the capsules have used so far, and
// the capsules' process IDs.
func cpuTimes(st pipeline.SessionStats) (map[string]time.Duration, map[string]int) {
	times, pids := map[string]time.Duration{}, map[string]int{}
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		times[self] = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for _, c := range st.Capsules {
		pids[c.Name] = c.PID
		if t, err := cpuOf(c.PID); err == nil {
			times[c.Name] = t
		}
	}
	return times, pids
}

// clockTick is the unit of times in /proc, the same on every Linux that Go runs on.
const clockTick = time.Second / 100

// cpuOf reads the user and system time of a process from /proc.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything; the fields after it are counted from its end.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}
