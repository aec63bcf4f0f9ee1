package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/hotload"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"
)

// watchFlags say what is followed while the stream runs.
type watchFlags struct {
	watch       bool
	optionsFile string
}

func (f *watchFlags) add(fl *pflag.FlagSet) {
	fl.BoolVar(&f.watch, "watch", false, "follow the capsules' folders, and the options file: what is added, replaced or removed there takes part at once")
	fl.StringVar(&f.optionsFile, "options-file", "", "set options of capsules from `FILE.yaml`; --option goes before it")
}

// givenOptions gives the options of the file and of the command line, by capsule.
func (f *runFlags) givenOptions(entries []catalog.Entry) (map[string]map[string]any, error) {
	options := map[string]map[string]any{}
	if f.optionsFile != "" {
		read, err := hotload.ReadOptions(f.optionsFile)
		if err != nil {
			return nil, usageError{err}
		}
		for name := range read {
			if err := used("--options-file", name, catalog.Names(entries)); err != nil {
				return nil, err
			}
		}
		maps.Copy(options, read)
	}
	given, err := parseOptions(entries, f.options)
	if err != nil {
		return nil, err
	}
	for name, byOption := range given {
		options[name] = over(options[name], byOption)
	}
	return options, nil
}

// over gives the settings of base with those of top over them.
func over(base, top map[string]any) map[string]any {
	all := maps.Clone(base)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, top)
	return all
}

// pick gives the capsules that the flags ask for. named options bring capsules in that are on
// demand.
func pick(entries []catalog.Entry, f runFlags, options map[string]map[string]any) []chosen {
	var in, out map[string]bool // what a gallery brings in, and what it stands in for
	if f.gallery != "" && len(f.only) == 0 {
		in, out = galleryChain(entries)
	}
	var list []chosen
	for _, e := range entries {
		name := e.Declaration.Name
		named := options[name] != nil
		if in[name] {
			e.Declaration.OnDemand = false
		}
		if wanted(e, f, named) && (named || !out[name]) {
			list = append(list, chosen{entry: e, values: options[name]})
		}
	}
	return list
}

// folders gives where capsules are looked for.
func (f *runFlags) folders() []string {
	if len(f.capsules) > 0 {
		return f.capsules
	}
	return capsuleFolders()
}

// wantedNow reads the disk for a keeper: what chooseCapsules gives, without its plan. What
// cannot be read, or has an option that it does not take, is told as broken.
func (f runFlags) wantedNow(ctx context.Context) (hotload.List, error) {
	list := hotload.List{Broken: map[string]error{}}
	loader := catalog.Loader{Key: pack.EnvKey, Broken: func(path string, err error) {
		if abs, e := filepath.Abs(path); e == nil {
			path = abs
		}
		list.Broken[path] = err
	}}
	entries, err := loader.Load(ctx, f.folders()...)
	if err != nil {
		return list, err
	}
	options := map[string]map[string]any{}
	if f.optionsFile != "" {
		if options, err = hotload.ReadOptions(f.optionsFile); err != nil {
			return list, err
		}
	}
	wrong := map[string]error{}
	for _, e := range entries {
		name := e.Declaration.Name
		mine := slices.DeleteFunc(slices.Clone(f.options), func(text string) bool { return !strings.HasPrefix(text, name+".") })
		given, err := parseOptions(entries, mine)
		if wrong[name] = err; err == nil && given[name] != nil {
			options[name] = over(options[name], given[name])
		}
	}
	for _, c := range pick(entries, f, options) {
		w, err := wantedOf(c)
		if err == nil {
			err = wrong[c.entry.Declaration.Name]
		}
		if err == nil && f.signed {
			err = requireSigned([]chosen{c})
		}
		if err != nil {
			list.Broken[w.File] = err
			continue
		}
		list.Capsules = append(list.Capsules, w)
	}
	return list, nil
}

// wantedOf says how a keeper launches a capsule.
func wantedOf(c chosen) (hotload.Wanted, error) {
	w := hotload.Wanted{File: c.entry.File}
	if abs, err := filepath.Abs(w.File); err == nil {
		w.File = abs
	}
	spec, err := specOf(c.entry, c.values)
	if err != nil {
		return w, err
	}
	w.Spec = spec
	switch {
	case c.entry.Package != nil:
		w.Digest = c.entry.Package.Digest.String()
	case filepath.Base(c.entry.File) == manifest.FileName:
		w.Dir = c.entry.Dir
	}
	return w, nil
}

// watched is a run that follows its capsules' folders.
type watched struct {
	keeper *hotload.Keeper
	paths  []string
	cancel context.CancelFunc
	done   sync.WaitGroup
	log    hclog.Logger
}

// startWatched launches the capsules by a keeper, which follows them from follow on.
func startWatched(ctx context.Context, f runFlags, h *host.Host, e *pipeline.Engine, log hclog.Logger) (*watched, error) {
	report := io.Writer(os.Stderr)
	if f.quiet {
		report = io.Discard
	}
	w := &watched{paths: f.folders(), log: log.Named("watch")}
	if f.optionsFile != "" {
		w.paths = append(slices.Clone(w.paths), f.optionsFile)
	}
	k, err := hotload.New(hotload.Config{
		Engine: e, Log: w.log, Wanted: f.wantedNow,
		Launch: func(ctx context.Context, s host.Spec) (hotload.Capsule, error) { return h.Launch(ctx, s) },
		Seen:   func(r hotload.Report, err error) { sayChange(report, r, err) },
	})
	if err != nil {
		return nil, err
	}
	w.keeper = k
	if err := k.Start(ctx); err != nil {
		return nil, joined(err, k.Close())
	}
	return w, nil
}

func joined(err, more error) error {
	if more != nil {
		return fmt.Errorf("%w; %w", err, more)
	}
	return err
}

// follow watches until stop.
func (w *watched) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.done.Go(func() {
		if err := w.keeper.Watch(ctx, w.paths...); err != nil {
			w.log.Error("the capsules' folders are not watched any more", "err", err)
		}
	})
}

// stop ends the watching and waits for a change that is under way.
func (w *watched) stop() {
	if w.cancel != nil {
		w.cancel()
	}
	w.done.Wait()
}

// sayChange shows a person what a look at the disk came to. What was refused is in the log.
func sayChange(to io.Writer, r hotload.Report, err error) {
	if err != nil {
		fmt.Fprintf(to, "watch: nothing is changed: %v\n", err)
	}
	for _, what := range []struct {
		verb  string
		names []string
	}{{"added", r.Added}, {"replaced", r.Replaced}, {"removed", r.Removed}, {"other options:", r.Configured}} {
		if len(what.names) > 0 {
			fmt.Fprintf(to, "watch: %s %s\n", what.verb, strings.Join(what.names, ", "))
		}
	}
	for _, s := range r.Streams {
		for _, line := range s.Plan {
			fmt.Fprintf(to, "watch: plan: %s\n", line)
		}
	}
}
