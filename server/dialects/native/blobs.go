package native

import (
	"io"
	"net/http"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

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
	var b core.Blob
	err := httpx.Upload(r.Writer, r.Request, a.opt.MaxUpload, a.opt.ReadLimit, func(mime string, from io.Reader) (err error) {
		b, err = a.svc.SaveBlob(r.ctx(), r.who, mime, from)
		return err
	})
	return toBlob(b), err
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
	h.Set("Content-Type", httpx.MIMEType(b.Type))
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
