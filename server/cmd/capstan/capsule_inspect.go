package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/capstan-video/capstan/sdk/pack/vcap"
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

Packages of the older Python format (OpenVisionCapsules) are shown too, encrypted ones with
their key in the same places; capstan capsule import makes packages of them that run.

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
	key = pack.Once(key)
	r, err := pack.Inspect(path, key, trust)
	if core.KindOf(err) == core.Invalid {
		return inspectOlder(w, path, key, asJSON, err)
	}
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

// olderReport is what can be said of a package of the older format, as JSON.
type olderReport struct {
	File      string      `json:"file"`
	Size      int64       `json:"size"`
	Format    string      `json:"format"` // always "OpenVisionCapsules"
	Encrypted bool        `json:"encrypted"`
	API       string      `json:"api_compatibility_version"`
	Name      string      `json:"name,omitempty"`    // as its code seems to state it
	Version   string      `json:"version,omitempty"` // likewise
	Files     []vcap.File `json:"files"`
	Models    []vcap.File `json:"models"`
	Obstacle  string      `json:"obstacle,omitempty"` // why it cannot be imported
}

// inspectOlder shows a package of the older format. Of a file that is none it gives the fault
// of the newer one, not.
func inspectOlder(w io.Writer, path string, key pack.Key, asJSON bool, not error) error {
	p, err := vcap.Open(path, nil)
	if core.KindOf(err) == core.Denied { // it is no zip
		secret, kerr := key()
		if kerr != nil || secret == "" {
			return errors.Join(kerr, not)
		}
		if p, err = vcap.Open(path, []byte(secret)); err != nil {
			return err
		}
	}
	if err != nil {
		return not
	}
	defer p.Close()
	r := olderReport{path, p.Size, "OpenVisionCapsules", p.Encrypted, p.API, p.Name, p.Version, p.Files(), p.Models(), ""}
	if err := vcap.CheckAPI(p.API); err != nil {
		r.Obstacle = err.Error()
	}
	if asJSON {
		return writeIndented(w, r)
	}
	return writeOlder(w, r)
}

func writeOlder(w io.Writer, r olderReport) error {
	fmt.Fprintf(w, "%s: a package of the older Python format, OpenVisionCapsules\n\n", r.File)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	name := strings.TrimSpace(r.Name + " " + r.Version)
	if name == "" {
		name = "not to be seen without running it"
	}
	encrypted := "no"
	if r.Encrypted {
		encrypted = "AES-EAX"
	}
	fmt.Fprintf(t, "name\t%s\ninterface\t%s\nencrypted\t%s\n", name, r.API, encrypted)
	for _, m := range r.Models {
		fmt.Fprintf(t, "model\t%s\n", m.Path)
	}
	fmt.Fprintf(t, "\nFILE\tSIZE\n")
	for _, f := range r.Files {
		fmt.Fprintf(t, "%s\t%s\n", f.Path, bytesText(f.Size))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Obstacle != "" {
		_, err := fmt.Fprintf(w, "\nIt cannot be run: %s\n", r.Obstacle)
		return err
	}
	_, err := fmt.Fprintf(w, "\nIt has no manifest and does not run as it is. Make a package of it that does:\n  capstan capsule import %s\n", r.File)
	return err
}
