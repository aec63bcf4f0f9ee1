package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// rig is what every check works with: the program, its capsules, and a folder to be thrown away.
type rig struct {
	program string
	dir     string
	scale   float64 // of the amounts; 1: those that the issue names
	enough  float64 // the share of its frames that a stream beside broken ones must have
	chance  *rand.Rand
	out     io.Writer // progress

	mu    sync.Mutex
	rows  []row
	wrong []error
}

// row is a line of the report.
type row struct{ check, what, value string }

// newRig prepares a folder with the capsules; the caller closes the rig.
func newRig(ctx context.Context, program string, scale float64, seed uint64, out io.Writer) (*rig, error) {
	dir, err := os.MkdirTemp("", "capstan-soak-")
	if err != nil {
		return nil, err
	}
	r := &rig{program: program, dir: dir, scale: scale, out: out, chance: rand.New(rand.NewPCG(seed, seed))} // #nosec G404 -- no secret
	if r.program, err = filepath.Abs(program); err == nil {
		err = errors.Join(r.install(ctx, "capsules", bundled), r.install(ctx, "more", uploaded), os.Mkdir(r.temp(), 0o700))
	}
	if err == nil {
		err = r.command(ctx, r.program, "capsule", "pack", filepath.Join(dir, "more", uploaded), "-o", r.pack(), "--quiet")
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *rig) close() error { return os.RemoveAll(r.dir) }

// temp is the folder for temporary files of servers.
func (r *rig) temp() string { return filepath.Join(r.dir, "tmp") }

// pack is a package of the capsule that comes over HTTP.
func (r *rig) pack() string { return filepath.Join(r.dir, uploaded+".cap") }

// install makes a folder with a capsule that is this program.
func (r *rig) install(ctx context.Context, folder, name string) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	to := filepath.Join(r.dir, folder, name)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(own)
	if err == nil {
		err = os.WriteFile(filepath.Join(to, name), text, 0o755) // #nosec G306 -- a program
	}
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, own, "manifest")
	cmd.Args[0] = filepath.Join(to, name) // not the copy: who was forked while it was written may still hold it open
	manifest, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the manifest of %s: %w", name, err)
	}
	return os.WriteFile(filepath.Join(to, "capsule.yaml"), manifest, 0o600)
}

func (r *rig) command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return nil
}

// some gives an amount at this rig's scale, and at least least.
func (r *rig) some(n, least int) int { return max(least, int(float64(n)*r.scale)) }

// note puts a line into the report.
func (r *rig) note(check, what, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row{check, what, fmt.Sprintf(format, args...)})
}

// fail says that something does not hold. The check goes on.
func (r *rig) fail(check, format string, args ...any) {
	err := fmt.Errorf(check+": "+format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) < 100 {
		r.wrong = append(r.wrong, err)
	}
	fmt.Fprintf(r.out, "  DOES NOT HOLD: %v\n", err)
}

// say shows progress.
func (r *rig) say(format string, args ...any) {
	fmt.Fprintf(r.out, "  "+format+"\n", args...)
}

// until waits until ok holds, looking ever again, and says whether it did in time.
func until(ctx context.Context, limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); ; {
		if ok() {
			return true
		}
		if time.Now().After(end) || pause(ctx, 50*time.Millisecond) != nil {
			return false
		}
	}
}

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// chanceOf gives a random number below n. It may be called from several goroutines.
func (r *rig) chanceOf(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.chance.IntN(n)
}
