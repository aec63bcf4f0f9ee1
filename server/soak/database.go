package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/capstan-video/capstan/server/store/pgtest"
)

// goneFor is how long the database is gone.
const goneFor = 5 * time.Second

// sorted gives the keys in order.
func sorted(m map[float64]bool) iter.Seq[float64] { return slices.Values(slices.Sorted(maps.Keys(m))) }

// lostDatabase takes a server's PostgreSQL away and brings it back.
func (r *rig) lostDatabase(ctx context.Context) (err error) {
	db, err := pgtest.Start()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: PostgreSQL is not installed (on Debian: apt-get install postgresql)", errNotHere)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Stop()) }()
	url, err := db.Make()
	if err != nil {
		return err
	}
	p, err := r.serve(ctx, filepath.Join(r.dir, "database"), "--database", url)
	if err != nil {
		return err
	}
	n, err := p.watched(ctx, "steady", "test://?pattern=black&size=160x120&fps=20&live=true")
	if err != nil {
		return errors.Join(err, p.kill())
	}
	times, slowest := r.some(5, 1), time.Duration(0)
	for i := range times {
		took, err := r.loseDatabase(ctx, p, db, n)
		if err != nil {
			return errors.Join(err, p.kill())
		}
		slowest = max(slowest, took)
		r.say("crash %d of %d", i+1, times)
	}
	r.note("database", "crashes", "%d, each for %v; the slowest refusal took %v", times, goneFor, slowest.Round(time.Millisecond))
	return p.stop()
}

// loseDatabase takes the database away once, and gives how long the slowest refusal took meanwhile.
func (r *rig) loseDatabase(ctx context.Context, p *process, db *pgtest.Server, n int64) (slowest time.Duration, _ error) {
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := p.follow(following)
	if err != nil {
		return 0, err
	}
	if !p.runs(ctx, n, readyLimit) || !until(ctx, readyLimit, func() bool { return t.count(n) > 0 }) {
		return 0, errors.New("the stream does not run")
	}
	from := float64(time.Now().UnixNano()) / 1e9
	if err := db.Kill(); err != nil {
		return 0, err
	}
	before := t.count(n)
	for end := time.Now().Add(goneFor); time.Now().Before(end); {
		for _, path := range []string{"/api/streams", "/api/alerts", "/api/zones/1"} {
			began := time.Now()
			a, err := p.send(ctx, "GET", path, nil, nil)
			slowest = max(slowest, time.Since(began))
			switch {
			case err != nil:
			case a.status >= http.StatusInternalServerError:
				_, err = a.refused()
			case a.status != http.StatusOK || path == "/api/alerts": // which nobody remembers
				err = fmt.Errorf("status %d", a.status)
			}
			if err != nil {
				r.fail("database", "without it, %s: %w", path, err)
			}
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
	if ok, why, err := p.ready(ctx); ok || why["database"] == "" {
		r.fail("database", "without it the server says that it is ready %t, because of %v (%v)", ok, why, err)
	}
	if fresh := t.count(n) - before; fresh < 5 {
		r.fail("database", "without it the stream had %d statuses in %v", fresh, goneFor)
	}
	if err := db.Run(); err != nil {
		return 0, err
	}
	to := float64(time.Now().UnixNano()) / 1e9
	if !until(ctx, readyLimit, func() bool { ok, _, _ := p.ready(ctx); return ok }) {
		r.fail("database", "it is back, and the server is not ready")
	}
	return slowest, r.caughtUp(ctx, p, n, "database", "it is back", from, to)
}
