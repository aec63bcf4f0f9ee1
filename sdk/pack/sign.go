package pack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// TrustEnv names a list of files and folders with public keys (*.pub) that are trusted.
const TrustEnv = "CAPSTAN_TRUST"

// maxSignatures bounds capsule.sig: one line each.
const maxSignatures = 16

// PublicKey is the half of a key pair that others have.
type PublicKey struct{ key ed25519.PublicKey }

// PrivateKey is the half of a key pair that signs.
type PrivateKey struct{ key ed25519.PrivateKey }

// NewKey makes a key pair.
func NewKey() (PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return PrivateKey{key}, err
}

// Public gives the other half.
func (k PrivateKey) Public() PublicKey { return PublicKey{k.key.Public().(ed25519.PublicKey)} }

// Fingerprint names a key in 50 characters: SHA256: and the base64 of the SHA-256 of its 32 bytes.
func (k PublicKey) Fingerprint() string {
	sum := sha256.Sum256(k.key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Equal says whether both are the same key.
func (k PublicKey) Equal(o PublicKey) bool { return k.key.Equal(o.key) }

// Signature is one that fits its package.
type Signature struct {
	By  PublicKey
	sig []byte
}

// message is what is signed: never anything that another program might have signed.
func (d Digest) message() []byte { return []byte("capstan capsule package 1\n" + d.String() + "\n") }

// line gives a signature as it stands in capsule.sig.
func (s Signature) line() string {
	e := base64.StdEncoding
	return "ed25519 " + e.EncodeToString(s.By.key) + " " + e.EncodeToString(s.sig) + "\n"
}

func (p *Package) readSignatures() error {
	f, ok := p.archive.Find(SignatureName)
	if !ok {
		return nil
	}
	text, err := f.ReadAll(1 << 12)
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		s, err := parseSignature(lines.Text())
		if err != nil {
			return err
		}
		if !ed25519.Verify(s.By.key, p.Digest.message(), s.sig) {
			return refuse("it was changed after it was signed: the signature by %s does not fit", s.By.Fingerprint())
		}
		if slices.ContainsFunc(p.Signatures, func(o Signature) bool { return o.By.Equal(s.By) }) {
			return refuse("%s has two signatures by %s", SignatureName, s.By.Fingerprint())
		}
		p.Signatures = append(p.Signatures, s)
	}
	if n := len(p.Signatures); n == 0 || n > maxSignatures {
		return refuse("%s has %d signatures, want 1..%d", SignatureName, n, maxSignatures)
	}
	return nil
}

func parseSignature(line string) (Signature, error) {
	parts := strings.Split(line, " ")
	var s Signature
	if len(parts) != 3 || parts[0] != "ed25519" {
		return s, refuse("%s has a line that is no signature", SignatureName)
	}
	key, err1 := base64.StdEncoding.Strict().DecodeString(parts[1])
	sig, err2 := base64.StdEncoding.Strict().DecodeString(parts[2])
	if errors.Join(err1, err2) != nil || len(key) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		return s, refuse("%s has a line that is no signature", SignatureName)
	}
	return Signature{PublicKey{key}, sig}, nil
}

// Sign adds a signature to the package at path, or makes the one of the same key anew. An
// encrypted package needs its passphrase. The file is replaced as a whole or not at all. It gives the digest
// that was signed; all files are checked against it before.
func Sign(ctx context.Context, path string, with PrivateKey, key Key, progress func(done, total int64)) (Digest, error) {
	key = Once(orEnv(key))
	p, err := Open(path, key)
	if err != nil {
		return Digest{}, err
	}
	defer p.Close()
	if err := p.Verify(ctx, progress); err != nil {
		return Digest{}, err
	}
	sig := Signature{with.Public(), ed25519.Sign(with.key, p.Digest.message())}
	list := slices.DeleteFunc(slices.Clone(p.Signatures), func(s Signature) bool { return s.By.Equal(sig.By) })
	list = append(list, sig)
	slices.SortFunc(list, func(a, b Signature) int { return bytes.Compare(a.By.key, b.By.key) })
	if len(list) > maxSignatures {
		return Digest{}, core.Faultf(core.Invalid, "package", path, "it has %d signatures already", maxSignatures)
	}
	o := outcome{path: path}
	if p.Encrypted {
		if o.passphrase, err = key(); err != nil {
			return Digest{}, err
		}
	}
	return p.Digest, p.rewrite(o, list)
}

func orEnv(key Key) Key {
	if key == nil {
		return EnvKey
	}
	return key
}

// Save writes the pair to PREFIX.key (mode 0600) and PREFIX.pub (0644). Neither may be there.
func (k PrivateKey) Save(prefix string) error {
	private, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(k.Public().key)
	if err != nil {
		return err
	}
	if err := saveNew(prefix+".key", 0o600, &pem.Block{Type: "PRIVATE KEY", Bytes: private}); err != nil {
		return err
	}
	if err := saveNew(prefix+".pub", 0o644, &pem.Block{Type: "PUBLIC KEY", Bytes: public}); err != nil {
		return errors.Join(err, os.Remove(prefix+".key"))
	}
	return nil
}

func saveNew(path string, mode os.FileMode, block *pem.Block) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		fault := core.Faultf(core.Denied, "key", path, "%w", cause(err))
		if errors.Is(err, fs.ErrExist) {
			fault.Kind, fault.Hint = core.Exists, "a key that is lost cannot be made again: choose another name"
		}
		return fault
	}
	if err := errors.Join(f.Chmod(mode), pem.Encode(f, block), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// cause is err without the path, which the fault names itself.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func loadPEM(path, kind string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > 1<<14) {
		return nil, core.Faultf(core.Invalid, "key", path, "it is no key file")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, core.Faultf(core.NotFound, "key", path, "%w", cause(err))
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		f := core.Faultf(core.Invalid, "key", path, "it has no %s in PEM form", strings.ToLower(kind))
		f.Hint = "make a pair by: capstan capsule keys NAME"
		return nil, f
	}
	return block.Bytes, nil
}

// LoadPrivate reads the file that Save wrote, or any PKCS #8 file with an Ed25519 key. One that
// others may read is refused.
func LoadPrivate(path string) (PrivateKey, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		f := core.Faultf(core.Denied, "key", path, "others may read it (mode %04o)", info.Mode().Perm())
		f.Hint = "chmod 600 " + path
		return PrivateKey{}, f
	}
	der, err := loadPEM(path, "PRIVATE KEY")
	if err != nil {
		return PrivateKey{}, err
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := k.(ed25519.PrivateKey)
	if err != nil || !ok {
		return PrivateKey{}, core.Faultf(core.Invalid, "key", path, "it is no Ed25519 key (%v)", or(err, fmt.Errorf("%T", k)))
	}
	return PrivateKey{key}, nil
}

func or(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// LoadPublic reads a public key: PEM, as Save writes it.
func LoadPublic(path string) (PublicKey, error) {
	der, err := loadPEM(path, "PUBLIC KEY")
	if err != nil {
		return PublicKey{}, err
	}
	k, err := x509.ParsePKIXPublicKey(der)
	key, ok := k.(ed25519.PublicKey)
	if err != nil || !ok {
		return PublicKey{}, core.Faultf(core.Invalid, "key", path, "it is no Ed25519 key (%v)", or(err, fmt.Errorf("%T", k)))
	}
	return PublicKey{key}, nil
}

// Trusted is a key that somebody chose to believe.
type Trusted struct {
	PublicKey
	Name string // of its file, without .pub
}

// Trust is a list of trusted keys.
type Trust []Trusted

// LoadTrust reads public keys from files, and from the *.pub files of folders.
func LoadTrust(paths ...string) (Trust, error) {
	var t Trust
	for _, path := range paths {
		files := []string{path}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(globEscape(path), "*.pub")); err != nil {
				return nil, err
			}
		}
		for _, f := range files {
			key, err := LoadPublic(f)
			if err != nil {
				return nil, err
			}
			t = append(t, Trusted{key, strings.TrimSuffix(filepath.Base(f), ".pub")})
		}
	}
	return t, nil
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func globEscape(s string) string { return globEscaper.Replace(s) }

// EnvTrust is LoadTrust of what the environment names.
func EnvTrust() (Trust, error) {
	if list := os.Getenv(TrustEnv); list != "" {
		return LoadTrust(filepath.SplitList(list)...)
	}
	return nil, nil
}

// Signer gives the first trusted key that signed; false when none did.
func (t Trust) Signer(list []Signature) (Trusted, bool) {
	for _, key := range t {
		if slices.ContainsFunc(list, func(s Signature) bool { return s.By.Equal(key.PublicKey) }) {
			return key, true
		}
	}
	return Trusted{}, false
}
