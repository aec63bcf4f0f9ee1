package events

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

const (
	// batch is how many deliveries of a stream are read, and marked as delivered, at once; a crash
	// tells so many at most a second time. batchTime bounds it when they are slow.
	batch     = 32
	batchTime = time.Second
	// idle is how often the store is looked at without being told to.
	idle = 30 * time.Second
	// markTime bounds the marking of what was delivered while the server stops.
	markTime = 3 * time.Second
)

// counts are the numbers of one destination.
type counts struct {
	mu    sync.Mutex
	stats Stats
}

func (c *counts) into(s *Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Delivered, s.Failed, s.Died, s.Dropped = c.stats.Delivered, c.stats.Failed, c.stats.Died, c.stats.Dropped
	s.LastError, s.LastSuccess = c.stats.LastError, c.stats.LastSuccess
}

func (c *counts) delivered(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Delivered++
	c.stats.LastError, c.stats.LastSuccess = "", at
}

// failed counts an attempt, and says whether the one before went well.
func (c *counts) failed(err error) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first = c.stats.LastError == ""
	c.stats.Failed++
	c.stats.LastError = err.Error()
	return first
}

func (c *counts) died() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Died++
}

func (c *counts) swept(buried, dropped int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Died += uint64(buried)
	c.stats.Dropped += uint64(dropped)
}

// lane delivers to one destination: several streams side by side, each in the order of its events.
type lane struct {
	box    *Outbox
	dest   store.Destination
	to     sink
	counts *counts
	wake   chan struct{} // has one when there may be something new
	life   context.Context
	halt   context.CancelFunc // ends the lane; it does not wait
	done   chan struct{}
}

// served is how the work on a stream's queue ended.
type served struct {
	stream core.StreamNumber
	hold   time.Duration // how long the destination asked to be left alone
	over   bool          // it is not to be called any more
}

// startLane starts a lane. The outbox's mu is held.
func (o *Outbox) startLane(d store.Destination, to sink) *lane {
	l := &lane{box: o, dest: d, to: to, counts: o.counts[d.ID], wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.life, l.halt = context.WithCancel(o.life)
	go l.run()
	return l
}

// ended says whether the lane has ended by itself.
func (l *lane) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run gives streams whose oldest delivery is due to workers, until the lane is halted.
func (l *lane) run() {
	defer close(l.done)
	defer l.to.close()
	busy := map[core.StreamNumber]bool{}
	ended := make(chan served, l.box.cfg.AtOnce)
	var until time.Time // when the destination may be called again
	for over := false; ; {
		wait := idle
		if l.life.Err() == nil && !over {
			wait = l.hire(busy, ended, time.Until(until))
		}
		if len(busy) == 0 && (l.life.Err() != nil || over) {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-l.wake:
		case <-timer.C:
		case s := <-ended:
			delete(busy, s.stream)
			over = over || s.over
			if s.hold > 0 {
				until = time.Now().Add(s.hold)
			}
		case <-haltedOr(l.life, busy):
		}
		timer.Stop()
	}
}

// haltedOr gives what ends the wait when the lane is halted; with workers left it is their end.
func haltedOr(life context.Context, busy map[core.StreamNumber]bool) <-chan struct{} {
	if len(busy) > 0 && life.Err() != nil {
		return nil
	}
	return life.Done()
}

// hire starts workers for what is due, and says how long there is nothing more to do.
func (l *lane) hire(busy map[core.StreamNumber]bool, ended chan<- served, hold time.Duration) time.Duration {
	cfg := &l.box.cfg
	if hold > 0 {
		return min(hold, idle)
	}
	if len(busy) >= cfg.AtOnce {
		return idle
	}
	var queues []store.Queue
	err := cfg.Store.View(l.life, func(tx store.Tx) (err error) { queues, err = tx.Queues(l.dest.ID); return err })
	if err != nil {
		if l.life.Err() == nil {
			l.box.log.Error("what is to be delivered could not be read", "destination", l.dest.Name, "err", err)
		}
		return min(5*time.Second, idle)
	}
	wait, now := idle, cfg.Now()
	for _, q := range queues {
		if busy[q.Stream] {
			continue
		}
		if left := l.pauseLeft(q.Next, now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if len(busy) >= cfg.AtOnce {
			break
		}
		busy[q.Stream] = true
		go func() { ended <- l.serve(q.Stream) }()
	}
	return wait
}

// pauseLeft says how long a delivery is to wait yet. None waits for longer than the longest pause:
// what says so was written before the clock was put back.
func (l *lane) pauseLeft(next, now time.Time) time.Duration {
	left := next.Sub(now)
	if left > l.box.cfg.MostPause {
		return 0
	}
	return left
}

// serve delivers what waits on a stream, oldest first, until one fails.
func (l *lane) serve(stream core.StreamNumber) (s served) {
	s.stream = stream
	var list []store.Delivery
	err := l.box.cfg.Store.View(l.life, func(tx store.Tx) (err error) { list, err = tx.Waiting(l.dest.ID, stream, batch); return err })
	if err != nil {
		s.hold = time.Second
		return s
	}
	var taken []int64
	var failed *store.Delivery
	began := time.Now()
	for i := range list {
		d := &list[i]
		if l.life.Err() != nil || time.Since(began) > batchTime || l.pauseLeft(d.Next, l.box.cfg.Now()) > 0 {
			break
		}
		err := l.attempt(d)
		if err != nil && l.life.Err() != nil { // cut short: it does not count
			break
		}
		if err != nil {
			s.hold, s.over = l.judge(d, err)
			failed = d
			break
		}
		l.counts.delivered(l.box.cfg.Now())
		taken = append(taken, d.ID)
	}
	l.mark(taken, failed, s.over)
	return s
}

func (l *lane) attempt(d *store.Delivery) error {
	ctx, cancel := context.WithTimeout(l.life, l.box.cfg.Timeout)
	defer cancel()
	return l.to.send(ctx, &message{key: d.Event.Key, kind: d.Event.Kind, stream: d.Event.Stream, body: d.Event.Payload})
}

// judge counts an attempt that failed, and says in d when the next one is, or that there is none.
func (l *lane) judge(d *store.Delivery, err error) (hold time.Duration, over bool) {
	cfg := &l.box.cfg
	first := l.counts.failed(err)
	now := cfg.Now()
	d.Attempts++
	d.Error = err.Error()
	d.Next = now.Add(l.pause(d.Attempts))
	var r *refusal
	if errors.As(err, &r) {
		hold, over = r.after, r.gone
	}
	if r != nil && r.never && d.Attempts >= neverTaken || d.Attempts >= cfg.MaxAttempts || now.Sub(d.Event.At) > cfg.MaxAge {
		d.Dead, d.Ended = true, now
		l.counts.died()
		if r == nil || !r.never { // the next one will hardly fare better at once
			hold = max(hold, cfg.FirstPause)
		}
	}
	switch {
	case d.Dead:
		l.box.log.Error("an event could not be delivered and is given up", "destination", l.dest.Name, "event", d.Event.Key, "kind", d.Event.Kind, "attempts", d.Attempts, "err", err)
	case first:
		l.box.log.Warn("an event could not be delivered; it will be tried again", "destination", l.dest.Name, "event", d.Event.Key, "kind", d.Event.Kind, "err", err)
	}
	return hold, over
}

// pause gives how long to wait after so many attempts; half of it is chance.
func (l *lane) pause(attempts int) time.Duration {
	p := l.box.cfg.FirstPause
	for i := 1; i < attempts && p < l.box.cfg.MostPause; i++ {
		p *= 2
	}
	p = min(p, l.box.cfg.MostPause)
	return p/2 + rand.N(p/2+1) // #nosec G404 -- a pause, no secret
}

// mark writes down what came of deliveries. It is tried until it is written: else they would be
// delivered once more. A server that stops tries for a moment only.
func (l *lane) mark(taken []int64, failed *store.Delivery, over bool) {
	if len(taken) == 0 && failed == nil {
		return
	}
	pause := 50 * time.Millisecond
	for {
		stopping := l.life.Err() != nil
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.life), markTime)
		err := l.box.cfg.Store.Update(ctx, func(tx store.Tx) error { return l.note(tx, taken, failed, over) })
		cancel()
		if err == nil || stopping {
			if err != nil {
				l.box.log.Error("deliveries could not be written down; they will be repeated", "destination", l.dest.Name, "err", err)
			}
			return
		}
		l.box.log.Error("deliveries could not be written down; trying again", "destination", l.dest.Name, "err", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-l.life.Done():
			timer.Stop()
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// note writes down what came of deliveries; those that are gone, with their destination, are left
// out.
func (l *lane) note(tx store.Tx, taken []int64, failed *store.Delivery, over bool) error {
	if _, err := tx.DeleteDeliveries(taken...); err != nil {
		return err
	}
	if failed != nil {
		if err := tx.SaveDelivery(*failed); err != nil && core.KindOf(err) != core.NotFound {
			return err
		}
	}
	if !over {
		return nil
	}
	d, err := tx.Destination(l.dest.ID)
	if core.KindOf(err) == core.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	d.Enabled, d.Problem = false, failed.Error
	_, err = tx.SaveDestination(d)
	return err
}
