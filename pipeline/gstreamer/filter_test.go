package gstreamer

import (
	"hash/crc32"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// sumRows adds the bytes of a packed view to a checksum, row by row.
func sumRows(sum uint32, v shm.View) uint32 {
	p := v.Layout.Planes[0]
	for y := range v.Layout.Height {
		at := int(p.Offset) + y*p.Stride
		sum = crc32.Update(sum, crc32.IEEETable, v.Arena.Bytes()[at:at+3*v.Layout.Width])
	}
	return sum
}

// TestPicturesOfOpenCV holds whole pictures against checksums of what cv2.VideoCapture and
// cv2.resize (INTER_LINEAR) of OpenCV 4.6.0 gave: three of 416 pixels, and the first as it came.
func TestPicturesOfOpenCV(t *testing.T) {
	for _, c := range []struct {
		clip         string
		small, whole uint32
	}{
		{"vehicles/car-detection.mp4", 0xd68e1294, 0x9b98254f},
		{"people/worker-zone-detection_480x270_from_gif.mp4", 0x0e787f6e, 0x901d1ccf},
		{"faces/asl/again.mkv", 0x957d14b8, 0x409796b8}, // of full range
		{"street/MOT17-13_960x540_h264_from_h265.mp4", 0x3cb2d9c4, 0xf2eb7543},
		{"objects/bottle-detection.mp4", 0x2b5c60ef, 0x85d7f352},
	} {
		t.Run(c.clip, func(t *testing.T) {
			t.Parallel()
			st := open(t, newMedia(t), pipeline.Source{URL: data(t, "videos/"+c.clip)})
			small, whole := uint32(0), uint32(0)
			for i := range 3 {
				_, p, err := st.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				v, err := p.View([]core.PixelFormat{core.BGR}, core.PictureSize{MaxSide: 416, Filter: core.OpenCV})
				if err != nil {
					t.Fatal(err)
				}
				small = sumRows(small, v)
				if i == 0 {
					if v, err = p.View([]core.PixelFormat{core.BGR}, core.PictureSize{Filter: core.OpenCV}); err != nil {
						t.Fatal(err)
					}
					whole = sumRows(whole, v)
				}
				p.Release()
			}
			if small != c.small || whole != c.whole {
				t.Errorf("the checksums are %#08x and %#08x, OpenCV's %#08x and %#08x", small, whole, c.small, c.whole)
			}
		})
	}
}

// TestFilters shrinks columns of black, white and grey to a third: the middle one stays, or all
// three are averaged.
func TestFilters(t *testing.T) {
	t.Parallel()
	for _, format := range []core.PixelFormat{core.I420, core.NV12} {
		p := handmade(t, format, 360, 90, 0, 128, 128, core.BT601, true)
		l := p.layout.Planes[0]
		for y := range 90 {
			for x := range 360 {
				p.arena.block.Bytes()[l.Offset+int64(y*l.Stride+x)] = []byte{0, 90, 255}[x%3]
			}
		}
		for _, c := range []struct {
			as        core.PixelFormat
			filter    core.Filter
			low, high int
		}{
			{core.BGR, core.Linear, 88, 92}, {core.RGB, core.OpenCV, 87, 92}, {core.BGR, core.OpenCV, 87, 92}, {core.GRAY8, core.Linear, 88, 92},
			{core.GRAY8, core.OpenCV, 88, 92}, {format, core.Linear, 88, 92}, {format, core.OpenCV, 88, 92},
		} {
			v, err := p.View([]core.PixelFormat{c.as}, core.PictureSize{MaxSide: 120, Filter: c.filter})
			if err != nil {
				t.Fatal(err)
			}
			if got := int(v.Arena.Bytes()[v.Layout.Planes[0].Offset+int64(10*v.Layout.Planes[0].Stride)+60]); got < c.low || got > c.high {
				t.Errorf("%s to %s, filter %q: %d, want %d..%d", format, c.as, c.filter, got, c.low, c.high)
			}
		}
		mean, err := p.View([]core.PixelFormat{core.GRAY8}, core.PictureSize{MaxSide: 120})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for x := range 120 {
			sum += int(mean.Arena.Bytes()[mean.Layout.Planes[0].Offset+int64(10*mean.Layout.Planes[0].Stride)+int64(x)])
		}
		if sum /= 120; sum < 105 || sum > 125 {
			t.Errorf("%s: by means it is %d, want 115", format, sum)
		}
		if _, err := p.View([]core.PixelFormat{core.RGB}, core.PictureSize{Filter: "cubic"}); core.KindOf(err) != core.Invalid {
			t.Errorf("an unknown filter gives %v", err)
		}
	}
}

// TestFiltersShare has one picture for capsules whose filters give the same.
func TestFiltersShare(t *testing.T) {
	t.Parallel()
	p := handmade(t, core.I420, 640, 360, 90, 128, 128, core.BT601, true)
	view := func(side int, f core.Filter) int64 {
		v, err := p.View([]core.PixelFormat{core.BGR}, core.PictureSize{MaxSide: side, Filter: f})
		if err != nil {
			t.Fatal(err)
		}
		return v.Layout.Planes[0].Offset
	}
	if a, b := view(416, core.Mean), view(416, core.Linear); a != b {
		t.Error("above a half, means and linear are two pictures")
	}
	if a, b := view(200, core.Mean), view(200, core.Linear); a == b {
		t.Error("below a half, means and linear are one picture")
	}
}
