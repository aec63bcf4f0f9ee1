package service

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/capstan-video/capstan/core"
)

// What was found stands in comments of the JPEG itself, so that it goes wherever the picture goes
// and the picture can be had without boxes too.
const (
	boxesMark    = "capstan:boxes:"
	mostBoxes    = 500
	maxSegment   = 65533 - len(boxesMark) // bytes of a comment
	maxComments  = 8
	markSOI      = 0xd8
	markSOS      = 0xda
	markCOM      = 0xfe
	lineWidth    = 2
	labelPadding = 2
)

// boxMark is a box and what stands at it.
type boxMark struct {
	Label string `json:"l"`
	Box   [4]int `json:"b"` // x1, y1, x2, y2 in pixels
	Class string `json:"c"`
}

// withBoxes writes nodes, and their children, into a JPEG.
func withBoxes(data []byte, nodes []*core.Node) []byte {
	text, err := json.Marshal(marksOf(nodes, nil))
	if err != nil || len(data) < 2 || len(text) > maxComments*maxSegment {
		return data
	}
	out := bytes.NewBuffer(make([]byte, 0, len(data)+len(text)+100))
	out.Write(data[:2])
	for len(text) > 0 {
		n := min(len(text), maxSegment)
		out.Write([]byte{0xff, markCOM})
		_ = binary.Write(out, binary.BigEndian, uint16(2+len(boxesMark)+n))
		out.WriteString(boxesMark)
		out.Write(text[:n])
		text = text[n:]
	}
	out.Write(data[2:])
	return out.Bytes()
}

func marksOf(nodes []*core.Node, list []boxMark) []boxMark {
	for _, n := range nodes {
		if len(list) >= mostBoxes {
			return list
		}
		b := n.Coords.Box()
		m := boxMark{Label: n.Class, Class: n.Class, Box: [4]int{pixelOf(b.X1), pixelOf(b.Y1), pixelOf(b.X2), pixelOf(b.Y2)}}
		if n.Identity != nil {
			m.Label = n.Identity.UniqueName
		}
		list = marksOf(n.Children, append(list, m))
	}
	return list
}

// pixelOf keeps a coordinate near the picture, whatever a capsule says.
func pixelOf(x float64) int {
	if x != x {
		return 0
	}
	return int(min(max(x, -1<<15), 1<<15))
}

// marks reads what was written into a JPEG; nil when there is nothing.
func marks(data []byte) []boxMark {
	var text []byte
	if len(data) < 4 || data[0] != 0xff || data[1] != markSOI {
		return nil
	}
	for at := 2; at+4 <= len(data) && data[at] == 0xff && data[at+1] != markSOS; {
		n := int(binary.BigEndian.Uint16(data[at+2:]))
		if n < 2 || at+2+n > len(data) {
			return nil
		}
		if rest, ok := bytes.CutPrefix(data[at+4:at+2+n], []byte(boxesMark)); ok && data[at+1] == markCOM {
			text = append(text, rest...)
		}
		at += 2 + n
	}
	var list []boxMark
	if json.Unmarshal(text, &list) != nil {
		return nil
	}
	return list[:min(len(list), mostBoxes)]
}

// DrawBoxes gives a picture that this server has saved with what was found on it. One that has
// nothing of the kind comes back as it is. Invalid on "image" when it is no picture.
func DrawBoxes(data []byte) ([]byte, error) {
	list := marks(data)
	if len(list) == 0 {
		return data, nil
	}
	img, err := decodePicture(data)
	if err != nil {
		return nil, err
	}
	canvas := image.NewRGBA(img.Bounds())
	draw.Draw(canvas, canvas.Bounds(), img, img.Bounds().Min, draw.Src)
	for _, m := range list {
		drawBox(canvas, m)
	}
	var out bytes.Buffer
	err = jpeg.Encode(&out, canvas, &jpeg.Options{Quality: jpegQuality})
	return out.Bytes(), err
}

// palette are colours that are told apart on most pictures.
var palette = []color.RGBA{{230, 60, 40, 255}, {40, 160, 60, 255}, {40, 110, 230, 255}, {220, 160, 0, 255}, {160, 60, 200, 255}, {0, 160, 170, 255}}

func drawBox(canvas *image.RGBA, m boxMark) {
	sum := uint32(0)
	for _, b := range []byte(m.Class) {
		sum = 131*sum + uint32(b)
	}
	paint := image.NewUniform(palette[sum%uint32(len(palette))])
	x1, y1, x2, y2 := m.Box[0], m.Box[1], m.Box[2], m.Box[3]
	for _, r := range []image.Rectangle{
		image.Rect(x1, y1, x2, y1+lineWidth), image.Rect(x1, y2-lineWidth, x2, y2), image.Rect(x1, y1, x1+lineWidth, y2), image.Rect(x2-lineWidth, y1, x2, y2),
	} {
		draw.Draw(canvas, r, paint, image.Point{}, draw.Src)
	}
	face := basicfont.Face7x13
	wide, high := font.MeasureString(face, m.Label).Ceil(), face.Height
	top := max(0, y1-high-labelPadding)
	draw.Draw(canvas, image.Rect(x1, top, x1+wide+2*labelPadding, top+high+labelPadding), paint, image.Point{}, draw.Src)
	d := font.Drawer{Dst: canvas, Src: image.White, Face: face, Dot: fixed.P(x1+labelPadding, top+face.Ascent+labelPadding/2)}
	d.DrawString(m.Label)
}
