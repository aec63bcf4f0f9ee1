package push_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/push"
	"github.com/hashicorp/go-hclog"
)

// Three pictures that the program makes go through a session. With capsules added to the engine
// the results have their nodes.
func Example() {
	media := push.New(nil)
	feed, err := media.Feed("drawn", push.Config{Stamps: push.ByRate, FPS: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	go func() {
		defer feed.End()
		for range 3 {
			if err := feed.Push(ctx, push.Frame{Image: image.NewGray(image.Rect(0, 0, 64, 48))}); err != nil {
				return
			}
		}
	}()
	engine := pipeline.New(media, hclog.NewNullLogger())
	defer engine.Close()
	session, err := engine.Open(ctx, pipeline.Job{Source: feed.Source()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	for {
		r, err := session.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		view, err := r.View([]core.PixelFormat{core.RGB}, core.PictureSize{MaxSide: 32})
		fmt.Println(r.Frame.Seq, r.Frame.PTS.Seconds(), r.Frame.Caps, "seen as", view.Layout.Format, view.Layout.Width, err)
		r.Release()
	}
	// Output:
	// 1 0 GRAY8 64x48 @ 10 fps seen as RGB 32 <nil>
	// 2 0.1 GRAY8 64x48 @ 10 fps seen as RGB 32 <nil>
	// 3 0.2 GRAY8 64x48 @ 10 fps seen as RGB 32 <nil>
}
