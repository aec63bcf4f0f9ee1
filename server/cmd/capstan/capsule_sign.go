package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/spf13/cobra"
)

func signCommand() *cobra.Command {
	var with, keyFile string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "sign FILE.cap --with NAME.key",
		Short: "Sign a package",
		Long: `Check every file of a package and add a signature over its digest. A package may have several;
signing again with the same key replaces the key's own. The file is replaced as a whole.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: "  capstan capsule sign detector_fire.cap --with anna.key",
		Args:    oneArgument("FILE.cap"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if with == "" {
				return usageError{fmt.Errorf("sign needs --with NAME.key; make a pair by: capstan capsule keys NAME")}
			}
			k, err := pack.LoadPrivate(with)
			if err != nil {
				return err
			}
			shown := &fetchProgress{name: filepath.Base(args[0]), quiet: quiet, w: os.Stderr}
			d, err := pack.Sign(cmd.Context(), args[0], k, keyOrAsk(givenKey(keyFile)), shown.show)
			shown.stop()
			if err != nil {
				return interruptedOr(cmd.Context(), err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: signed by %s\ndigest %s\n", args[0], k.Public().Fingerprint(), d)
			return err
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&with, "with", "", "the private key, `NAME.key`")
	fl.StringVar(&keyFile, "key-file", "", keyFileUsage)
	fl.BoolVar(&quiet, "quiet", false, "no progress")
	return cmd
}
