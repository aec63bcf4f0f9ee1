package sqlstore

import (
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type eventRow struct {
	bun.BaseModel `bun:"table:events"`

	ID       int64 `bun:",pk,autoincrement"`
	StreamID int64
	Kind     string
	At       int64
	Payload  []byte
	Attempts int
	NextAt   int64
	Dead     bool
	Error    string
}

func (r *eventRow) value() (store.Event, error) {
	return store.Event{
		ID: r.ID, Stream: core.StreamNumber(r.StreamID), Kind: r.Kind, At: fromMicros(r.At), Payload: r.Payload,
		Attempts: r.Attempts, Next: fromMicros(r.NextAt), Dead: r.Dead, Error: r.Error,
	}, nil
}

func (t *tx) Events(due time.Time, most int) ([]store.Event, error) {
	cut, err := page("event", store.Page{Limit: most})
	if err != nil {
		return nil, err
	}
	return list[store.Event, eventRow](t, func(q *bun.SelectQuery) *bun.SelectQuery {
		return cut(q.Where("NOT dead").Where("next_at <= ?", micros(due)).OrderExpr("id"))
	})
}

func (t *tx) SaveEvent(e store.Event) (int64, error) {
	if err := t.writing(); err != nil {
		return 0, err
	}
	c := check{noun: "event"}
	c.name("the kind", e.Kind)
	if len(e.Payload) > store.MaxPayload {
		c.refuse("the payload", "is %d bytes long: at most %d can be kept", len(e.Payload), store.MaxPayload)
	}
	if c.err != nil {
		return 0, c.err
	}
	if e.ID == 0 && t.store.dialect.lockEvents != "" {
		if _, err := t.exec(t.store.dialect.lockEvents); err != nil {
			return 0, err
		}
	}
	r := eventRow{
		ID: e.ID, StreamID: int64(e.Stream), Kind: e.Kind, At: micros(e.At), Payload: append([]byte{}, e.Payload...),
		Attempts: e.Attempts, NextAt: micros(e.Next), Dead: e.Dead, Error: tidy(e.Error, store.MaxText),
	}
	err := t.save("event", r.ID, &r)
	return r.ID, err
}

func (t *tx) DeleteEvent(id int64) error { return t.remove("event", "events", id) }

type valueRow struct {
	bun.BaseModel `bun:"table:server_values"`

	Name string `bun:",pk"`
	Data []byte
}

func (t *tx) Value(key string) ([]byte, error) {
	if !storable(key) {
		return nil, nil
	}
	var r valueRow
	err := t.db.NewSelect().Model(&r).Where("name = ?", key).Scan(t.ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err := t.failed(err); err != nil {
		return nil, err
	}
	return append([]byte{}, r.Data...), nil
}

// SaveValue implements store.Tx; nil deletes the value.
func (t *tx) SaveValue(key string, value []byte) error {
	if err := t.writing(); err != nil {
		return err
	}
	c := check{noun: "value"}
	c.name("the key", key)
	if len(value) > store.MaxPayload {
		c.refuse("the value", "is %d bytes long: at most %d can be kept", len(value), store.MaxPayload)
	}
	if c.err != nil {
		return c.err
	}
	if value == nil {
		_, err := t.exec("DELETE FROM server_values WHERE name = ?", key)
		return err
	}
	_, err := t.db.NewInsert().Model(&valueRow{Name: key, Data: value}).
		On("CONFLICT (name) DO UPDATE").Set("data = EXCLUDED.data").Exec(t.ctx)
	return t.failed(err)
}
