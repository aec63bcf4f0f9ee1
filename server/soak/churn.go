package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// What a process may have more at the end than after its warming up. Memory is the Go heap's and
// GStreamer's to give back as they like, so that it is the slope that counts.
const (
	moreDescriptors = 12
	moreThreads     = 12
	moreGoroutines  = 25
	moreMemory      = 48 << 20 // bytes
)

// growth is how a process has grown over an amount of work.
type growth struct {
	name  string
	at    []float64 // share of the work
	sizes []size
}

func (g *growth) add(at float64, s size) {
	g.at, g.sizes = append(g.at, at), append(g.sizes, s)
}

// slope gives how much more there is at the end than at the beginning of the work, by a straight
// line through all but the first quarter, in which caches fill.
func (g *growth) slope(of func(size) float64) float64 {
	var n, sx, sy, sxx, sxy float64
	for i, x := range g.at {
		if x < 0.25 {
			continue
		}
		y := of(g.sizes[i])
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if d := n*sxx - sx*sx; d > 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}

// flat notes the slopes, and fails where something grows. work says of what.
func (g *growth) flat(r *rig, work string) {
	slopes := []struct {
		what  string
		most  float64
		unit  float64
		slope float64
	}{
		{"descriptors", moreDescriptors, 1, g.slope(func(s size) float64 { return float64(s.descriptors) })},
		{"threads", moreThreads, 1, g.slope(func(s size) float64 { return float64(s.threads) })},
		{"goroutines", moreGoroutines, 1, g.slope(func(s size) float64 { return float64(s.goroutines) })},
		{"MB", moreMemory >> 20, 1 << 20, g.slope(func(s size) float64 { return float64(s.memory) })},
	}
	last := g.sizes[len(g.sizes)-1]
	text := ""
	for _, s := range slopes {
		text += fmt.Sprintf("%+.1f %s, ", s.slope/s.unit, s.what)
		if s.slope/s.unit > s.most {
			r.fail(g.name, "%s: %+.1f %s over %s, want at most %g more", g.sizes[0], s.slope/s.unit, s.what, work, s.most)
		}
	}
	r.note(g.name, "slopes", "%sover %s", text, work)
	r.note(g.name, "at the end", "%s", last)
}

// samples is how often a process is measured during its work.
const samples = 20

// manyStreams adds and removes streams, every tenth of which is analysed.
func (r *rig) manyStreams(ctx context.Context) error {
	p, err := r.serve(ctx, filepath.Join(r.dir, "streams"))
	if err != nil {
		return err
	}
	steady, err := p.watched(ctx, "steady", "test://?pattern=black&size=160x120&fps=10&live=true")
	if err != nil {
		return errors.Join(err, p.kill())
	}
	n, g, began := r.some(10_000, 100), growth{name: "streams"}, time.Now()
	for i := range n {
		if i%max(1, n/samples) == 0 {
			s, err := p.size(ctx)
			if err != nil {
				return errors.Join(err, p.kill())
			}
			g.add(float64(i)/float64(n), s)
			r.say("stream %d of %d: %v", i, n, s)
		}
		if err := addAndRemove(ctx, p.client, i); err != nil {
			return errors.Join(err, p.kill())
		}
	}
	took := time.Since(began)
	if err := pause(ctx, time.Second); err != nil { // what is being closed
		return errors.Join(err, p.kill())
	}
	s, err := p.size(ctx)
	if err != nil {
		return errors.Join(err, p.kill())
	}
	g.add(1, s)
	g.flat(r, fmt.Sprintf("%d streams", n))
	r.note("streams", "speed", "%.0f streams a second", float64(n)/took.Seconds())
	if !p.runs(ctx, steady, readyLimit) {
		r.fail("streams", "the stream that stays does not run")
	}
	return p.stop()
}

// addAndRemove is the life of a stream. Every tenth one is analysed, and every hundredth of those
// until it has results.
func addAndRemove(ctx context.Context, c *client, i int) error {
	n, err := c.addStream(ctx, fmt.Sprint("stream ", i), fmt.Sprintf("test://?pattern=black&size=160x120&fps=20&live=true&frames=%d", 1_000_000+i))
	if err != nil {
		return err
	}
	if i%10 == 0 {
		err = errors.Join(c.addAlarm(ctx, n, "zone"), c.analyze(ctx, n, true))
	}
	if i%100 == 0 && !c.runs(ctx, n, readyLimit) {
		err = errors.Join(err, fmt.Errorf("stream %d does not run", n))
	}
	return errors.Join(err, c.deleteStream(ctx, n))
}

// callers is how many call at once.
const callers = 4

// manyCalls calls everything that can be read, and changes something now and then, while a stream is
// analysed.
func (r *rig) manyCalls(ctx context.Context) error {
	p, err := r.serve(ctx, filepath.Join(r.dir, "calls"))
	if err != nil {
		return err
	}
	if _, err := p.watched(ctx, "steady", "test://?pattern=black&size=160x120&fps=10&live=true"); err != nil {
		return errors.Join(err, p.kill())
	}
	var identity struct{ ID int64 }
	if err := p.call(ctx, "POST", "/api/identities", map[string]any{"id": nil, "unique_name": "somebody", "nickname": "", "metadata": map[string]any{}}, &identity); err != nil {
		return errors.Join(err, p.kill())
	}
	n, g, began := r.some(1_000_000, 5_000), growth{name: "calls"}, time.Now()
	var failed atomic.Int64
	for done := 0; done < n; {
		s, err := p.size(ctx)
		if err != nil {
			return errors.Join(err, p.kill())
		}
		g.add(float64(done)/float64(n), s)
		r.say("call %d of %d: %v", done, n, s)
		part := min(n-done, max(callers, n/samples))
		r.callAtOnce(ctx, p.client, done, part, &failed)
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), p.kill())
		}
		done += part
	}
	took := time.Since(began)
	s, err := p.size(ctx)
	if err != nil {
		return errors.Join(err, p.kill())
	}
	g.add(1, s)
	g.flat(r, fmt.Sprintf("%d calls", n))
	r.note("calls", "speed", "%.0f a second, %d failed", float64(n)/took.Seconds(), failed.Load())
	return p.stop()
}

// reads are what callers ask for.
var reads = []string{
	"/api/version", "/api/streams", "/api/streams/1", "/api/streams/status", "/api/zones", "/api/zones?stream_id=1", "/api/zone_alarms", "/api/alerts?limit=10",
	"/api/plugins", "/api/identities?limit=10", "/api/encodings", "/api/users", "/api/premises", "/api/license", "/capstan/v1/states", "/healthz", "/readyz",
}

// callAtOnce makes some calls, from several callers.
func (r *rig) callAtOnce(ctx context.Context, c *client, from, n int, failed *atomic.Int64) {
	var work sync.WaitGroup
	for k := range callers {
		work.Go(func() {
			for i := from + k; i < from+n && ctx.Err() == nil; i += callers {
				if err := oneCall(ctx, c, i); err != nil && ctx.Err() == nil {
					failed.Add(1)
					r.fail("calls", "call %d: %w", i, err)
				}
			}
		})
	}
	work.Wait()
}

func oneCall(ctx context.Context, c *client, i int) error {
	switch i % 200 {
	case 50:
		return c.call(ctx, "POST", "/api/identities", map[string]any{"id": 1, "unique_name": "somebody", "nickname": fmt.Sprint(i), "metadata": map[string]any{}}, nil)
	case 100: // what is refused leaves nothing either
		a, err := c.send(ctx, "POST", "/api/zones", []byte(`{"id":`), nil)
		if err == nil && a.status != 400 {
			err = fmt.Errorf("status %d", a.status)
		}
		return err
	case 150:
		return c.call(ctx, "PATCH", "/api/plugins/"+bundled+"/options", map[string]any{"half": blinkFrames}, nil)
	}
	return c.call(ctx, "GET", reads[i%len(reads)], nil, nil)
}
