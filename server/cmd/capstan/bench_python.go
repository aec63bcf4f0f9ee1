package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx/files"
)

//go:embed bench_dnn.py
var pythonProgram string

// comparable is the capsule that the Python program is the like of.
const comparable = "detector_objects_yolox"

// likePython are the pictures that the Python program makes.
var likePython = core.PictureSize{MaxSide: 416, Filter: core.OpenCV}

// python is the program on the other side of --against-python.
type python struct {
	program  string // that runs Python
	settings string // JSON

	pictures  core.PictureSize // of ours
	threshold float64
	version   string // of OpenCV, once it has run
	threads   int
	frames    [][]seenBox // of the first round
}

// newPython finds Python with cv2, and the settings that are the same as the capsule's.
func newPython(ctx context.Context, program, source string, list []chosen) (*python, error) {
	if len(list) != 1 || list[0].entry.Declaration.Name != comparable {
		return nil, usageError{fmt.Errorf("--against-python compares %s: give it alone, by --only %s", comparable, comparable)}
	}
	values, err := list[0].entry.Declaration.Complete(list[0].values)
	if err != nil {
		return nil, usageError{err}
	}
	if values.Text("network") != "coco" {
		return nil, usageError{fmt.Errorf("--against-python has the network coco only, not %s", values.Text("network"))}
	}
	model, err := modelFile(list[0].entry, values.Text("model"))
	if err != nil {
		return nil, err
	}
	clip, err := localFile(source)
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(map[string]any{
		"clip": clip, "model": model, "size": 416, "threshold": values.Float("threshold"), "iou": values.Float("iou"),
	})
	if err != nil {
		return nil, err
	}
	p := &python{settings: string(settings), threshold: values.Float("threshold")}
	p.program, err = pythonWithCV(ctx, program)
	return p, err
}

// modelFile finds the capsule's first model where the capsule itself looks for it.
func modelFile(e catalog.Entry, given string) (string, error) {
	name := e.Declaration.Models[0].File
	path, err := files.Model(name, given)
	for _, beside := range []string{filepath.Join(e.Dir, "models", name), filepath.Join(e.Dir, name)} {
		if _, e := os.Stat(beside); err != nil && given == "" && e == nil {
			return beside, nil
		}
	}
	return path, err
}

// localFile gives the path of a source that cv2 reads as we do.
func localFile(source string) (string, error) {
	u, err := url.Parse(source)
	switch {
	case err != nil || u.Scheme == "":
		return filepath.Abs(source)
	case u.Scheme == "file":
		return u.Path, nil
	default:
		return "", usageError{fmt.Errorf("--against-python plays a video file, not %s", redact(source))}
	}
}

// pythonTimeout bounds one round; a network on a small machine may take a second a frame.
const pythonTimeout = 2 * time.Hour

// pythonWithCV gives the first program that has cv2.
func pythonWithCV(ctx context.Context, given string) (string, error) {
	candidates := []string{"python3", "/usr/bin/python3"}
	if given != "" {
		candidates = []string{given}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, c := range candidates {
		if exec.CommandContext(ctx, c, "-c", "import cv2, numpy").Run() == nil {
			return c, nil
		}
	}
	f := core.Faultf(core.Unsupported, "bench", strings.Join(candidates, ", "), "there is no Python with cv2")
	f.Hint = "install it by: .ci/setup python3-opencv; or name a program by --python"
	return "", f
}

// pythonOutput is what the program prints.
type pythonOutput struct {
	OpenCV  string         `json:"opencv"`
	Seconds float64        `json:"seconds"`
	CPU     float64        `json:"cpu_seconds"`
	Threads int            `json:"threads"`
	Frames  [][][6]float64 `json:"frames"` // class, x1, y1, x2, y2, confidence
}

// play runs the program once and adds what it measured to m.
func (p *python) play(ctx context.Context, m *measured) error {
	ctx, cancel := context.WithTimeout(ctx, pythonTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, p.program, "-c", pythonProgram, p.settings)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return core.Faultf(core.Unsupported, "bench", p.program, "the Python program failed: %w: %s", err, lastLine(stderr.String()))
	}
	var o pythonOutput
	if err := json.Unmarshal(stdout.Bytes(), &o); err != nil {
		return core.Faultf(core.Internal, "bench", p.program, "the Python program printed no report: %w", err)
	}
	if len(o.Frames) == 0 || o.Seconds <= 0 {
		return core.Faultf(core.SourceOpen, "bench", p.program, "OpenCV read no frame of the clip")
	}
	if p.frames == nil {
		p.version, p.threads, p.frames = o.OpenCV, o.Threads, o.boxes()
	}
	m.rounds = append(m.rounds, float64(len(o.Frames))/o.Seconds)
	m.stats.Frames += uint64(len(o.Frames))
	m.stats.Elapsed += time.Duration(o.Seconds * float64(time.Second))
	if m.cpu == nil {
		m.cpu = map[string]time.Duration{}
	}
	m.cpu["python"] += time.Duration(o.CPU * float64(time.Second))
	return nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func (o *pythonOutput) boxes() [][]seenBox {
	all := make([][]seenBox, len(o.Frames))
	for i, f := range o.Frames {
		for _, b := range f {
			if c := int(b[0]); c >= 0 && c < len(detect.COCO) {
				all[i] = append(all[i], seenBox{detect.COCO[c], core.Box{X1: b[1], Y1: b[2], X2: b[3], Y2: b[4]}, b[5]})
			}
		}
	}
	return all
}

// pythonReport compares with the Python program, frame by frame from the first on.
type pythonReport struct {
	OpenCV  string    `json:"opencv"`
	Threads int       `json:"threads"`
	Frames  int       `json:"frames"` // that it read
	FPS     float64   `json:"fps"`    // median of the rounds
	Rounds  []float64 `json:"fps_rounds"`
	Faster  float64   `json:"faster"` // our median over its
	CPU     float64   `json:"cpu_ms"` // for a frame
	Filter  string    `json:"filter"` // of our pictures; its are of opencv
	Boxes   int       `json:"boxes"`  // that it found
	Same    float64   `json:"same"`   // share of them that we found too, IoU 0.9 or more
	Extra   float64   `json:"extra"`  // share of ours that it did not find

	// Of its boxes that are clear of the threshold: a box at the threshold comes and goes with
	// the filter that shrinks the picture.
	ClearBoxes int     `json:"clear_boxes"`
	ClearSame  float64 `json:"clear_same"`
}

// clearBy is how far above the threshold a box is clear of it.
const clearBy = 0.1

func (p *python) compare(ours, others *measured) *pythonReport {
	r := &pythonReport{
		OpenCV: p.version, Threads: p.threads, Frames: len(p.frames), FPS: rounded(median(others.rounds), 100), Rounds: roundedAll(others.rounds),
		Filter: string(p.pictures.Filter), Faster: rounded(median(ours.rounds)/median(others.rounds), 100), CPU: rounded(cpuMS(others)/float64(others.stats.Frames), 1e3),
	}
	same, mine, clear := 0, 0, 0
	for i, boxes := range p.frames {
		sure := slices.DeleteFunc(slices.Clone(boxes), func(b seenBox) bool { return b.confidence < p.threshold+clearBy })
		r.Boxes, r.ClearBoxes = r.Boxes+len(boxes), r.ClearBoxes+len(sure)
		if i < len(ours.frames) {
			same += sum(matched(boxes, ours.frames[i].boxes))
			clear += sum(matched(sure, ours.frames[i].boxes))
		}
	}
	for _, f := range ours.frames {
		mine += len(f.boxes)
	}
	r.Same, r.Extra, r.ClearSame = share(same, r.Boxes), share(mine-same, mine), share(clear, r.ClearBoxes)
	return r
}

func sum(m map[string]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}
