package track

import (
	"math"
	"slices"
	"testing"

	"github.com/capstan-video/capstan/core"
)

var red, blue = core.Encoding{3, 0.2, 0, 0}, core.Encoding{0.1, 0, 5, 0.3}

// like gives the detection with an encoding.
func like(d Detection, e core.Encoding) Detection {
	d.Encoding = e
	return d
}

// meet is two persons who walk up to each other, meet in one place and turn back: their motion
// says that they passed.
func meet(a, b core.Encoding) (frames [][]Detection) {
	for k := range 80 {
		x := 4 * float64(min(k, 79-k)) // up to 156 and back
		frames = append(frames, []Detection{like(at(x, 0, 40, 100, 0.9), a), like(at(312-x, 0, 40, 100, 0.9), b)})
	}
	return frames
}

// TestAppearanceKeepsTracksApart: with encodings they keep their tracks, without they swap.
func TestAppearanceKeepsTracksApart(t *testing.T) {
	t.Parallel()
	blind := Default()
	blind.Appearance = 0
	for _, c := range []struct {
		name   string
		config Config
		a, b   core.Encoding
		keep   bool
	}{
		{"ByteTrack", Default(), red, blue, true},
		{"OC-SORT", DefaultObserved(), red, blue, true},
		{"ByteTrack without encodings", Default(), nil, nil, false},
		{"OC-SORT without encodings", DefaultObserved(), nil, nil, false},
		{"they are not looked at", blind, red, blue, false},
		{"they look the same", Default(), red, red, false},
		{"one is encoded", Default(), red, nil, false},
		{"empty", Default(), core.Encoding{}, core.Encoding{0, 0}, false},
		{"no numbers", Default(), core.Encoding{float32(math.NaN())}, core.Encoding{float32(math.Inf(1))}, false},
	} {
		first, last := play(c.config, meet(c.a, c.b))
		swapped := []core.TrackID{last[1], last[0]}
		if want := map[bool][]core.TrackID{true: last, false: swapped}[c.keep]; !slices.Equal(first, want) {
			t.Errorf("%s: %v became %v, want them kept: %v", c.name, first, last, c.keep)
		}
	}
}

// TestRecognise: who was hidden and comes out elsewhere is known by looks, if it can have come there.
func TestRecognise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		x     float64
		look  core.Encoding
		again bool
	}{
		{"near, alike", 250, red, true},
		{"near, another", 250, blue, false},
		{"near, not encoded", 250, nil, false},
		{"too far to come in a second", 1500, red, false},
	} {
		frames := [][]Detection{}
		for range 5 {
			frames = append(frames, []Detection{like(at(0, 0, 40, 100, 0.9), red)})
		}
		frames = append(frames, make([][]Detection, 20)...)
		frames = append(frames, []Detection{like(at(c.x, 0, 40, 100, 0.9), c.look)})
		for _, config := range []Config{Default(), DefaultObserved()} {
			if first, last := play(config, frames); (first[0] == last[0]) != c.again {
				t.Errorf("%s (observed %v): %v became %v", c.name, config.Observed, first, last)
			}
		}
	}
}

// TestLearn: the mean runs over the last encodings, whatever their lengths.
func TestLearn(t *testing.T) {
	t.Parallel()
	var o one
	o.learn(red, norm(red))
	if far, ok := o.distance(core.Encoding{30, 2, 0, 0}, norm(core.Encoding{30, 2, 0, 0})); !ok || far > 1e-6 {
		t.Errorf("ten times the same is %v away (%v)", far, ok)
	}
	for range 10 * memory {
		o.learn(blue, norm(blue))
	}
	if far, ok := o.distance(blue, norm(blue)); !ok || far > 0.01 {
		t.Errorf("after ten times the memory the new look is %v away (%v)", far, ok)
	}
}
