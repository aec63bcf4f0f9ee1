// Package catalog finds capsules on disk, folders with manifests and packages, and reads them
// without running anything.
package catalog

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/pack"
)

// Entry is one capsule of the catalogue.
type Entry struct {
	Declaration core.Declaration // options not put in
	Dir         string           // the folder of its manifest
	File        string           // the manifest, the list that it stands in, or the package
	Package     *Packaged        // nil: it is a folder
	Platforms   []string         // that it has programs for; nil: any
}

// Program gives the path of the capsule's program.
func (e Entry) Program() string {
	return filepath.Join(e.Dir, filepath.FromSlash(e.Declaration.Entry))
}

// The bounds of a search, so that a wrong folder (a home, a root) ends in a sentence.
const (
	maxDepth = 16
	maxFiles = 100_000
)

// Load reads every path, a folder that is searched at every depth for capsule.yaml or a YAML
// file with a list of manifests (or with one), and gives the entries sorted by name. Hidden
// folders are not searched; links are followed, each folder and file counts once. A path that
// is not there, a broken manifest and a name that stands twice are faults; the last names both
// files.
//
// A package, FILE.cap, is read too, where it is named or found; one that lies within a capsule's
// own folder is not, unless it is named. It is checked and unpacked into the cache.
func Load(paths ...string) ([]Entry, error) { return Loader{}.Load(context.Background(), paths...) }

// Loader is how a catalogue is read. The zero value is good.
type Loader struct {
	Key   pack.Key    // asked, once, for the passphrase of encrypted packages; nil: pack.EnvKey
	Cache *pack.Cache // where packages are unpacked; nil: pack.DefaultCache
	Peek  bool        // packages are read and not unpacked: their entries have no Dir
	// Broken is told of what cannot be read, which is then left out; nil: the first is the end.
	Broken func(path string, err error)
	// Progress is told how far a package is unpacked; nil: nobody is.
	Progress func(name string, done, total int64)
}

// Load is the function of that name, with these settings.
func (o Loader) Load(ctx context.Context, paths ...string) ([]Entry, error) {
	if o.Key == nil {
		o.Key = pack.EnvKey
	}
	o.Key = pack.Once(o.Key)
	l := loader{Loader: o, ctx: ctx, seen: map[string]bool{}, byName: map[string]Entry{}}
	for _, p := range paths {
		if err := l.excuse(p, l.load(p)); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(l.entries, func(a, b Entry) int { return strings.Compare(a.Declaration.Name, b.Declaration.Name) })
	return l.entries, nil
}

type loader struct {
	Loader
	ctx     context.Context
	seen    map[string]bool // folders and files, by real path
	byName  map[string]Entry
	entries []Entry
	files   int // looked at in folders
}

func (l *loader) load(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		f := fault(path, err)
		f.Hint = "name a folder with capsules, a package, or a YAML file with manifests"
		return f
	}
	switch {
	case info.IsDir():
		return l.search(path, 0, false)
	case filepath.Ext(path) == pack.Extension:
		return l.unpack(path)
	}
	return l.read(path, manifest.DecodeList)
}

// excuse gives err, unless somebody else is told of it.
func (l *loader) excuse(path string, err error) error {
	if err == nil || l.Broken == nil || l.ctx.Err() != nil {
		return err
	}
	l.Broken(path, err)
	return nil
}

// fault is err without the path, which the fault names itself.
func fault(path string, err error) *core.Fault {
	f := &core.Fault{Op: "catalog", Kind: core.NotFound, On: path, Err: err}
	if errors.Is(err, fs.ErrPermission) {
		f.Kind = core.Denied
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		f.Err = p.Err
	}
	return f
}

// once says whether this is the first time that path is met, by whatever links.
func (l *loader) once(path string) (bool, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return false, fault(path, err)
	}
	first := !l.seen[real]
	l.seen[real] = true
	return first, nil
}

// search looks through a folder; inside says that a capsule's own folder is around it.
func (l *loader) search(dir string, depth int, inside bool) error {
	if first, err := l.once(dir); err != nil || !first {
		return err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return fault(dir, err)
	}
	if l.files += len(list); l.files > maxFiles || depth > maxDepth {
		f := core.Faultf(core.Invalid, "catalog", dir, "more than %d files, or %d levels, were searched", maxFiles, maxDepth)
		f.Hint = "name a folder that holds capsules only"
		return f
	}
	inside = inside || slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == manifest.FileName })
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		if err := l.excuse(path, l.visit(path, e, depth, inside)); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) visit(path string, e fs.DirEntry, depth int, inside bool) error {
	folder := e.IsDir()
	if e.Type()&fs.ModeSymlink != 0 {
		info, err := os.Stat(path)
		folder = err == nil && info.IsDir()
	}
	switch {
	case folder && strings.HasPrefix(e.Name(), "."):
		return nil
	case folder:
		return l.search(path, depth+1, inside)
	case e.Name() == manifest.FileName:
		return l.read(path, one)
	case filepath.Ext(path) == pack.Extension && !inside && !strings.HasPrefix(e.Name(), "."):
		return l.unpack(path)
	default:
		return nil
	}
}

// one is the decoder of a capsule.yaml that was found: it declares one capsule.
func one(file string, data []byte) ([]core.Declaration, error) {
	d, err := manifest.Decode(file, data)
	return []core.Declaration{d}, err
}

func (l *loader) read(file string, decode func(string, []byte) ([]core.Declaration, error)) error {
	if first, err := l.once(file); err != nil || !first {
		return err
	}
	data, err := manifest.ReadFile(file)
	if err != nil {
		return err
	}
	list, err := decode(file, data)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := l.add(Entry{Declaration: d, Dir: filepath.Dir(file), File: file}); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) add(e Entry) error {
	name := e.Declaration.Name
	first, twice := l.byName[name]
	switch {
	case twice && first.File == e.File:
		return core.Faultf(core.Exists, "catalog", name, "%s has two capsules of this name", e.File)
	case twice:
		f := core.Faultf(core.Exists, "catalog", name, "two capsules have this name: %s and %s", first.File, e.File)
		f.Hint = "rename one, or leave one folder out"
		return f
	}
	l.byName[name] = e
	l.entries = append(l.entries, e)
	return nil
}

// Find gives the entry of a name.
func Find(entries []Entry, name string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(entries, name, func(e Entry, n string) int { return strings.Compare(e.Declaration.Name, n) })
	if !ok {
		return Entry{}, false
	}
	return entries[i], true
}

// Names lists the capsules of the catalogue.
func Names(entries []Entry) []string {
	n := make([]string, 0, len(entries))
	for _, e := range entries {
		n = append(n, e.Declaration.Name)
	}
	return n
}

// Planned gives the planner's view of an entry with the given settings, defaults filled in.
// Descriptions may follow from options.
func Planned(e Entry, settings map[string]any) (plan.Capsule, error) {
	values, err := e.Declaration.Complete(settings)
	if err != nil {
		return plan.Capsule{}, err
	}
	d, err := e.Declaration.Resolve(values)
	if err != nil {
		return plan.Capsule{}, core.Faultf(core.Invalid, "", e.File, "%w", err)
	}
	return plan.Of(d), nil
}
