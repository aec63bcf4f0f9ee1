package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/record"
	"github.com/capstan-video/capstan/pipeline/replay"
	"github.com/capstan-video/capstan/sdk/bundle"
	"github.com/capstan-video/capstan/sdk/bundle/diff"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
)

// replayFlags are the settings of capstan replay, as they stand on the command line.
type replayFlags struct {
	capsule   []string
	capsules  []string
	options   []string
	whole     bool
	diff      bool
	json      bool
	tolerance string
	repeat    int
	partial   bool
	logLevel  string
	copying   bool
}

// errChanged ends a replay that found a difference; what it is was printed.
var errChanged = errors.New("the replay differs from the recording")

func replayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay BUNDLE",
		Short: "Play a recording again and show what changed",
		Long: `Give the frames of a bundle to capsules again, with the numbers and times that they had, as fast as
they are taken, and compare what comes out with the recording.

Without --capsule the whole plan runs, with the capsules of the catalogue and the options of the
recording. With --capsule only that capsule runs, fed with what the capsule of its name was given;
--whole puts it into the plan instead.

Exit status: 0 nothing changed, 1 something changed or failed, 2 wrong usage, 130 interrupted.`,
		Example: `  capstan replay video.bundle
  capstan replay video.bundle --capsule ./my_detector --diff
  capstan replay video.bundle --capsule new.cap --json | jq '.changes[] | select(.kind == "vanished")'
  capstan replay video.bundle --option detector_face_pigo.threshold=0.7 --diff
  capstan replay video.bundle --tolerance px=1,value=0.01 --repeat 3`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("replay takes one BUNDLE, got %d; see capstan replay --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return replayBundle(cmd.Context(), args[0], f, cmd.OutOrStdout())
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVar(&f.capsule, "capsule", nil, "replay this capsule by itself: `DIR|FILE.cap`, repeatable")
	fl.BoolVar(&f.whole, "whole", false, "replay the whole plan, with the capsules of --capsule in it")
	fl.StringArrayVar(&f.capsules, "capsules", nil, "`DIR` with the other capsules, repeatable (default: those beside the program, or $CAPSTAN_CAPSULES)")
	fl.StringArrayVar(&f.options, "option", nil, "set an option otherwise than in the recording, repeatable: `capsule.name=value`")
	fl.BoolVar(&f.diff, "diff", false, "show every change, not only how many there are")
	fl.BoolVar(&f.json, "json", false, "print the report as JSON")
	fl.StringVar(&f.tolerance, "tolerance", "", "what counts as equal: `px=1,value=0.01,encoding=0.001` (default: exactly equal)")
	fl.IntVar(&f.repeat, "repeat", 1, "replay `N` times and tell what differs from replay to replay")
	fl.BoolVar(&f.partial, "partial", false, "use a bundle whose end is missing as far as it goes")
	fl.StringVar(&f.logLevel, "log-level", "warn", "trace, debug, info, warn, error or off, to standard error")
	fl.BoolVar(&f.copying, "copy", false, "send pixels to capsules by message, not by shared memory (slow)")
	return cmd
}

// parseTolerance reads px=1,value=0.01,encoding=0.001.
func parseTolerance(text string) (t diff.Tolerance, err error) {
	if text == "" {
		return t, nil
	}
	to := map[string]*float64{"px": &t.Pixels, "value": &t.Value, "encoding": &t.Encoding}
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		v, err := strconv.ParseFloat(value, 64)
		if to[key] == nil || err != nil || !(v >= 0 && v < 1e9) {
			return t, usageError{fmt.Errorf("--tolerance %q: want px=N, value=N or encoding=N, N being 0 or more", part)}
		}
		*to[key] = v
	}
	return t, nil
}

// replayBundle is capstan replay.
func replayBundle(ctx context.Context, path string, f replayFlags, out io.Writer) error {
	tolerance, err := parseTolerance(f.tolerance)
	if err != nil {
		return err
	}
	if f.repeat < 1 || f.repeat > 1000 {
		return usageError{fmt.Errorf("--repeat %d: want 1..1000", f.repeat)}
	}
	log, err := newLog(f.logLevel)
	if err != nil {
		return err
	}
	b, err := bundle.Open(path, f.partial)
	if err != nil {
		return err
	}
	defer b.Close()
	r := &replaying{flags: f, path: path, bundle: b, log: log, settings: replay.Settings{Tolerance: tolerance, Repeat: f.repeat}}
	report, err := r.do(ctx)
	if err != nil {
		return interruptedOr(ctx, err)
	}
	if f.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		err = printReplay(out, report, f.diff)
	}
	if err == nil && !report.Equal {
		err = errChanged
	}
	return err
}

// replaying is one capstan replay.
type replaying struct {
	flags    replayFlags
	path     string
	bundle   *bundle.Reader
	log      hclog.Logger
	settings replay.Settings
}

func (r *replaying) do(ctx context.Context) (*replay.Report, error) {
	clips, err := gstreamer.New(r.log.Named("gstreamer"))
	if err != nil {
		return nil, err
	}
	r.settings.Media = &record.Media{Path: r.path, Partial: r.flags.partial, Clips: clips, Convert: gstreamer.Convert}
	single := len(r.flags.capsule) > 0 && !r.flags.whole
	list, err := r.choose(ctx, single)
	if err != nil {
		return nil, err
	}
	h := host.New(host.Config{Log: r.log, Copy: r.flags.copying})
	defer h.Close()
	engine := pipeline.New(r.settings.Media, r.log)
	defer engine.Close()
	if err := launch(ctx, h, engine, list); err != nil {
		return nil, err
	}
	if single {
		return replay.Capsules(ctx, engine.Capsules(), r.bundle, r.settings)
	}
	job, notes, err := replay.Job(&r.bundle.Header, namesOf(list), nil)
	if err != nil {
		return nil, err
	}
	report, err := replay.Plan(ctx, engine, job, r.bundle, r.settings)
	if report != nil {
		report.Notes = append(report.Notes, notes...)
	}
	return report, err
}

// choose gives the capsules that are to run with the values of the recording: those named, and
// for the whole plan the others of the recording from the catalogue.
func (r *replaying) choose(ctx context.Context, single bool) ([]chosen, error) {
	var entries []catalog.Entry
	for _, path := range r.flags.capsule {
		e, err := oneCapsule(ctx, path)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if !single {
		more, err := r.recorded(ctx, entries)
		if err != nil {
			return nil, err
		}
		entries = append(entries, more...)
	}
	slices.SortFunc(entries, func(a, b catalog.Entry) int { return strings.Compare(a.Declaration.Name, b.Declaration.Name) })
	options, err := parseOptions(entries, r.flags.options)
	if err != nil {
		return nil, err
	}
	r.settings.Options = options
	var list []chosen
	for _, e := range entries {
		was, _ := r.bundle.Header.Capsule(e.Declaration.Name)
		values, _, err := replay.Values(e.Declaration, was, options[e.Declaration.Name])
		if err != nil {
			return nil, err
		}
		list = append(list, chosen{entry: e, values: values})
	}
	return list, nil
}

// recorded gives the capsules of the recording that are not among have.
func (r *replaying) recorded(ctx context.Context, have []catalog.Entry) ([]catalog.Entry, error) {
	var names []string
	for _, c := range r.bundle.Header.Capsules {
		if !slices.ContainsFunc(have, func(e catalog.Entry) bool { return e.Declaration.Name == c.Name }) {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	folders := r.flags.capsules
	if len(folders) == 0 {
		folders = capsuleFolders()
	}
	all, err := loadCapsules(ctx, folders)
	if err != nil {
		return nil, err
	}
	var list []catalog.Entry
	for _, name := range names {
		e, ok := catalog.Find(all, name)
		if !ok {
			f := core.Faultf(core.NotFound, "replay", "capsule "+name, "it took part in the recording and is not in %s", strings.Join(folders, ", "))
			f.Hint = "name its folder with --capsules, or replay one capsule with --capsule"
			return nil, f
		}
		list = append(list, e)
	}
	return list, nil
}

// printReplay shows a report to a person.
func printReplay(w io.Writer, r *replay.Report, changes bool) error {
	what := "the whole plan"
	if r.Mode == replay.Single {
		what = "by itself"
	}
	fmt.Fprintf(w, "%s (%s): %s, %s\n", r.Bundle, r.Source, strings.Join(r.Capsules, ", "), what)
	if r.Status != bundle.Done {
		fmt.Fprintf(w, "the recording is not whole: %s\n", r.Status)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	if changes {
		last := uint64(0)
		for _, c := range r.Changes {
			if c.Seq != last {
				fmt.Fprintf(w, "frame %d, %.3f s\n", c.Seq, c.PTS)
				last = c.Seq
			}
			fmt.Fprintf(w, "  %s\n", c)
		}
		if r.More > 0 {
			fmt.Fprintf(w, "and %d more\n", r.More)
		}
	}
	fmt.Fprintf(w, "%d frames compared, ", r.Frames)
	if len(r.Kinds) == 0 {
		_, err := fmt.Fprintln(w, "no difference"+unstable(r))
		return err
	}
	var kinds []string
	for _, k := range slices.Sorted(maps.Keys(r.Kinds)) {
		kinds = append(kinds, fmt.Sprintf("%d × %s", r.Kinds[k], k))
	}
	_, err := fmt.Fprintf(w, "%d differ: %s%s\n", r.Changed, strings.Join(kinds, ", "), unstable(r))
	return err
}

func unstable(r *replay.Report) string {
	switch {
	case r.Repeats < 2:
		return ""
	case r.Unstable == 0:
		return fmt.Sprintf("; %d replays were all alike", r.Repeats)
	default:
		return fmt.Sprintf("; replays differ from each other on %d frames", r.Unstable)
	}
}
