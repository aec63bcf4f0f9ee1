package track

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// benchmarks is where the table of scores is kept, between two marks. With KEEP set, make score
// writes it there.
const (
	benchmarks = "../../docs/benchmarks.md"
	scoresFrom = "<!-- scores: written by make score KEEP=1 -->\n"
	scoresTo   = "<!-- end of scores -->\n"
)

var scoredTrackers = []string{"tracker_bytetrack", "tracker_ocsort"}

// scoreTable collects the scores of the trackers.
type scoreTable struct {
	mu   sync.Mutex
	rows map[string]map[string]scores // by tracker and sequence
}

func (s *scoreTable) add(tracker string, rows map[string]scores) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[tracker] = rows
}

// markdown gives the table as it stands in the document.
func (s *scoreTable) markdown() string {
	var b strings.Builder
	b.WriteString("| tracker | sequence | MOTA | SORT's MOTA | IDF1 | HOTA | false | missed | switches |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, tracker := range scoredTrackers {
		for _, name := range sequenceNames {
			writeRow(&b, tracker, name, floor[name], s.rows[tracker][name])
		}
		writeRow(&b, tracker, "total", floorOfAll, s.rows[tracker]["TOTAL"])
	}
	return b.String()
}

func writeRow(b *strings.Builder, tracker, name string, sort float64, r scores) {
	fmt.Fprintf(b, "| %s | %s | %.1f | %.1f | %.1f | %.1f | %.0f | %.0f | %.0f |\n", tracker, name, r[0], sort, r[1], r[2], r[3], r[4], r[5])
}

// hold writes the table into the document, or wants it to stand there already.
func (s *scoreTable) hold(t *testing.T) {
	if t.Failed() || len(s.rows) < len(scoredTrackers) {
		return
	}
	before, old, after := keptScores(t)
	table := s.markdown()
	switch {
	case table == old:
	case os.Getenv("CAPSTAN_KEEP") == "" && runtime.GOARCH != "amd64": // others may round otherwise
	case os.Getenv("CAPSTAN_KEEP") == "":
		t.Errorf("docs/benchmarks.md has other scores; make score KEEP=1 writes these:\n%s", table)
	default:
		if err := os.WriteFile(filepath.FromSlash(benchmarks), []byte(before+scoresFrom+table+scoresTo+after), 0o644); err != nil {
			t.Error(err)
		}
	}
}

func keptScores(t *testing.T) (before, table, after string) {
	t.Helper()
	before, rest, ok := strings.Cut(readText(t, filepath.FromSlash(benchmarks)), scoresFrom)
	table, after, ended := strings.Cut(rest, scoresTo)
	if !ok || !ended {
		t.Fatalf("docs/benchmarks.md has no %q", strings.TrimSpace(scoresFrom))
	}
	return before, table, after
}

// TestKeptScores wants a row of numbers for each tracker and sequence, and the totals above the goals.
func TestKeptScores(t *testing.T) {
	t.Parallel()
	_, table, _ := keptScores(t)
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if want := 2 + len(scoredTrackers)*(len(sequenceNames)+1); len(lines) != want {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), want, table)
	}
	row := regexp.MustCompile(`^\| (tracker_\w+) \| ([\w-]+) (\| -?\d+\.\d ){4}(\| \d+ ){3}\|$`)
	for i, line := range lines[2:] {
		m := row.FindStringSubmatch(line)
		names := append(append([]string{}, sequenceNames...), "total")
		if m == nil || m[1] != scoredTrackers[i/len(names)] || m[2] != names[i%len(names)] {
			t.Errorf("line %d is %q", i+3, line)
			continue
		}
		var mota, sort, idf1, hota float64
		fields := strings.Split(line, "|")
		if _, err := fmt.Sscan(strings.Join(fields[3:7], " "), &mota, &sort, &idf1, &hota); err != nil {
			t.Error(err)
		}
		if m[2] == "total" && (mota < 44.4 || idf1 < 56 || hota < 48) || mota < sort-0.5 {
			t.Errorf("line %d is below the goals: %q", i+3, line)
		}
	}
}
