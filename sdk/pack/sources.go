package pack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
)

// IgnoreName is the file of a folder that names what is not to be packed.
const IgnoreName = ".capignore"

// source is a file that is packed.
type source struct {
	path       string // in the package
	disk       string
	size       int64
	executable bool
}

// sources are the files of a package to be.
type sources struct {
	dir      string
	ctx      context.Context
	progress func(done, total int64)

	list        []source // sorted by path
	ignore      []pattern
	done, total int64
}

// pattern is one line of .capignore.
type pattern struct {
	glob   string
	folder bool // it ended with /: folders only
	whole  bool // it has a /: matched against the whole path
}

func (p pattern) matches(name string, folder bool) bool {
	if p.folder && !folder {
		return false
	}
	if !p.whole {
		name = path.Base(name)
	}
	ok, _ := path.Match(p.glob, name) // the pattern was checked
	return ok
}

// always is left out of every package: what tools leave behind, and what must not get out.
var always = []pattern{
	{glob: ".*"}, {glob: "__pycache__", folder: true}, {glob: "*.pyc"}, {glob: "*" + Extension}, {glob: "*.key"},
	{glob: manifest.FileName, whole: true}, {glob: SignatureName, whole: true},
}

func (s *sources) readIgnore() error {
	file := filepath.Join(s.dir, IgnoreName)
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return core.Faultf(core.Denied, "pack", file, "%w", cause(err))
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		glob, folder := strings.CutSuffix(line, "/")
		p := pattern{glob: strings.TrimPrefix(glob, "/"), folder: folder, whole: strings.Contains(glob, "/")}
		if _, err := path.Match(p.glob, ""); err != nil || p.glob == "" || strings.HasPrefix(line, "!") {
			f := core.Faultf(core.Invalid, "pack", fmt.Sprintf("%s:%d", file, n), "%q is no pattern", line)
			f.Hint = "want a name such as *.go, a folder such as testdata/, or a path such as docs/*.md"
			return f
		}
		s.ignore = append(s.ignore, p)
	}
	return lines.Err()
}

// gather finds the files of the folder and adds those from elsewhere.
func (s *sources) gather(extra map[string]string) error {
	if err := s.readIgnore(); err != nil {
		return err
	}
	if err := s.folder("."); err != nil {
		return err
	}
	for name, disk := range extra {
		info, err := os.Stat(disk)
		if err != nil {
			return core.Faultf(core.NotFound, "pack", disk, "%w", cause(err))
		}
		s.list = slices.DeleteFunc(s.list, func(f source) bool { return f.path == name })
		if err := s.addFile(name, disk, info); err != nil {
			return err
		}
	}
	slices.SortFunc(s.list, func(a, b source) int { return strings.Compare(a.path, b.path) })
	for _, f := range s.list {
		s.total += 2 * f.size
	}
	if s.total/2 > manifest.MaxTotalSize {
		return core.Faultf(core.Invalid, "pack", s.dir, "its files have %d bytes together, more than %d", s.total/2, manifest.MaxTotalSize)
	}
	return nil
}

func (s *sources) folder(dir string) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, filepath.FromSlash(dir)))
	if err != nil {
		return core.Faultf(core.NotFound, "pack", s.dir, "%w", cause(err))
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if left := func(p pattern) bool { return p.matches(name, e.IsDir()) }; slices.ContainsFunc(always, left) || slices.ContainsFunc(s.ignore, left) {
			continue
		}
		if err := s.visit(name, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *sources) visit(name string, e fs.DirEntry) error {
	disk := filepath.Join(s.dir, filepath.FromSlash(name))
	switch {
	case e.IsDir() && strings.Count(name, "/") >= 32:
		return core.Faultf(core.Invalid, "pack", disk, "it lies more than 32 folders deep")
	case e.IsDir():
		return s.folder(name)
	case e.Type()&fs.ModeSymlink != 0:
		f := core.Faultf(core.Invalid, "pack", disk, "it is a link, which a package cannot hold")
		f.Hint = "put the file itself there, or name it in " + IgnoreName
		return f
	case !e.Type().IsRegular():
		return core.Faultf(core.Invalid, "pack", disk, "it is neither a file nor a folder")
	}
	info, err := e.Info()
	if err != nil {
		return core.Faultf(core.Invalid, "pack", disk, "%w", cause(err))
	}
	return s.addFile(name, disk, info)
}

func (s *sources) addFile(name, disk string, info fs.FileInfo) error {
	if why := manifest.BadPath(name); why != "" {
		return core.Faultf(core.Invalid, "pack", disk, "%q %s", name, why)
	}
	if info.Size() > manifest.MaxFileSize {
		f := core.Faultf(core.Invalid, "pack", disk, "it has %d bytes, more than %d", info.Size(), manifest.MaxFileSize)
		f.Hint = "let the manifest name it under models, by URL"
		return f
	}
	if len(s.list) >= manifest.MaxFiles {
		f := core.Faultf(core.Invalid, "pack", s.dir, "it has more than %d files", manifest.MaxFiles)
		f.Hint = "name what is not needed in " + IgnoreName
		return f
	}
	s.list = append(s.list, source{name, disk, info.Size(), info.Mode()&0o111 != 0})
	return nil
}

// programs checks that every program is there and is one for its platform. One program for any
// platform that is a binary becomes the program of the platform that it was built for.
func (s *sources) programs(m *manifest.Manifest) error {
	for i := range m.Programs {
		p := &m.Programs[i]
		p.Path = path.Clean(p.Path)
		at := slices.IndexFunc(s.list, func(f source) bool { return f.path == p.Path })
		if at < 0 {
			f := core.Faultf(core.NotFound, "pack", filepath.Join(s.dir, manifest.FileName), "entry: the program %q is not there, or not packed", p.Path)
			f.Hint = "build it, mend the entry, or look into " + IgnoreName
			return f
		}
		built := builtFor(s.list[at].disk)
		switch {
		case built == "" || built == p.Platform:
		case p.Platform == manifest.AnyPlatform && len(m.Programs) == 1:
			p.Platform = built
		default:
			return core.Faultf(core.Invalid, "pack", s.list[at].disk, "it is built for %s and stands for %s", built, p.Platform)
		}
		if path.Ext(p.Path) != ".py" {
			s.list[at].executable = true
		}
	}
	m.Entry, _ = m.Program(manifest.Platform)
	return nil
}

var elfMachines = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm", elf.EM_RISCV: "riscv64"}

// builtFor gives the platform of a binary, "" of anything else.
func builtFor(disk string) string {
	f, err := os.Open(disk)
	if err != nil {
		return ""
	}
	defer f.Close()
	if b, err := elf.NewFile(f); err == nil {
		if m, ok := elfMachines[b.Machine]; ok {
			return "linux/" + m
		}
		return ""
	}
	if b, err := macho.NewFile(f); err == nil {
		return map[macho.Cpu]string{macho.CpuAmd64: "darwin/amd64", macho.CpuArm64: "darwin/arm64"}[b.Cpu]
	}
	if b, err := pe.NewFile(f); err == nil {
		return map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "windows/amd64", pe.IMAGE_FILE_MACHINE_ARM64: "windows/arm64"}[b.Machine]
	}
	return ""
}

// hash reads every file for its digest.
func (s *sources) hash() ([]manifest.File, error) {
	files := make([]manifest.File, 0, len(s.list))
	for _, f := range s.list {
		sum := sha256.New()
		n, err := s.read(f, sum)
		if err != nil {
			return nil, err
		}
		files = append(files, manifest.File{Path: f.path, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil)), Executable: f.executable})
	}
	return files, nil
}

// read copies a file to w, tells of the progress and ends with the context.
func (s *sources) read(f source, w io.Writer) (int64, error) {
	in, err := os.Open(f.disk)
	if err != nil {
		return 0, core.Faultf(core.Denied, "pack", f.disk, "%w", cause(err))
	}
	defer in.Close()
	var n int64
	for err == nil {
		if s.ctx.Err() != nil {
			return n, core.Faultf(core.Cancelled, "pack", f.disk, "%w", context.Cause(s.ctx))
		}
		var k int64
		k, err = io.CopyN(w, in, 1<<20)
		n += k
		if s.progress != nil {
			s.done += k
			s.progress(s.done, s.total)
		}
	}
	if err != io.EOF {
		return n, core.Faultf(core.Denied, "pack", f.disk, "%w", cause(err))
	}
	return n, nil
}

// checkModels refuses a model file with other content than the manifest declares: the capsule
// would take it.
func (s *sources) checkModels(m manifest.Manifest) error {
	for _, model := range m.Models {
		for i, f := range m.Files {
			if path.Base(f.Path) == model.File && f.SHA256 != model.SHA256 {
				fault := core.Faultf(core.Invalid, "pack", s.list[i].disk, "the manifest's models say SHA-256 %s, and it has %s", model.SHA256, f.SHA256)
				fault.Hint = "fetch the file again, or mend the manifest"
				return fault
			}
		}
	}
	return nil
}

// Included lists the models of a manifest whose files are in the package.
func Included(m manifest.Manifest) []string {
	var l []string
	for _, model := range m.Models {
		if slices.ContainsFunc(m.Files, func(f manifest.File) bool { return path.Base(f.Path) == model.File && f.SHA256 == model.SHA256 }) {
			l = append(l, model.File)
		}
	}
	return l
}

// Licences lists the files of a package that look like licences: LICENSE, COPYING or NOTICE with
// whatever ending, and those of a folder licences or licenses.
func Licences(m manifest.Manifest) []string {
	var l []string
	for _, f := range m.Files {
		base, dir := strings.ToUpper(path.Base(f.Path)), strings.ToLower(path.Base(path.Dir(f.Path)))
		named := slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE"}, func(p string) bool { return strings.HasPrefix(base, p) || strings.HasSuffix(base, "."+p) })
		if named || dir == "licences" || dir == "licenses" {
			l = append(l, f.Path)
		}
	}
	return l
}
