package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/models"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// modelsFlags are the settings of the commands below capstan models.
type modelsFlags struct {
	capsules []string
	folders  []string
	to       string
	json     bool
	quiet    bool
}

func modelsCommand() *cobra.Command {
	var f modelsFlags
	cmd := &cobra.Command{
		Use:   "models",
		Short: "List, fetch and check the model files that capsules need",
		Long: `Capsules with networks need model files that are not part of them; their manifests name them,
with URL, SHA-256 and licence. They are looked for in the folders of $CAPSTAN_MODELS (at every
depth), beside the capsule's program, and in the cache ($CAPSTAN_CACHE, else ~/.cache/capstan).`,
		Example: `  capstan models list
  capstan models pull
  capstan models pull detector_face_yunet --to /srv/models
  capstan models verify`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	fl := cmd.PersistentFlags()
	fl.SortFlags = false
	fl.StringArrayVar(&f.capsules, "capsules", nil, "`DIR` with capsules, repeatable (default: those beside the program, or $CAPSTAN_CAPSULES)")
	fl.StringArrayVar(&f.folders, "models", nil, "look in `DIR` too, before all others, repeatable")
	cmd.AddCommand(listModelsCommand(&f), pullModelsCommand(&f), verifyModelsCommand(&f))
	return cmd
}

func listModelsCommand(f *modelsFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [NAME…]",
		Short: "List the model files, who needs them and where they are",
		Long: `List the model files of all capsules, or of those named (a capsule or a file).

Exit status: 0 done, 1 failed, 2 wrong usage. What is missing is no failure here.`,
		Example: "  capstan models list\n  capstan models list detector_face_yunet --json",
		RunE: func(cmd *cobra.Command, names []string) error {
			list, err := f.look(names)
			if err != nil {
				return err
			}
			if f.json {
				return writeModelsJSON(cmd.OutOrStdout(), list)
			}
			return writeModels(cmd.OutOrStdout(), list)
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "write a JSON array")
	return cmd
}

func pullModelsCommand(f *modelsFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull [NAME…]",
		Short: "Fetch the model files that are missing",
		Long: `Fetch the model files of all capsules, or of those named (a capsule or a file), unless they are
there already. An interrupted fetch goes on where it was; a file with another SHA-256 than the
manifest's is refused and replaces nothing.

Exit status: 0 all are there, 1 failed, 2 wrong usage.`,
		Example: "  capstan models pull\n  capstan models pull encoder_face_mobilefacenet --to ./models",
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return f.pull(ctx, cmd.OutOrStdout(), names)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.to, "to", "", "`DIR` to put them into (default: models in the cache)")
	fl.BoolVar(&f.quiet, "quiet", false, "no progress")
	return cmd
}

func verifyModelsCommand(f *modelsFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [NAME…]",
		Short: "Check the model files against their SHA-256",
		Long: `Read the model files that capsules would take, of all capsules or of those named, and compare
them with the SHA-256 of the manifests.

Exit status: 0 all are whole, 1 some are missing or wrong, 2 wrong usage.`,
		Example: "  capstan models verify",
		RunE: func(cmd *cobra.Command, names []string) error {
			list, err := f.look(names)
			if err != nil {
				return err
			}
			if err := writeModels(cmd.OutOrStdout(), list); err != nil {
				return err
			}
			return judgeModels(list)
		},
	}
}

// lookedAt is a model file and what was found of it.
type lookedAt struct {
	models.Wanted
	models.Found
}

func (f *modelsFlags) wanted(names []string) ([]models.Wanted, error) {
	paths := f.capsules
	if len(paths) == 0 {
		paths = capsuleFolders()
	}
	entries, err := loadCapsules(context.Background(), paths)
	if err != nil {
		return nil, err
	}
	all, err := models.Needed(entries)
	if err != nil {
		return nil, err
	}
	chosen, err := models.Choose(all, names)
	if err != nil {
		return nil, usageError{err}
	}
	return chosen, nil
}

func (f *modelsFlags) look(names []string) ([]lookedAt, error) {
	chosen, err := f.wanted(names)
	if err != nil {
		return nil, err
	}
	list := make([]lookedAt, 0, len(chosen))
	for _, w := range chosen {
		found, err := w.Look(f.searched())
		if err != nil {
			return nil, err
		}
		list = append(list, lookedAt{w, found})
	}
	return list, nil
}

// searched gives the folders to look in before all others: those named, and the one to fetch to.
func (f *modelsFlags) searched() []string {
	if f.to == "" {
		return f.folders
	}
	return append([]string{f.to}, f.folders...)
}

func writeModels(w io.Writer, list []lookedAt) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no capsule needs a model file")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tSTATE\tSIZE\tLICENCE\tNEEDED BY\tPATH")
	for _, m := range list {
		size := "-"
		if m.State != models.Missing {
			size = fmt.Sprintf("%.1f MB", float64(m.Size)/1e6)
		}
		licence, _, _ := strings.Cut(m.Licence, ";")
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", m.File, m.State, size, licence, strings.Join(m.Capsules, ", "), m.Path)
	}
	return t.Flush()
}

func writeModelsJSON(w io.Writer, list []lookedAt) error {
	type row struct {
		File     string   `json:"file"`
		State    string   `json:"state"`
		Path     string   `json:"path"`
		Size     int64    `json:"size"`
		Found    string   `json:"found_sha256"`
		SHA256   string   `json:"sha256"`
		URL      string   `json:"url"`
		Licence  string   `json:"licence"`
		Source   string   `json:"source"`
		Capsules []string `json:"capsules"`
	}
	rows := make([]row, 0, len(list))
	for _, m := range list {
		rows = append(rows, row{m.File, string(m.State), m.Path, m.Size, m.Found.SHA256, m.Model.SHA256, m.URL, m.Licence, m.Source, m.Capsules})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(rows)
}

// judgeModels is the fault of files that are not as they should be.
func judgeModels(list []lookedAt) error {
	var missing, wrong []string
	for _, m := range list {
		switch m.State {
		case models.Missing:
			missing = append(missing, m.File)
		case models.Wrong:
			wrong = append(wrong, fmt.Sprintf("%s (SHA-256 %s, want %s)", m.Path, m.Found.SHA256, m.Model.SHA256))
		}
	}
	var parts []string
	if len(missing) > 0 {
		parts = append(parts, "missing: "+strings.Join(missing, ", "))
	}
	if len(wrong) > 0 {
		parts = append(parts, "other content: "+strings.Join(wrong, ", "))
	}
	if len(parts) == 0 {
		return nil
	}
	f := core.Faultf(core.NotFound, "models", "", "%s", strings.Join(parts, "; "))
	f.Hint = "fetch them by: capstan models pull"
	return f
}

// pull fetches what is missing, one after the other, and goes on after one that fails.
func (f *modelsFlags) pull(ctx context.Context, out io.Writer, names []string) error {
	list, err := f.look(names)
	if err != nil {
		return err
	}
	dir := f.to
	if dir == "" {
		if dir, err = models.Destination(); err != nil {
			return err
		}
	}
	failed := 0
	var first error
	for _, m := range list {
		if err := f.pullOne(ctx, out, dir, m); err != nil {
			failed++
			if first == nil {
				first = err
			} else {
				fmt.Fprintf(out, "%s: %v\n", m.File, err)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	if failed > 1 {
		return fmt.Errorf("%d of %d model files could not be fetched, the first because: %w", failed, len(list), first)
	}
	return first
}

func (f *modelsFlags) pullOne(ctx context.Context, out io.Writer, dir string, m lookedAt) error {
	// A folder that is named is to have the file, wherever else there is one.
	if m.State == models.Here && (f.to == "" || filepath.Dir(m.Path) == filepath.Clean(dir)) {
		_, err := fmt.Fprintf(out, "%s is at %s\n", m.File, m.Path)
		return err
	}
	p := &fetchProgress{name: m.File, quiet: f.quiet, w: os.Stderr}
	path, err := models.Fetcher{Dir: dir, Progress: p.show}.Fetch(ctx, m.Wanted)
	p.stop()
	if err != nil {
		return err
	}
	if m.State == models.Wrong && m.Path != path {
		fmt.Fprintf(out, "%s has other content and is taken before %s: remove it\n", m.Path, path)
	}
	_, err = fmt.Fprintf(out, "%s is at %s (%s)\n", m.File, path, m.Licence)
	return err
}

// fetchProgress shows a transfer: a bar on a terminal, a plain line every few seconds elsewhere.
type fetchProgress struct {
	name  string
	quiet bool
	w     *os.File
	bar   *progressbar.ProgressBar
	said  time.Time
}

func (p *fetchProgress) show(done, total int64) {
	switch {
	case p.quiet:
	case p.bar == nil && isTerminal(p.w):
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(p.name),
			progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
		_ = p.bar.Set64(done)
	case p.bar != nil:
		_ = p.bar.Set64(done)
	case p.said.IsZero():
		p.said = time.Now()
	case time.Since(p.said) >= progressPause:
		p.said = time.Now()
		fmt.Fprintf(p.w, "%s: %.1f of %.1f MB\n", p.name, float64(done)/1e6, float64(max(total, done))/1e6)
	}
}

func (p *fetchProgress) stop() {
	if p != nil && p.bar != nil {
		_ = p.bar.Finish()
	}
}
