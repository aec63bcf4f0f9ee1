package track

import (
	"math"
	"slices"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// play runs a tracker over steps and gives the track of each named detection at the end of the
// first and of the last step.
func play(config Config, frames [][]Detection) (first, last []core.TrackID) {
	tracker := New(config)
	for k, seen := range frames {
		ids := tracker.Update(seconds(float64(k)/25), seen)
		if k == 0 {
			first = slices.Clone(ids)
		}
		last = slices.Clone(ids)
	}
	return first, last
}

// stops is a walker who is hidden, and stops while nobody sees it: it comes out where it went
// in, and not where its speed would have brought it.
func stops() (frames [][]Detection) {
	for k := range 60 {
		x := 4 * float64(min(k, 25)) // a person's width in 10 frames
		if k > 25 && k < 45 {
			frames = append(frames, nil)
			continue
		}
		frames = append(frames, []Detection{at(x, 0, 40, 100, 0.9)})
	}
	return frames
}

// TestRecovery: what stopped while it was hidden is found where it was seen last, by OC-SORT alone.
func TestRecovery(t *testing.T) {
	t.Parallel()
	if first, last := play(DefaultObserved(), stops()); first[0] != last[0] || last[0] == "" {
		t.Errorf("OC-SORT: %v became %v", first, last)
	}
	if first, last := play(Default(), stops()); first[0] == last[0] {
		t.Error("ByteTrack finds it too: the story tells nothing")
	}
}

// TestRelive: after a gap the velocity is that of the line between the sights, and surer than
// one sight makes it.
func TestRelive(t *testing.T) {
	t.Parallel()
	speed := func(config Config) axis {
		tracker := New(config)
		for k := range 40 {
			var seen []Detection
			if k <= 20 { // 100 pixels a second
				seen = []Detection{at(4*float64(k), 0, 60, 100, 0.9)}
			}
			if k == 39 { // half as fast while hidden
				seen = []Detection{at(80+38, 0, 60, 100, 0.9)}
			}
			tracker.Update(seconds(float64(k)/25), seen)
		}
		if tracker.Len() != 1 {
			t.Fatalf("observed %v: %d tracks, want 1", config.Observed, tracker.Len())
		}
		return tracker.tracks[0].motion.x
	}
	relived, other := speed(DefaultObserved()), speed(Default())
	if math.Abs(relived.vel-50) > 6 {
		t.Errorf("velocity %.1f after the gap, want about 50", relived.vel)
	}
	if relived.vv > other.vv*0.9 {
		t.Errorf("variance of the velocity %.1f, without reliving %.1f", relived.vv, other.vv)
	}
}

func TestAhead(t *testing.T) {
	t.Parallel()
	box := func(x, y float64) core.Box { return core.Box{X1: x, Y1: y, X2: x + 40, Y2: y + 100} }
	for _, c := range []struct {
		name string
		past []core.Box
		b    core.Box
		want float64
	}{
		{"ahead", []core.Box{box(0, 0), box(30, 0)}, box(50, 0), 0.5},
		{"behind", []core.Box{box(0, 0), box(30, 0)}, box(-20, 0), -0.5},
		{"aside", []core.Box{box(0, 0), box(30, 0)}, box(0, 20), 0},
		{"hardly moved", []core.Box{box(0, 0), box(2, 0)}, box(50, 0), 0.05},
		{"seen once", []core.Box{box(0, 0)}, box(50, 0), 0},
		{"stood", []core.Box{box(0, 0), box(0, 0)}, box(50, 0), 0},
		{"where it began", []core.Box{box(0, 0), box(30, 0)}, box(0, 0), 0},
	} {
		var o one
		for i, b := range c.past {
			o.past = append(o.past, sight{core.PTS(i), b})
		}
		if got := o.ahead(c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRememberIsBounded(t *testing.T) {
	t.Parallel()
	var o one
	for k := range 1000 {
		o.remember(core.Box{X2: 1, Y2: 1}, core.PTS(k), 1e9)
	}
	if len(o.past) != remembered {
		t.Errorf("%d sights are kept, want %d", len(o.past), remembered)
	}
	o.remember(core.Box{X2: 1, Y2: 1}, seconds(100), 1e9)
	if len(o.past) != 2 {
		t.Errorf("%d sights are kept after a pause, want 2", len(o.past))
	}
}

// TestObservedCrossing: two that walk through each other keep their tracks with OC-SORT too.
func TestObservedCrossing(t *testing.T) {
	t.Parallel()
	var frames [][]Detection
	for k := range 100 {
		left, right := at(4*float64(k), 0, 40, 90, 0.9), at(360-4*float64(k), 4, 40, 90, 0.9)
		seen := []Detection{left, right}
		if d := left.Box.X1 - right.Box.X1; math.Abs(d) < 25 {
			seen = []Detection{left}
			if d > 0 {
				seen = []Detection{right}
			}
		}
		frames = append(frames, seen)
	}
	if first, last := play(DefaultObserved(), frames); !slices.Equal(first, last) {
		t.Errorf("at the end %v, at the beginning %v", last, first)
	}
}
