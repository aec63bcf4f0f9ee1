package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/gallery"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// runFlags are the settings of capstan run, as they stand on the command line.
type runFlags struct {
	capsules []string
	only     []string
	without  []string
	options  []string
	effort   effortFlags
	watchFlags
	start    time.Duration
	duration time.Duration
	realtime bool
	json     string
	format   string
	overlay  string
	quiet    bool
	logLevel string
	copying  bool
	unsafe   bool
	giveUp   time.Duration
	gallery  string
	signed   bool

	broken func(path string, err error) // told of capsules that cannot be read, which are left out; nil: that is an error
}

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run SOURCE",
		Short: "Run capsules on a video, a camera, pictures or a test picture",
		Long: `Run the capsules on SOURCE and show what they found.

SOURCE is a file, an rtsp://, http(s):// (HLS and MJPEG too) or v4l2:// URL, a picture, a folder
of pictures, or test://?pattern=ball&size=1920x1080&fps=30&frames=1050 (a test picture).

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted (what was written is complete).`,
		Example: `  capstan run video.mp4
  capstan run video.mp4 --json results.jsonl --overlay boxes.mp4
  capstan run rtsp://user:password@camera.local/stream --only detector_face_pigo,tracker_bytetrack --json -
  capstan run video.mp4 --option detector_face_pigo.min_size=40 --every 3
  capstan run video.mp4 --gate detector_face_pigo=motion,hold=2s,every=10s
  capstan run 'test://?pattern=ball&frames=300' --option detector_replay.path=det.txt --format mot`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("run takes one SOURCE, got %d; see capstan run --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runSource(cmd.Context(), args[0], f) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	f.addWork(fl)
	f.watchFlags.add(fl)
	fl.BoolVar(&f.realtime, "realtime", false, "play a file at its own speed and drop late frames, like a camera")
	fl.StringVar(&f.json, "json", "", "write results to `FILE`, - for standard output")
	fl.StringVar(&f.format, "format", "", "format of the results: jsonl or mot (default jsonl)")
	fl.StringVar(&f.gallery, "gallery", "", "name the faces of known persons: `DIR` with a folder of photos for each")
	fl.StringVar(&f.overlay, "overlay", "", "write the video with detections drawn to `FILE.mp4`")
	fl.BoolVar(&f.quiet, "quiet", false, "no progress and no table")
	fl.StringVar(&f.logLevel, "log-level", "warn", "trace, debug, info, warn, error or off, to standard error")
	fl.BoolVar(&f.copying, "copy", false, "send pixels to capsules by message, not by shared memory (slow)")
	fl.BoolVar(&f.unsafe, "unsafe", false, "do not confine capsules to what their manifests say they need (for development)")
	fl.DurationVar(&f.giveUp, "give-up", time.Minute, "fail when a camera that broke is not back after so long (0: never)")
	return cmd
}

// addWork adds the flags that say what is done on which frames.
func (f *runFlags) addWork(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.capsules, "capsules", nil, "`DIR` with capsules, or a package NAME.cap, repeatable (default: those beside the program, or $CAPSTAN_CAPSULES)")
	fl.StringSliceVar(&f.only, "only", nil, "use these capsules only: `a,b`")
	fl.StringSliceVar(&f.without, "without", nil, "use all capsules but these: `a,b`")
	fl.StringArrayVar(&f.options, "option", nil, "set an option of a capsule, repeatable: `capsule.name=value`")
	fl.BoolVar(&f.signed, "require-signed", false, "run only packages that a key in $CAPSTAN_TRUST has signed")
	f.effort.add(fl)
	fl.DurationVar(&f.start, "start", 0, "begin so far into a file")
	fl.DurationVar(&f.duration, "duration", 0, "play so much only (default: to the end)")
}

// check refuses flags that cannot be, before anything starts.
func (f *runFlags) check() error {
	switch {
	case f.format != "" && f.format != "jsonl" && f.format != "mot":
		return usageError{fmt.Errorf("--format %q is not one of jsonl, mot", f.format)}
	case f.effort.every < 1:
		return usageError{fmt.Errorf("--every %d: want 1 or more", f.effort.every)}
	case f.start < 0 || f.duration < 0 || f.giveUp < 0:
		return usageError{errors.New("--start, --duration and --give-up cannot be below zero")}
	case len(f.only) > 0 && len(f.without) > 0:
		return usageError{errors.New("--only and --without exclude each other")}
	case f.overlay != "" && !strings.HasSuffix(strings.ToLower(f.overlay), ".mp4"):
		return usageError{fmt.Errorf("--overlay %q: the file is an .mp4", f.overlay)}
	}
	if f.format != "" && f.json == "" {
		f.json = "-"
	}
	return nil
}

// runSource is capstan run.
func runSource(ctx context.Context, source string, f runFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	log, err := newLog(f.logLevel)
	if err != nil {
		return err
	}
	chosen, err := chooseCapsules(ctx, f)
	if err != nil {
		return err
	}
	media, err := gstreamer.New(log.Named("gstreamer"))
	if err != nil {
		return err
	}
	job := pipeline.Job{
		Source:    pipeline.Source{Stream: "run", URL: source, Start: f.start, Duration: f.duration, Realtime: f.realtime},
		Reconnect: pipeline.Reconnect{GiveUp: f.giveUp},
	}
	if err := f.effort.apply(&job, namesOf(chosen)); err != nil {
		return err
	}
	r := &run{flags: f, source: source, log: log}
	defer r.close()
	h := host.New(host.Config{Log: log, Copy: f.copying, Unsafe: f.unsafe})
	defer h.Close()
	engine := pipeline.New(media, log)
	defer engine.Close()
	if err := r.launch(ctx, h, engine, chosen); err != nil {
		return interruptedOr(ctx, err)
	}
	if err := r.meet(ctx, engine); err != nil {
		return interruptedOr(ctx, err)
	}
	session, err := engine.Open(ctx, job)
	if err != nil {
		return interruptedOr(ctx, err)
	}
	defer session.Close()
	r.session = session
	if r.watched != nil {
		r.watched.follow()
		defer r.watched.stop()
	}
	return r.do(ctx)
}

// launch starts the capsules, for a run that watches them by a keeper.
func (r *run) launch(ctx context.Context, h *host.Host, e *pipeline.Engine, list []chosen) (err error) {
	if r.flags.watch {
		r.watched, err = startWatched(ctx, r.flags, h, e, r.log)
		return err
	}
	return launch(ctx, h, e, list)
}

// close removes what a keeper has copied. No process runs any more.
func (r *run) close() {
	if r.watched != nil {
		_ = r.watched.keeper.Close()
	}
}

// meet enrols the persons of the gallery, if there is one.
func (r *run) meet(ctx context.Context, engine *pipeline.Engine) error {
	if r.flags.gallery == "" {
		return nil
	}
	report := io.Writer(os.Stderr)
	if r.flags.quiet {
		report = io.Discard
	}
	people, err := enrol(ctx, engine, r.flags.gallery, report)
	if err != nil {
		return err
	}
	r.follower = people.Follow()
	return nil
}

// interruptedOr gives errInterrupted for whatever failed because a signal came.
func interruptedOr(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return errInterrupted
	}
	return err
}

// chosen is a capsule of the catalogue with its settings.
type chosen struct {
	entry  catalog.Entry
	values map[string]any
}

func namesOf(list []chosen) []string {
	names := make([]string, 0, len(list))
	for _, c := range list {
		names = append(names, c.entry.Declaration.Name)
	}
	return names
}

// chooseCapsules reads the manifests and gives the capsules that the flags ask for and the
// plan has a place for.
func chooseCapsules(ctx context.Context, f runFlags) ([]chosen, error) {
	folders := f.folders()
	entries, err := loadReadable(ctx, folders, f.broken)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkNames("--only", entries, f.only, folders), checkNames("--without", entries, f.without, folders)); err != nil {
		return nil, err
	}
	options, err := f.givenOptions(entries)
	if err != nil {
		return nil, err
	}
	list, err := planned(pick(entries, f, options))
	if err != nil || !f.signed {
		return list, err
	}
	return list, requireSigned(list)
}

// wanted says whether the flags ask for a capsule. One that is on demand has to be named, by
// --only or by an option.
func wanted(e catalog.Entry, f runFlags, hasOption bool) bool {
	name := e.Declaration.Name
	switch {
	case len(f.only) > 0:
		return slices.Contains(f.only, name)
	case slices.Contains(f.without, name):
		return false
	default:
		return !e.Declaration.OnDemand || hasOption
	}
}

// parseOptions reads capsule.name=value entries.
func parseOptions(entries []catalog.Entry, texts []string) (map[string]map[string]any, error) {
	options := map[string]map[string]any{}
	for _, text := range texts {
		target, value, ok := strings.Cut(text, "=")
		capsule, name, dot := strings.Cut(target, ".")
		if !ok || !dot {
			return nil, usageError{fmt.Errorf("--option %q: want capsule.name=value", text)}
		}
		e, found := catalog.Find(entries, capsule)
		if !found {
			return nil, usageError{fmt.Errorf("--option %q: there is no capsule %q", text, capsule)}
		}
		o, found := e.Declaration.Option(name)
		if !found {
			_, err := e.Declaration.Complete(map[string]any{name: value})
			return nil, usageError{fmt.Errorf("--option %q: %w", text, err)}
		}
		v, err := o.Parse(value)
		if err != nil {
			return nil, usageError{fmt.Errorf("--option %q: %w", text, err)}
		}
		if options[capsule] == nil {
			options[capsule] = map[string]any{}
		}
		options[capsule][name] = v
	}
	return options, nil
}

// planned leaves out the capsules that nothing would feed, so that they need not be launched.
func planned(list []chosen) ([]chosen, error) {
	var capsules []plan.Capsule
	for _, c := range list {
		pc, err := catalog.Planned(c.entry, c.values)
		if err != nil {
			return nil, usageError{err}
		}
		capsules = append(capsules, pc)
	}
	p, err := plan.Make(capsules)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(c chosen) bool {
		return slices.ContainsFunc(p.Blocked, func(b plan.Blocked) bool { return b.Capsule == c.entry.Declaration.Name })
	}), nil
}

// launch starts the capsules side by side and gives them to the engine.
func launch(ctx context.Context, h *host.Host, e *pipeline.Engine, list []chosen) error {
	type launched struct {
		capsule *host.Capsule
		err     error
	}
	results := make([]chan launched, len(list))
	for i, c := range list {
		results[i] = make(chan launched, 1)
		go func() {
			spec, err := specOf(c.entry, c.values)
			if err != nil {
				results[i] <- launched{nil, err}
				return
			}
			capsule, err := h.Launch(ctx, spec)
			results[i] <- launched{capsule, err}
		}()
	}
	var errs []error
	for _, r := range results {
		l := <-r
		if l.err == nil {
			l.err = e.Add(l.capsule)
		}
		errs = append(errs, l.err)
	}
	return errors.Join(errs...)
}

// run is one capstan run with its outputs open.
type run struct {
	flags    runFlags
	source   string
	session  *pipeline.Session
	follower *gallery.Follower // nil: nobody is named
	watched  *watched          // nil: nothing is watched
	log      hclog.Logger
	out      output
	film     *film
	progress *progress
}

// do plays the session to its end and completes every output, whatever happens.
func (r *run) do(ctx context.Context) error {
	err := r.openOutputs()
	if err == nil {
		err = r.play(ctx)
	}
	return r.finish(ctx, err)
}

func (r *run) openOutputs() error {
	info := r.session.Info()
	r.progress = startProgress(r.flags, info, os.Stderr)
	if r.flags.json != "" {
		out, err := openOutput(r.flags.json, r.flags.format)
		if err != nil {
			return err
		}
		r.out = out
		err = out.Header(header{
			Capstan: buildVersion(), Source: redact(r.source), Width: info.Caps.Width, Height: info.Caps.Height,
			FPS: info.Caps.FPS(), Plan: r.session.Plan(),
		})
		if err != nil {
			return err
		}
	}
	if r.flags.overlay == "" {
		return nil
	}
	film, err := openFilm(r.flags.overlay, info.Caps, r.log.Named("overlay"))
	r.film = film
	return err
}

// play hands every result to the outputs. A signal stops the reading; frames under way are
// finished and written.
func (r *run) play(ctx context.Context) error {
	stopping := context.AfterFunc(ctx, r.session.Stop)
	defer stopping()
	for {
		result, err := r.session.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = r.write(result)
		result.Release()
		if err != nil {
			return err
		}
		r.progress.frame(result)
	}
}

func (r *run) write(result *pipeline.Result) error {
	if r.follower != nil {
		r.follower.Recognise(result.Frame.PTS, result.Nodes)
	}
	if r.out != nil {
		if err := r.out.Frame(result); err != nil {
			return err
		}
	}
	if r.film != nil {
		return r.film.frame(result)
	}
	return nil
}

// finish closes what is open and gives the first error of all.
func (r *run) finish(ctx context.Context, err error) error {
	r.session.Stop()
	stats := r.session.Stats()
	if err == nil && stats.Frames == 0 && ctx.Err() == nil {
		err = core.Faultf(core.SourceBroken, "run", redact(r.source), "not one frame came out of it")
	}
	err = interruptedOr(ctx, err)
	r.progress.stop()
	errs := []error{err}
	if r.out != nil {
		errs = append(errs, r.out.Summary(summarise(stats, r.session.Info().Frames, err)), r.out.Close())
	}
	if r.film != nil {
		errs = append(errs, r.film.close())
	}
	errs = append(errs, r.session.Close())
	if !r.flags.quiet {
		to := io.Writer(os.Stdout)
		if r.flags.json == "-" {
			to = os.Stderr
		}
		printTable(to, stats, r.session.Plan())
	}
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}
