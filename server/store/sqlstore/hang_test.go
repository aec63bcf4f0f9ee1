package sqlstore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// TestHang: a transaction that hangs ends by itself, as the database's fault; one that its caller has
// ended is the caller's, and what comes later is well.
func TestHang(t *testing.T) {
	t.Parallel()
	s := open(t, postgres(t)).(*Store)
	defer s.Close()
	sleep := func(x store.Tx) error {
		_, err := x.(*tx).db.ExecContext(x.(*tx).ctx, "SELECT pg_sleep(60)")
		return x.(*tx).failed(err)
	}
	ctx, cancel := limited(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.View(ctx, sleep); core.KindOf(err) != core.Internal || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("a database that hangs: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Update(ctx, sleep); core.KindOf(err) != core.Cancelled {
		t.Errorf("a caller without patience: %v", err)
	}
	if err := s.View(t.Context(), func(x store.Tx) error {
		if at, has := x.(*tx).ctx.Deadline(); !has || time.Until(at) > viewLimit {
			return errors.New("there is no end to it")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
