package models

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Fetcher fetches model files into a folder. The zero value is of no use: Dir must be set.
type Fetcher struct {
	Dir    string        // where files go; it is made when it is missing
	Client *http.Client  // nil: http.DefaultClient
	Idle   time.Duration // without a byte for so long a transfer is given up; 0: 30 s
	Limit  int64         // bytes that no file has; 0: 2 GiB

	// Progress, if set, is told how many bytes there are, from the first one on, and how many
	// there will be; -1 where that is not known.
	Progress func(done, total int64)
}

// Fetch gets w into the folder and gives its path. What an interrupted Fetch has left is gone on
// with. The file appears under its name only when all of it is there and its SHA-256 is right;
// until then one that lies there stays. It waits for another process that fetches the same file.
func (f Fetcher) Fetch(ctx context.Context, w Wanted) (string, error) {
	if f.Idle <= 0 {
		f.Idle = 30 * time.Second
	}
	if f.Limit <= 0 {
		f.Limit = 2 << 30
	}
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return "", core.Faultf(core.Denied, "models", f.Dir, "%w", err)
	}
	part, err := f.openPart(ctx, w)
	if err != nil {
		return "", err
	}
	defer part.Close()
	path := filepath.Join(f.Dir, w.File)
	if hash, _, err := sum(path); err == nil && hash == w.SHA256 {
		_ = os.Remove(part.Name()) // another process was first
		return path, nil
	}
	if err := f.fill(ctx, w, part); err != nil {
		return "", err
	}
	if err := errors.Join(part.Sync(), part.Chmod(0o644), os.Rename(part.Name(), path)); err != nil {
		return "", core.Faultf(core.Denied, "models", path, "%w", err)
	}
	return path, nil
}

// openPart opens the file that gathers w, alone among all processes. Its name has the hash, so
// that what is left of another version is never gone on with.
func (f Fetcher) openPart(ctx context.Context, w Wanted) (*os.File, error) {
	name := filepath.Join(f.Dir, "."+w.File+"."+w.SHA256[:16]+".part")
	for {
		part, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, core.Faultf(core.Denied, "models", name, "%w", err)
		}
		if err := lock(ctx, part); err != nil {
			_ = part.Close()
			return nil, err
		}
		// The process that had it before may have made it the model, or removed it.
		ours, err := part.Stat()
		if there, err2 := os.Stat(name); err == nil && err2 == nil && os.SameFile(ours, there) {
			return part, nil
		}
		_ = part.Close()
	}
}

// fill completes part and checks it. What was gone on with and is wrong is fetched anew once.
func (f Fetcher) fill(ctx context.Context, w Wanted, part *os.File) error {
	for {
		have, err := part.Seek(0, io.SeekEnd)
		if err != nil {
			return core.Faultf(core.Denied, "models", part.Name(), "%w", err)
		}
		got, err := f.transfer(ctx, w, part, have)
		if err != nil {
			return err
		}
		hash, size, err := sum(part.Name())
		if err != nil {
			return core.Faultf(core.Denied, "models", part.Name(), "%w", err)
		}
		if hash == w.SHA256 {
			return nil
		}
		if err := part.Truncate(0); err != nil {
			return core.Faultf(core.Denied, "models", part.Name(), "%w", err)
		}
		if !got.resumed {
			_ = os.Remove(part.Name())
			return refused(w, hash, size)
		}
	}
}

func refused(w Wanted, hash string, size int64) error {
	f := core.Faultf(core.Invalid, "models", w.File, "%s gave %d bytes with the SHA-256 %s, the manifest says %s", w.URL, size, hash, w.SHA256)
	f.Hint = "nothing was kept; the source has changed, or something on the way there"
	return f
}

// transferred says how a transfer went.
type transferred struct{ resumed bool }

// transfer appends to part what is missing of it from byte have on.
func (f Fetcher) transfer(ctx context.Context, w Wanted, part *os.File, have int64) (transferred, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(f.Idle, func() { cancel(fmt.Errorf("no byte came for %s", f.Idle)) })
	defer idle.Stop()
	body, start, total, err := f.open(ctx, w, have)
	if err != nil {
		return transferred{}, fetchFault(ctx, w, err)
	}
	defer body.Close()
	if total > f.Limit {
		return transferred{}, fetchFault(ctx, w, fmt.Errorf("it has %d bytes, more than %d", total, f.Limit))
	}
	if err := part.Truncate(start); err != nil {
		return transferred{}, core.Faultf(core.Denied, "models", part.Name(), "%w", err)
	}
	if _, err := part.Seek(start, io.SeekStart); err != nil {
		return transferred{}, core.Faultf(core.Denied, "models", part.Name(), "%w", err)
	}
	err = f.copy(ctx, part, body, start, total, func() { idle.Reset(f.Idle) })
	if err != nil {
		return transferred{}, fetchFault(ctx, w, err)
	}
	return transferred{resumed: start > 0}, nil
}

// copy moves body to part and tells of it.
func (f Fetcher) copy(ctx context.Context, part io.Writer, body io.Reader, done, total int64, alive func()) error {
	buf := make([]byte, 128<<10)
	if f.Progress != nil {
		f.Progress(done, total)
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := body.Read(buf)
		if n > 0 {
			alive()
			if done += int64(n); done > f.Limit {
				return fmt.Errorf("it has more than %d bytes", f.Limit)
			}
			if _, err := part.Write(buf[:n]); err != nil {
				return err
			}
			if f.Progress != nil {
				f.Progress(done, total)
			}
		}
		switch {
		case err == io.EOF && total >= 0 && done != total:
			return fmt.Errorf("%d of %d bytes came: %w", done, total, io.ErrUnexpectedEOF)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

func fetchFault(ctx context.Context, w Wanted, err error) error {
	if fault, ok := errors.AsType[*core.Fault](err); ok {
		return fault
	}
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.Canceled) {
			return core.Faultf(core.Cancelled, "models", w.File, "fetching %s was interrupted; it is gone on with the next time", w.URL)
		}
		err = cause
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // the URL is named already
	}
	f := core.Faultf(core.SourceOpen, "models", w.File, "fetching %s: %w", w.URL, err)
	f.Hint = "try again: what has come is kept; or put the file into a folder of CAPSTAN_MODELS yourself"
	return f
}

// open gives what of w there is from byte start on, which is have or 0, and the size of all of it.
func (f Fetcher) open(ctx context.Context, w Wanted, have int64) (body io.ReadCloser, start, total int64, err error) {
	u, err := url.Parse(w.URL)
	switch {
	case w.URL == "":
		fault := core.Faultf(core.NotFound, "models", w.File, "its manifest names no URL")
		fault.Hint = "get it from " + w.Source + " and put it into a folder of CAPSTAN_MODELS"
		return nil, 0, 0, fault
	case err != nil:
		return nil, 0, 0, core.Faultf(core.Invalid, "models", w.File, "its URL cannot be read: %w", err)
	case u.Scheme == "http" || u.Scheme == "https":
		return f.get(ctx, w.URL, have)
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost"):
		return openFile(u.Path, have)
	case u.Scheme == "" && u.Host == "" && !filepath.IsAbs(u.Path):
		return openFile(filepath.Join(w.Dir, filepath.FromSlash(u.Path)), have)
	default:
		return nil, 0, 0, core.Faultf(core.Invalid, "models", w.File, "the URL %s is not http, https, file or relative", w.URL)
	}
}

func openFile(path string, have int64) (io.ReadCloser, int64, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err == nil && have > info.Size() {
		have = 0
	}
	if err == nil {
		_, err = file.Seek(have, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, 0, err
	}
	return file, have, info.Size(), nil
}

// get asks a server for what is missing, or for everything where it does not give parts.
func (f Fetcher) get(ctx context.Context, from string, have int64) (io.ReadCloser, int64, int64, error) {
	res, err := f.request(ctx, from, have)
	if err != nil {
		return nil, 0, 0, err
	}
	switch {
	case res.StatusCode == http.StatusPartialContent && have > 0:
		if start, total, ok := contentRange(res.Header.Get("Content-Range")); ok && start == have {
			return res.Body, have, total, nil
		}
	case res.StatusCode == http.StatusOK:
		return res.Body, 0, res.ContentLength, nil
	case have == 0:
		_ = res.Body.Close()
		return nil, 0, 0, fmt.Errorf("the server answers %s", res.Status)
	}
	// It cannot go on from there: the part may be longer than the file, or all of it.
	_ = res.Body.Close()
	return f.get(ctx, from, 0)
}

func (f Fetcher) request(ctx context.Context, from string, have int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "capstan")
	req.Header.Set("Accept-Encoding", "identity") // ranges count the bytes of the file itself
	if have > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(have, 10)+"-")
	}
	client := f.Client
	if client == nil {
		client = http.DefaultClient
	}
	return client.Do(req)
}

// contentRange reads "bytes 5-9/10"; total is -1 for "bytes 5-9/*".
func contentRange(s string) (start, total int64, ok bool) {
	span, size, found := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	first, _, dash := strings.Cut(span, "-")
	start, err := strconv.ParseInt(first, 10, 64)
	if !found || !dash || err != nil || start < 0 {
		return 0, 0, false
	}
	if size == "*" {
		return start, -1, true
	}
	total, err = strconv.ParseInt(size, 10, 64)
	return start, total, err == nil && total > start
}
