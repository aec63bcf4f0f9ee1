// Package vcap reads packages of the older Python format, OpenVisionCapsules: what they hold,
// without running any of it.
//
// Such a package is a zip with capsule.py and meta.conf at its root. It has no manifest and no
// check sums. It may be encrypted as a whole by AES-EAX, with the bytes of a passphrase as the
// key and nothing that tells it from noise.
package vcap

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"errors"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ProtonMail/go-crypto/eax"
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/pack/archive"
)

// The files that make a zip a capsule.
const (
	Code = "capsule.py"
	Meta = "meta.conf"
)

// Limits are those of a package. Caches and empty folders are packed too, so there may be many.
var Limits = archive.Limits{File: 2 << 30, Total: 3 << 30, Count: 20_000, Ratio: 200, Folders: true}

// maxEncrypted bounds an encrypted package, which is decrypted in memory, in bytes.
const maxEncrypted = 1 << 30

// Package is an open package. Close ends it.
type Package struct {
	Path      string
	Size      int64 // of the file, in bytes
	Encrypted bool
	API       string // what meta.conf says of the interface, "0.3"
	Name      string // as capsule.py seems to state it; "" where it cannot be seen
	Version   string // likewise

	archive *archive.Archive
	closer  io.Closer
}

func fault(path string, kind core.Kind, format string, args ...any) *core.Fault {
	return core.Faultf(kind, "older package", path, format, args...)
}

// Open opens the package at path. key decrypts one that is no zip; empty: there is none. A
// package without capsule.py or meta.conf at its root, or with anything harmful in it, is a
// fault of kind Invalid; one that is encrypted, or has another key, is one of kind Denied.
func Open(path string, key []byte) (*Package, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault(path, core.NotFound, "%w", err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fault(path, core.Invalid, "it is not a file")
	}
	p, err := Read(f, info.Size(), path, key)
	if err != nil {
		f.Close()
		return nil, err
	}
	p.closer = f
	return p, nil
}

// Read is Open for size bytes of r, which must stay readable while the package is in use.
func Read(r io.ReaderAt, size int64, name string, key []byte) (*Package, error) {
	p := &Package{Path: name, Size: size}
	if !archive.IsZip(r, size) {
		plain, err := decryptAll(r, size, name, key)
		if err != nil {
			return nil, err
		}
		p.Encrypted = true
		r, size = bytes.NewReader(plain), int64(len(plain))
	}
	var err error
	if p.archive, err = archive.Open(r, size, Limits); err != nil {
		return nil, fault(name, core.Invalid, "%w", err)
	}
	if err := p.examine(); err != nil {
		return nil, err
	}
	return p, nil
}

func decryptAll(r io.ReaderAt, size int64, name string, key []byte) ([]byte, error) {
	switch {
	case len(key) == 0:
		f := fault(name, core.Denied, "it is no zip: it is encrypted, or no package")
		f.Hint = "give its key"
		return nil, f
	case size > maxEncrypted:
		return nil, fault(name, core.Invalid, "it has %d bytes; encrypted ones may have %d", size, maxEncrypted)
	}
	data := make([]byte, size)
	if n, err := r.ReadAt(data, 0); int64(n) < size {
		return nil, fault(name, core.Invalid, "%w", err)
	}
	plain, err := Decrypt(key, data)
	if err != nil {
		return nil, fault(name, core.KindOf(err), "%w", err)
	}
	return plain, nil
}

const (
	nonceSize = 16
	tagSize   = 16
)

// Decrypt gives the zip of an encrypted package: nonce, tag, ciphertext. key has 16, 24 or 32
// bytes.
func Decrypt(key, data []byte) ([]byte, error) {
	if n := len(key); n != 16 && n != 24 && n != 32 {
		return nil, core.Faultf(core.Denied, "", "", "the key has %d bytes; keys of this format have 16, 24 or 32", n)
	}
	if len(data) < nonceSize+tagSize {
		return nil, core.Faultf(core.Invalid, "", "", "it has %d bytes and is no encrypted package", len(data))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := eax.NewEAXWithNonceAndTagSize(block, nonceSize, tagSize)
	if err != nil {
		return nil, err
	}
	nonce, tag, text := data[:nonceSize], data[nonceSize:nonceSize+tagSize], data[nonceSize+tagSize:]
	plain, err := aead.Open(nil, nonce, slices.Concat(text, tag), nil)
	if err != nil {
		return nil, core.Faultf(core.Denied, "", "", "the key does not fit, or the file is damaged")
	}
	return plain, nil
}

// IsPackage says whether a zip has what makes it a package of this format.
func IsPackage(a *archive.Archive) bool {
	_, code := a.Find(Code)
	_, meta := a.Find(Meta)
	return code && meta
}

// maxText bounds what is read of meta.conf and capsule.py, in bytes.
const maxText = 4 << 20

func (p *Package) examine() error {
	for _, name := range []string{Code, Meta} {
		if _, ok := p.archive.Find(name); !ok {
			return fault(p.Path, core.Invalid, "it has no %s at its root", name)
		}
	}
	meta, err := p.ReadFile(Meta, maxText)
	if err != nil {
		return err
	}
	if p.API, err = parseMeta(meta); err != nil {
		return fault(p.Path, core.Invalid, "%s: %w", Meta, err)
	}
	code, err := p.ReadFile(Code, maxText)
	if err != nil {
		return err
	}
	p.Name, p.Version = first(nameText, code), first(versionText, code)
	return nil
}

var (
	nameText    = regexp.MustCompile(`(?m)^[ \t]+name(?:[ \t]*:[ \t]*str)?[ \t]*=[ \t]*["']([A-Za-z0-9_]+)["']`)
	versionText = regexp.MustCompile(`(?m)^[ \t]+version(?:[ \t]*:[ \t]*int)?[ \t]*=[ \t]*([0-9]+)`)
)

func first(r *regexp.Regexp, text []byte) string {
	if m := r.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// parseMeta gives api_compatibility_version of the section [about].
func parseMeta(text []byte) (string, error) {
	about := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			continue
		case line[0] == '[':
			about = line == "[about]"
			continue
		}
		i := strings.IndexAny(line, "=:")
		if about && i > 0 && strings.EqualFold(strings.TrimSpace(line[:i]), "api_compatibility_version") {
			return strings.TrimSpace(line[i+1:]), nil
		}
	}
	return "", errors.New("it has no section [about] with api_compatibility_version")
}

// API is the version of the interface that can be run: 0.3.
const (
	apiMajor = 0
	apiMinor = 3
)

var apiText = regexp.MustCompile(`^([0-9]+)\.([0-9]+)$`)

// CheckAPI says why a package made for this version of the interface cannot be run: a fault of
// kind CapsuleVersion, or Invalid where it is no version.
func CheckAPI(version string) error {
	m := apiText.FindStringSubmatch(version)
	if m == nil {
		return core.Faultf(core.Invalid, "older package", "", "api_compatibility_version %q is not major.minor", version)
	}
	major, err1 := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	if errors.Join(err1, err2) != nil || major != apiMajor || minor != apiMinor {
		return core.Faultf(core.CapsuleVersion, "older package", "", "it is made for interface %s, and only %d.%d can be run", version, apiMajor, apiMinor)
	}
	return nil
}

// File is one file of a package.
type File struct {
	Path string
	Size int64 // bytes
}

// Files lists the files in the order of the zip.
func (p *Package) Files() []File {
	l := make([]File, 0, len(p.archive.Files))
	for _, f := range p.archive.Files {
		l = append(l, File{f.Path, f.Size})
	}
	return l
}

// modelEndings are how files of networks end.
var modelEndings = []string{".pb", ".tflite", ".bin", ".xml", ".h5", ".onnx", ".pt", ".pth", ".caffemodel", ".weights", ".engine"}

// Models lists the files that look like networks.
func (p *Package) Models() []File {
	return slices.DeleteFunc(p.Files(), func(f File) bool { return !slices.Contains(modelEndings, strings.ToLower(path.Ext(f.Path))) })
}

// ReadFile gives the content of one file of at most limit bytes.
func (p *Package) ReadFile(name string, limit int64) ([]byte, error) {
	f, ok := p.archive.Find(name)
	if !ok {
		return nil, fault(p.Path, core.NotFound, "it has no %s", name)
	}
	data, err := f.ReadAll(limit)
	if err != nil {
		return nil, fault(p.Path, core.Invalid, "%w", err)
	}
	return data, nil
}

// Extract makes the folder dir, which must not be there yet, of the package, as a whole or not at
// all. progress may be nil.
func (p *Package) Extract(ctx context.Context, dir string, progress func(done, total int64)) error {
	return p.archive.Extract(ctx, dir, archive.Extraction{Progress: progress})
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
