// Package blob keeps files in a folder: what was uploaded, and the frames of alerts.
//
// A file has the name of its BlobID, not of its content: one row of the store is one file, so that
// deleting needs no count of who else has the same content, and cannot race with an upload of it.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"

	"github.com/capstan-video/capstan/core"
)

const (
	// step is how much is written between two looks at the free space and the context.
	step = 4 << 20
	// shards is how many folders the files are spread over: a million files are 4,000 a folder.
	shards = 256

	tmpDir   = "tmp"
	lockName = "lock"
)

// Options limit a Folder.
type Options struct {
	MaxBytes int64 // of one file; 0: no limit
	Reserve  int64 // bytes of the disk that stay free
}

// Folder is a folder of files. It is safe for use by several goroutines, and belongs to one
// process at a time.
type Folder struct {
	dir     string
	options Options
	lock    *os.File

	mu   sync.Mutex
	open map[core.BlobID]int // how many Pendings have given a file this name

	shown         sync.Once // has set these
	files, others *regexp.Regexp
}

// Open opens the folder, makes it if need be, and removes what a crash has left half-written. It
// fails with a *core.Fault: Invalid when another process has it open, Internal when it cannot be
// used.
func Open(dir string, o Options) (*Folder, error) {
	for _, d := range []string{dir, filepath.Join(dir, tmpDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, unusable(err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unusable(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		f := core.Faultf(core.Invalid, "open blobs", "", "%s is in use by another process", dir)
		f.Hint = "stop it, or use another data folder"
		return nil, f
	}
	f := &Folder{dir: dir, options: o, lock: lock, open: map[core.BlobID]int{}}
	if err := f.clear(); err != nil {
		_ = f.Close()
		return nil, unusable(err)
	}
	return f, nil
}

func unusable(err error) error {
	f := core.Faultf(core.Internal, "open blobs", "", "%w", err)
	f.Hint = "this user must be able to write there"
	return f
}

// clear removes what was being written when the last process ended.
func (f *Folder) clear() error {
	left, err := os.ReadDir(filepath.Join(f.dir, tmpDir))
	for _, e := range left {
		err = errors.Join(err, os.RemoveAll(filepath.Join(f.dir, tmpDir, e.Name())))
	}
	return err
}

// Close lets another process have the folder. Files that are open stay so. It is safe to call
// twice.
func (f *Folder) Close() error {
	if err := f.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return core.Faultf(core.Internal, "close blobs", "", "%w", err)
	}
	return nil
}

// path is where a file lies.
func (f *Folder) path(id core.BlobID) string {
	return filepath.Join(f.dir, fmt.Sprintf("%02x", uint64(id)%shards), strconv.FormatInt(int64(id), 10))
}

// Shown takes the paths of files out of a text that people see who do not know this machine: a file
// is called "file 7" there, and what else is in the folder around is named from that folder on.
func (f *Folder) Shown(text string) string {
	f.shown.Do(func() {
		dir, err := filepath.Abs(f.dir)
		if err != nil {
			dir = f.dir
		}
		around := regexp.QuoteMeta(filepath.Dir(dir)) + "/"
		escaped := regexp.QuoteMeta((&url.URL{Path: filepath.Dir(dir)}).EscapedPath()) + "/"
		either := `(?:file://)?(?:` + around + "|" + escaped + ")"
		f.files = regexp.MustCompile(either + regexp.QuoteMeta(filepath.Base(dir)) + `/[0-9a-f]{2}/(\d+)`)
		f.others = regexp.MustCompile(either)
	})
	if text == "" {
		return ""
	}
	return f.others.ReplaceAllString(f.files.ReplaceAllString(text, "file $1"), "")
}

// Pending is a file that is written and has no name yet. One goroutine uses it.
type Pending struct {
	Size   int64  // bytes
	SHA256 string // hexadecimal

	folder *Folder
	at     string      // where it lies
	named  core.BlobID // 0: it has no name yet
	closed bool
}

// Write reads a file to its end and writes it to the disk; the caller closes the Pending. Nothing
// is left when it fails: Invalid for a file over the limit or a reader that fails, Exhausted for a
// full disk, Cancelled when ctx ends.
func (f *Folder) Write(ctx context.Context, from io.Reader) (*Pending, error) {
	file, err := os.CreateTemp(filepath.Join(f.dir, tmpDir), "*")
	if err != nil {
		return nil, f.fault(err)
	}
	p := &Pending{folder: f, at: file.Name()}
	sum := sha256.New()
	err = f.fill(ctx, file, from, sum, &p.Size)
	if err == nil {
		err = f.fault(file.Sync())
	}
	if failed := f.fault(file.Close()); err == nil {
		err = failed
	}
	if err != nil {
		_ = os.Remove(p.at)
		return nil, err
	}
	p.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return p, nil
}

// fill copies from a reader to the file and the sum, a step at a time.
func (f *Folder) fill(ctx context.Context, file *os.File, from io.Reader, sum hash.Hash, size *int64) error {
	source := &reader{from: from}
	for {
		if ctx.Err() != nil {
			return core.Faultf(core.Cancelled, "write blob", "blob", "%w", context.Cause(ctx))
		}
		if err := f.room(); err != nil {
			return err
		}
		n, err := io.CopyN(io.MultiWriter(file, sum), source, step)
		*size += n
		if most := f.options.MaxBytes; most > 0 && *size > most {
			return core.Faultf(core.Invalid, "write blob", "blob", "the file is longer than %d bytes, which is the most that is taken", most)
		}
		switch {
		case errors.Is(err, io.EOF) && source.err == io.EOF:
			return nil
		case source.err != nil && ctx.Err() != nil:
			return core.Faultf(core.Cancelled, "write blob", "blob", "%w", context.Cause(ctx))
		case source.err != nil:
			return core.Faultf(core.Invalid, "write blob", "blob", "the file could not be read: %w", source.err)
		case err != nil:
			return f.fault(err)
		}
	}
}

// reader keeps the error of a reader, to tell it from one of the disk.
type reader struct {
	from io.Reader
	err  error
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	if err != nil {
		r.err = err
	}
	return n, err
}

// room refuses to write when the disk would be filled beyond the reserve.
func (f *Folder) room() error {
	var s syscall.Statfs_t
	if f.options.Reserve <= 0 || syscall.Statfs(f.dir, &s) != nil {
		return nil // then the disk says it when it is full
	}
	if free := int64(s.Bavail) * s.Bsize; free < f.options.Reserve+step {
		fault := core.Faultf(core.Exhausted, "write blob", "blob", "the disk of the server is full: it has %d MB left, and %d MB stay free", free>>20, f.options.Reserve>>20)
		fault.Hint = "the server's administrator has to make room: delete streams, alerts or files, or give the data folder a larger disk"
		return fault
	}
	return nil
}

// fault wraps an error of the disk; nil stays nil.
func (f *Folder) fault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		fault := core.Faultf(core.Exhausted, "write blob", "blob", "the disk of the server is full: %w", err)
		fault.Hint = "the server's administrator has to make room: delete streams, alerts or files, or give the data folder a larger disk"
		return fault
	default:
		return core.Faultf(core.Internal, "write blob", "blob", "%w", err)
	}
}

// Keep gives the file its name, for good once it returns. It is called within the transaction that
// saves the row: then no row is ever without its file, and what is left of a transaction that
// fails is a file without a row, for Sweep. A transaction that runs again may give another name.
func (p *Pending) Keep(id core.BlobID) error {
	if p.closed || id < 1 {
		return core.Faultf(core.Internal, "keep blob", "blob", "ID %d, closed %t", id, p.closed)
	}
	if id == p.named {
		return nil
	}
	f := p.folder
	f.hold(id)
	to := f.path(id)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		f.release(id)
		return f.fault(err)
	}
	if err := os.Rename(p.at, to); err != nil {
		f.release(id)
		return f.fault(err)
	}
	if p.named != 0 {
		f.release(p.named)
	}
	p.at, p.named = to, id
	// The shard's own name has to be on the disk too, if it is new.
	return f.fault(errors.Join(syncDir(filepath.Dir(to)), syncDir(f.dir)))
}

// Close ends the writing: what has no name is removed, and what has one is Sweep's to look at. Call
// it when the transaction is over. It is safe to call twice.
func (p *Pending) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	if p.named != 0 {
		p.folder.release(p.named)
		return nil
	}
	return p.folder.fault(os.Remove(p.at))
}

func (f *Folder) hold(id core.BlobID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[id]++
}

func (f *Folder) release(id core.BlobID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[id]--; f.open[id] <= 0 {
		delete(f.open, id)
	}
}

func (f *Folder) held(id core.BlobID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open[id] > 0
}

// Read opens a file and says how many bytes it has; the caller closes it. A file that is deleted
// meanwhile can be read to its end. NotFound on "blob" when there is none.
func (f *Folder) Read(id core.BlobID) (io.ReadSeekCloser, int64, error) {
	file, err := os.Open(f.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, core.Faultf(core.NotFound, "read blob", "blob", "there is no file with ID %d", id)
	}
	if err != nil {
		return nil, 0, core.Faultf(core.Internal, "read blob", "blob", "%w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, 0, core.Faultf(core.Internal, "read blob", "blob", "%w", err)
	}
	return file, info.Size(), nil
}

// Delete removes a file. One that is not there is fine: a crash may have come between. Call it when
// the row is gone.
func (f *Folder) Delete(id core.BlobID) error {
	if err := os.Remove(f.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return core.Faultf(core.Internal, "delete blob", "blob", "%w", err)
	}
	return nil
}

// syncDir brings the names in a folder to the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
