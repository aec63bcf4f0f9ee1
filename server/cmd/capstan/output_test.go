package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// resultsSchema is the documented form of the results.
func resultsSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(filepath.Join("..", "..", "..", "docs", "reference", "results.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkLines holds every line against the schema and gives them decoded.
func checkLines(t *testing.T, text []byte) []map[string]any {
	t.Helper()
	schema := resultsSchema(t)
	var lines []map[string]any
	for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Fatalf("line %d is not JSON: %v\n%.300s", i+1, err, line)
		}
		if err := schema.Validate(v); err != nil {
			t.Fatalf("line %d is not as documented: %v\n%.300s", i+1, err, line)
		}
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	return lines
}

func fullResult() *pipeline.Result {
	n := &core.Node{
		ID: 10001, Class: "face", Coords: core.Rect(1, 2, 30.5, 40), Attributes: map[string]string{"color": "red"},
		TrackID: "t1", Encoding: core.Encoding{0.5, -1}, Children: []*core.Node{{ID: 10002, Class: "eye", Coords: core.Polygon{{X: 3, Y: 4}}}},
	}
	_ = n.ExtraData.Set("confidence", 0.25)
	_ = n.ExtraData.Set("nothing", nil)
	return &pipeline.Result{
		Frame: core.Frame{Seq: 1, PTS: core.PTS(time.Second / 3), Captured: time.Date(2026, 11, 20, 10, 0, 0, 5, time.UTC)},
		Nodes: []*core.Node{n, {ID: 10003, Class: "code", Coords: core.Rect(0, 0, 1, 1)}}, Drops: map[string]uint64{pipeline.DropLate: 2},
	}
}

func TestJSONLinesAreAsDocumented(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.jsonl")
	out, err := openOutput(path, "jsonl")
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make([]plan.Capsule{
		{Name: "a", Gate: "smoke", Input: core.Description{Size: core.SizeNone}, Output: core.Description{Size: core.SizeAll, Detections: []string{"x"}}},
		{Name: "b", Input: core.Description{Size: core.SizeAll, Detections: []string{"x"}, ExtraData: []string{"k"}}, Output: core.Description{Size: core.SizeAll, Tracked: true}},
		{Name: "c", Input: core.Description{Size: core.SizeAll, Detections: []string{"y"}}, Output: core.Description{Size: core.SizeAll, Tracked: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	stats := pipeline.SessionStats{Frames: 1, Drops: map[string]uint64{}, Elapsed: time.Second, Capsules: []pipeline.CapsuleReport{{
		Name: "a", Failures: map[string]uint64{"capsule exited": 1}, Starved: map[string]uint64{}, Skipped: map[string]uint64{pipeline.SkipGate: 3},
	}}}
	err = errors.Join(
		out.Header(header{Capstan: "v1", Source: "x", Width: 1, Height: 1, Plan: p}), out.Frame(fullResult()), out.Frame(&pipeline.Result{Frame: core.Frame{Seq: 2}}),
		out.Summary(summarise(stats, 3, errors.New("it broke"))), out.Summary(summarise(stats, 0, errInterrupted)), out.Close())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := checkLines(t, text)
	if len(lines) != 5 {
		t.Fatalf("%d lines, want 5", len(lines))
	}
	want := `{"seq":1,"pts":0.333333333,"captured":"2026-11-20T10:00:00.000000005Z","detections":[` +
		`{"id":10001,"class_name":"face","coords":[[1,2],[30.5,2],[30.5,40],[1,40]],"attributes":{"color":"red"},"extra_data":{"confidence":0.25,"nothing":null},"track_id":"t1",` +
		`"children":[{"id":10002,"class_name":"eye","coords":[[3,4]],"attributes":{},"extra_data":{},"track_id":null,"children":[]}],"encoding":[0.5,-1]},` +
		`{"id":10003,"class_name":"code","coords":[[0,0],[1,0],[1,1],[0,1]],"attributes":{},"extra_data":{},"track_id":null,"children":[]}],"drops":{"late":2}}`
	if got := strings.Split(string(text), "\n")[1]; got != want {
		t.Errorf("frame line\n%s\nwant\n%s", got, want)
	}
}

func TestMOTLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.txt")
	out, err := openOutput(path, "mot")
	if err != nil {
		t.Fatal(err)
	}
	second := fullResult()
	second.Frame.Seq = 7
	second.Nodes = []*core.Node{{Class: "car", Coords: core.Rect(5, 6, 15, 26), TrackID: "t2"}, second.Nodes[0]}
	if err := errors.Join(out.Header(header{}), out.Frame(fullResult()), out.Frame(second), out.Summary(summary{}), out.Close()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "1,1,1,2,29.5,38,0.25,-1,-1,-1\n7,2,5,6,10,20,1,-1,-1,-1\n7,1,1,2,29.5,38,0.25,-1,-1,-1\n"
	if string(text) != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0", time.Second: "1", 1680 * time.Millisecond: "1.68", 100 * time.Second: "100", 1: "0.000000001", -1500 * time.Millisecond: "-1.5",
	} {
		if got, err := json.Marshal(seconds(d)); err != nil || string(got) != want {
			t.Errorf("%v is written as %s (%v), want %s", d, got, err, want)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"rtsp://user:secret@camera/1": "rtsp://user:xxxxx@camera/1",
		"rtsp://camera/1":             "rtsp://camera/1",
		"/a/file with % and :.mp4":    "/a/file with % and :.mp4",
	} {
		if got := redact(source); got != want {
			t.Errorf("%s is shown as %s, want %s", source, got, want)
		}
	}
}
