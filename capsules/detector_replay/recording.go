package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/capstan-video/capstan/sdk"
)

// node is a detection that is to be played again.
type node struct {
	coords     sdk.Polygon
	confidence float64
	attributes map[string]string
	extra      map[string]json.RawMessage
	children   []child
	encoding   sdk.Encoding
	track      sdk.TrackID
}

// child is a part of a node, with parts of its own left out: patches have no deeper ones.
type child struct {
	class  string
	coords sdk.Polygon
}

// recording are the nodes of a file by the number of their frame, from 1.
type recording map[uint64][]node

// longest is the longest line that is read: an encoding of 4096 numbers for each of 500 nodes.
const longest = 64 << 20

// read reads a MOTChallenge file or JSON lines, whichever the first line that is not empty is.
// Nodes of other classes than class are left out of JSON lines; MOT files have no classes.
// name stands in errors.
func read(r io.Reader, name, class string) (recording, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), longest)
	rec := recording{}
	var parse func(line []byte) error
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(line) == 0 {
			continue
		}
		if parse == nil {
			parse = rec.mot
			if line[0] == '{' {
				parse = (&jsonLines{rec: rec, class: class}).line
			}
		}
		if err := parse(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rec, nil
}

// mot reads frame, id, left, top, width, height, confidence[, …]. The id is not used: whoever
// wants tracks puts a tracker behind. What follows the confidence has no meaning for detections.
func (r recording) mot(line []byte) error {
	fields := strings.Split(string(line), ",")
	if len(fields) < 7 || len(fields) > 10 {
		return fmt.Errorf("%d fields, want 7 to 10: frame, id, left, top, width, height, confidence", len(fields))
	}
	var v [10]float64
	for i, f := range fields {
		x, err := strconv.ParseFloat(strings.TrimSpace(f), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("field %d: %q is not a number", i+1, f)
		}
		v[i] = x
	}
	if v[0] < 1 || v[0] != math.Trunc(v[0]) || v[0] > 1<<53 {
		return fmt.Errorf("field 1: %s is not a frame number from 1", fields[0])
	}
	if v[4] < 0 || v[5] < 0 {
		return fmt.Errorf("width %g or height %g is below 0", v[4], v[5])
	}
	frame := uint64(v[0])
	r[frame] = append(r[frame], node{
		coords:     sdk.Rect(v[2], v[3], v[2]+v[4], v[3]+v[5]),
		confidence: min(max(v[6], 0), 1), // -1 says that it counts, some detectors go above 1
	})
	if v[6] == -1 {
		r[frame][len(r[frame])-1].confidence = 1
	}
	return nil
}

// The forms of a line of results; each key is known, so that a slip does not pass unnoticed.
type (
	headerLine struct {
		Capstan *string         `json:"capstan"`
		Source  string          `json:"source"`
		Width   float64         `json:"width"`
		Height  float64         `json:"height"`
		FPS     float64         `json:"fps"`
		Plan    json.RawMessage `json:"plan"`
	}
	frameLine struct {
		Seq        *uint64         `json:"seq"`
		PTS        *float64        `json:"pts"`
		Captured   string          `json:"captured"`
		Detections *[]detection    `json:"detections"`
		Drops      json.RawMessage `json:"drops"`
	}
	summaryLine struct {
		Summary json.RawMessage `json:"summary"`
	}
	detection struct {
		ID         uint64                     `json:"id"`
		Class      string                     `json:"class_name"`
		Coords     sdk.Polygon                `json:"coords"`
		Attributes map[string]string          `json:"attributes"`
		ExtraData  map[string]json.RawMessage `json:"extra_data"`
		TrackID    *sdk.TrackID               `json:"track_id"`
		Children   []detection                `json:"children"`
		Encoding   sdk.Encoding               `json:"encoding"`
		Identity   json.RawMessage            `json:"with_identity"` // a gallery names again; it is not played
	}
)

// jsonLines reads the results of a run, line by line.
type jsonLines struct {
	rec   recording
	class string
	last  uint64
	ended bool
}

func (j *jsonLines) line(line []byte) error {
	if j.ended {
		return errors.New("there is more after the summary")
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(line, &keys); err != nil {
		return fmt.Errorf("no JSON object: %w", err)
	}
	switch {
	case keys["capstan"] != nil:
		return strict(line, &headerLine{})
	case keys["summary"] != nil:
		j.ended = true
		return strict(line, &summaryLine{})
	default:
		return j.frame(line)
	}
}

func (j *jsonLines) frame(line []byte) error {
	var f frameLine
	if err := strict(line, &f); err != nil {
		return err
	}
	switch {
	case f.Seq == nil || f.PTS == nil || f.Detections == nil:
		return errors.New("a frame needs seq, pts and detections")
	case *f.Seq <= j.last:
		return fmt.Errorf("seq: %d follows %d; frames are in order, from 1", *f.Seq, j.last)
	}
	j.last = *f.Seq
	var nodes []node
	for i, d := range *f.Detections {
		if err := d.check(); err != nil {
			return fmt.Errorf("detection %d: %w", i+1, err)
		}
		if d.Class == j.class {
			nodes = append(nodes, d.node())
		}
	}
	if len(nodes) > 0 {
		j.rec[*f.Seq] = nodes
	}
	return nil
}

func strict(line []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more on the line than one object")
	}
	return nil
}

func (d *detection) check() error {
	if d.Class == "" {
		return errors.New("class_name: is missing")
	}
	if len(d.Coords) == 0 {
		return errors.New("coords: has no point")
	}
	for i := range d.Children {
		if err := d.Children[i].check(); err != nil {
			return fmt.Errorf("child %d: %w", i+1, err)
		}
	}
	return nil
}

func (d *detection) node() node {
	n := node{coords: d.Coords, confidence: 1, attributes: d.Attributes, extra: d.ExtraData, encoding: d.Encoding}
	var c *float64
	if raw, ok := d.ExtraData["confidence"]; ok && json.Unmarshal(raw, &c) == nil && c != nil {
		n.confidence = *c
	}
	if d.TrackID != nil {
		n.track = *d.TrackID
	}
	for _, c := range d.Children {
		n.children = append(n.children, child{c.Class, c.Coords})
	}
	return n
}
