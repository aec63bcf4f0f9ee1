package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// awayTime is how long a change waits for a capsule whose process ended while it was asked.
const awayTime = 5 * time.Second

// later are the settings that are in the store and not in force yet, each with somebody who sees
// to it. It ends with Service.life.
type later struct {
	mu   sync.Mutex
	list map[lateSetting]bool
}

type lateSetting struct {
	noun    string // "option" or "capsule"
	capsule string
	stream  core.StreamNumber
}

// waits says whether a setting is not in force yet.
func (l *later) waits(k lateSetting) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list[k]
}

// add is false when somebody sees to the setting already.
func (l *later) add(k lateSetting) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list[k] {
		return false
	}
	if l.list == nil {
		l.list = map[lateSetting]bool{}
	}
	l.list[k] = true
	return true
}

func (l *later) remove(k lateSetting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.list, k)
}

// errAway says that a capsule does not run now, so that nobody can ask it.
var errAway = errors.New("the capsule does not run now")

// putOff says whether an error of a change that was allowed is one of the moment: the capsule is
// away or busy, and has said nothing against the value.
func putOff(err error) bool {
	if errors.Is(err, errAway) || errors.Is(err, pipeline.ErrBusy) {
		return true
	}
	switch core.KindOf(err) {
	case core.CapsuleStart, core.Cancelled, core.NotFound, core.Exists, core.Exhausted:
		return true
	}
	return false
}

// diedOf says whether an error may be that of a process which the value has ended, or another thing.
func diedOf(err error) bool {
	switch core.KindOf(err) {
	case core.CapsuleExited, core.CapsuleDeadline, core.CapsuleLimit:
		return !errors.Is(err, pipeline.ErrBusy)
	}
	return false
}

// enactSoon has a setting in force in what runs. A capsule whose process ends meanwhile is asked
// once more: when it ends again, that is of the setting. The change lock is held.
func (s *Service) enactSoon(ctx context.Context, c pipeline.Capsule, noun string, v core.CapsuleSetting) error {
	if noun == "capsule" {
		return s.enactActive(ctx, v.Stream)
	}
	if c.Stats().State != pipeline.CapsuleRunning {
		return errAway
	}
	err := s.enact(ctx, v.Capsule, v.Stream, v.Options)
	if !diedOf(err) {
		return err
	}
	s.log.Warn("a capsule ended while its options were changed; it is asked once more", "capsule", v.Capsule, "stream", v.Stream, "err", err)
	limited, cancel := context.WithTimeout(ctx, awayTime)
	defer cancel()
	if c.Ready(limited) != nil {
		return errAway
	}
	return s.enact(ctx, v.Capsule, v.Stream, v.Options)
}

// enactLater has a setting, or the one that has taken its place by then, in force as soon as that
// can be. The change lock is held.
func (s *Service) enactLater(noun string, v core.CapsuleSetting, why error) {
	k := lateSetting{noun, v.Capsule, v.Stream}
	s.log.Warn("a setting of a capsule is kept, and will be in force when the capsule can take it", "capsule", k.capsule, "stream", k.stream, "err", why)
	if s.later.add(k) {
		s.work.Go(func() { s.seeTo(k) })
	}
}

// seeTo tries to have a setting in force until it is, or the capsule refuses it.
func (s *Service) seeTo(k lateSetting) {
	for pause := s.cfg.FirstPause; s.pause(pause); pause = min(2*pause, s.cfg.MostPause) {
		if !s.change.TryLock() { // Close waits for us with the lock held
			continue
		}
		err := s.enactNow(k)
		again := err != nil && putOff(err)
		if !again {
			s.later.remove(k) // with the lock: who changes it next sees to it anew
		}
		s.change.Unlock()
		switch {
		case err == nil:
			s.log.Info("a setting of a capsule is in force now", "capsule", k.capsule, "stream", k.stream)
		case !again && s.life.Err() == nil:
			s.log.Error("a capsule does not take what was set for it", "capsule", k.capsule, "stream", k.stream, "err", err)
			for _, r := range s.running(k.stream) {
				r.replay() // which says what is wrong
			}
		}
		if !again {
			return
		}
	}
}

// enactNow is one try with what is set now. A capsule that is gone needs no more.
func (s *Service) enactNow(k lateSetting) error {
	ctx, cancel := context.WithTimeout(s.life, openTimeout)
	defer cancel()
	c, err := s.capsule(k.capsule)
	if err != nil {
		return nil
	}
	v, err := s.settings(ctx, k.capsule)
	if err != nil {
		return errAway // the store is
	}
	now := v[k.capsule][k.stream]
	now.Capsule, now.Stream = k.capsule, k.stream
	return s.enactSoon(ctx, c, k.noun, now)
}

// pause waits; false when the service ends.
func (s *Service) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.life.Done():
		return false
	}
}

// valuesOf gives what holds for all streams: what the capsule has, or what it is to have.
func (s *Service) valuesOf(c pipeline.Capsule, v settings) core.Values {
	name := c.Declaration().Name
	if c.Stats().State != pipeline.CapsuleRunning || s.later.waits(lateSetting{"option", name, 0}) {
		if values, err := c.Declaration().Complete(v[name][0].Options); err == nil {
			return values
		}
	}
	return c.Values()
}
