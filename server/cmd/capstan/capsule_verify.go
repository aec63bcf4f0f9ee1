package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/spf13/cobra"
)

// verifyFlags are the settings of capstan capsule verify.
type verifyFlags struct {
	trust   []string
	keyFile string
	quiet   bool
}

func verifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify FILE.cap",
		Short: "Check every file of a package, and who has signed it",
		Long: `Read every file of a package and compare it with the manifest, check every signature, and name
the keys by their fingerprints. Where keys are trusted, by --trust or the folder $CAPSTAN_TRUST,
one of them has to have signed.

Exit status: 0 whole (and signed by a trusted key, where there are any), 1 not, 2 wrong usage.`,
		Example: `  capstan capsule verify detector_fire.cap
  capstan capsule verify detector_fire.cap --trust anna.pub`,
		Args: oneArgument("FILE.cap"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return interruptedOr(cmd.Context(), verify(cmd.Context(), cmd.OutOrStdout(), args[0], f))
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVar(&f.trust, "trust", nil, "trust the public key in `FILE.pub`, or those of a folder, repeatable (default: $CAPSTAN_TRUST)")
	fl.StringVar(&f.keyFile, "key-file", "", keyFileUsage)
	fl.BoolVar(&f.quiet, "quiet", false, "no progress")
	return cmd
}

func (f verifyFlags) trusted() (pack.Trust, error) {
	if len(f.trust) == 0 {
		return pack.EnvTrust()
	}
	return pack.LoadTrust(f.trust...)
}

func verify(ctx context.Context, w io.Writer, path string, f verifyFlags) error {
	trust, err := f.trusted()
	if err != nil {
		return err
	}
	p, err := pack.Open(path, keyOrAsk(givenKey(f.keyFile)))
	if err != nil {
		return err
	}
	defer p.Close()
	shown := &fetchProgress{name: filepath.Base(path), quiet: f.quiet, w: os.Stderr}
	err = p.Verify(ctx, shown.show)
	shown.stop()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %s %s is whole: %d files\ndigest %s\n", path, p.Manifest.Name, p.Manifest.Version, len(p.Manifest.Files), p.Digest)
	if len(p.Signatures) == 0 {
		fmt.Fprintln(w, "nobody has signed it")
	}
	for _, s := range p.Signatures {
		fmt.Fprintf(w, "signed by %s (%s)\n", s.By.Fingerprint(), trustText(trust, s))
	}
	_, trusted := trust.Signer(p.Signatures)
	if (len(trust) > 0 || len(f.trust) > 0) && !trusted {
		return core.Faultf(core.Denied, "package", path, "none of the %d trusted keys has signed it", len(trust))
	}
	return nil
}

func trustText(trust pack.Trust, s pack.Signature) string {
	if t, ok := trust.Signer([]pack.Signature{s}); ok {
		return "trusted: " + t.Name
	}
	return "not among the trusted keys"
}
