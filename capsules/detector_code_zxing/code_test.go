package main

import (
	"encoding/json"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/datamatrix"
	"github.com/makiuchi-d/gozxing/oned"
	"github.com/makiuchi-d/gozxing/qrcode"
)

func openWith(t testing.TB, given map[string]any) sdk.Processor {
	t.Helper()
	p, err := open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, given)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func payloads(t testing.TB, f *sdk.Frame) (found []string) {
	for _, n := range f.Added() {
		s, ok := n.ExtraText("payload")
		if !ok {
			t.Error("a code without payload")
		}
		found = append(found, s)
	}
	slices.Sort(found)
	return found
}

func TestPhotographedQRCodes(t *testing.T) {
	var want map[string][]string
	labels, err := os.ReadFile(cliptest.Data(t, "images", "qr", "labels.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(labels, &want); err != nil {
		t.Fatal(err)
	}
	for name, texts := range want {
		t.Run(name, func(t *testing.T) {
			p := openWith(t, nil)
			f := cliptest.Still(t, cliptest.Picture(t, cliptest.Data(t, "images", "qr", name)), core.GRAY8)
			start := time.Now()
			if err := p.Process(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			t.Logf("%dx%d in %v", f.Width(), f.Height(), time.Since(start))
			slices.Sort(texts)
			if got := payloads(t, f); !slices.Equal(got, texts) {
				t.Errorf("read %q, want %q", got, texts)
			}
			for _, n := range f.Added() {
				t.Log(n.Coords())
			}
		})
	}
}

func TestNoCodeNoNode(t *testing.T) {
	p := openWith(t, map[string]any{"symbologies": toAny(names()), "try_harder": true, "inverted": true, "contrast": true})
	for _, name := range []string{"noface/coffee.png", "noface/chelsea.png", "noface/rocket.jpg", "faces/two_people.jpg", "objects/coco_bus.jpg", "objects/coco_four_people.jpg", "plates/us_us1.jpg"}[:max(1, 7/cliptest.Every)] {
		f := cliptest.Still(t, cliptest.Picture(t, cliptest.Data(t, "images", name)), core.GRAY8)
		start := time.Now()
		if err := p.Process(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s %dx%d in %v", name, f.Width(), f.Height(), time.Since(start))
		if got := payloads(t, f); len(got) > 0 {
			t.Errorf("%s: read %q where there is no code", name, got)
		}
	}
}

func toAny(list []string) []any {
	out := make([]any, 0, len(list))
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// drawn puts a code of the library's own writer onto a canvas, grey on light grey.
func drawn(t testing.TB, canvas *image.Gray, w gozxing.Writer, format gozxing.BarcodeFormat, text string, at image.Rectangle) {
	t.Helper()
	m, err := w.Encode(text, format, at.Dx(), at.Dy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for y := range m.GetHeight() {
		for x := range m.GetWidth() {
			v := uint8(220)
			if m.Get(x, y) {
				v = 30
			}
			canvas.SetGray(at.Min.X+x, at.Min.Y+y, color.Gray{Y: v})
		}
	}
}

func canvas(w, h int) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = 220
	}
	return g
}

func TestEverySymbology(t *testing.T) {
	for _, c := range []struct {
		name   string
		writer gozxing.Writer
		format gozxing.BarcodeFormat
		text   string
		size   image.Point
	}{
		{"qr", qrcode.NewQRCodeWriter(), gozxing.BarcodeFormat_QR_CODE, "capsule", image.Pt(200, 200)},
		{"data_matrix", datamatrix.NewDataMatrixWriter(), gozxing.BarcodeFormat_DATA_MATRIX, "CAPSULE 1", image.Pt(180, 180)},
		{"ean_13", oned.NewEAN13Writer(), gozxing.BarcodeFormat_EAN_13, "4006381333931", image.Pt(300, 100)},
		{"ean_8", oned.NewEAN8Writer(), gozxing.BarcodeFormat_EAN_8, "96385074", image.Pt(300, 100)},
		{"upc_a", oned.NewUPCAWriter(), gozxing.BarcodeFormat_UPC_A, "036000291452", image.Pt(300, 100)},
		{"upc_e", oned.NewUPCEWriter(), gozxing.BarcodeFormat_UPC_E, "01234565", image.Pt(300, 100)},
		{"code_128", oned.NewCode128Writer(), gozxing.BarcodeFormat_CODE_128, "Capsule-128", image.Pt(360, 100)},
		{"code_39", oned.NewCode39Writer(), gozxing.BarcodeFormat_CODE_39, "CAPSULE-39", image.Pt(400, 100)},
		{"code_93", oned.NewCode93Writer(), gozxing.BarcodeFormat_CODE_93, "CAPSULE93", image.Pt(400, 100)},
		{"itf", oned.NewITFWriter(), gozxing.BarcodeFormat_ITF, "12345678901231", image.Pt(360, 100)},
		{"codabar", oned.NewCodaBarWriter(), gozxing.BarcodeFormat_CODABAR, "A123456B", image.Pt(360, 100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := canvas(640, 400)
			at := image.Rectangle{Min: image.Pt(120, 80), Max: image.Pt(120, 80).Add(c.size)}
			if c.name == "data_matrix" {
				at = at.Add(image.Pt(110, 30)) // its reader looks around the middle
			}
			drawn(t, g, c.writer, c.format, c.text, at)
			p := openWith(t, map[string]any{"symbologies": []any{c.name}})
			f := cliptest.Still(t, g, core.GRAY8)
			if err := p.Process(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			if len(f.Added()) != 1 {
				t.Fatalf("%d codes, want 1", len(f.Added()))
			}
			n := f.Added()[0]
			payload, _ := n.ExtraText("payload")
			if kind, _ := n.ExtraText("symbology"); kind != c.name || (payload != c.text && c.name != "codabar") {
				t.Errorf("read %q as %s", payload, kind)
			}
			b := n.Box()
			inside := b.X1 >= float64(at.Min.X-8) && b.Y1 >= float64(at.Min.Y-8) && b.X2 <= float64(at.Max.X+8) && b.Y2 <= float64(at.Max.Y+8)
			if !inside || b.Height() < 0.6*float64(c.size.Y) || b.Width() < 0.5*float64(c.size.X) {
				t.Errorf("outline %v of a code drawn at %v", b, at)
			}
		})
	}
}

func TestSeveralBarCodes(t *testing.T) {
	g := canvas(800, 600)
	drawn(t, g, oned.NewEAN13Writer(), gozxing.BarcodeFormat_EAN_13, "4006381333931", image.Rect(40, 240, 340, 340))
	drawn(t, g, oned.NewEAN13Writer(), gozxing.BarcodeFormat_EAN_13, "9780201379624", image.Rect(440, 260, 740, 350))
	drawn(t, g, oned.NewCode128Writer(), gozxing.BarcodeFormat_CODE_128, "below", image.Rect(200, 460, 500, 540))
	drawn(t, g, qrcode.NewQRCodeWriter(), gozxing.BarcodeFormat_QR_CODE, "a square too", image.Rect(60, 20, 240, 200))
	f := cliptest.Still(t, g, core.GRAY8)
	if err := openWith(t, nil).Process(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	want := []string{"4006381333931", "9780201379624", "a square too", "below"}
	if got := payloads(t, f); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestOptionsFindMore(t *testing.T) {
	inverted := canvas(400, 300)
	drawn(t, inverted, qrcode.NewQRCodeWriter(), gozxing.BarcodeFormat_QR_CODE, "white on black", image.Rect(100, 50, 300, 250))
	for i, v := range inverted.Pix {
		inverted.Pix[i] = 255 - v
	}
	pale := canvas(400, 300)
	drawn(t, pale, qrcode.NewQRCodeWriter(), gozxing.BarcodeFormat_QR_CODE, "pale", image.Rect(100, 50, 300, 250))
	noise := rand.New(rand.NewPCG(1, 2))
	for i, v := range pale.Pix {
		pale.Pix[i] = 200 + v/16 + uint8(noise.IntN(3))
	}
	for _, c := range []struct {
		name   string
		g      *image.Gray
		option string
		want   string
	}{{"inverted", inverted, "inverted", "white on black"}, {"pale", pale, "contrast", "pale"}} {
		t.Run(c.name, func(t *testing.T) {
			f := cliptest.Still(t, c.g, core.GRAY8)
			if err := openWith(t, map[string]any{c.option: true}).Process(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			if got := payloads(t, f); !slices.Equal(got, []string{c.want}) {
				t.Errorf("read %q, want %q", got, c.want)
			}
		})
	}
}

func TestPaddedRowsAndSmallPictures(t *testing.T) {
	g := canvas(300, 300)
	drawn(t, g, qrcode.NewQRCodeWriter(), gozxing.BarcodeFormat_QR_CODE, "padded", image.Rect(50, 50, 250, 250))
	const stride = 337
	mem := make([]byte, stride*300)
	for y := range 300 {
		copy(mem[y*stride:], g.Pix[y*g.Stride:y*g.Stride+300])
	}
	before := slices.Clone(mem)
	layout := core.Layout{Format: core.GRAY8, Width: 300, Height: 300, Planes: []core.Plane{{Stride: stride}}}
	f, err := sdk.NewFrame(core.Frame{Caps: core.Caps{Width: 300, Height: 300}}, layout, mem, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := openWith(t, map[string]any{"symbologies": toAny(names()), "try_harder": true, "inverted": true, "contrast": true})
	if err := p.Process(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if got := payloads(t, f); !slices.Equal(got, []string{"padded"}) {
		t.Errorf("read %q", got)
	}
	if !slices.Equal(before, mem) {
		t.Error("the frame's memory was written to")
	}
	for _, size := range []image.Point{{1, 1}, {1, 50}, {50, 1}, {3, 3}, {39, 41}, {64, 2}} {
		if err := p.Process(t.Context(), cliptest.Still(t, canvas(size.X, size.Y), core.GRAY8)); err != nil {
			t.Errorf("%v: %v", size, err)
		}
	}
}

func TestUnknownSymbology(t *testing.T) {
	_, err := open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, map[string]any{"symbologies": []any{"qr", "pdf_417"}})})
	if err == nil || !strings.Contains(err.Error(), "pdf_417") {
		t.Errorf("got %v, want an error that names pdf_417", err)
	}
}

// FuzzRead holds that no picture makes the capsule panic, and that outlines are finite.
func FuzzRead(f *testing.F) {
	g := canvas(60, 60)
	f.Add(uint8(60), g.Pix)
	f.Add(uint8(1), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, width uint8, pix []byte) {
		w := int(width)
		if w == 0 || len(pix) < w {
			return
		}
		p := openWith(t, map[string]any{"symbologies": toAny(names()), "try_harder": true, "inverted": true, "contrast": true})
		frame := cliptest.Still(t, &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, len(pix)/w)}, core.GRAY8)
		if err := p.Process(t.Context(), frame); err != nil {
			t.Fatal(err)
		}
		for _, n := range frame.Added() {
			for _, q := range n.Coords() {
				if math.IsNaN(q.X + q.Y) {
					t.Errorf("outline %v", n.Coords())
				}
			}
		}
	})
}
