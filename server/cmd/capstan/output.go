package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/plan"
)

// output writes the results of a run for machines. Methods are called from one goroutine.
type output interface {
	Header(h header) error
	Frame(r *pipeline.Result) error
	Summary(s summary) error
	Close() error
}

// header is the first JSON line.
type header struct {
	Capstan string     `json:"capstan"`
	Source  string     `json:"source"`
	Width   int        `json:"width"`
	Height  int        `json:"height"`
	FPS     float64    `json:"fps"`
	Plan    *plan.Plan `json:"plan"`
}

// frameLine is a JSON line of one frame.
type frameLine struct {
	Seq        uint64            `json:"seq"`
	PTS        seconds           `json:"pts"`
	Captured   time.Time         `json:"captured"`
	Detections []detection       `json:"detections"`
	Drops      map[string]uint64 `json:"drops,omitempty"`
}

type detection struct {
	ID         core.NodeID       `json:"id"`
	Class      string            `json:"class_name"`
	Coords     core.Polygon      `json:"coords"`
	Attributes map[string]string `json:"attributes"`
	ExtraData  core.ExtraData    `json:"extra_data"`
	TrackID    *core.TrackID     `json:"track_id"`
	Identity   *core.Identity    `json:"with_identity,omitempty"` // only when somebody is recognised
	Children   []detection       `json:"children"`
	Encoding   core.Encoding     `json:"encoding,omitempty"`
}

// summary is the last JSON line.
type summary struct {
	Summary summaryBody `json:"summary"`
}

type summaryBody struct {
	Status     string            `json:"status"` // done, interrupted or failed
	Error      string            `json:"error,omitempty"`
	Frames     uint64            `json:"frames"`
	Promised   int               `json:"promised"` // by the source; 0: it does not say
	Detections uint64            `json:"detections"`
	Elapsed    seconds           `json:"elapsed"`
	Played     seconds           `json:"played"`
	FPS        float64           `json:"fps"`
	Drops      map[string]uint64 `json:"drops"`
	Media      mediaSummary      `json:"media"`
	Capsules   []capsuleSummary  `json:"capsules"`
}

type mediaSummary struct {
	Frames  uint64 `json:"frames"`
	InArena uint64 `json:"in_arena"`
	Copied  uint64 `json:"copied"`
	Made    uint64 `json:"pictures_made"`
	Skipped uint64 `json:"not_decoded"`
}

type capsuleSummary struct {
	Name       string            `json:"name"`
	Calls      uint64            `json:"calls"`
	Nodes      uint64            `json:"nodes"`
	P50        float64           `json:"p50_ms"`
	P99        float64           `json:"p99_ms"`
	Queue      float64           `json:"queue_ms"`
	Convert    float64           `json:"convert_ms"`
	Handoff    float64           `json:"handoff_ms"`
	Compute    float64           `json:"compute_ms"`
	Restarts   uint64            `json:"restarts"`
	Retries    uint64            `json:"retries"`
	Violations uint64            `json:"violations"`
	Conflicts  uint64            `json:"conflicts"`
	Failures   map[string]uint64 `json:"failures"`
	Starved    map[string]uint64 `json:"starved"`
	Skipped    map[string]uint64 `json:"skipped"`
}

// seconds prints a time span as a number of seconds without an exponent.
type seconds time.Duration

// MarshalJSON writes for example 0.033333333: nanoseconds, exactly.
func (s seconds) MarshalJSON() ([]byte, error) {
	sign := ""
	if s < 0 {
		sign, s = "-", -s
	}
	text := fmt.Sprintf("%s%d.%09d", sign, s/1e9, s%1e9)
	return []byte(strings.TrimSuffix(strings.TrimRight(text, "0"), ".")), nil
}

// openOutput opens path, "-" being standard output, in the given format.
func openOutput(path, format string) (output, error) {
	var f io.WriteCloser = nopCloser{os.Stdout}
	if path != "-" {
		file, err := os.Create(path)
		if err != nil {
			return nil, core.Faultf(core.Invalid, "output", "", "%w", err)
		}
		f = file
	}
	w := bufio.NewWriterSize(f, 1<<16)
	if format == "mot" {
		return &motOutput{w: w, c: f, ids: map[core.TrackID]int{}}, nil
	}
	return &jsonOutput{w: w, c: f}, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// jsonOutput writes JSON lines. Each frame is flushed, so that a reader behind a pipe is never late.
type jsonOutput struct {
	w *bufio.Writer
	c io.Closer
}

func (o *jsonOutput) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return core.Faultf(core.Internal, "output", "", "a result has no JSON form: %w", err)
	}
	if _, err := o.w.Write(append(b, '\n')); err != nil {
		return writeFault(err)
	}
	return writeFault(o.w.Flush())
}

func writeFault(err error) error {
	if err == nil {
		return nil
	}
	return core.Faultf(core.Invalid, "output", "", "cannot write results: %w", err)
}

// Header writes the first line.
func (o *jsonOutput) Header(h header) error { return o.line(h) }

// Frame writes one frame's line.
func (o *jsonOutput) Frame(r *pipeline.Result) error {
	return o.line(frameLine{
		Seq: r.Frame.Seq, PTS: seconds(r.Frame.PTS), Captured: r.Frame.Captured.UTC(), Detections: detections(r.Nodes), Drops: r.Drops,
	})
}

// Summary writes the last line.
func (o *jsonOutput) Summary(s summary) error { return o.line(s) }

// Close closes the file.
func (o *jsonOutput) Close() error { return writeFault(o.c.Close()) }

func detections(nodes []*core.Node) []detection {
	list := make([]detection, 0, len(nodes))
	for _, n := range nodes {
		d := detection{
			ID: n.ID, Class: n.Class, Coords: n.Coords, Attributes: n.Attributes, ExtraData: n.ExtraData,
			Children: detections(n.Children), Encoding: n.Encoding, Identity: n.Identity,
		}
		if d.Attributes == nil {
			d.Attributes = map[string]string{}
		}
		if d.ExtraData == nil {
			d.ExtraData = core.ExtraData{}
		}
		if n.TrackID != "" {
			d.TrackID = &n.TrackID
		}
		list = append(list, d)
	}
	return list
}

// motOutput writes MOTChallenge lines. Tracks are numbered in the order in which they appear.
type motOutput struct {
	w   *bufio.Writer
	c   io.Closer
	ids map[core.TrackID]int
}

// Header writes nothing.
func (o *motOutput) Header(header) error { return nil }

// Frame writes a line for each tracked node.
func (o *motOutput) Frame(r *pipeline.Result) error {
	for _, n := range r.Nodes {
		if n.TrackID == "" {
			continue
		}
		id, ok := o.ids[n.TrackID]
		if !ok {
			id = len(o.ids) + 1
			o.ids[n.TrackID] = id
		}
		confidence, ok := n.Confidence()
		if !ok {
			confidence = 1
		}
		b := n.Coords.Box()
		fields := []string{strconv.FormatUint(r.Frame.Seq, 10), strconv.Itoa(id)}
		for _, v := range []float64{b.X1, b.Y1, b.Width(), b.Height(), confidence} {
			fields = append(fields, strconv.FormatFloat(v, 'f', -1, 64))
		}
		if _, err := fmt.Fprintf(o.w, "%s,-1,-1,-1\n", strings.Join(fields, ",")); err != nil {
			return writeFault(err)
		}
	}
	return writeFault(o.w.Flush())
}

// Summary writes nothing.
func (o *motOutput) Summary(summary) error { return nil }

// Close closes the file.
func (o *motOutput) Close() error { return writeFault(o.c.Close()) }
