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

// score runs the evaluator and gives its table by row name: MOTA, IDF1, HOTA.
func score(t testing.TB, sequences []sequence, c Config) (table string, total [3]float64) {
	t.Helper()
	evaluator := filepath.Join(cliptest.Data(t), "..", "tools", "mot_eval.py")
	if _, err := os.Stat(evaluator); err != nil {
		t.Skipf("the evaluator is absent: %v", err)
	}
	python := "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import numpy, scipy").Run(); err != nil {
		t.Skip("python3-numpy and python3-scipy are missing: tracks cannot be scored")
	}
	arguments := []string{evaluator}
	dir := t.TempDir()
	for _, s := range sequences {
		path := filepath.Join(dir, s.name+".txt")
		if err := os.WriteFile(path, s.result(c), 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, cliptest.Data(t, "mot", s.name, "gt.txt"), path)
	}
	out, err := exec.Command(python, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == "TOTAL" {
			for i := range total {
				total[i], _ = strconv.ParseFloat(f[1+i], 64)
			}
		}
	}
	return string(out), total
}

// TestScores tracks the public detections of seven sequences with one setting and holds the
// scores over all of them against the goals. MOTA, IDF1, HOTA of the SORT rule: 44.4, 51.4, 44.5.
func TestScores(t *testing.T) {
	t.Parallel()
	var all []sequence
	for _, name := range sequenceNames {
		all = append(all, readSequence(t, name))
	}
	table, total := score(t, all, Default())
	t.Logf("\n%s", table)
	for i, goal := range []float64{44.4, 56, 48} {
		if total[i] < goal {
			t.Errorf("%s is %.1f, want at least %.1f", []string{"MOTA", "IDF1", "HOTA"}[i], total[i], goal)
		}
	}
}
