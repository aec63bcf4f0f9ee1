package rtsp

import (
	"bytes"
	"context"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/server/service"
)

// unit is a picture at a place, by a source that adds an hour to its times.
func unit(at time.Duration) pipeline.AccessUnit {
	return pipeline.AccessUnit{At: at, PTS: time.Hour + at, DTS: time.Hour + at}
}

// TestReordered sends pictures when they are to be decoded, with time stamps of when they are shown.
func TestReordered(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var l timeline
	ahead := func(at time.Duration) pipeline.AccessUnit {
		u := unit(at)
		u.DTS -= 80 * time.Millisecond
		return u
	}
	check := func(at, due time.Duration, shown time.Duration) {
		t.Helper()
		d, s := l.at(ahead(at))
		if d.Sub(start) != due || s != uint32(shown*9/100_000) {
			t.Errorf("the picture at %s is due after %s with %d, want %s and %d", at, d.Sub(start), s, due, shown*9/100_000)
		}
	}
	l.first(start, ahead(0))
	check(0, 0, 80*time.Millisecond)
	check(time.Second, time.Second, 1080*time.Millisecond)
	l.again()
	check(0, 2*time.Second, 2080*time.Millisecond)
	l.join(start.Add(2200*time.Millisecond), start.Add(2300*time.Millisecond), ahead(200*time.Millisecond))
	check(200*time.Millisecond, 2420*time.Millisecond, 2500*time.Millisecond)
}

// TestTimeline has a file played alone, and be in step from behind and from ahead. When pictures are due
// never falls, and neither do their time stamps.
func TestTimeline(t *testing.T) {
	t.Parallel()
	start := time.Now()
	const period = 40 * time.Millisecond
	var l timeline
	l.offset = 0xffffff00 // it wraps around on the way
	var due time.Time
	var stamp uint32
	send := func(at time.Duration, want time.Duration) {
		t.Helper()
		d, s := l.at(unit(at))
		if got := d.Sub(start); got < want-time.Millisecond || got > want+time.Millisecond {
			t.Errorf("the picture at %s is due after %s, want %s", at, got, want)
		}
		if got := s - l.offset; got != uint32(int64(d.Sub(start))*9/100_000) {
			t.Errorf("the picture at %s, due after %s, has time stamp %d", at, d.Sub(start), got)
		}
		if !due.IsZero() && (d.Before(due) || int32(s-stamp) <= 0) {
			t.Errorf("the picture at %s is due %s after the one before, with %d after %d", at, d.Sub(due), s, stamp)
		}
		due, stamp = d, s
	}
	l.first(start, unit(0))
	for i := range 50 {
		send(time.Duration(i)*period, time.Duration(i)*period)
	}
	l.again()
	send(0, 2*time.Second)
	send(period, 2*time.Second+period)

	// Another player began 1 s earlier: at four times the speed that is made good after a third of a second.
	now := start.Add(2*time.Second + 2*period)
	l.join(now, start.Add(time.Second), unit(2*period))
	send(2*period, 2*time.Second+2*period)
	send(6*period, 2*time.Second+3*period)
	send(2*time.Second, 3*time.Second)
	send(2*time.Second+period, 3*time.Second+period)

	// It waits for one that is half a second behind.
	l.join(start.Add(3*time.Second+2*period), start.Add(1500*time.Millisecond), unit(2*time.Second+2*period))
	send(2*time.Second+2*period, 3500*time.Millisecond+2*period)

	// It is begun again for one that does.
	now = start.Add(3700 * time.Millisecond)
	l.opened()
	l.join(now, start.Add(3600*time.Millisecond), unit(0))
	send(0, 3700*time.Millisecond)
	send(time.Second, 4600*time.Millisecond)

	// From a key frame ten seconds before, it is five times as fast.
	now = start.Add(30 * time.Second)
	l.opened()
	l.join(now, start.Add(10*time.Second), unit(10*time.Second))
	send(10*time.Second, 30*time.Second)
	send(11*time.Second, 30200*time.Millisecond)
	send(30*time.Second, 40*time.Second)

	// Late pictures are put off alone; in step they are not late any more.
	l.slip(time.Second)
	if d, _ := l.at(unit(30*time.Second + period)); d.Sub(start) != 41*time.Second+period {
		t.Errorf("put off, it is due after %s", d.Sub(start))
	}
	l.join(start.Add(42*time.Second), start.Add(10*time.Second), unit(31*time.Second))
	send(31*time.Second, 42*time.Second)
}

// stage is another player that a test plays.
type stage struct {
	mu    sync.Mutex
	round Round
}

func (s *stage) set(r Round) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round = r
}

func (s *stage) get(core.StreamNumber) (Round, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.round, s.round.Number > 0
}

// TestStep has a file follow another player: who begins elsewhere, ends, begins again and goes away.
func TestStep(t *testing.T) {
	t.Parallel()
	const frames, period = 250, 40 * time.Millisecond
	o := &theatre{make: func(core.StreamNumber) (*clip, error) {
		return &clip{codec: pipeline.H264, frames: frames, period: period, keys: 25}, nil
	}}
	var other stage
	s := listen(t, Config{Open: o.open, Round: other.get})
	v, err := watch(t, mustURL(t, s, 1), gortsplib.TransportTCP)
	if err != nil {
		t.Fatal(err)
	}
	stamps := uint32(0)
	next := func() time.Duration {
		t.Helper()
		p := v.next(t)
		if stamps != 0 && int32(p.stamp-stamps) <= 0 {
			t.Errorf("time stamp %d after %d", p.stamp, stamps)
		}
		stamps = p.stamp
		return time.Duration(pixels(p)[0][1]) * period
	}
	if at := next(); at != 0 {
		t.Errorf("alone, it begins at %s", at)
	}
	// comes waits until the pictures are where the other player is.
	comes := func(what string, zero time.Time) time.Duration {
		t.Helper()
		for end := time.Now().Add(15 * time.Second); ; {
			at := next()
			if off := time.Since(zero) - at; off > -500*time.Millisecond && off < 500*time.Millisecond {
				return at
			}
			if time.Now().After(end) {
				t.Fatalf("%s: it shows %s and not %s", what, at, time.Since(zero))
			}
		}
	}
	zero := time.Now().Add(-6 * time.Second)
	other.set(Round{Number: 1, Zero: zero})
	comes("it is in the middle", zero)
	opened := o.opened.Load()
	if opened != 2 {
		t.Errorf("it was opened %d times", opened)
	}
	zero = time.Now()
	other.set(Round{Number: 2, Zero: zero})
	comes("it begins anew", zero)
	if zero = zero.Add(700 * time.Millisecond); o.opened.Load() != opened+1 {
		t.Errorf("it was opened %d times, after %d", o.opened.Load(), opened)
	}
	other.set(Round{Number: 2, Zero: zero}) // it is late
	time.Sleep(100 * time.Millisecond)
	comes("it is late", zero)
	zero = time.Now().Add(-8 * time.Second)
	other.set(Round{Number: 3, Zero: zero})
	at := comes("it is near its end", zero)
	other.set(Round{Number: 3, Zero: zero, Over: true})
	for at < (frames-1)*period { // what was not seen yet
		at = next()
	}
	for range 20 { // time for what must not happen
		if time.Sleep(5 * time.Millisecond); len(v.got) > 0 && time.Since(zero) < frames*period+patience {
			t.Fatal("it begins before the other player")
		}
	}
	zero = time.Now()
	other.set(Round{Number: 4, Zero: zero})
	if at := next(); at != 0 {
		t.Errorf("the next round begins at %s", at)
	}
	comes("it begins its next round", zero)
	other.set(Round{})
	last := next()
	for range 20 {
		at := next()
		if at != last+period {
			t.Errorf("alone, %s comes after %s", at, last)
		}
		last = at
	}
}

// A clip of 6 s at 20 pictures a second, on which a bright block goes from left to right.
const (
	blockFrames = 120
	blockPeriod = 50 * time.Millisecond
	blockWidth  = 320
	blockHeight = 240
)

// blockClip makes it; turned says that it is to be turned a quarter clockwise.
func blockClip(t *testing.T, turned bool) string {
	t.Helper()
	path := t.TempDir() + "/block.mp4"
	caps := core.Caps{Format: core.I420, Width: blockWidth, Height: blockHeight, RateN: 20, RateD: 1, Matrix: core.BT601}
	e, err := gstreamer.OpenEncoder(path, caps, gstreamer.EncoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range blockFrames {
		picture := slices.Repeat([]byte{40}, blockWidth*blockHeight)
		picture = append(picture, slices.Repeat([]byte{128}, blockWidth*blockHeight/2)...)
		for y := 80; y < 160; y++ {
			for x := range 40 {
				picture[y*blockWidth+2*i+x] = 220
			}
		}
		if err := e.Write(t.Context(), picture, core.PTS(time.Duration(i)*blockPeriod)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if !turned {
		return path
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	matrix := []byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0}
	copy(b[bytes.Index(b, []byte("tkhd"))+44:], matrix)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sight is which place of the clip was seen when.
type sight struct{ when, at time.Duration }

// sees takes a picture of a source, and says where in the clip it is.
func sees(t *testing.T, began time.Time, st pipeline.MediaStream) (sight, error) {
	t.Helper()
	_, p, err := st.Next(t.Context())
	if err != nil {
		return sight{}, err
	}
	defer p.Release()
	v, err := p.View([]core.PixelFormat{core.GRAY8}, core.PictureSize{})
	if err != nil {
		return sight{}, err
	}
	plane := v.Layout.Planes[0]
	pixels := v.Arena.Bytes()[plane.Offset:]
	along, across := 1, plane.Stride
	if v.Layout.Height > v.Layout.Width { // it was turned
		along, across = across, along
	}
	first := 0
	for first < blockWidth-1 && pixels[first*along+120*across] <= 130 {
		first++
	}
	return sight{time.Since(began), time.Duration(first) * blockPeriod / 2}, nil
}

// TestInStep watches a clip while it is analysed, from before that begins, over its rounds, and when it is
// stopped and started: the same place is seen at the same time.
func TestInStep(t *testing.T) {
	t.Parallel()
	for name, turned := range map[string]bool{"as it lies in the file": false, "encoded anew": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watchInStep(t, blockClip(t, turned))
		})
	}
}

func watchInStep(t *testing.T, path string) {
	m, err := gstreamer.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var clocks service.Clocks
	looping := service.Looping(m, &clocks)
	s := listen(t, Config{
		Open: func(ctx context.Context, _ core.StreamNumber, from time.Duration) (pipeline.EncodedStream, error) {
			return m.OpenEncoded(ctx, pipeline.Source{URL: path, Start: from})
		},
		Round: func(n core.StreamNumber) (Round, bool) {
			r, ok := clocks.Round(n)
			return Round(r), ok
		},
	})
	shown, err := m.Open(t.Context(), pipeline.Source{URL: mustURL(t, s, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer shown.Close()
	var mu sync.Mutex
	var analysed []sight
	analyse := func(how time.Duration) {
		st, err := looping.Open(t.Context(), pipeline.Source{Stream: "stream-1", URL: path, Realtime: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}()
		for end := time.Now().Add(how); time.Now().Before(end); {
			see, err := sees(t, began, st)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			analysed = append(analysed, see)
			mu.Unlock()
		}
	}
	var work sync.WaitGroup
	defer work.Wait()
	var watched []sight
	follow := func(how time.Duration) {
		for end := time.Now().Add(how); time.Now().Before(end); {
			see, err := sees(t, began, shown)
			if err != nil {
				t.Fatal(err)
			}
			watched = append(watched, see)
		}
	}
	follow(2 * time.Second) // alone
	for phase, how := range []time.Duration{13 * time.Second, 5 * time.Second} {
		watched, analysed = nil, nil
		work.Go(func() { analyse(how) })
		follow(how)
		work.Wait()
		right, sum, n := inStep(watched, analysed)
		t.Logf("phase %d: %d of %d are in step, %s late on the average", phase, right, n, sum/time.Duration(max(1, n)))
		if n < 20 || right < n*2/3 {
			t.Errorf("phase %d: %d of %d pictures are in step", phase, right, n)
		}
	}
}

// inStep compares where the clip was watched and analysed, but for the first two seconds: how many of how
// many are within 1.5 s, and by how much they are late together.
func inStep(watched, analysed []sight) (right int, late time.Duration, n int) {
	const length = blockFrames * blockPeriod
	for _, w := range watched {
		if len(analysed) == 0 || w.when < analysed[0].when+2*time.Second {
			continue
		}
		i, _ := slices.BinarySearchFunc(analysed, w, func(a, b sight) int { return int(a.when - b.when) })
		a := analysed[max(0, i-1)]
		if w.when-a.when > 500*time.Millisecond { // it is between two rounds, or stopped
			continue
		}
		off := a.at + w.when - a.when - w.at
		if off > length/2 {
			off -= length
		} else if off < -length/2 {
			off += length
		}
		n++
		late += off
		if off > -1500*time.Millisecond && off < 1500*time.Millisecond {
			right++
		}
	}
	return right, late, n
}
