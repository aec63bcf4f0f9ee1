// Package catalog finds the manifests of capsules on disk and reads them, without running
// anything.
package catalog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/capstan-video/capstan/sdk/manifest"
)

// Entry is one capsule of the catalogue.
type Entry struct {
	Declaration core.Declaration // options not put in
	Dir         string           // the folder of its manifest
	File        string           // the manifest, or the list that it stands in
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
func Load(paths ...string) ([]Entry, error) {
	l := loader{seen: map[string]bool{}, byName: map[string]Entry{}}
	for _, p := range paths {
		if err := l.load(p); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(l.entries, func(a, b Entry) int { return strings.Compare(a.Declaration.Name, b.Declaration.Name) })
	return l.entries, nil
}

type loader struct {
	seen    map[string]bool // folders and files, by real path
	byName  map[string]Entry
	entries []Entry
	files   int // looked at in folders
}

func (l *loader) load(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		f := fault(path, err)
		f.Hint = "name a folder with capsules, or a YAML file with manifests"
		return f
	}
	if info.IsDir() {
		return l.search(path, 0)
	}
	return l.read(path, manifest.DecodeList)
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

func (l *loader) search(dir string, depth int) error {
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
	for _, e := range list {
		if err := l.visit(filepath.Join(dir, e.Name()), e, depth); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) visit(path string, e fs.DirEntry, depth int) error {
	folder := e.IsDir()
	if e.Type()&fs.ModeSymlink != 0 {
		info, err := os.Stat(path)
		folder = err == nil && info.IsDir()
	}
	switch {
	case folder && strings.HasPrefix(e.Name(), "."):
		return nil
	case folder:
		return l.search(path, depth+1)
	case e.Name() == manifest.FileName:
		return l.read(path, one)
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
