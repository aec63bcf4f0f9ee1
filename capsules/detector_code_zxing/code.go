package main

import (
	"image"
	"math"
	"slices"

	"github.com/capstan-video/capstan/sdk"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/aztec"
	"github.com/makiuchi-d/gozxing/datamatrix"
	"github.com/makiuchi-d/gozxing/multi"
	"github.com/makiuchi-d/gozxing/multi/qrcode"
	"github.com/makiuchi-d/gozxing/oned"
)

// code is a code found in a picture.
type code struct {
	payload   string
	symbology string
	outline   sdk.Polygon
}

// symbology names a kind of code in options and results, with its reader; nil is the reader
// for several QR codes at once.
type symbology struct {
	name string
	make func() gozxing.Reader
}

// symbologies lists every kind of code that can be read.
var symbologies = []symbology{
	{"qr", nil},
	{"data_matrix", func() gozxing.Reader { return datamatrix.NewDataMatrixReader() }},
	{"aztec", func() gozxing.Reader { return aztec.NewAztecReader() }},
	{"ean_13", oned.NewEAN13Reader},
	{"ean_8", oned.NewEAN8Reader},
	{"upc_a", oned.NewUPCAReader},
	{"upc_e", oned.NewUPCEReader},
	{"code_128", oned.NewCode128Reader},
	{"code_39", oned.NewCode39Reader},
	{"code_93", oned.NewCode93Reader},
	{"itf", oned.NewITFReader},
	{"codabar", oned.NewCodaBarReader},
}

func names() []string {
	n := make([]string, 0, len(symbologies))
	for _, s := range symbologies {
		n = append(n, s.name)
	}
	return n
}

// reader reads the codes of one stream's pictures.
type reader struct {
	qr      multi.MultipleBarcodeReader
	square  []namedReader // of one code around the middle of what they are given
	lines   []namedReader
	hints   map[gozxing.DecodeHintType]any
	retries []func(*image.Gray) (g *image.Gray, scale float64)
	invert  bool
	panics  func(any)
}

type namedReader struct {
	name   string
	reader gozxing.Reader
}

func newReader(wanted []string, harder bool) *reader {
	r := &reader{hints: map[gozxing.DecodeHintType]any{}, panics: func(any) {}}
	if harder {
		r.hints[gozxing.DecodeHintType_TRY_HARDER] = true
	}
	for _, s := range symbologies {
		switch {
		case !slices.Contains(wanted, s.name):
		case s.make == nil:
			r.qr = qrcode.NewQRCodeMultiReader()
		case s.name == "data_matrix" || s.name == "aztec":
			r.square = append(r.square, namedReader{s.name, s.make()})
		default:
			r.lines = append(r.lines, namedReader{s.name, s.make()})
		}
	}
	return r
}

// read gives the codes of the picture. Where none is found, the other ways to look at it are
// tried one by one.
func (r *reader) read(g *image.Gray) []code {
	found := r.look(g)
	for i := 0; len(found) == 0 && i < len(r.retries); i++ {
		other, scale := r.retries[i](g)
		if other.Rect.Dx() < 21 || other.Rect.Dy() < 21 {
			continue
		}
		found = r.look(other)
		for _, c := range found {
			for k := range c.outline {
				c.outline[k].X, c.outline[k].Y = c.outline[k].X*scale, c.outline[k].Y*scale
			}
		}
	}
	return found
}

// look reads with thresholds that follow the light over the picture; where that finds nothing,
// with one threshold for all of it, which suits small and blurred codes.
func (r *reader) look(g *image.Gray) []code {
	found := r.readFrom(g, newLuma(g))
	if len(found) == 0 && r.invert {
		found = r.readFrom(g, newLuma(g).Invert())
	}
	return found
}

func (r *reader) readFrom(g *image.Gray, source gozxing.LuminanceSource) []code {
	var found []code
	for _, binarizer := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(source), gozxing.NewGlobalHistgramBinarizer(source)} {
		bitmap, err := gozxing.NewBinaryBitmap(binarizer)
		if err == nil {
			found = r.readSquares(g, bitmap)
		}
		if len(found) > 0 {
			break
		}
	}
	if len(r.lines) > 0 {
		found = r.readLines(g, source, 0, 0, depth, found)
	}
	return found
}

func (r *reader) readSquares(g *image.Gray, bitmap *gozxing.BinaryBitmap) (found []code) {
	if r.qr != nil {
		for _, result := range r.decodeQR(bitmap) {
			found = add(found, code{result.GetText(), "qr", squareOutline(g, result.GetResultPoints())})
		}
	}
	for _, s := range r.square {
		if result := r.decode(s.reader, bitmap); result != nil {
			found = add(found, code{result.GetText(), s.name, hull(result.GetResultPoints())})
		}
	}
	return found
}

// add keeps one of codes with the same payload at the same place.
func add(found []code, c code) []code {
	box := c.outline.Box()
	for _, k := range found {
		b := k.outline.Box()
		apart := b.X1 > box.X2 || box.X1 > b.X2 || b.Y1 > box.Y2 || box.Y1 > b.Y2
		if k.payload == c.payload && !apart {
			return found
		}
	}
	return append(found, c)
}

// decodeQR and decode answer nothing where gozxing panics: it does on some damaged codes.
func (r *reader) decodeQR(b *gozxing.BinaryBitmap) (results []*gozxing.Result) {
	defer func() {
		if p := recover(); p != nil {
			r.panics(p)
			results = nil
		}
	}()
	results, _ = r.qr.DecodeMultiple(b, r.hints)
	return results
}

func (r *reader) decode(from gozxing.Reader, b *gozxing.BinaryBitmap) (result *gozxing.Result) {
	defer func() {
		if p := recover(); p != nil {
			r.panics(p)
			result = nil
		}
	}()
	result, err := from.Decode(b, r.hints)
	if err != nil {
		return nil
	}
	return result
}

// Bar codes are looked for again beside, above and below each one found: depth bounds how
// often, smallest the size of what is still looked at.
const (
	depth    = 3
	smallest = 60
)

// readLines adds the bar codes of source, which begins at left, top of the picture.
func (r *reader) readLines(g *image.Gray, source gozxing.LuminanceSource, left, top, depth int, found []code) []code {
	w, h := source.GetWidth(), source.GetHeight()
	bitmap, err := gozxing.NewBinaryBitmap(gozxing.NewHybridBinarizer(source))
	if err != nil {
		return found
	}
	for _, l := range r.lines {
		result := r.decode(l.reader, bitmap)
		if result == nil || len(result.GetResultPoints()) < 2 {
			continue
		}
		p, q := between(result.GetResultPoints())
		if !r.again(l.reader, source, p, q, result.GetText()) {
			continue
		}
		outline := barOutline(g, shift(p, left, top), shift(q, left, top))
		found = add(found, code{result.GetText(), l.name, outline})
		if depth == 0 {
			return found
		}
		b := outline.Box()
		x1, y1, x2, y2 := int(b.X1)-left, int(b.Y1)-top, int(b.X2)-left+1, int(b.Y2)-top+1
		for _, part := range []image.Rectangle{{Max: image.Pt(x1, h)}, {Min: image.Pt(x2, 0), Max: image.Pt(w, h)}, {Max: image.Pt(w, y1)}, {Min: image.Pt(0, y2), Max: image.Pt(w, h)}} {
			part = part.Intersect(image.Rect(0, 0, w, h))
			if part.Dx() < smallest || part.Dy() < smallest/4 {
				continue
			}
			if crop, err := source.Crop(part.Min.X, part.Min.Y, part.Dx(), part.Dy()); err == nil {
				found = r.readLines(g, crop, left+part.Min.X, top+part.Min.Y, depth-1, found)
			}
		}
		return found
	}
	return found
}

// again says whether the code is also read a little beside the line on which it was found:
// short bar codes turn up by chance on one line of a fence, but not on two.
func (r *reader) again(from gozxing.Reader, source gozxing.LuminanceSource, p, q sdk.Point, payload string) bool {
	w, h := source.GetWidth(), source.GetHeight()
	band := image.Rect(0, int(min(p.Y, q.Y))+1, w, int(max(p.Y, q.Y))+6)
	if math.Abs(p.Y-q.Y) > math.Abs(p.X-q.X) {
		band = image.Rect(int(min(p.X, q.X))+1, 0, int(max(p.X, q.X))+6, h)
	}
	for _, by := range []int{0, -8} {
		b := band.Add(image.Pt(0, by))
		if band.Dx() < band.Dy() {
			b = band.Add(image.Pt(by, 0))
		}
		if b = b.Intersect(image.Rect(0, 0, w, h)); b.Empty() {
			continue
		}
		crop, err := source.Crop(b.Min.X, b.Min.Y, b.Dx(), b.Dy())
		if err != nil {
			continue
		}
		bitmap, err := gozxing.NewBinaryBitmap(gozxing.NewGlobalHistgramBinarizer(crop))
		if err != nil {
			continue
		}
		if result := r.decode(from, bitmap); result != nil && result.GetText() == payload {
			return true
		}
	}
	return false
}

func shift(p sdk.Point, x, y int) sdk.Point {
	return sdk.Point{X: p.X + float64(x), Y: p.Y + float64(y)}
}
