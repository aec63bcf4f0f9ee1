// Package replay gives recorded frames to capsules again, the whole plan or single capsules, and
// tells what they do otherwise than in the recording.
package replay

import (
	"errors"
	"io"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/bundle"
	"github.com/capstan-video/capstan/sdk/bundle/diff"
)

// The ways to replay.
const (
	Whole  = "whole"   // the plan, from the frames
	Single = "capsule" // capsules by themselves, each from what it was given
)

// mostChanges bounds the changes that a report holds; more are counted.
const mostChanges = 10_000

// Report is what a replay found.
type Report struct {
	Bundle    string         `json:"bundle"`
	Source    string         `json:"source"`
	Status    string         `json:"status"` // of the recording
	Mode      string         `json:"mode"`
	Capsules  []string       `json:"capsules"`
	Frames    int            `json:"frames"`  // compared
	Changed   int            `json:"changed"` // of these, with a change
	Kinds     map[string]int `json:"kinds"`   // changes by kind
	Changes   []diff.Change  `json:"changes"`
	More      int            `json:"more"`     // changes that are counted and not held
	Repeats   int            `json:"repeats"`  // replays
	Unstable  int            `json:"unstable"` // frames on which replays differ from each other
	Notes     []string       `json:"notes"`
	Equal     bool           `json:"equal"`
	tolerance diff.Tolerance
}

func newReport(r *bundle.Reader, mode string, tolerance diff.Tolerance) *Report {
	return &Report{
		Bundle: r.Path(), Source: r.Header.Source, Status: r.Index.Status, Mode: mode, Capsules: []string{},
		Kinds: map[string]int{}, Changes: []diff.Change{}, Notes: []string{}, tolerance: tolerance,
	}
}

func (r *Report) add(changes []diff.Change) {
	for _, c := range changes {
		r.Kinds[c.Kind]++
		if len(r.Changes) < mostChanges {
			r.Changes = append(r.Changes, c)
		} else {
			r.More++
		}
	}
}

// finish counts what the changes come to.
func (r *Report) finish() {
	frames := map[uint64]bool{}
	for _, c := range r.Changes {
		frames[c.Seq] = true
	}
	r.Changed = len(frames)
	r.Equal = len(r.Changes)+r.More == 0 && r.Unstable == 0
}

// Result is what one replay gave for one frame: the nodes at its end, or a capsule's answer.
type Result struct {
	Seq    uint64
	PTS    core.PTS
	Input  []*core.Node // Single: what the capsule was given
	Nodes  []*core.Node // Whole
	Answer diff.Answer  // Single
}

// steady keeps the results of the first replay to hold the others against them.
type steady struct {
	first    map[uint64]Result
	unstable map[uint64]bool
}

// hold compares the results of a further replay with those of the first.
func (s *steady) hold(c *diff.Comparer, capsule string, res Result) {
	first, ok := s.first[res.Seq]
	if !ok || len(compare(c, capsule, first, res)) > 0 {
		s.unstable[res.Seq] = true
	}
}

// compare gives the changes from one result to another of the same frame.
func compare(c *diff.Comparer, capsule string, a, b Result) []diff.Change {
	if capsule == "" {
		return c.Frame(a.Seq, a.PTS, a.Nodes, b.Nodes)
	}
	return c.Returns(capsule, a.Seq, a.PTS, a.Input, a.Answer, b.Answer)
}

// mark says of changes whether the replays differ on their frame.
func (r *Report) mark(unstable map[uint64]bool, capsule string) {
	r.Unstable += len(unstable)
	for i := range r.Changes {
		if c := &r.Changes[i]; c.Capsule == capsule && unstable[c.Seq] {
			c.Unstable = true
		}
	}
}

// recorded gives the frames of a bundle from its beginning.
func recorded(r *bundle.Reader, each func(*bundle.Frame) error) error {
	r.Rewind()
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = each(f)
		}
		if err != nil {
			return err
		}
	}
}

func missing(seq uint64, pts core.PTS, capsule string, recorded, replayed any) diff.Change {
	return diff.Change{Seq: seq, PTS: pts.Seconds(), Capsule: capsule, Kind: diff.Missing, Recorded: recorded, Replayed: replayed}
}
