package pack

import (
	"bytes"
	"os"
	"unicode/utf8"

	"github.com/capstan-video/capstan/core"
)

// Key gives the passphrase of encrypted packages, "" when there is none. It may ask a person.
type Key func() (string, error)

// The environment variables that give the passphrase: itself, or a file whose first line it is.
const (
	KeyEnv     = "CAPSTAN_CAPSULE_KEY"
	KeyFileEnv = "CAPSTAN_CAPSULE_KEY_FILE"
)

const keyHint = "give the passphrase in " + KeyEnv + ", or name a file that holds it in " + KeyFileEnv

// EnvKey gives the passphrase that the environment names.
func EnvKey() (string, error) {
	if s := os.Getenv(KeyEnv); s != "" {
		return s, nil
	}
	if path := os.Getenv(KeyFileEnv); path != "" {
		return FileKey(path)()
	}
	return "", nil
}

// FileKey gives the first line of a file.
func FileKey(path string) Key {
	return func() (string, error) {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", core.Faultf(core.Denied, "key file", path, "%w", cause(err))
		}
		line, _, _ := bytes.Cut(data, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 || len(line) > 1024 || !utf8.Valid(line) {
			return "", core.Faultf(core.Invalid, "key file", path, "its first line is not a passphrase of 1 to 1024 bytes")
		}
		return string(line), nil
	}
}

// Once remembers the answer of key, so that a person is asked but once.
func Once(key Key) Key {
	var s string
	var err error
	asked := false
	return func() (string, error) {
		if !asked {
			s, err = key()
			asked = true
		}
		return s, err
	}
}
