package overlay

import (
	"image"
	"image/color"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// typeface draws text of one size. Masks of whole labels are kept, because most labels of a
// frame stand in the next one too.
type typeface struct {
	mu    sync.Mutex
	face  font.Face
	masks map[string]*image.Alpha
}

// maxMasks bounds the kept masks; when it is reached all are forgotten.
const maxMasks = 4096

func newTypeface(px float64) (*typeface, error) {
	f, err := opentype.Parse(gomedium.TTF)
	if err != nil {
		return nil, err
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: px, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return nil, err
	}
	return &typeface{face: face, masks: map[string]*image.Alpha{}}, nil
}

// mask gives the coverage of a line of text, 0..255.
func (t *typeface) mask(s string) *image.Alpha {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m, ok := t.masks[s]; ok {
		return m
	}
	if len(t.masks) >= maxMasks {
		clear(t.masks)
	}
	metrics := t.face.Metrics()
	w := font.MeasureString(t.face, s).Ceil()
	m := image.NewAlpha(image.Rect(0, 0, w, (metrics.Ascent + metrics.Descent).Ceil()))
	d := font.Drawer{Dst: m, Src: image.NewUniform(color.Alpha{A: 255}), Face: t.face, Dot: fixed.Point26_6{Y: metrics.Ascent}}
	d.DrawString(s)
	t.masks[s] = m
	return m
}

// text paints a mask with its top left corner at (x, y).
func (c *Canvas) text(m *image.Alpha, x, y int, col yuv) {
	for j := range m.Rect.Dy() {
		py := y + j
		if py < 0 || py >= c.Layout.Height {
			continue
		}
		row, cover := c.luma(py), m.Pix[j*m.Stride:][:m.Rect.Dx()]
		for i, a := range cover {
			if px := x + i; a > 0 && px >= 0 && px < c.Layout.Width {
				row[px] = mix(row[px], col.y, int(a))
			}
		}
	}
}
