package track

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/cliptest"
)

// sequence is a MOTChallenge sequence with its public detections.
type sequence struct {
	name   string
	fps    float64
	frames [][]Detection // from frame 1
}

var sequenceNames = []string{"TUD-Campus", "TUD-Stadtmitte", "MOT17-02", "MOT17-04", "MOT17-05", "MOT17-09", "MOT17-13"}

func readSequence(t testing.TB, name string) sequence {
	t.Helper()
	s := sequence{name: name}
	for line := range strings.Lines(readText(t, cliptest.Data(t, "mot", name, "seqinfo.ini"))) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "frameRate="); ok {
			s.fps, _ = strconv.ParseFloat(v, 64)
		}
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "seqLength="); ok {
			n, _ := strconv.Atoi(v)
			s.frames = make([][]Detection, n)
		}
	}
	if s.fps == 0 || s.frames == nil {
		t.Fatalf("%s: seqinfo.ini says no rate or length", name)
	}
	lines := bufio.NewScanner(strings.NewReader(readText(t, cliptest.Data(t, "mot", name, "det.txt"))))
	for lines.Scan() {
		var v [7]float64
		for i, f := range strings.Split(lines.Text(), ",")[:7] {
			x, err := strconv.ParseFloat(f, 64)
			if err != nil {
				t.Fatal(err)
			}
			v[i] = x
		}
		k := int(v[0]) - 1
		box := core.Box{X1: v[2], Y1: v[3], X2: v[2] + v[4], Y2: v[3] + v[5]}
		s.frames[k] = append(s.frames[k], Detection{Box: box, Score: v[6], Class: "person"})
	}
	return s
}

func readText(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// result gives the MOT result file of a sequence.
func (s sequence) result(c Config) []byte {
	var out bytes.Buffer
	numbers := map[core.TrackID]int{}
	tracker := New(c)
	for k, detections := range s.frames {
		pts := core.PTS(float64(k) / s.fps * float64(time.Second))
		for i, id := range tracker.Update(pts, detections) {
			if id == "" {
				continue
			}
			if numbers[id] == 0 {
				numbers[id] = len(numbers) + 1
			}
			d := detections[i]
			fmt.Fprintf(&out, "%d,%d,%.2f,%.2f,%.2f,%.2f,%.3f,-1,-1,-1\n", k+1, numbers[id], d.Box.X1, d.Box.Y1, d.Box.Width(), d.Box.Height(), d.Score)
		}
	}
	return out.Bytes()
}

// scores are MOTA, IDF1 and HOTA, in percent, then what was false, missed, and switched.
type scores [6]float64

// score runs the evaluator and gives its table, and its rows by name.
func score(t testing.TB, sequences []sequence, c Config) (table string, rows map[string]scores) {
	t.Helper()
	evaluator := filepath.Join(cliptest.Data(t), "..", "tools", "mot_eval.py")
	if _, err := os.Stat(evaluator); err != nil {
		t.Skipf("the evaluator is absent: %v", err)
	}
	python := "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import numpy, scipy").Run(); err != nil {
		t.Skip("python3-numpy and python3-scipy are missing: tracks cannot be scored")
	}
	evaluator = absolute(t, evaluator)
	arguments := []string{evaluator}
	dir := t.TempDir()
	for _, s := range sequences {
		path := filepath.Join(dir, s.name+".txt")
		if err := os.WriteFile(path, s.result(c), 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, absolute(t, cliptest.Data(t, "mot", s.name, "gt.txt")), s.name+".txt")
	}
	command := exec.Command(python, arguments...)
	command.Dir = dir // rows are named by the paths of the results
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rows = map[string]scores{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 6 {
			var row scores
			for i := range row {
				row[i], _ = strconv.ParseFloat(f[1+i], 64)
			}
			rows[strings.TrimSuffix(f[0], ".txt")] = row
		}
	}
	return string(out), rows
}

func absolute(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// floor is the MOTA of the SORT rule on the same detections.
var floor = map[string]float64{
	"TUD-Campus": 62.7, "TUD-Stadtmitte": 71.7, "MOT17-02": 25.3, "MOT17-04": 49.9, "MOT17-05": 43.4, "MOT17-09": 51.6, "MOT17-13": 46.7,
}

// floorOfAll is that over all sequences.
const floorOfAll = 44.4

// TestScores tracks the public detections of seven sequences with one setting and holds the
// scores over all of them against the goals, and MOTA of each against the SORT rule. The SORT
// rule has MOTA 44.4, IDF1 51.4, HOTA 44.5 over all.
func TestScores(t *testing.T) {
	t.Parallel()
	var all []sequence
	for _, name := range sequenceNames {
		all = append(all, readSequence(t, name))
	}
	kept := &scoreTable{rows: map[string]map[string]scores{}}
	t.Cleanup(func() { kept.hold(t) })
	for _, c := range []struct {
		name   string
		config Config
		goal   [3]float64
	}{
		{"tracker_bytetrack", Default(), [3]float64{44.4, 56, 48}},
		{"tracker_ocsort", DefaultObserved(), [3]float64{44.4, 56, 48}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			table, rows := score(t, all, c.config)
			t.Logf("\n%s", table)
			kept.add(c.name, rows)
			for i, goal := range c.goal {
				if got := rows["TOTAL"][i]; got < goal {
					t.Errorf("%s is %.1f, want at least %.1f", []string{"MOTA", "IDF1", "HOTA"}[i], got, goal)
				}
			}
			for name, sort := range floor {
				if got, ok := rows[name]; !ok || got[0] < sort-0.5 {
					t.Errorf("%s: MOTA is %.1f, want at most 0.5 below %.1f", name, got[0], sort)
				}
			}
		})
	}
}
