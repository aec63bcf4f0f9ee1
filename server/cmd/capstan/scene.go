package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/spf13/cobra"
)

// sceneCommand makes the clip of the demo. It is for the Makefile and the tests.
func sceneCommand() *cobra.Command {
	opt := gstreamer.SceneOptions{Width: 1280, Height: 720, FPS: 30, Duration: 10 * time.Second}
	cmd := &cobra.Command{
		Use:     "scene OUT.mp4 PICTURE...",
		Short:   "Make a clip in which pictures move over the screen",
		Example: "  capstan scene demo.mp4 portrait.jpg qr.png",
		Hidden:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError{errors.New("scene takes OUT.mp4 and at least one PICTURE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, p := range args[1:] {
				if _, err := os.Stat(p); err != nil {
					return fmt.Errorf("scene: %w", err)
				}
			}
			log, err := newLog("warn")
			if err != nil {
				return err
			}
			if _, err := gstreamer.New(log); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "making %s from %d pictures\n", args[0], len(args)-1)
			return gstreamer.RenderScene(cmd.Context(), args[0], spread(args[1:]), opt)
		},
	}
	cmd.Flags().IntVar(&opt.Width, "width", opt.Width, "pixels")
	cmd.Flags().IntVar(&opt.Height, "height", opt.Height, "pixels")
	cmd.Flags().IntVar(&opt.FPS, "fps", opt.FPS, "frames a second")
	cmd.Flags().DurationVar(&opt.Duration, "duration", opt.Duration, "length of the clip")
	return cmd
}

// spread gives every picture a column of the scene to swing in, so that none hides another; the
// first one comes a second time, mirrored.
func spread(pictures []string) []gstreamer.Sprite {
	pictures = append([]string{pictures[0]}, pictures...)
	n := float64(len(pictures))
	var sprites []gstreamer.Sprite
	for i, path := range pictures {
		place := float64(i)
		sprites = append(sprites, gstreamer.Sprite{
			Path: path, Mirror: i == 1, Width: int(0.68 * 1280 / n),
			X: (place + 0.5) / n, Y: 0.5, SwingX: 0.08 / n, SwingY: 0.12 + 0.02*float64(i%3),
			Turns: 1 + float64(i%2), Phase: place / n, Zoom: 0.12,
		})
	}
	return sprites
}
