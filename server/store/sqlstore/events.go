package sqlstore

import (
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/server/store"
)

type eventRow struct {
	bun.BaseModel `bun:"table:events"`

	ID       int64 `bun:",pk,autoincrement"`
	EventKey string
	StreamID int64
	Kind     string
	At       int64
	Payload  []byte
}

func (t *tx) SaveEvent(e store.Event, destinations ...int64) (int64, error) {
	if err := t.writing(); err != nil {
		return 0, err
	}
	c := check{noun: "event"}
	c.name("the kind", e.Kind)
	c.name("the key", e.Key)
	if len(e.Payload) > store.MaxPayload {
		c.refuse("the payload", "is %d bytes long: at most %d can be kept", len(e.Payload), store.MaxPayload)
	}
	if e.ID != 0 {
		c.refuse("the ID", "is %d: events do not change", e.ID)
	}
	if c.err != nil || len(destinations) == 0 {
		return 0, c.err
	}
	for _, id := range destinations {
		if err := t.need("destination", "destinations", id); err != nil {
			return 0, err
		}
	}
	if t.store.dialect.lockEvents != "" {
		if _, err := t.exec(t.store.dialect.lockEvents); err != nil {
			return 0, err
		}
	}
	r := eventRow{EventKey: e.Key, StreamID: int64(e.Stream), Kind: e.Kind, At: micros(e.At), Payload: append([]byte{}, e.Payload...)}
	if err := t.save("event", 0, &r); err != nil {
		return 0, err
	}
	rows := make([]deliveryRow, len(destinations))
	for i, id := range destinations {
		rows[i] = deliveryRow{EventID: r.ID, DestinationID: id, StreamID: r.StreamID, NextAt: r.At}
	}
	_, err := t.db.NewInsert().Model(&rows).Exec(t.ctx)
	return r.ID, t.failed(err)
}

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
