package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/capstan-video/capstan/server/store"
)

// Uploads is how capsules come over HTTP: as packages, NAME.cap.
type Uploads struct {
	// Folder keeps the packages, so that their capsules run again after a restart.
	Folder string
	// Launch starts the capsule of a package, confined as every other one. What it unpacks into the
	// package's folder goes with it. nil: capsules do not come over HTTP.
	Launch func(ctx context.Context, file string, options map[string]any) (Launched, error)

	Key    pack.Key   // for packages that are encrypted; nil: pack.EnvKey
	Signed bool       // packages must be signed by a key of Trust
	Trust  pack.Trust // keys that are believed
}

// Launched is a capsule that runs; Close ends it, and is safe to call twice.
type Launched interface {
	pipeline.Capsule
	Close() error
}

const (
	maxLoaded = 64 // capsules that came over HTTP
	// launchedAtOnce bounds how many of them a start launches side by side.
	launchedAtOnce = 4
)

// loaded are the capsules that came over HTTP, by name.
type loaded struct {
	// turn has a place for whoever loads or unloads one. It is taken before Service.change.
	turn chan struct{}

	mu   sync.Mutex
	list map[string]kept
	runs map[string]Launched // those that could be launched
}

// take waits for the turn.
func (l *loaded) take(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return core.Faultf(core.Cancelled, "", "capsule", "another one is being loaded or unloaded: %w", context.Cause(ctx))
	}
}

func (l *loaded) give() { <-l.turn }

func (l *loaded) of(name string) (kept, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.list[name]
	return k, ok
}

// all gives a copy of the list.
func (l *loaded) all() map[string]kept {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]kept{}
	maps.Copy(out, l.list)
	return out
}

// set puts a capsule in and gives the one that ran; nil takes it out.
func (l *loaded) set(name string, k kept, c Launched) (before Launched) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before = l.runs[name]
	if c == nil {
		delete(l.list, name)
		delete(l.runs, name)
	} else {
		l.list[name], l.runs[name] = k, c
	}
	return before
}

func (l *loaded) close() error {
	l.mu.Lock()
	runs := l.runs
	l.runs = map[string]Launched{}
	l.mu.Unlock()
	var err error
	for _, c := range runs {
		err = errors.Join(err, c.Close())
	}
	return err
}

func (s *Service) packages() packages { return packages{s.cfg.Uploads.Folder} }

// resumeLoaded launches the capsules that came over HTTP before. One that does not start is said,
// and stays on the disk. The caller is New.
func (s *Service) resumeLoaded(ctx context.Context) error {
	s.loaded.list, s.loaded.runs, s.loaded.turn = map[string]kept{}, map[string]Launched{}, make(chan struct{}, 1)
	if s.cfg.Uploads.Launch == nil {
		return nil
	}
	list, err := s.packages().read()
	if err != nil {
		return err
	}
	s.packages().sweep(list)
	v, err := s.settings(ctx, "")
	if err != nil {
		return err
	}
	s.loaded.list = list
	var work sync.WaitGroup
	room := make(chan struct{}, launchedAtOnce)
	for name, k := range s.loaded.all() {
		work.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			d, err := s.resumeOne(ctx, name, k, v)
			if err == nil || ctx.Err() != nil {
				return
			}
			s.log.Error("a capsule that was loaded over HTTP does not run", "capsule", name, "err", err, "hint", "load it anew, or unload it")
			if d.Name != "" {
				_ = s.cfg.Engine.Add(pipeline.NewAbsent(d, err)) // Exists: one that came with the server is called so
			}
		})
	}
	work.Wait()
	return ctx.Err()
}

// resumeOne gives the declaration where it is known.
func (s *Service) resumeOne(ctx context.Context, name string, k kept, v settings) (core.Declaration, error) {
	p, err := s.inspect(ctx, s.packages().file(k), false)
	if err != nil {
		return core.Declaration{}, err
	}
	if p.Manifest.Name != name || p.Digest.String() != k.Digest {
		return core.Declaration{}, invalid("capsule", "the package is another one than was loaded")
	}
	d := p.Manifest.Declaration
	c, err := s.launch(ctx, s.packages().file(k), d, v)
	if err != nil {
		return d, err
	}
	if now, e := s.capsule(name); e == nil && broken(now) { // one that came with the server, and does not run
		_, err = s.cfg.Engine.Change(ctx, pipeline.Change{Put: []pipeline.Capsule{c}})
	} else {
		err = s.cfg.Engine.Add(c)
	}
	if err != nil {
		return d, errors.Join(err, c.Close())
	}
	s.loaded.set(name, k, c)
	return d, nil
}

// inspect reads a package, with whole every file in it, and holds it against what is asked of
// packages. Whoever launches it reads every file too.
func (s *Service) inspect(ctx context.Context, file string, whole bool) (*pack.Package, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, diskFault(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, diskFault(err)
	}
	p, err := pack.Read(f, info.Size(), "package", s.cfg.Uploads.Key)
	if err != nil {
		return nil, err
	}
	if whole {
		if err := p.Verify(ctx, nil); err != nil {
			return nil, err
		}
	}
	if _, ok := s.cfg.Uploads.Trust.Signer(p.Signatures); s.cfg.Uploads.Signed && !ok {
		fault := invalid("capsule", "the package of %s is signed by none of the %d keys that this server trusts", p.Manifest.Name, len(s.cfg.Uploads.Trust))
		fault.Hint = "sign it by capstan capsule sign, or have the administrator trust its key"
		return nil, fault
	}
	return p, nil
}

// launch starts a capsule with what was set for it, or as it comes when it does not take that.
func (s *Service) launch(ctx context.Context, file string, d core.Declaration, v settings) (Launched, error) {
	own := v[d.Name][0].Options
	if _, err := d.Complete(own); err != nil {
		s.log.Warn("a capsule does not take what was set for it; it runs as it comes", "capsule", d.Name, "err", err)
		own = nil
	}
	return s.cfg.Uploads.Launch(ctx, file, own)
}

// LoadCapsule takes a capsule's package from a blob, keeps it, runs it, and has it take part in
// the streams that are analysed. It takes the place of the one of its name that came over HTTP
// before, which runs on when this fails. Running the code of others takes an administrator.
func (s *Service) LoadCapsule(ctx context.Context, c Caller, blob core.BlobID, name string) (CapsuleInfo, error) {
	if err := may(c, core.Admin); err != nil {
		return CapsuleInfo{}, err
	}
	if s.cfg.Uploads.Launch == nil {
		return CapsuleInfo{}, unsupported("capsule", "this server takes no capsules over HTTP; put it into a folder of --capsules and start again")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	if err := s.loaded.take(ctx); err != nil {
		return CapsuleInfo{}, err
	}
	defer s.loaded.give()
	_, content, err := s.Blob(ctx, c, blob)
	if err != nil {
		return CapsuleInfo{}, err
	}
	defer content.Close()
	k := kept{Blob: blob, Loaded: s.cfg.Now().UTC(), By: c.Name}
	if k.Folder, err = s.packages().put(ctx, content); err != nil {
		return CapsuleInfo{}, err
	}
	next, err := s.launchNew(ctx, &k, name)
	if err == nil {
		if err = s.putIn(ctx, c, k, next); err != nil {
			err = errors.Join(err, next.Close())
		}
	}
	if err != nil {
		s.packages().remove(k.Folder)
		s.log.Warn("a capsule was not loaded; everything is as it was", "blob", blob, "err", err)
		return CapsuleInfo{}, ofCapsule(err)
	}
	return s.Capsule(ctx, c, next.Declaration().Name)
}

// launchNew checks the package of k and starts its capsule, which nobody uses yet.
func (s *Service) launchNew(ctx context.Context, k *kept, name string) (Launched, error) {
	file := s.packages().file(*k)
	p, err := s.inspect(ctx, file, true)
	if err != nil {
		return nil, err
	}
	d := p.Manifest.Declaration
	_, ours := s.loaded.of(d.Name)
	here, err := s.capsule(d.Name)
	switch {
	case name != "" && name != d.Name:
		return nil, invalid("capsule", "the package is of the capsule %s, not of %.100q: the name stands in its manifest", d.Name, name)
	case err == nil && !ours && !broken(here):
		fault := invalid("capsule", "%s came with the server, and is not replaced over HTTP", d.Name)
		fault.Hint = "give yours another name, and switch this one off"
		return nil, fault
	case !ours && len(s.loaded.all()) >= maxLoaded:
		return nil, core.Faultf(core.Exhausted, "", "capsule", "%d capsules are loaded, and no more can be; unload one", maxLoaded)
	}
	v, err := s.settings(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	k.Digest = p.Digest.String()
	return s.launch(ctx, file, d, v)
}

// putIn has a new capsule take part, and writes it down. When it fails everything is as it was.
func (s *Service) putIn(ctx context.Context, c Caller, k kept, next Launched) error {
	name := next.Declaration().Name
	s.change.Lock()
	defer s.change.Unlock()
	if !s.Ready() {
		return core.Faultf(core.Closed, "", "capsule", "the server is stopping")
	}
	change, err := s.changeTo(ctx, next)
	if err != nil {
		return err
	}
	if err := s.changeChain(ctx, change); err != nil {
		return err
	}
	list := s.loaded.all()
	old, replaces := list[name]
	list[name] = k
	err = s.update(ctx, c, "load capsule", func(store.Tx) (string, error) {
		return fmt.Sprintf("%s %s, package %s", name, next.Declaration().Version, k.Digest), s.packages().write(list)
	})
	if err != nil {
		return errors.Join(err, s.putBack(context.WithoutCancel(ctx), name))
	}
	if before := s.loaded.set(name, k, next); before != nil {
		err = before.Close()
	}
	if replaces {
		s.packages().remove(old.Folder)
	}
	s.log.Info("capsule loaded", "capsule", name, "version", next.Declaration().Version, "by", c.Name, "replaces", replaces)
	if again := s.recogniseAnew(ctx, 0); errors.Join(err, again) != nil { // it runs all the same
		s.log.Warn("a capsule was loaded, and not all is well", "capsule", name, "err", errors.Join(err, again))
	}
	return nil
}

// changeTo is the change by which a new capsule takes part in every stream where it is switched
// on, with what is set there.
func (s *Service) changeTo(ctx context.Context, next pipeline.Capsule) (pipeline.Change, error) {
	change := pipeline.Change{Put: []pipeline.Capsule{next}, IfOpen: true, Active: map[core.StreamID][]string{},
		Streams: map[core.StreamID]map[string]map[string]any{}}
	v, err := s.settings(ctx, "")
	name := next.Declaration().Name
	all := slices.DeleteFunc(s.cfg.Engine.Capsules(), func(c pipeline.Capsule) bool { return c.Declaration().Name == name })
	for _, r := range s.running(0) {
		job := s.jobWith(v, r.number, append(all, next))
		change.Active[streamID(r.number)] = job.Active
		change.Streams[streamID(r.number)] = map[string]map[string]any{name: job.Options[name]}
	}
	return change, err
}

// changeChain makes a change of which capsules there are. Streams that open meanwhile have it, or
// open anew.
func (s *Service) changeChain(ctx context.Context, change pipeline.Change) error {
	s.chain.Lock()
	defer s.chain.Unlock()
	s.generation.Add(1)
	_, err := s.cfg.Engine.Change(ctx, change)
	return err
}

// putBack takes a change back that could not be written down: the list on the disk, and the
// capsule that was there before.
func (s *Service) putBack(ctx context.Context, name string) error {
	err := s.packages().write(s.loaded.all())
	s.loaded.mu.Lock()
	before := s.loaded.runs[name]
	s.loaded.mu.Unlock()
	change := pipeline.Change{Remove: []string{name}}
	if before != nil {
		again, e := s.changeTo(ctx, before)
		if e != nil {
			return errors.Join(err, e)
		}
		change = again
	}
	return errors.Join(err, s.changeChain(ctx, change))
}

// UnloadCapsule takes a capsule that came over HTTP out of all streams and off the disk. One that
// came with the server is NotFound on "capsule": it is not among those that can be unloaded.
func (s *Service) UnloadCapsule(ctx context.Context, c Caller, name string) error {
	if err := may(c, core.Admin); err != nil {
		return err
	}
	if err := s.loaded.take(ctx); err != nil {
		return err
	}
	defer s.loaded.give()
	s.change.Lock()
	defer s.change.Unlock()
	k, ok := s.loaded.of(name)
	if !ok {
		if _, err := s.capsule(name); err != nil {
			return err
		}
		f := core.Faultf(core.NotFound, "", "capsule", "%s did not come over HTTP: it came with the server, and cannot be unloaded", name)
		f.Hint = "switch it off instead"
		return f
	}
	list := s.loaded.all()
	delete(list, name)
	err := s.update(ctx, c, "unload capsule", func(store.Tx) (string, error) { return name, s.packages().write(list) })
	if err == nil {
		err = s.takeOut(ctx, name)
	}
	if err != nil {
		return errors.Join(err, s.packages().write(s.loaded.all()))
	}
	if before := s.loaded.set(name, k, nil); before != nil {
		err = before.Close()
	}
	s.packages().remove(k.Folder)
	s.forgetUpload(ctx, c, k)
	return errors.Join(err, s.recogniseAnew(ctx, 0))
}

// takeOut removes a capsule from the engine, where it is there.
func (s *Service) takeOut(ctx context.Context, name string) error {
	if _, err := s.capsule(name); err != nil {
		return nil
	}
	return s.changeChain(ctx, pipeline.Change{Remove: []string{name}})
}

// forgetUpload deletes the file that a capsule came as, unless that was done before.
func (s *Service) forgetUpload(ctx context.Context, c Caller, k kept) {
	if err := s.DeleteBlob(ctx, c, k.Blob); err != nil && core.KindOf(err) != core.NotFound {
		s.log.Warn("the file that a capsule came as is left behind", "blob", k.Blob, "err", err)
	}
}

// ofCapsule says of what went wrong with a package that it is the capsule's fault, where it is:
// Invalid on "capsule", or CapsuleVersion for one that is made for another system.
func ofCapsule(err error) error {
	var f *core.Fault
	if !errors.As(err, &f) {
		return err
	}
	kind := f.Kind
	switch {
	case kind == core.CapsuleVersion, kind == core.Unsupported:
		kind = core.CapsuleVersion
	case kind == core.Denied, kind == core.Invalid, f.Kind.Blame() == "capsule":
		kind = core.Invalid
	default:
		return err
	}
	return &core.Fault{Kind: kind, On: "capsule", Err: errors.New(err.Error()), Hint: ""}
}
