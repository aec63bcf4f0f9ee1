package main

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg" // pictures to check with
	_ "image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/check"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/sdk/conform"
	"github.com/spf13/cobra"
)

// checkFlags are the settings of capstan capsule check.
type checkFlags struct {
	cases    []string
	options  []string
	pictures []string
	random   bool
	opens    int
	budget   time.Duration
	json     bool
	logLevel string
	copying  bool
}

func capsuleCheckCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check DIR|FILE.cap",
		Short: "Hold a capsule against what it declares: the conformance run",
		Long: `Start the capsule as the engine does and give it everything that an engine may: every format
and odd size, every option at its limits and beyond, no nodes and hundreds, many streams at once, a
deadline that passes, a kill in the middle, streams opened and closed until a leak would show. What is
wrong is said with what to mend. docs/reference/check.md tells of every case.

Exit status: 0 every case passed, 1 a case failed or the capsule cannot be read, 2 wrong usage, 130 interrupted.`,
		Example: `  capstan capsule check .
  capstan capsule check detector_face_pigo.cap --picture crowd.jpg
  capstan capsule check . --case options --case refusals
  capstan capsule check . --option path=det.txt --json | jq .failed`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("check takes one DIR or FILE.cap, got %d; see capstan capsule check --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return checkCapsule(cmd.Context(), args[0], f, cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringSliceVar(&f.cases, "case", nil, "run these cases only: `a,b`, repeatable")
	fl.StringArrayVar(&f.options, "option", nil, "set an option that the capsule cannot do without, repeatable: `name=value`")
	fl.StringArrayVar(&f.pictures, "picture", nil, "look at this JPEG or PNG `FILE` too, repeatable")
	fl.BoolVar(&f.random, "random", false, "the capsule may give different results for the same frames")
	fl.IntVar(&f.opens, "opens", 200, "open and close `N` streams to look for leaks")
	fl.DurationVar(&f.budget, "budget", 15*time.Second, "a case begins no further frame after so long")
	fl.BoolVar(&f.json, "json", false, "print the report as JSON")
	fl.StringVar(&f.logLevel, "log-level", "off", "trace, debug, info, warn, error or off, to standard error")
	fl.BoolVar(&f.copying, "copy", false, "send pixels by message, not by shared memory")
	return cmd
}

// checkCapsule is capstan capsule check.
func checkCapsule(ctx context.Context, path string, f checkFlags, out io.Writer) error {
	if err := conform.CheckNames(f.cases); err != nil {
		return usageError{err}
	}
	if f.opens < 5 || f.budget <= 0 {
		return usageError{fmt.Errorf("--opens %d, --budget %s: want 5 or more, and a time above 0", f.opens, f.budget)}
	}
	log, err := newLog(f.logLevel)
	if err != nil {
		return err
	}
	entry, err := oneCapsule(ctx, path)
	if err != nil {
		return err
	}
	s := conform.Suite{Only: f.cases, Random: f.random, Budget: f.budget}
	if s.Options, err = ownOptions(entry, f.options); err != nil {
		return err
	}
	if s.Pictures, err = loadPictures(f.pictures); err != nil {
		return err
	}
	spec, err := specOf(entry, nil)
	if err != nil {
		return err
	}
	p := &checkPrinter{w: out, quiet: f.json, terminal: isTerminal(os.Stderr)}
	s.Begin, s.End = p.begin, p.end
	h := host.New(host.Config{Log: log, Copy: f.copying})
	defer h.Close()
	report, err := s.Run(ctx, check.Home(h, spec, f.opens))
	if err != nil {
		return interruptedOr(ctx, err)
	}
	if f.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(report); err != nil {
			return err
		}
	} else {
		p.sum(report)
	}
	if report.Failed > 0 {
		return core.Faultf(core.CapsuleContract, "check", report.Capsule, "%s", counted(report.Failed, "case failed", "cases failed"))
	}
	return nil
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// oneCapsule reads the capsule of a folder or package, and refuses a path with several.
func oneCapsule(ctx context.Context, path string) (catalog.Entry, error) {
	entries, err := loadCapsules(ctx, []string{path})
	if err != nil {
		return catalog.Entry{}, err
	}
	if len(entries) == 1 {
		return entries[0], nil
	}
	// a folder may hold examples or tests with capsules of their own
	if own := filepath.Join(path, "capsule.yaml"); len(entries) > 1 {
		i := slices.IndexFunc(entries, func(e catalog.Entry) bool { return filepath.Clean(e.File) == filepath.Clean(own) })
		if i >= 0 {
			return entries[i], nil
		}
	}
	fault := core.Faultf(core.NotFound, "capsule", path, "there is no capsule.yaml in it")
	fault.Hint = "name the folder of one capsule, or a FILE.cap"
	if len(entries) > 1 {
		fault = core.Faultf(core.Invalid, "capsule", path, "it has %d capsules: %s", len(entries), strings.Join(catalog.Names(entries), ", "))
		fault.Hint = "name the folder of one"
	}
	return catalog.Entry{}, fault
}

// ownOptions reads name=value entries of one capsule; CAPSULE.name=value is understood too.
func ownOptions(e catalog.Entry, texts []string) (map[string]any, error) {
	full := make([]string, len(texts))
	for i, text := range texts {
		full[i] = text
		if target, _, ok := strings.Cut(text, "="); ok && !strings.Contains(target, ".") {
			full[i] = e.Declaration.Name + "." + text
		}
	}
	options, err := parseOptions([]catalog.Entry{e}, full)
	return options[e.Declaration.Name], err
}

// loadPictures reads the files that a check is to look at; without any, those of the test data,
// where there is some.
func loadPictures(paths []string) ([]image.Image, error) {
	if data := os.Getenv(conform.DataEnv); data != "" && len(paths) == 0 {
		return conform.DataPictures(data), nil
	}
	var list []image.Image
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, usageError{fmt.Errorf("--picture: %w", err)}
		}
		img, _, err := image.Decode(file)
		_ = file.Close()
		if err != nil {
			return nil, usageError{fmt.Errorf("--picture %s: it is not a JPEG or PNG picture: %w", path, err)}
		}
		list = append(list, img)
	}
	return list, nil
}

// checkPrinter shows a check as it goes on.
type checkPrinter struct {
	w        io.Writer
	quiet    bool
	terminal bool // a person sees standard error
	left     int  // cases that were not run, because the capsule cannot be started
}

func (p *checkPrinter) begin(name, about string) {
	if p.terminal {
		fmt.Fprintf(os.Stderr, "  … %s: %s\r", name, about)
	}
}

// marks go before the name of a case.
var marks = map[conform.Verdict]string{conform.Passed: "ok", conform.Failed: "FAILED", conform.Noted: "noted", conform.NotApplicable: "-"}

func (p *checkPrinter) end(r conform.Result) {
	if p.terminal {
		fmt.Fprint(os.Stderr, "\x1b[2K\r")
	}
	if r.Reason == conform.NotStarted {
		p.left++
	}
	if p.quiet || r.Reason == conform.NotStarted {
		return
	}
	text := r.About
	if r.Verdict == conform.NotApplicable {
		text = "not applicable: " + r.Reason
	}
	fmt.Fprintf(p.w, "%-7s %-11s %s\n", marks[r.Verdict], r.Name, text)
	for _, f := range slices.Concat(r.Findings, r.Notes) {
		fmt.Fprintf(p.w, "%20s %s\n", "", f)
	}
}

func (p *checkPrinter) sum(r *conform.Report) {
	done, passed := 0, 0
	var took time.Duration
	for _, c := range r.Cases {
		took += c.Took
		if c.Verdict != conform.NotApplicable {
			done++
		}
		if c.Verdict == conform.Passed || c.Verdict == conform.Noted {
			passed++
		}
	}
	if p.left > 0 {
		fmt.Fprintf(p.w, "-       %s, because %s\n", counted(p.left, "case was not run", "cases were not run"), conform.NotStarted)
	}
	fmt.Fprintf(p.w, "\n%s %s, %s: %d of %s passed in %.1f s\n", r.Capsule, r.Version, r.Home, passed, counted(done, "case", "cases"), took.Seconds())
	if r.Noted > 0 {
		fmt.Fprintf(p.w, "%s: nothing that has to be mended\n", counted(r.Noted, "was noted", "were noted"))
	}
}
