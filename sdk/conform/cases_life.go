package conform

import (
	"context"
	"fmt"
	"time"

	"github.com/capstan-video/capstan/core"
)

// process starts the capsule anew, as a process of its own, with a stream that has seen a few
// frames; nil where it has none or that goes wrong.
func (t *trial) process(deadline time.Duration) (Process, *stream) {
	s := t.fresh(Settings{Deadline: deadline})
	if s == nil {
		return nil, nil
	}
	p, ok := s.(Process)
	if !ok {
		_ = s.Close()
		t.skip("it runs inside this process; capstan capsule check does this")
		return nil, nil
	}
	st := t.open(s, nil)
	for i := range 3 {
		if st == nil || !st.give(t.play(5, i)) {
			_ = s.Close()
			return nil, nil
		}
	}
	return p, st
}

// answersAgain waits until the capsule is back and holds it to a few frames.
func (t *trial) answersAgain(p Process, st *stream, after string) {
	ctx, cancel := context.WithTimeout(t.ctx, t.Limit)
	defer cancel()
	if err := p.Ready(ctx); err != nil {
		what, _ := explain(err)
		t.fail("It has to start again after it was ended at any moment: leave no lock, no half-written file, no port behind.", "", "it does not come back after %s: %s", after, what)
		return
	}
	for i := range 3 {
		if !st.give(t.play(5, 3+i)) {
			return
		}
	}
}

// hastily is the deadline that is let pass.
const hastily = 5 * time.Second

func (t *trial) deadline() {
	p, st := t.process(hastily)
	if p == nil {
		return
	}
	defer p.Close()
	if err := p.Halt(); err != nil {
		t.fail("", "", "its process cannot be halted: %v", err)
		return
	}
	_, err := st.try(t.play(5, 0))
	switch core.KindOf(err) {
	case core.CapsuleDeadline, core.CapsuleExited:
	default:
		t.fail("", "", "a process that stands still answers with %v, want a deadline", err)
	}
	t.answersAgain(p, st, "a deadline")
}

func (t *trial) kill() {
	p, st := t.process(0)
	if p == nil {
		return
	}
	defer p.Close()
	done := make(chan error, 1)
	f := t.play(5, 0)
	f.Info.Seq, f.Info.Stream = 4, st.id
	go func() {
		_, err := st.send(t.ctx, f)
		done <- err
	}()
	if err := p.Kill(); err != nil {
		t.fail("", "", "its process cannot be killed: %v", err)
	}
	select {
	case <-done: // with an answer or without, but it ended
	case <-time.After(t.Limit):
		t.fail("", "", "a call does not end when the process was killed")
		return
	}
	st.seq = 4
	t.answersAgain(p, st, "a kill")
}

// reopen opens and closes streams and looks at what the capsule holds at a fifth, at three fifths
// and at the end: what grows in both halves alike, grows for ever.
func (t *trial) reopen() {
	s := t.fresh(Settings{})
	if s == nil {
		return
	}
	defer s.Close()
	n := t.home.Opens
	if n <= 0 {
		n = 1000
	}
	began := time.Now()
	for i := range reopenFirst {
		if !t.openOnce(s, i) {
			return
		}
	}
	each := time.Since(began) / reopenFirst
	if fits := int(t.Budget / max(each, 1)); n > fits {
		n = max(fits, reopenLeast)
		t.note("", "an opening takes %s: there is time for %d", each.Round(100*time.Microsecond), n)
	}
	var seen []Usage
	for i := range n {
		if t.ctx.Err() != nil || !t.openOnce(s, i) {
			return
		}
		if i+1 == n/5 || i+1 == n/5*3 {
			seen = append(seen, s.Usage())
		}
	}
	t.growth(append(seen, s.Usage()), n/5*2)
}

// The first openings tell how many there is time for; with fewer than reopenLeast a leak would not
// be told from chance.
const (
	reopenFirst = 10
	reopenLeast = 50
)

// openOnce opens a stream, gives it a frame now and then, and closes it.
func (t *trial) openOnce(s Subject, i int) bool {
	st := t.open(s, nil)
	if st == nil || (i%8 == 0 && !st.give(t.play(2, i%playLength))) {
		return false
	}
	st.close()
	return !t.failed()
}

// Growth between two looks that is taken for a leak.
const (
	leakBytes   = 4 << 20 // and leakPerOpen for each opening
	leakPerOpen = 4 << 10
	leakFiles   = 3
	leakThreads = 5
)

func (t *trial) growth(u []Usage, opens int) {
	grows := func(of func(Usage) int64, least int64) (int64, bool) {
		a, b := of(u[1])-of(u[0]), of(u[2])-of(u[1])
		return a + b, a >= least && b >= least
	}
	if by, leaks := grows(func(u Usage) int64 { return u.Memory }, max(leakBytes, int64(opens)*leakPerOpen)); leaks {
		t.fail("Free in Close what Open takes, and hold no processor after its Close.", "", "memory grows with every stream that is opened and closed: %s in %d openings", size(by), 2*opens)
	}
	if by, leaks := grows(func(u Usage) int64 { return int64(u.Files) }, leakFiles); leaks {
		t.fail("Close in Close every file and connection that Open or Process opens.", "", "open descriptors grow: %d more in %d openings", by, 2*opens)
	}
	if by, leaks := grows(func(u Usage) int64 { return int64(u.Threads) }, leakThreads); leaks {
		t.fail("End in Close every goroutine and thread that Open or Process starts, and wait for it.", "", "threads or goroutines grow: %d more in %d openings", by, 2*opens)
	}
}

func size(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// leftOpen streams are open when a capsule is closed: more than the goroutines of somebody else
// that may end meanwhile.
const leftOpen = 6

// closeTime is how long a capsule may take to end by itself.
const closeTime = 5 * time.Second

func (t *trial) close() {
	t.drop()
	before := t.base()
	s := t.fresh(Settings{})
	if s == nil {
		return
	}
	for range leftOpen {
		if st := t.open(s, nil); st == nil || !st.give(t.play(2, 0)) {
			_ = s.Close()
			return
		}
	}
	began := time.Now()
	err := s.Close()
	if took := time.Since(began); took >= closeTime {
		t.fail("Serve until the engine's end of the pipe is closed, then close and exit; a thread that hangs must not keep the process.", "", "it did not end by itself within %s", closeTime)
	}
	if err != nil {
		t.fail("", "", "it ends with an error: %v", err)
	}
	if before == nil {
		return
	}
	for range 200 { // goroutines need a moment to be gone
		if after := before(); after == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.fail("End in Close what Open and Process start, and wait for it.", "", "%s", before())
}

// base gives a function that says what is left of a capsule inside this process; nil for others.
func (t *trial) base() func() string {
	if !t.home.Shared {
		return nil
	}
	before := goroutines()
	return func() string {
		if n := goroutines(); n > before {
			return fmt.Sprintf("%d goroutines are left when it is closed, of %d that run", n-before, n)
		}
		return ""
	}
}
