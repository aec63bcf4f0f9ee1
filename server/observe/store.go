package observe

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// timed is a store whose transactions are counted.
type timed struct {
	store.Store
	m *Metrics
}

// Store gives a store that counts the transactions of another one.
func (m *Metrics) Store(s store.Store) store.Store { return timed{s, m} }

// View implements store.Store.
func (t timed) View(ctx context.Context, f func(store.Tx) error) error {
	return t.note("view", time.Now(), t.Store.View(ctx, f))
}

// Update implements store.Store.
func (t timed) Update(ctx context.Context, f func(store.Tx) error) error {
	return t.note("update", time.Now(), t.Store.Update(ctx, f))
}

func (t timed) note(kind string, began time.Time, err error) error {
	t.m.store.WithLabelValues(kind).Observe(time.Since(began).Seconds())
	if err != nil && core.KindOf(err) == core.Internal {
		t.m.failures.WithLabelValues(kind).Inc()
	}
	return err
}
