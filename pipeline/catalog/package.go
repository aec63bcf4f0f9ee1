package catalog

import (
	"context"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/pack"
)

// Packaged is what is known of an entry because it is a package.
type Packaged struct {
	Digest     pack.Digest
	Signatures []pack.Signature
	Encrypted  bool
	Size       int64  // of the file, in bytes
	SHA256     string // of the program for this platform; empty: there is none

	loader *Loader
}

// unpack reads a package and makes an entry of it.
func (l *loader) unpack(path string) error {
	if first, err := l.once(path); err != nil || !first {
		return err
	}
	p, err := pack.Open(path, l.Key)
	if err != nil {
		return err
	}
	defer p.Close()
	o := l.Loader
	e := Entry{
		Declaration: p.Manifest.Declaration, File: path, Platforms: p.Manifest.Platforms(),
		Package: &Packaged{Digest: p.Digest, Signatures: p.Signatures, Encrypted: p.Encrypted, Size: p.Size, loader: &o},
	}
	if at := slices.IndexFunc(p.Manifest.Files, func(f manifest.File) bool { return f.Path == e.Declaration.Entry }); at >= 0 {
		e.Package.SHA256 = p.Manifest.Files[at].SHA256
	}
	if !l.Peek {
		if e.Dir, err = o.folder(l.ctx, p); err != nil {
			return err
		}
	}
	return l.add(e)
}

// folder gives the package's folder in the cache, whole.
func (o *Loader) folder(ctx context.Context, p *pack.Package) (string, error) {
	cache := o.Cache
	if cache == nil {
		c, err := pack.DefaultCache()
		if err != nil {
			return "", err
		}
		cache = &c
	}
	var progress func(done, total int64)
	if o.Progress != nil {
		progress = func(done, total int64) { o.Progress(p.Manifest.Name, done, total) }
	}
	return cache.Unpack(ctx, p, progress)
}

// Renew checks the folder of a package in the cache and makes it anew where it is not whole. It
// fails where the package has become another one since it was loaded. A folder is left as it is.
func (e Entry) Renew(ctx context.Context) error {
	if e.Package == nil {
		return nil
	}
	p, err := pack.Open(e.File, e.Package.loader.Key)
	if err != nil {
		return err
	}
	defer p.Close()
	if p.Digest != e.Package.Digest {
		return core.Faultf(core.Invalid, "package", e.File, "it is another one than was loaded: %s, not %s", p.Digest, e.Package.Digest)
	}
	_, err = e.Package.loader.folder(ctx, p)
	return err
}

// Runnable says why this machine cannot run the capsule; nil when it can as far as its manifest
// says.
func (e Entry) Runnable() error {
	if e.Declaration.Entry != "" {
		return nil
	}
	f := core.Faultf(core.Unsupported, "capsule "+e.Declaration.Name, "", "it has no program for %s", manifest.Platform)
	if len(e.Platforms) > 0 {
		f.Hint = "it has programs for " + strings.Join(e.Platforms, ", ")
	}
	return f
}
