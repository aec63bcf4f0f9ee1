// Command bench measures the server: what zones, alarms and statuses take from the engine, how many
// reads a second it answers beside four streams, and how it tells 500 readers. It fails when
// something was not processed.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := bench(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// row is a line of the table.
type row struct{ what, goal, measured, met string }

func met(ok bool) string {
	if ok {
		return "yes"
	}
	return "**no**"
}

// settings are what the measurements share.
type settings struct {
	rounds  int
	seconds time.Duration // of a measurement that goes by time
	capstan string        // the program
	clip    string        // 1920x1080
	work    string
	alerts  string // a folder with the alerts from before, or for them; empty: new ones
}

func bench() error {
	s := settings{seconds: 10 * time.Second}
	flag.IntVar(&s.rounds, "rounds", 3, "rounds of what is compared")
	flag.DurationVar(&s.seconds, "time", s.seconds, "how long reads and statuses are measured")
	flag.StringVar(&s.capstan, "capstan", "bin/capstan", "the program, with its capsules beside it")
	flag.StringVar(&s.clip, "clip", "out/bench/1080p.mp4", "the clip that pipeline/bench has made")
	flag.StringVar(&s.work, "work", "out/bench", "folder for what is made here")
	flag.StringVar(&s.alerts, "alerts", "", "folder of the million alerts, which is made if need be and kept; else they are made anew")
	write := flag.String("write", "", "write the table to this file as well")
	only := flag.String("only", "", "measurements to do, separated by commas: engine, zones, reads, statuses, alerts")
	flag.Parse()
	if s.rounds < 1 || s.seconds < time.Second {
		return fmt.Errorf("-rounds %d, -time %s: want 1 or more, and a second or more", s.rounds, s.seconds)
	}
	if err := os.MkdirAll(s.work, 0o755); err != nil {
		return err
	}
	var rows []row
	for _, m := range []struct {
		name string
		run  func(settings) ([]row, error)
	}{{"engine", besideTheEngine}, {"zones", zoneUpdates}, {"reads", reads}, {"statuses", subscribers}, {"alerts", alertPages}} {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring: %s\n", m.name)
		list, err := m.run(s)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		rows = append(rows, list...)
	}
	table := render(rows, s)
	fmt.Print(table)
	if *write != "" {
		return os.WriteFile(*write, []byte(table), 0o644)
	}
	return nil
}

func render(rows []row, s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks of the server\n\nReproduce with `make bench KEEP=1` (writes this file). Machine: %d CPUs, %s/%s, %s; %d rounds of what is compared, in turns.\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), s.rounds)
	b.WriteString("Clients run on the same CPUs as the server. How each is measured stands in the comments of [server/bench](../server/bench).\n\n")
	b.WriteString("| what | goal | measured | met |\n|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.what, r.goal, r.measured, r.met)
	}
	return b.String()
}

// spread gives the median of values and their range.
func spread(values []float64) (low, median, high float64) {
	v := slices.Sorted(slices.Values(values))
	return v[0], (v[(len(v)-1)/2] + v[len(v)/2]) / 2, v[len(v)-1]
}

// quantile gives the value below which a share of sorted durations is.
func quantile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
