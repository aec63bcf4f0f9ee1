package conform

import (
	"math"
	"time"

	"github.com/capstan-video/capstan/core"
)

// plainSize is that of pictures where the size does not matter.
const plainW, plainH = 320, 180

// begin opens a stream of the subject that is running; nil when that goes wrong.
func (t *trial) begin() *stream {
	s := t.started()
	if s == nil {
		return nil
	}
	return t.open(s, nil)
}

func (t *trial) start() {
	t.drop()
	s := t.fresh(Settings{})
	if t.dead = s == nil; t.dead {
		return
	}
	t.subject = s
	if st := t.open(s, nil); st != nil {
		defer st.close()
		f := t.filled(Gradient, t.accepted()[0], plainW, plainH, 0, false, 1)
		f.Nodes = Nodes(t.random(1), t.decl.Input, f.Info.Caps, 2)
		st.give(f)
	}
}

func (t *trial) formats() {
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	random := t.random(2)
	give := func(f *Frame) {
		f.Nodes = Nodes(random, t.decl.Input, f.Info.Caps, 2)
		if !t.failed() || !t.over() {
			st.give(f)
		}
	}
	for i, format := range t.accepted() {
		for _, full := range []bool{true, false} {
			for j, pattern := range Patterns {
				give(t.filled(pattern, format, plainW, plainH, 0, full, uint64(8*i+j)))
			}
		}
		for n := range len(t.Pictures) + 2 {
			if t.over() {
				break
			}
			give(t.pictured(n, format))
		}
	}
	t.scene()
}

// sceneLength is how many frames a scene has, ten a second: in the second half of them something
// moves.
const sceneLength = 25

// scene is a square that moves over a steady picture, on a stream of its own: what looks for
// motion finds it.
func (t *trial) scene() {
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	for i := range sceneLength {
		if t.over() {
			return
		}
		f := t.filled(Gradient, t.accepted()[0], plainW, plainH, 0, false, 1)
		f.Info.PTS = core.PTS(i) * core.PTS(100*time.Millisecond)
		if i > sceneLength/2 {
			drawSquare(f, 9*i, 60)
		}
		f.Nodes = Nodes(t.random(12), t.decl.Input, f.Info.Caps, 2)
		st.give(f)
	}
}

func (t *trial) sizes() {
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	random := t.random(3)
	sizes := []struct{ w, h, pad int }{
		{1, 1, 0}, {1, 1, 63}, {2, 1, 0}, {1, 2, 1}, {3, 3, 0}, {7, 5, 13}, {1, 200, 0}, {200, 1, 5}, {17, 16, 0}, {33, 21, 7},
		{161, 91, 3}, {320, 240, 64}, {641, 361, 1}, {1920, 1080, 0}, {3840, 2160, 0},
	}
	for i, format := range t.accepted() {
		for j, size := range sizes {
			if i > 0 && size.w > 1000 || t.over() {
				break // the largest in the best format only
			}
			f := t.filled(Patterns[(j+2)%len(Patterns)], format, size.w, size.h, size.pad, j%2 == 0, uint64(j))
			f.Nodes = Nodes(random, t.decl.Input, f.Info.Caps, 2)
			st.give(f)
		}
	}
}

func (t *trial) empty() {
	if t.decl.Input.Size == core.SizeNone {
		t.skip("it takes the frame alone")
		return
	}
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	for n := range 6 {
		f := t.filled(Gradient, t.accepted()[0], plainW, plainH, 0, false, 3)
		if n == 2 { // trackers age what they have seen
			f.Nodes = Nodes(t.random(4), t.decl.Input, f.Info.Caps, 3)
		}
		st.give(f)
	}
}

// manyNodes are on one frame, as far as there is time for them.
const manyNodes = 300

func (t *trial) nodes() {
	if t.decl.Input.Size == core.SizeNone {
		t.skip("it takes the frame alone")
		return
	}
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	random := t.random(5)
	many := manyNodes
	for i, n := range []int{1, 2, 0, 3, 5, 1, 8, 13, 40, 0, manyNodes, 1} {
		if i > 8 && t.over() {
			break
		}
		began := time.Now()
		if n == manyNodes {
			n = many
		}
		f := t.filled(Noise, t.accepted()[0], plainW, plainH, 0, false, uint64(i))
		f.Nodes = Nodes(random, t.decl.Input, f.Info.Caps, n)
		if i%2 == 0 {
			f.Nodes = append(f.Nodes, stranger())
		}
		st.give(f)
		if n == 40 { // a network takes its time for each node
			many = max(50, min(manyNodes, int(t.Budget/2*40/max(time.Since(began), 1))))
		}
	}
}

// outlines are those that capsules meet although nobody wants them, for a frame of w by h.
func outlines(w, h float64) []core.Polygon {
	return []core.Polygon{
		core.Rect(0, 0, w, h), core.Rect(-3, -3, 5, 5), core.Rect(w-5, h-5, w+3, h+3), core.Rect(-w, -h, 2*w, 2*h),
		core.Rect(-50, -50, -10, -10), core.Rect(w+10, h+10, w+50, h+50), core.Rect(w, 0, w+8, 8), core.Rect(0, h, 8, h+8),
		core.Rect(10, 10, 10, 10), core.Rect(10, 10, 10, 40), core.Rect(10, 10, 40, 10), core.Rect(40, 40, 10, 10),
		core.Rect(0.25, 0.25, 0.5, 0.5), core.Rect(w-0.5, h-0.5, w, h), core.Rect(-1e7, -1e7, 1e7, 1e7), core.Rect(1e9, 1e9, 1e9+1, 1e9+1),
		{{X: 5, Y: 5}}, {{X: 5, Y: 5}, {X: 30, Y: 20}}, {{X: 10, Y: 10}, {X: 90, Y: 20}, {X: 30, Y: 80}},
		{{X: 0, Y: 0}, {X: 60, Y: 60}, {X: 60, Y: 0}, {X: 0, Y: 60}}, {},
	}
}

func (t *trial) borders() {
	if t.decl.Input.Size == core.SizeNone {
		t.skip("it takes the frame alone")
		return
	}
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	random := t.random(6)
	var all []*core.Node
	for i, outline := range outlines(plainW, plainH) {
		n := nodeFor(random, t.decl.Input, outline)
		n.ID = core.NodeID(i + 1)
		all = append(all, n)
		f := t.filled(Noise, t.accepted()[0], plainW, plainH, 0, false, uint64(i))
		f.Nodes = []*core.Node{n}
		st.give(f)
	}
	f := t.filled(Gradient, t.accepted()[0], plainW, plainH, 0, false, 7)
	f.Nodes = all
	st.give(f)
}

func (t *trial) time() {
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	random := t.random(7)
	at := []struct {
		seq uint64
		pts time.Duration
	}{
		{1, 0}, {2, 40 * time.Millisecond}, {2, 40 * time.Millisecond}, {3, 40 * time.Millisecond}, {900, 30 * time.Second},
		{901, 24 * time.Hour}, {902, 24*time.Hour + 1}, {1 << 40, 1000 * time.Hour}, {1<<40 + 1, math.MaxInt64 / 2},
	}
	for i, p := range at {
		f := t.filled(Gradient, t.accepted()[0], plainW, plainH, 0, false, uint64(i))
		f.Info.Seq, f.Info.PTS = p.seq, core.PTS(p.pts)
		f.Info.Captured = time.Unix(1700000000, 0).UTC().Add(min(p.pts, 1000*time.Hour))
		f.Nodes = Nodes(random, t.decl.Input, f.Info.Caps, 3)
		f.Info.Stream = st.id
		returns, err := st.send(t.ctx, f)
		st.good(f, returns, err)
	}
}

func (t *trial) pixels() {
	t.rules.mu.Lock()
	l := t.rules.wrong["pixels"]
	t.rules.mu.Unlock()
	switch {
	case !t.home.Shared:
		t.skip("they are mapped read-only: a capsule that writes ends, which the other cases would show")
	case len(t.decl.Formats) == 0:
		t.skip("it gets no pixels")
	case l != nil:
		for _, f := range l.list {
			t.fail(f.Mend, f.Where, "%s", f.What)
		}
	default:
		t.writes()
	}
}

// writes gives a few frames, in case no other case has: what is written is seen by every frame.
func (t *trial) writes() {
	st := t.begin()
	if st == nil {
		return
	}
	defer st.close()
	for i, format := range t.accepted() {
		f := t.filled(Gradient, format, plainW, plainH, 0, false, uint64(i))
		f.Nodes = Nodes(t.random(8), t.decl.Input, f.Info.Caps, 2)
		st.give(f)
	}
	t.rules.mu.Lock()
	l := t.rules.wrong["pixels"]
	t.rules.mu.Unlock()
	if l != nil {
		t.fail(l.list[0].Mend, l.list[0].Where, "%s", l.list[0].What)
	}
}
