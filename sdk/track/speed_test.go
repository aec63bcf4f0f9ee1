package track

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
)

// crowd gives frames of n boxes that tremble around their places in a picture of 1920 x 1080.
func crowd(n, frames int) [][]Detection {
	r := rand.New(rand.NewPCG(4, 4))
	now := make([]Detection, n)
	for i := range now {
		now[i] = at(r.Float64()*1880, r.Float64()*980, 40, 100, 0.7+0.3*r.Float64())
	}
	all := make([][]Detection, frames)
	for k := range all {
		for i := range now {
			x, y := now[i].Box.X1+r.NormFloat64(), now[i].Box.Y1+r.NormFloat64()
			now[i].Box = core.Box{X1: x, Y1: y, X2: x + 40, Y2: y + 100}
		}
		all[k] = append([]Detection(nil), now...)
		r.Shuffle(n, func(i, j int) { all[k][i], all[k][j] = all[k][j], all[k][i] })
	}
	return all
}

// BenchmarkUpdate measures a frame of both trackers. The goals are 100 µs with 50 boxes and 1 ms
// with 500. Nearly every box has a track, else it fails.
func BenchmarkUpdate(b *testing.B) {
	for _, c := range []struct {
		name   string
		config Config
	}{{"bytetrack", Default()}, {"ocsort", DefaultObserved()}} {
		for _, n := range []int{50, 500} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				frames := crowd(n, 250)
				tracker := New(c.config)
				now, tracked, boxes := core.PTS(0), 0, 0
				for k := 0; b.Loop(); k++ {
					now += core.PTS(40 * time.Millisecond)
					for _, id := range tracker.Update(now, frames[bounce(k, len(frames))]) {
						if id != "" && k >= 10 {
							tracked++
						}
					}
					if k >= 10 {
						boxes += n
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/frame")
				if float64(tracked) < 0.98*float64(boxes) {
					b.Errorf("%d of %d boxes have a track", tracked, boxes)
				}
			})
		}
	}
}

// bounce counts 0…n-1 and back again, so that nothing jumps.
func bounce(k, n int) int {
	if k %= 2 * n; k >= n {
		return 2*n - 1 - k
	}
	return k
}

// TestCrowdKeepsItsTracks: with 500 boxes in one picture nearly all keep their first track.
func TestCrowdKeepsItsTracks(t *testing.T) {
	for _, config := range []Config{Default(), DefaultObserved()} {
		tracker := New(config)
		ids := map[core.TrackID]int{}
		for k, seen := range crowd(500, 50) {
			for _, id := range tracker.Update(seconds(float64(k)/25), seen) {
				ids[id]++
			}
		}
		delete(ids, "")
		sum := 0
		for _, n := range ids {
			sum += n
		}
		if len(ids) > 510 || sum < 500*49 {
			t.Errorf("observed %v: %d tracks with %d sights, want about 500 with 25000", config.Observed, len(ids), sum)
		}
	}
}
