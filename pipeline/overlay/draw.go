package overlay

import (
	"fmt"
	"hash/fnv"
	"image"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// Painter draws detections for pictures of one size.
type Painter struct {
	face  *typeface
	thick int
	pad   int
}

// NewPainter gives a painter whose lines and letters suit a picture of h rows.
func NewPainter(h int) (*Painter, error) {
	px := max(11, h/45)
	face, err := newTypeface(float64(px))
	if err != nil {
		return nil, core.Faultf(core.Internal, "overlay", "", "the typeface cannot be read: %w", err)
	}
	return &Painter{face: face, thick: max(2, h/360), pad: max(2, px/5)}, nil
}

// palette are colours that are told apart on most pictures, in limited-range YUV.
var palette = []yuv{
	{145, 54, 34}, {210, 16, 146}, {106, 202, 222}, {170, 166, 16}, {81, 90, 240}, {41, 240, 110},
	{180, 128, 60}, {160, 80, 190}, {190, 60, 60}, {120, 180, 90}, {200, 100, 160}, {140, 150, 180},
}

var (
	white = yuv{235, 128, 128}
	black = yuv{16, 128, 128}
)

// colour gives the same colour to the same track, else to the same class.
func colour(n *core.Node) yuv {
	key := n.Class
	if n.TrackID != "" {
		key = string(n.TrackID)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return palette[int(h.Sum32())%len(palette)]
}

// Draw paints every node and its children.
func (p *Painter) Draw(c *Canvas, nodes []*core.Node) {
	for _, n := range nodes {
		p.outline(c, n)
	}
	for _, n := range nodes { // letters over all lines
		p.label(c, n)
	}
}

func (p *Painter) outline(c *Canvas, n *core.Node) {
	col := colour(n)
	for i := range n.Coords {
		c.line(n.Coords[i], n.Coords[(i+1)%len(n.Coords)], p.thick, col)
	}
	for _, k := range n.Children {
		p.outline(c, k)
	}
}

// label paints the node's words on a plate above its box, or inside where there is no room.
func (p *Painter) label(c *Canvas, n *core.Node) {
	lines := Label(n)
	masks := make([]*image.Alpha, len(lines))
	w, h := 0, 0
	for i, s := range lines {
		masks[i] = p.face.mask(s)
		w, h = max(w, masks[i].Rect.Dx()), h+masks[i].Rect.Dy()
	}
	box := n.Coords.Box()
	x, y := int(box.X1), int(box.Y1)-h-2*p.pad
	x = max(0, min(x, c.Layout.Width-w-2*p.pad))
	if y < 0 {
		y = max(0, min(int(box.Y1), c.Layout.Height-h-2*p.pad))
	}
	col := colour(n)
	c.rect(image.Rect(x, y, x+w+2*p.pad, y+h+2*p.pad), col, 200)
	ink := black
	if col.y < 125 {
		ink = white
	}
	y += p.pad
	for _, m := range masks {
		c.text(m, x+p.pad, y, ink)
		y += m.Rect.Dy()
	}
}

// maxLabel bounds a line of a label, in letters.
const maxLabel = 40

// Label gives the words for a node: class, confidence and track in the first line, attributes
// and payload in the ones below.
func Label(n *core.Node) []string {
	head := n.Class
	if n.Identity != nil {
		head = n.Identity.UniqueName
	}
	if c, ok := n.Confidence(); ok {
		head += fmt.Sprintf(" %.2f", c)
	}
	if n.TrackID != "" {
		head += " #" + shorten(string(n.TrackID), 4, "")
	}
	lines := []string{shorten(head, maxLabel, "…")}
	names := make([]string, 0, len(n.Attributes))
	for k := range n.Attributes {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		lines = append(lines, shorten(k+": "+n.Attributes[k], maxLabel, "…"))
	}
	if text, ok := n.ExtraData.Text("payload"); ok {
		lines = append(lines, shorten(strings.Join(strings.Fields(text), " "), maxLabel, "…"))
	}
	return lines
}

func shorten(s string, letters int, mark string) string {
	r := []rune(s)
	if len(r) <= letters {
		return s
	}
	return string(r[:letters]) + mark
}
