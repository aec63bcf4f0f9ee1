package overlay

import (
	"slices"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func person(x1, y1, x2, y2 float64) *core.Node {
	n := &core.Node{Class: "person", Coords: core.Rect(x1, y1, x2, y2), TrackID: "0f8fad5b-d9cb-469f-a165-70867728950e",
		Attributes: map[string]string{"color": "red", "age": "old"}}
	_ = n.ExtraData.Set("confidence", 0.876)
	_ = n.ExtraData.Set("payload", "two\nlines")
	return n
}

func TestLabel(t *testing.T) {
	t.Parallel()
	long := &core.Node{Class: "a class with a name that is much longer than anybody would read"}
	tests := []struct {
		name string
		node *core.Node
		want []string
	}{
		{"everything", person(0, 0, 1, 1), []string{"person 0.88 #0f8f", "age: old", "color: red", "two lines"}},
		{"class alone", &core.Node{Class: "car"}, []string{"car"}},
		{"cut", long, []string{"a class with a name that is much longer …"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Label(tt.node); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestDraw looks at pixels: on the outline, inside it, and far away.
func TestDraw(t *testing.T) {
	t.Parallel()
	c := NewCanvas(320, 240)
	p, err := NewPainter(240)
	if err != nil {
		t.Fatal(err)
	}
	n := person(100, 120, 200, 220)
	p.Draw(c, []*core.Node{n})
	col := colour(n)
	if got := c.luma(120)[150]; got != col.y {
		t.Errorf("luma on the upper edge is %d, want %d", got, col.y)
	}
	if u, v := c.chroma(60); u[75] != col.u || v[75] != col.v {
		t.Errorf("chroma on the upper edge is %d,%d, want %d,%d", u[75], v[75], col.u, col.v)
	}
	for _, at := range [][2]int{{150, 170}, {10, 10}, {310, 230}} {
		if got := c.luma(at[1])[at[0]]; got != 16 {
			t.Errorf("luma at %v is %d, want untouched black", at, got)
		}
	}
	plate := 0
	for y := 60; y < 118; y++ {
		for _, v := range c.luma(y)[100:200] {
			if v != 16 {
				plate++
			}
		}
	}
	if plate < 500 {
		t.Errorf("%d pixels of a label stand above the box, want some hundreds", plate)
	}
}

// TestDrawAnywhere draws boxes that leave the picture, in pictures of odd and tiny sizes. Nothing
// may be written outside: a panic fails the test.
func TestDrawAnywhere(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{1, 1}, {2, 2}, {33, 17}, {640, 3}} {
		c := NewCanvas(size[0], size[1])
		p, err := NewPainter(size[1])
		if err != nil {
			t.Fatal(err)
		}
		p.Draw(c, []*core.Node{
			person(-50, -50, 5, 5), person(0, 0, 1e9, 1e9), person(-1e12, 3, 1e12, 4), person(7, 7, 7, 7),
			{Class: "nothing"}, {Class: "point", Coords: core.Polygon{{X: 3, Y: 3}}},
		})
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	l := core.Layout{Format: core.I420, Width: 5, Height: 3, Planes: []core.Plane{{Offset: 4, Stride: 8}, {Offset: 40, Stride: 8}, {Offset: 64, Stride: 8}}}
	mem := make([]byte, 128)
	for i := range mem {
		mem[i] = byte(i)
	}
	c := NewCanvas(5, 3)
	if err := c.Load(l, mem); err != nil {
		t.Fatal(err)
	}
	want := []byte{4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 40, 41, 42, 48, 49, 50, 64, 65, 66, 72, 73, 74}
	if !slices.Equal(c.Pix, want) {
		t.Errorf("got %v, want %v", c.Pix, want)
	}
	if err := c.Load(l, mem[:70]); err == nil {
		t.Error("a layout that leaves its memory was accepted")
	}
	l.Format, l.Planes = core.GRAY8, l.Planes[:1]
	if err := c.Load(l, mem); err == nil {
		t.Error("a picture in GRAY8 was accepted")
	}
	big := NewCanvas(20, 20)
	l.Format, l.Planes = core.I420, []core.Plane{{Offset: 4, Stride: 8}, {Offset: 40, Stride: 8}, {Offset: 64, Stride: 8}}
	if err := big.Load(l, mem); err != nil || big.luma(2)[4] != 24 || big.luma(10)[10] != 16 {
		t.Errorf("a smaller picture: %v, %d, %d", err, big.luma(2)[4], big.luma(10)[10])
	}
}
