// Package archive reads zips that others made, and refuses whatever could do harm: paths that
// leave, links, names that meet on another system, sizes beyond bounds.
package archive

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
)

// Limits bound what a zip may hold. All fields are needed.
type Limits struct {
	File  int64 // bytes of one file
	Total int64 // bytes of all files
	Count int   // files and folders
	// Ratio is how many times larger than the zip itself its content may be; the first Slack
	// bytes are free.
	Ratio int64
	// Folders says that the zip may have entries for folders.
	Folders bool
}

// Slack is content that no ratio is held against: a small zip of zeros does no harm.
const Slack = 16 << 20

// maxDirectory bounds the list at the end of a zip, which is read into memory as a whole.
const maxDirectory = 4 << 20

// Archive is a zip whose names and sizes are checked. It holds no descriptor of its own.
type Archive struct {
	Files   []*File  // in the order of the zip
	Folders []string // entries of folders, without the / at the end
	Size    int64    // bytes of all files, as the zip states them
}

// File is one regular file of an archive.
type File struct {
	Path       string
	Size       int64 // bytes; reading gives exactly so many, or an error
	Executable bool
	zip        *zip.File
}

// IsZip says whether r begins like a zip with files in it, or ends like an empty one.
func IsZip(r io.ReaderAt, size int64) bool {
	var b [4]byte
	if size < endLength {
		return false
	}
	if readAt(r, b[:], 0) != nil {
		return false
	}
	return string(b[:]) == "PK\x03\x04" || string(b[:]) == "PK\x05\x06"
}

func refuse(format string, args ...any) error {
	return core.Faultf(core.Invalid, "", "", format, args...)
}

// Open reads the list of a zip of size bytes and checks all of it against l. Nothing is
// unpacked.
func Open(r io.ReaderAt, size int64, l Limits) (*Archive, error) {
	if err := checkEnd(r, size, l); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, refuse("it is no whole zip: %w", err)
	}
	c := checker{limits: l, size: size, seen: map[string]string{}, folders: map[string]string{}, archive: &Archive{}}
	for _, f := range z.File {
		if err := c.add(f); err != nil {
			return nil, err
		}
	}
	return c.archive, nil
}

const endLength = 22

// readAt fills b; a reader may say that its end was met too.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	if n, err := r.ReadAt(b, at); n < len(b) {
		return refuse("it cannot be read: %w", err)
	}
	return nil
}

// checkEnd reads the last record, which says how long the list is, before the list is read:
// reading it takes memory. Comments and the 64-bit extension, which no package needs, are
// refused; so there is one way only to read the zip.
func checkEnd(r io.ReaderAt, size int64, l Limits) error {
	if size < endLength {
		return refuse("it has %d bytes and is no zip", size)
	}
	var locator [20]byte
	var end [endLength]byte
	if err := readAt(r, end[:], size-endLength); err != nil {
		return err
	}
	if string(end[:4]) != "PK\x05\x06" || end[20] != 0 || end[21] != 0 {
		return refuse("it does not end as a zip without a comment does: it is another kind of file, or cut off")
	}
	count := int(binary.LittleEndian.Uint16(end[10:]))
	length, offset := int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	if size >= endLength+20 {
		if err := readAt(r, locator[:], size-endLength-20); err != nil {
			return err
		}
	}
	switch {
	case string(locator[:4]) == "PK\x06\x07" || count == 0xffff || offset == 0xffffffff:
		return refuse("it is a 64-bit zip, which no package needs")
	case count > l.Count+1: // the list itself is exact, see add
		return refuse("it has %d entries, more than %d", count, l.Count)
	case length > maxDirectory:
		return refuse("its list of files takes %d bytes, more than %d", length, maxDirectory)
	case offset+length != size-endLength:
		return refuse("its parts do not fill it: something stands before or between them")
	}
	return nil
}

type checker struct {
	limits  Limits
	size    int64
	seen    map[string]string // entries, by folded path
	folders map[string]string // every folder that an entry lies in, by folded path
	archive *Archive
}

func (c *checker) add(f *zip.File) error {
	a := c.archive
	if len(a.Files)+len(a.Folders) >= c.limits.Count {
		return refuse("it has more than %d files", c.limits.Count)
	}
	name, folder := strings.CutSuffix(f.Name, "/")
	if err := c.checkName(name); err != nil {
		return err
	}
	if folder {
		return c.addFolder(f, name)
	}
	if err := c.checkKind(f); err != nil {
		return err
	}
	if err := c.checkSize(f); err != nil {
		return err
	}
	key := fold(name)
	if _, ok := c.folders[key]; ok {
		return refuse("%q is a file and a folder", name)
	}
	c.seen[key] = name
	c.addParents(name)
	a.Files = append(a.Files, &File{Path: name, Size: int64(f.UncompressedSize64), Executable: f.Mode()&0o111 != 0, zip: f})
	return nil
}

// fold gives what a path is on a system that does not tell upper from lower case.
func fold(p string) string { return strings.ToLower(strings.ToUpper(p)) }

func (c *checker) checkName(name string) error {
	if !utf8.ValidString(name) {
		return refuse("the name %q is not UTF-8", name)
	}
	if why := manifest.BadPath(name); why != "" {
		return refuse("%q %s", clip(name), why)
	}
	key := fold(name)
	if first, twice := c.seen[key]; twice {
		if first == name {
			return refuse("%q stands there twice", name)
		}
		return refuse("%q and %q are one file on some systems", first, name)
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if file, ok := c.seen[fold(dir)]; ok && !strings.HasSuffix(file, "/") {
			return refuse("%q is a file and a folder", file)
		}
		if spelled, ok := c.folders[fold(dir)]; ok && spelled != dir {
			return refuse("%q and %q are one folder on some systems", spelled, dir)
		}
	}
	return nil
}

func (c *checker) addParents(name string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		c.folders[fold(dir)] = dir
	}
}

func (c *checker) addFolder(f *zip.File, name string) error {
	switch {
	case !c.limits.Folders:
		return refuse("%q is a folder; a package lists files only", f.Name)
	case f.UncompressedSize64 != 0:
		return refuse("the folder %q has content", f.Name)
	}
	if spelled, ok := c.folders[fold(name)]; ok && spelled != name {
		return refuse("%q and %q are one folder on some systems", spelled, name)
	}
	c.seen[fold(name)] = name + "/"
	c.folders[fold(name)] = name
	c.addParents(name)
	c.archive.Folders = append(c.archive.Folders, name)
	return nil
}

func (c *checker) checkKind(f *zip.File) error {
	switch m := f.Mode(); {
	case m&fs.ModeSymlink != 0:
		return refuse("%q is a link", f.Name)
	case !m.IsRegular():
		return refuse("%q is neither a file nor a folder (%s)", f.Name, m)
	case m&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0:
		return refuse("%q would run as another user (%s)", f.Name, m)
	case f.Flags&1 != 0:
		return refuse("%q is encrypted by the zip itself, which nobody should rely on", f.Name)
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return refuse("%q is compressed by method %d; want stored or deflated", f.Name, f.Method)
	}
	return nil
}

func (c *checker) checkSize(f *zip.File) error {
	a := c.archive
	if f.UncompressedSize64 > uint64(c.limits.File) {
		return refuse("%q has %d bytes, more than %d", f.Name, f.UncompressedSize64, c.limits.File)
	}
	if f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64 {
		return refuse("%q is stored in %d bytes and says it has %d", f.Name, f.CompressedSize64, f.UncompressedSize64)
	}
	if a.Size += int64(f.UncompressedSize64); a.Size > c.limits.Total {
		return refuse("its files have more than %d bytes together", c.limits.Total)
	}
	if a.Size > Slack && a.Size/c.limits.Ratio > c.size {
		return refuse("its %d bytes stand for more than %d times as many", c.size, c.limits.Ratio)
	}
	return nil
}

// Open reads the file. Reading ends with an error where the content is not of the stated size
// or check sum; it never gives more.
func (f *File) Open() (io.ReadCloser, error) {
	r, err := f.zip.Open()
	if err != nil {
		return nil, refuse("%q: %w", f.Path, err)
	}
	return &exact{r: r, left: f.Size, name: f.Path}, nil
}

// Raw gives the file as it stands in the zip, compressed, to be copied into another.
func (f *File) Raw() (zip.FileHeader, io.Reader, error) {
	r, err := f.zip.OpenRaw()
	if err != nil {
		return zip.FileHeader{}, nil, refuse("%q: %w", f.Path, err)
	}
	return f.zip.FileHeader, r, nil
}

// exact gives left bytes, then checks that there are no more.
type exact struct {
	r    io.ReadCloser
	left int64
	name string
}

func (e *exact) Read(p []byte) (int, error) {
	if int64(len(p)) > e.left+1 {
		p = p[:e.left+1]
	}
	n, err := e.r.Read(p)
	if int64(n) > e.left {
		return int(e.left), refuse("%q has more bytes than it says", e.name)
	}
	e.left -= int64(n)
	switch {
	case err == io.EOF && e.left > 0:
		return n, refuse("%q ends %d bytes early", e.name, e.left)
	case err != nil && err != io.EOF:
		return n, refuse("%q: %w", e.name, err)
	}
	return n, err
}

func (e *exact) Close() error { return e.r.Close() }

// Find gives the file of a path.
func (a *Archive) Find(p string) (*File, bool) {
	for _, f := range a.Files {
		if f.Path == p {
			return f, true
		}
	}
	return nil, false
}

// ReadAll gives the content of a file of at most limit bytes.
func (f *File) ReadAll(limit int64) ([]byte, error) {
	if f.Size > limit {
		return nil, refuse("%q has %d bytes, more than %d", f.Path, f.Size, limit)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return data, nil
}

func clip(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:57], "") + "…"
}
