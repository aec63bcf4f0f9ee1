package brainframe

import (
	"errors"
	"io"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

func (r routes) storage() {
	r.post("/storage", r.saveBlob)
	r.get("/storage/:id", r.blob)
	r.delete("/storage/:id", r.deleteBlob)
}

// saveBlob keeps the body as it comes. An empty one is refused: it is what the client sends when
// it repeats an upload with a new session.
func (a *api) saveBlob(r *request) (any, error) {
	var b core.Blob
	err := httpx.Upload(r.Writer, r.Request, a.opt.MaxUpload, a.opt.ReadLimit, func(mime string, from io.Reader) (err error) {
		b, err = a.svc.SaveBlob(r.Request.Context(), r.who, mime, from)
		return err
	})
	return int64(b.ID), err
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
	return raw{}, errors.Join(send(r, httpx.MIMEType(b.Type), b.Size, content), content.Close())
}

func (a *api) deleteBlob(r *request) (any, error) {
	id, err := pathID[core.BlobID](r, "blob")
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.DeleteBlob(r.Request.Context(), r.who, id)
}
