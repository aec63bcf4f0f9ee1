package service

import (
	"context"
	"fmt"
	"io"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// maxMIME bounds the type of a blob, in bytes.
const maxMIME = 255

// SaveBlob keeps what it reads; Invalid on "blob" when that is nothing.
func (s *Service) SaveBlob(ctx context.Context, c Caller, mime string, from io.Reader) (core.Blob, error) {
	if err := may(c, core.Editor); err != nil {
		return core.Blob{}, err
	}
	if mime == "" {
		mime = "application/octet-stream"
	}
	if len(mime) > maxMIME {
		return core.Blob{}, invalid("blob", "its type has %d bytes; want at most %d", len(mime), maxMIME)
	}
	file, err := s.cfg.Blobs.Write(ctx, from)
	if err != nil {
		return core.Blob{}, on("blob", err)
	}
	defer file.Close()
	if file.Size == 0 {
		return core.Blob{}, invalid("blob", "there is nothing in it")
	}
	b := core.Blob{Type: mime, Size: file.Size, SHA256: file.SHA256, Created: s.cfg.Now().UTC()}
	err = s.update(ctx, c, "save blob", func(tx store.Tx) (string, error) {
		id, err := tx.SaveBlob(b)
		if err == nil {
			err = file.Keep(id)
		}
		if err == nil {
			b.ID = id
		}
		return fmt.Sprint(id), on("blob", err)
	})
	return b, err
}

// Blob gives a file's content, which the caller closes.
func (s *Service) Blob(ctx context.Context, c Caller, id core.BlobID) (b core.Blob, _ io.ReadSeekCloser, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { b, err = tx.Blob(id); return on("blob", err) })
	if err != nil {
		return b, nil, err
	}
	content, _, err := s.cfg.Blobs.Read(id)
	return b, content, err
}

// DeleteBlob forgets a file. Streams that play it go on until they open it again.
func (s *Service) DeleteBlob(ctx context.Context, c Caller, id core.BlobID) error {
	err := s.update(ctx, c, "delete blob", func(tx store.Tx) (string, error) {
		return fmt.Sprint(id), on("blob", tx.DeleteBlob(id))
	})
	if err != nil {
		return err
	}
	return s.cfg.Blobs.Delete(id)
}

// forgetFrames deletes the files of alerts' frames whose rows have gone with the alerts. What
// fails is left for the sweep of the next start.
func (s *Service) forgetFrames(ctx context.Context, frames []core.BlobID) {
	for _, id := range frames {
		has, err := s.hasBlob(context.WithoutCancel(ctx), id)
		if err == nil && !has {
			err = s.cfg.Blobs.Delete(id)
		}
		if err != nil {
			s.log.Warn("a file that nobody needs is left behind", "blob", id, "err", err)
		}
	}
}

func (s *Service) hasBlob(ctx context.Context, id core.BlobID) (bool, error) {
	err := s.cfg.Store.View(ctx, func(tx store.Tx) error { _, err := tx.Blob(id); return err })
	if core.KindOf(err) == core.NotFound {
		return false, nil
	}
	return err == nil, err
}

// sweep removes the files that a crash has left without a row.
func (s *Service) sweep() {
	swept, err := s.cfg.Blobs.Sweep(s.life, func(id core.BlobID) (bool, error) { return s.hasBlob(s.life, id) })
	switch {
	case s.life.Err() != nil:
	case err != nil:
		s.log.Warn("the files without a use were not all found", "err", err)
	case swept.Removed > 0:
		s.log.Info("files without a use are gone", "files", swept.Removed, "bytes", swept.Bytes)
	}
}
