package main

import (
	"fmt"
	"io"

	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/spf13/cobra"
)

// oneArgument refuses anything but one argument, which it names.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes one %s, got %d; see %[1]s --help", cmd.CommandPath(), what, len(args))}
		}
		return nil
	}
}

func keysCommand() *cobra.Command {
	var show bool
	cmd := &cobra.Command{
		Use:   "keys NAME",
		Short: "Make a key pair that signs packages",
		Long: `Make an Ed25519 key pair: NAME.key, which signs and which nobody else may have, and NAME.pub, for
those who are to trust it. Neither file may be there yet. With --show the fingerprint of a
public key is printed and nothing is made.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: `  capstan capsule keys anna
  capstan capsule keys --show anna.pub`,
		Args: oneArgument("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if show {
				return showKey(cmd.OutOrStdout(), args[0])
			}
			return makeKeys(cmd.OutOrStdout(), args[0])
		},
	}
	cmd.Flags().BoolVar(&show, "show", false, "print the fingerprint of the public key in the file NAME")
	return cmd
}

func makeKeys(w io.Writer, name string) error {
	k, err := pack.NewKey()
	if err != nil {
		return err
	}
	if err := k.Save(name); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%[1]s.key signs: keep it to yourself\n%[1]s.pub is for others: %s\n", name, k.Public().Fingerprint())
	return err
}

func showKey(w io.Writer, path string) error {
	k, err := pack.LoadPublic(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, k.Fingerprint())
	return err
}
