package service

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/capstan-video/capstan/core"
)

// withOrientation puts an Exif segment into a JPEG.
func withOrientation(data []byte, order binary.AppendByteOrder, o uint16) []byte {
	mark := "MM"
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		mark = "II"
	}
	tiff := order.AppendUint32(order.AppendUint16([]byte(mark), 42), 8)
	tiff = order.AppendUint16(tiff, 2)
	for _, entry := range [][2]uint16{{0x010f, 0}, {0x0112, o}} {
		tiff = order.AppendUint32(order.AppendUint16(order.AppendUint16(tiff, entry[0]), 3), 1)
		tiff = order.AppendUint16(order.AppendUint16(tiff, entry[1]), 0)
	}
	body := append([]byte("Exif\x00\x00"), order.AppendUint32(tiff, 0)...)
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(len(body)+2))
	return append(append(head, body...), data[2:]...)
}

// TestPicturesStandUpright: a photo that a phone has left lying is looked at as it is shown.
func TestPicturesStandUpright(t *testing.T) {
	t.Parallel()
	const w, h = 64, 32
	kinds := map[string]func() (image.Image, func(x, y int, c color.Color)){
		"grey": func() (image.Image, func(int, int, color.Color)) {
			m := image.NewGray(image.Rect(0, 0, w, h))
			return m, m.Set
		},
		"colour": func() (image.Image, func(int, int, color.Color)) {
			m := image.NewRGBA(image.Rect(0, 0, w, h))
			return m, m.Set
		},
	}
	// Where the white quarter at the upper left of what is stored is to be seen.
	right, bottom := map[int]bool{2: true, 3: true, 6: true, 7: true}, map[int]bool{3: true, 4: true, 7: true, 8: true}
	for name, kind := range kinds {
		img, set := kind()
		for y := range h {
			for x := range w {
				set(x, y, color.Black)
				if x < w/2 && y < h/2 {
					set(x, y, color.White)
				}
			}
		}
		var plain bytes.Buffer
		if err := jpeg.Encode(&plain, img, nil); err != nil {
			t.Fatal(err)
		}
		for o := range 10 {
			for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
				got, err := decodePicture(withOrientation(plain.Bytes(), order, uint16(o)))
				if err != nil {
					t.Fatal(err)
				}
				wantW, wantH := w, h
				if o >= 5 && o <= 8 {
					wantW, wantH = h, w
				}
				if b := got.Bounds(); b != image.Rect(0, 0, wantW, wantH) {
					t.Fatalf("%s, orientation %d: %v", name, o, b)
				}
				for i := range 4 {
					atRight, atBottom := i%2 == 1, i/2 == 1
					x, y := wantW/4, wantH/4
					if atRight {
						x += wantW / 2
					}
					if atBottom {
						y += wantH / 2
					}
					v, _, _, _ := got.At(x, y).RGBA()
					if white := v > 0x8000; white != (atRight == right[o] && atBottom == bottom[o]) {
						t.Errorf("%s, orientation %d: white is %t at %d,%d", name, o, white, x, y)
					}
				}
			}
		}
	}
}

// TestTurnedPlanes: chroma of every subsampling and odd sides is turned with the rest.
func TestTurnedPlanes(t *testing.T) {
	t.Parallel()
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411} {
		for o := 2; o <= 8; o++ {
			m := image.NewYCbCr(image.Rect(0, 0, 33, 17), ratio)
			for y := range 17 {
				for x := range 33 {
					m.Y[m.YOffset(x, y)], m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)] = 100, 90, byte(150)
				}
			}
			got := upright(m, o)
			for _, at := range []image.Point{{0, 0}, {got.Bounds().Dx() - 1, 0}, {0, got.Bounds().Dy() - 1}, {got.Bounds().Dx() - 1, got.Bounds().Dy() - 1}} {
				want := color.RGBAModel.Convert(m.At(0, 0))
				if c := color.RGBAModel.Convert(got.At(at.X, at.Y)); c != want {
					t.Errorf("%v, orientation %d: %v at %v, want %v", ratio, o, c, at, want)
				}
			}
		}
	}
}

// TestOtherPictures: who sends something else is told what it is, and what to do.
func TestOtherPictures(t *testing.T) {
	t.Parallel()
	for data, says := range map[string]string{"RIFF\x24\x00\x00\x00WEBPVP8 ": "image/webp", "GIF89a": "image/gif", "<html>": "text/html", "": "text/plain"} {
		_, err := decodePicture([]byte(data))
		var f *core.Fault
		if !errors.As(err, &f) || f.Kind != core.Invalid || f.On != "image" || f.Hint == "" || !strings.Contains(f.Error(), says) {
			t.Errorf("%q: %v, want it to say %s", data, err, says)
		}
	}
}

// TestDesk: pictures wait until those before them are done with, and one that cannot be read takes no room.
func TestDesk(t *testing.T) {
	t.Parallel()
	var small bytes.Buffer
	if err := jpeg.Encode(&small, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		t.Fatal(err)
	}
	d := desk{semaphore.NewWeighted(100)}
	for range 3 {
		if _, _, err := d.look(t.Context(), small.Bytes()[:small.Len()-8]); core.KindOf(err) != core.Invalid {
			t.Fatalf("a picture cut short: %v", err)
		}
	}
	_, done, err := d.look(t.Context(), small.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := d.look(ctx, small.Bytes()); core.KindOf(err) != core.Exhausted {
		t.Fatalf("a second picture: %v", err)
	}
	done()
	if _, done, err = d.look(t.Context(), small.Bytes()); err != nil {
		t.Fatal(err)
	}
	done()
}
