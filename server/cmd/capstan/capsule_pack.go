package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/models"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// packFlags are the settings of capstan capsule pack.
type packFlags struct {
	out        string
	entries    []string
	withModels bool
	encrypt    bool
	keyFile    string
	sign       string
	quiet      bool
}

const keyFileUsage = "read the passphrase from the first line of `FILE` (default: $CAPSTAN_CAPSULE_KEY, the file $CAPSTAN_CAPSULE_KEY_FILE, or ask on a terminal)"

func packCommand() *cobra.Command {
	var f packFlags
	cmd := &cobra.Command{
		Use:   "pack DIR",
		Short: "Make a package, NAME.cap, of a capsule's folder",
		Long: `Make one file of a folder with a capsule.yaml and the program that it names. The same files give
the same bytes. Left out are names that begin with a dot, *.cap, *.key, what Python leaves
behind, and what the folder's .capignore names. docs/reference/packages.md has the format.

Models stay where the manifest's URLs point; --with-models takes the files in.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: `  capstan capsule pack .
  capstan capsule pack build -o dist/detector_fire.cap --with-models
  capstan capsule pack build --entry linux/amd64=bin/amd64/fire --entry linux/arm64=bin/arm64/fire
  CAPSTAN_CAPSULE_KEY_FILE=secret.txt capstan capsule pack build --encrypt`,
		Args: oneArgument("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return packFolder(cmd.Context(), cmd.OutOrStdout(), args[0], f)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVarP(&f.out, "output", "o", "", "write to `FILE.cap` (default: NAME.cap here)")
	fl.StringArrayVar(&f.entries, "entry", nil, "the program of a platform, in place of the manifest's entry, repeatable: `linux/amd64=bin/x`")
	fl.BoolVar(&f.withModels, "with-models", false, "take in the model files that the manifest names")
	fl.StringVar(&f.sign, "sign", "", "sign with the private key in `FILE.key`")
	fl.BoolVar(&f.encrypt, "encrypt", false, "encrypt with a passphrase")
	fl.StringVar(&f.keyFile, "key-file", "", keyFileUsage)
	fl.BoolVar(&f.quiet, "quiet", false, "no progress")
	return cmd
}

func packFolder(ctx context.Context, w io.Writer, dir string, f packFlags) error {
	m, err := manifest.Load(filepath.Join(dir, manifest.FileName))
	if err != nil {
		return err
	}
	if f.out == "" {
		f.out = m.Name + pack.Extension
	}
	shown := &fetchProgress{name: filepath.Base(f.out), quiet: f.quiet, w: os.Stderr}
	o := pack.Writing{Out: f.out, Progress: shown.show}
	if o.Programs, err = parsePrograms(f.entries); err != nil {
		return err
	}
	if f.withModels {
		if o.Extra, err = modelFiles(m, dir); err != nil {
			return err
		}
	}
	if f.encrypt {
		if o.Passphrase, err = newPassphrase(f.keyFile); err != nil {
			return err
		}
	}
	var with pack.PrivateKey
	if f.sign != "" {
		if with, err = pack.LoadPrivate(f.sign); err != nil {
			return err
		}
	}
	done, err := pack.Write(ctx, dir, o)
	shown.stop()
	if err == nil && f.sign != "" {
		_, err = pack.Sign(ctx, f.out, with, func() (string, error) { return o.Passphrase, nil }, nil)
	}
	if err != nil {
		return interruptedOr(ctx, err)
	}
	return reportPacked(w, f.out, done)
}

func reportPacked(w io.Writer, path string, p pack.Written) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: %s %s for %s, %d files, %s\ndigest %s\n", path, p.Manifest.Name, p.Manifest.Version,
		strings.Join(p.Manifest.Platforms(), ", "), len(p.Manifest.Files), bytesText(info.Size()), p.Digest)
	return err
}

// bytesText says a size for people.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}

func parsePrograms(texts []string) ([]manifest.Program, error) {
	var list []manifest.Program
	for _, t := range texts {
		platform, path, ok := strings.Cut(t, "=")
		if !ok || platform == "" || path == "" {
			return nil, usageError{fmt.Errorf("--entry %q: want platform=path, such as linux/amd64=bin/x", t)}
		}
		list = append(list, manifest.Program{Platform: platform, Path: path})
	}
	return list, nil
}

// modelFiles finds the files of the manifest's models on this machine, whole.
func modelFiles(d core.Declaration, dir string) (map[string]string, error) {
	wanted, err := models.Needed([]catalog.Entry{{Declaration: d, Dir: dir}})
	if err != nil {
		return nil, err
	}
	var list []lookedAt
	extra := map[string]string{}
	for _, m := range wanted {
		found, err := m.Look(nil)
		if err != nil {
			return nil, err
		}
		list = append(list, lookedAt{m, found})
		if found.State != models.Here {
			continue
		}
		extra["models/"+m.File] = found.Path
		if rel, err := filepath.Rel(dir, found.Path); err == nil && filepath.IsLocal(rel) {
			delete(extra, "models/"+m.File) // it lies in the folder and is packed with it
		}
	}
	return extra, judgeModels(list)
}

// newPassphrase gives the passphrase to encrypt with; on a terminal it is asked for twice.
func newPassphrase(keyFile string) (string, error) {
	s, err := givenKey(keyFile)()
	if s != "" || err != nil {
		return s, err
	}
	if !isTerminal(os.Stderr) || !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", usageError{fmt.Errorf("--encrypt: there is no passphrase; give it in %s, in a file by --key-file or %s, or on a terminal", pack.KeyEnv, pack.KeyFileEnv)}
	}
	first, err := askPassphrase("passphrase to encrypt with: ")
	if err != nil {
		return "", err
	}
	second, err := askPassphrase("once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", usageError{errors.New("the two passphrases differ")}
	}
	return first, nil
}

// givenKey gives the passphrase of the file, else of the environment.
func givenKey(keyFile string) pack.Key {
	if keyFile != "" {
		return pack.FileKey(keyFile)
	}
	return pack.EnvKey
}
