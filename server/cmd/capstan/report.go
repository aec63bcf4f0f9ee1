package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/plan"
)

// redact takes the password out of a URL.
func redact(source string) string {
	u, err := url.Parse(source)
	if err != nil || u.User == nil {
		return source
	}
	return u.Redacted()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// summarise turns the counts of a session into the last JSON line.
func summarise(s pipeline.SessionStats, promised int, err error) summary {
	b := summaryBody{
		Status: "done", Frames: s.Frames, Promised: promised, Detections: s.Nodes, Elapsed: seconds(s.Elapsed), Played: seconds(s.PTS), Drops: s.Drops,
		FPS:      perSecond(s.Frames, s.Elapsed),
		Media:    mediaSummary{Frames: s.Media.Frames, InArena: s.Media.InArena, Copied: s.Media.Copied, Made: s.Media.Converts, Skipped: s.Media.Skipped},
		Capsules: []capsuleSummary{},
	}
	if errors.Is(err, errInterrupted) {
		b.Status = "interrupted"
	} else if err != nil {
		b.Status, b.Error = "failed", err.Error()
	}
	for _, c := range s.Capsules {
		b.Capsules = append(b.Capsules, capsuleSummary{
			Name: c.Name, Calls: c.Calls, Nodes: c.Nodes, P50: milliseconds(c.P50), P99: milliseconds(c.P99),
			Queue: milliseconds(c.Queue), Convert: milliseconds(c.Convert), Handoff: milliseconds(c.Handoff), Compute: milliseconds(c.Compute),
			Restarts: c.Restarts, Retries: c.Retries, Violations: c.Violations, Conflicts: c.Conflicts, Failures: c.Failures, Starved: c.Starved, Skipped: c.Skipped,
		})
	}
	return summary{b}
}

func perSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(int(float64(n)/d.Seconds()*100)) / 100
}

// printTable shows a person what the run did: a row for each capsule, then the whole.
func printTable(w io.Writer, s pipeline.SessionStats, p *plan.Plan) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "capsule\tcalls\tnodes\tp50 ms\tp99 ms\trestarts\tdrops\t")
	for _, c := range s.Capsules {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.2f\t%.2f\t%d\t%d\t\n", c.Name, c.Calls, c.Nodes, milliseconds(c.P50), milliseconds(c.P99), c.Restarts, total(c.Failures))
	}
	_ = t.Flush()
	fmt.Fprintf(w, "\n%d frames in %.2f s: %.1f fps", s.Frames, s.Elapsed.Seconds(), perSecond(s.Frames, s.Elapsed))
	if played := time.Duration(s.PTS); played > 0 && s.Elapsed > 0 {
		fmt.Fprintf(w, ", %.1f times real time", played.Seconds()/s.Elapsed.Seconds())
	}
	fmt.Fprintf(w, "; %d detections; %d frames dropped\n", s.Nodes, framesDropped(s.Drops))
	if s.Media.Skipped > 0 {
		fmt.Fprintf(w, "%d frames not decoded, because they are no key frames\n", s.Media.Skipped)
	}
	for _, c := range s.Capsules {
		printTroubles(w, c)
	}
	for _, u := range p.Ungated {
		fmt.Fprintf(w, "%s ran on every frame, because nobody gives %s to open its gate\n", u.Capsule, u.Class)
	}
	for _, b := range p.Blocked {
		fmt.Fprintf(w, "%s was not used: %s\n", b.Capsule, b.Reason)
	}
}

// framesDropped counts whole frames, not a capsule's share of one.
func framesDropped(drops map[string]uint64) uint64 {
	return drops[pipeline.DropLate] + drops[pipeline.DropNoSlot] + drops[pipeline.DropEvery]
}

func total(m map[string]uint64) uint64 {
	var n uint64
	for _, v := range m {
		n += v
	}
	return n
}

// printTroubles says what went wrong with a capsule, and what it was spared, if anything.
func printTroubles(w io.Writer, c pipeline.CapsuleReport) {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(c.Failures)) {
		list = append(list, fmt.Sprintf("%d × %s", c.Failures[k], k))
	}
	if c.Violations > 0 {
		list = append(list, fmt.Sprintf("%d nodes that break its declaration", c.Violations))
	}
	if c.Conflicts > 0 {
		list = append(list, fmt.Sprintf("%d values written over another capsule's", c.Conflicts))
	}
	for _, k := range slices.Sorted(maps.Keys(c.Starved)) {
		list = append(list, fmt.Sprintf("%d nodes not taken, for want of %s", c.Starved[k], k))
	}
	for _, k := range slices.Sorted(maps.Keys(c.Skipped)) {
		list = append(list, fmt.Sprintf("%d frames skipped by its %s", c.Skipped[k], k))
	}
	if c.State == pipeline.CapsuleBroken {
		list = append(list, "left out after it died too often")
	}
	if len(list) > 0 {
		fmt.Fprintf(w, "%s: %s\n", c.Name, strings.Join(list, "; "))
	}
}
