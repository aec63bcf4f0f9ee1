package track

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
)

func at(x, y, w, h, score float64) Detection {
	return Detection{Box: core.Box{X1: x, Y1: y, X2: x + w, Y2: y + h}, Score: score, Class: "person"}
}

func seconds(s float64) core.PTS { return core.PTS(s * float64(time.Second)) }

// step is a frame: what is seen, and the names of the tracks that are expected ("" none).
type step struct {
	at   float64
	seen []Detection
	want []string
}

func TestTracks(t *testing.T) {
	same := at(0, 0, 40, 80, 0.9)
	fast := Default()
	fast.Confirm = 1
	agnostic := Default()
	agnostic.ClassAgnostic = true
	car, truck := same, same
	car.Class, truck.Class = "car", "truck"
	face, person := at(10, 0, 20, 30, 0.9), at(10, 0, 20, 30, 0.9)
	face.Class = "face"
	for _, c := range []struct {
		name   string
		config Config
		steps  []step
	}{
		{"a sure one is shown at once", Default(), []step{{0, []Detection{same}, []string{"a"}}, {0.04, []Detection{same}, []string{"a"}}}},
		{"others when seen three times", Default(), []step{
			{0, []Detection{at(0, 0, 40, 80, 0.65)}, []string{""}}, {0.04, []Detection{at(1, 0, 40, 80, 0.65)}, []string{""}}, {0.08, []Detection{at(2, 0, 40, 80, 0.65)}, []string{"a"}},
		}},
		{"others at once if so asked", fast, []step{{0, []Detection{at(0, 0, 40, 80, 0.65)}, []string{"a"}}}},
		{"a weak one begins nothing", fast, []step{{0, []Detection{at(0, 0, 40, 80, 0.3)}, []string{""}}, {0.04, []Detection{at(0, 0, 40, 80, 0.3)}, []string{""}}}},
		{"a weak one goes on", Default(), []step{{0, []Detection{same}, []string{"a"}}, {0.04, []Detection{at(0, 0, 40, 80, 0.3)}, []string{"a"}}, {0.08, []Detection{same}, []string{"a"}}}},
		{"none is too weak to go on", Default(), []step{{0, []Detection{same}, []string{"a"}}, {0.04, []Detection{at(0, 0, 40, 80, 0.01)}, []string{""}}}},
		{"lost for a while", Default(), []step{{0, []Detection{same}, []string{"a"}}, {0.04, nil, nil}, {0.5, nil, nil}, {0.9, []Detection{same}, []string{"a"}}}},
		{"lost for too long", Default(), []step{{0, []Detection{same}, []string{"a"}}, {5, nil, nil}, {5.04, []Detection{same}, []string{"b"}}}},
		{"lost while no frame came", Default(), []step{{0, []Detection{same}, []string{"a"}}, {60, nil, nil}, {60.1, []Detection{same}, []string{"b"}}}},
		{"somewhere else", Default(), []step{{0, []Detection{same}, []string{"a"}}, {0.04, []Detection{at(300, 0, 40, 80, 0.9)}, []string{"b"}}}},
		{"two in another order", Default(), []step{
			{0, []Detection{same, at(100, 0, 40, 80, 0.9)}, []string{"a", "b"}}, {0.04, []Detection{at(101, 0, 40, 80, 0.9), same}, []string{"b", "a"}},
		}},
		{"a car is no truck", Default(), []step{{0, []Detection{car}, []string{"a"}}, {0.04, []Detection{truck}, []string{"b"}}}},
		{"unless so asked", agnostic, []step{{0, []Detection{car}, []string{"a"}}, {0.04, []Detection{truck}, []string{"a"}}}},
		{"a face on a person", Default(), []step{
			{0, []Detection{person, face}, []string{"a", "b"}}, {0.04, []Detection{face, person}, []string{"b", "a"}}, {0.08, []Detection{face}, []string{"b"}},
		}},
		{"the clock goes back", Default(), []step{{100, []Detection{same}, []string{"a"}}, {1, []Detection{same}, []string{"b"}}}},
		{"two frames at one time", Default(), []step{{1, []Detection{same}, []string{"a"}}, {1, []Detection{same}, []string{"a"}}}},
		{"no place", Default(), []step{{0, []Detection{at(math.NaN(), 0, 1, 1, 1), at(math.Inf(1), 0, 1, 1, 1), same}, []string{"", "", "a"}}, {0.04, []Detection{same}, []string{"a"}}}},
		{"a point", Default(), []step{{0, []Detection{at(5, 5, 0, 0, 1)}, []string{"a"}}, {0.04, []Detection{at(5, 5, 0, 0, 1)}, nil}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tracker := New(c.config)
			names := map[core.TrackID]string{"": ""}
			for _, s := range c.steps {
				got := tracker.Update(seconds(s.at), s.seen)
				if s.want == nil {
					continue
				}
				for i, id := range got {
					if _, ok := names[id]; !ok {
						names[id] = string(rune('a' + len(names) - 1))
					}
					if names[id] != s.want[i] {
						t.Errorf("%.2f s: detection %d is track %q, want %q", s.at, i, names[id], s.want[i])
					}
				}
			}
		})
	}
}

// TestTimeIsNotFrames: the same walk at 30 and at 5 frames a second, with every third frame
// dropped, is one track.
func TestTimeIsNotFrames(t *testing.T) {
	for _, fps := range []float64{5, 12.5, 30} {
		tracker := New(Default())
		ids := map[core.TrackID]int{}
		for i := range int(4 * fps) {
			if i%3 == 1 && i > 4 {
				continue
			}
			s := float64(i) / fps
			for _, id := range tracker.Update(seconds(s), []Detection{at(60*s, 20*math.Sin(s), 50, 120, 0.9)}) {
				ids[id]++
			}
		}
		if len(ids) != 1 || ids[""] > 0 {
			t.Errorf("%v fps: tracks %v, want one", fps, ids)
		}
	}
}

// TestCrossing: two that walk through each other keep their tracks, with the crossing unseen.
func TestCrossing(t *testing.T) {
	tracker := New(Default())
	var first [2]core.TrackID
	for i := range 100 {
		s := float64(i) / 25
		left, right := at(100*s, 0, 40, 90, 0.9), at(360-100*s, 4, 40, 90, 0.9)
		seen := []Detection{left, right}
		if math.Abs(left.Box.X1-right.Box.X1) < 25 {
			seen = seen[:1] // the one behind is hidden
			if left.Box.X1 > right.Box.X1 {
				seen = []Detection{right}
			}
		}
		ids := tracker.Update(seconds(s), seen)
		if i == 0 {
			first = [2]core.TrackID{ids[0], ids[1]}
		}
		if i == 99 && (ids[0] != first[0] || ids[1] != first[1]) {
			t.Errorf("at the end %v, at the beginning %v", ids, first)
		}
	}
}

func TestTracksEnd(t *testing.T) {
	tracker := New(Default())
	r := rand.New(rand.NewPCG(4, 4))
	for i := range 500 {
		var seen []Detection
		for range 20 {
			seen = append(seen, at(r.Float64()*1e4, r.Float64()*1e4, 10+r.Float64()*50, 10+r.Float64()*90, r.Float64()))
		}
		tracker.Update(seconds(float64(i)/25), seen)
	}
	if n := tracker.Len(); n > 20*25*4 {
		t.Errorf("%d tracks are alive", n)
	}
	tracker.Update(seconds(1000), nil)
	if n := tracker.Len(); n != 0 {
		t.Errorf("%d tracks are alive long after", n)
	}
}

func TestIDsAreUnique(t *testing.T) {
	ids := map[core.TrackID]bool{}
	for range 20 {
		tracker := New(Default())
		for _, id := range tracker.Update(0, []Detection{at(0, 0, 10, 10, 1), at(50, 0, 10, 10, 1)}) {
			if len(id) != 36 || ids[id] {
				t.Fatalf("track %q", id)
			}
			ids[id] = true
		}
	}
}

func TestConfigureKeepsTracks(t *testing.T) {
	tracker := New(Default())
	before := slices.Clone(tracker.Update(0, []Detection{at(0, 0, 40, 80, 0.9)}))
	c := Default()
	c.Sure = 1
	tracker.Configure(c)
	if after := tracker.Update(seconds(0.04), []Detection{at(1, 0, 40, 80, 0.9)}); after[0] != before[0] {
		t.Errorf("%v became %v", before, after)
	}
}

// TestMovingCamera: a camera that jerks by a third of a person's width and more keeps the tracks.
func TestMovingCamera(t *testing.T) {
	tracker := New(Default())
	r := rand.New(rand.NewPCG(8, 8))
	ids := map[int]map[core.TrackID]bool{}
	for i := range 100 {
		jerkX, jerkY := 0.0, 0.0
		if i > 5 {
			jerkX, jerkY = r.NormFloat64()*11, r.NormFloat64()*11
		}
		var seen []Detection
		for k := range 6 {
			seen = append(seen, at(float64(200*k)+jerkX, 100+jerkY, 40, 100, 0.9))
		}
		for k, id := range tracker.Update(seconds(float64(i)/25), seen) {
			if ids[k] == nil {
				ids[k] = map[core.TrackID]bool{}
			}
			ids[k][id] = true
		}
	}
	for k, own := range ids {
		if len(own) != 1 {
			t.Errorf("person %d had %d tracks", k, len(own))
		}
	}
}
