package conform

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/capstan-video/capstan/core"
)

// playLength is how many frames are compared.
const playLength = 8

// play makes frame i of a series: pictures and nodes follow from the series alone, and nodes of
// one frame follow from those of the one before, as in a video.
func (t *trial) play(series uint64, i int) *Frame {
	f := t.filled(Gradient, t.accepted()[0], plainW, plainH, 0, false, series)
	drawSquare(f, 40+17*i, 30+int(series)*20)
	switch {
	case i == playLength-1:
		f = t.pictured(int(series), t.accepted()[0])
	case i%4 == 2:
		f = t.filled(Noise, t.accepted()[0], plainW, plainH, 0, false, series*100+uint64(i))
	}
	f.Nodes = Nodes(t.random(series), t.decl.Input, core.Caps{Width: plainW, Height: plainH}, 2+int(series)%3)
	for j, n := range f.Nodes {
		n.ID = core.NodeID(series*1_000_000 + uint64(i)*1000 + uint64(j) + 1)
		n.Offset(float64(-i), float64(-i%3))
	}
	return f
}

// squareSide is that of a square that moves over the pictures of a play, so that there is
// something to see for capsules that look for motion.
const squareSide = 40

// drawSquare turns a square of the first plane around: bright becomes dark.
func drawSquare(f *Frame, x, y int) {
	if f.Layout.Format == "" {
		return
	}
	p := f.Layout.Planes[0]
	row, rows := f.Layout.Format.PlaneSize(0, f.Layout.Width, f.Layout.Height)
	wide := row / f.Layout.Width
	for line := y; line < min(y+squareSide, rows); line++ {
		for at := min(x*wide, row); at < min((x+squareSide)*wide, row); at++ {
			f.Memory[p.Offset+int64(line*p.Stride+at)] ^= 255
		}
	}
}

// alone plays a series on a stream of its own and gives what came, in words that can be compared.
func (t *trial) alone(s Subject, series uint64) ([]string, bool) {
	st := t.open(s, nil)
	if st == nil {
		return nil, false
	}
	defer st.close()
	var words []string
	names := map[core.TrackID]int{}
	for i := range playLength {
		f := t.play(series, i)
		returns, err := st.try(f)
		if !st.good(f, returns, err) {
			return nil, false
		}
		words = append(words, canonical(returns, names))
	}
	return words, true
}

// canonical writes returns so that equal ones are equal texts: tracks, which may be drawn by lot,
// are numbered as they appear.
func canonical(returns []core.Return, names map[core.TrackID]int) string {
	track := func(id core.TrackID) string {
		if id == "" {
			return ""
		}
		if _, ok := names[id]; !ok {
			names[id] = len(names) + 1
		}
		return fmt.Sprintf("track %d", names[id])
	}
	var b strings.Builder
	var node func(n *core.Node)
	node = func(n *core.Node) {
		attributes, _ := json.Marshal(n.Attributes)
		extra, _ := json.Marshal(n.ExtraData)
		fmt.Fprintf(&b, "{%s %v %s %s %v %s", n.Class, n.Coords, attributes, extra, n.Encoding, track(n.TrackID))
		for _, c := range n.Children {
			node(c)
		}
		b.WriteString("}")
	}
	for i := range returns {
		r := &returns[i]
		fmt.Fprintf(&b, "%s for %d, back %v;", r.Kind, r.Node, r.Returned)
		for j := range r.Patches {
			p := &r.Patches[j]
			extra, _ := json.Marshal(p.ExtraData)
			fmt.Fprintf(&b, " %d: %v %s %v %s;", p.Node, p.Attributes, extra, p.Encoding, track(p.TrackID))
		}
		for _, n := range r.Added {
			node(n)
		}
	}
	return b.String()
}

// differ gives the first place where two plays differ, -1 for none.
func differ(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if lineOf(a, i) != lineOf(b, i) || i >= len(a) || i >= len(b) {
			return i
		}
	}
	return -1
}

func (t *trial) repeat() {
	var first []string
	for range 2 {
		s := t.fresh(Settings{})
		if s == nil {
			return
		}
		words, ok := t.alone(s, 1)
		_ = s.Close()
		switch at := differ(first, words); {
		case !ok:
			return
		case first == nil:
			first = words
		case at >= 0:
			t.unsteady = true
			if t.Random {
				t.note("", "the same frames give different results, as was said of it (frame %d)", at+1)
				return
			}
			t.fail("Keep state in the processor, not in the package; give chance a fixed seed. If it has to be so, run the check with --random.", "",
				"the same frames give different results from frame %d on, in a capsule that was started anew", at+1)
		}
	}
}

// besides is how many streams run side by side.
const besides = 5

func (t *trial) streams() {
	s := t.started()
	if s == nil {
		return
	}
	var want [besides][]string
	for i := range want {
		var ok bool
		if want[i], ok = t.alone(s, uint64(i+1)); !ok {
			return
		}
	}
	if again, ok := t.alone(s, 1); !ok {
		return
	} else if at := differ(want[0], again); at >= 0 && !t.unsteady {
		t.fail("Keep state in the processor: what a stream leaves behind must not show in the next one.", "",
			"a stream gives other results when other streams were open before it, from frame %d on", at+1)
		return
	}
	if t.unsteady {
		t.skip("it gives different results for the same frames, so that streams cannot be told apart by them")
		return
	}
	var got [besides][]string
	var running sync.WaitGroup
	for i := range got {
		running.Go(func() { got[i], _ = t.alone(s, uint64(i+1)) })
	}
	running.Wait()
	if t.failed() {
		return
	}
	for i := range got {
		at := differ(want[i], got[i])
		if at < 0 {
			continue
		}
		if j := slices.IndexFunc(want[:], func(w []string) bool { return lineOf(w, at) == lineOf(got[i], at) }); j >= 0 && j != i {
			t.fail("Results have to go back to the stream that asked; share nothing that changes between processors without a lock.", "", "stream %d got the result of stream %d", i+1, j+1)
			continue
		}
		t.fail("Share nothing that changes between processors: state belongs into the processor of each stream.", "",
			"a stream gives other results side by side with others than alone, from frame %d on", at+1)
	}
}

// inFlight is how many frames are under way at once.
const inFlight = 16

func (t *trial) flight() {
	if t.decl.Stateful {
		t.skip("it is stateful: it gets the frames of a stream one at a time, in order")
		return
	}
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	frames := make([]*Frame, inFlight)
	want := make([]string, inFlight)
	for i := range frames {
		frames[i] = t.play(7, i)
		returns, err := st.try(frames[i])
		if !st.good(frames[i], returns, err) {
			return
		}
		want[i] = canonical(returns, map[core.TrackID]int{})
	}
	got := make([]string, inFlight)
	var running sync.WaitGroup
	for i, f := range frames {
		running.Go(func() {
			returns, err := st.send(t.ctx, f)
			if st.good(f, returns, err) {
				got[i] = canonical(returns, map[core.TrackID]int{})
			}
		})
	}
	running.Wait()
	if t.failed() || t.unsteady || t.Random {
		return
	}
	for i := range got {
		if got[i] == want[i] {
			continue
		}
		what := "an answer differs when many frames are under way at once"
		if j := slices.Index(want, got[i]); j >= 0 {
			what = "a frame got the answer of another one"
		}
		t.fail("Frames of a stateless capsule run side by side, each with a processor of its own: share nothing that changes. If it needs one frame at a time, declare it stateful.", "", "%s", what)
	}
}

func (t *trial) cancel() {
	if !t.home.Shared {
		t.skip("the host waits for an answer, or for the end of the process")
		return
	}
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	ctx, end := context.WithCancel(t.ctx)
	end()
	f := t.play(3, 0)
	f.Info.Seq, f.Info.Stream = 1, st.id
	if _, err := st.send(ctx, f); err != nil && strings.Contains(err.Error(), "panic in ") {
		st.good(f, nil, err)
		return
	}
	for i := 1; i < 4; i++ {
		f := t.play(3, i)
		f.Info.Seq, f.Info.Stream, f.Info.PTS = uint64(i+1), st.id, core.PTS(i)*core.PTS(40e6)
		if returns, err := st.send(t.ctx, f); !st.good(f, returns, err) {
			t.note("", "that was after a frame whose caller had gone")
			return
		}
	}
}
