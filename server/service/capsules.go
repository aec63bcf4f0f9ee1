package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/store"
)

// settings are what is set, by capsule and stream.
type settings map[string]map[core.StreamNumber]core.CapsuleSetting

func settingsOf(list []core.CapsuleSetting) settings {
	out := settings{}
	for _, v := range list {
		if out[v.Capsule] == nil {
			out[v.Capsule] = map[core.StreamNumber]core.CapsuleSetting{}
		}
		out[v.Capsule][v.Stream] = v
	}
	return out
}

// active says whether a capsule has a part in a stream (0: in all that do not say). One that is used
// on demand only does too: it is here because somebody has named or sent it, or because the chain
// that names faces was asked for.
func (v settings) active(d core.Declaration, n core.StreamNumber) bool {
	for _, n := range []core.StreamNumber{n, 0} {
		if a := v[d.Name][n].Active; a != nil {
			return *a
		}
	}
	return true
}

func (s *Service) settings(ctx context.Context, capsule string) (v settings, err error) {
	err = s.cfg.Store.View(ctx, func(tx store.Tx) error {
		list, err := tx.Settings(capsule)
		v = settingsOf(list)
		return err
	})
	return v, err
}

// jobOf says which capsules a stream has, and how they are set.
func (s *Service) jobOf(ctx context.Context, n core.StreamNumber) (pipeline.Job, error) {
	v, err := s.settings(ctx, "")
	if err != nil {
		return pipeline.Job{}, err
	}
	return s.jobWith(v, n, s.cfg.Engine.Capsules()), nil
}

// jobWith is jobOf for the capsules that are given. What a capsule does not take, because it was
// replaced since it was set, is said and left out.
func (s *Service) jobWith(v settings, n core.StreamNumber, capsules []pipeline.Capsule) pipeline.Job {
	job := pipeline.Job{Active: []string{}, Options: map[string]map[string]any{}}
	for _, c := range capsules {
		d := c.Declaration()
		if v.active(d, n) {
			job.Active = append(job.Active, d.Name)
		}
		own := v[d.Name][n].Options
		if len(own) == 0 {
			continue
		}
		if _, err := d.Complete(own); err != nil {
			s.log.Warn("a capsule does not take what was set for a stream; it has there what holds for all", "capsule", d.Name, "stream", n, "err", err)
			continue
		}
		job.Options[d.Name] = own
	}
	return job
}

// resumeCapsules gives the capsules what was set for all streams. What a capsule does not take
// any more is said and left.
func (s *Service) resumeCapsules(ctx context.Context) error {
	v, err := s.settings(ctx, "")
	if err != nil {
		return err
	}
	for _, c := range s.cfg.Engine.Capsules() {
		if broken(c) {
			continue // it has them when it runs
		}
		if err := s.resumeCapsule(ctx, c, v); err != nil {
			s.log.Warn("a capsule does not take what was set for it; it runs as it comes", "capsule", c.Declaration().Name, "err", err)
		}
	}
	return nil
}

func (s *Service) resumeCapsule(ctx context.Context, c pipeline.Capsule, v settings) error {
	name := c.Declaration().Name
	own := v[name][0].Options
	if len(own) == 0 {
		return nil
	}
	_, err := s.cfg.Engine.Change(ctx, pipeline.Change{Options: map[string]map[string]any{name: own}})
	return err
}

// capsule finds a capsule that runs.
func (s *Service) capsule(name string) (pipeline.Capsule, error) {
	for _, c := range s.cfg.Engine.Capsules() {
		if c.Declaration().Name == name {
			return c, nil
		}
	}
	return nil, core.Faultf(core.NotFound, "", "capsule", "there is no capsule %.100q", name)
}

// Capsules lists the capsules that run, by name.
func (s *Service) Capsules(ctx context.Context, c Caller) ([]CapsuleInfo, error) {
	if err := may(c, core.Viewer); err != nil {
		return nil, err
	}
	v, err := recall(s.memory, "settings", func() (settings, error) { return s.settings(ctx, "") })
	if err != nil {
		return nil, err
	}
	out := []CapsuleInfo{}
	for _, capsule := range s.cfg.Engine.Capsules() {
		info, err := s.infoOf(capsule, v)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

func (s *Service) infoOf(c pipeline.Capsule, v settings) (CapsuleInfo, error) {
	d, values := c.Declaration(), s.valuesOf(c, v)
	resolved, err := d.Resolve(values)
	_, removable := s.loaded.of(d.Name)
	st := c.Stats()
	info := CapsuleInfo{Declaration: resolved, Values: values, Active: v.active(d, 0), Removable: removable, State: st.State}
	if st.State != pipeline.CapsuleRunning {
		info.Err = s.cfg.Blobs.Shown(st.LastErr)
	}
	return info, err
}

// Capsule gives one capsule.
func (s *Service) Capsule(ctx context.Context, c Caller, name string) (CapsuleInfo, error) {
	if err := may(c, core.Viewer); err != nil {
		return CapsuleInfo{}, err
	}
	capsule, err := s.capsule(name)
	if err != nil {
		return CapsuleInfo{}, err
	}
	v, err := s.settings(ctx, name)
	if err != nil {
		return CapsuleInfo{}, err
	}
	return s.infoOf(capsule, v)
}

// Setting gives what was set for a stream; for 0 the options of all streams, complete.
func (s *Service) Setting(ctx context.Context, c Caller, capsule string, n core.StreamNumber) (out core.CapsuleSetting, err error) {
	if err := may(c, core.Viewer); err != nil {
		return out, err
	}
	running, err := s.capsule(capsule)
	if err != nil {
		return out, err
	}
	err = s.view(ctx, c, func(tx store.Tx) error {
		if err := known(tx, n, 0); err != nil {
			return err
		}
		list, err := tx.Settings(capsule)
		out = settingsOf(list)[capsule][n]
		return err
	})
	out.Capsule, out.Stream = capsule, n
	out.Options = maps.Clone(out.Options)
	if out.Options == nil {
		out.Options = map[string]any{}
	}
	if n == 0 && err == nil {
		v := settings{capsule: {0: out}}
		on := v.active(running.Declaration(), 0)
		out.Active, out.Options = &on, asSet(running.Declaration(), s.valuesOf(running, v), out.Options)
	}
	return out, err
}

// asSet gives values with durations as they were set where that was as seconds, which may have more
// digits.
func asSet(d core.Declaration, values core.Values, set map[string]any) map[string]any {
	out := maps.Clone(values)
	for name, v := range set {
		o, ok := d.Option(name)
		if _, text := v.(string); text || !ok || o.Type != core.DurationOption {
			continue
		}
		if x, err := o.Check(v); err == nil && x == out[name] {
			out[name] = v
		}
	}
	return out
}

// SetOptions replaces the options of a capsule for a stream, or all (0); with merge it changes
// those given, and nil takes one back. Running streams have them when it returns, or as soon as a
// capsule that is away or busy can take them.
func (s *Service) SetOptions(ctx context.Context, c Caller, capsule string, n core.StreamNumber, options map[string]any, merge bool) error {
	return s.set(ctx, c, "set options", capsule, n, func(d core.Declaration, v *core.CapsuleSetting) error {
		next := map[string]any{}
		if merge {
			maps.Copy(next, v.Options)
		}
		for name, value := range options {
			o, ok := d.Option(name)
			if !ok {
				return core.Faultf(core.NotFound, "", "option", "%s has no option %.100q", d.Name, name)
			}
			if value == nil && merge {
				delete(next, name)
				continue
			}
			if _, err := o.Check(value); err != nil {
				return &core.Fault{Kind: core.Invalid, On: "option", Err: fmt.Errorf("%s of %s: %w", name, d.Name, err)}
			}
			next[name] = value
		}
		v.Options = next
		return nil
	})
}

// SetActive says whether a capsule has a part in a stream, or (0) in all that do not say; nil
// takes it back.
func (s *Service) SetActive(ctx context.Context, c Caller, capsule string, n core.StreamNumber, active *bool) error {
	return s.set(ctx, c, "set active", capsule, n, func(_ core.Declaration, v *core.CapsuleSetting) error {
		v.Active = active
		return nil
	})
}

// set changes a setting in the store and then in what runs. When the capsule refuses it, the
// store is as it was; when it cannot be asked now, the setting stays and is in force later.
func (s *Service) set(ctx context.Context, c Caller, action, capsule string, n core.StreamNumber, f func(core.Declaration, *core.CapsuleSetting) error) error {
	if err := may(c, core.Editor); err != nil {
		return err
	}
	running, err := s.capsule(capsule)
	if err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	var old, next core.CapsuleSetting
	err = s.update(ctx, c, action, func(tx store.Tx) (string, error) {
		if err := known(tx, n, 0); err != nil {
			return "", err
		}
		list, err := tx.Settings(capsule)
		if err != nil {
			return "", err
		}
		old = settingsOf(list)[capsule][n]
		old.Capsule, old.Stream = capsule, n
		next = old
		if err := f(running.Declaration(), &next); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, stream %d", capsule, n), tx.SaveSetting(next)
	})
	if err != nil {
		return err
	}
	s.generation.Add(1)
	noun := "option"
	if action == "set active" {
		noun = "capsule"
	}
	switch err = s.enactSoon(ctx, running, noun, next); {
	case err != nil && ctx.Err() == nil && putOff(err):
		s.enactLater(noun, next, err)
	case err != nil:
		back := s.cfg.Store.Update(context.WithoutCancel(ctx), func(tx store.Tx) error { return tx.SaveSetting(old) })
		s.generation.Add(1)
		return errors.Join(on(noun, err), back)
	}
	return nil
}

// enactActive has a running stream, or all (0), go on with the capsules that are switched on now.
func (s *Service) enactActive(ctx context.Context, n core.StreamNumber) error {
	change := pipeline.Change{Active: map[core.StreamID][]string{}, IfOpen: true}
	for _, r := range s.running(n) {
		job, err := s.jobOf(ctx, r.number)
		if err != nil {
			return err
		}
		change.Active[streamID(r.number)] = job.Active
	}
	_, err := s.cfg.Engine.Change(ctx, change)
	return err
}

// running gives the runner of a stream, or all (0), in the order of their numbers.
func (s *Service) running(n core.StreamNumber) []*runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*runner
	for _, number := range slices.Sorted(maps.Keys(s.runners)) {
		if n == 0 || n == number {
			list = append(list, s.runners[number])
		}
	}
	return list
}

// enact changes options in what runs. A stream that is not open has them when it opens.
func (s *Service) enact(ctx context.Context, capsule string, n core.StreamNumber, options map[string]any) error {
	if options == nil {
		options = map[string]any{}
	}
	byCapsule := map[string]map[string]any{capsule: options}
	change := pipeline.Change{Options: byCapsule}
	if n != 0 {
		if s.runner(n) == nil {
			return nil
		}
		change = pipeline.Change{Streams: map[core.StreamID]map[string]map[string]any{streamID(n): byCapsule}, IfOpen: true}
	}
	if _, err := s.cfg.Engine.Change(ctx, change); err != nil {
		return err
	}
	return s.recogniseAnew(ctx, n)
}

// recogniseAnew has a running stream, or all (0), compare encodings as it is set now.
func (s *Service) recogniseAnew(ctx context.Context, n core.StreamNumber) error {
	for _, r := range s.running(n) {
		job, err := s.jobOf(ctx, r.number)
		if err != nil {
			return err
		}
		r.recognise(s.encodersWith(job.Options))
	}
	return nil
}
