// Command marker is a capsule for tests of hot loading: every frame gets a node that says which
// version and process saw it, and with which options. Tests build it several times.
package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/capstan-video/capstan/sdk"
)

// Set by the linker: -X main.version=2.
var (
	version = "1"
	name    = "detector_marker"
	needs   = "" // a class; "": the frame alone
	class   = "mark"
	fault   = "" // "start", "probe" or "output": what is wrong with this version
)

func main() {
	if fault == "start" {
		os.Exit(7)
	}
	c := sdk.Capsule{
		Name: name, Version: version, Description: "Marks every frame.", Stateful: true, Entry: "marker",
		Gives: sdk.Description{Size: sdk.All, Detections: []string{class}, ExtraData: []string{"version"}},
		Options: []sdk.Option{
			sdk.Text("word", "none", "What the marks say."),
			sdk.Duration("pause", 0, "How long a frame takes."),
		},
		Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
			if strings.HasPrefix(s.Options.Text("word"), "bad") {
				return nil, errors.New("that word is bad")
			}
			return &marker{options: s.Options}, nil
		},
	}
	if needs != "" {
		c.Needs = sdk.Every(needs)
	}
	sdk.Serve(c)
}

type marker struct {
	options sdk.Values
	seen    int
}

// Configure takes other options and keeps the count.
func (m *marker) Configure(o sdk.Values) error {
	if strings.HasPrefix(o.Text("word"), "bad") {
		return errors.New("that word is bad")
	}
	m.options = o
	return nil
}

func (m *marker) Process(_ context.Context, f *sdk.Frame) error {
	if fault == "probe" {
		return errors.New("no such model")
	}
	m.seen++
	time.Sleep(m.options.Duration("pause"))
	of := class
	if fault == "output" {
		of = "something else"
	}
	f.Add(of, sdk.Rect(0, 0, 10, 10)).SetExtra("version", version).SetExtra("pid", os.Getpid()).
		SetExtra("seen", m.seen).SetExtra("word", m.options.Text("word")).SetExtra("confidence", 1)
	return nil
}
