// Command detector_replay plays detections again that were written to a file.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/capstan-video/capstan/sdk"
)

//go:generate sh -c "go run . manifest > capsule.yaml"

var capsule = sdk.Capsule{
	Name:        "detector_replay",
	Version:     "0.1.0",
	Description: "Plays detections again from a MOTChallenge det.txt or from the results of an earlier run.",
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"${class}"}, ExtraData: []string{"confidence"}},
	Options: []sdk.Option{
		sdk.Text("path", "", "The file: MOTChallenge lines, or JSON lines as capstan run --json writes them. It has to be given."),
		sdk.Text("class", "person", "Class of the nodes; of JSON lines only nodes of this class are played."),
		sdk.Bool("keep_tracks", false, "Play the tracks of JSON lines too, instead of leaving them to a tracker."),
	},
	OnDemand:  true,
	Resources: sdk.Resources{Files: []sdk.FileNeed{{Path: "${path}"}}},
	Open:      open,
}

func main() { sdk.Serve(capsule) }

func open(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
	p := &player{class: s.Options.Text("class"), tracks: s.Options.Bool("keep_tracks")}
	if p.class == "" {
		return nil, errors.New("option class: is empty; name the class of the nodes")
	}
	path := s.Options.Text("path")
	if path == "" {
		return nil, errors.New("option path: is empty; name the file to play, for example --option detector_replay.path=det.txt")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("option path: %w", err)
	}
	defer file.Close()
	if p.nodes, err = read(file, path, p.class); err != nil {
		return nil, err
	}
	return p, nil
}

// player gives a stream the nodes of a recording. Frame k of the file is the frame with number k.
type player struct {
	class  string
	tracks bool
	nodes  recording
}

// Process adds the nodes of this frame. A file's coordinates are in pixels of the stream.
func (p *player) Process(_ context.Context, f *sdk.Frame) error {
	for _, n := range p.nodes[f.Seq()] {
		p.add(f, n)
	}
	return nil
}

func (p *player) add(f *sdk.Frame, n node) {
	out := f.Add(p.class, append(sdk.Polygon(nil), n.coords...)).SetConfidence(n.confidence)
	for name, value := range n.attributes {
		out.SetAttribute(name, value)
	}
	for key, value := range n.extra {
		out.SetExtra(key, value)
	}
	for _, c := range n.children {
		out.AddChild(c.class, append(sdk.Polygon(nil), c.coords...))
	}
	if n.encoding != nil {
		out.SetEncoding(n.encoding)
	}
	if p.tracks && n.track != "" {
		out.SetTrackID(n.track)
	}
}
