package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/capstan-video/capstan/server/config"
	"github.com/capstan-video/capstan/server/egress"
	"github.com/capstan-video/capstan/server/events"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check and print the configuration of capstan serve",
		Example: "  capstan config check /etc/capstan/capstan.yaml\n  capstan config print",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(checkConfigCommand(), printConfigCommand())
	return cmd
}

func checkConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Tell everything that is wrong with a configuration",
		Long: `Read FILE (default: $CAPSTAN_CONFIG) and the environment as capstan serve would, and tell every
error at once, with line and column.

Exit status: 0 it can be used, 1 it cannot.`,
		Example: "  capstan config check /etc/capstan/capstan.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := config.Sources{Env: os.Environ()}
			if len(args) == 1 {
				s.File = args[0]
			}
			l, err := config.Load(s)
			for _, w := range l.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+w)
			}
			if err == nil {
				err = checkDestinations(l.Events)
			}
			if err != nil {
				return err
			}
			name := l.File
			if name == "" {
				name = "what the environment sets"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good\n", name)
			return err
		},
	}
}

// checkDestinations says what is wrong with where events are to go, as the start would.
func checkDestinations(c config.Events) error {
	list, err := destinations(c)
	errs := []error{err}
	for _, d := range list {
		if err := events.Check(d, egress.Guard{AllowLocal: c.AllowLocal}); err != nil {
			errs = append(errs, fmt.Errorf("events: %s: %w", d.Name, err))
		}
	}
	return errors.Join(errs...)
}

func printConfigCommand() *cobra.Command {
	var file *string
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration that holds, and where each value comes from",
		Long: `Print the configuration that capstan serve would have with the same flags, file and environment,
as YAML that can be read again. Secrets are masked.`,
		Example: "  capstan config print --config /etc/capstan/capstan.yaml --listen 127.0.0.1:8081",
		Args:    noArguments,
	}
	cmd.Flags().SortFlags = false
	file = config.AddFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := config.Load(config.Sources{File: *file, Env: os.Environ(), Flags: cmd.Flags()})
		if err != nil {
			return usageError{err}
		}
		return l.Print(cmd.OutOrStdout())
	}
	return cmd
}
