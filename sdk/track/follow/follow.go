// Package follow is what the capsules around sdk/track share: classes, options and the processor.
package follow

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/track"
)

// classes is what detectors usually give. It is a list, and not "any class", so that a tracker
// runs right after the detectors and before classifiers and encoders.
var classes = []string{
	"person", "face", "head", "hand", "vehicle", "car", "truck", "bus", "van", "motorcycle", "motorbike", "bicycle", "bike", "train",
	"boat", "airplane", "motion", "license_plate", "dog", "cat", "bird", "horse", "sheep", "cow", "animal", "sports ball",
	"backpack", "handbag", "suitcase", "bottle", "cup", "chair", "helmet", "safety vest", "forklift", "object",
}

// Capsule gives the declaration of a tracker with settings, to which the caller adds its name,
// version and description.
func Capsule(standard track.Config) sdk.Capsule {
	return sdk.Capsule{
		Needs:    sdk.Every("${classes}"),
		Gives:    sdk.Description{Size: sdk.All, Detections: []string{"${classes}"}, Tracked: true},
		Options:  options(standard),
		Stateful: true,
		Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
			return &tracker{standard: standard, tracks: track.New(config(standard, s.Options))}, nil
		},
	}
}

func options(standard track.Config) []sdk.Option {
	o := []sdk.Option{
		sdk.List("classes", classes, "Classes to follow."),
		sdk.Float("high_threshold", standard.High, "Detections with at least this confidence are matched first.", sdk.Between(0, 1)),
		sdk.Float("low_threshold", standard.Low, "Weaker detections than high_threshold still continue tracks, down to this confidence.", sdk.Between(0, 1)),
		sdk.Float("new_threshold", standard.New, "Least confidence of a detection that begins a track.", sdk.Between(0, 1)),
		sdk.Float("sure_threshold", standard.Sure, "A detection with at least this confidence gets its track in the first frame.", sdk.Between(0, 1)),
		sdk.Int("confirm", standard.Confirm, "Sightings after which any other track is shown.", sdk.Between(1, 100)),
		sdk.Duration("max_age", standard.MaxAge, "How long a track lives on without being seen.", sdk.Between(0, 600)),
		sdk.Float("match", standard.Match, "Least overlap (IoU) of a detection with where its track is expected.", sdk.Between(0, 1)),
		sdk.Float("match_low", standard.MatchLow, "As match, for detections below high_threshold.", sdk.Between(0, 1)),
		sdk.Float("match_new", standard.MatchTentative, "As match, for tracks that are not shown yet.", sdk.Between(0, 1)),
		sdk.Bool("class_agnostic", false, "Let a track go on as another class (a van that is also seen as a truck)."),
		sdk.Float("appearance", standard.Appearance, "Weight of the encodings beside the overlap, where nodes have encodings; 0: they are not looked at.", sdk.Between(0, 1)),
		sdk.Float("appearance_distance", standard.AppearanceDistance, "Cosine distance of encodings beyond which a sure detection is never the track's.", sdk.Between(0, 2)),
	}
	if !standard.Observed {
		return o
	}
	return append(o,
		sdk.Duration("delta_t", standard.DeltaT, "The direction of a track is taken over this time.", sdk.Between(0, 10)),
		sdk.Float("inertia", standard.Inertia, "Weight of the direction beside the overlap.", sdk.Between(0, 1)),
	)
}

func config(standard track.Config, o sdk.Values) track.Config {
	c := standard
	c.High, c.Low, c.New, c.Sure = o.Float("high_threshold"), o.Float("low_threshold"), o.Float("new_threshold"), o.Float("sure_threshold")
	c.Match, c.MatchLow, c.MatchTentative = o.Float("match"), o.Float("match_low"), o.Float("match_new")
	c.Confirm, c.MaxAge, c.ClassAgnostic = o.Int("confirm"), o.Duration("max_age"), o.Bool("class_agnostic")
	c.TentativeAge = min(c.TentativeAge, max(c.MaxAge, time.Millisecond))
	c.Appearance, c.AppearanceDistance = o.Float("appearance"), o.Float("appearance_distance")
	if c.Observed {
		c.DeltaT, c.Inertia = o.Duration("delta_t"), o.Float("inertia")
	}
	return c
}

// tracker follows the nodes of one stream.
type tracker struct {
	standard   track.Config
	tracks     *track.Tracker
	detections []track.Detection
}

// Process sets the track of every node that belongs to a confirmed one.
func (t *tracker) Process(_ context.Context, f *sdk.Frame) error {
	t.detections = t.detections[:0]
	for _, n := range f.Nodes() {
		score, ok := n.Confidence()
		if !ok {
			score = 1
		}
		t.detections = append(t.detections, track.Detection{Box: n.Box(), Score: score, Class: n.Class(), Encoding: n.Encoding()})
	}
	for i, id := range t.tracks.Update(f.PTS(), t.detections) {
		if id != "" {
			f.Nodes()[i].SetTrackID(id)
		}
	}
	clear(t.detections) // encodings are the frame's
	return nil
}

// Configure takes new options without losing the tracks.
func (t *tracker) Configure(o sdk.Values) error {
	t.tracks.Configure(config(t.standard, o))
	return nil
}
