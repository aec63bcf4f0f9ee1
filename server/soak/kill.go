package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// readyLimit is how long a restart may take until the server is ready and its streams run, on a
	// machine that is busy.
	readyLimit = 45 * time.Second
	longestRun = 2500 // milliseconds of load before a kill
	maxBlob    = 3 << 20
	steady     = 3 // streams that are always there
)

// ledger is what clients were told by servers that were killed since: all of it has to hold.
type ledger struct {
	mu      sync.Mutex
	blobs   map[int64][sha256.Size]byte // that were acknowledged
	sent    map[[sha256.Size]byte]bool  // all that was ever uploaded, whole
	alerts  map[int64]alert
	streams map[int64]bool // that were made, true, or deleted, false
	touched map[int64]bool // that a request was under way for when the server was killed
	uploads int
	loads   int
}

func newLedger() *ledger {
	return &ledger{blobs: map[int64][sha256.Size]byte{}, sent: map[[sha256.Size]byte]bool{}, alerts: map[int64]alert{}, streams: map[int64]bool{}, touched: map[int64]bool{}}
}

// kills kills a server under load, again and again, and looks each time whether what it had said
// holds for the next one.
func (r *rig) kills(ctx context.Context) error {
	data, l := filepath.Join(r.dir, "kill"), newLedger()
	p, err := r.serve(ctx, data)
	if err != nil {
		return err
	}
	var always []int64
	for i := range steady {
		n, err := p.watched(ctx, fmt.Sprint("steady ", i), fmt.Sprintf("test://?pattern=black&size=160x120&fps=20&live=true&frames=%d", 1_000_000+i))
		if err != nil {
			return errors.Join(err, p.kill())
		}
		always = append(always, n)
	}
	rounds, slowest := r.some(50, 3), time.Duration(0)
	for i := range rounds {
		if err := r.loadAndKill(ctx, p, l); err != nil {
			return err
		}
		began := time.Now()
		if p, err = r.serve(ctx, data); err != nil {
			return fmt.Errorf("after kill %d: %w", i+1, err)
		}
		if !until(ctx, readyLimit, func() bool { ok, _, _ := p.ready(ctx); return ok }) {
			_, why, err := p.ready(ctx)
			r.fail("kill", "after kill %d the server is not ready: %v %v", i+1, why, err)
		}
		slowest = max(slowest, time.Since(began))
		for _, n := range always {
			if !p.runs(ctx, n, readyLimit) {
				s, err := p.state(ctx, n)
				r.fail("kill", "after kill %d stream %d does not go on: %+v %v", i+1, n, s, err)
			}
		}
		l.holds(ctx, r, p)
		r.say("kill %d of %d: %d alerts, %d files, %d streams held", i+1, rounds, len(l.alerts), len(l.blobs), len(l.streams))
	}
	r.note("kill", "kills", "%d", rounds)
	r.note("kill", "held", "%d alerts, %d files, %d streams; %d loads of a capsule", len(l.alerts), len(l.blobs), len(l.streams), l.loads)
	r.note("kill", "ready again", "within %v", slowest.Round(time.Millisecond))
	return p.stop()
}

// loadAndKill has clients at work on a server, kills it at a random moment, and sees that no
// process is left.
func (r *rig) loadAndKill(ctx context.Context, p *process, l *ledger) error {
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := p.follow(working)
	if err != nil {
		return errors.Join(err, p.kill())
	}
	var work sync.WaitGroup
	for _, job := range []func(context.Context, *rig, *client){l.upload, l.upload, l.change, l.load} {
		work.Go(func() {
			for working.Err() == nil {
				job(working, r, p.client)
			}
		})
	}
	err = pause(ctx, time.Duration(100+r.chanceOf(longestRun))*time.Millisecond)
	if e := p.kill(); e != nil {
		err = errors.Join(err, e)
	}
	cancel()
	work.Wait()
	<-t.done
	alerts, wrong := t.seen()
	if wrong != nil {
		r.fail("kill", "the status stream: %w", wrong)
	}
	for id, a := range alerts {
		l.alerts[id] = a
	}
	var left []string
	if !until(ctx, 5*time.Second, func() bool { left = r.processes(); return len(left) == 0 }) {
		r.fail("kill", "processes outlive the server: %v", left)
	}
	return err
}

// upload uploads a file of a random size, and deletes some.
func (l *ledger) upload(ctx context.Context, r *rig, c *client) {
	text := make([]byte, 1+r.chanceOf(maxBlob))
	_, _ = rand.Read(text) // it never fails
	sum := sha256.Sum256(text)
	l.mu.Lock()
	l.sent[sum] = true
	l.uploads++
	l.mu.Unlock()
	var id int64
	if err := c.call(ctx, "POST", "/api/storage", text, &id); err != nil {
		_ = pause(ctx, 10*time.Millisecond)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blobs[id] = sum
}

// change adds streams, and deletes half of them again.
func (l *ledger) change(ctx context.Context, r *rig, c *client) {
	n, err := c.addStream(ctx, "more", fmt.Sprintf("test://?size=64x64&frames=%d", 1+r.chanceOf(1<<30)))
	if err != nil {
		_ = pause(ctx, 10*time.Millisecond)
		return
	}
	l.know(n, true)
	if r.chanceOf(2) == 0 {
		return
	}
	_ = c.analyze(ctx, n, r.chanceOf(2) == 0)
	l.mu.Lock()
	l.touched[n] = true
	l.mu.Unlock()
	if c.deleteStream(ctx, n) == nil {
		l.know(n, false)
	}
}

func (l *ledger) know(n int64, there bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams[n] = there
	delete(l.touched, n)
}

// load loads a capsule and unloads it.
func (l *ledger) load(ctx context.Context, r *rig, c *client) {
	text, err := os.ReadFile(r.pack())
	var id int64
	if err == nil {
		err = c.call(ctx, "POST", "/api/storage", text, &id)
	}
	if err == nil {
		err = c.call(ctx, "PUT", "/api/plugins", map[string]any{"storage_id": id, "dev_options": map[string]any{"source_path": "None"}}, nil)
	}
	if err == nil {
		l.mu.Lock()
		l.loads++
		l.mu.Unlock()
		err = c.call(ctx, "DELETE", "/api/plugins/"+uploaded, nil, nil)
	}
	if err != nil {
		_ = pause(ctx, 50*time.Millisecond)
	}
}

// holds asks a new server for everything that the ones before it have acknowledged.
func (l *ledger) holds(ctx context.Context, r *rig, p *process) {
	l.alertsHold(ctx, r, p)
	l.blobsHold(ctx, r, p)
	for n, there := range l.streams {
		a, err := p.send(ctx, "GET", fmt.Sprintf("/api/streams/%d", n), nil, nil)
		switch {
		case err != nil:
			r.fail("kill", "stream %d: %w", n, err)
		case l.touched[n]: // it was being deleted
			l.streams[n] = a.status == http.StatusOK
		case there != (a.status == http.StatusOK):
			r.fail("kill", "stream %d is there %t, and is answered with %d", n, there, a.status)
		}
	}
	clear(l.touched)
	var list []struct{ Name string }
	if err := p.call(ctx, "GET", "/api/plugins", nil, &list); err != nil || len(list) < 1 || len(list) > 2 {
		r.fail("kill", "the capsules are %v (%v)", list, err)
	}
}

func (l *ledger) alertsHold(ctx context.Context, r *rig, p *process) {
	there := map[int64]alert{}
	for n := int64(1); n <= steady; n++ {
		list, err := p.alerts(ctx, n)
		if err != nil {
			r.fail("kill", "alerts: %w", err)
		}
		for _, a := range list {
			there[a.ID] = a
		}
	}
	for id, was := range l.alerts {
		is, ok := there[id]
		switch {
		case !ok:
			r.fail("kill", "alert %d was shown and is missing: %+v", id, was)
		case is.Start != was.Start || is.Stream != was.Stream || is.Alarm != was.Alarm || was.End != nil && (is.End == nil || *is.End != *was.End):
			r.fail("kill", "alert %d was shown as %+v and is %+v", id, was, is)
		}
	}
}

// blobsHold reads files with all IDs that there may be: those that were acknowledged are whole, and
// no other one is anything that was not uploaded.
func (l *ledger) blobsHold(ctx context.Context, r *rig, p *process) {
	most := int64(0)
	for id := range l.blobs {
		most = max(most, id)
	}
	first := max(1, most-200) // those before were looked at after kills before
	for id := first; id <= most+20; id++ {
		a, err := p.send(ctx, "GET", fmt.Sprintf("/api/storage/%d", id), nil, nil)
		want, acknowledged := l.blobs[id]
		sum := sha256.Sum256(a.body)
		switch {
		case err != nil:
			r.fail("kill", "file %d: %w", id, err)
		case acknowledged && (a.status != http.StatusOK || sum != want):
			r.fail("kill", "file %d was acknowledged, and is answered with %d and %d bytes", id, a.status, len(a.body))
		case a.status == http.StatusOK && !l.sent[sum] && !bytes.HasPrefix(a.body, []byte("\xff\xd8")) && !bytes.HasPrefix(a.body, []byte("PK")):
			r.fail("kill", "file %d has %d bytes that nobody has uploaded", id, len(a.body))
		case a.status != http.StatusOK && a.status != http.StatusNotFound:
			r.fail("kill", "file %d: status %d %.200s", id, a.status, a.body)
		}
	}
}
