package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/capstan-video/capstan/sdk/pack/starter"
	"github.com/spf13/cobra"
)

func newCommand() *cobra.Command {
	p := starter.Project{}
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Begin a capsule: a project that builds and passes its tests",
		Long: `Make the folder NAME with a capsule that does something small but real, its tests, manifest and
README. A detector finds bright regions, a classifier says how bright a detection is, an encoder
makes a small histogram of it, a tracker follows by overlap.

A Go project inside a checkout of Capstan, or with --sdk, builds with that checkout and needs
nothing from the network.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: `  capstan capsule new detector_fire_color
  capstan capsule new tracker_ball --lang python
  capstan capsule new work/encoder_shoe --sdk ~/src/capstan`,
		Args: oneArgument("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.Dir = args[0]
			return begin(cmd.OutOrStdout(), p)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&p.Language, "lang", "go", "language: "+strings.Join(starter.Languages, " or "))
	fl.StringVar(&p.Role, "role", "", "role: "+strings.Join(starter.Roles, ", ")+" (default: as the NAME begins, else detector)")
	fl.StringVar(&p.SDK, "sdk", "", "build with the checkout of Capstan in `DIR` (default: the one around NAME or this program)")
	return cmd
}

func begin(w io.Writer, p starter.Project) error {
	if p.SDK == "" {
		p.SDK = starter.Checkout(filepath.Dir(p.Dir))
	}
	if exe, err := os.Executable(); p.SDK == "" && err == nil {
		p.SDK = starter.Checkout(filepath.Dir(exe))
	}
	if v := buildVersion(); strings.HasPrefix(v, "v") {
		p.Version = v
	}
	files, err := starter.Make(p)
	if err != nil {
		return err
	}
	next := "make test && make run"
	if p.SDK == "" && p.Language == "go" {
		next = "go get " + starter.Module + "@latest && go mod tidy && make test"
	}
	_, err = fmt.Fprintf(w, "%s: %s\nnext: cd %[1]s && %[3]s\n", p.Dir, strings.Join(files, ", "), next)
	return err
}
