package admission

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func streams(n int, s Stream) []Stream { return slices.Repeat([]Stream{s}, n) }

func TestDecide(t *testing.T) {
	t.Parallel()
	two := Machine{CPUs: 2, Share: 0.9}
	floored := Machine{CPUs: 2, Share: 0.9, Floor: 5}
	busy := Machine{CPUs: 2, Share: 0.9, Floor: 5, Busy: true}
	few := Stream{Measured: true, Engine: 0.1, Capsules: 0.15, FPS: 3, Shed: 20}
	full := Stream{Measured: true, Engine: 0.1, Capsules: 0.05, FPS: 25}
	sparse := Stream{Measured: true, Engine: 0.02, Keyframes: true, FPS: 1}
	heavy := Stream{Measured: true, Engine: 0.1, Capsules: 1, FPS: 25}
	for name, c := range map[string]struct {
		machine   Machine
		streams   []Stream
		keyframes bool
		ok, sheds bool
		used      float64
		need      float64
		estimate  float64
		says      string
	}{
		"the first":                          {two, nil, false, true, false, 0, 0, Assumed, "0 streams use 0.00 of 2 CPUs, of which 1.80 are given out; one more is assumed to take 0.25"},
		"the first, whatever it takes":       {Machine{CPUs: 0.1}, nil, false, true, false, 0, 0, Assumed, ""},
		"eleven":                             {two, streams(11, full), false, true, false, 1.65, 1.65, 0.15, "11 streams use 1.65 of 2 CPUs"},
		"twelve":                             {two, streams(12, full), false, false, false, 1.8, 1.8, 0.15, "12 streams use 1.80 of 2 CPUs, of which 1.80 are given out; one like these takes 0.15"},
		"twelve, some frames suffice":        {floored, streams(12, full), false, true, true, 1.8, 1.32, 0.11, "with 5 frames a second each they take 1.32; one like these takes 0.11"},
		"sixteen, some frames suffice":       {floored, streams(16, full), false, false, false, 2.4, 1.76, 0.11, ""},
		"one that is heavy":                  {floored, streams(1, heavy), false, true, true, 1.1, 0.3, 0.3, "1 stream uses 1.10 of 2 CPUs, of which 1.80 are given out; with 5 frames a second each it takes 0.30"},
		"one that is heavy, all frames":      {two, streams(1, heavy), false, false, false, 1.1, 1.1, 1.1, "one like these takes 1.10"},
		"it has few frames anyhow":           {floored, streams(1, Stream{Measured: true, Engine: 0.1, Capsules: 1.6, FPS: 4}), false, false, false, 1.7, 1.7, 1.7, ""},
		"twelve, key frames alone":           {two, streams(12, full), true, false, false, 1.8, 1.8, 0.03, "takes 0.03"},
		"eleven, and key frames alone":       {two, streams(11, full), true, true, false, 1.65, 1.65, 0.03, ""},
		"all of it":                          {Machine{CPUs: 2}, streams(12, full), false, true, false, 1.8, 1.8, 0.15, "1.80 of 2 CPUs; one"},
		"both kinds":                         {two, append(streams(10, full), sparse), true, true, false, 1.52, 1.52, 0.02, ""},
		"key frames tell little of all":      {two, streams(3, sparse), false, true, false, 0.06, 0.06, Assumed, "assumed"},
		"not measured yet":                   {two, streams(6, Stream{}), false, true, false, 1.5, 1.5, Assumed, "assumed"},
		"too many that are not measured":     {two, streams(7, Stream{}), false, false, false, 1.75, 1.75, Assumed, ""},
		"measured and others of the kind":    {two, append(streams(1, Stream{Measured: true, Engine: 0.5, FPS: 9}), streams(2, Stream{})...), false, false, false, 1.5, 1.5, 0.5, ""},
		"frames are left out":                {two, streams(1, Stream{Measured: true, Engine: 1.9, FPS: 9, Shed: 7.4}), false, false, false, 1.9, 1.9, 1.9, "1 stream uses 1.90 of 2 CPUs, of which 1.80 are given out, and 7 frames a second are left out; one like these takes 1.90"},
		"some have few, with CPU time left":  {floored, streams(4, few), false, true, false, 1.0, 1.0, 0.25, ""},
		"some have few, all CPUs are busy":   {busy, append(streams(3, few), full), false, false, false, 0.9, 0.86, 0.215, "4 streams use 0.90 of 2 CPUs, of which 1.80 are given out, and 60 frames a second are left out; with 5 frames a second each they take 0.86; all CPUs are busy, and 3 of the streams have too few frames already; one like these takes 0.2"},
		"all CPUs are busy, all have frames": {busy, streams(4, full), false, true, false, 0.6, 0.44, 0.11, ""},
		"all CPUs are busy, few come":        {busy, streams(4, Stream{Measured: true, Engine: 0.1, FPS: 2}), false, true, false, 0.4, 0.4, 0.1, ""},
		"the first, all CPUs are busy":       {busy, nil, false, true, false, 0, 0, Assumed, ""},
		"as many as are allowed":             {Machine{CPUs: 64, Most: 4}, streams(4, full), false, false, false, 0.6, 0.6, 0.15, "4 streams use 0.60 of 64 CPUs; the most that may be analysed at once is 4"},
		"fewer than are allowed":             {Machine{CPUs: 64, Most: 4}, streams(3, full), false, true, false, 0.45, 0.45, 0.15, ""},
		"half a processor":                   {Machine{CPUs: 0.5}, streams(3, full), false, false, false, 0.45, 0.45, 0.15, "of 0.5 CPUs"},
	} {
		v := Decide(c.machine, Load{c.streams}, c.keyframes)
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
		if v.OK != c.ok || v.Sheds != c.sheds || !near(v.Used, c.used) || !near(v.Need, c.need) || !near(v.Estimate, c.estimate) || !strings.Contains(v.String(), c.says) {
			t.Errorf("%s: %+v\n%s\nwant %+v", name, v, v, c)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parts            []Part
		engine, capsules []float64 // of 2 and 4 seconds
	}{
		"nobody":            {nil, []float64{}, []float64{}},
		"alike":             {[]Part{{0.5, 10}, {0.5, 10}}, []float64{1, 1}, []float64{2, 2}},
		"one decodes more":  {[]Part{{1, 30}, {1, 10}}, []float64{1.5, 0.5}, []float64{2, 2}},
		"one computes more": {[]Part{{1.5, 5}, {0.5, 5}}, []float64{1, 1}, []float64{3, 1}},
		"nothing known":     {[]Part{{}, {}}, []float64{1, 1}, []float64{2, 2}},
	} {
		engine, capsules := Split(2, 4, c.parts)
		if !slices.Equal(engine, c.engine) || !slices.Equal(capsules, c.capsules) {
			t.Errorf("%s: %v and %v, want %v and %v", name, engine, capsules, c.engine, c.capsules)
		}
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  float64
	}{
		"no groups":    {fstest.MapFS{}, math.Inf(1)},
		"no limit":     {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("max 100000\n")}, math.Inf(1)},
		"one and half": {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/cpu.max": file("150000 100000\n")}, 1.5},
		"the one above": {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/cpu.max": file("50000 100000\n"),
			"sys/fs/cgroup/a/b/cpu.max": file("150000 100000\n")}, 0.5},
		"a container": {fstest.MapFS{"proc/self/cgroup": file("0::/../../x\n"), "sys/fs/cgroup/cpu.max": file("200000 100000\n")}, 2},
		"version 1": {fstest.MapFS{"proc/self/cgroup": file("5:memory:/m\n3:cpu,cpuacct:/c\n"), "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": file("75000\n"),
			"sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us": file("100000\n")}, 0.75},
		"version 1 without one": {fstest.MapFS{"proc/self/cgroup": file("3:cpu:/\n"), "sys/fs/cgroup/cpu/cpu.cfs_quota_us": file("-1\n"),
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": file("100000\n")}, math.Inf(1)},
		"nonsense": {fstest.MapFS{"proc/self/cgroup": file("x\n0::/\n"), "sys/fs/cgroup/cpu.max": file("a lot\n")}, math.Inf(1)},
	} {
		if got := quota(c.files); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if n := CPUs(); n <= 0 || math.IsInf(n, 0) {
		t.Errorf("this process may use %v CPUs", n)
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want time.Duration
	}{
		"a machine":         {"cpu  100 20 30 400 50 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n", 4700 * time.Millisecond},
		"an old kernel":     {"cpu 1 2 3 4 5", 110 * time.Millisecond},
		"nothing":           {"", -1},
		"another line":      {"intr 1 2 3 4 5 6", -1},
		"too few":           {"cpu 1 2 3 4\ncpu0 1 2 3 4 5 6", -1},
		"no number":         {"cpu 1 2 3 x 5 6", -1},
		"a negative number": {"cpu 1 2 3 -4 5 6", -1},
		"a huge number":     {"cpu 1 2 3 9223372036854775807 5 6", -1},
	} {
		if got := parseIdle(c.text); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if _, err := os.Stat("/proc/stat"); err == nil && Idle() < 0 {
		t.Error("it is not known here")
	}
}

func TestTimeOf(t *testing.T) {
	t.Parallel()
	const stat = "12 (a (b) c) S 1 12 12 0 -1 4194560 100 0 0 0 150 50 25 5 20 0 8 0 100 1 1"
	for name, c := range map[string]struct {
		text string
		want time.Duration
	}{
		"a process":  {stat, 2300 * time.Millisecond},
		"cut off":    {stat[:30], 0},
		"nothing":    {"", 0},
		"no numbers": {strings.ReplaceAll(stat, "150", "x"), 0},
	} {
		if got := parseStat(c.text); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if TimeOf(-1) != 0 || TimeOf(os.Getpid()) < 0 {
		t.Error("a process that is not there has used time")
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("12 (a) S 1 12 12 0 -1 4194560 100 0 0 0 150 50 25 5 20 0")
	f.Fuzz(func(t *testing.T, text string) {
		if parseStat(text) < 0 {
			t.Error("time below zero")
		}
	})
}
