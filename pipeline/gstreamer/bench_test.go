package gstreamer

import (
	"fmt"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// BenchmarkView makes the pictures that capsules ask for most, of one 1080p frame.
func BenchmarkView(b *testing.B) {
	for _, f := range []core.PixelFormat{core.I420, core.NV12} {
		p := handmade(b, f, 1920, 1080, 100, 120, 140, core.BT709, false)
		for _, c := range []struct {
			format core.PixelFormat
			size   core.PictureSize
		}{
			{core.RGB, core.PictureSize{}}, {core.RGB, core.PictureSize{MaxSide: 640}}, {core.RGB, core.PictureSize{Width: 640, Height: 640}},
			{core.GRAY8, core.PictureSize{MaxSide: 480}}, {core.GRAY8, core.PictureSize{MaxSide: 320}}, {core.BGR, core.PictureSize{MaxSide: 416, Filter: core.Linear}},
			{core.BGR, core.PictureSize{MaxSide: 415, Filter: core.OpenCV}}, {core.NV12, core.PictureSize{}},
		} {
			w, h := c.size.Fit(1920, 1080)
			b.Run(fmt.Sprintf("%s/%s-%dx%d", f, c.format, w, h), func(b *testing.B) {
				for b.Loop() {
					v := &variant{}
					if p.make(variantKey{c.format, w, h, c.size.Filter}, v); v.err != nil {
						b.Fatal(v.err)
					}
					v.slot.give()
				}
			})
		}
	}
}

// BenchmarkNext plays test pictures: what a frame costs beyond its decoding.
func BenchmarkNext(b *testing.B) {
	st := open(b, newMedia(b), pipeline.Source{URL: "test://?pattern=black&size=64x48&fps=1000"})
	b.ReportAllocs()
	for b.Loop() {
		_, p, err := st.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		p.Release()
	}
}
