package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
)

// zoneUpdates holds 50 tracks that wander against 20 zones, 10,000 times, on one core: polygons of
// eight corners, every fifth zone a line.
func zoneUpdates(s settings) ([]row, error) {
	const times = 10_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var took []float64
	for range s.rounds {
		random := rand.New(rand.NewPCG(1, 1)) // #nosec G404 -- the same walk every time
		w := zones.New(placed(random), nil, nil)
		places := make([]core.Point, 50)
		for i := range places {
			places[i] = core.Point{X: random.Float64() * 1920, Y: random.Float64() * 1080}
		}
		var spent time.Duration
		for frame := range times {
			nodes := walk(random, places)
			began := time.Now()
			w.Update(core.PTS(frame)*core.PTS(40*time.Millisecond), nodes)
			spent += time.Since(began)
		}
		crossings := 0
		for _, t := range w.Totals() {
			for _, n := range t.Entered {
				crossings += int(n)
			}
		}
		if crossings == 0 {
			return nil, errors.New("nobody has entered a zone")
		}
		took = append(took, spent.Seconds())
	}
	low, median, high := spread(took)
	return []row{{"10,000 updates of 50 tracks in 20 zones, one core", "≤ 1 s", fmt.Sprintf("%.2f s (%.2f..%.2f)", median, low, high), met(median <= 1)}}, nil
}

func placed(random *rand.Rand) []core.Zone {
	var list []core.Zone
	for i := range 20 {
		x, y := random.Float64()*1500, random.Float64()*700
		z := core.Zone{ID: core.ZoneID(i + 1), Name: fmt.Sprint(i)}
		if i%5 == 0 {
			z.Coords = core.Polygon{{X: x, Y: y}, {X: x + 300, Y: y + 100}}
		} else {
			for k := range 8 {
				a := float64(k) * math.Pi / 4
				z.Coords = append(z.Coords, core.Point{X: x + 200 + 200*math.Cos(a), Y: y + 150 + 150*math.Sin(a)})
			}
		}
		list = append(list, z)
	}
	return list
}

// walk moves the places and gives a tracked node at each.
func walk(random *rand.Rand, places []core.Point) []*core.Node {
	nodes := make([]*core.Node, len(places))
	for i := range places {
		p := &places[i]
		p.X, p.Y = p.X+8*random.NormFloat64(), p.Y+8*random.NormFloat64()
		nodes[i] = &core.Node{ID: core.NodeID(i + 1), Class: "person", Coords: core.Rect(p.X-20, p.Y-80, p.X+20, p.Y), TrackID: core.TrackID(fmt.Sprint(i))}
	}
	return nodes
}
