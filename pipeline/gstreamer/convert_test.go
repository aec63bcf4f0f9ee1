package gstreamer

import (
	"testing"

	"github.com/capstan-video/capstan/core"
)

// TestConvert makes grey pictures of other formats and sizes, which stay as grey as they are.
func TestConvert(t *testing.T) {
	t.Parallel()
	from, size := core.Packed(core.I420, 33, 21)
	from.Matrix, from.FullRange = core.BT601, true
	mem := make([]byte, size)
	for i := range mem {
		mem[i] = 128
	}
	for _, format := range core.PixelFormats {
		for _, side := range [][2]int{{33, 21}, {16, 10}, {1, 1}, {66, 40}} {
			l, out, err := Convert(from, mem, format, side[0], side[1])
			if err != nil || l.Format != format || l.Width != side[0] || l.Height != side[1] || !l.FullRange || l.Check(int64(len(out))) != nil {
				t.Fatalf("%s %v: %+v, %v", format, side, l, err)
			}
			for i, v := range out {
				if v < 126 || v > 130 {
					t.Fatalf("%s %v: byte %d is %d, want 128", format, side, i, v)
				}
			}
		}
	}
	if _, _, err := Convert(from, mem[:100], core.RGB, 8, 8); core.KindOf(err) != core.Invalid {
		t.Errorf("of memory that is too short: %v", err)
	}
	if _, _, err := Convert(from, mem, "X", 8, 8); core.KindOf(err) != core.Invalid {
		t.Errorf("to format X: %v", err)
	}
	if _, _, err := Convert(from, mem, core.RGB, 0, 8); core.KindOf(err) != core.Invalid {
		t.Errorf("to no width: %v", err)
	}
}
