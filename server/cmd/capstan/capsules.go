package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/sdk/onnx/files"
	"github.com/capstan-video/capstan/sdk/pack"
	"golang.org/x/term"
)

// loadCapsules is catalog.Load with a person to ask for passphrases, and to be shown how far
// packages are unpacked.
func loadCapsules(ctx context.Context, paths []string) ([]catalog.Entry, error) {
	return loadReadable(ctx, paths, nil)
}

// loadReadable is loadCapsules that passes over what cannot be read, and tells broken of it; nil:
// that is an error. A path that is not there always is.
func loadReadable(ctx context.Context, paths []string, broken func(path string, err error)) ([]catalog.Entry, error) {
	var gone error
	var tell func(string, error)
	if broken != nil {
		tell = func(path string, err error) {
			if slices.Contains(paths, path) && core.KindOf(err) == core.NotFound {
				gone = errors.Join(gone, err)
				return
			}
			broken(path, err)
		}
	}
	var shown *fetchProgress
	entries, err := catalog.Loader{Key: keyOrAsk(pack.EnvKey), Broken: tell, Progress: func(name string, done, total int64) {
		if shown == nil || shown.name != name {
			shown.stop()
			shown = &fetchProgress{name: name, w: os.Stderr}
		}
		shown.show(done, total)
	}}.Load(ctx, paths...)
	shown.stop()
	return entries, interruptedOr(ctx, errors.Join(gone, err))
}

// specOf says how a capsule of the catalogue is launched.
func specOf(e catalog.Entry, options map[string]any) (host.Spec, error) {
	if err := e.Runnable(); err != nil {
		return host.Spec{}, err
	}
	s := host.Spec{Declaration: e.Declaration, Path: e.Program(), Options: options}
	if e.Package != nil {
		s.SHA256, s.Renew = e.Package.SHA256, e.Renew
		s.Env = modelsOf(e)
	}
	return s, nil
}

// modelsOf has a capsule look for models in its own package first, wherever its program lies.
func modelsOf(e catalog.Entry) []string {
	dir := filepath.Join(e.Dir, "models")
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil
	}
	if others := os.Getenv(files.ModelsEnv); others != "" {
		dir += string(os.PathListSeparator) + others
	}
	return []string{files.ModelsEnv + "=" + dir}
}

// keyOrAsk asks on the terminal for a passphrase that key does not give.
func keyOrAsk(key pack.Key) pack.Key {
	return func() (string, error) {
		s, err := key()
		if s != "" || err != nil || !isTerminal(os.Stderr) || !term.IsTerminal(int(os.Stdin.Fd())) {
			return s, err
		}
		return askPassphrase("passphrase of the package: ")
	}
}

func askPassphrase(prompt string) (string, error) {
	fmt.Fprint(os.Stderr, prompt)
	b, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return "", fmt.Errorf("read the passphrase: %w", err)
	}
	return string(b), nil
}

// requireSigned refuses capsules that are not packages signed by a trusted key.
func requireSigned(list []chosen) error {
	trust, err := pack.EnvTrust()
	if err != nil {
		return err
	}
	if len(trust) == 0 {
		return usageError{errors.New("--require-signed: " + pack.TrustEnv + " names no public keys to trust")}
	}
	for _, c := range list {
		name := "capsule " + c.entry.Declaration.Name
		if c.entry.Package == nil {
			return core.Faultf(core.Denied, name, c.entry.File, "it is a folder, which nobody can sign, and signed ones are required")
		}
		if _, ok := trust.Signer(c.entry.Package.Signatures); !ok {
			f := core.Faultf(core.Denied, name, c.entry.File, "none of the %d trusted keys has signed it", len(trust))
			f.Hint = "capstan capsule verify says who has"
			return f
		}
	}
	return nil
}
