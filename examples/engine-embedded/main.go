// Command engine-embedded shows how to run Capstan inside a Go program of one's own:
//
//  1. read capsules from a folder,
//  2. launch some of them as processes,
//  3. open a clip (by GStreamer) and take results in frame order,
//  4. end on Ctrl-C with nothing left behind.
//
// After make build:
//
//	go run ./examples/engine-embedded video.mp4
//	go run ./examples/engine-embedded -only detector_motion_background,tracker_bytetrack video.mp4
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/hashicorp/go-hclog"
)

func main() {
	folder := flag.String("capsules", "bin/capsules", "the folder with capsules")
	only := flag.String("only", "detector_motion_background,classifier_color_hsv", "the capsules to run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := watch(ctx, os.Stdout, flag.Arg(0), *folder, strings.Split(*only, ",")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// watch runs the named capsules on a clip and prints what they find, until the end or until ctx
// is over.
func watch(ctx context.Context, out io.Writer, clip, folder string, names []string) error {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	media, err := gstreamer.New(log)
	if err != nil {
		return err
	}
	capsules := host.New(host.Config{Log: log})
	defer capsules.Close() // last: no process is left
	engine := pipeline.New(media, log)
	defer engine.Close()
	entries, err := catalog.Load(folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := launch(ctx, capsules, engine, entries, name); err != nil {
			return err
		}
	}
	session, err := engine.Open(ctx, pipeline.Job{Source: pipeline.Source{Stream: "clip", URL: clip}})
	if err != nil {
		return err
	}
	defer session.Close()
	defer context.AfterFunc(ctx, session.Stop)() // frames that are under way are still finished
	for {
		result, err := session.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		show(out, result)
		result.Release() // its picture's memory can be used again
	}
}

func launch(ctx context.Context, h *host.Host, e *pipeline.Engine, entries []catalog.Entry, name string) error {
	entry, ok := catalog.Find(entries, name)
	if !ok {
		return core.Faultf(core.NotFound, "launch", name, "it is not among: %s", strings.Join(catalog.Names(entries), ", "))
	}
	capsule, err := h.Launch(ctx, host.Spec{Declaration: entry.Declaration, Path: entry.Program()})
	if err != nil {
		return err
	}
	return e.Add(capsule)
}

func show(out io.Writer, r *pipeline.Result) {
	for _, n := range r.Nodes {
		box := n.Coords.Box()
		fmt.Fprintf(out, "frame %d, %.2f s: %s at %.0f,%.0f to %.0f,%.0f %v\n", r.Frame.Seq, r.Frame.PTS.Seconds(), n.Class, box.X1, box.Y1, box.X2, box.Y2, n.Attributes)
	}
}
