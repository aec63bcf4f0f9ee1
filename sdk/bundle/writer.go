package bundle

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"io"
	"os"
	"time"

	"github.com/capstan-video/capstan/core"
)

// ErrLimit says that a bundle has the size that it was allowed: nothing more is taken, and it
// can be closed as Limited.
var ErrLimit = core.Faultf(core.Exhausted, "bundle", "", "it has reached its limit of size")

// Records are written in members of so many frames or bytes, or after flushTime, whichever comes
// first: so much can be lost when the program is killed.
const (
	flushFrames = 64
	flushBytes  = 1 << 20
	flushTime   = time.Second
)

// Writer writes a bundle to its name with PartExtension; Close gives it its own name. Its methods
// are for one goroutine.
type Writer struct {
	path    string
	file    *os.File
	zip     *zip.Writer
	limit   int64
	written int64
	index   Index
	records bytes.Buffer
	pending int // frames in records
	chunk   int
	flushed time.Time
	closed  bool
}

// Create begins a bundle of at most limit bytes (0: no limit but the disk's). clip is the file
// that is put into it, "" for none; h.Clip then names it. A file at path is replaced by Close.
func Create(ctx context.Context, path string, h Header, clip string, limit int64) (*Writer, error) {
	file, err := os.Create(path + PartExtension)
	if err != nil {
		return nil, fault(path, "%w", err)
	}
	w := &Writer{path: path, file: file, zip: zip.NewWriter(file), limit: limit, flushed: time.Now()}
	w.index.Members = map[string]Member{}
	h.Format, h.Version, h.Contract = Format, Version, core.APIVersion
	if h.Capsules == nil {
		h.Capsules = []Capsule{}
	}
	text, err := json.MarshalIndent(h, "", "  ")
	if err == nil {
		err = w.member(headerName, text, true)
	}
	if err == nil {
		err = w.zip.Flush()
	}
	if err == nil && clip != "" {
		err = w.clip(ctx, h.Clip.File, clip)
	}
	if err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// member writes one member whole. Its sizes stand before it, so that it can be read when the end
// of the file is missing.
func (w *Writer) member(name string, data []byte, pack bool) error {
	method, body := zip.Store, data
	if pack {
		var b bytes.Buffer
		f, err := flate.NewWriter(&b, flate.BestSpeed)
		if err != nil {
			return fault(w.path, "%w", err)
		}
		if _, err := f.Write(data); err != nil {
			return fault(w.path, "%w", err)
		}
		if err := f.Close(); err != nil {
			return fault(w.path, "%w", err)
		}
		if b.Len() < len(data)-len(data)/20 {
			method, body = zip.Deflate, b.Bytes()
		}
	}
	if w.limit > 0 && name != indexName && w.written+int64(len(body)) > w.limit {
		return ErrLimit
	}
	out, err := w.zip.CreateRaw(&zip.FileHeader{
		Name: name, Method: method, CRC32: crc32.ChecksumIEEE(data),
		CompressedSize64: uint64(len(body)), UncompressedSize64: uint64(len(data)),
	})
	if err == nil {
		_, err = out.Write(body)
	}
	if err != nil {
		return fault(w.path, "cannot write: %w", err)
	}
	w.written += int64(len(body)) + 200 // and its place in the directory
	sum := sha256.Sum256(data)
	if name != indexName {
		w.index.Members[name] = Member{Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
	}
	return nil
}

// clip copies a file into the bundle; it is read twice, because its checksum stands before it.
func (w *Writer) clip(ctx context.Context, name, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return fault(path, "%w", err)
	}
	defer in.Close()
	crc, sum := crc32.NewIEEE(), sha256.New()
	size, err := io.Copy(io.MultiWriter(crc, sum), reader{ctx, in})
	if err == nil {
		_, err = in.Seek(0, io.SeekStart)
	}
	switch {
	case err != nil:
		return fault(path, "%w", err)
	case size > maxClip:
		f := fault(path, "it has %d bytes, and a clip in a bundle at most %d", size, int64(maxClip))
		f.Hint = "record a part of it, or its frames"
		return f
	case w.limit > 0 && size > w.limit:
		f := fault(path, "it has %d bytes, and the bundle may have %d", size, w.limit)
		f.Hint = "raise --limit"
		return f
	}
	out, err := w.zip.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Store, CRC32: crc.Sum32(), CompressedSize64: uint64(size), UncompressedSize64: uint64(size)})
	if err == nil {
		var n int64
		if n, err = io.Copy(out, reader{ctx, in}); err == nil && n != size {
			return fault(path, "it changed while it was copied")
		}
	}
	if err != nil {
		return fault(w.path, "cannot write: %w", err)
	}
	w.written += size + 200
	w.index.Members[name] = Member{Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))}
	return nil
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// Pack gives the pixels of a picture without padding.
func Pack(l core.Layout, mem []byte) []byte {
	to, size := core.Packed(l.Format, l.Width, l.Height)
	out := make([]byte, size)
	for i, p := range to.Planes {
		row, rows := l.Format.PlaneSize(i, l.Width, l.Height)
		from := l.Planes[i]
		for y := range int64(rows) {
			copy(out[p.Offset+y*int64(p.Stride):][:row], mem[from.Offset+y*int64(from.Stride):])
		}
	}
	return out
}

// Picture writes pixels as Pack gives them under a name of FrameName or PictureName.
func (w *Writer) Picture(name string, l core.Layout, packed []byte) (*Picture, error) {
	p := &Picture{File: name, Format: l.Format, Width: l.Width, Height: l.Height, Matrix: l.Matrix, FullRange: l.FullRange}
	if _, size, ok := p.layout(); !ok || size != int64(len(packed)) {
		return nil, fault(w.path, "a picture of %s %dx%d with %d bytes cannot be recorded", l.Format, l.Width, l.Height, len(packed))
	}
	if len(w.index.Members) >= maxMembers-2 {
		return nil, ErrLimit
	}
	return p, w.member(name, packed, true)
}

// Frame writes a frame's record. Its pictures come before.
func (w *Writer) Frame(f *Frame) error {
	line, err := json.Marshal(f)
	if err != nil {
		return fault(w.path, "frame %d has no JSON form: %w", f.Seq, err)
	}
	if len(line) >= maxRecords {
		return fault(w.path, "frame %d has a record of %d bytes", f.Seq, len(line))
	}
	if w.limit > 0 && w.written+int64(w.records.Len()+len(line)) > w.limit {
		return ErrLimit
	}
	if w.records.Len()+len(line) >= maxRecords-1 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.records.Write(line)
	w.records.WriteByte('\n')
	w.pending++
	if w.pending >= flushFrames || w.records.Len() >= flushBytes || time.Since(w.flushed) >= flushTime {
		return w.flush()
	}
	return nil
}

func (w *Writer) flush() error {
	w.flushed = time.Now()
	if w.pending == 0 {
		return nil
	}
	w.chunk++
	limit := w.limit
	w.limit = 0 // Frame has looked at it
	err := w.member(recordsName(w.chunk), w.records.Bytes(), true)
	w.limit = limit
	if err == nil {
		err = w.zip.Flush()
	}
	w.index.Frames += w.pending
	w.records.Reset()
	w.pending = 0
	return err
}

// Written gives the bytes so far.
func (w *Writer) Written() int64 { return w.written }

// Frames gives the frames so far.
func (w *Writer) Frames() int { return w.index.Frames + w.pending }

// Close completes the bundle with how the recording ended, and gives it its name. A bundle that
// cannot be completed keeps PartExtension. It is safe to call twice.
func (w *Writer) Close(status string, cause error) error {
	if w.closed {
		return nil
	}
	w.closed = true
	err := w.flush()
	w.index.Status = status
	if cause != nil {
		w.index.Error = cause.Error()
	}
	var text []byte
	if err == nil {
		text, err = json.Marshal(w.index)
	}
	if err == nil {
		err = w.member(indexName, text, true)
	}
	if err == nil {
		err = w.zip.Close()
	}
	if err == nil {
		err = w.file.Sync()
	}
	if e := w.file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(w.path+PartExtension, w.path)
	}
	if err != nil {
		f := fault(w.path, "cannot be completed: %w", err)
		f.Hint = "what was recorded is in " + w.path + PartExtension
		return f
	}
	return nil
}

// Abort gives the recording up and removes what there is of it. After Close it does nothing.
func (w *Writer) Abort() {
	if w.closed {
		return
	}
	w.closed = true
	_ = w.file.Close()
	_ = os.Remove(w.path + PartExtension)
}
