package gstreamer

import (
	"encoding/binary"
	"io"
	"os"
)

// mostBoxes bounds how far into a file it is looked for its index. Fragments come behind it.
const mostBoxes = 1000

// cutOff says whether a file begins as MP4 files do and has no index, or a part of it only: it was
// cut off, or is being written still. GStreamer says so too, but decodebin may lose its words and
// then waits for ever.
func cutOff(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	return err == nil && withoutIndex(f, info.Size())
}

// withoutIndex walks over the boxes of a file of size bytes. What it does not know it takes for whole.
func withoutIndex(f io.ReaderAt, size int64) bool {
	at := int64(0)
	for n := range mostBoxes {
		var head [16]byte
		if got, _ := f.ReadAt(head[:], at); got < 8 {
			return n > 0 // its end
		}
		length, kind := int64(binary.BigEndian.Uint32(head[:])), string(head[4:8])
		switch length {
		case 0: // to the end of the file
			length = size - at
		case 1:
			length = int64(binary.BigEndian.Uint64(head[8:]))
		}
		switch {
		case n == 0 && kind != "ftyp", length < 8, kind == "meta", kind == "moof": // no MP4; nonsense; a picture; fragments of something
			return false
		case kind == "moov":
			return length > size-at
		case length >= size-at:
			return true
		}
		at += length
	}
	return false
}
