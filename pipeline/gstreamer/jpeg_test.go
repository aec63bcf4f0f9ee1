package gstreamer

import (
	"bytes"
	"context"
	"image/jpeg"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// plain gives a picture of one colour.
func plain(w, h int, y, u, v byte) []byte {
	_, size := core.Packed(core.I420, w, h)
	mem := bytes.Repeat([]byte{y}, int(size))
	chroma := (int(size) - w*h) / 2
	copy(mem[w*h:], bytes.Repeat([]byte{u}, chroma))
	copy(mem[w*h+chroma:], bytes.Repeat([]byte{v}, chroma))
	return mem
}

// TestEncodeJPEG: what is red in the picture is as red in the JPEG, whatever its matrix and range.
func TestEncodeJPEG(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		caps    core.Caps
		y, u, v byte
		rgb     [3]uint32
	}{
		"red, BT.601":              {core.Caps{Width: 64, Height: 48}, 81, 90, 240, [3]uint32{255, 0, 0}},
		"red, BT.709":              {core.Caps{Width: 64, Height: 48, Matrix: core.BT709}, 63, 102, 240, [3]uint32{255, 0, 0}},
		"green, BT.709, odd sides": {core.Caps{Width: 33, Height: 21, Matrix: core.BT709}, 173, 42, 26, [3]uint32{0, 255, 0}},
		"grey, full range":         {core.Caps{Width: 64, Height: 48, FullRange: true}, 200, 128, 128, [3]uint32{200, 200, 200}},
		"white, limited range":     {core.Caps{Width: 1920, Height: 1080, Matrix: core.BT709}, 235, 128, 128, [3]uint32{255, 255, 255}},
	} {
		data, err := EncodeJPEG(t.Context(), plain(tt.caps.Width, tt.caps.Height, tt.y, tt.u, tt.v), tt.caps, 88)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		img, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil || img.Bounds().Dx() != tt.caps.Width || img.Bounds().Dy() != tt.caps.Height {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r, g, b, _ := img.At(tt.caps.Width/2, tt.caps.Height/2).RGBA()
		for i, got := range []uint32{r >> 8, g >> 8, b >> 8} {
			if want := tt.rgb[i]; got+6 < want || got > want+6 {
				t.Errorf("%s: %d %d %d, want %v", name, r>>8, g>>8, b>>8, tt.rgb)
				break
			}
		}
	}
}

func TestEncodeJPEGRefuses(t *testing.T) {
	t.Parallel()
	caps := core.Caps{Width: 64, Height: 48}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx     context.Context
		mem     []byte
		caps    core.Caps
		quality int
		kind    core.Kind
	}{
		"too few bytes": {t.Context(), plain(64, 46, 0, 0, 0), caps, 88, core.Invalid},
		"no size":       {t.Context(), nil, core.Caps{}, 88, core.Invalid},
		"quality 0":     {t.Context(), plain(64, 48, 0, 0, 0), caps, 0, core.Invalid},
		"it is over":    {over, plain(64, 48, 0, 0, 0), caps, 88, core.Cancelled},
	} {
		if data, err := EncodeJPEG(tt.ctx, tt.mem, tt.caps, tt.quality); core.KindOf(err) != tt.kind || data != nil {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func BenchmarkEncodeJPEG(b *testing.B) {
	caps := core.Caps{Width: 1920, Height: 1080, Matrix: core.BT709}
	mem := plain(1920, 1080, 90, 100, 140)
	for i := range 1920 * 1080 {
		mem[i] = byte(i*7919>>8)%120 + 60
	}
	for b.Loop() {
		if _, err := EncodeJPEG(b.Context(), mem, caps, 88); err != nil {
			b.Fatal(err)
		}
	}
}
