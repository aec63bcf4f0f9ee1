package hotload

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/fsnotify/fsnotify"
)

// maxPause bounds how long writing without an end puts off a look at the disk, in Quiets.
const maxPause = 20

// maxFolders bounds the folders that are watched, so that a wrong folder (a home, a root) ends
// in a sentence.
const maxFolders = 2000

// Watch looks at the disk whenever something was written below paths, folders or files, and
// nothing more was for a while. It returns nil when ctx ends, else why it cannot watch; a look
// that fails is logged and nothing else. A path that is removed may come back.
func (k *Keeper) Watch(ctx context.Context, paths ...string) error {
	w, err := newWatcher(paths)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var pumping sync.WaitGroup
	defer pumping.Wait()
	defer w.notify.Close() // ends the pump
	defer cancel()
	kick := make(chan struct{}, 1)
	kick <- struct{}{} // for what was written between Start and here
	failed := make(chan error, 1)
	pumping.Go(func() { failed <- w.pump(kick) })
	for {
		select {
		case <-kick:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
		if !settle(ctx, kick, k.cfg.Quiet) {
			return nil
		}
		k.look(ctx, kick)
	}
}

// settle waits until there was no kick for quiet. It is false when ctx ended.
func settle(ctx context.Context, kick <-chan struct{}, quiet time.Duration) bool {
	last := time.NewTimer(maxPause * quiet)
	defer last.Stop()
	for {
		pause := time.NewTimer(quiet)
		select {
		case <-kick:
			pause.Stop()
			continue
		case <-pause.C:
			return true
		case <-last.C:
			pause.Stop()
			return true
		case <-ctx.Done():
			pause.Stop()
			return false
		}
	}
}

// look is one Update. Where files are still being written it asks for another.
func (k *Keeper) look(ctx context.Context, kick chan<- struct{}) {
	report, err := k.Update(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		k.cfg.Log.Error("capsules cannot be looked at; what runs goes on", "err", err)
	}
	if len(report.Waiting) > 0 {
		again(kick)
	}
	if k.cfg.Seen != nil {
		k.cfg.Seen(report, err)
	}
}

func again(kick chan<- struct{}) {
	select {
	case kick <- struct{}{}:
	default:
	}
}

// watcher watches folders with all that is below them, and the folders around files.
type watcher struct {
	notify *fsnotify.Watcher
	roots  []string // absolute, and where they lead to
}

func newWatcher(paths []string) (*watcher, error) {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, watchFault("", err)
	}
	w := &watcher{notify: n}
	for _, p := range paths {
		if err := w.add(p); err != nil {
			n.Close()
			return nil, err
		}
	}
	return w, nil
}

func watchFault(path string, err error) error {
	f := core.Faultf(core.Exhausted, "watch", path, "%w", err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) {
		f.Hint = "raise fs.inotify.max_user_watches and max_user_instances, or name smaller folders"
	}
	return f
}

// add watches path and the folder around it, where path may be replaced by another.
func (w *watcher) add(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return watchFault(path, err)
	}
	w.roots = append(w.roots, path)
	if err := w.notify.Add(filepath.Dir(path)); err != nil {
		return watchFault(filepath.Dir(path), err)
	}
	return w.follow(path)
}

// follow watches where path leads to, once.
func (w *watcher) follow(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil // it leads nowhere yet
	}
	if real != path {
		if slices.Contains(w.roots, real) {
			return nil
		}
		w.roots = append(w.roots, real)
	}
	return w.descend(real)
}

// descend watches path, if it is a folder, and all folders below it, by links too.
func (w *watcher) descend(path string) error {
	return filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone again
		}
		switch {
		case err != nil:
			return nil // what cannot be read is said by whoever reads it
		case d.Type()&fs.ModeSymlink != 0 && !ignored(d.Name()):
			return w.follow(path)
		case !d.IsDir():
			return nil
		case ignored(d.Name()):
			return fs.SkipDir
		}
		if len(w.notify.WatchList()) > maxFolders {
			f := core.Faultf(core.Invalid, "watch", path, "more than %d folders", maxFolders)
			f.Hint = "name folders that hold capsules only"
			return f
		}
		if err := w.notify.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return watchFault(path, err)
		}
		return nil
	})
}

// pump turns events into kicks until the watcher is closed. It never waits for anybody, so that
// no event is lost.
func (w *watcher) pump(kick chan<- struct{}) error {
	for {
		select {
		case e, ok := <-w.notify.Events:
			if !ok {
				return nil
			}
			if !w.matters(e.Name) {
				continue
			}
			if e.Has(fsnotify.Create) {
				if err := w.follow(e.Name); err != nil {
					return err
				}
			}
			again(kick)
		case err, ok := <-w.notify.Errors:
			if !ok {
				return nil
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return watchFault("", err)
			}
			again(kick)
		}
	}
}

// matters says whether path is one of the roots or below one, and not one of the files that are
// nothing of a capsule.
func (w *watcher) matters(path string) bool {
	for _, root := range w.roots {
		if path == root {
			return true
		}
		if rel, ok := strings.CutPrefix(path, root+string(filepath.Separator)); ok {
			for part := range strings.SplitSeq(rel, string(filepath.Separator)) {
				if ignored(part) {
					return false
				}
			}
			return true
		}
	}
	return false
}
