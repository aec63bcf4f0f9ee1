package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// benchReport is what capstan bench writes with --json. Times are milliseconds.
type benchReport struct {
	Capstan   string             `json:"capstan"`
	Source    string             `json:"source"`
	Frames    uint64             `json:"frames"` // of all rounds
	FPS       float64            `json:"fps"`    // median of the rounds
	Rounds    []float64          `json:"fps_rounds"`
	Latency   latencies          `json:"latency_ms"`  // of a frame, from its arrival to the end of the last stage
	CPU       map[string]float64 `json:"cpu_ms"`      // for a frame; capstan: decoding, pictures, hand-off
	Waits     waits              `json:"waits_ms"`    // for a frame
	Pictures  float64            `json:"pictures"`    // made for a frame
	Undecoded uint64             `json:"not_decoded"` // by --keyframes
	Capsules  []benchCapsule     `json:"capsules"`    // in the order of stages
	Full      *fullReport        `json:"full,omitempty"`
	Python    *pythonReport      `json:"python,omitempty"`
}

// waits tells what bounds the rate.
type waits struct {
	Source   float64 `json:"source"`   // for the decoder
	Capsules float64 `json:"capsules"` // for frames under way
}

type latencies struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
}

type benchCapsule struct {
	Name    string            `json:"name"`
	Stage   int               `json:"stage"` // from 1; 0: not in the plan
	Calls   uint64            `json:"calls"`
	Nodes   uint64            `json:"nodes"`
	Skipped map[string]uint64 `json:"skipped"`
	Failed  uint64            `json:"failed"`
	Queue   latencies         `json:"queue"`
	Convert latencies         `json:"convert"`
	Handoff latencies         `json:"handoff"`
	Compute latencies         `json:"compute"`
	Call    latencies         `json:"call"`  // convert, hand-off and compute together
	Whole   latencies         `json:"whole"` // with the queue
}

// part is one of the parts of a capsule's latency.
type part struct {
	name   string
	colour string
	of     func(c *benchCapsule) latencies
}

var parts = []part{
	{"queue", "#c3cad3", func(c *benchCapsule) latencies { return c.Queue }},
	{"convert", "#8cc084", func(c *benchCapsule) latencies { return c.Convert }},
	{"hand-off", "#eda34f", func(c *benchCapsule) latencies { return c.Handoff }},
	{"compute", "#4a7bab", func(c *benchCapsule) latencies { return c.Compute }},
}

func newBenchReport(source string, m *measured) *benchReport {
	frames := float64(m.stats.Frames)
	each := func(d time.Duration) float64 { return rounded(float64(d)/float64(time.Millisecond)/frames, 1e3) }
	r := &benchReport{
		Capstan: buildVersion(), Source: source, Frames: m.stats.Frames, FPS: rounded(median(m.rounds), 100), Rounds: roundedAll(m.rounds),
		Latency: spreadOf(&m.stats.Latency), CPU: map[string]float64{}, Waits: waits{each(m.stats.SourceWait), each(m.stats.WindowWait)},
		Pictures: rounded(float64(m.stats.Media.Converts)/frames, 100), Undecoded: m.stats.Media.Skipped,
	}
	for name, t := range m.cpu {
		r.CPU[name] = each(t)
	}
	for i := range m.stats.Capsules {
		c := &m.stats.Capsules[i]
		r.Capsules = append(r.Capsules, benchCapsule{
			Name: c.Name, Stage: m.stages[c.Name], Calls: c.Calls, Nodes: c.Nodes, Skipped: c.Skipped, Failed: total(c.Failures),
			Queue: spreadOf(&c.Times.Queue), Convert: spreadOf(&c.Times.Convert), Handoff: spreadOf(&c.Times.Handoff),
			Compute: spreadOf(&c.Times.Compute), Call: spreadOf(&c.Times.Total), Whole: spreadOf(&c.Times.Whole),
		})
	}
	slices.SortStableFunc(r.Capsules, func(a, b benchCapsule) int { return a.Stage - b.Stage })
	return r
}

func spreadOf(h *pipeline.Histogram) latencies {
	ms := func(d time.Duration) float64 { return rounded(float64(d)/float64(time.Millisecond), 1e3) }
	return latencies{ms(h.Mean()), ms(h.Quantile(0.5)), ms(h.Quantile(0.99))}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func roundedAll(v []float64) []float64 {
	r := make([]float64, len(v))
	for i, x := range v {
		r[i] = rounded(x, 100)
	}
	return r
}

// write gives the report in every form that was asked for, the table always.
func (b *bench) write(r *benchReport) error {
	to := io.Writer(os.Stdout)
	if b.flags.json == "-" {
		to = os.Stderr
	}
	r.table(to)
	if b.flags.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := writeFile(b.flags.json, append(text, '\n')); err != nil {
			return err
		}
	}
	if b.flags.svg == "" {
		return nil
	}
	return writeFile(b.flags.svg, []byte(r.picture()))
}

func writeFile(path string, text []byte) error {
	if path == "-" {
		_, err := os.Stdout.Write(text)
		return writeFault(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return core.Faultf(core.Invalid, "bench", "", "%w", err)
	}
	return nil
}

// table shows a person where the time went.
func (r *benchReport) table(w io.Writer) {
	fmt.Fprintf(w, "%s: %d frames in %d rounds: %.1f fps (%v)\n\n", r.Source, r.Frames, len(r.Rounds), r.FPS, r.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "stage\tcapsule\tcalls\tnodes\tskipped\tpart\tmean ms\tp50 ms\tp99 ms\t")
	for i := range r.Capsules {
		c := &r.Capsules[i]
		fmt.Fprintf(t, "%d\t%s\t%d\t%d\t%d\t", c.Stage, c.Name, c.Calls, c.Nodes, total(c.Skipped))
		for _, p := range parts {
			s := p.of(c)
			fmt.Fprintf(t, "%s\t%.3f\t%.3f\t%.3f\t\n\t\t\t\t\t", p.name, s.Mean, s.P50, s.P99)
		}
		fmt.Fprintf(t, "all\t%.3f\t%.3f\t%.3f\t\n", c.Whole.Mean, c.Whole.P50, c.Whole.P99)
	}
	fmt.Fprintf(t, "\tframe\t%d\t\t\tlatency\t%.3f\t%.3f\t%.3f\t\n", r.Frames, r.Latency.Mean, r.Latency.P50, r.Latency.P99)
	_ = t.Flush()
	fmt.Fprintf(w, "\nCPU for a frame: %.2f ms", r.allCPU())
	for _, name := range r.processes() {
		fmt.Fprintf(w, "; %s %.2f", name, r.CPU[name])
	}
	fmt.Fprintf(w, "\nThe reader waited for each frame %.2f ms for the source and %.2f ms for capsules: %s bounds the rate.\n", r.Waits.Source, r.Waits.Capsules, r.bound())
	r.failures(w)
	r.comparisons(w)
}

func (r *benchReport) allCPU() float64 {
	sum := 0.0
	for _, v := range r.CPU {
		sum += v
	}
	return sum
}

// processes lists the processes, capstan first, then by stage.
func (r *benchReport) processes() []string {
	list := []string{self}
	for _, c := range r.Capsules {
		list = append(list, c.Name)
	}
	return list
}

func (r *benchReport) bound() string {
	if r.Waits.Source > r.Waits.Capsules {
		return "the source"
	}
	return "what the capsules do"
}

func (r *benchReport) failures(w io.Writer) {
	for _, c := range r.Capsules {
		if c.Failed > 0 {
			fmt.Fprintf(w, "%s failed on %d frames; they count as done\n", c.Name, c.Failed)
		}
	}
	if r.Undecoded > 0 {
		fmt.Fprintf(w, "%d frames not decoded, because they are no key frames\n", r.Undecoded)
	}
}

func (r *benchReport) comparisons(w io.Writer) {
	if f := r.Full; f != nil {
		fmt.Fprintf(w, "\nAgainst every capsule on every frame (%.1f fps, %.2f ms CPU a frame): the video in 1/%.2f of the time, %.1f %% of the CPU time saved\n",
			f.FPS, f.CPU, f.Faster, 100*f.Saved)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "class\tboxes\tsame here\tonly here\tnoticed within 1 s\t")
		for _, c := range f.Classes {
			fmt.Fprintf(t, "%s\t%d\t%.1f %%\t%.1f %%\t%.1f %%\t\n", c.Class, c.Boxes, 100*c.Same, 100*c.Extra, 100*c.Noticed)
		}
		_ = t.Flush()
	}
	if p := r.Python; p != nil {
		fmt.Fprintf(w, "\nAgainst Python with OpenCV %s (%d threads): %.2f times its %.1f fps (%v); CPU for a frame %.2f ms against %.2f ms\n",
			p.OpenCV, p.Threads, p.Faster, p.FPS, p.Rounds, r.allCPU(), p.CPU)
		fmt.Fprintf(w, "%.2f %% of its %d boxes found here too (IoU 0.9 or more); %.2f %% of ours are not among its\n", 100*p.Same, p.Boxes, 100*p.Extra)
		fmt.Fprintf(w, "%.2f %% of its %d boxes that are %.1f or more above the threshold found here too\n", 100*p.ClearSame, p.ClearBoxes, clearBy)
		if p.Filter != string(core.OpenCV) {
			fmt.Fprintln(w, "our pictures are not shrunk as its are; --picture "+comparable+"=416,opencv does it")
		}
		if n := len(r.Rounds); p.Frames*n != int(r.Frames) {
			fmt.Fprintf(w, "it read %d frames of the clip, we %d\n", p.Frames, int(r.Frames)/n)
		}
	}
}
