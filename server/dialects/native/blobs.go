package native

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

const anyBytes = "application/octet-stream"

func (a *api) listBlobs(r *request, p pages) (page[blob], error) {
	after, err := p.after()
	if err != nil {
		return page[blob]{}, err
	}
	list, err := a.svc.Blobs(r.ctx(), r.who, core.BlobID(after), int(p.Limit)+1)
	if err != nil {
		return page[blob]{}, err
	}
	return more(list, p, func(b core.Blob) int64 { return int64(b.ID) }, toBlob)
}

// createBlob keeps the body as it comes.
func (a *api) createBlob(r *request, _ none) (blob, error) {
	if r.Request.ContentLength > a.opt.MaxUpload {
		return blob{}, &httpx.TooLargeError{Limit: a.opt.MaxUpload}
	}
	from := &upTo{request: r, left: a.opt.MaxUpload, limit: a.opt.MaxUpload}
	buffered := bufio.NewReaderSize(from, 64<<10)
	if _, err := buffered.Peek(1); err != nil {
		if errors.Is(err, io.EOF) {
			return blob{}, &httpx.FormatError{Field: "body", Reason: "it is empty"}
		}
		return blob{}, from.err
	}
	b, err := a.svc.SaveBlob(r.ctx(), r.who, mimeType(r.GetHeader("Content-Type")), buffered)
	if from.err != nil {
		return blob{}, from.err // why the service could not read on
	}
	return toBlob(b), err
}

// mimeType gives the type as it was sent, or that of any bytes when it is none.
func mimeType(s string) string {
	if _, _, err := mime.ParseMediaType(s); err != nil || len(s) > 255 || httpx.CheckText(s) != nil {
		return anyBytes
	}
	return s
}

// upTo reads a body of at most so many bytes, each part of it in time, and keeps what went wrong.
type upTo struct {
	request     *request
	left, limit int64
	err         error
}

// Read fails with a *httpx.TooLargeError past the limit.
func (u *upTo) Read(p []byte) (int, error) {
	u.request.limitTime()
	n, err := u.request.Request.Body.Read(p)
	if errors.Is(err, io.EOF) {
		_ = u.request.bodyRead(nil)
	}
	if u.left -= int64(n); u.left < 0 {
		err = &httpx.TooLargeError{Limit: u.limit}
	} else if err != nil && !errors.Is(err, io.EOF) {
		err = &httpx.SyntaxError{Reason: "the body broke off: " + err.Error()}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		u.err = err
	}
	return n, err
}

func (a *api) blob(r *request, p blobPath) (blob, error) {
	b, content, err := a.svc.Blob(r.ctx(), r.who, core.BlobID(p.Blob))
	if err != nil {
		return blob{}, err
	}
	return toBlob(b), content.Close()
}

// content answers with a file, or the part of it that Range asks for.
func (a *api) content(r *request, p blobPath) (raw, error) {
	b, content, err := a.svc.Blob(r.ctx(), r.who, core.BlobID(p.Blob))
	if err != nil {
		return raw{}, err
	}
	defer content.Close()
	h := r.Writer.Header()
	h.Set("Content-Type", mimeType(b.Type))
	h.Set("Content-Security-Policy", "sandbox") // what was uploaded runs nothing in a browser
	if b.SHA256 != "" {
		h.Set("ETag", `"`+b.SHA256+`"`)
	}
	http.ServeContent(r.Writer, r.Request, "", b.Created, content)
	return raw{}, nil
}

func (a *api) deleteBlob(r *request, p blobPath) (none, error) {
	return none{}, a.svc.DeleteBlob(r.ctx(), r.who, core.BlobID(p.Blob))
}
