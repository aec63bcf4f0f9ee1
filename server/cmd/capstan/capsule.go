package main

import "github.com/spf13/cobra"

// capsuleCommand is the author's kit; one file a command, capsule_NAME.go.
func capsuleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "capsule",
		Short: "Make, check, package and ship capsules",
		Long: `The kit of a capsule's author: from an empty folder to one file, NAME.cap, that others can
check and run.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(capsuleCheckCommand(), capsuleRunCommand(), capsuleBenchCommand())
	cmd.AddCommand(packCommand(), inspectCommand(), verifyCommand(), signCommand(), keysCommand(), unpackCommand(), listCommand(), newCommand(), importCommand())
	return cmd
}
