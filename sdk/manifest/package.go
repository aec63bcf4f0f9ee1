package manifest

import (
	"fmt"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/capstan-video/capstan/core"
)

// AnyPlatform is the platform of a program that runs everywhere, such as a script.
const AnyPlatform = "any"

// Platform is the one that this program was built for, "linux/amd64".
const Platform = runtime.GOOS + "/" + runtime.GOARCH

// Manifest is all that a capsule.yaml says: the declaration, whose Entry is the program for this
// platform ("" when there is none), every platform's program, and in a package its files.
type Manifest struct {
	core.Declaration
	Programs []Program // in the order of the file; never empty after decoding
	Files    []File    // of a package, all but the manifest and the signatures
}

// Program is what is started on one platform.
type Program struct {
	Platform string // "linux/amd64", or AnyPlatform
	Path     string // inside the folder, with /
}

// File is one file of a package.
type File struct {
	Path       string // inside the package, with /; see BadPath
	Size       int64  // in bytes
	SHA256     string // of its content, 64 lower-case hexadecimal digits
	Executable bool
}

// The limits of one file of a package and of all of them. They keep a package within what a
// zip can say without its 64-bit extension.
const (
	MaxFileSize  = 2 << 30 // bytes
	MaxTotalSize = 3 << 30 // bytes
	MaxFiles     = 4096
	MaxPath      = 400 // bytes
)

// DecodeManifest reads one manifest with what Decode leaves out. file is for messages only.
func DecodeManifest(file string, data []byte) (Manifest, error) {
	doc, err := single(file, data)
	if err != nil {
		return Manifest{}, err
	}
	d := decoder{file: file, places: map[string]value{}}
	m := Manifest{Declaration: d.declaration(doc), Programs: d.programs, Files: d.files}
	if d.err != nil {
		return Manifest{}, d.err
	}
	if len(m.Programs) == 0 {
		m.Programs = []Program{{AnyPlatform, m.Entry}}
	}
	return m, nil
}

// Program gives the path of the program for a platform: its own, else the one for any.
func (m Manifest) Program(platform string) (string, bool) { return programFor(m.Programs, platform) }

func programFor(list []Program, platform string) (string, bool) {
	for _, want := range []string{platform, AnyPlatform} {
		if i := slices.IndexFunc(list, func(p Program) bool { return p.Platform == want }); i >= 0 {
			return list[i].Path, true
		}
	}
	return "", false
}

// Platforms lists the platforms that have a program.
func (m Manifest) Platforms() []string {
	l := make([]string, 0, len(m.Programs))
	for _, p := range m.Programs {
		l = append(l, p.Platform)
	}
	return l
}

// Encode writes the manifest as Encode does, with every platform's program and the files.
func (m Manifest) Encode() ([]byte, error) {
	programs := m.Programs
	if len(programs) == 0 {
		programs = []Program{{AnyPlatform, m.Entry}}
		if m.Entry == "" {
			programs[0].Path = m.Name
		}
	}
	return encode(m.Declaration, programs, m.Files)
}

var platformText = regexp.MustCompile(`^(any|[a-z0-9]+/[a-z0-9]+)$`)

// entry reads one path for all platforms, or a mapping of platform to path.
func (d *decoder) entry(to *string) func(value, string) {
	return func(v value, p string) {
		if v.kind != mapping {
			*to = d.programPath(v, p)
			d.programs = []Program{{AnyPlatform, *to}}
			return
		}
		for _, f := range v.fields {
			at := join(p, f.key)
			if !platformText.MatchString(f.key) {
				d.fail(value{line: f.line, col: f.col}, p, fmt.Sprintf("%q is no platform", shorten(f.key)), "want linux/amd64, linux/arm64, …, or any")
			}
			d.programs = append(d.programs, Program{f.key, d.programPath(f.value, at)})
		}
		if len(v.fields) == 0 {
			d.fail(v, p, "it names no program", "want a path, or platform: path")
		}
		*to, _ = programFor(d.programs, Platform)
	}
}

func (d *decoder) programPath(v value, p string) string {
	s := d.scalarText(v, p)
	if why := badEntry(s); why != "" {
		d.fail(v, p, v.what()+" "+why, "want the path of a program inside the capsule's folder, with /")
	}
	return s
}

// packaged reads the list of files of a package.
func (d *decoder) packaged(v value, p string) {
	if v.kind != list {
		d.fail(v, p, v.what()+" is not a list", "want a list of {path: …, size: …, sha256: …}")
		return
	}
	if len(v.items) > MaxFiles {
		d.fail(v, p, fmt.Sprintf("there are %d files", len(v.items)), fmt.Sprintf("at most %d", MaxFiles))
		return
	}
	for i, item := range v.items {
		d.files = append(d.files, d.packagedFile(item, fmt.Sprintf("%s[%d]", p, i)))
	}
}

func (d *decoder) packagedFile(v value, p string) File {
	var f File
	d.mapping(v, p, []key{
		{"path", func(v value, p string) {
			f.Path = d.scalarText(v, p)
			if why := BadPath(f.Path); why != "" {
				d.fail(v, p, v.what()+" "+why, "want a path inside the package, with /")
			}
		}},
		{"size", func(v value, p string) {
			n, ok := wholeNumber(v)
			if !ok || n < 0 || n > MaxFileSize {
				d.fail(v, p, v.what()+" is not a size", fmt.Sprintf("want 0..%d", MaxFileSize))
			}
			f.Size = n
		}},
		{"sha256", func(v value, p string) {
			f.SHA256 = d.scalarText(v, p)
			if !digestText.MatchString(f.SHA256) {
				d.fail(v, p, v.what()+" is no SHA-256", "want 64 hexadecimal digits in lower case, quoted if they are all 0-9")
			}
		}},
		{"executable", d.bool(&f.Executable)},
	})
	d.required(v, p, "path", "size", "sha256")
	return f
}

var digestText = regexp.MustCompile(`^[0-9a-f]{64}$`)

// BadPath says why p may not be a file of a package; empty when it may. It has to be relative,
// plain and the same file on every system.
func BadPath(p string) string {
	switch {
	case p == "":
		return "names no file"
	case len(p) > MaxPath:
		return fmt.Sprintf("is longer than %d bytes", MaxPath)
	case !utf8.ValidString(p):
		return "is not UTF-8"
	case strings.ContainsFunc(p, func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune(`\:*?"<>|`, r) }):
		return "has characters that are no part of a plain path"
	case path.IsAbs(p):
		return "is not relative"
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "..":
			return "may leave the folder"
		case part == "" || part == ".":
			return "is not a plain path"
		case len(part) > 255:
			return "has a name of more than 255 bytes"
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
			return "has a name that ends with a dot or a space"
		}
	}
	return ""
}

func (w *writer) entry(programs []Program) {
	if len(programs) == 1 && programs[0].Platform == AnyPlatform {
		w.line(0, "entry: %s", w.quote(programs[0].Path))
		return
	}
	w.line(0, "entry:")
	for _, p := range programs {
		w.line(1, "%s: %s", p.Platform, w.quote(p.Path))
	}
}

func (w *writer) files(list []File) {
	if len(list) == 0 {
		return
	}
	w.line(0, "files: # of the package")
	for _, f := range list {
		w.line(1, "- path: %s", w.quote(f.Path))
		w.line(2, "size: %d", f.Size)
		w.line(2, "sha256: %q", f.SHA256)
		if f.Executable {
			w.line(2, "executable: true")
		}
	}
}
