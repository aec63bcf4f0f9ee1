package alarms

import (
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeZone answers with numbers.
type fakeZone struct {
	count func(core.Objects) int
	moved func(core.Objects, core.Movement) int
}

func (z fakeZone) Count(o core.Objects) int                  { return z.count(o) }
func (z fakeZone) Moved(o core.Objects, m core.Movement) int { return z.moved(o, m) }

func seen(count, moved int) fakeZone {
	return fakeZone{func(core.Objects) int { return count }, func(core.Objects, core.Movement) int { return moved }}
}

var marks = map[Change]string{Nothing: ".", Began: "(", Ended: ")"}

// play gives one update a second from noon and writes the changes.
func play(a core.Alarm, steps []fakeZone) string {
	w := New(a, false)
	out := ""
	for i, z := range steps {
		out += marks[w.Update(noon.Add(time.Duration(i)*time.Second), z)]
	}
	return out
}

func counts(n ...int) []fakeZone {
	var out []fakeZone
	for _, c := range n {
		out = append(out, seen(c, 0))
	}
	return out
}

func moves(n ...int) []fakeZone {
	var out []fakeZone
	for _, c := range n {
		out = append(out, seen(0, c))
	}
	return out
}

func TestCounts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		condition core.CountCondition
		steps     []fakeZone
		want      string
	}{
		{"at once", core.CountCondition{Test: core.Greater, Value: 0}, counts(0, 1, 1, 0, 1), ".(.)("},
		{"less", core.CountCondition{Test: core.Less, Value: 2}, counts(3, 2, 1, 0, 2), "..(.)"},
		{"equal", core.CountCondition{Test: core.Equal, Value: 2}, counts(1, 2, 3), ".()"},
		{"not equal", core.CountCondition{Test: core.NotEqual, Value: 2}, counts(2, 3, 2), ".()"},
		{"half of four seconds", core.CountCondition{Test: core.Greater, Value: 0, Window: 4 * time.Second, Threshold: 0.5},
			counts(1, 1, 1, 1, 0, 0, 0, 0, 0), "..(....)."},
		{"all of two seconds", core.CountCondition{Test: core.Greater, Value: 0, Window: 2 * time.Second, Threshold: 1},
			counts(1, 1, 1, 1, 0, 1, 1, 1), "..(..).("},
		{"once in three seconds", core.CountCondition{Test: core.Greater, Value: 0, Window: 3 * time.Second, Threshold: 0},
			counts(0, 1, 0, 0, 0, 0), ".(...)"},
		{"never for long enough", core.CountCondition{Test: core.Greater, Value: 0, Window: 4 * time.Second, Threshold: 0.75},
			counts(1, 0, 1, 0, 1, 0, 1, 0), "........"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := play(core.Alarm{Counts: []core.CountCondition{tt.condition}}, tt.steps); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		condition core.RateCondition
		steps     []fakeZone
		want      string
	}{
		{"three in three seconds", core.RateCondition{Test: core.GreaterEqual, Change: 3, Window: 3 * time.Second}, moves(1, 1, 1, 0, 0, 0), "..().."},
		{"at once", core.RateCondition{Test: core.GreaterEqual, Change: 2, Window: time.Second}, moves(0, 2, 0), ".()"},
		{"few, after a whole window", core.RateCondition{Test: core.LessEqual, Change: 1, Window: 3 * time.Second}, moves(0, 0, 0, 0, 1, 1, 0, 0, 0), "...(.).(."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := play(core.Alarm{Rates: []core.RateCondition{tt.condition}}, tt.steps); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// Each condition is asked with its own objects and movement, and all have to hold.
func TestAllConditions(t *testing.T) {
	t.Parallel()
	a := core.Alarm{
		Counts: []core.CountCondition{{Objects: core.Objects{Class: "person"}, Test: core.Greater}, {Objects: core.Objects{Class: "dog"}, Test: core.Equal}},
		Rates:  []core.RateCondition{{Objects: core.Objects{Class: "car"}, Test: core.GreaterEqual, Change: 1, Window: time.Second, Movement: core.Exiting}},
	}
	zone := func(persons, dogs, cars int) fakeZone {
		return fakeZone{
			func(o core.Objects) int { return map[string]int{"person": persons, "dog": dogs}[o.Class] },
			func(o core.Objects, m core.Movement) int {
				if o.Class == "car" && m == core.Exiting {
					return cars
				}
				return 0
			},
		}
	}
	if got := play(a, []fakeZone{zone(1, 0, 0), zone(0, 0, 1), zone(1, 1, 1), zone(1, 0, 1), zone(1, 0, 0)}); got != "...()" {
		t.Errorf("got %s", got)
	}
	if got := play(core.Alarm{}, counts(1, 1)); got != ".." {
		t.Errorf("without a condition: %s", got)
	}
}

func TestHours(t *testing.T) {
	t.Parallel()
	at := func(clock string) time.Time {
		c, err := time.Parse("15:04:05", clock)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2026, 3, 1, c.Hour(), c.Minute(), c.Second(), 0, time.UTC)
	}
	zone := time.FixedZone("elsewhere", 5*3600)
	tests := []struct {
		start, end time.Duration
		clock      string
		want       bool
	}{
		{8 * time.Hour, 17 * time.Hour, "08:00:00", true}, {8 * time.Hour, 17 * time.Hour, "16:59:59", true},
		{8 * time.Hour, 17 * time.Hour, "17:00:00", false}, {8 * time.Hour, 17 * time.Hour, "07:59:59", false},
		{22 * time.Hour, 6 * time.Hour, "23:00:00", true}, {22 * time.Hour, 6 * time.Hour, "05:59:59", true},
		{22 * time.Hour, 6 * time.Hour, "06:00:00", false}, {22 * time.Hour, 6 * time.Hour, "21:59:59", false},
		{0, 0, "12:00:00", true},
	}
	for _, tt := range tests {
		h := core.ActiveHours{Start: tt.start, End: tt.end}
		if h.Include(at(tt.clock).In(zone)) != tt.want {
			t.Errorf("%s within %+v: want %v", tt.clock, h, tt.want)
		}
	}
	a := core.Alarm{Hours: &core.ActiveHours{Start: 12*time.Hour + time.Second, End: 12*time.Hour + 3*time.Second},
		Counts: []core.CountCondition{{Test: core.Greater}}}
	if got := play(a, counts(1, 1, 1, 1)); got != ".(.)" {
		t.Errorf("got %s", got)
	}
	a.Hours.Off = true
	if got := play(a, counts(1, 1, 1, 1)); got != "(..." {
		t.Errorf("hours that are off: got %s", got)
	}
}

func TestRestartSilenceAndClock(t *testing.T) {
	t.Parallel()
	a := core.Alarm{Counts: []core.CountCondition{{Test: core.Greater, Window: 2 * time.Second, Threshold: 0.5}}}
	w := New(a, true)
	if c := w.Update(noon, seen(0, 0)); c != Ended || w.On() {
		t.Errorf("on from before: %v", c)
	}
	for i, want := range []Change{Nothing, Began} {
		if c := w.Update(noon.Add(time.Duration(i+1)*time.Second), seen(1, 0)); c != want {
			t.Errorf("update %d: %v", i, c)
		}
	}
	if c := w.Update(noon.Add(-time.Hour), seen(1, 0)); c != Ended { // nothing is known of this window yet
		t.Errorf("the clock is set back: %v", c)
	}
	if c := w.Update(noon.Add(-time.Hour+time.Second), seen(1, 0)); c != Began {
		t.Errorf("a second later: %v", c)
	}
	if c := w.Silence(); c != Ended || w.On() || w.Silence() != Nothing {
		t.Errorf("silence: %v", c)
	}
	if c := w.Update(noon, seen(1, 0)); c != Nothing {
		t.Errorf("after silence: %v", c)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	a := core.Alarm{
		Counts: []core.CountCondition{{Test: core.Greater, Window: day, Threshold: 0.4}},
		Rates:  []core.RateCondition{{Test: core.GreaterEqual, Change: 20000, Window: day}},
	}
	w := New(a, false)
	began := 0
	for i := range 10000 {
		if w.Update(noon.Add(time.Duration(i)*time.Second), seen(i%2, 1)) == Began {
			began = i
		}
	}
	if n := max(len(w.counts[0].spans), len(w.rates[0].list)); n > maxMoments {
		t.Errorf("%d moments are kept", n)
	}
	if w.rates[0].sum != 10000 {
		t.Errorf("%d events of 10000", w.rates[0].sum)
	}
	if began != 0 {
		t.Errorf("on at %d: a day's share cannot be reached in hours", began)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	count := core.CountCondition{Test: core.Greater, Threshold: 0.5, Window: time.Second}
	rate := core.RateCondition{Test: core.LessEqual, Window: time.Second, Movement: core.Entering}
	tests := map[string]struct {
		change func(*core.Alarm)
		ok     bool
	}{
		"good":          {func(*core.Alarm) {}, true},
		"no conditions": {func(a *core.Alarm) { a.Counts, a.Rates = nil, nil }, false},
		"count test":    {func(a *core.Alarm) { a.Counts[0].Test = core.GreaterEqual }, false},
		"threshold":     {func(a *core.Alarm) { a.Counts[0].Threshold = 1.1 }, false},
		"window":        {func(a *core.Alarm) { a.Counts[0].Window = -1 }, false},
		"rate test":     {func(a *core.Alarm) { a.Rates[0].Test = core.Equal }, false},
		"movement":      {func(a *core.Alarm) { a.Rates[0].Movement = "up" }, false},
		"duration":      {func(a *core.Alarm) { a.Rates[0].Window = 0 }, false},
		"hours":         {func(a *core.Alarm) { a.Hours = &core.ActiveHours{Start: 25 * time.Hour} }, false},
		"night":         {func(a *core.Alarm) { a.Hours = &core.ActiveHours{Start: 22 * time.Hour, End: 6 * time.Hour} }, true},
	}
	for name, tt := range tests {
		a := core.Alarm{Name: "a", Counts: []core.CountCondition{count}, Rates: []core.RateCondition{rate}}
		tt.change(&a)
		if err := Check(a); (err == nil) != tt.ok || err != nil && core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
