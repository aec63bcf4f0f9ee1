// Package starter makes the projects that authors of capsules begin with: they build and pass
// their tests at once, and each does something small but real.
package starter

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
	"golang.org/x/mod/modfile"
)

// Module is the module path of Capstan.
const Module = "github.com/capstan-video/capstan"

// Languages and Roles that there are projects for.
var (
	Languages = []string{"go", "python"}
	Roles     = []string{"detector", "classifier", "encoder", "tracker"}
)

// Project says what to make.
type Project struct {
	Dir      string // the folder, which must not be there yet or be empty; its last part is the name
	Language string // one of Languages
	Role     string // one of Roles; "": as the name begins, else a detector
	SDK      string // a checkout of Capstan to build with; "": the released module
	Version  string // of the released module, "v1.2.3"; "": the author says it later
}

//go:embed all:go all:python all:manifest
var templates embed.FS

// Make makes the project and lists its files, sorted. The folder is there as a whole or not at
// all.
func Make(p Project) ([]string, error) {
	name, err := p.check()
	if err != nil {
		return nil, err
	}
	files, err := p.files(name)
	if err != nil {
		return nil, err
	}
	return p.write(files)
}

// check fills in the role and refuses what cannot be.
func (p *Project) check() (name string, err error) {
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return "", err
	}
	p.Dir = dir
	name = filepath.Base(dir)
	if !core.ValidName(name) {
		f := core.Faultf(core.Invalid, "new", name, "it is no name of a capsule: letters, digits and _ only")
		f.Hint = "the custom is role_subject_how: detector_fire_color"
		return "", f
	}
	if p.Role == "" {
		p.Role = roleOf(name)
	}
	if !slices.Contains(Roles, p.Role) {
		return "", core.Faultf(core.Invalid, "new", name, "role %q is not one of %s", p.Role, strings.Join(Roles, ", "))
	}
	if !slices.Contains(Languages, p.Language) {
		return "", core.Faultf(core.Invalid, "new", name, "language %q is not one of %s", p.Language, strings.Join(Languages, ", "))
	}
	if p.SDK != "" {
		if p.SDK, err = filepath.Abs(p.SDK); err != nil {
			return "", err
		}
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", core.Faultf(core.Exists, "new", dir, "it is there and not empty")
	}
	return name, nil
}

func roleOf(name string) string {
	for _, r := range Roles {
		if strings.HasPrefix(name, r+"_") {
			return r
		}
	}
	return "detector"
}

// values are what the templates may speak of.
type values struct {
	Name, Role, SDK, SDKModule string
	Entry                      string // the program
	Sentence                   string // what the capsule does
	Needs                      bool   // it works on nodes of others
	Options                    []core.Option
}

// executable are the files that are started, by name.
var executable = []string{"main.py"}

// files gives the content of every file, by path.
func (p Project) files(name string) (map[string][]byte, error) {
	v := values{Name: name, Role: p.Role, SDK: p.SDK, SDKModule: Module, Entry: name}
	if p.Language == "python" {
		v.Entry = "main.py"
	}
	files := map[string][]byte{}
	text, err := v.fill(path.Join("manifest", p.Role+".yaml.tmpl"))
	if err != nil {
		return nil, err
	}
	files[manifest.FileName] = text
	if err := v.render(files, path.Join(p.Language, p.Role)); err != nil {
		return nil, err
	}
	m, err := manifest.Decode(manifest.FileName, files[manifest.FileName])
	if err != nil {
		return nil, err
	}
	v.Sentence, v.Needs, v.Options = m.Description, m.Input.Size != core.SizeNone, m.Options
	if err := v.render(files, path.Join(p.Language, "common")); err != nil {
		return nil, err
	}
	if p.Language == "go" {
		if err := p.module(name, files); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// render adds the files of one folder of the templates. capignore and gitignore get their dots.
func (v values) render(files map[string][]byte, dir string) error {
	entries, err := templates.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := v.fill(path.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		out := strings.TrimSuffix(e.Name(), ".tmpl")
		if strings.HasSuffix(out, "ignore") {
			out = "." + out
		}
		files[out] = text
	}
	return nil
}

// fill gives the text of one template; what is to be filled in stands in «».
func (v values) fill(file string) ([]byte, error) {
	text, err := templates.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t, err := template.New(file).Delims("«", "»").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, v)
	return b.Bytes(), err
}

// module adds go.mod, and with a checkout go.sum: its requirements are those of the project, so
// that it builds without asking anybody.
func (p Project) module(name string, files map[string][]byte) error {
	m := new(modfile.File)
	if err := m.AddModuleStmt(name); err != nil {
		return err
	}
	version := p.Version
	if version == "" || p.SDK != "" {
		version = "v0.0.0"
	}
	theirs, sums, err := p.checkout()
	if err != nil {
		return err
	}
	goVersion := "1.26.0"
	if theirs != nil && theirs.Go != nil {
		goVersion = theirs.Go.Version
	}
	if err := errors.Join(m.AddGoStmt(goVersion), m.AddRequire(Module, version)); err != nil {
		return err
	}
	if theirs != nil {
		for _, r := range theirs.Require {
			m.AddNewRequire(r.Mod.Path, r.Mod.Version, true)
		}
		if err := m.AddReplace(Module, "", p.replacement(), ""); err != nil {
			return err
		}
		files["go.sum"] = sums
	}
	m.SetRequireSeparateIndirect(m.Require)
	m.Cleanup()
	text, err := m.Format()
	files["go.mod"] = text
	return err
}

// replacement gives the path of the checkout, relative where the project lies inside it.
func (p Project) replacement() string {
	if rel, err := filepath.Rel(p.SDK, p.Dir); err == nil && filepath.IsLocal(rel) {
		if back, err := filepath.Rel(p.Dir, p.SDK); err == nil {
			return filepath.ToSlash(back)
		}
	}
	return filepath.ToSlash(p.SDK)
}

// checkout reads what the checkout requires; nothing where there is none.
func (p Project) checkout() (*modfile.File, []byte, error) {
	if p.SDK == "" {
		return nil, nil, nil
	}
	file := filepath.Join(p.SDK, "go.mod")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, core.Faultf(core.NotFound, "new", p.SDK, "it is no checkout of Capstan: %w", err)
	}
	m, err := modfile.Parse(file, text, nil)
	if err != nil {
		return nil, nil, core.Faultf(core.Invalid, "new", file, "%w", err)
	}
	if m.Module == nil || m.Module.Mod.Path != Module {
		return nil, nil, core.Faultf(core.Invalid, "new", p.SDK, "it is no checkout of Capstan: %s is of another module", file)
	}
	sums, err := os.ReadFile(filepath.Join(p.SDK, "go.sum"))
	if err != nil {
		return nil, nil, core.Faultf(core.NotFound, "new", p.SDK, "%w", err)
	}
	return m, sums, nil
}

// Checkout gives the checkout of Capstan that dir lies in, "" when it lies in none.
func Checkout(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && modfile.ModulePath(text) == Module {
			return dir
		}
		if filepath.Dir(dir) == dir {
			return ""
		}
	}
}

// write makes the folder beside its place and renames it.
func (p Project) write(files map[string][]byte) (names []string, err error) {
	parent := filepath.Dir(p.Dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, core.Faultf(core.Denied, "new", p.Dir, "%w", err)
	}
	part, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		return nil, core.Faultf(core.Denied, "new", p.Dir, "%w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(part)
		}
	}()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if slices.Contains(executable, name) {
			mode = 0o755
		}
		if err := os.WriteFile(filepath.Join(part, name), text, mode); err != nil {
			return nil, fmt.Errorf("new: %w", err)
		}
		names = append(names, name)
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return nil, err
	}
	if err := os.Remove(p.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // empty, by check
		return nil, core.Faultf(core.Denied, "new", p.Dir, "%w", err)
	}
	if err := os.Rename(part, p.Dir); err != nil {
		return nil, core.Faultf(core.Denied, "new", p.Dir, "%w", err)
	}
	slices.Sort(names)
	return names, nil
}
