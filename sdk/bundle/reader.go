package bundle

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// Reader reads a bundle. Next is for one goroutine; the rest may be called from several.
type Reader struct {
	Header Header
	Index  Index // Status is Incomplete where the end of the file is missing

	path    string
	file    io.ReaderAt
	closer  io.Closer
	members map[string]member
	chunk   int // of records, read so far
	lines   *bufio.Reader
	last    uint64
}

// member is where a member lies in the file.
type member struct {
	offset, packed, size int64
	method               uint16
	crc                  uint32
}

// Open opens a bundle. One without its end (the recording was killed, or the file was cut off)
// is refused, unless partial is true or its name ends in PartExtension: then what is there is
// given. The caller closes it.
func Open(path string, partial bool) (*Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		f := &core.Fault{Op: "bundle", Kind: core.NotFound, On: path, Err: errors.Unwrap(err)}
		f.Hint = "capstan record makes one"
		return nil, f
	}
	info, err := file.Stat()
	var r *Reader
	if err == nil && info.IsDir() {
		err = fault(path, "it is a folder")
	} else if err == nil {
		r, err = newReader(path, file, info.Size(), partial || strings.HasSuffix(path, PartExtension))
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	r.closer = file
	return r, nil
}

// newReader reads the directory, the header and the index.
func newReader(path string, file io.ReaderAt, size int64, partial bool) (*Reader, error) {
	r := &Reader{path: path, file: file, members: map[string]member{}}
	whole, err := r.directory(size)
	if err != nil {
		return nil, err
	}
	if !whole {
		if err := r.scan(size); err != nil {
			return nil, err
		}
	}
	if _, ok := r.members[headerName]; !ok {
		return nil, fault(path, "it is not a bundle: it has no %s", headerName)
	}
	if err := r.object(headerName, &r.Header); err != nil {
		return nil, err
	}
	if err := r.checkHeader(); err != nil {
		return nil, err
	}
	if _, ok := r.members[indexName]; ok && whole {
		if err := r.object(indexName, &r.Index); err != nil {
			return nil, err
		}
		return r, r.checkIndex()
	}
	r.Index = Index{Status: Incomplete}
	if !partial {
		f := fault(path, "its end is missing: it was cut off, or the recording was killed")
		f.Hint = "--partial uses what is there"
		return nil, f
	}
	return r, nil
}

// directory reads the zip directory at the end; false when there is none that can be read.
func (r *Reader) directory(size int64) (bool, error) {
	z, err := zip.NewReader(r.file, size)
	if err != nil {
		return false, nil
	}
	if len(z.File) > maxMembers {
		return false, fault(r.path, "it has %d members, and at most %d are read", len(z.File), maxMembers)
	}
	for _, f := range z.File {
		offset, err := f.DataOffset()
		if err != nil {
			return false, fault(r.path, "member %.100q cannot be read: %w", f.Name, err)
		}
		m := member{offset: offset, packed: int64(f.CompressedSize64), size: int64(f.UncompressedSize64), method: f.Method, crc: f.CRC32}
		if err := r.add(f.Name, m, size); err != nil {
			return false, err
		}
	}
	return true, nil
}

// add takes a member that may be.
func (r *Reader) add(name string, m member, file int64) error {
	_, twice := r.members[name]
	switch {
	case !memberName.MatchString(name) || name == "clip/." || name == "clip/..":
		return fault(r.path, "member %.100q is none of a bundle", name)
	case twice:
		return fault(r.path, "member %s stands there twice", name)
	case m.method != zip.Store && m.method != zip.Deflate:
		return fault(r.path, "member %s is packed by method %d", name, m.method)
	case m.size < 0 || m.packed < 0 || m.offset < 0 || m.offset > file || m.packed > file-m.offset || m.size > limitOf(name):
		return fault(r.path, "member %s of %d bytes, %d in the file, cannot be", name, m.size, m.packed)
	}
	r.members[name] = m
	return nil
}

// localHeader is the length of a member's own header without its name.
const localHeader = 30

// scan finds the members of a file without directory by their own headers, up to the first that
// is not whole.
func (r *Reader) scan(size int64) error {
	head := make([]byte, localHeader)
	for at := int64(0); at+localHeader <= size && len(r.members) < maxMembers; {
		if _, err := r.file.ReadAt(head, at); err != nil || binary.LittleEndian.Uint32(head) != 0x04034b50 {
			break
		}
		name := make([]byte, binary.LittleEndian.Uint16(head[26:]))
		extra := int64(binary.LittleEndian.Uint16(head[28:]))
		if _, err := r.file.ReadAt(name, at+localHeader); err != nil {
			break
		}
		m := member{
			offset: at + localHeader + int64(len(name)) + extra, method: binary.LittleEndian.Uint16(head[8:]),
			crc: binary.LittleEndian.Uint32(head[14:]), packed: int64(binary.LittleEndian.Uint32(head[18:])), size: int64(binary.LittleEndian.Uint32(head[22:])),
		}
		if m.offset > size || m.packed > size-m.offset {
			break // it was being written
		}
		if err := r.add(string(name), m, size); err != nil {
			return err
		}
		at = m.offset + m.packed
	}
	if len(r.members) == 0 {
		return fault(r.path, "it is not a bundle")
	}
	return nil
}

func (r *Reader) checkHeader() error {
	h := &r.Header
	switch {
	case h.Format != Format:
		return fault(r.path, "it is not a bundle: its format is %.40q", h.Format)
	case h.Version < 1 || h.Version > Version:
		f := core.Faultf(core.Unsupported, "bundle", r.path, "it is of version %d, and this program reads %d", h.Version, Version)
		f.Hint = "use a newer capstan"
		return f
	case h.Media != MediaClip && h.Media != MediaFrames && h.Media != MediaNone:
		return fault(r.path, "its media is %.40q", h.Media)
	case (h.Media == MediaClip) != (h.Clip != nil):
		return fault(r.path, "its media is %s, and what it says of a clip does not fit", h.Media)
	}
	if h.Clip != nil {
		if _, ok := r.members[h.Clip.File]; !ok || !strings.HasPrefix(h.Clip.File, "clip/") {
			return fault(r.path, "its clip %.100q is missing", h.Clip.File)
		}
	}
	for _, c := range h.Capsules {
		if !core.ValidName(c.Name) {
			return fault(r.path, "a capsule is named %.80q", c.Name)
		}
	}
	return nil
}

// checkIndex holds the members against the index.
func (r *Reader) checkIndex() error {
	if len(r.Index.Members) != len(r.members)-1 {
		return fault(r.path, "it was altered: it has %d members, and its index %d", len(r.members)-1, len(r.Index.Members))
	}
	for name, m := range r.Index.Members {
		if have, ok := r.members[name]; !ok || have.size != m.Size {
			return fault(r.path, "it was altered: member %.100q is missing or has another size", name)
		}
	}
	return r.verify(headerName)
}

// verify reads a member for its checksums alone.
func (r *Reader) verify(name string) error {
	in, err := r.open(name)
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	return err
}

// Verify reads the whole bundle and checks every checksum.
func (r *Reader) Verify() error {
	for name := range r.members {
		if err := r.verify(name); err != nil {
			return err
		}
	}
	return nil
}

// open gives the content of a member; its end is an error where the checksums are others.
func (r *Reader) open(name string) (io.Reader, error) {
	m, ok := r.members[name]
	if !ok {
		return nil, fault(r.path, "member %.100q is missing", name)
	}
	section := io.NewSectionReader(r.file, m.offset, m.packed)
	c := &checked{r: r, name: name, left: m.size, crc: crc32.NewIEEE(), want: m.crc, in: section}
	if m.method == zip.Deflate {
		c.in = flate.NewReader(bufio.NewReader(section))
	}
	if i, ok := r.Index.Members[name]; ok {
		c.sum, c.wantSum = sha256.New(), i.SHA256
	}
	return c, nil
}

// checked reads a member of known size and checks it at its end.
type checked struct {
	r       *Reader
	name    string
	in      io.Reader
	left    int64
	crc     hash.Hash32
	want    uint32
	sum     hash.Hash // nil: the index is not there, or not read yet
	wantSum string
	failed  error
}

// Read gives a fault in place of io.EOF for a member that is not what was recorded.
func (c *checked) Read(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	if c.left == 0 {
		c.failed = c.end()
		return 0, c.failed
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.crc.Write(p[:n])
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
	switch {
	case err == io.EOF && c.left > 0:
		c.failed = fault(c.r.path, "member %s is cut off", c.name)
	case err != nil && err != io.EOF:
		c.failed = fault(c.r.path, "member %s cannot be read: %w", c.name, err)
	}
	return n, c.failed
}

func (c *checked) end() error {
	var more [1]byte
	if n, _ := c.in.Read(more[:]); n > 0 {
		return fault(c.r.path, "it was altered: member %s is longer than it says", c.name)
	}
	if c.crc.Sum32() != c.want || c.sum != nil && hex.EncodeToString(c.sum.Sum(nil)) != c.wantSum {
		return fault(c.r.path, "it was altered: the checksum of member %s is another one", c.name)
	}
	return io.EOF
}

// bytes reads a member whole; its size is bounded by its name.
func (r *Reader) bytes(name string) ([]byte, error) {
	in, err := r.open(name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = io.Copy(&b, in)
	return b.Bytes(), err
}

func (r *Reader) object(name string, into any) error {
	text, err := r.bytes(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fault(r.path, "%s cannot be read: %w", name, err)
	}
	return nil
}

// Next gives the next frame's record, io.EOF after the last. In a bundle without its end a
// record that was being written is the end too.
func (r *Reader) Next() (*Frame, error) {
	for {
		if r.lines == nil {
			name := recordsName(r.chunk + 1)
			if _, ok := r.members[name]; !ok {
				return nil, io.EOF
			}
			r.chunk++
			text, err := r.bytes(name)
			if err != nil {
				return nil, err
			}
			r.lines = bufio.NewReader(bytes.NewReader(text))
		}
		line, err := r.lines.ReadBytes('\n')
		if err != nil && len(line) == 0 {
			r.lines = nil
			continue
		}
		return r.frame(line)
	}
}

func (r *Reader) frame(line []byte) (*Frame, error) {
	f := &Frame{}
	err := json.Unmarshal(line, f)
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return nil, fault(r.path, "record %s: %w", recordsName(r.chunk), err)
	}
	if f.Seq <= r.last {
		return nil, fault(r.path, "frame %d stands after frame %d", f.Seq, r.last)
	}
	r.last = f.Seq
	return f, nil
}

// Rewind has Next begin again.
func (r *Reader) Rewind() { r.chunk, r.lines, r.last = 0, nil, 0 }

// Has says whether a member is there.
func (r *Reader) Has(name string) bool { _, ok := r.members[name]; return ok }

// Pixels gives the pixels of a picture with their layout.
func (r *Reader) Pixels(p *Picture) (core.Layout, []byte, error) {
	l, size, ok := p.layout()
	if !ok {
		return l, nil, fault(r.path, "picture %.100q cannot be", p.File)
	}
	if m, ok := r.members[p.File]; ok && m.size != size {
		return l, nil, fault(r.path, "picture %s has %d bytes, want %d", p.File, m.size, size)
	}
	mem, err := r.bytes(p.File)
	return l, mem, err
}

// Clip copies the clip to w, checked.
func (r *Reader) Clip(w io.Writer) error {
	if r.Header.Clip == nil {
		return fault(r.path, "it has no clip")
	}
	in, err := r.open(r.Header.Clip.File)
	if err == nil {
		_, err = io.Copy(w, in)
	}
	return err
}

// Path gives the name it was opened by.
func (r *Reader) Path() string { return r.path }

// Close closes the file. It is safe to call twice.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	err := r.closer.Close()
	r.closer = nil
	return err
}
