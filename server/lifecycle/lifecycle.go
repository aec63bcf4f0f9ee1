// Package lifecycle starts the parts of a server in order and stops them in the reverse one, keeps
// its data folder to one process, and tells systemd how it does.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
)

// Part is one part of a server. Start gives what stops it, nil when there is nothing to stop; when
// it fails it leaves nothing behind. Stop may take until its context ends, and is called once.
type Part struct {
	Name  string
	Start func(ctx context.Context) (stop func(context.Context) error, err error)
}

// Running are parts that have started.
type Running struct {
	log   hclog.Logger
	stops []named
}

type named struct {
	name string
	stop func(context.Context) error
}

// Start starts the parts in order. When one fails, those before it are stopped within limit, and the
// error is that of the part.
func Start(ctx context.Context, log hclog.Logger, limit time.Duration, parts []Part) (*Running, error) {
	r := &Running{log: log}
	for _, p := range parts {
		began := time.Now()
		err := ctx.Err()
		var stop func(context.Context) error
		if err == nil {
			stop, err = p.Start(ctx)
		}
		if err != nil {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
			_ = r.Stop(limited) // the reason is the part that did not start
			cancel()
			return nil, err
		}
		log.Debug("started", "part", p.Name, "took", time.Since(began).Round(time.Millisecond))
		if stop != nil {
			r.stops = append(r.stops, named{p.Name, stop})
		}
	}
	return r, nil
}

// Stop stops the parts, the last one first. One that is not done when ctx ends is left behind, and
// those before it are still asked. It is safe to call twice, not at once.
func (r *Running) Stop(ctx context.Context) error {
	var errs []error
	for len(r.stops) > 0 {
		last := r.stops[len(r.stops)-1]
		r.stops = r.stops[:len(r.stops)-1]
		began := time.Now()
		if err := within(ctx, last.stop); err != nil {
			r.log.Warn("a part did not stop well", "part", last.name, "err", err)
			errs = append(errs, fmt.Errorf("%s: %w", last.name, err))
		}
		r.log.Debug("stopped", "part", last.name, "took", time.Since(began).Round(time.Millisecond))
	}
	return errors.Join(errs...)
}

// lastMoment is what a part gets when the time is over already.
const lastMoment = 100 * time.Millisecond

// within gives up waiting shortly after ctx has ended.
func within(ctx context.Context, stop func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- stop(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	t := time.NewTimer(lastMoment)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return core.Faultf(core.Internal, "stop", "", "it did not stop in time")
	}
}
