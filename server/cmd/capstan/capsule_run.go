package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/suppliers"
	"github.com/spf13/cobra"
)

func capsuleRunCommand() *cobra.Command {
	var f runFlags
	var with []string
	cmd := &cobra.Command{
		Use:   "run DIR|FILE.cap SOURCE",
		Short: "Run one capsule, with what feeds it, on a video",
		Long: `Run the capsule on SOURCE with the capsules of the catalogue that it needs to be fed, and no others: the
planner chooses them by what they declare, those first that need no models. --with takes others.
SOURCE and the results are as those of capstan run.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted (what was written is complete).`,
		Example: `  capstan capsule run . video.mp4
  capstan capsule run . 'test://?frames=100' --json - --quiet
  capstan capsule run my_tracker.cap video.mp4 --with detector_face_yunet --overlay out.mp4`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{fmt.Errorf("run takes DIR or FILE.cap and a SOURCE, got %d; see capstan capsule run --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCapsule(cmd.Context(), args[0], args[1], f, with)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringSliceVar(&with, "with", nil, "run these capsules of the catalogue too: `a,b`")
	f.addWork(fl)
	fl.BoolVar(&f.realtime, "realtime", false, "play a file at its own speed and drop late frames, like a camera")
	fl.StringVar(&f.json, "json", "", "write results to `FILE`, - for standard output")
	fl.StringVar(&f.format, "format", "", "format of the results: jsonl or mot (default jsonl)")
	fl.StringVar(&f.overlay, "overlay", "", "write the video with detections drawn to `FILE.mp4`")
	fl.BoolVar(&f.quiet, "quiet", false, "no progress and no table")
	fl.StringVar(&f.logLevel, "log-level", "warn", "trace, debug, info, warn, error or off, to standard error")
	fl.BoolVar(&f.copying, "copy", false, "send pixels to capsules by message, not by shared memory (slow)")
	fl.DurationVar(&f.giveUp, "give-up", time.Minute, "fail when a camera that broke is not back after so long (0: never)")
	return cmd
}

// runCapsule is capstan capsule run.
func runCapsule(ctx context.Context, path, source string, f runFlags, with []string) error {
	if len(f.only)+len(f.without) > 0 {
		return usageError{errors.New("capsule run chooses the capsules itself: --with adds others")}
	}
	target, err := oneCapsule(ctx, path)
	if err != nil {
		return err
	}
	list, err := feeding(ctx, target, f, with)
	if err != nil {
		return err
	}
	f.capsules, f.only = []string{target.File}, []string{target.Declaration.Name}
	for _, e := range list {
		f.only = append(f.only, e.Declaration.Name)
		if !slices.Contains(f.capsules, e.File) {
			f.capsules = append(f.capsules, e.File)
		}
	}
	if !f.quiet && len(list) > 0 {
		fmt.Fprintf(os.Stderr, "%s is fed by %s\n", target.Declaration.Name, strings.Join(f.only[1:], ", "))
	}
	return runSource(ctx, source, f)
}

// feeding gives the capsules of the catalogue that target needs, and those of --with.
func feeding(ctx context.Context, target catalog.Entry, f runFlags, with []string) ([]catalog.Entry, error) {
	folders := f.capsules
	if len(folders) == 0 {
		folders = capsuleFolders()
		if _, err := os.Stat(folders[0]); len(folders) == 1 && err != nil {
			folders = nil // none are installed, and a detector needs none
		}
	}
	all, err := loadCapsules(ctx, folders)
	if err != nil {
		return nil, err
	}
	if err := checkNames("--with", all, with, folders); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(e catalog.Entry) bool { return e.Declaration.Name == target.Declaration.Name })
	known := append(slices.Clone(all), target)
	slices.SortFunc(known, func(a, b catalog.Entry) int { return strings.Compare(a.Declaration.Name, b.Declaration.Name) })
	options, err := parseOptions(known, f.options)
	if err != nil {
		return nil, err
	}
	wanted, err := catalog.Planned(target, options[target.Declaration.Name])
	if err != nil {
		return nil, usageError{err}
	}
	var candidates []suppliers.Candidate
	for _, e := range all {
		name := e.Declaration.Name
		keep := slices.Contains(with, name) || options[name] != nil
		if e.Declaration.OnDemand && !keep {
			continue
		}
		c, err := catalog.Planned(e, options[name])
		if err != nil {
			return nil, usageError{err}
		}
		candidates = append(candidates, suppliers.Candidate{Capsule: c, Cost: len(e.Declaration.Models), Keep: keep})
	}
	names, err := suppliers.Choose(wanted, candidates)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(e catalog.Entry) bool { return !slices.Contains(names, e.Declaration.Name) }), nil
}
