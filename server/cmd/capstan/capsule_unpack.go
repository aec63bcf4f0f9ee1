package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/spf13/cobra"
)

func unpackCommand() *cobra.Command {
	var keyFile string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "unpack FILE.cap DIR",
		Short: "Make a folder of a package",
		Long: `Make the folder DIR, which must not be there yet, of a package. Every file is checked while it is
written; when anything is wrong, no folder is left.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: "  capstan capsule unpack detector_fire.cap ./detector_fire",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{fmt.Errorf("unpack takes FILE.cap and DIR, got %d; see capstan capsule unpack --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := pack.Open(args[0], keyOrAsk(givenKey(keyFile)))
			if err != nil {
				return err
			}
			defer p.Close()
			shown := &fetchProgress{name: filepath.Base(args[0]), quiet: quiet, w: os.Stderr}
			err = p.Extract(cmd.Context(), filepath.Clean(args[1]), shown.show)
			shown.stop()
			if err != nil {
				return interruptedOr(cmd.Context(), err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d files of %s %s\n", args[1], len(p.Manifest.Files)+1, p.Manifest.Name, p.Manifest.Version)
			return err
		},
	}
	cmd.Flags().StringVar(&keyFile, "key-file", "", keyFileUsage)
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no progress")
	return cmd
}
