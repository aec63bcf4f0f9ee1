package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// The server keeps 256 MB for its database; what is above is for files.
	diskSize  = 300 << 20
	fullFor   = 5 * time.Second
	betweenAt = 3.0 // seconds between two alerts of a thing that is there for half a second, at most
)

// fullDisk fills the disk of a server twice: until files are refused, and to the last byte.
func (r *rig) fullDisk(ctx context.Context) (err error) {
	disk := filepath.Join(r.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		return fmt.Errorf("%w: a small disk needs the right to mount one (%w)", errNotHere, err)
	}
	defer func() { err = errors.Join(err, syscall.Unmount(disk, syscall.MNT_DETACH)) }()
	p, err := r.serve(ctx, filepath.Join(disk, "data"))
	if err != nil {
		return err
	}
	n, err := p.watched(ctx, "steady", "test://?pattern=black&size=160x120&fps=20&live=true")
	if err == nil {
		err = p.call(ctx, "POST", "/api/storage", make([]byte, 1<<20), nil)
	}
	if err != nil {
		return errors.Join(err, p.kill())
	}
	ballast := filepath.Join(disk, "ballast")
	for _, step := range []struct {
		name string
		left int64
	}{{"no room for files", 100 << 20}, {"not a byte", 0}} {
		if err := r.fillDisk(ctx, p, n, disk, ballast, step.name, step.left); err != nil {
			return errors.Join(err, p.kill())
		}
	}
	r.note("disk", "while it was full", "uploads were refused, alerts were kept in mind and saved later")
	return p.stop()
}

// fillDisk fills the disk, looks how the server does, makes room, and looks again.
func (r *rig) fillDisk(ctx context.Context, p *process, n int64, disk, ballast, name string, left int64) error {
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := p.follow(following)
	if err != nil {
		return err
	}
	from := float64(time.Now().UnixNano()) / 1e9
	if err := fill(disk, ballast, left); err != nil {
		return err
	}
	before := t.count(n)
	a, err := p.send(ctx, "POST", "/api/storage", make([]byte, 1<<20), nil)
	if err != nil {
		return fmt.Errorf("%s: an upload is not answered: %w", name, err)
	}
	f, err := a.refused()
	if err != nil || a.status < 500 {
		r.fail("disk", "%s: an upload is answered with %d %s (%v)", name, a.status, a.body, err)
	}
	r.say("%s: an upload is answered with %d, %s", name, a.status, f.Description)
	for end := time.Now().Add(fullFor); time.Now().Before(end); {
		if err := p.call(ctx, "GET", "/api/streams", nil, nil); err != nil {
			r.fail("disk", "%s: what there is cannot be read: %w", name, err)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	if fresh := newClient(p.url); fresh.signIn(ctx) != nil {
		r.fail("disk", "%s: nobody can sign in, to make room", name)
	}
	if t.count(n) == before {
		r.fail("disk", "%s: the stream's statuses have ended", name)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := r.caughtUp(ctx, p, n, "disk", name, from, float64(time.Now().UnixNano())/1e9); err != nil {
		return err
	}
	return p.call(ctx, "POST", "/api/storage", make([]byte, 1<<20), nil)
}

// caughtUp wants the alerts of a time in which they could not be saved: of each thing that came and
// went, without a hole.
func (r *rig) caughtUp(ctx context.Context, p *process, n int64, check, name string, from, to float64) error {
	var hole string
	if !until(ctx, readyLimit, func() bool {
		list, err := p.alerts(ctx, n)
		if hole = ""; err != nil {
			hole = err.Error()
			return false
		}
		hole = holes(list, from, to)
		return hole == ""
	}) {
		r.fail(check, "%s: %s", name, hole)
	}
	return ctx.Err()
}

// holes says where alerts are missing between two times, or have no end while another one has
// begun.
func holes(list []alert, from, to float64) string {
	last, n, open := from, 0, 0
	starts := map[float64]bool{}
	for _, a := range list {
		starts[a.Start] = true
		if a.End == nil {
			open++
		}
	}
	for at := range sorted(starts) {
		if at < from {
			continue
		}
		if at-last > betweenAt && last < to {
			return fmt.Sprintf("no alert began in the %.1f s before %.1f", at-last, at-from)
		}
		last, n = at, n+1
	}
	switch {
	case last < to:
		return fmt.Sprintf("the last alert began %.1f s before the end", to-last)
	case open > 1:
		return fmt.Sprintf("%d alerts have no end", open)
	case n < 2:
		return fmt.Sprintf("%d alerts", n)
	}
	return ""
}

// fill writes a file until only so many bytes are left on the disk.
func fill(disk, path string, left int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var s syscall.Statfs_t
	if err := syscall.Statfs(disk, &s); err != nil {
		return err
	}
	if left > 0 {
		_, err = io.CopyN(f, zeros{}, int64(s.Bavail)*s.Bsize-left)
		return err
	}
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk does not fill: %w", err)
	}
	return nil
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
