package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// ratio is ours over theirs, or another number, round by round.
type ratio struct{ min, median, max float64 }

func ratioOf(n int, f func(i int) float64) ratio {
	v := make([]float64, n)
	for i := range v {
		v[i] = f(i)
	}
	slices.Sort(v)
	return ratio{v[0], (v[(n-1)/2] + v[n/2]) / 2, v[n-1]}
}

// goal is a row of the table.
type goal struct {
	what string
	want string
	got  ratio
	met  bool
	unit string
}

func (m *measurement) table(rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nReproduce with `make bench KEEP=1` (writes this file). Clip: %d frames, 1920x1080, H.264 at 7 Mbit/s, %s.\n", m.frames, m.clips.origin)
	fmt.Fprintf(&b, "Machine: %d CPUs, %s/%s, %s. %d rounds, every variant in turn; median, with the lowest and the highest round behind it.\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), rounds)
	b.WriteString("Before the rounds every frame's checksum, as a capsule saw it, was compared with that of a decoder in a process of its own.\n")
	b.WriteString("CPU counts every process of a variant, its start included; where CPU is compared, that of the first 25 frames is taken off both.\n\n")
	if !m.complete() {
		m.rows(&b, rounds)
		return b.String()
	}
	b.WriteString("## Goals\n\n| what | goal | measured | lowest..highest | met |\n|---|---|---|---|---|\n")
	for _, g := range m.goals(rounds) {
		met := "yes"
		if !g.met {
			met = "**no**"
		}
		fmt.Fprintf(&b, "| %s | %s | %.3g%s | %.3g..%.3g | %s |\n", g.what, g.want, g.got.median, g.unit, g.got.min, g.got.max, met)
	}
	b.WriteString("\n## Every variant\n\n")
	m.rows(&b, rounds)
	b.WriteString("\nOther measurements: nearest identity (`go run ./core/match/bench`).\n")
	return b.String()
}

// complete says whether every variant was measured.
func (m *measurement) complete() bool { return len(m.samples) == len(variants) }

// rows writes what was measured.
func (m *measurement) rows(b *strings.Builder, rounds int) {
	b.WriteString("| variant | fps | CPU ms a frame | hand-off p50 µs | hand-off p99 µs |\n|---|---|---|---|---|\n")
	for _, v := range variants {
		s := m.samples[v.name]
		if s == nil {
			continue
		}
		fps := ratioOf(rounds, func(i int) float64 { return s[i].fps })
		cpu := ratioOf(rounds, func(i int) float64 { return 1000 * s[i].CPU / float64(s[i].Frames) })
		fmt.Fprintf(b, "| %s | %.1f (%.1f..%.1f) | %.2f (%.2f..%.2f) | %s | %s |\n", titles[v.name], fps.median, fps.min, fps.max, cpu.median, cpu.min, cpu.max,
			handoff(s, func(s sample) map[string]float64 { return s.HandUS }), handoff(s, func(s sample) map[string]float64 { return s.Hand99US }))
	}
}

var titles = map[string]string{
	"decode":       "(a) gst-launch decodebin ! fakesink",
	"decode-start": "(a), the first 25 frames",
	"gray-start":   "GRAY8 no-op capsule, the first 25 frames",
	"gray":         "GRAY8 no-op capsule",
	"python":       "GRAY8 no-op capsule in Python",
	"rgb-gst":      "(b) gst-launch decodebin ! videoconvert ! RGB ! fakesink",
	"rgb":          "RGB no-op capsule",
	"chain":        "detector → tracker → classifier, no-op",
	"four":         "four streams at once, GRAY8 no-op capsule",
	"shm":          "(c) gst-launch shmsink → shmsrc",
	"copy":         "(d) copying mode, GRAY8 no-op capsule",
	"copy-rgb":     "(d) copying mode, RGB no-op capsule",
	"small":        "GRAY8 no-op capsule, 640x360",
	"paced":        "GRAY8 no-op capsule, paced at the clip's rate",
	"paced-python": "GRAY8 no-op capsule in Python, paced",
	"paced-small":  "GRAY8 no-op capsule, paced, 640x360",
}

// handoff gives the medians over the rounds, of the slowest capsule of the variant.
func handoff(list []sample, of func(sample) map[string]float64) string {
	if len(list[0].HandUS) == 0 {
		return ""
	}
	r := worst(list, of)
	return fmt.Sprintf("%.0f (%.0f..%.0f)", r.median, r.min, r.max)
}

func worst(list []sample, of func(sample) map[string]float64) ratio {
	return ratioOf(len(list), func(i int) float64 {
		most := 0.0
		for _, v := range of(list[i]) {
			most = max(most, v)
		}
		return most
	})
}

func (m *measurement) goals(rounds int) []goal {
	fps := func(a, b string) ratio {
		return ratioOf(rounds, func(i int) float64 { return m.samples[a][i].fps / m.samples[b][i].fps })
	}
	hand := func(v string) ratio {
		return worst(m.samples[v], func(s sample) map[string]float64 { return s.HandUS })
	}
	added := ratioOf(rounds, func(i int) float64 {
		ours := m.samples["gray"][i].CPU - m.samples["gray-start"][i].CPU
		theirs := m.samples["decode"][i].CPU - m.samples["decode-start"][i].CPU
		return 1000 * (ours - theirs) / float64(m.frames-startFrames)
	})
	size := ratioOf(rounds, func(i int) float64 {
		return m.samples["paced"][i].HandUS["noop_gray"] / m.samples["paced-small"][i].HandUS["noop_gray"]
	})
	list := []goal{
		{what: "GRAY8 no-op capsule, fps over (a)", want: "≥ 0.95", got: fps("gray", "decode")},
		{what: "CPU that it adds to (a), a frame", want: "≤ 0.15 ms", got: added, unit: " ms"},
		{what: "RGB no-op capsule, fps over (b)", want: "≥ 1.15", got: fps("rgb", "rgb-gst")},
		{what: "hand-off p50 at full load", want: "≤ 60 µs", got: hand("gray"), unit: " µs"},
		{what: "hand-off p50 paced", want: "≤ 250 µs", got: hand("paced"), unit: " µs"},
		{what: "GRAY8 no-op capsule in Python, fps over (a)", want: "≥ 0.85", got: fps("python", "decode")},
		{what: "hand-off p50 of Python at full load", want: "≤ 300 µs", got: hand("python"), unit: " µs"},
		{what: "three capsules in a chain, fps over (a)", want: "≥ 0.90", got: fps("chain", "decode")},
		{what: "four streams at once, total fps over one stream's", want: "≥ 0.95", got: fps("four", "gray")},
		{what: "hand-off p50 at 1080p over 360p, paced", want: "≤ 1.5", got: size},
		{what: "GRAY8 no-op capsule, fps over (c)", want: "≥ 1", got: fps("gray", "shm")},
		{what: "GRAY8 no-op capsule, fps over (d)", want: "≥ 1", got: fps("gray", "copy")},
	}
	for i := range list {
		list[i].met = met(list[i])
	}
	return list
}

// met reads the goal's own words, so that the table cannot say one thing and judge another.
func met(g goal) bool {
	var bound float64
	sign, rest, _ := strings.Cut(g.want, " ")
	if _, err := fmt.Sscanf(rest, "%g", &bound); err != nil {
		panic("goal without a number: " + g.want)
	}
	if sign == "≥" {
		return g.got.median >= bound
	}
	return g.got.median <= bound
}
