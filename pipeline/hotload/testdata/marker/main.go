// Command marker is a capsule for tests of hot loading: every frame gets a node that says which
// version and process saw it, and with which options. What it is stands behind the end of its
// program, so that a test makes many versions of one build.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/capstan-video/capstan/sdk"
)

// trailer is what a test appends to the program, as JSON after a line break.
type trailer struct {
	Version, Name, Class, Needs string

	// Fault is what is wrong: "start", "probe", "output", "crash" on every frame but the probe's,
	// or "hang" on the fifth.
	Fault string
}

func self() trailer {
	t := trailer{Version: "1", Name: "detector_marker", Class: "mark"}
	exe, err := os.Executable()
	if err != nil {
		return t
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		return t
	}
	if i := bytes.LastIndexByte(program, '\n'); i >= 0 {
		_ = json.Unmarshal(program[i+1:], &t) // a plain build has none
	}
	return t
}

func main() {
	t := self()
	if t.Fault == "start" {
		os.Exit(7)
	}
	c := sdk.Capsule{
		Name: t.Name, Version: t.Version, Description: "Marks every frame.", Stateful: true, Entry: "marker",
		Gives: sdk.Description{Size: sdk.All, Detections: []string{t.Class}, ExtraData: []string{"version"}},
		Options: []sdk.Option{
			sdk.Text("word", "none", "What the marks say."),
			sdk.Duration("pause", 0, "How long a frame takes."),
		},
		Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
			if strings.HasPrefix(s.Options.Text("word"), "bad") {
				return nil, errors.New("that word is bad")
			}
			return &marker{trailer: t, options: s.Options, probe: s.ID == "capstan-probe"}, nil
		},
	}
	if t.Needs != "" {
		c.Needs = sdk.Every(t.Needs)
	}
	sdk.Serve(c)
}

type marker struct {
	trailer
	options sdk.Values
	probe   bool
	seen    int
}

// Configure takes other options and keeps the count.
func (m *marker) Configure(o sdk.Values) error {
	m.options = o
	return nil
}

func (m *marker) Process(_ context.Context, f *sdk.Frame) error {
	class := m.Class
	switch {
	case m.Fault == "probe":
		return errors.New("no such model")
	case m.Fault == "output":
		class = "something else"
	case m.Fault == "crash" && !m.probe:
		os.Exit(9)
	case m.Fault == "hang" && m.seen == 4:
		select {}
	}
	m.seen++
	time.Sleep(m.options.Duration("pause"))
	f.Add(class, sdk.Rect(0, 0, 10, 10)).SetExtra("version", m.Version).SetExtra("pid", os.Getpid()).
		SetExtra("seen", m.seen).SetExtra("word", m.options.Text("word")).SetExtra("confidence", 1)
	return nil
}
