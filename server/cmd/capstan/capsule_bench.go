package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/check"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/spf13/cobra"
)

// capsuleBenchFlags are the settings of capstan capsule bench.
type capsuleBenchFlags struct {
	source   string
	options  []string
	nodes    int
	time     time.Duration
	window   int
	json     bool
	logLevel string
	copying  bool
}

func capsuleBenchCommand() *cobra.Command {
	var f capsuleBenchFlags
	cmd := &cobra.Command{
		Use:   "bench DIR|FILE.cap",
		Short: "Measure one capsule by itself: rate, latency, memory",
		Long: `Give the capsule frames as fast as it takes them and report calls a second, where the time of a call
goes, and memory. A capsule that takes nodes is given made-up ones.

  queue     waiting in the capsule's process
  convert   making the picture that it asked for
  hand-off  to the capsule's process and back
  compute   inside the capsule's code

Latency is measured with one call under way, the rate with several, on pictures that are ready.

Exit status: 0 done, 1 failed or every call failed, 2 wrong usage, 130 interrupted.`,
		Example: `  capstan capsule bench .
  capstan capsule bench . --source video.mp4 --time 10s
  capstan capsule bench my_classifier.cap --nodes 5 --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("bench takes one DIR or FILE.cap, got %d; see capstan capsule bench --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return interruptedOr(cmd.Context(), measureCapsule(cmd.Context(), args[0], f, cmd.OutOrStdout()))
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.source, "source", "test://?pattern=ball&size=1920x1080&frames=600", "the `VIDEO` to take frames from, again and again")
	fl.StringArrayVar(&f.options, "option", nil, "set an option, repeatable: `name=value`")
	fl.IntVar(&f.nodes, "nodes", 3, "made-up nodes on a frame, for a capsule that takes nodes")
	fl.DurationVar(&f.time, "time", 5*time.Second, "measure latency so long, and then the rate")
	fl.IntVar(&f.window, "window", 8, "`N` calls are under way at once when the rate is measured; 1 for a stateful capsule")
	fl.BoolVar(&f.json, "json", false, "print the report as JSON")
	fl.StringVar(&f.logLevel, "log-level", "warn", "trace, debug, info, warn, error or off, to standard error")
	fl.BoolVar(&f.copying, "copy", false, "send pixels by message, not by shared memory (slow)")
	return cmd
}

// capsuleBenchReport is what capstan capsule bench --json prints.
type capsuleBenchReport struct {
	Capsule string             `json:"capsule"`
	Version string             `json:"version"`
	Source  string             `json:"source"`
	Calls   uint64             `json:"calls"`
	Failed  uint64             `json:"failed"`
	Found   uint64             `json:"nodes"`
	Rate    float64            `json:"calls_per_second"`
	Window  int                `json:"window"`
	Launch  float64            `json:"launch_ms"`
	Latency []capsuleBenchPart `json:"latency"`
	Memory  capsuleBenchMemory `json:"memory"`
}

type capsuleBenchPart struct {
	Part string  `json:"part"`
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
}

// capsuleBenchMemory is in bytes; 0 is not known.
type capsuleBenchMemory struct {
	Start int64 `json:"start"`
	After int64 `json:"after"`
	Peak  int64 `json:"peak"`
}

// measureCapsule is capstan capsule bench.
func measureCapsule(ctx context.Context, path string, f capsuleBenchFlags, out io.Writer) error {
	if f.nodes < 0 || f.nodes > 1000 || f.time <= 0 || f.window < 1 || f.window > 64 {
		return usageError{fmt.Errorf("--nodes %d, --time %s, --window %d: want 0..1000, above 0, 1..64", f.nodes, f.time, f.window)}
	}
	log, err := newLog(f.logLevel)
	if err != nil {
		return err
	}
	entry, err := oneCapsule(ctx, path)
	if err != nil {
		return err
	}
	options, err := ownOptions(entry, f.options)
	if err != nil {
		return err
	}
	spec, err := specOf(entry, options)
	if err != nil {
		return err
	}
	media, err := gstreamer.New(log.Named("gstreamer"))
	if err != nil {
		return err
	}
	h := host.New(host.Config{Log: log, Copy: f.copying})
	defer h.Close()
	began := time.Now()
	c, err := h.Launch(ctx, spec)
	if err != nil {
		return err
	}
	launched := time.Since(began)
	if !f.json {
		fmt.Fprintf(os.Stderr, "measuring %s for %s\n", entry.Declaration.Name, 2*f.time)
	}
	m, err := check.Measure(ctx, c, check.Load{
		Media: media, Source: pipeline.Source{Stream: "bench", URL: f.source}, Values: c.Values(), Nodes: f.nodes, Time: f.time, Window: f.window,
	})
	if err != nil {
		return err
	}
	if m.Failed == m.Calls {
		return core.Faultf(core.CapsuleFailed, "bench", entry.Declaration.Name, "every call failed: %w", m.FirstErr)
	}
	r := capsuleBenchOf(m)
	r.Capsule, r.Version, r.Source, r.Launch = entry.Declaration.Name, entry.Declaration.Version, redact(f.source), milliseconds(launched)
	if f.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return r.print(out, m.FirstErr)
}

func capsuleBenchOf(m *check.Measured) *capsuleBenchReport {
	r := &capsuleBenchReport{
		Calls: m.Calls, Failed: m.Failed, Found: m.Found, Rate: float64(int(m.Rate*10)) / 10, Window: m.Window,
		Memory: capsuleBenchMemory{Start: m.Start.Memory, After: m.After.Memory, Peak: m.Peak},
	}
	for _, p := range []struct {
		name string
		of   *pipeline.Histogram
	}{{"queue", &m.Queue}, {"convert", &m.Convert}, {"hand-off", &m.Handoff}, {"compute", &m.Compute}, {"whole", &m.Total}} {
		r.Latency = append(r.Latency, capsuleBenchPart{p.name, milliseconds(p.of.Mean()), milliseconds(p.of.Quantile(0.5)), milliseconds(p.of.Quantile(0.99))})
	}
	return r
}

func (r *capsuleBenchReport) print(w io.Writer, firstErr error) error {
	fmt.Fprintf(w, "%s %s on %s\n\n", r.Capsule, r.Version, r.Source)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ms\tmean\tp50\tp99\t")
	for _, p := range r.Latency {
		fmt.Fprintf(t, "%s\t%.3f\t%.3f\t%.3f\t\n", p.Part, p.Mean, p.P50, p.P99)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "\n%.1f calls a second with %d under way; %d calls, %d nodes; started in %.0f ms\n", r.Rate, r.Window, r.Calls, r.Found, r.Launch)
	_, err := fmt.Fprintf(w, "memory: %.1f MB when started, %.1f MB after, %.1f MB at most\n", float64(r.Memory.Start)/1e6, float64(r.Memory.After)/1e6, float64(r.Memory.Peak)/1e6)
	if r.Failed > 0 {
		_, err = fmt.Fprintf(w, "%d calls failed, the first one: %v\n", r.Failed, firstErr)
	}
	return err
}
