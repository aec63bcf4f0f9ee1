package zones

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
)

var (
	square = core.Zone{ID: 1, Name: "yard", Coords: core.Rect(100, 100, 200, 200)}
	line   = core.Zone{ID: 2, Name: "door", Coords: core.Polygon{{X: 100, Y: 100}, {X: 200, Y: 100}}} // right of it is below
	// hook is a U that is open at the top.
	hook = core.Zone{ID: 3, Name: "hook", Coords: core.Polygon{{X: 100, Y: 100}, {X: 120, Y: 100}, {X: 120, Y: 180}, {X: 180, Y: 180}, {X: 180, Y: 100}, {X: 200, Y: 100}, {X: 200, Y: 200}, {X: 100, Y: 200}}}
)

// standing gives a person of 20x40 pixels whose feet are at a point.
func standing(id string, x, y float64) *core.Node {
	return &core.Node{Class: "person", TrackID: core.TrackID(id), Coords: core.Rect(x-10, y-40, x+10, y)}
}

// walk lets one object go along points, one a frame, and writes what is seen in each frame:
// w within, + entering, - exiting.
func walk(z core.Zone, id string, points ...core.Point) (string, Totals) {
	w := New([]core.Zone{z}, nil, nil)
	out := ""
	for i, p := range points {
		s := w.Update(core.PTS(i)*core.PTS(40*time.Millisecond), []*core.Node{standing(id, p.X, p.Y)})[0]
		for _, c := range []struct {
			mark  string
			nodes []*core.Node
		}{{"w", s.Within}, {"+", s.Entering}, {"-", s.Exiting}} {
			if len(c.nodes) > 0 {
				out += c.mark
			}
		}
		out += "."
	}
	return out, w.Totals()[z.ID]
}

func TestScripts(t *testing.T) {
	t.Parallel()
	at := func(xy ...float64) []core.Point {
		var p []core.Point
		for i := 0; i < len(xy); i += 2 {
			p = append(p, core.Point{X: xy[i], Y: xy[i+1]})
		}
		return p
	}
	tests := []struct {
		name   string
		zone   core.Zone
		points []core.Point
		want   string
	}{
		{"in and out", square, at(50, 150, 90, 150, 110, 150, 150, 150, 190, 150, 210, 150), "..w+.w.w.-."},
		{"appears inside", square, at(150, 150, 150, 160, 250, 150), "w.w.-."},
		{"vanishes inside", square, at(50, 150, 150, 150), ".w+."},
		{"passes between two frames", square, at(50, 150, 250, 150, 260, 150), ".+-.."},
		{"passes by a corner", square, at(90, 120, 120, 90, 130, 80), ".+-.."},
		{"goes by outside", square, at(50, 90, 150, 90, 250, 90), "..."},
		{"trembles at the edge, outside", square, at(98, 150, 100.5, 150, 99.5, 150, 100.5, 150, 99.5, 150, 90, 150), "......"},
		{"trembles at the edge, inside", square, at(110, 150, 100.5, 150, 99.5, 150, 100.5, 150, 99.5, 150, 110, 150), "w.w.w.w.w.w."},
		{"stops at the edge and goes on", square, at(90, 150, 100.5, 150, 100.5, 150, 130, 150), "...w+."},
		{"seen at the near edge only, and through", square, at(90, 150, 100.5, 150, 250, 150), "..+-."},
		{"over the open end of the hook", hook, at(150, 80, 150, 120, 150, 160), "..."},
		{"through the bottom of the hook", hook, at(150, 170, 150, 190, 150, 210), ".w+.-."},
		{"through both arms of the hook", hook, at(90, 150, 210, 150), ".+-."},

		{"line down", line, at(150, 80, 150, 95, 150, 105, 150, 130), ".w.w+.w."},
		{"line up", line, at(150, 120, 150, 90), "w.-w."},
		{"line in one step", line, at(150, 20, 150, 400), ".+."},
		{"line, past its end", line, at(250, 80, 250, 120), "w.w."},
		{"line, around its end", line, at(150, 80, 220, 80, 220, 120, 150, 120), "..w.w."},
		{"line, trembling", line, at(150, 98, 150, 100.4, 150, 99.6, 150, 100.4, 150, 99.6, 150, 90), "......"},
		{"line, trembling and over", line, at(150, 98, 150, 100.4, 150, 99.6, 150, 100.4, 150, 140), "....+."},
		{"line, over and back at once", line, at(150, 98, 150, 100.4, 150, 90), "..."},
		{"line, there and back", line, at(150, 80, 150, 120, 150, 80), ".+.-."},
		{"line, exactly on it", line, at(150, 90, 150, 100, 150, 110), "..+."},
		{"line, along it", line, at(90, 100, 150, 100, 210, 100), "..."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, totals := walk(tt.zone, "t", tt.points...)
			if tt.zone.IsLine() { // what touches a line is tested by itself
				got, tt.want = without(got, 'w'), without(tt.want, 'w')
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			in, out := number(tt.want, '+'), number(tt.want, '-')
			if totals.Entered["person"] != in || totals.Exited["person"] != out {
				t.Errorf("totals %+v, want %d in and %d out", totals, in, out)
			}
		})
	}
}

// Without a tracker, a detection is that of the frame before where the two overlap.
func TestWithoutTracks(t *testing.T) {
	t.Parallel()
	var slow []core.Point
	for x := 85.0; x <= 110; x += 5 {
		slow = append(slow, core.Point{X: x, Y: 150})
	}
	if got, _ := walk(square, "", slow...); got != "....w+.w." {
		t.Errorf("slowly: %s", got)
	}
	if got, _ := walk(square, "", core.Point{X: 50, Y: 150}, core.Point{X: 150, Y: 150}); got != ".w." {
		t.Errorf("by leaps: %s", got)
	}
}

func without(s string, r byte) string {
	return string(slices.DeleteFunc([]byte(s), func(b byte) bool { return b == r }))
}

func number(s string, r byte) uint64 { return uint64(len(s) - len(without(s, r))) }

func TestLineIsTouched(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		box  core.Box
		want bool
	}{
		{core.Box{X1: 140, Y1: 90, X2: 160, Y2: 110}, true},
		{core.Box{X1: 90, Y1: 90, X2: 110, Y2: 110}, true},
		{core.Box{X1: 50, Y1: 90, X2: 99, Y2: 110}, false},
		{core.Box{X1: 140, Y1: 101, X2: 160, Y2: 110}, false},
		{core.Box{X1: 140, Y1: 100, X2: 160, Y2: 110}, true},
		{core.Box{X1: 0, Y1: 0, X2: 400, Y2: 400}, true},
	} {
		w := New([]core.Zone{line}, nil, nil)
		s := w.Update(0, []*core.Node{{Class: "car", Coords: tt.box.Polygon()}})
		if got := len(s[0].Within) == 1; got != tt.want {
			t.Errorf("%v: within %v", tt.box, got)
		}
	}
}

// The whole frame holds everything, and nothing comes or goes.
func TestScreen(t *testing.T) {
	t.Parallel()
	w := New([]core.Zone{{ID: 9, Name: core.ScreenZone}}, nil, nil)
	a, b := standing("a", 10, 50), standing("", 300, 300)
	w.Update(0, []*core.Node{a})
	s := w.Update(core.PTS(time.Second), []*core.Node{a, b})[0]
	if !reflect.DeepEqual(s.Within, []*core.Node{a, b}) || len(s.Entering)+len(s.Exiting) != 0 || s.Dwell(0) != time.Second || s.Dwell(1) != 0 {
		t.Errorf("%+v", s)
	}
	if s := w.Update(core.PTS(2*time.Second), nil)[0]; s.Within == nil || len(s.Within) != 0 {
		t.Errorf("nothing is %v", s.Within)
	}
}

// Another anchor has a life of its own.
func TestAnchors(t *testing.T) {
	t.Parallel()
	top := core.Objects{Class: "person", Anchor: core.AnchorTop}
	alarm := core.Alarm{Zone: 1, Counts: []core.CountCondition{{Objects: top}}}
	w := New([]core.Zone{square}, []core.Alarm{alarm}, nil)
	tests := []struct {
		y                  float64 // of the feet; the head is 40 above
		bottom, top, moved int
	}{{90, 0, 0, 0}, {130, 1, 0, 0}, {160, 1, 1, 1}, {220, 0, 1, 0}, {260, 0, 0, 1}}
	for i, tt := range tests {
		s := w.Update(core.PTS(i), []*core.Node{standing("t", 150, tt.y)})[0]
		feet := core.Objects{Class: "person", Anchor: core.AnchorBottom}
		if s.Count(feet) != tt.bottom || s.Count(top) != tt.top || s.Moved(top, core.EnteringOrExiting) != tt.moved {
			t.Errorf("feet at %v: %d, %d, %d; want %+v", tt.y, s.Count(feet), s.Count(top), s.Moved(top, core.EnteringOrExiting), tt)
		}
		if s.Count(core.Objects{Class: "dog"}) != 0 {
			t.Error("a person is a dog")
		}
	}
}

func TestTotalsSurvive(t *testing.T) {
	t.Parallel()
	w := New([]core.Zone{square}, nil, nil)
	w.Update(0, []*core.Node{standing("t", 50, 150)})
	w.Update(1, []*core.Node{standing("t", 150, 150)})
	again := New([]core.Zone{square, line}, nil, w.Totals())
	again.Update(0, []*core.Node{standing("t", 150, 150)})
	s := again.Update(1, []*core.Node{standing("t", 50, 150)})
	if s[0].Totals.Entered["person"] != 1 || s[0].Totals.Exited["person"] != 1 || len(s[1].Totals.Entered) != 0 {
		t.Errorf("%+v", s[0].Totals)
	}
}

// A zone that is changed keeps its totals, and what is known of objects while it stays where it is.
func TestSet(t *testing.T) {
	t.Parallel()
	w := New([]core.Zone{square}, nil, nil)
	w.Update(0, []*core.Node{standing("t", 50, 150)})
	w.Update(1, []*core.Node{standing("t", 150, 150)})
	named := square
	named.Name = "garden"
	w.Set([]core.Zone{line, named}, []core.Alarm{{Zone: 1, Rates: []core.RateCondition{{Objects: core.Objects{Anchor: core.AnchorTop}}}}})
	s := w.Update(2, []*core.Node{standing("t", 50, 150)})
	if s[1].Zone.Name != "garden" || len(s[1].Exiting) != 1 || s[1].Totals.Entered["person"] != 1 {
		t.Errorf("%+v", s[1])
	}
	moved := named
	moved.Coords = core.Rect(300, 300, 400, 400)
	w.Set([]core.Zone{moved}, nil)
	s = w.Update(3, []*core.Node{standing("t", 350, 350)})
	if len(s[0].Entering) != 0 || len(s[0].Within) != 1 || s[0].Totals.Entered["person"] != 1 {
		t.Errorf("%+v", s[0])
	}
}

func TestASourceThatBeginsAgain(t *testing.T) {
	t.Parallel()
	w := New([]core.Zone{square}, nil, nil)
	w.Update(core.PTS(time.Hour), []*core.Node{standing("t", 50, 150)})
	if s := w.Update(0, []*core.Node{standing("t", 150, 150)})[0]; len(s.Entering) != 0 || len(s.Within) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTracksAreForgotten(t *testing.T) {
	t.Parallel()
	w := New([]core.Zone{square}, nil, nil)
	w.Update(0, []*core.Node{standing("t", 50, 150)})
	w.Update(core.PTS(forget)+1, nil)
	if len(w.tracks) != 0 {
		t.Errorf("%d tracks", len(w.tracks))
	}
	for i := range maxTracks + 10 {
		w.Update(core.PTS(forget)+core.PTS(i), []*core.Node{standing(fmt.Sprint(i), 50, 150)})
	}
	if len(w.tracks) != maxTracks || w.tracks["9"] != nil || w.tracks[core.TrackID(fmt.Sprint(maxTracks+9))] == nil {
		t.Errorf("%d tracks, the oldest not gone", len(w.tracks))
	}
}

// Objects that neither appear nor vanish inside: entered less exited is within, after every frame.
func TestEnteredLessExitedIsWithin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		zone := core.Zone{ID: 1, Coords: star(r)}
		if err := Check(zone.Coords); err != nil {
			t.Fatal(err)
		}
		w := New([]core.Zone{zone}, nil, nil)
		objects := make([]core.Point, 12)
		for i := range objects {
			objects[i] = core.Point{X: -100, Y: float64(i * 40)} // outside
			w.Update(0, []*core.Node{standing(fmt.Sprint(i), objects[i].X, objects[i].Y)})
		}
		for frame := range 150 {
			nodes := make([]*core.Node, len(objects))
			for i := range objects {
				reach := []float64{2, 30, 300}[i%3]
				objects[i].X = min(620, max(-100, objects[i].X+reach*(2*r.Float64()-0.9)))
				objects[i].Y = min(620, max(-100, objects[i].Y+reach*(2*r.Float64()-1)))
				nodes[i] = standing(fmt.Sprint(i), objects[i].X, objects[i].Y)
			}
			s := w.Update(core.PTS(frame+1), nodes)[0]
			if in := s.Totals.Entered["person"] - s.Totals.Exited["person"]; in != uint64(len(s.Within)) {
				t.Fatalf("seed %d, frame %d: %d entered, %d exited, %d within", seed, frame, s.Totals.Entered["person"], s.Totals.Exited["person"], len(s.Within))
			}
		}
	}
}

// star gives a simple polygon around (250, 250), convex or not.
func star(r *rand.Rand) core.Polygon {
	n := 3 + r.IntN(9)
	p := make(core.Polygon, n)
	for i := range p {
		angle, radius := 2*math.Pi*float64(i)/float64(n), 60+r.Float64()*180
		p[i] = core.Point{X: 250 + radius*math.Cos(angle), Y: 250 + radius*math.Sin(angle)}
	}
	return p
}

// Every crossing of a line counts, however long the steps are: right less left is where one stands.
func TestNothingSlipsThroughALine(t *testing.T) {
	t.Parallel()
	long := core.Zone{ID: 1, Coords: core.Polygon{{X: -1e5, Y: 100}, {X: 1e5, Y: 100}}}
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := New([]core.Zone{long}, nil, nil)
		y := 50.0
		w.Update(0, []*core.Node{standing("t", 150, y)})
		for frame := range 200 {
			y += []float64{0.5, 4, 80}[seed%3] * r.NormFloat64()
			s := w.Update(core.PTS(frame+1), []*core.Node{standing("t", 150, y)})[0]
			over := s.Totals.Entered["person"] - s.Totals.Exited["person"]
			if math.Abs(y-100) > 1 && (over == 1) != (y > 100) {
				t.Fatalf("seed %d, frame %d: at %v, %d over", seed, frame, y, over)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	tests := map[string]struct {
		p  core.Polygon
		ok bool
	}{
		"screen": {nil, true}, "line": {line.Coords, true}, "square": {square.Coords, true}, "hook": {hook.Coords, true},
		"the other way round": {core.Polygon{{X: 0, Y: 0}, {X: 0, Y: 9}, {X: 9, Y: 9}}, true},
		"point":               {core.Polygon{{X: 1, Y: 1}}, false},
		"no length":           {core.Polygon{{X: 1, Y: 1}, {X: 1, Y: 1}}, false},
		"bow":                 {core.Polygon{{X: 0, Y: 0}, {X: 9, Y: 9}, {X: 9, Y: 0}, {X: 0, Y: 9}}, false},
		"flat":                {core.Polygon{{X: 0, Y: 0}, {X: 5, Y: 5}, {X: 9, Y: 9}}, false},
		"spike":               {core.Polygon{{X: 0, Y: 0}, {X: 9, Y: 0}, {X: 5, Y: 0}, {X: 5, Y: 9}}, false},
		"touches itself":      {core.Polygon{{X: 0, Y: 0}, {X: 9, Y: 0}, {X: 9, Y: 9}, {X: 5, Y: 0}, {X: 0, Y: 9}}, false},
		"twice a corner":      {core.Polygon{{X: 0, Y: 0}, {X: 9, Y: 0}, {X: 9, Y: 0}, {X: 5, Y: 9}}, true},
		"closed":              {core.Polygon{{X: 0, Y: 0}, {X: 9, Y: 0}, {X: 5, Y: 9}, {X: 0, Y: 0}}, true},
		"twice of two":        {core.Polygon{{X: 0, Y: 0}, {X: 9, Y: 0}, {X: 9, Y: 0}}, false},
		"one point thrice":    {core.Polygon{{X: 1, Y: 1}, {X: 1, Y: 1}, {X: 1, Y: 1}}, false},
		"back at a corner":    {core.Polygon{{X: 0, Y: 0}, {X: 9, Y: 0}, {X: 9, Y: 9}, {X: 9, Y: 0}, {X: 0, Y: 9}}, false},
		"no number":           {core.Polygon{{X: nan, Y: 0}, {X: 9, Y: 0}, {X: 5, Y: 9}}, false},
		"far away":            {core.Polygon{{X: 1e9, Y: 0}, {X: 9, Y: 0}, {X: 5, Y: 9}}, false},
		"too many":            {make(core.Polygon, maxCorners+1), false},
	}
	for name, tt := range tests {
		if err := Check(tt.p); (err == nil) != tt.ok || err != nil && core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{"bow": "sides 0 and 2 cross", "flat": "its 3 corners lie on one line"} {
		if err := Check(tests[name].p); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to say %q", name, err, want)
		}
	}
}

// TestCornersTwice: an outline counts the same when its corners are given several times.
func TestCornersTwice(t *testing.T) {
	t.Parallel()
	plain := core.Zone{ID: 1, Name: "plain", Coords: core.Polygon{{X: 10, Y: 0}, {X: 20, Y: 0}, {X: 20, Y: 100}, {X: 10, Y: 100}}}
	twice := core.Zone{ID: 2, Name: "twice"}
	for _, at := range plain.Coords {
		twice.Coords = append(twice.Coords, at, at)
	}
	twice.Coords = append(twice.Coords, plain.Coords[0])
	w := New([]core.Zone{plain, twice}, nil, nil)
	for x := range 31 {
		for y := 20.0; y < 24; y++ {
			n := &core.Node{Class: "person", TrackID: core.TrackID(fmt.Sprint(y)), Coords: core.Box{X1: float64(x) - 1, Y1: y - 2, X2: float64(x) + 1, Y2: y}.Polygon()}
			s := w.Update(core.PTS(x*4+int(y)), []*core.Node{n})
			if len(s[0].Within) != len(s[1].Within) || len(s[0].Entering) != len(s[1].Entering) || len(s[0].Exiting) != len(s[1].Exiting) {
				t.Fatalf("at %d: %v and %v", x, s[0], s[1])
			}
		}
	}
	if total := w.Totals(); total[1].Entered["person"] != 4 || total[2].Entered["person"] != 4 || total[2].Exited["person"] != 4 {
		t.Errorf("%v", total)
	}
}

// BenchmarkUpdate is one frame: 50 tracks that move, 20 zones of 8 corners or lines.
func BenchmarkUpdate(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var list []core.Zone
	for i := range 20 {
		z := core.Zone{ID: core.ZoneID(i + 1), Name: fmt.Sprint(i)}
		x, y := r.Float64()*1500, r.Float64()*700
		if i%4 == 0 {
			z.Coords = core.Polygon{{X: x, Y: y}, {X: x + 300, Y: y + 100}}
		} else {
			for k := range 8 {
				angle := float64(k) * math.Pi / 4
				z.Coords = append(z.Coords, core.Point{X: x + 200 + 200*math.Cos(angle), Y: y + 150 + 150*math.Sin(angle)})
			}
		}
		list = append(list, z)
	}
	w := New(list, nil, nil)
	nodes := make([]*core.Node, 50)
	places := make([]core.Point, 50)
	for i := range nodes {
		places[i] = core.Point{X: r.Float64() * 1920, Y: r.Float64() * 1080}
	}
	moved := 0
	frame := 0
	for b.Loop() {
		for i := range nodes {
			places[i].X += 8 * r.NormFloat64()
			places[i].Y += 8 * r.NormFloat64()
			nodes[i] = standing(fmt.Sprint(i), places[i].X, places[i].Y)
		}
		frame++
		for _, s := range w.Update(core.PTS(frame), nodes) {
			moved += len(s.Entering) + len(s.Exiting)
		}
	}
	if frame > 1000 && moved == 0 {
		b.Fatal("nothing ever moved in or out")
	}
}
