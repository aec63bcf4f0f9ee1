// Package secrets hides what is kept on disk, such as the passwords of cameras, with a key that
// lies in a file of its own beside the database: a copy of the database alone gives nothing away.
package secrets

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/capstan-video/capstan/core"
)

// Box seals and opens with one key, by XChaCha20-Poly1305. It is safe for use by several
// goroutines.
type Box struct {
	aead cipher.AEAD
	key  []byte
}

// Derive gives a key of 32 bytes for another purpose, the same for as long as the box's key is.
func (b *Box) Derive(purpose string) []byte {
	mac := hmac.New(sha256.New, b.key)
	mac.Write([]byte("capstan " + purpose))
	return mac.Sum(nil)
}

// Open gives the box of the key in a file, and makes the file, readable by its owner alone, where
// there is none. It fails with a *core.Fault: Invalid for a file that holds no key or that others
// may read.
func Open(path string) (*Box, error) {
	key, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = create(path)
	}
	if err != nil {
		var f *core.Fault
		if errors.As(err, &f) {
			return nil, err
		}
		f = core.Faultf(core.Invalid, "secrets", path, "the key cannot be had: %w", err)
		f.Hint = "the data folder must be this user's own"
		return nil, f
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, core.Faultf(core.Internal, "secrets", path, "%w", err)
	}
	return &Box{aead, key}, nil
}

func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); mode.Perm()&0o077 != 0 || !mode.IsRegular() {
		f := core.Faultf(core.Invalid, "secrets", path, "others may read the key: its mode is %s", mode)
		f.Hint = "chmod 600 " + path
		return nil, f
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != chacha20poly1305.KeySize {
		f := core.Faultf(core.Invalid, "secrets", path, "there is no key in it: want %d hexadecimal digits", 2*chacha20poly1305.KeySize)
		f.Hint = "put the file of a backup back; without it what was sealed is lost"
		return nil, f
	}
	return key, nil
}

// create writes a new key, whole or not at all. When another process was faster, its key holds.
func create(path string) ([]byte, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key := make([]byte, chacha20poly1305.KeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(dir, ".key-*") // made with mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	_, err = fmt.Fprintln(file, hex.EncodeToString(key))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(file.Name(), path); errors.Is(err, fs.ErrExist) {
		return read(path)
	} else if err != nil {
		return nil, err
	}
	return key, syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Seal hides plain. What is opened must be asked for by the same context, which is not hidden: it
// keeps what was sealed as one thing from being used as another.
func (b *Box) Seal(plain []byte, context string) ([]byte, error) {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	if _, err := rand.Read(nonce); err != nil {
		return nil, core.Faultf(core.Internal, "secrets", context, "%w", err)
	}
	return b.aead.Seal(nonce, nonce, plain, []byte(context)), nil
}

// Unseal gives what was sealed: Denied when it was sealed with another key, as something else, or
// was changed since.
func (b *Box) Unseal(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, denied(context)
	}
	plain, err := b.aead.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], []byte(context))
	if err != nil {
		return nil, denied(context)
	}
	return plain, nil
}

func denied(context string) error {
	f := core.Faultf(core.Denied, "secrets", context, "it was sealed with another key, or was changed")
	f.Hint = "put the key file back that belongs to this database"
	return f
}
