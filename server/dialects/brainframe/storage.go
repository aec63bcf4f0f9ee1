package brainframe

import (
	"bufio"
	"errors"
	"io"
	"mime"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

func (r routes) storage() {
	r.post("/storage", r.saveBlob)
	r.get("/storage/:id", r.blob)
	r.delete("/storage/:id", r.deleteBlob)
}

const anyBytes = "application/octet-stream"

// saveBlob keeps the body as it comes. An empty one is refused: it is what the client sends when
// it repeats an upload with a new session.
func (a *api) saveBlob(r *request) (any, error) {
	if r.Request.ContentLength > a.opt.MaxUpload {
		return nil, &httpx.TooLargeError{Limit: a.opt.MaxUpload}
	}
	from := &upTo{request: r, left: a.opt.MaxUpload, limit: a.opt.MaxUpload}
	buffered := bufio.NewReaderSize(from, 64<<10)
	if _, err := buffered.Peek(1); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &httpx.FormatError{Field: "body", Reason: "it is empty"}
		}
		return nil, &httpx.SyntaxError{Reason: "the body broke off: " + err.Error()}
	}
	b, err := a.svc.SaveBlob(r.Request.Context(), r.who, mimeType(r.GetHeader("Content-Type")), buffered)
	if from.err != nil {
		return nil, from.err // why the service could not read on
	}
	return int64(b.ID), err
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

func (a *api) blob(r *request) (any, error) {
	id, err := pathID[core.BlobID](r, "blob")
	if err != nil {
		return nil, err
	}
	b, content, err := a.svc.Blob(r.Request.Context(), r.who, id)
	if err != nil {
		return nil, err
	}
	return raw{}, errors.Join(send(r, mimeType(b.Type), b.Size, content), content.Close())
}

func (a *api) deleteBlob(r *request) (any, error) {
	id, err := pathID[core.BlobID](r, "blob")
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.DeleteBlob(r.Request.Context(), r.who, id)
}
