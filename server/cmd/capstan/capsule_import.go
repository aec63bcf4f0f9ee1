package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/importer"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/spf13/cobra"
)

// importFlags are the settings of capstan capsule import.
type importFlags struct {
	out      string
	unpacked string
	keyFile  string
	metric   string
	network  []string
	files    []string
	noRun    bool
	noLoad   bool
	force    bool
	unsafe   bool
	timeout  time.Duration
	asJSON   bool
	quiet    bool
}

func importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import OLD.cap|DIR",
		Short: "Make a package of a capsule for OpenVisionCapsules",
		Long: `Make a package of a capsule that was written for OpenVisionCapsules: its files as they are, a
manifest, and a program that runs them with the package vcap of the user's Python.

What such a capsule is stands in its code only, so THE CODE IS RUN, once, in a process of its own
that is confined as capsules are: to read what it declares, and to make its backends once. With
--no-run nothing of it is run; that says what can be said, and makes nothing.

It is said what works, what works within limits and what cannot work; where anything cannot, no
package is made, unless --force is given. docs/reference/openvisioncapsules.md has the rules.

Exit status: 0 done, 1 failed or cannot work, 2 wrong usage.`,
		Example: `  capstan capsule import detector_person_openvino.cap
  capstan capsule import capsules/tracker_vehicle_iou --unpacked my/tracker_vehicle_iou
  capstan capsule import agent.cap --network api.example.com:443 -o agent_new.cap`,
		Args: oneArgument("OLD.cap|DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return importOlder(cmd.Context(), cmd.OutOrStdout(), args[0], f)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVarP(&f.out, "output", "o", "", "write to `FILE.cap` (default: NAME.cap here)")
	fl.StringVar(&f.unpacked, "unpacked", "", "make the folder `DIR` instead, for development")
	fl.BoolVar(&f.noRun, "no-run", false, "run nothing of it: say what can be said, and make nothing")
	fl.BoolVar(&f.noLoad, "no-load", false, "read its declaration, and do not make its backends")
	fl.StringSliceVar(&f.network, "network", nil, "let it connect to `HOST:PORT`, repeatable; * for any host")
	fl.StringArrayVar(&f.files, "file", nil, "let it read this `PATH`, or write it too: PATH:rw; repeatable")
	fl.StringVar(&f.metric, "metric", "", "the distance of an encoder: cosine or euclidean (default: as its code seems to have it)")
	fl.StringVar(&f.keyFile, "key-file", "", keyFileUsage)
	fl.DurationVar(&f.timeout, "timeout", importer.DefaultTimeout, "how long its code may run")
	fl.BoolVar(&f.unsafe, "unsafe", false, "run its code without isolation")
	fl.BoolVar(&f.force, "force", false, "make it although it cannot work here")
	fl.BoolVar(&f.asJSON, "json", false, "write a JSON object")
	fl.BoolVar(&f.quiet, "quiet", false, "no progress, and no word about code that is run")
	return cmd
}

// request checks the settings.
func (f importFlags) request(path string) (importer.Request, error) {
	r := importer.Request{Path: path, Key: keyOrAsk(givenKey(f.keyFile)), Mode: importer.Load, Metric: f.metric, Timeout: f.timeout, Unsafe: f.unsafe}
	switch {
	case f.noRun:
		r.Mode = importer.Scan
	case f.noLoad:
		r.Mode = importer.Declare
	}
	if f.metric != "" && f.metric != string(core.Cosine) && f.metric != string(core.Euclidean) {
		return r, usageError{fmt.Errorf("--metric %q: want cosine or euclidean", f.metric)}
	}
	if f.out != "" && f.unpacked != "" {
		return r, usageError{errors.New("--output makes a package and --unpacked a folder: give one of them")}
	}
	if f.timeout <= 0 {
		return r, usageError{fmt.Errorf("--timeout %s: want a time above 0", f.timeout)}
	}
	for _, s := range f.network {
		if err := core.CheckEndpoint(s); err != nil {
			return r, usageError{fmt.Errorf("--network: %w", err)}
		}
	}
	r.Needs.Network = f.network
	for _, s := range f.files {
		name, write := strings.CutSuffix(s, ":rw")
		full, err := filepath.Abs(name)
		if err != nil {
			return r, err
		}
		r.Needs.Files = append(r.Needs.Files, core.FileNeed{Path: full, Write: write})
	}
	return r, nil
}

func importOlder(ctx context.Context, w io.Writer, path string, f importFlags) error {
	r, err := f.request(path)
	if err != nil {
		return err
	}
	if r.Mode != importer.Scan && !f.quiet {
		how := "confined, for at most " + f.timeout.String()
		if f.unsafe {
			how = "WITHOUT isolation, for at most " + f.timeout.String()
		}
		fmt.Fprintf(os.Stderr, "capstan: running the code in %s once, %s, to learn what it is (--no-run does not)\n", path, how)
	}
	m, err := importer.Read(ctx, r)
	if m != nil {
		defer m.Close()
	}
	if err == nil {
		err = f.judge(m)
	}
	out := importReport{Source: path}
	if m != nil {
		out = reportOf(m)
	}
	if err == nil {
		out.Made, err = f.make(ctx, m)
	}
	if err != nil {
		out.Error = err.Error()
	}
	if werr := out.write(w, f.asJSON); werr != nil {
		return werr
	}
	return interruptedOr(ctx, err)
}

// judge refuses what cannot work, and what was not run.
func (f importFlags) judge(m *importer.Imported) error {
	if f.noRun {
		flt := core.Faultf(core.Invalid, "import", m.Source, "nothing was made: what an older capsule declares stands in its code, which --no-run does not run")
		return flt
	}
	if m.Cannot() && !f.force {
		flt := core.Faultf(core.CapsuleContract, "import", m.Source, "nothing was made: it cannot work here, as said above")
		flt.Hint = "mend that, or make it all the same by --force"
		return flt
	}
	return nil
}

// make writes the package or folder and gives its path.
func (f importFlags) make(ctx context.Context, m *importer.Imported) (string, error) {
	if f.unpacked != "" {
		return f.unpacked, m.Write(f.unpacked)
	}
	if f.out == "" {
		f.out = m.Declaration.Name + pack.Extension
		if same(f.out, m.Source) {
			flt := core.Faultf(core.Exists, "import", f.out, "the package would take the place of the older one")
			flt.Hint = "name it by -o"
			return "", flt
		}
	}
	shown := &fetchProgress{name: filepath.Base(f.out), quiet: f.quiet, w: os.Stderr}
	_, err := m.Pack(ctx, f.out, pack.Writing{Progress: shown.show})
	shown.stop()
	return f.out, err
}

// same says whether two paths are one file.
func same(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// importReport is what import says, as JSON.
type importReport struct {
	Source   string             `json:"source"`
	Name     string             `json:"name,omitempty"`
	Version  string             `json:"version,omitempty"`
	API      string             `json:"api_compatibility_version,omitempty"`
	Python   string             `json:"python,omitempty"`
	VCAP     string             `json:"vcap,omitempty"` // version of the package
	Needs    string             `json:"needs,omitempty"`
	Gives    string             `json:"gives,omitempty"`
	Stateful bool               `json:"stateful"`
	Files    int                `json:"files"`
	Size     int64              `json:"size"`
	Findings []importer.Finding `json:"findings"`
	Made     string             `json:"made,omitempty"` // the package or folder
	Error    string             `json:"error,omitempty"`
}

func reportOf(m *importer.Imported) importReport {
	d := m.Declaration
	r := importReport{
		Source: m.Source, Name: d.Name, Version: d.Version, API: m.API, Python: m.Python, VCAP: m.VCAP,
		Stateful: d.Stateful, Files: m.Files, Size: m.Size, Findings: slices.Concat([]importer.Finding{}, m.Findings),
	}
	if d.Name != "" {
		r.Needs, r.Gives = d.Input.String(), d.Output.String()
	}
	return r
}

func (r importReport) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return writeIndented(w, r)
	}
	if r.Name != "" {
		fmt.Fprintf(w, "%s %s: %s, takes %s, gives %s\n", r.Name, r.Version, stateText(r.Stateful), r.Needs, r.Gives)
	}
	if r.Files > 0 {
		fmt.Fprintf(w, "%d files, %s, made for interface %s", r.Files, bytesText(r.Size), r.API)
		if r.Python != "" {
			fmt.Fprintf(w, "; read by %s", r.Python)
		}
		if r.VCAP != "" {
			fmt.Fprintf(w, " with vcap %s", r.VCAP)
		}
		fmt.Fprintln(w)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "  %-6s  %s: %s\n", f.Level, f.About, f.Words)
	}
	if r.Made == "" || r.Error != "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s: made\n", r.Made)
	return err
}

func stateText(stateful bool) string {
	if stateful {
		return "keeps a state for each stream"
	}
	return "keeps no state"
}
