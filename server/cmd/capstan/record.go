package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/record"
	"github.com/capstan-video/capstan/sdk/bundle"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
)

// recordFlags are the settings of capstan record, as they stand on the command line.
type recordFlags struct {
	run      runFlags
	out      string
	only     string
	pictures []string
	frames   bool
	limit    int64 // megabytes
}

func recordCommand() *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use:   "record SOURCE -o FILE.bundle",
		Short: "Record a run: the frames, and what every capsule was given and answered",
		Long: `Run the capsules on SOURCE as capstan run does, and write a bundle: the clip itself (or, of a camera
or a test picture, every frame without loss), the times of the frames, the plan, options and versions,
and for each frame what every capsule was given and what it answered. capstan replay plays it again.

With --for the bundle has one capsule alone, with its pictures: small, and enough for a golden test.

Recording is written to FILE.bundle.part as it goes on. A signal completes it; after a kill
capstan replay FILE.bundle.part still reads what is there.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted (the bundle is complete).`,
		Example: `  capstan record video.mp4 -o video.bundle
  capstan record 'test://?frames=100' -o test.bundle --only detector_motion_background
  capstan record rtsp://camera.local/stream -o gate.bundle --duration 1m --limit 4000
  capstan record video.mp4 -o testdata/faces.bundle --for detector_face_pigo --every 10`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("record takes one SOURCE, got %d; see capstan record --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return recordSource(cmd.Context(), args[0], f) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVarP(&f.out, "output", "o", "", "write the bundle to `FILE.bundle`")
	fl.StringVar(&f.only, "for", "", "record one `CAPSULE` alone, with its pictures")
	fl.StringSliceVar(&f.pictures, "pictures", nil, "keep the pictures that these capsules were given too: `a,b`")
	fl.BoolVar(&f.frames, "frames", false, "keep the frames of a file, not the file")
	fl.Int64Var(&f.limit, "limit", 2000, "stop at so many `MB` (0: no limit)")
	f.run.addWork(fl)
	fl.BoolVar(&f.run.realtime, "realtime", false, "play a file at its own speed and drop late frames, like a camera")
	fl.BoolVar(&f.run.quiet, "quiet", false, "no progress and no summary")
	fl.StringVar(&f.run.logLevel, "log-level", "warn", "trace, debug, info, warn, error or off, to standard error")
	fl.BoolVar(&f.run.copying, "copy", false, "send pixels to capsules by message, not by shared memory (slow)")
	fl.DurationVar(&f.run.giveUp, "give-up", time.Minute, "fail when a camera that broke is not back after so long (0: never)")
	return cmd
}

func (f *recordFlags) check() error {
	switch {
	case f.out == "":
		return usageError{errors.New("record needs -o FILE.bundle")}
	case strings.HasSuffix(f.out, bundle.PartExtension):
		return usageError{fmt.Errorf("-o %q: %s is the end of files that are not complete", f.out, bundle.PartExtension)}
	case f.limit < 0:
		return usageError{fmt.Errorf("--limit %d: want 0 or more", f.limit)}
	case f.only != "" && (f.frames || len(f.pictures) > 0):
		return usageError{errors.New("--for keeps one capsule with its pictures: leave out --frames and --pictures")}
	}
	return f.run.check()
}

// recordSource is capstan record.
func recordSource(ctx context.Context, source string, f recordFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	log, err := newLog(f.run.logLevel)
	if err != nil {
		return err
	}
	list, err := chooseCapsules(ctx, f.run)
	if err != nil {
		return err
	}
	for _, name := range append(slices.Clone(f.pictures), f.only) {
		if name != "" {
			if err := used("--for, --pictures", name, namesOf(list)); err != nil {
				return err
			}
		}
	}
	job := pipeline.Job{
		Source:    pipeline.Source{Stream: "run", URL: source, Start: f.run.start, Duration: f.run.duration, Realtime: f.run.realtime},
		Reconnect: pipeline.Reconnect{GiveUp: f.run.giveUp},
	}
	if err := f.run.effort.apply(&job, namesOf(list)); err != nil {
		return err
	}
	r := &recording{flags: f, source: source, job: job}
	return interruptedOr(ctx, r.with(ctx, list, log))
}

// recording is one capstan record.
type recording struct {
	flags   recordFlags
	source  string
	job     pipeline.Job
	session *pipeline.Session
	out     *record.Recorder
}

// with launches the capsules behind taps and records the session.
func (r *recording) with(ctx context.Context, list []chosen, log hclog.Logger) error {
	media, err := gstreamer.New(log.Named("gstreamer"))
	if err != nil {
		return err
	}
	clip := ""
	if !r.flags.frames && r.flags.only == "" {
		clip = clipOf(r.source)
	}
	r.out = record.New(record.Options{
		Only: r.flags.only, Pictures: r.flags.pictures, Frames: clip == "" && r.flags.only == "", Clip: clip, Limit: r.flags.limit * 1_000_000,
	})
	h := host.New(host.Config{Log: log, Copy: r.flags.run.copying})
	defer h.Close()
	plain := pipeline.New(media, log) // launch adds to it; the session is opened on taps
	defer plain.Close()
	if err := launch(ctx, h, plain, list); err != nil {
		return err
	}
	engine := pipeline.New(media, log)
	defer engine.Close()
	for _, c := range plain.Capsules() {
		if err := engine.Add(r.out.Tap(c)); err != nil {
			return err
		}
	}
	if r.session, err = engine.Open(ctx, r.job); err != nil {
		return err
	}
	defer r.session.Close()
	head, err := r.header(plain.Capsules(), clip)
	if err == nil {
		err = r.out.Begin(ctx, r.flags.out, head)
	}
	if err != nil {
		return err
	}
	return r.play(ctx)
}

// clipOf gives the path of a source that is a file, "" for any other.
func clipOf(source string) string {
	if u, err := url.Parse(source); err == nil && u.Scheme == "file" {
		source = u.Path
	}
	if info, err := os.Stat(source); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return source
}

// header says what is known of the session that is open.
func (r *recording) header(capsules []pipeline.Capsule, clip string) (bundle.Header, error) {
	info, p := r.session.Info(), r.session.Plan()
	text, err := json.Marshal(p)
	if err != nil {
		return bundle.Header{}, err
	}
	h := bundle.Header{
		Created: time.Now().UTC().Truncate(time.Second), Capstan: buildVersion(), Source: redact(r.source), Stream: r.job.Source.Stream,
		Live: info.Live, Caps: bundle.Caps(info.Caps), Plan: text,
	}
	if clip != "" {
		h.Clip = &bundle.Clip{
			File: "clip/" + clipName(clip), Start: int64(r.job.Source.Start), Duration: int64(r.job.Source.Duration), Keyframes: r.job.Source.KeyframesOnly,
		}
	}
	for _, c := range capsules {
		d := c.Declaration()
		if p.Stage(d.Name) < 0 {
			continue
		}
		b, err := bundle.CapsuleOf(d, c.Values())
		if err != nil {
			return h, err
		}
		b.EveryN = r.job.EveryN[d.Name]
		if g, ok := r.job.Gates[d.Name]; ok {
			b.Gate = gateText(g)
		}
		h.Capsules = append(h.Capsules, b)
	}
	return h, nil
}

// clipName keeps the end of a file's name, by which demuxers go, and what all systems can write.
func clipName(path string) string {
	ext := filepath.Ext(path)
	for _, c := range ext {
		if c > 126 || c < 33 || strings.ContainsRune(`/\:*?"<>|`, c) {
			return "clip"
		}
	}
	return "clip" + ext
}

// gateText writes a gate as --gate reads it.
func gateText(g core.Gate) string {
	if g.IsZero() {
		return "off"
	}
	var parts []string
	if g.Class != "" {
		parts = append(parts, g.Class)
	}
	if g.Hold > 0 {
		parts = append(parts, "hold="+g.Hold.String())
	}
	if g.AtLeast > 0 {
		parts = append(parts, "every="+g.AtLeast.String())
	}
	return strings.Join(parts, ",")
}

// play records to the end, a signal, the limit or a fault, and completes the bundle in any case.
func (r *recording) play(ctx context.Context) error {
	defer context.AfterFunc(ctx, r.session.Stop)()
	p := startProgress(r.flags.run, r.session.Info(), os.Stderr)
	status, err := bundle.Done, error(nil)
	for {
		var res *pipeline.Result
		if res, err = r.session.Next(context.Background()); err != nil {
			break
		}
		err = r.out.Frame(res)
		p.frame(res)
		res.Release()
		if err != nil {
			break
		}
	}
	p.stop()
	switch {
	case errors.Is(err, bundle.ErrLimit):
		status, err = bundle.Limited, nil
		fmt.Fprintf(os.Stderr, "capstan: the bundle has reached --limit %d MB; what came before is complete\n", r.flags.limit)
	case errors.Is(err, io.EOF) && ctx.Err() != nil:
		status, err = bundle.Interrupted, context.Cause(ctx)
	case errors.Is(err, io.EOF):
		err = nil
	default:
		status = bundle.Broken
	}
	frames := r.out.Frames()
	if e := r.out.Close(status, err); e != nil {
		return e
	}
	if err == nil && frames == 0 {
		return core.Faultf(core.SourceBroken, "record", redact(r.source), "not one frame was recorded")
	}
	if !r.flags.run.quiet {
		fmt.Fprintf(os.Stderr, "%s: %d frames, %.1f MB, %s\n", r.flags.out, frames, float64(r.out.Written())/1e6, status)
	}
	return err
}
