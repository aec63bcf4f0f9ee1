package main

import (
	"maps"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// sameBox is the overlap from which two boxes of a class are the same.
const sameBox = 0.9

// seenBox is a detection without its details.
type seenBox struct {
	class      string
	box        core.Box
	confidence float64 // of Python's boxes only
}

// seenFrame is what was found in one frame.
type seenFrame struct {
	pts   core.PTS
	boxes []seenBox
}

func seenIn(r *pipeline.Result) seenFrame {
	f := seenFrame{pts: r.Frame.PTS}
	for _, n := range r.Nodes {
		f.boxes = append(f.boxes, seenBox{class: n.Class, box: n.Coords.Box()})
	}
	return f
}

// overlap is the area that both share over the area of both together.
func overlap(a, b core.Box) float64 {
	w := min(a.X2, b.X2) - max(a.X1, b.X1)
	h := min(a.Y2, b.Y2) - max(a.Y1, b.Y1)
	if w <= 0 || h <= 0 {
		return 0
	}
	both := w * h
	return both / ((a.X2-a.X1)*(a.Y2-a.Y1) + (b.X2-b.X1)*(b.Y2-b.Y1) - both)
}

// matched counts, by class, the boxes of want that got has too, each of got's once.
func matched(want, got []seenBox) map[string]int {
	count, used := map[string]int{}, make([]bool, len(got))
	for _, w := range want {
		best, at := sameBox, -1
		for i, g := range got {
			if o := overlap(w.box, g.box); !used[i] && g.class == w.class && o >= best {
				best, at = o, i
			}
		}
		if at >= 0 {
			used[at] = true
			count[w.class]++
		}
	}
	return count
}

// classFound compares the finds of one class.
type classFound struct {
	Class   string  `json:"class"`
	Boxes   int     `json:"boxes"`   // of the reference
	Same    float64 `json:"same"`    // share of them that is there too, IoU 0.9 or more
	Extra   float64 `json:"extra"`   // share of ours that the reference has not
	Noticed float64 `json:"noticed"` // share of the reference's frames with the class, with one of ours within a second
}

// noticeWithin is how far a find may be from the frame that it stands for.
const noticeWithin = core.PTS(time.Second) + ptsSlack

// ptsSlack is how much the PTS of the same frame may differ in two runs.
const ptsSlack = core.PTS(time.Millisecond)

// compareFound holds ours against the frames of a reference, both by PTS.
func compareFound(reference, ours []seenFrame) []classFound {
	boxes, same, mine := map[string]int{}, map[string]int{}, map[string]int{}
	times, framesWith, noticed := map[string][]core.PTS{}, map[string]int{}, map[string]int{}
	for _, f := range ours {
		for _, b := range f.boxes {
			mine[b.class]++
			times[b.class] = append(times[b.class], f.pts)
		}
	}
	at := 0
	for _, f := range reference {
		for at < len(ours) && ours[at].pts < f.pts-ptsSlack {
			at++
		}
		if at < len(ours) && ours[at].pts <= f.pts+ptsSlack {
			for class, n := range matched(f.boxes, ours[at].boxes) {
				same[class] += n
			}
		}
		classes := map[string]bool{}
		for _, b := range f.boxes {
			boxes[b.class]++
			classes[b.class] = true
		}
		for class := range classes {
			framesWith[class]++
			if near(times[class], f.pts) {
				noticed[class]++
			}
		}
	}
	var list []classFound
	for _, class := range slices.Sorted(maps.Keys(boxes)) {
		list = append(list, classFound{
			Class: class, Boxes: boxes[class], Same: share(same[class], boxes[class]),
			Extra: share(mine[class]-same[class], mine[class]), Noticed: share(noticed[class], framesWith[class]),
		})
	}
	return list
}

// near says whether one of the ascending times is within a second of pts.
func near(times []core.PTS, pts core.PTS) bool {
	i, _ := slices.BinarySearch(times, pts-noticeWithin)
	return i < len(times) && times[i] <= pts+noticeWithin
}

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return rounded(float64(n)/float64(of), 1e4)
}

func rounded(v, steps float64) float64 { return float64(int64(v*steps+0.5)) / steps }

// fullReport is what the saving flags did.
type fullReport struct {
	FPS     float64      `json:"fps"`    // of the full run
	Faster  float64      `json:"faster"` // ours over that
	CPU     float64      `json:"cpu_ms"` // of the full run, for a frame of the video
	Saved   float64      `json:"cpu_saved"`
	Classes []classFound `json:"classes"`
}

// compareFull compares by the frames of the video: those that were not even decoded count.
func compareFull(ours, full *measured) *fullReport {
	perFrame := func(m *measured) float64 { return rounded(cpuMS(m)/float64(full.stats.Frames), 1e3) }
	speed := func(m *measured) float64 { return float64(full.stats.Frames) / m.stats.Elapsed.Seconds() }
	return &fullReport{
		FPS: rounded(speed(full), 100), Faster: rounded(speed(ours)/speed(full), 100), CPU: perFrame(full),
		Saved: rounded(1-perFrame(ours)/perFrame(full), 1e3), Classes: compareFound(full.frames, ours.frames),
	}
}

// cpuMS is the CPU time of all processes and rounds in milliseconds.
func cpuMS(m *measured) float64 {
	var sum time.Duration
	for _, t := range m.cpu {
		sum += t
	}
	return float64(sum) / float64(time.Millisecond)
}
