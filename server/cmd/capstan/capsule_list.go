package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/spf13/cobra"
)

func listCommand() *cobra.Command {
	var capsules []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the capsules that are found: what they add, and who has signed them",
		Long: `List every capsule of the folders, as a folder or as a package, without running or unpacking
anything. What cannot be read is listed at the end, with the reason.

Exit status: 0 done, 1 some cannot be read, 2 wrong usage.`,
		Example: `  capstan capsule list
  capstan capsule list --capsules dist --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(capsules) == 0 {
				capsules = capsuleFolders()
			}
			return listCapsules(cmd.Context(), cmd.OutOrStdout(), capsules, asJSON)
		},
	}
	cmd.Flags().StringArrayVar(&capsules, "capsules", nil, "`DIR` with capsules, or a package NAME.cap, repeatable (default: those beside the program, or $CAPSTAN_CAPSULES)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON object: capsules and broken")
	return cmd
}

// listed is one capsule as capstan capsule list shows it.
type listed struct {
	Name      string                `json:"name"`
	Version   string                `json:"version"`
	Role      string                `json:"role"`
	Adds      string                `json:"adds"`
	Kind      string                `json:"kind"` // folder or package
	File      string                `json:"file"`
	Platforms []string              `json:"platforms"`
	Encrypted bool                  `json:"encrypted"`
	Digest    string                `json:"digest,omitempty"`
	Signers   []pack.ReportedSigner `json:"signatures"`
	OnDemand  bool                  `json:"on_demand"`
}

type unreadable struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

func listCapsules(ctx context.Context, w io.Writer, folders []string, asJSON bool) error {
	trust, err := pack.EnvTrust()
	if err != nil {
		return err
	}
	bad := []unreadable{}
	load := catalog.Loader{Peek: true, Key: keyOrAsk(pack.EnvKey), Broken: func(path string, err error) {
		bad = append(bad, unreadable{path, err.Error()})
	}}
	entries, err := load.Load(ctx, folders...)
	if err != nil {
		return err
	}
	list := make([]listed, 0, len(entries))
	for _, e := range entries {
		list = append(list, listedOf(e, trust))
	}
	if asJSON {
		err = writeIndented(w, map[string]any{"capsules": list, "broken": bad})
	} else {
		err = writeListed(w, list, bad)
	}
	if err == nil && len(bad) > 0 {
		err = core.Faultf(core.Invalid, "list", "", "%d of %d cannot be read", len(bad), len(bad)+len(list))
	}
	return err
}

func listedOf(e catalog.Entry, trust pack.Trust) listed {
	d := e.Declaration
	l := listed{Name: d.Name, Version: d.Version, Role: roleOf(d), Adds: d.Capability().String(), Kind: "folder", File: e.File, Platforms: e.Platforms, Signers: []pack.ReportedSigner{}, OnDemand: d.OnDemand}
	if l.Platforms == nil {
		l.Platforms = []string{}
	}
	if p := e.Package; p != nil {
		l.Kind, l.Encrypted, l.Digest = "package", p.Encrypted, p.Digest.String()
		for _, s := range p.Signatures {
			t, _ := trust.Signer([]pack.Signature{s})
			l.Signers = append(l.Signers, pack.ReportedSigner{Fingerprint: s.By.Fingerprint(), Trusted: t.Name})
		}
	}
	return l
}

// roleOf says in a word what a capsule does, from what it adds.
func roleOf(d core.Declaration) string {
	adds := d.Capability()
	switch {
	case adds.Tracked:
		return "tracker"
	case adds.Encoded:
		return "encoder"
	case d.Input.Size == core.SizeNone || len(adds.Detections) > 0:
		return "detector"
	default:
		return "classifier"
	}
}

func writeListed(w io.Writer, list []listed, bad []unreadable) error {
	if len(list) == 0 && len(bad) == 0 {
		_, err := fmt.Fprintln(w, "there are no capsules")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVERSION\tROLE\tADDS\tKIND\tSIGNED")
	for _, l := range list {
		signed := "-"
		if l.Kind == "package" {
			signed = strings.TrimPrefix(signersText(l.Signers), "by ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Version, l.Role, l.Adds, l.Kind, signed)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, b := range bad {
		fmt.Fprintf(w, "cannot be read: %s\n", b.Error)
	}
	return nil
}
