package service

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/draw"
)

// orientation gives how a JPEG is to be turned to stand upright, as Exif counts it: 1, as it is, to
// 8. What cannot be read says 1.
func orientation(data []byte) int {
	for at := 2; at+4 <= len(data) && data[at] == 0xff; {
		marker, size := data[at+1], int(binary.BigEndian.Uint16(data[at+2:]))
		if marker == 0xff { // padding
			at++
			continue
		}
		end := at + 2 + size
		if marker == 0xda || size < 2 || end > len(data) { // the picture itself begins
			return 1
		}
		if exif, ok := bytes.CutPrefix(data[at+4:end], []byte("Exif\x00\x00")); ok && marker == 0xe1 {
			return orientationTag(exif)
		}
		at = end
	}
	return 1
}

// orientationTag reads the tag Orientation of the first directory of a TIFF header.
func orientationTag(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	const entry, tag, short = 12, 0x0112, 3
	for n := order.Uint16(tiff[at:]); n > 0; n-- {
		e := tiff[min(at+2, int64(len(tiff))):]
		if len(e) < entry {
			break
		}
		if order.Uint16(e) == tag && order.Uint16(e[2:]) == short {
			if o := order.Uint16(e[8:]); o >= 1 && o <= 8 {
				return int(o)
			}
			break
		}
		at += entry
	}
	return 1
}

// upright gives a picture turned as an orientation says. YCbCr and grey stay what they are; all else
// becomes RGBA.
func upright(img image.Image, o int) image.Image {
	if o <= 1 {
		return img
	}
	r := img.Bounds()
	w, h := r.Dx(), r.Dy()
	out := image.Rect(0, 0, w, h)
	if o >= 5 {
		out = image.Rect(0, 0, h, w)
	}
	switch m := img.(type) {
	case *image.Gray:
		return &image.Gray{Pix: turn(m.Pix, m.Stride, w, h, 1, o), Stride: out.Dx(), Rect: out}
	case *image.YCbCr:
		if ratio, ok := turnedRatio(m.SubsampleRatio, o); ok && r.Min == (image.Point{}) {
			t := image.NewYCbCr(out, ratio)
			cw, ch := t.CStride, len(t.Cb)/t.CStride
			if o >= 5 {
				cw, ch = ch, cw
			}
			t.Y, t.Cb, t.Cr = turn(m.Y, m.YStride, w, h, 1, o), turn(m.Cb, m.CStride, cw, ch, 1, o), turn(m.Cr, m.CStride, cw, ch, 1, o)
			return t
		}
	}
	flat := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(flat, flat.Rect, img, r.Min, draw.Src)
	return &image.RGBA{Pix: turn(flat.Pix, flat.Stride, w, h, 4, o), Stride: 4 * out.Dx(), Rect: out}
}

// turnedRatio gives how the chroma of a turned picture lies.
func turnedRatio(r image.YCbCrSubsampleRatio, o int) (image.YCbCrSubsampleRatio, bool) {
	switch {
	case o < 5, r == image.YCbCrSubsampleRatio444, r == image.YCbCrSubsampleRatio420:
		return r, true
	case r == image.YCbCrSubsampleRatio422:
		return image.YCbCrSubsampleRatio440, true
	case r == image.YCbCrSubsampleRatio440:
		return image.YCbCrSubsampleRatio422, true
	}
	return r, false
}

// turn gives a plane of w by h pixels, of n bytes each, turned and without gaps between its rows.
func turn(src []byte, stride, w, h, n, o int) []byte {
	out := make([]byte, w*h*n)
	// Where the first pixel goes, and how far apart those beside and below each other come to lie.
	first, right, down := 0, 1, w
	switch o {
	case 2:
		first, right = w-1, -1
	case 3:
		first, right, down = w*h-1, -1, -w
	case 4:
		first, down = w*(h-1), -w
	case 5:
		right, down = h, 1
	case 6:
		first, right, down = h-1, h, -1
	case 7:
		first, right, down = w*h-1, -h, -1
	case 8:
		first, right, down = h*(w-1), -h, 1
	}
	for y := range h {
		row, to := src[y*stride:], (first+y*down)*n
		for x := range w {
			copy(out[to:to+n], row[x*n:x*n+n])
			to += right * n
		}
	}
	return out
}
