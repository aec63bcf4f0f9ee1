package pack

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"unicode"
	"unicode/utf8"

	"filippo.io/age"
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/pack/archive"
)

// Writing says how a folder becomes a package.
type Writing struct {
	Out string // the file, which ends with Extension; one that is there is replaced
	// Programs stand in for the entry of the folder's manifest.
	Programs []manifest.Program
	// Extra are files from elsewhere: path in the package to path on disk.
	Extra map[string]string
	// Passphrase encrypts the package, "" does not.
	Passphrase string
	// Progress is told of bytes read; every byte is read twice. nil: nobody is told.
	Progress func(done, total int64)

	WorkFactor int // of scrypt, a power of two; 0: age's own choice, 18
}

// Written is what became of a folder.
type Written struct {
	Digest   Digest
	Manifest manifest.Manifest
	Size     int64 // of the package, in bytes
}

// MinPassphrase is the least length of a passphrase that encrypts, in bytes.
const MinPassphrase = 8

// Write makes a package of the folder dir, whose capsule.yaml says what it is. The same files
// give the same bytes, on any machine, unless it is encrypted. Names that begin with a dot,
// caches of Python, packages and private keys are left out, and what the folder's .capignore
// names. The file appears as a whole or not at all.
func Write(ctx context.Context, dir string, w Writing) (Written, error) {
	var out Written
	if filepath.Ext(w.Out) != Extension {
		f := core.Faultf(core.Invalid, "pack", w.Out, "the name of a package ends with %s", Extension)
		return out, f
	}
	if n := len(w.Passphrase); n > 0 && n < MinPassphrase {
		return out, core.Faultf(core.Invalid, "pack", w.Out, "a passphrase of %d bytes is guessed soon; want %d or more", n, MinPassphrase)
	}
	if w.WorkFactor < 0 || w.WorkFactor > maxWork {
		return out, core.Faultf(core.Invalid, "pack", w.Out, "work factor %d is not within 1..%d", w.WorkFactor, maxWork)
	}
	path := filepath.Join(dir, manifest.FileName)
	text, err := manifest.ReadFile(path)
	if err != nil {
		return out, err
	}
	m, err := manifest.DecodeManifest(path, text)
	if err != nil {
		return out, err
	}
	s := &sources{dir: dir, ctx: ctx, progress: w.Progress}
	if err := s.gather(w.Extra); err != nil {
		return out, err
	}
	if len(w.Programs) > 0 {
		m.Programs = slices.Clone(w.Programs)
	}
	if err := s.programs(&m); err != nil {
		return out, err
	}
	if m.Files, err = s.hash(); err != nil {
		return out, err
	}
	if err := s.checkModels(m); err != nil {
		return out, err
	}
	out.Manifest = m
	if out.Digest, err = s.write(w, m); err != nil {
		return out, err
	}
	info, err := os.Stat(w.Out)
	if err != nil {
		return out, err
	}
	out.Size = info.Size()
	return out, nil
}

// write makes the file of the manifest and the sources.
func (s *sources) write(w Writing, m manifest.Manifest) (Digest, error) {
	text, err := m.Encode()
	if err != nil {
		return Digest{}, err
	}
	if len(text) > maxManifest {
		return Digest{}, core.Faultf(core.Invalid, "pack", s.dir, "its manifest would have %d bytes, more than %d: it has too many files", len(text), maxManifest)
	}
	o := outcome{path: w.Out, passphrase: w.Passphrase, workFactor: w.WorkFactor}
	err = o.write(func(z *zip.Writer) error {
		if err := writeText(z, manifest.FileName, text); err != nil {
			return err
		}
		spool, err := os.CreateTemp(filepath.Dir(w.Out), ".pack-*")
		if err != nil {
			return core.Faultf(core.Denied, "pack", w.Out, "%w", cause(err))
		}
		defer os.Remove(spool.Name())
		defer spool.Close()
		for i, f := range m.Files {
			if err := s.add(z, spool, s.list[i], f); err != nil {
				return err
			}
		}
		return nil
	})
	return sha256.Sum256(text), err
}

// header gives a header without anything that is not of the content: no time, no owner.
func header(name string, executable bool) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, CreatorVersion: 3 << 8, ReaderVersion: 20}
	h.ModifiedDate = 1<<5 | 1 //lint:ignore SA1019 1 January 1980; CreateRaw looks at no other field
	mode := uint32(0o100644)
	if executable {
		mode = 0o100755
	}
	h.ExternalAttrs = mode << 16
	if !isASCII(name) && utf8.ValidString(name) {
		h.Flags |= 0x800
	}
	return h
}

func isASCII(s string) bool {
	for _, r := range s {
		if r > unicode.MaxASCII {
			return false
		}
	}
	return true
}

// writeText stores a small file.
func writeText(z *zip.Writer, name string, text []byte) error {
	h := header(name, false)
	h.Method, h.CRC32 = zip.Store, crc32.ChecksumIEEE(text)
	h.CompressedSize64, h.UncompressedSize64 = uint64(len(text)), uint64(len(text))
	w, err := z.CreateRaw(h)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// add writes one file, compressed where that helps: it is stored where less than a twentieth
// would be saved, or so much that readers take it for a bomb.
func (s *sources) add(z *zip.Writer, spool *os.File, src source, f manifest.File) error {
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := spool.Truncate(0); err != nil {
		return err
	}
	crc, sum := crc32.NewIEEE(), sha256.New()
	packed := &counter{w: spool}
	deflate, err := flate.NewWriter(packed, flate.DefaultCompression)
	if err != nil {
		return err
	}
	n, err := s.read(src, io.MultiWriter(crc, sum, deflate))
	if err := errors.Join(err, deflate.Close()); err != nil {
		return err
	}
	if n != f.Size || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return core.Faultf(core.Invalid, "pack", src.disk, "it changed while it was packed")
	}
	h := header(f.Path, f.Executable)
	h.Method, h.CRC32, h.UncompressedSize64, h.CompressedSize64 = zip.Deflate, crc.Sum32(), uint64(n), uint64(packed.n)
	store := packed.n > n-n/20 || n/Limits.Ratio >= packed.n
	if store {
		h.Method, h.CompressedSize64 = zip.Store, uint64(n)
	}
	w, err := z.CreateRaw(h)
	if err != nil {
		return err
	}
	if store {
		return s.store(w, src, f)
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(w, spool)
	return err
}

// store copies a file as it is; it was read before, so nobody is told of the progress.
func (s *sources) store(w io.Writer, src source, f manifest.File) error {
	quiet := *s
	quiet.progress = nil
	n, err := quiet.read(src, w)
	if err == nil && n != f.Size {
		err = core.Faultf(core.Invalid, "pack", src.disk, "it changed while it was packed")
	}
	return err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// outcome is a file that is written beside its place, read again, and renamed.
type outcome struct {
	path       string
	passphrase string
	workFactor int
}

func (o outcome) write(fill func(z *zip.Writer) error) (err error) {
	part, err := os.CreateTemp(filepath.Dir(o.path), "."+filepath.Base(o.path)+"-*")
	if err != nil {
		return core.Faultf(core.Denied, "pack", o.path, "%w", cause(err))
	}
	defer func() {
		part.Close()
		if err != nil {
			os.Remove(part.Name())
		}
	}()
	var to io.WriteCloser = part
	if o.passphrase != "" {
		if to, err = o.encrypt(part); err != nil {
			return err
		}
	}
	z := zip.NewWriter(to)
	if err := errors.Join(fill(z), z.Close()); err != nil {
		return err
	}
	if o.passphrase != "" {
		if err := to.Close(); err != nil { // the last part of the encryption; part stays open
			return err
		}
	}
	if err := o.check(part); err != nil {
		return err
	}
	if err := errors.Join(part.Chmod(0o644), part.Sync()); err != nil {
		return err
	}
	if err := os.Rename(part.Name(), o.path); err != nil {
		return core.Faultf(core.Denied, "pack", o.path, "%w", err)
	}
	return nil
}

func (o outcome) encrypt(to io.Writer) (io.WriteCloser, error) {
	r, err := age.NewScryptRecipient(o.passphrase)
	if err != nil {
		return nil, err
	}
	if o.workFactor > 0 {
		r.SetWorkFactor(o.workFactor)
	}
	return age.Encrypt(to, r)
}

// check reads the package as everybody else will: what they would refuse is not written.
func (o outcome) check(part *os.File) error {
	info, err := part.Stat()
	if err != nil {
		return err
	}
	p, err := Read(part, info.Size(), o.path, func() (string, error) { return o.passphrase, nil })
	if err != nil {
		return err
	}
	return p.Close()
}

// rewrite makes the package again, with these signatures.
func (p *Package) rewrite(o outcome, list []Signature) error {
	if o.passphrase != "" {
		f, err := os.Open(p.Path)
		if err != nil {
			return err
		}
		o.workFactor = WorkFactor(f)
		f.Close()
	}
	return o.write(func(z *zip.Writer) error {
		for _, f := range p.archive.Files {
			if f.Path == SignatureName {
				continue
			}
			if err := copyRaw(z, f); err != nil {
				return err
			}
		}
		var text bytes.Buffer
		for _, s := range list {
			text.WriteString(s.line())
		}
		return writeText(z, SignatureName, text.Bytes())
	})
}

func copyRaw(z *zip.Writer, f *archive.File) error {
	h, r, err := f.Raw()
	if err != nil {
		return err
	}
	w, err := z.CreateRaw(&h)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}
