// Package pack writes and reads .cap files: a capsule as one file that can be checked, signed
// and encrypted.
//
// A package is a zip. Its first file is capsule.yaml, which lists every other file with its
// SHA-256; the SHA-256 of capsule.yaml is therefore the digest of the whole package. A file
// capsule.sig may hold Ed25519 signatures over the digest. An encrypted package is the zip
// within an age file. docs/reference/packages.md has every rule.
package pack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"filippo.io/age"
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/pack/archive"
)

// Extension is how the name of a package ends.
const Extension = ".cap"

// SignatureName is the file with the signatures inside a package.
const SignatureName = "capsule.sig"

// Limits are those of every package.
var Limits = archive.Limits{
	File: manifest.MaxFileSize, Total: manifest.MaxTotalSize, Count: manifest.MaxFiles + 2, Ratio: 100,
}

// maxManifest bounds capsule.yaml in a package, in bytes; what reads manifests has the same.
const maxManifest = 1 << 20

// Digest names the content of a package: the SHA-256 of its capsule.yaml.
type Digest [sha256.Size]byte

// String gives 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText is String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Package is an open package whose list of files is checked against its zip. The content of the
// files is checked when it is read. Close ends it.
type Package struct {
	Path       string
	Size       int64 // of the file, in bytes
	Encrypted  bool
	Manifest   manifest.Manifest
	Text       []byte // of the manifest, as it stands in the package
	Digest     Digest
	Signatures []Signature // every one fits the digest

	archive *archive.Archive
	closer  io.Closer
}

// OldFormatHint says what to do with a package for OpenVisionCapsules.
const OldFormatHint = "it may be a package of the older Python format: see capstan capsule inspect, and make a package of it by capstan capsule import"

// Open opens the package at path. key is asked for the passphrase where the package is
// encrypted; nil: EnvKey. A file that is no package, or not a whole and harmless one, is a fault of kind
// Invalid; one that is encrypted and has no or another key is one of kind Denied.
func Open(path string, key Key) (*Package, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, core.Faultf(core.NotFound, "package", "", "%w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, core.Faultf(core.Invalid, "package", path, "it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, core.Faultf(core.Denied, "package", "", "%w", err)
	}
	p, err := Read(f, info.Size(), path, key)
	if err != nil {
		f.Close()
		return nil, err
	}
	p.closer = f
	return p, nil
}

// Read is Open for size bytes of r, which must stay readable while the package is in use. name
// is for messages only.
func Read(r io.ReaderAt, size int64, name string, key Key) (*Package, error) {
	p := &Package{Path: name, Size: size}
	if err := p.read(r, size, key); err != nil {
		return nil, named(name, err)
	}
	return p, nil
}

// named puts the name of the package before what is wrong with it.
func named(name string, err error) error {
	f, ok := errors.AsType[*core.Fault](err)
	switch {
	case !ok:
		return core.Faultf(core.Invalid, "package", name, "%w", err)
	case f.Op == "" && f.On == "": // a bare refusal
		return &core.Fault{Op: "package", Kind: f.Kind, On: name, Err: f.Err, Hint: f.Hint}
	default:
		return &core.Fault{Op: "package", Kind: f.Kind, On: name, Err: err}
	}
}

func (p *Package) read(r io.ReaderAt, size int64, key Key) error {
	if IsEncrypted(r) {
		p.Encrypted = true
		plain, n, err := decrypt(r, size, key)
		if err != nil {
			return err
		}
		r, size = plain, n
	}
	if !archive.IsZip(r, size) {
		return &core.Fault{Kind: core.Invalid, Err: errors.New("it is neither a zip nor an encrypted package"), Hint: OldFormatHint}
	}
	a, err := archive.Open(r, size, Limits)
	if err != nil {
		return err
	}
	p.archive = a
	if err := p.readManifest(); err != nil {
		return err
	}
	if err := p.checkFiles(); err != nil {
		return err
	}
	return p.readSignatures()
}

func (p *Package) readManifest() error {
	f, ok := p.archive.Find(manifest.FileName)
	if !ok {
		fault := core.Faultf(core.Invalid, "", "", "it has no %s", manifest.FileName)
		if _, old := p.archive.Find("capsule.py"); old {
			fault.Hint = OldFormatHint
		}
		return fault
	}
	var err error
	if p.Text, err = f.ReadAll(maxManifest); err != nil {
		return err
	}
	p.Digest = sha256.Sum256(p.Text)
	p.Manifest, err = manifest.DecodeManifest(manifest.FileName, p.Text)
	return err
}

// checkFiles holds the list of the manifest and the files of the zip against each other.
func (p *Package) checkFiles() error {
	listed := make(map[string]bool, len(p.Manifest.Files))
	for _, l := range p.Manifest.Files {
		f, ok := p.archive.Find(l.Path)
		switch {
		case listed[l.Path]:
			return refuse("%s lists %q twice", manifest.FileName, l.Path)
		case l.Path == manifest.FileName || l.Path == SignatureName:
			return refuse("%s lists %q, which it cannot", manifest.FileName, l.Path)
		case !ok:
			return refuse("%q is listed in %s and not there", l.Path, manifest.FileName)
		case f.Size != l.Size:
			return refuse("%q has %d bytes, and %s says %d", l.Path, f.Size, manifest.FileName, l.Size)
		}
		listed[l.Path] = true
	}
	for _, f := range p.archive.Files {
		if !listed[f.Path] && f.Path != manifest.FileName && f.Path != SignatureName {
			return refuse("%q is there and not listed in %s", f.Path, manifest.FileName)
		}
	}
	for _, e := range p.Manifest.Programs {
		if !listed[e.Path] {
			return refuse("the program for %s, %q, is not in it", e.Platform, e.Path)
		}
	}
	return nil
}

func refuse(format string, args ...any) error {
	return core.Faultf(core.Invalid, "", "", format, args...)
}

// Close ends the package; it is safe to call twice.
func (p *Package) Close() error {
	if p.closer == nil {
		return nil
	}
	c := p.closer
	p.closer = nil
	return c.Close()
}

// listed gives the entry of the manifest for a file.
func (p *Package) listed(path string) (manifest.File, bool) {
	i := slices.IndexFunc(p.Manifest.Files, func(f manifest.File) bool { return f.Path == path })
	if i < 0 {
		return manifest.File{}, false
	}
	return p.Manifest.Files[i], true
}

// Verify reads every file and compares it with the manifest. progress may be nil.
func (p *Package) Verify(ctx context.Context, progress func(done, total int64)) error {
	var done int64
	for _, f := range p.archive.Files {
		r, err := f.Open()
		if err != nil {
			return named(p.Path, err)
		}
		sum := sha256.New()
		for err == nil {
			if ctx.Err() != nil {
				r.Close()
				return core.Faultf(core.Cancelled, "package", p.Path, "%w", context.Cause(ctx))
			}
			var n int64
			n, err = io.CopyN(sum, r, 1<<20)
			if done += n; progress != nil {
				progress(done, p.archive.Size)
			}
		}
		r.Close()
		if !errors.Is(err, io.EOF) {
			return named(p.Path, err)
		}
		if err := p.checkSum(f, hex.EncodeToString(sum.Sum(nil))); err != nil {
			return named(p.Path, err)
		}
	}
	return nil
}

func (p *Package) checkSum(f *archive.File, sum string) error {
	l, ok := p.listed(f.Path)
	if ok && l.SHA256 != sum {
		return refuse("%q has SHA-256 %s, and %s says %s", f.Path, sum, manifest.FileName, l.SHA256)
	}
	return nil
}

// Extract makes the folder dir, which must not be there yet, of the package. Every file is
// checked while it is written; on any failure nothing is left.
func (p *Package) Extract(ctx context.Context, dir string, progress func(done, total int64)) error {
	return p.extract(ctx, dir, progress, false)
}

func (p *Package) extract(ctx context.Context, dir string, progress func(done, total int64), readOnly bool) error {
	err := p.archive.Extract(ctx, dir, archive.Extraction{
		Check: p.checkSum, Progress: progress, ReadOnly: readOnly,
		Executable: func(f *archive.File) bool { l, _ := p.listed(f.Path); return l.Executable },
	})
	if err != nil && core.KindOf(err) == core.Invalid {
		return named(p.Path, err)
	}
	return err
}

var errNoKey = errors.New("it is encrypted")

// IsEncrypted says whether r begins like an encrypted package.
func IsEncrypted(r io.ReaderAt) bool {
	b := make([]byte, len(ageMagic))
	n, _ := r.ReadAt(b, 0)
	return n == len(b) && string(b) == ageMagic
}

const ageMagic = "age-encryption.org/v1\n"

// maxWork bounds the memory that a passphrase may cost to try: 2^maxWork KiB.
const maxWork = 20

func decrypt(r io.ReaderAt, size int64, key Key) (io.ReaderAt, int64, error) {
	passphrase, err := ask(key)
	if err != nil {
		return nil, 0, err
	}
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, 0, refuse("%w", err)
	}
	id.SetMaxWorkFactor(maxWork)
	plain, n, err := age.DecryptReaderAt(r, size, id)
	if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
		return nil, 0, &core.Fault{Kind: core.Denied, Err: errors.New("the key does not fit"), Hint: keyHint}
	}
	if err != nil {
		return nil, 0, refuse("it cannot be decrypted: %w", err)
	}
	return plain, n, nil
}

// ask gives the passphrase, or the fault of having none.
func ask(key Key) (string, error) {
	if key == nil {
		key = EnvKey
	}
	s, err := key()
	if err != nil {
		return "", err
	}
	if s == "" {
		return "", &core.Fault{Kind: core.Denied, Err: errNoKey, Hint: keyHint}
	}
	return s, nil
}

// WorkFactor gives the work that an encrypted package asks of every try of a passphrase, as
// the power of two of scrypt's N; 0 when it is not encrypted by a passphrase.
func WorkFactor(r io.ReaderAt) int {
	header, err := age.ExtractHeader(io.NewSectionReader(r, 0, 1<<16))
	if err != nil {
		return 0
	}
	var salt string
	var work int
	rest := string(header[min(len(header), len(ageMagic)):])
	if n, _ := fmt.Sscanf(rest, "-> scrypt %s %d", &salt, &work); n != 2 {
		return 0
	}
	return work
}
