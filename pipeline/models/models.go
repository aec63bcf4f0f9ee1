// Package models keeps the model files that capsules need beside themselves: which they are,
// where they lie, whether they are whole, and how they are fetched.
package models

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/sdk/onnx/files"
)

// Wanted is a model file with the capsules that need it.
type Wanted struct {
	core.Model
	Capsules []string // by name, sorted
	Dir      string   // the folder of the first one: relative URLs begin there
}

// Needed lists the model files of the catalogue by name, each once. It is a fault when two
// capsules mean different files by one name.
func Needed(entries []catalog.Entry) ([]Wanted, error) {
	byFile := map[string]*Wanted{}
	var order []string
	for _, e := range entries {
		for _, m := range e.Declaration.Models {
			w := byFile[m.File]
			switch {
			case w == nil:
				byFile[m.File] = &Wanted{Model: m, Capsules: []string{e.Declaration.Name}, Dir: e.Dir}
				order = append(order, m.File)
			case w.SHA256 != m.SHA256:
				return nil, core.Faultf(core.Exists, "models", m.File, "%s and %s mean different files by this name", w.Capsules[0], e.Declaration.Name)
			default:
				w.Capsules = append(w.Capsules, e.Declaration.Name)
			}
		}
	}
	slices.Sort(order)
	all := make([]Wanted, 0, len(order))
	for _, file := range order {
		slices.Sort(byFile[file].Capsules)
		all = append(all, *byFile[file])
	}
	return all, nil
}

// Choose gives those of all that are named, by file or by capsule; all without names. An unknown
// name is a fault that says which there are.
func Choose(all []Wanted, names []string) ([]Wanted, error) {
	if len(names) == 0 {
		return all, nil
	}
	taken := make([]bool, len(all))
	for _, name := range names {
		known := false
		for i, w := range all {
			if w.File == name || slices.Contains(w.Capsules, name) {
				taken[i], known = true, true
			}
		}
		if !known {
			return nil, unknown(all, name)
		}
	}
	var chosen []Wanted
	for i, w := range all {
		if taken[i] {
			chosen = append(chosen, w)
		}
	}
	return chosen, nil
}

func unknown(all []Wanted, name string) error {
	var known []string
	for _, w := range all {
		known = append(append(known, w.File), w.Capsules...)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	f := core.Faultf(core.NotFound, "models", name, "no capsule that needs a model, and no model file, has this name")
	f.Hint = "there are: " + strings.Join(known, ", ")
	if near := core.Nearest(name, known); len(near) > 0 {
		f.Hint = "did you mean " + near[0] + "?"
	}
	return f
}

// State says what was found of a model file.
type State string

// The states.
const (
	Here    State = "here"    // whole, by its SHA-256
	Missing State = "missing" // nowhere
	Wrong   State = "wrong"   // a file of this name with other content, which capsules would take
)

// Found is what Look found.
type Found struct {
	State  State
	Path   string // of what was found; empty for Missing
	Size   int64
	SHA256 string // of what was found
}

// Folders gives where w is looked for, first to last: before all others the given ones.
func (w Wanted) Folders(first []string) []string {
	return append(slices.Clone(first), files.Folders(w.Dir)...)
}

// Look finds the file that a capsule would take, and reads all of it for its SHA-256.
func (w Wanted) Look(first []string) (Found, error) {
	path := files.Search(w.File, w.Folders(first))
	if path == "" {
		return Found{State: Missing}, nil
	}
	f := Found{State: Wrong, Path: path}
	var err error
	if f.SHA256, f.Size, err = sum(path); err != nil {
		return f, core.Faultf(core.Denied, "models", path, "%w", err)
	}
	if f.SHA256 == w.SHA256 {
		f.State = Here
	}
	return f, nil
}

func sum(path string) (hash string, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	h := sha256.New()
	if size, err = io.Copy(h, file); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// Destination gives the folder that models are fetched into where none is named.
func Destination() (string, error) {
	dir := files.Cache()
	if dir == "" {
		f := core.Faultf(core.Invalid, "models", "", "there is no folder to keep them in: neither %s nor HOME is set", files.CacheEnv)
		f.Hint = "name one by --to"
		return "", f
	}
	return filepath.Join(dir, "models"), nil
}
