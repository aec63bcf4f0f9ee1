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
	maxFolderDepth = 12
	maxFiles       = 100_000
)

// Load reads every path, a folder that is searched for capsule.yaml or a YAML file with a list
// of manifests (or with one), and gives the entries sorted by name. A folder inside a capsule's
// folder is not searched, nor are hidden ones; links to folders are not followed below a path.
// The same file by two paths counts once. A path that is not there, a broken manifest and a
// name that stands twice are faults; the last names both files.
func Load(paths ...string) ([]Entry, error) {
	l := loader{files: map[string]bool{}, byName: map[string]Entry{}}
	for _, p := range paths {
		if err := l.load(p); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(l.entries, func(a, b Entry) int { return strings.Compare(a.Declaration.Name, b.Declaration.Name) })
	return l.entries, nil
}

type loader struct {
	files   map[string]bool // read, by real path
	byName  map[string]Entry
	entries []Entry
	seen    int
}

func (l *loader) load(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return &core.Fault{Op: "catalog", Kind: core.NotFound, On: path, Err: reason(err), Hint: "name a folder with capsules, or a YAML file with manifests"}
	}
	if !info.IsDir() {
		return l.read(path)
	}
	real, err := filepath.EvalSymlinks(path) // WalkDir does not enter a link
	if err != nil {
		return core.Faultf(core.NotFound, "catalog", path, "%w", reason(err))
	}
	return l.search(path, real)
}

// reason is err without the path, which the fault names already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// search reads the manifest of every capsule folder below dir, whose real path is root.
func (l *loader) search(dir, root string) error {
	return filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, at)
		path := filepath.Join(dir, rel)
		switch {
		case err != nil:
			return core.Faultf(core.Denied, "catalog", path, "%w", reason(err))
		case l.tooMany():
			return core.Faultf(core.Invalid, "catalog", dir, "it holds more than %d files: it does not look like a folder of capsules", maxFiles)
		case !d.IsDir():
			return nil
		case rel != "." && (strings.HasPrefix(d.Name(), ".") || strings.Count(rel, string(filepath.Separator)) >= maxFolderDepth):
			return fs.SkipDir
		}
		file := filepath.Join(path, manifest.FileName)
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			return nil
		}
		if err := l.read(file); err != nil {
			return err
		}
		return fs.SkipDir
	})
}

func (l *loader) tooMany() bool {
	l.seen++
	return l.seen > maxFiles
}

func (l *loader) read(file string) error {
	real, err := filepath.EvalSymlinks(file)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return core.Faultf(core.NotFound, "catalog", file, "%w", reason(err))
	}
	if l.files[real] {
		return nil
	}
	l.files[real] = true
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

// decode takes a list everywhere but in a capsule.yaml, which declares one capsule.
func decode(file string, data []byte) ([]core.Declaration, error) {
	if filepath.Base(file) != manifest.FileName {
		return manifest.DecodeList(file, data)
	}
	d, err := manifest.Decode(file, data)
	return []core.Declaration{d}, err
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
