package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

const (
	steadyRate = 20 // frames a second of the streams that must notice nothing
	// enough is the share of their frames that they must have: others use the machine too.
	enough = 0.7
	// badFor is how long each camera is broken in one way.
	badFor = 3 * time.Second
)

// scene is a server with a stream that is well beside those of bad cameras.
type scene struct {
	*rig
	p      *process
	steady int64
	told   *told
	least  float64 // frames a second of the stream that is well, in the worst round
}

// badCameras puts cameras that misbehave beside a stream that does not.
func (r *rig) badCameras(ctx context.Context) error {
	p, err := r.serve(ctx, filepath.Join(r.dir, "cameras"))
	if err != nil {
		return err
	}
	s := &scene{rig: r, p: p, least: steadyRate}
	if s.steady, err = p.watched(ctx, "steady", fmt.Sprintf("test://?pattern=black&size=160x120&fps=%d&live=true", steadyRate)); err != nil {
		return errors.Join(err, p.kill())
	}
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.told, err = p.follow(following); err != nil || !p.runs(ctx, s.steady, readyLimit) {
		return errors.Join(err, errors.New("the stream that is well does not run"), p.kill())
	}
	g, rounds := growth{name: "cameras"}, r.some(10, 1)
	for i := range rounds + 1 { // the first one warms up
		if err := s.round(ctx, i); err != nil {
			return errors.Join(err, p.kill())
		}
		size, err := p.size(ctx)
		if err != nil {
			return errors.Join(err, p.kill())
		}
		g.add(float64(i)/float64(rounds), size)
		r.say("round %d of %d: %v", i, rounds, size)
	}
	if rounds == 1 { // no line through one point
		g.at = []float64{0.25, 1}
	}
	g.flat(r, fmt.Sprintf("%d rounds of 5 cameras", rounds))
	r.note("cameras", "beside them", "%.1f of %d frames a second, in the worst round", s.least, steadyRate)
	if _, wrong := s.told.seen(); wrong != nil {
		r.fail("cameras", "the status stream: %w", wrong)
	}
	cancel()
	<-s.told.done
	return p.stop()
}

// ways are how cameras are broken, the quick ones first.
func (s *scene) ways() []func(context.Context) error {
	broken := func(name string, breaks func(ctx context.Context, c *camera, on bool), states ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.broken(ctx, name, func(c *camera, on bool) { breaks(ctx, c, on) }, states...)
		}
	}
	return []func(context.Context) error{
		broken("one that changes its size", func(_ context.Context, c *camera, on bool) { c.set(func(c *camera) { c.large = on }) }, "running"),
		broken("one that sends noise", func(_ context.Context, c *camera, on bool) { c.set(func(c *camera) { c.garbage = on }) }),
		broken("one that comes and goes", func(ctx context.Context, c *camera, _ bool) { s.comeAndGo(ctx, c) }),
		broken("one that stalls", func(_ context.Context, c *camera, on bool) { c.set(func(c *camera) { c.mute = on }) }, "stalled", "connecting", "failed"),
		s.noise,
	}
}

// round breaks cameras in every way at once, mends them, and takes them away. The first round warms
// up, with the quick ones.
func (s *scene) round(ctx context.Context, i int) error {
	ways := s.ways()
	if i == 0 {
		ways = ways[:2]
	}
	before, began := s.frames(ctx), time.Now()
	var work sync.WaitGroup
	errs := make(chan error, len(ways))
	for k, way := range ways {
		work.Go(func() {
			if err := way(ctx); err != nil {
				errs <- fmt.Errorf("round %d, camera %d: %w", i, k, err)
			}
		})
	}
	work.Wait()
	close(errs)
	for err := range errs {
		s.fail("cameras", "%w", err)
	}
	took := time.Since(began).Seconds()
	rate := float64(s.frames(ctx)-before) / took
	s.least = min(s.least, rate)
	if rate < s.enough*steadyRate {
		s.fail("cameras", "the stream beside them had %.1f of %d frames a second", rate, steadyRate)
	}
	return ctx.Err()
}

// frames gives how many frames the stream that is well has had. It must be running.
func (s *scene) frames(ctx context.Context) uint64 {
	st, err := s.p.state(ctx, s.steady)
	if err != nil || st.State != "running" {
		s.fail("cameras", "the stream beside them: %+v %v", st, err)
	}
	return st.Frames
}

// broken adds a camera, breaks it, mends it, and wants its stream to run before and after that.
// While it is broken it must come to one of the states, if there are any.
func (s *scene) broken(ctx context.Context, name string, breaks func(c *camera, on bool), states ...string) error {
	c, err := newCamera()
	if err != nil {
		return err
	}
	defer c.close()
	n, err := s.p.watched(ctx, name, c.url())
	if err != nil {
		return err
	}
	if !s.p.runs(ctx, n, readyLimit) {
		st, err := s.p.state(ctx, n)
		return errors.Join(fmt.Errorf("%s does not run to begin with: %+v", name, st), err)
	}
	breaks(c, true)
	_ = pause(ctx, badFor)
	if len(states) > 0 && !until(ctx, readyLimit, func() bool { return s.in(ctx, n, states) }) {
		st, err := s.p.state(ctx, n)
		return errors.Join(fmt.Errorf("%s is %+v, want one of %v", name, st, states), err)
	}
	breaks(c, false)
	if err := c.on(); err != nil {
		return err
	}
	if !s.p.runs(ctx, n, 2*readyLimit) {
		st, err := s.p.state(ctx, n)
		return errors.Join(fmt.Errorf("%s does not run again: %+v", name, st), err)
	}
	return s.p.deleteStream(ctx, n)
}

func (s *scene) in(ctx context.Context, n int64, states []string) bool {
	st, err := s.p.state(ctx, n)
	for _, want := range states {
		if err == nil && st.State == want {
			return true
		}
	}
	return false
}

// comeAndGo switches a camera off and on.
func (s *scene) comeAndGo(ctx context.Context, c *camera) {
	for range 2 {
		c.off()
		_ = pause(ctx, 500*time.Millisecond)
		if c.on() != nil {
			return // what is asked next says so
		}
		_ = pause(ctx, 500*time.Millisecond)
	}
}

// noise is an address at which something answers that is no camera: an error that can be seen.
func (s *scene) noise(ctx context.Context) error {
	b, err := newBabbler()
	if err != nil {
		return err
	}
	defer b.close()
	for _, scheme := range []string{"rtsp", "http"} {
		n, err := s.p.watched(ctx, "noise over "+scheme, b.url(scheme))
		if err != nil {
			return err
		}
		var st state
		if !until(ctx, readyLimit, func() bool { st, err = s.p.state(ctx, n); return err == nil && st.State == "failed" && st.Error != "" }) {
			return fmt.Errorf("noise over %s: %+v (%v)", scheme, st, err)
		}
		if err := s.p.deleteStream(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
