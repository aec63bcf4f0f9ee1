package gallery

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// Reason says why a photo was not taken.
type Reason string

// The reasons.
const (
	NoFace       Reason = "no face"
	SeveralFaces Reason = "several faces"
	TooSmall     Reason = "face too small"
	Unreadable   Reason = "unreadable"
	Failed       Reason = "not encoded"
	AtOdds       Reason = "at odds with the person's other photos"
	Hub          Reason = "matches many persons"
)

// Photo is what became of one photo with one encoder.
type Photo struct {
	Person  string
	File    string // within the person's folder
	Encoder core.EncoderID
	Face    core.Box // in pixels of the photo; zero when there is not exactly one
	Refused Reason   // empty: it was taken
	Detail  string   // of the refusal, for people
}

// Encoder is a capsule whose encodings were enrolled.
type Encoder struct {
	ID        core.EncoderID
	Metric    core.Metric
	Threshold float64 // two encodings at most so far apart are of one person
}

// Pair is two persons with photos that match each other: one person with two names, or two
// persons that the encoder cannot tell apart.
type Pair struct {
	A, B     Photo
	Distance float64
}

// Report says what became of a folder of photos.
type Report struct {
	Dir      string
	Encoders []Encoder
	Photos   []Photo  // by person, file and encoder
	Empty    []string // persons' folders without a file
	Stray    []string // what lies where no photo is looked for
	Alike    []Pair   // each two persons once, at their nearest photos
}

// Taken counts the photos of a person that at least one encoder took.
func (r *Report) Taken(person string) int {
	files := map[string]bool{}
	for _, p := range r.Photos {
		if p.Person == person && p.Refused == "" {
			files[p.File] = true
		}
	}
	return len(files)
}

// Persons gives the names of all that have a folder, enrolled or not.
func (r *Report) Persons() []string {
	names := slices.Clone(r.Empty)
	for _, p := range r.Photos {
		names = append(names, p.Person)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// why sums the refusals up, the most frequent first.
func (r *Report) why() string {
	counts := map[Reason]int{}
	for _, p := range r.Photos {
		counts[p.Refused]++
	}
	reasons := slices.SortedFunc(maps.Keys(counts), func(a, b Reason) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(string(a), string(b)))
	})
	var parts []string
	for _, reason := range reasons {
		parts = append(parts, fmt.Sprintf("%d %s", counts[reason], reason))
	}
	return strings.Join(parts, ", ")
}

// file is one photo to enrol.
type file struct{ person, name, path string }

// list finds the photos of a gallery. Names that begin with a dot are passed over.
func (r *Report) list(dir string) ([]file, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, core.Faultf(core.Invalid, "gallery", r.Dir, "%w", err)
	}
	persons, err := entries(dir)
	if err != nil {
		f := core.Faultf(core.NotFound, "gallery", r.Dir, "%w", err)
		f.Hint = "a gallery is a folder that has a folder with photos for every person, named as the person is"
		return nil, f
	}
	var files []file
	folders := 0
	for _, p := range persons {
		if !p.isDir {
			r.Stray = append(r.Stray, p.name)
			continue
		}
		folders++
		photos, err := entries(filepath.Join(dir, p.name))
		if err != nil {
			return nil, core.Faultf(core.Invalid, "gallery", filepath.Join(r.Dir, p.name), "%w", err)
		}
		before := len(files)
		for _, f := range photos {
			if f.isDir {
				r.Stray = append(r.Stray, filepath.Join(p.name, f.name))
				continue
			}
			files = append(files, file{p.name, f.name, filepath.Join(dir, p.name, f.name)})
		}
		if len(files) == before {
			r.Empty = append(r.Empty, p.name)
		}
	}
	return files, r.enough(folders, len(files))
}

// enough refuses a gallery without persons or photos.
func (r *Report) enough(folders, files int) error {
	hint := "a gallery has a folder with photos for every person, named as the person is"
	switch {
	case folders == 0 && len(r.Stray) > 0:
		return &core.Fault{Op: "gallery", Kind: core.Invalid, On: r.Dir, Hint: hint,
			Err: fmt.Errorf("it has no folders, only %d files such as %s", len(r.Stray), r.Stray[0])}
	case folders == 0:
		return &core.Fault{Op: "gallery", Kind: core.Invalid, On: r.Dir, Hint: hint, Err: fmt.Errorf("it has no persons: the folder is empty")}
	case files == 0:
		return &core.Fault{Op: "gallery", Kind: core.Invalid, On: r.Dir, Hint: hint,
			Err: fmt.Errorf("not one photo is in its %d folders such as %s", folders, r.Empty[0])}
	default:
		return nil
	}
}

type entry struct {
	name  string
	isDir bool
}

// entries lists a folder by name; links count as what they lead to.
func entries(dir string) ([]entry, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err.(*os.PathError).Err // the caller names the folder
	}
	var list []entry
	for _, f := range found {
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, f.Name()))
		list = append(list, entry{f.Name(), err == nil && info.IsDir()})
	}
	return list, nil
}
