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
	full, sparse := Stream{Measured: true, Cost: 0.15}, Stream{Measured: true, Cost: 0.02, Keyframes: true}
	for name, c := range map[string]struct {
		machine   Machine
		streams   []Stream
		keyframes bool
		ok        bool
		used      float64
		estimate  float64
		says      string
	}{
		"the first":                       {two, nil, false, true, 0, Assumed, "0 streams use 0.00 of 2 CPUs, of which streams may take 1.80; one more is assumed to take 0.25"},
		"the first, whatever it takes":    {Machine{CPUs: 0.1}, nil, false, true, 0, Assumed, ""},
		"eleven":                          {two, streams(11, full), false, true, 1.65, 0.15, "11 streams use 1.65 of 2 CPUs"},
		"twelve":                          {two, streams(12, full), false, false, 1.8, 0.15, "12 streams use 1.80 of 2 CPUs, of which streams may take 1.80; one like these takes 0.15"},
		"twelve, key frames alone":        {two, streams(12, full), true, false, 1.8, 0.03, "takes 0.03"},
		"eleven, and key frames alone":    {two, streams(11, full), true, true, 1.65, 0.03, ""},
		"all of it":                       {Machine{CPUs: 2}, streams(12, full), false, true, 1.8, 0.15, "1.80 of 2 CPUs; one"},
		"both kinds":                      {two, append(streams(10, full), sparse), true, true, 1.52, 0.02, ""},
		"key frames tell little of all":   {two, streams(3, sparse), false, true, 0.06, Assumed, "assumed"},
		"not measured yet":                {two, streams(6, Stream{}), false, true, 1.5, Assumed, "assumed"},
		"too many that are not measured":  {two, streams(7, Stream{}), false, false, 1.75, Assumed, ""},
		"measured and others of the kind": {two, append(streams(1, Stream{Measured: true, Cost: 0.5}), streams(2, Stream{})...), false, false, 1.5, 0.5, ""},
		"one that takes it all":           {two, streams(1, Stream{Measured: true, Cost: 1.9, Shed: 7.4}), false, false, 1.9, 1.9, "1 stream uses 1.90 of 2 CPUs, of which streams may take 1.80, and leave out 7 frames a second; one like these takes 1.90"},
		"as many as are allowed":          {Machine{CPUs: 64, Most: 4}, streams(4, full), false, false, 0.6, 0.15, "4 streams use 0.60 of 64 CPUs; the most that may be analysed at once is 4"},
		"fewer than are allowed":          {Machine{CPUs: 64, Most: 4}, streams(3, full), false, true, 0.45, 0.15, ""},
		"half a processor":                {Machine{CPUs: 0.5}, streams(3, full), false, false, 0.45, 0.15, "of 0.5 CPUs"},
	} {
		v := Decide(c.machine, Load{c.streams}, c.keyframes)
		if v.OK != c.ok || math.Abs(v.Used-c.used) > 1e-9 || math.Abs(v.Estimate-c.estimate) > 1e-9 || !strings.Contains(v.String(), c.says) {
			t.Errorf("%s: %v %q, used %v, one more %v; want %v, %v, %v, %q", name, v.OK, v, v.Used, v.Estimate, c.ok, c.used, c.estimate, c.says)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		used  float64
		parts []Part
		want  []float64
	}{
		"nobody":             {1, nil, []float64{}},
		"alike":              {2, []Part{{0.5, 10}, {0.5, 10}}, []float64{1, 1}},
		"one decodes more":   {2, []Part{{0, 30}, {0, 10}}, []float64{1.5, 0.5}},
		"one computes more":  {2, []Part{{1.5, 0}, {0.5, 0}}, []float64{1.5, 0.5}},
		"more than there is": {2, []Part{{6, 10}, {2, 10}}, []float64{1.5, 0.5}},
		"nothing known":      {2, []Part{{}, {}}, []float64{1, 1}},
	} {
		got := Split(c.used, c.parts)
		if len(got) != len(c.want) {
			t.Fatalf("%s: %v", name, got)
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-9 {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
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
