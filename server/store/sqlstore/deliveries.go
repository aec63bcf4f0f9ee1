package sqlstore

import (
	"time"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type deliveryRow struct {
	bun.BaseModel `bun:"table:deliveries"`

	ID            int64 `bun:",pk,autoincrement"`
	EventID       int64
	DestinationID int64
	StreamID      int64
	Attempts      int
	NextAt        int64
	Dead          bool
	EndedAt       int64
	Error         string
}

// toldRow is a delivery with its event.
type toldRow struct {
	deliveryRow `bun:",extend"`

	EventKey string
	Kind     string
	At       int64
	Payload  []byte
}

func (r *toldRow) value() (store.Delivery, error) {
	d := store.Delivery{
		ID: r.ID, Destination: r.DestinationID, Attempts: r.Attempts, Next: fromMicros(r.NextAt), Dead: r.Dead, Error: r.Error,
		Event: store.Event{ID: r.EventID, Key: r.EventKey, Stream: core.StreamNumber(r.StreamID), Kind: r.Kind, At: fromMicros(r.At), Payload: r.Payload},
	}
	if r.Dead {
		d.Ended = fromMicros(r.EndedAt)
	}
	return d, nil
}

// told lists deliveries with their events; which is the rest of the query.
func (t *tx) told(which string, args ...any) ([]store.Delivery, error) {
	var rows []toldRow
	err := t.db.NewRaw(`SELECT d.id, d.event_id, d.destination_id, d.stream_id, d.attempts, d.next_at, d.dead, d.ended_at, d.error,
		e.event_key, e.kind, e.at, e.payload FROM deliveries AS d JOIN events AS e ON e.id = d.event_id `+which, args...).Scan(t.ctx, &rows)
	if err := t.failed(err); err != nil {
		return nil, err
	}
	out := make([]store.Delivery, len(rows))
	for i := range rows {
		out[i], _ = rows[i].value()
	}
	return out, nil
}

// Queues implements store.Tx. It goes from stream to stream by the index, however much waits on each.
func (t *tx) Queues(destination int64) ([]store.Queue, error) {
	var rows []struct {
		StreamID int64
		NextAt   int64
	}
	err := t.db.NewRaw(`WITH RECURSIVE s (stream_id) AS (
			SELECT (SELECT MIN(stream_id) FROM deliveries WHERE destination_id = ?0 AND NOT dead)
			UNION ALL
			SELECT (SELECT MIN(d.stream_id) FROM deliveries AS d WHERE d.destination_id = ?0 AND NOT d.dead AND d.stream_id > s.stream_id)
			FROM s WHERE s.stream_id IS NOT NULL
		)
		SELECT d.stream_id, d.next_at FROM s JOIN deliveries AS d ON d.id =
			(SELECT h.id FROM deliveries AS h WHERE h.destination_id = ?0 AND NOT h.dead AND h.stream_id = s.stream_id ORDER BY h.event_id, h.id LIMIT 1)
		WHERE s.stream_id IS NOT NULL ORDER BY d.event_id`, destination).Scan(t.ctx, &rows)
	if err := t.failed(err); err != nil {
		return nil, err
	}
	out := make([]store.Queue, len(rows))
	for i, r := range rows {
		out[i] = store.Queue{Stream: core.StreamNumber(r.StreamID), Next: fromMicros(r.NextAt)}
	}
	return out, nil
}

func (t *tx) Waiting(destination int64, stream core.StreamNumber, most int) ([]store.Delivery, error) {
	if _, err := page("delivery", store.Page{Limit: most}); err != nil {
		return nil, err
	}
	which, args := "WHERE d.destination_id = ? AND NOT d.dead AND d.stream_id = ? ORDER BY d.event_id, d.id", []any{destination, int64(stream)}
	if most > 0 {
		which, args = which+" LIMIT ?", append(args, most)
	}
	return t.told(which, args...)
}

func (t *tx) DeadLetters(destination int64, p store.Page) ([]store.Delivery, int, error) {
	if _, err := page("delivery", p); err != nil {
		return nil, 0, err
	}
	which, args := "WHERE d.dead", []any{}
	if destination != 0 {
		which, args = which+" AND d.destination_id = ?", append(args, destination)
	}
	var total int
	if err := t.failed(t.db.NewRaw("SELECT COUNT(*) FROM deliveries AS d "+which, args...).Scan(t.ctx, &total)); err != nil {
		return nil, 0, err
	}
	if p.Limit == 0 {
		p.Limit = max(total, 1)
	}
	list, err := t.told(which+" ORDER BY d.event_id DESC, d.id DESC LIMIT ? OFFSET ?", append(args, p.Limit, p.Offset)...)
	return list, total, err
}

func (t *tx) Delivery(id int64) (store.Delivery, error) {
	list, err := t.told("WHERE d.id = ?", id)
	if err != nil {
		return store.Delivery{}, err
	}
	if len(list) == 0 {
		return store.Delivery{}, missing("delivery", id)
	}
	return list[0], nil
}

func (t *tx) SaveDelivery(d store.Delivery) error {
	if err := t.writing(); err != nil {
		return err
	}
	n, err := t.exec("UPDATE deliveries SET attempts = ?, next_at = ?, dead = ?, ended_at = ?, error = ? WHERE id = ?",
		d.Attempts, micros(d.Next), d.Dead, micros(d.Ended), tidy(d.Error, store.MaxText), d.ID)
	if err == nil && n == 0 {
		err = missing("delivery", d.ID)
	}
	return err
}

func (t *tx) DeleteDeliveries(ids ...int64) (int, error) {
	return t.drop("id IN (?)", bun.List(ids))
}

// drop deletes the deliveries of a condition, and the events that nobody waits for any more.
func (t *tx) drop(which string, args ...any) (int, error) {
	if err := t.writing(); err != nil {
		return 0, err
	}
	var events []int64
	if err := t.failed(t.db.NewRaw("SELECT event_id FROM deliveries WHERE "+which, args...).Scan(t.ctx, &events)); err != nil || len(events) == 0 {
		return 0, err
	}
	n, err := t.exec("DELETE FROM deliveries WHERE "+which, args...)
	if err != nil {
		return 0, err
	}
	_, err = t.exec("DELETE FROM events WHERE id IN (?) AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = events.id)", bun.List(events))
	return n, err
}

func (t *tx) CountDeliveries(destination int64) (waiting, dead int, err error) {
	err = t.failed(t.db.NewRaw("SELECT (SELECT COUNT(*) FROM deliveries WHERE destination_id = ?0 AND NOT dead), (SELECT COUNT(*) FROM deliveries WHERE destination_id = ?0 AND dead)",
		destination).Scan(t.ctx, &waiting, &dead))
	return waiting, dead, err
}

func (t *tx) Replay(destination int64, from time.Time) (int, error) {
	if err := t.writing(); err != nil {
		return 0, err
	}
	which, args := "", []any{false, micros(from)}
	if destination != 0 {
		which, args = " AND destination_id = ?", append(args, destination)
	}
	return t.exec("UPDATE deliveries SET dead = ?, next_at = ?, attempts = 0, ended_at = 0 WHERE dead"+which, args...)
}

func (t *tx) TrimDeadLetters(destination int64, before time.Time, most int) (int, error) {
	if most < 0 {
		return 0, core.Faultf(core.Invalid, "store", "delivery", "%d cannot be kept: want 0 or more", most)
	}
	return t.drop(`destination_id = ? AND dead AND (ended_at < ? OR id NOT IN
		(SELECT id FROM deliveries WHERE destination_id = ? AND dead ORDER BY event_id DESC, id DESC LIMIT ?))`,
		destination, micros(before), destination, most)
}
