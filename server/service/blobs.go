package service

import (
	"context"
	"fmt"
	"io"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

const (
	maxMIME = 255
	// blobsAtOnce is how many blobs are looked at in one step.
	blobsAtOnce = 1000
)

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
	sum, size, err := s.cfg.Files.Put(ctx, from)
	if err != nil {
		return core.Blob{}, on("blob", err)
	}
	b := core.Blob{Type: mime, Size: size, SHA256: sum, Created: s.cfg.Now().UTC()}
	if size > 0 {
		err = s.update(ctx, c, "save blob", func(tx store.Tx) (string, error) {
			id, err := tx.SaveBlob(b)
			b.ID = id
			return fmt.Sprint(id), on("blob", err)
		})
	} else {
		err = invalid("blob", "there is nothing in it")
	}
	if err != nil {
		s.forgetFiles(context.WithoutCancel(ctx), []string{sum})
		return core.Blob{}, err
	}
	return b, nil
}

// Blob gives a file's content, which the caller closes.
func (s *Service) Blob(ctx context.Context, c Caller, id core.BlobID) (b core.Blob, _ io.ReadSeekCloser, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { b, err = tx.Blob(id); return on("blob", err) })
	if err != nil {
		return b, nil, err
	}
	content, err := s.cfg.Files.Open(ctx, b.SHA256)
	if err != nil {
		return b, nil, on("blob", err)
	}
	return b, content, nil
}

// DeleteBlob forgets a file. Streams that play it go on until they open it again.
func (s *Service) DeleteBlob(ctx context.Context, c Caller, id core.BlobID) error {
	var sum string
	err := s.update(ctx, c, "delete blob", func(tx store.Tx) (string, error) {
		b, err := tx.Blob(id)
		if err != nil {
			return "", on("blob", err)
		}
		sum = b.SHA256
		return fmt.Sprint(id), on("blob", tx.DeleteBlob(id))
	})
	if err == nil {
		s.forgetFiles(ctx, []string{sum})
	}
	return err
}

// forgetFrames deletes the files of alerts' frames that the store has let go.
func (s *Service) forgetFrames(ctx context.Context, frames []core.Blob) {
	if len(frames) == 0 {
		return
	}
	var sums []string
	for _, b := range frames {
		sums = append(sums, b.SHA256)
	}
	s.forgetFiles(context.WithoutCancel(ctx), sums)
}

// forgetFiles deletes the content that no blob has any more.
func (s *Service) forgetFiles(ctx context.Context, sums []string) {
	gone := map[string]bool{}
	for _, sum := range sums {
		gone[sum] = true
	}
	err := s.cfg.Store.View(ctx, func(tx store.Tx) error {
		for at := 0; ; at += blobsAtOnce {
			list, err := tx.Blobs(store.Page{Limit: blobsAtOnce, Offset: at})
			if err != nil || len(list) == 0 {
				return err
			}
			for _, b := range list {
				delete(gone, b.SHA256)
			}
		}
	})
	for sum := range gone {
		if err == nil {
			err = s.cfg.Files.Delete(ctx, sum)
		}
	}
	if err != nil {
		s.log.Warn("files that nobody needs are left behind", "err", err)
	}
}
