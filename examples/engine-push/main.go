// Command engine-push shows how to use the engine as a library, on frames that the program makes
// itself: no GStreamer is needed.
//
//  1. make a feed and push pictures into it,
//  2. open a session on it and take the results in frame order,
//  3. end the feed, and so the session.
//
// It draws a ball that rolls through the picture and has a capsule find what moves. After make build:
//
//	go run ./examples/engine-push
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"io"
	"os"
	"os/signal"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/push"
	"github.com/hashicorp/go-hclog"
)

const detector = "detector_motion_background"

func main() {
	folder := flag.String("capsules", "bin/capsules", "the folder with capsules")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := roll(ctx, os.Stdout, *folder, 100); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// roll pushes so many frames and prints what moves in them.
func roll(ctx context.Context, out io.Writer, folder string, frames int) error {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	entries, err := catalog.Load(folder)
	if err != nil {
		return err
	}
	entry, ok := catalog.Find(entries, detector)
	if !ok {
		return core.Faultf(core.NotFound, "launch", detector, "it is not in %s", folder)
	}
	capsules := host.New(host.Config{Log: log})
	defer capsules.Close()
	capsule, err := capsules.Launch(ctx, host.Spec{Declaration: entry.Declaration, Path: entry.Program()})
	if err != nil {
		return err
	}
	media := push.New(nil)
	engine := pipeline.New(media, log)
	defer engine.Close()
	if err := engine.Add(capsule); err != nil {
		return err
	}
	// All frames are to be worked on, so Push waits when the session is busy; a camera would
	// have Full: push.DropOldest. They are 1/25 s apart, however fast they are made.
	feed, err := media.Feed("ball", push.Config{Stamps: push.ByRate, FPS: 25})
	if err != nil {
		return err
	}
	pushed := make(chan error, 1)
	go func() { pushed <- pushBall(ctx, feed, frames) }()
	return errors.Join(results(ctx, out, engine, feed), feed.Close(), <-pushed)
}

// pushBall draws and pushes the frames. The picture is copied by Push and can be drawn over.
func pushBall(ctx context.Context, feed *push.Feed, frames int) error {
	defer feed.End()
	img := image.NewRGBA(image.Rect(0, 0, 320, 240))
	grass, ball := image.NewUniform(color.RGBA{30, 90, 40, 255}), image.NewUniform(color.RGBA{230, 220, 210, 255})
	for i := range frames {
		draw.Draw(img, img.Rect, grass, image.Point{}, draw.Src)
		if x := 6*i - 100; x > 0 { // first the grass alone, so that the detector knows it
			draw.Draw(img, image.Rect(x, 100, x+40, 140), ball, image.Point{}, draw.Src)
		}
		if err := feed.Push(ctx, push.Frame{Image: img}); err != nil {
			return err
		}
	}
	return nil
}

func results(ctx context.Context, out io.Writer, engine *pipeline.Engine, feed *push.Feed) error {
	session, err := engine.Open(ctx, pipeline.Job{Source: feed.Source()})
	if err != nil {
		return err
	}
	defer session.Close()
	for {
		r, err := session.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, n := range r.Nodes {
			box := n.Coords.Box()
			fmt.Fprintf(out, "%.2f s: %s at %.0f,%.0f to %.0f,%.0f\n", r.Frame.PTS.Seconds(), n.Class, box.X1, box.Y1, box.X2, box.Y2)
		}
		r.Release()
	}
}
