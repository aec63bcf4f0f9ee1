package service

import (
	"context"
	"strconv"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// sessionUser gives the user whose ID a session's token begins with.
func sessionUser(tx store.Tx, text string) (core.User, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return core.User{}, core.Faultf(core.NotFound, "", "user", "%.40q is not the ID of a user", text)
	}
	return tx.User(core.UserID(id))
}

// Audit gives what was changed, the newest first, before an entry (0: all), at most so many; for
// administrators.
func (s *Service) Audit(ctx context.Context, c Caller, before int64, most int) (list []core.AuditEntry, err error) {
	if err := may(c, core.Admin); err != nil {
		return nil, err
	}
	err = s.view(ctx, c, func(tx store.Tx) error { list, err = tx.AuditBefore(before, most); return err })
	return list, err
}

// Blobs gives the files after one (0: all), at most so many.
func (s *Service) Blobs(ctx context.Context, c Caller, after core.BlobID, most int) (list []core.Blob, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { list, err = tx.BlobsAfter(after, most); return err })
	return list, err
}
