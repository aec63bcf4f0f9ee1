package service

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// Replace has a capsule that runs take the place of the one of its name that does not, in every
// stream where it is switched on and with what is set there. The engine does not close it; when it
// is refused the caller does. One that runs already is Exists.
func (s *Service) Replace(ctx context.Context, next pipeline.Capsule) error {
	if err := s.loaded.take(ctx); err != nil {
		return err
	}
	defer s.loaded.give()
	s.change.Lock()
	defer s.change.Unlock()
	if !s.Ready() {
		return core.Faultf(core.Closed, "", "capsule", "the server is stopping")
	}
	d := next.Declaration()
	if now, err := s.capsule(d.Name); err == nil && !broken(now) {
		return core.Faultf(core.Exists, "", "capsule", "%s runs", d.Name)
	}
	return s.putNext(ctx, next)
}

// putNext has a capsule take part with what is set for it, for all streams too. The change lock is
// held.
func (s *Service) putNext(ctx context.Context, next pipeline.Capsule) error {
	change, err := s.changeTo(ctx, next)
	if err != nil {
		return err
	}
	if err := s.changeChain(ctx, change); err != nil {
		return err
	}
	v, err := s.settings(ctx, "")
	if err == nil {
		err = s.resumeCapsule(ctx, next, v)
	}
	if again := s.recogniseAnew(ctx, 0); errors.Join(err, again) != nil { // it runs all the same
		s.log.Warn("a capsule runs, and not all is well", "capsule", next.Declaration().Name, "err", errors.Join(err, again))
	}
	return nil
}

// broken says whether a capsule does not run and will not by itself.
func broken(c pipeline.Capsule) bool { return c.Stats().State == pipeline.CapsuleBroken }

// without says for a stream which of its capsules do not run, and why; empty: all do.
func without(v settings, n core.StreamNumber, away []pipeline.Capsule) string {
	var list []string
	for _, c := range away {
		if d := c.Declaration(); v.active(d, n) {
			list = append(list, "it runs without "+d.Name+": "+c.Stats().LastErr)
		}
	}
	return strings.Join(list, "; ")
}

// away gives the capsules that do not run and will not by themselves.
func (s *Service) away() []pipeline.Capsule {
	return slices.DeleteFunc(s.cfg.Engine.Capsules(), func(c pipeline.Capsule) bool { return !broken(c) })
}

// runs refuses, with why, a capsule that does not run and will not by itself.
func runs(c pipeline.Capsule) error {
	if !broken(c) {
		return nil
	}
	f := core.Faultf(core.CapsuleExited, "", "capsule", "%s does not run: %s", c.Declaration().Name, c.Stats().LastErr)
	f.Hint = "an administrator can mend it, or load another in its place"
	return f
}
