package service

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func blank(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 120, 80)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestBoxes goes to a JPEG and back: the picture is as it was, and drawn on when asked for.
func TestBoxes(t *testing.T) {
	t.Parallel()
	plain := blank(t)
	child := &core.Node{Class: "face", Coords: core.Rect(50, 40, 60, 50), Identity: &core.Identity{UniqueName: "ada"}}
	nodes := []*core.Node{{Class: "person", Coords: core.Rect(40, 30, 100, 70), Children: []*core.Node{child}}, {Class: "odd", Coords: core.Rect(math.NaN(), -1e30, math.Inf(1), 5)}}
	marked := withBoxes(plain, nodes)
	want := []boxMark{{"person", [4]int{40, 30, 100, 70}, "person"}, {"ada", [4]int{50, 40, 60, 50}, "face"}, {"odd", [4]int{0, -1 << 15, 1 << 15, 5}, "odd"}}
	got := marks(marked)
	if len(got) != 3 || !reflect.DeepEqual(got[:2], want[:2]) || got[2].Label != "odd" {
		t.Fatalf("%+v", got)
	}
	a, err := jpeg.Decode(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	b, err := jpeg.Decode(bytes.NewReader(marked))
	if err != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("another picture: %v", err)
	}
	drawn, err := DrawBoxes(marked)
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(drawn))
	if err != nil {
		t.Fatal(err)
	}
	edge := color.GrayModel.Convert(img.At(40, 65)).(color.Gray).Y
	inside := color.GrayModel.Convert(img.At(90, 60)).(color.Gray).Y
	if edge < 40 || inside > 20 {
		t.Errorf("the edge is %d, the inside %d", edge, inside)
	}
	if again, err := DrawBoxes(plain); err != nil || !bytes.Equal(again, plain) {
		t.Errorf("nothing to draw: %v", err)
	}
}

// TestManyBoxes takes more than one comment, and no more than can be kept.
func TestManyBoxes(t *testing.T) {
	t.Parallel()
	var nodes []*core.Node
	for range 2 * mostBoxes {
		nodes = append(nodes, &core.Node{Class: strings.Repeat("x", 300), Coords: core.Rect(1, 2, 3, 4)})
	}
	if got := marks(withBoxes(blank(t), nodes)); len(got) != mostBoxes || got[mostBoxes-1].Box != [4]int{1, 2, 3, 4} {
		t.Errorf("%d boxes", len(got))
	}
	for _, n := range nodes {
		n.Class = strings.Repeat("x", 3000)
	}
	if b := blank(t); !bytes.Equal(withBoxes(b, nodes), b) {
		t.Error("more than can be kept is kept")
	}
}

func FuzzMarks(f *testing.F) {
	b := blank(f)
	f.Add(b)
	f.Add(withBoxes(b, []*core.Node{{Class: "face", Coords: core.Rect(1, 2, 30, 40)}}))
	f.Add([]byte("\xff\xd8\xff\xfe\x00\x02\xff\xfe\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(marks(b)) > mostBoxes {
			t.Error("too many")
		}
		_, _ = DrawBoxes(b) // an error is fine, a panic is not
	})
}
