// Command capsule-counter shows how to:
//
//  1. keep state for each stream (Stateful, plain fields of the processor),
//  2. use the tracks that another capsule has given,
//  3. measure time by PTS and forget what is old,
//  4. take new options without losing the state (Configure),
//  5. say what was counted in extra data.
//
// It counts tracks that cross a line. Run it on a video, with what finds and follows things:
//
//	mkdir -p /tmp/capsules/counter_line
//	go build -o /tmp/capsules/counter_line/ ./examples/capsule-counter
//	go run ./examples/capsule-counter manifest > /tmp/capsules/counter_line/capsule.yaml
//	bin/capstan capsule run /tmp/capsules/counter_line video.mp4 --with detector_motion_background \
//	  --option tracker_bytetrack.classes=motion --option counter_line.classes=motion --json -
package main

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/sdk"
)

var capsule = sdk.Capsule{
	Name:        "counter_line",
	Version:     "1",
	Description: "Counts tracks that cross a line, in both directions.",
	Needs:       sdk.Description{Size: sdk.All, Detections: []string{"${classes}"}, Tracked: true},
	Gives:       sdk.Description{Size: sdk.All, Detections: []string{"counting_line"}, ExtraData: []string{"in", "out"}},
	Stateful:    true, // frames of a stream come one at a time and in order, to one counter
	Options: []sdk.Option{
		sdk.List("classes", []string{"person", "vehicle", "motion"}, "Classes to count."),
		sdk.Float("x1", 0.5, "Where the line begins, as a share of the picture's width.", sdk.Between(0, 1)),
		sdk.Float("y1", 0, "Where the line begins, as a share of its height.", sdk.Between(0, 1)),
		sdk.Float("x2", 0.5, "Where the line ends, as a share of its width.", sdk.Between(0, 1)),
		sdk.Float("y2", 1, "Where the line ends, as a share of its height.", sdk.Between(0, 1)),
		sdk.Duration("max_age", 5*time.Second, "A track that was not seen for so long is forgotten.", sdk.Between(0.1, 600)),
	},
	Entry: "capsule-counter",
	Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
		c := &counter{tracks: map[sdk.TrackID]sighting{}}
		return c, c.Configure(s.Options)
	},
}

func main() { sdk.Serve(capsule) }

// counter is the state of one stream. It is called from one goroutine at a time.
type counter struct {
	from, to sdk.Point // of the line, as shares of the picture
	maxAge   sdk.PTS
	tracks   map[sdk.TrackID]sighting
	in, out  int
}

// sighting is where a track was last seen.
type sighting struct {
	at sdk.Point
	on sdk.PTS
}

// Configure takes new options; what was counted stays.
func (c *counter) Configure(o sdk.Values) error {
	c.from, c.to = sdk.Point{X: o.Float("x1"), Y: o.Float("y1")}, sdk.Point{X: o.Float("x2"), Y: o.Float("y2")}
	c.maxAge = sdk.PTS(o.Duration("max_age"))
	return nil
}

// Process counts the tracks that have crossed since they were last seen, and adds the line with
// the counts so far. It is called on every frame, also on those without tracks.
func (c *counter) Process(_ context.Context, f *sdk.Frame) error {
	w, h := float64(f.Width()), float64(f.Height())
	a, b := sdk.Point{X: c.from.X * w, Y: c.from.Y * h}, sdk.Point{X: c.to.X * w, Y: c.to.Y * h}
	for _, n := range f.Nodes() {
		box := n.Box()
		feet := sdk.Point{X: (box.X1 + box.X2) / 2, Y: box.Y2}
		if was, ok := c.tracks[n.TrackID()]; ok && crossed(a, b, was.at, feet) {
			if side(a, b, feet) > 0 {
				c.in++
			} else {
				c.out++
			}
		}
		c.tracks[n.TrackID()] = sighting{feet, f.PTS()}
	}
	for id, s := range c.tracks {
		if f.PTS()-s.on > c.maxAge {
			delete(c.tracks, id)
		}
	}
	f.Add("counting_line", sdk.Polygon{a, b}).SetExtra("in", c.in).SetExtra("out", c.out)
	return nil
}

// side is above 0 for a point to the left of the way from a to b, as one sees it in the picture
// with y going down, and below 0 to the right of it.
func side(a, b, p sdk.Point) float64 { return (b.Y-a.Y)*(p.X-a.X) - (b.X-a.X)*(p.Y-a.Y) }

// crossed says whether the way from p to q leads over the line from a to b.
func crossed(a, b, p, q sdk.Point) bool {
	return (side(a, b, p) > 0) != (side(a, b, q) > 0) && (side(p, q, a) > 0) != (side(p, q, b) > 0)
}
