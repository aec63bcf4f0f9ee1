package main

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/sdk/manifest"
)

// A capsule that could not be launched is tried again after a while, which doubles: its library or
// model may have come meanwhile. To try costs a process.
const (
	firstRelaunch = 10 * time.Second
	mostRelaunch  = 5 * time.Minute
)

// missing are the capsules that came with the server and do not run.
type missing struct {
	absent     map[string]*pipeline.Absent
	unreadable map[string]string // by folder or package: what has no manifest that can be read
}

// startCapsules launches the capsules side by side. One that cannot be launched is said, and the
// server starts without it. The engine ends with them.
func (s *server) startCapsules(ctx context.Context) (func(context.Context) error, error) {
	s.site.Starting("capsules are launched")
	s.missing = missing{absent: map[string]*pipeline.Absent{}, unreadable: map[string]string{}}
	list, err := chooseServed(ctx, s.cfg.Capsules, s.unread, s.log)
	if err != nil {
		return nil, err
	}
	type launched struct {
		capsule *host.Capsule
		err     error
	}
	results := make([]launched, len(list))
	var work sync.WaitGroup
	for i, c := range list {
		work.Go(func() { results[i].capsule, results[i].err = s.launchServed(ctx, c) })
	}
	work.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for i, r := range results {
		next := pipeline.Capsule(r.capsule)
		if r.err != nil {
			next = s.goWithout(list[i].entry.Declaration, r.err)
		}
		if err := s.engine.Add(next); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *server) launchServed(ctx context.Context, c chosen) (*host.Capsule, error) {
	spec, err := specOf(c.entry, c.values)
	if err != nil {
		return nil, err
	}
	return s.host.Launch(ctx, spec)
}

// goWithout stands in for a capsule that could not be launched.
func (s *server) goWithout(d core.Declaration, err error) pipeline.Capsule {
	s.log.Warn("a capsule could not be started; the server goes on without it, and tries again from time to time",
		"capsule", d.Name, "err", err, "hint", "mend it, or leave it out by capsules.without; it can also be loaded over HTTP in its place")
	a := pipeline.NewAbsent(d, err)
	s.missing.absent[d.Name] = a
	return a
}

// unread is told of what has no manifest that can be read.
func (s *server) unread(path string, err error) {
	s.log.Warn("a capsule cannot be read; the server goes on without it", "path", path, "err", err, "hint", "mend or remove it, and start the server again")
	name := filepath.Base(path)
	if name == manifest.FileName {
		name = filepath.Base(filepath.Dir(path))
	}
	s.missing.unreadable[name] = "unreadable"
}

// brokenCapsules names the capsules that do not run, with their states.
func (s *server) brokenCapsules() map[string]string {
	out := maps.Clone(s.missing.unreadable)
	maps.Copy(out, s.svc.Broken())
	return out
}

// startRelaunching tries from time to time to launch what could not be launched at the start.
func (s *server) startRelaunching(context.Context) (func(context.Context) error, error) {
	if len(s.missing.absent) == 0 {
		return nil, nil
	}
	life, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause := s.relaunch; len(s.missing.absent) > 0; pause = min(2*pause, mostRelaunch) {
			select {
			case <-time.After(pause):
				s.relaunchAll(life)
			case <-life.Done():
				return
			}
		}
	}()
	return func(context.Context) error {
		end()
		<-done
		return nil
	}, nil
}

func (s *server) relaunchAll(ctx context.Context) {
	list, err := chooseServed(ctx, s.cfg.Capsules, func(string, error) {}, s.log.Named("again"))
	if err != nil {
		s.log.Warn("capsules cannot be looked for", "err", err)
		return
	}
	for _, c := range list {
		name := c.entry.Declaration.Name
		a := s.missing.absent[name]
		if a == nil || ctx.Err() != nil {
			continue
		}
		switch err := s.relaunchOne(ctx, c); {
		case err == nil:
			s.log.Info("a capsule that could not be started before runs now", "capsule", name)
			delete(s.missing.absent, name)
		case core.KindOf(err) == core.Exists: // one was loaded in its place
			delete(s.missing.absent, name)
		default:
			s.log.Debug("a capsule could not be started again", "capsule", name, "err", err)
			a.Again(err)
		}
	}
}

func (s *server) relaunchOne(ctx context.Context, c chosen) error {
	next, err := s.launchServed(ctx, c)
	if err != nil {
		return err
	}
	if err := s.svc.Replace(ctx, next); err != nil {
		return errors.Join(err, next.Close())
	}
	return nil
}
