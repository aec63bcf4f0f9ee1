// Package hotload keeps the running capsules of an engine as they are wanted on disk: it
// watches their folders and applies what changes while streams run.
package hotload

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/hashicorp/go-hclog"
)

// Capsule is a running capsule that can be ended.
type Capsule interface {
	pipeline.Capsule
	Close() error
}

// Wanted is a capsule that should run, as it is on disk now.
type Wanted struct {
	Spec host.Spec // with the declaration and the options
	File string    // its manifest or package

	// Dir is the folder of the capsule alone. It is copied before the program is started, so
	// that what is written there later does not meet the running process. "": the program
	// is copied alone.
	Dir string
	// Digest stands for everything in a package, whose folder nobody changes: nothing is copied
	// then. "": it is no package.
	Digest string
}

// List is what is wanted.
type List struct {
	Capsules []Wanted
	// Broken are files and folders that cannot be read now, with their faults. A running capsule
	// of such a file stays as it is.
	Broken map[string]error
}

// Config says what a keeper works on. Log and Drain may be missing.
type Config struct {
	Engine *pipeline.Engine
	Launch func(ctx context.Context, s host.Spec) (Capsule, error)
	// Wanted reads the disk. An error leaves everything as it is.
	Wanted func(ctx context.Context) (List, error)
	Log    hclog.Logger
	Drain  time.Duration // see pipeline.Change

	// Quiet is how long nothing may be written before a change is looked at; 0: 300 ms.
	Quiet time.Duration
	// Seen is told what each look at the disk came to; nil: nobody is.
	Seen func(Report, error)
}

// Report is what one look at the disk came to.
type Report struct {
	pipeline.Changed
	Refused map[string]error // by capsule: new versions and options that are not used
	Waiting []string         // capsules whose files are being written; they are looked at again
}

// Keeper owns the capsules that it launched, until they leave or the host is closed. Its
// methods are called from one goroutine, Close also from another.
type Keeper struct {
	cfg     Config
	scratch string
	lock    *os.File // held while scratch is ours

	copies  atomic.Uint64
	running map[string]*kept
	tried   map[string]string // by capsule: what was refused, until it differs
	said    map[string]string // by capsule and broken path: the fault that was logged
}

// kept is a capsule that runs.
type kept struct {
	capsule Capsule
	file    string
	version string // of its files and declaration
	options map[string]any
	copied  string // the folder with its copy; "": there is none
}

// New makes a keeper; the caller closes it.
func New(cfg Config) (*Keeper, error) {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	if cfg.Quiet <= 0 {
		cfg.Quiet = 300 * time.Millisecond
	}
	dir, lock, err := newScratch(os.TempDir())
	if err != nil {
		return nil, core.Faultf(core.Exhausted, "watch capsules", "", "no folder for copies of programs: %w", err)
	}
	return &Keeper{cfg: cfg, scratch: dir, lock: lock, running: map[string]*kept{}, tried: map[string]string{}, said: map[string]string{}}, nil
}

// Close removes the copies of programs. The capsules are closed by their host.
func (k *Keeper) Close() error {
	_ = k.lock.Close()
	return os.RemoveAll(k.scratch)
}

// Start launches what is wanted and has a place in the plan, and adds it to the engine. Here
// anything that cannot be read, launched or planned is a fault.
func (k *Keeper) Start(ctx context.Context) error {
	list, err := k.cfg.Wanted(ctx)
	if err != nil {
		return err
	}
	for _, err := range list.Broken {
		return err
	}
	round, err := k.newRound(list)
	if err != nil {
		return err
	}
	for _, err := range round.report.Refused {
		return err
	}
	round.launchAll(ctx)
	var errs []error
	for _, c := range round.candidates {
		if c.err == nil {
			c.err = k.cfg.Engine.Add(c.capsule)
		}
		if c.err != nil {
			errs = append(errs, c.err)
			c.discard()
			continue
		}
		k.running[c.name] = &c.kept
	}
	return errors.Join(errs...)
}

// Update looks at the disk once and makes the engine follow it: capsules that came, left or
// have other files or options. What cannot be used is left out and reported; a running capsule
// stays then as it is. The same fault is not tried again before something is different.
func (k *Keeper) Update(ctx context.Context) (Report, error) {
	list, err := k.cfg.Wanted(ctx)
	if err != nil {
		return Report{}, err
	}
	round, err := k.newRound(list)
	if err != nil {
		return Report{}, err
	}
	round.launchAll(ctx)
	round.apply(ctx)
	k.say(round.report.Refused, list.Broken)
	return round.report, nil
}

// say logs what cannot be used, each fault once as long as it lasts.
func (k *Keeper) say(refused, broken map[string]error) {
	faults := maps.Clone(refused)
	maps.Copy(faults, broken)
	for what, err := range faults {
		if k.said[what] != err.Error() {
			k.cfg.Log.Error("a change of capsules is not used; what ran before goes on", "what", what, "err", err)
		}
	}
	clear(k.said)
	for what, err := range faults {
		k.said[what] = err.Error()
	}
}

// round is one look at the disk on its way.
type round struct {
	keeper     *Keeper
	candidates []*candidate // to be launched
	removed    []string
	options    map[string]map[string]any // of running capsules
	report     Report
}

// candidate is a capsule that is to be launched.
type candidate struct {
	kept
	name string
	want Wanted
	key  string // what is not tried again
	err  error
}

// discard ends what was launched and removes its copy.
func (c *kept) discard() {
	if c.capsule != nil {
		_ = c.capsule.Close()
	}
	if c.copied != "" {
		_ = os.RemoveAll(c.copied)
	}
}

// newRound finds out what is different from what runs.
func (k *Keeper) newRound(list List) (*round, error) {
	r := &round{keeper: k, options: map[string]map[string]any{}, report: Report{Refused: map[string]error{}}}
	blocked, err := r.blocked(list.Capsules)
	if err != nil {
		return nil, err
	}
	for name, c := range k.running {
		there := slices.ContainsFunc(list.Capsules, func(w Wanted) bool { return w.Spec.Declaration.Name == name })
		if !there && !brokenFile(list.Broken, c.file) {
			r.removed = append(r.removed, name)
		}
	}
	slices.Sort(r.removed)
	for _, w := range list.Capsules {
		name := w.Spec.Declaration.Name
		if _, refused := r.report.Refused[name]; refused || blocked[name] && k.running[name] == nil {
			continue
		}
		r.compare(name, w)
	}
	return r, nil
}

// brokenFile says whether file, or a folder around it, is one that cannot be read now.
func brokenFile(broken map[string]error, file string) bool {
	for path := file; ; path = filepath.Dir(path) {
		if _, ok := broken[path]; ok {
			return true
		}
		if path == filepath.Dir(path) {
			return false
		}
	}
}

// blocked plans all that is wanted and gives the capsules without a place. Those with options
// that cannot be are refused and count as they run now.
func (r *round) blocked(list []Wanted) (map[string]bool, error) {
	var capsules []plan.Capsule
	for _, w := range list {
		d := w.Spec.Declaration
		values, err := d.Complete(w.Spec.Options)
		if err == nil {
			d, err = d.Resolve(values)
		}
		if err != nil {
			r.report.Refused[d.Name] = err
			continue
		}
		capsules = append(capsules, plan.Of(d))
	}
	p, err := plan.Make(capsules)
	if err != nil {
		return nil, err
	}
	blocked := map[string]bool{}
	for _, b := range p.Blocked {
		blocked[b.Capsule] = true
	}
	return blocked, nil
}

// compare holds one capsule on disk against the one that runs.
func (r *round) compare(name string, w Wanted) {
	k := r.keeper
	version, err := w.version()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.report.Waiting = append(r.report.Waiting, name)
		return
	case err != nil:
		r.report.Refused[name] = err
		return
	}
	now := k.running[name]
	key := version + optionsKey(w.Spec.Options)
	switch {
	case k.tried[name] == key:
		return
	case now == nil, now.version != version, now.capsule.Stats().State == pipeline.CapsuleBroken && !reflect.DeepEqual(now.options, w.Spec.Options):
		r.candidates = append(r.candidates, &candidate{name: name, want: w, key: key,
			kept: kept{file: w.File, version: version, options: w.Spec.Options}})
	case !reflect.DeepEqual(now.options, w.Spec.Options):
		r.options[name] = w.Spec.Options
	}
}

// launchAll starts the candidates side by side.
func (r *round) launchAll(ctx context.Context) {
	var launching sync.WaitGroup
	for _, c := range r.candidates {
		launching.Go(func() { c.launch(ctx, r.keeper) })
	}
	launching.Wait()
	ready := r.candidates[:0:0]
	for _, c := range r.candidates {
		switch {
		case errors.Is(c.err, errBeingWritten):
			r.report.Waiting = append(r.report.Waiting, c.name)
		case ctx.Err() != nil && c.err != nil: // not its fault
		default:
			ready = append(ready, c)
		}
	}
	r.candidates = ready
}

// apply makes the changes, all at one frame boundary where that can be, else one by one, so
// that one that is refused does not hold up the others.
func (r *round) apply(ctx context.Context) {
	r.candidates = slices.DeleteFunc(r.candidates, func(c *candidate) bool {
		if c.err != nil {
			r.refuse(c.name, c.key, c.err)
			c.discard()
		}
		return c.err != nil
	})
	whole := pipeline.Change{Remove: r.removed, Options: r.options, Drain: r.keeper.cfg.Drain}
	for _, c := range r.candidates {
		whole.Put = append(whole.Put, c.capsule)
	}
	n := len(whole.Put) + len(whole.Remove) + len(whole.Options)
	if n == 0 {
		return
	}
	err := r.change(ctx, whole, r.candidates)
	switch {
	case err == nil || ctx.Err() != nil:
	case n == 1:
		r.blame(err)
	default:
		r.oneByOne(ctx)
	}
	for _, c := range r.candidates {
		if r.keeper.running[c.name] != &c.kept {
			c.discard()
		}
	}
}

func (r *round) oneByOne(ctx context.Context) {
	drain := r.keeper.cfg.Drain
	for _, c := range r.candidates {
		if err := r.change(ctx, pipeline.Change{Put: []pipeline.Capsule{c.capsule}, Drain: drain}, []*candidate{c}); err != nil {
			r.refuse(c.name, c.key, err)
		}
	}
	for name, o := range r.options {
		if err := r.change(ctx, pipeline.Change{Options: map[string]map[string]any{name: o}, Drain: drain}, nil); err != nil {
			r.refuse(name, r.keeper.running[name].version+optionsKey(o), err)
		}
	}
	for _, name := range r.removed {
		if err := r.change(ctx, pipeline.Change{Remove: []string{name}, Drain: drain}, nil); err != nil {
			r.refuse(name, "", err)
		}
	}
}

// blame notes the refusal of the only thing that was to change.
func (r *round) blame(err error) {
	for _, c := range r.candidates {
		r.refuse(c.name, c.key, err)
	}
	for name, o := range r.options {
		r.refuse(name, r.keeper.running[name].version+optionsKey(o), err)
	}
	for _, name := range r.removed {
		r.refuse(name, "", err)
	}
}

func (r *round) refuse(name, key string, err error) {
	r.report.Refused[name] = err
	if core.KindOf(err) != core.Cancelled {
		r.keeper.tried[name] = key
	}
}

// change has the engine make one change and takes leave of the capsules that left.
func (r *round) change(ctx context.Context, c pipeline.Change, put []*candidate) error {
	k := r.keeper
	done, err := k.cfg.Engine.Change(ctx, c)
	if err != nil {
		return err
	}
	old := maps.Clone(k.running)
	for _, name := range c.Remove {
		delete(k.running, name)
		delete(k.tried, name)
	}
	for _, p := range put {
		k.running[p.name] = &p.kept
		delete(k.tried, p.name)
	}
	for name, o := range c.Options {
		k.running[name].options = o
		delete(k.tried, name)
	}
	for _, was := range old {
		if slices.Contains(done.Left, pipeline.Capsule(was.capsule)) {
			was.discard()
		}
	}
	r.report.add(done)
	return nil
}

// add joins what several changes came to.
func (r *Report) add(c *pipeline.Changed) {
	r.Added, r.Replaced = append(r.Added, c.Added...), append(r.Replaced, c.Replaced...)
	r.Removed, r.Configured = append(r.Removed, c.Removed...), append(r.Configured, c.Configured...)
	r.Streams = append(r.Streams, c.Streams...)
}
