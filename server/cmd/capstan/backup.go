package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/backup"
)

func backupCommand() *cobra.Command {
	var data, database string
	cmd := &cobra.Command{
		Use:   "backup FILE|-",
		Short: "Write what a server keeps into one file, also while it runs",
		Long: `Write the data folder of a server into FILE (- for standard output): the database as it is at one
moment, uploaded files and frames of alerts, keys, certificates and uploaded capsules. The server
may run. The file holds passwords' hashes and keys: keep it as safe as the data folder.

For a server on PostgreSQL see docs/4-operate.md: its database is backed up by pg_dump.

Exit status: 0 done, 1 failed or done with damaged files (which are named), 2 wrong usage.`,
		Example: "  capstan backup capstan.tar --data /var/lib/capstan\n  capstan backup - --data /var/lib/capstan | zstd > capstan.tar.zst",
		Args:    oneFile("backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeBackup(cmd.Context(), args[0], data, database, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&data, "data", dataFolder(), "`DIR` of the server (default: $CAPSTAN_DATA)")
	cmd.Flags().StringVar(&database, "database", "", "`URL` of the server's PostgreSQL database, which is backed up apart (default: $CAPSTAN_DATABASE)")
	return cmd
}

func restoreCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "restore FILE|- --data DIR",
		Short: "Make a data folder of a backup",
		Long: `Make the data folder DIR of a backup (- for standard input). DIR must not be there, or be empty.
Everything is checked before anything is changed: every file by its SHA-256, the database by itself,
and that this Capstan can read it.

Exit status: 0 done, 1 failed (nothing was changed), 2 wrong usage.`,
		Example: "  capstan restore capstan.tar --data /var/lib/capstan-new\n  zstd -dc capstan.tar.zst | capstan restore - --data /var/lib/capstan-new",
		Args:    oneFile("restore"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if data == "" {
				return usageError{errors.New("restore wants the new folder: --data DIR")}
			}
			from := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("restore: %w", err)
				}
				defer f.Close()
				from = f
			}
			m, err := backup.Restore(cmd.Context(), from, data)
			if err != nil {
				return interruptedOr(cmd.Context(), err)
			}
			return tell(cmd.OutOrStdout(), "restored to "+data, m)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "`DIR` to make")
	return cmd
}

func oneFile(command string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes one FILE, or - for a pipe, got %d", command, len(args))}
		}
		return nil
	}
}

// dataFolder is the folder that capstan serve has by default.
func dataFolder() string {
	if dir := os.Getenv("CAPSTAN_DATA"); dir != "" {
		return dir
	}
	return "capstan-data"
}

// writeBackup writes a backup, to a file under its name only when it is complete.
func writeBackup(ctx context.Context, file, data, database string, out, say io.Writer) error {
	if database == "" {
		database = os.Getenv("CAPSTAN_DATABASE")
	}
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		if path != filepath.Join(data, "capstan.db") {
			return core.Faultf(core.Unsupported, "backup", "", "only an SQLite database in the data folder is backed up, as DATA/capstan.db")
		}
		database = ""
	}
	if file == "-" {
		m, err := backup.Write(ctx, out, data, database, buildVersion())
		return judgeBackup(say, "backed up "+data, m, interruptedOr(ctx, err))
	}
	if _, err := os.Lstat(file); err == nil {
		return core.Faultf(core.Exists, "backup", file, "there is a file of this name")
	}
	part, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".part-") // 0600
	if err != nil {
		return unwritable(file, err)
	}
	defer os.Remove(part.Name())
	m, err := backup.Write(ctx, part, data, database, buildVersion())
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Link(part.Name(), file) // unlike a rename it replaces nothing
	}
	return judgeBackup(say, "backed up "+data+" to "+file, m, interruptedOr(ctx, err))
}

// unwritable says why there is no place for a backup, and what to do.
func unwritable(file string, err error) error {
	dir := filepath.Dir(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f := core.Faultf(core.NotFound, "backup", file, "there is no folder %s", dir)
		f.Hint = "make it first: mkdir -p " + dir
		return f
	case errors.Is(err, fs.ErrPermission):
		f := core.Faultf(core.Denied, "backup", file, "this user may not write into the folder %s", dir)
		f.Hint = "name another folder, or write to a pipe: capstan backup -"
		return f
	}
	return fmt.Errorf("backup: %w", err)
}

func judgeBackup(say io.Writer, what string, m backup.Manifest, err error) error {
	if err != nil {
		return err
	}
	if err := tell(say, what, m); err != nil {
		return err
	}
	if m.Apart {
		fmt.Fprintln(say, "the database is not in it: keep it by pg_dump (docs/4-operate.md)")
	}
	if len(m.Damaged) > 0 {
		return core.Faultf(core.Invalid, "backup", "", "the backup is complete, but %d files are damaged and were written as they are: %.500v", len(m.Damaged), m.Damaged)
	}
	return nil
}

func tell(w io.Writer, what string, m backup.Manifest) error {
	_, err := fmt.Fprintf(w, "%s: %d files, %.1f MB, database of version %d, made by Capstan %s at %s\n", what, len(m.Files), float64(m.Bytes())/1e6, m.Schema, m.Capstan, m.Made.Format(time.RFC3339))
	return err
}
