package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/spf13/cobra"
)

func inspectCommand() *cobra.Command {
	var asJSON bool
	var keyFile string
	cmd := &cobra.Command{
		Use:   "inspect FILE.cap",
		Short: "Show what a package holds, without running it",
		Long: `Show the manifest, files, platforms, signatures, models and licences of a package. Of an
encrypted one without its passphrase that is shown which can be known. The content of the files
is not read: capstan capsule verify does that.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: `  capstan capsule inspect detector_fire.cap
  capstan capsule inspect detector_fire.cap --json | jq .programs`,
		Args: oneArgument("FILE.cap"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inspect(cmd.OutOrStdout(), args[0], keyOrAsk(givenKey(keyFile)), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON object")
	cmd.Flags().StringVar(&keyFile, "key-file", "", keyFileUsage)
	return cmd
}

func inspect(w io.Writer, path string, key pack.Key, asJSON bool) error {
	trust, err := pack.EnvTrust()
	if err != nil {
		return err
	}
	r, err := pack.Inspect(path, key, trust)
	if err != nil {
		return err
	}
	if asJSON {
		return writeIndented(w, r)
	}
	if r.Locked {
		_, err := fmt.Fprintf(w, "%s: %s, an encrypted package (age, passphrase, scrypt work factor %d)\nNothing more can be known without the passphrase: give it in %s, or by --key-file.\n",
			path, bytesText(r.Size), r.WorkFactor, pack.KeyEnv)
		return err
	}
	return writeReport(w, r)
}

// writeIndented writes v as JSON for people and programs.
func writeIndented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func writeReport(w io.Writer, r pack.Report) error {
	fmt.Fprintf(w, "%s %s (capsule contract %s)\n", r.Name, r.Version, r.API)
	if r.Describes != "" {
		fmt.Fprintln(w, r.Describes)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "\npackage\t%s, %s\ndigest\t%s\n", r.File, bytesText(r.Size), r.Digest)
	if r.Encrypted {
		fmt.Fprintf(t, "encrypted\tage, passphrase, scrypt work factor %d\n", r.WorkFactor)
	} else {
		fmt.Fprintln(t, "encrypted\tno")
	}
	fmt.Fprintf(t, "signed\t%s\nneeds\t%s\ngives\t%s\n", signersText(r.Signatures), r.Needs, r.Gives)
	for _, p := range r.Programs {
		fmt.Fprintf(t, "runs on\t%s\t%s\n", p.Platform, p.Path)
	}
	for _, m := range r.Models {
		how := "by reference: " + m.URL
		if m.Included {
			how = "included"
		}
		fmt.Fprintf(t, "model\t%s\t%s\t%s\n", m.File, how, m.Licence)
	}
	if len(r.Licences) > 0 {
		fmt.Fprintf(t, "licences\t%s\n", strings.Join(r.Licences, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "\nFILE\tSIZE\tSHA-256\n")
	for _, f := range r.Files {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Path, bytesText(f.Size), f.SHA256)
	}
	return t.Flush()
}

func signersText(list []pack.ReportedSigner) string {
	if len(list) == 0 {
		return "by nobody"
	}
	var l []string
	for _, s := range list {
		if s.Trusted != "" {
			l = append(l, fmt.Sprintf("by %s (trusted: %s)", s.Fingerprint, s.Trusted))
		} else {
			l = append(l, "by "+s.Fingerprint)
		}
	}
	return strings.Join(l, ", ")
}
