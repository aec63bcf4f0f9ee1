package importer

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
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
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/capstan-video/capstan/sdk/pack/vcap"
)

// unpack puts the files of the older capsule into the temporary folder, and checks the version
// of the interface that they are made for.
func (m *Imported) unpack(ctx context.Context, r Request) error {
	info, err := os.Stat(r.Path)
	if err != nil {
		return fault("", core.NotFound, "%w", err)
	}
	to := filepath.Join(m.dir, Original)
	if info.IsDir() {
		if m.API, err = folderAPI(r.Path); err != nil {
			return err
		}
	} else {
		p, err := open(r.Path, r.Key)
		if err != nil {
			return err
		}
		defer p.Close()
		m.API = p.API
		if err := vcap.CheckAPI(m.API); err != nil {
			return fault(r.Path, core.KindOf(err), "%w", err)
		}
		if err := p.Extract(ctx, to, nil); err != nil {
			return err
		}
		return m.prune(to)
	}
	if err := vcap.CheckAPI(m.API); err != nil {
		return fault(r.Path, core.KindOf(err), "%w", err)
	}
	if err := m.copy(ctx, r.Path, to); err != nil {
		return err
	}
	return m.prune(to)
}

// open opens a package, with its key where it is no zip.
func open(path string, key pack.Key) (*vcap.Package, error) {
	p, err := vcap.Open(path, nil)
	if core.KindOf(err) != core.Denied || key == nil {
		return p, err
	}
	secret, kerr := key()
	if kerr != nil || secret == "" {
		if kerr != nil {
			return nil, kerr
		}
		return nil, err
	}
	return vcap.Open(path, []byte(secret))
}

// folderAPI reads meta.conf of a folder as that of a package.
func folderAPI(dir string) (string, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range []string{vcap.Code, vcap.Meta} {
		text, err := manifest.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f := fault(dir, core.NotFound, "it has no %s", name)
			f.Hint = "want a folder with capsule.py and meta.conf, or a package of OpenVisionCapsules"
			return "", f
		}
		w, err := z.Create(name)
		if err != nil {
			return "", err
		}
		if _, err := w.Write(text); err != nil {
			return "", err
		}
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	p, err := vcap.Read(bytes.NewReader(out.Bytes()), int64(out.Len()), dir, nil)
	if err != nil {
		return "", err
	}
	return p.API, nil
}

// copy copies a folder: regular files and folders, within the limits of packages.
func (m *Imported) copy(ctx context.Context, from, to string) error {
	var total int64
	count := 0
	return filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fault(p, core.Denied, "%w", err)
		case ctx.Err() != nil:
			return fault(from, core.Cancelled, "%w", context.Cause(ctx))
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if e.IsDir() {
			if left(filepath.Base(p)) && p != from {
				m.leave(rel)
				return fs.SkipDir
			}
			return os.MkdirAll(target, 0o755)
		}
		if !e.Type().IsRegular() {
			f := fault(p, core.Invalid, "it is neither a file nor a folder, and a package cannot hold it")
			f.Hint = "put the file itself there"
			return f
		}
		info, err := e.Info()
		if err != nil {
			return fault(p, core.Denied, "%w", err)
		}
		count++
		if total += info.Size(); total > vcap.Limits.Total || count > vcap.Limits.Count {
			return fault(from, core.Invalid, "it has more than %d files, or %d bytes", vcap.Limits.Count, vcap.Limits.Total)
		}
		return copyFile(p, target)
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fault(from, core.Denied, "%w", err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return fault(to, core.Denied, "%w", err)
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fault(to, core.Denied, "%w", err)
	}
	return nil
}

// left says which names a package leaves out.
func left(name string) bool {
	ext := path.Ext(name)
	return strings.HasPrefix(name, ".") || name == "__pycache__" || ext == ".pyc" || ext == pack.Extension || ext == ".key"
}

// leave notes a file that is left out, unless it is one that nobody misses.
func (m *Imported) leave(rel string) {
	if base := filepath.Base(rel); base == "__pycache__" || path.Ext(base) == ".pyc" || base == ".git" || base == ".DS_Store" || base == ".gitignore" {
		return
	}
	m.Findings = append(m.Findings, Finding{Limits, "files", filepath.ToSlash(rel) + " is left out, as packages leave out names that begin with a dot, *.cap and *.key"})
}

// prune removes what a package leaves out, and counts what stays.
func (m *Imported) prune(dir string) error {
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if left(e.Name()) {
			m.leave(rel)
			if err := os.RemoveAll(p); err != nil {
				return err
			}
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			return nil
		}
		if why := manifest.BadPath(filepath.ToSlash(rel)); why != "" {
			return fault(m.Source, core.Invalid, "%q %s", rel, why)
		}
		info, err := e.Info()
		if err == nil {
			m.Files, m.Size = m.Files+1, m.Size+info.Size()
		}
		return err
	})
	if err == nil && m.Files > manifest.MaxFiles-2 {
		return fault(m.Source, core.Invalid, "it has %d files, more than the %d of a package", m.Files, manifest.MaxFiles-2)
	}
	if err != nil && core.KindOf(err) == core.Unknown {
		return fmt.Errorf("import %s: %w", m.Source, err)
	}
	return err
}

var levels = []Level{Cannot, Limits, Works}

func (m *Imported) sort() {
	slices.SortStableFunc(m.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(levels, a.Level), slices.Index(levels, b.Level))
	})
}
