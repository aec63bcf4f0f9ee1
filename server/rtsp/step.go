package rtsp

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

const (
	// tolerance is by how much a file may be out of step before it is brought in.
	tolerance = 100 * time.Millisecond
	// farAhead and farBehind are from where on it is begun anew elsewhere, in place of waiting or
	// being hurried.
	farAhead  = time.Second
	farBehind = 3 * time.Second
	// seekPause is how long a file is left to play that is out of step again: the machine is too slow.
	seekPause = 5 * time.Second
	// patience is how long the next round of the other player is waited for.
	patience = 3 * time.Second
	// approachTime and approachRoom bound what is read from a key frame to where the other player is.
	approachTime = time.Second
	approachRoom = 64 << 20
)

// step is how a relay keeps in step with another player of its file. Its zero value is out of step.
type step struct {
	round   uint64 // that it is in step with; 0: none
	spent   uint64 // that went on when this file had ended
	sought  time.Time
	waiting []pipeline.AccessUnit // come before what the source gives next
}

// steer brings the file in step with who plays it too, and gives the picture that comes next.
func (r *relay) steer(u pipeline.AccessUnit) (pipeline.AccessUnit, error) {
	other, ok := r.s.cfg.Round(r.n)
	if !ok {
		r.step.round = 0
		return u, nil
	}
	if other.Over || other.Number == r.step.spent {
		return u, nil
	}
	fresh := other.Number != r.step.round
	r.step.round = other.Number
	now := time.Now()
	_, place := r.clock.place(u)
	ahead := other.Zero.Sub(r.clock.zero)
	behind := max(-ahead, now.Sub(other.Zero.Add(place)))
	switch {
	case (ahead > farAhead || behind > farBehind) && (fresh || now.Sub(r.step.sought) >= seekPause):
		return r.seek(other)
	case fresh || max(ahead, -ahead) > tolerance:
		r.clock.join(now, other.Zero, u)
	}
	return u, nil
}

// seek begins the file anew where the other player is: from the key frame before, hurriedly.
func (r *relay) seek(other Round) (pipeline.AccessUnit, error) {
	r.step.sought, r.step.waiting = time.Now(), nil
	from := time.Duration(0)
	if to := time.Since(other.Zero); to > farAhead {
		from = r.clock.begin + to
	}
	u, err := r.reopen(from)
	if err == nil {
		u, err = r.approach(u, other)
	}
	if errors.Is(err, io.EOF) { // the other one is about to be
		return r.again()
	}
	if err == nil {
		r.clock.opened()
		r.clock.join(time.Now(), other.Zero, u)
	}
	return u, err
}

// approach reads on to where the other player is, and gives the key frame before; those behind it wait.
func (r *relay) approach(u pipeline.AccessUnit, other Round) (_ pipeline.AccessUnit, err error) {
	var units []pipeline.AccessUnit
	size := 0
	for end := time.Now().Add(approachTime); ; {
		if u.Key || size > approachRoom {
			units, size = units[:0], 0
		}
		if u.Key || len(units) > 0 {
			units = append(units, u)
			for _, nal := range u.NALs {
				size += len(nal)
			}
		}
		place, _ := r.clock.place(u)
		now := time.Now()
		if len(units) > 0 && (place >= now.Sub(other.Zero) || now.After(end)) {
			r.step.waiting = units[1:]
			return units[0], nil
		}
		if u, err = r.src.Next(r.life); err != nil {
			return u, err
		}
	}
}

// next gives the picture that comes next; at the end of a file its first one.
func (r *relay) next() (pipeline.AccessUnit, error) {
	if w := r.step.waiting; len(w) > 0 {
		r.step.waiting = w[1:]
		return w[0], nil
	}
	u, err := r.src.Next(r.life)
	if errors.Is(err, io.EOF) && !r.src.Live() {
		return r.again()
	}
	return u, err
}

// again begins a file anew at its end, and when the other player has.
func (r *relay) again() (pipeline.AccessUnit, error) {
	u, err := r.reopen(0)
	if err == nil {
		err = r.await()
	}
	if err == nil {
		r.clock.again()
	}
	return u, err
}

// await waits for the other player's next round. When that does not come, the file goes on alone.
func (r *relay) await() error {
	for end := time.Now().Add(patience); r.step.round != 0; {
		other, ok := r.s.cfg.Round(r.n)
		switch {
		case !ok:
			r.step.round = 0
		case other.Number != r.step.round:
			return nil
		case time.Now().After(end):
			r.step.spent, r.step.round = r.step.round, 0
		default:
			if err := r.sleep(10 * time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// reopen opens the file from a place on. An error leaves it closed.
func (r *relay) reopen(from time.Duration) (pipeline.AccessUnit, error) {
	if err := r.src.Close(); err != nil {
		return pipeline.AccessUnit{}, err
	}
	src, u, err := r.open(from)
	if err == nil {
		r.src = src
	}
	return u, err
}

func (r *relay) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.life.Done():
		return context.Cause(r.life)
	}
}

// opening bounds the opening of a stream.
func (r *relay) opening() (context.Context, context.CancelFunc) {
	limit := core.Faultf(core.SourceOpen, "rtsp", "stream", "no picture came within %s", r.s.cfg.OpenLimit)
	return context.WithTimeoutCause(r.life, r.s.cfg.OpenLimit, limit)
}
