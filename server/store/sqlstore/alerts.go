package sqlstore

import (
	"fmt"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type alertRow struct {
	bun.BaseModel `bun:"table:alerts"`

	ID       int64 `bun:",pk,autoincrement"`
	AlarmID  int64
	ZoneID   int64
	StreamID int64
	StartAt  int64
	EndAt    *int64
	Verified *bool
	FrameID  int64 `bun:",nullzero"`
}

func (r *alertRow) value() (core.Alert, error) {
	a := core.Alert{
		ID: core.AlertID(r.ID), Alarm: core.AlarmID(r.AlarmID), Zone: core.ZoneID(r.ZoneID), Stream: core.StreamNumber(r.StreamID),
		Start: fromMicros(r.StartAt), Verified: r.Verified, Frame: core.BlobID(r.FrameID),
	}
	if r.EndAt != nil {
		a.End = fromMicros(*r.EndAt)
	}
	return a, nil
}

func (r *alertRow) verification() store.Verification {
	switch {
	case r.Verified == nil:
		return store.Unverified
	case *r.Verified:
		return store.VerifiedTrue
	default:
		return store.VerifiedFalse
	}
}

// Alerts implements store.Tx.
func (t *tx) Alerts(f store.AlertFilter) ([]core.Alert, int, error) {
	if _, err := page("alert", f.Page); err != nil {
		return nil, 0, err
	}
	wanted, err := verifications(f.Verification)
	if err != nil {
		return nil, 0, err
	}
	of := func(q *bun.SelectQuery) *bun.SelectQuery {
		for column, id := range map[string]int64{"stream_id": int64(f.Stream), "zone_id": int64(f.Zone), "alarm_id": int64(f.Alarm)} {
			if id != 0 {
				q = q.Where("? = ?", bun.Ident(column), id)
			}
		}
		return q
	}
	total, err := t.countAlerts(of, wanted, f.Open)
	if err != nil {
		return nil, 0, err
	}
	which := func(q *bun.SelectQuery) *bun.SelectQuery {
		q = of(q)
		if f.Open {
			q = q.Where("end_at IS NULL")
		}
		return whereVerified(q, wanted)
	}
	if f.After != (store.AlertPlace{}) {
		alerts, err := t.alertsAfter(f.After, f.Page, which)
		return alerts, total, err
	}
	alerts, err := t.alertPage(f, wanted, total, which)
	return alerts, total, err
}

// alertsAfter reads on from a place, however far down it is.
func (t *tx) alertsAfter(p store.AlertPlace, size store.Page, which func(*bun.SelectQuery) *bun.SelectQuery) ([]core.Alert, error) {
	cut, err := page("alert", size)
	if err != nil {
		return nil, err
	}
	return list[core.Alert, alertRow](t, func(q *bun.SelectQuery) *bun.SelectQuery {
		way := way{from: place{micros(p.Start), int64(p.ID)}, tied: true}
		return cut(way.beyond(which(q), t.store.dialect.pairs).OrderExpr(way.order()))
	})
}

// verifications gives each of them once; none stand for all.
func verifications(list []store.Verification) ([]store.Verification, error) {
	seen := map[store.Verification]bool{}
	for _, v := range list {
		seen[v] = true
	}
	var out []store.Verification
	for _, v := range []store.Verification{store.Unverified, store.VerifiedTrue, store.VerifiedFalse} {
		if seen[v] {
			out = append(out, v)
			delete(seen, v)
		}
	}
	for v := range seen {
		return nil, core.Faultf(core.Invalid, "store", "alert", "%s is no verification: use unverified, true or false", quoted(string(v)))
	}
	if len(out) == 3 {
		out = nil
	}
	return out, nil
}

// whereVerified says "verified IS NOT NULL" by itself where it can: such is the index of those few
// that somebody has looked at.
func whereVerified(q *bun.SelectQuery, wanted []store.Verification) *bun.SelectQuery {
	if len(wanted) == 0 {
		return q
	}
	null, values := false, []bool{}
	for _, v := range wanted {
		if v == store.Unverified {
			null = true
		} else {
			values = append(values, v == store.VerifiedTrue)
		}
	}
	switch {
	case null && len(values) == 0:
		return q.Where("verified IS NULL")
	case null:
		return q.Where("verified IS NULL OR verified = ?", values[0])
	case len(values) == 1:
		return q.Where("verified IS NOT NULL").Where("verified = ?", values[0])
	default:
		return q.Where("verified IS NOT NULL")
	}
}

func (t *tx) Alert(id core.AlertID) (core.Alert, error) {
	return one[core.Alert, alertRow](t, "alert", int64(id))
}

func (t *tx) SaveAlert(a core.Alert) (core.AlertID, error) {
	r := alertRow{
		ID: int64(a.ID), AlarmID: int64(a.Alarm), ZoneID: int64(a.Zone), StreamID: int64(a.Stream),
		StartAt: micros(a.Start), Verified: a.Verified, FrameID: int64(a.Frame),
	}
	if !a.End.IsZero() {
		end := micros(a.End)
		r.EndAt = &end
	}
	old, err := t.admitAlert(&r)
	if err != nil {
		return 0, err
	}
	if err := t.save("alert", r.ID, &r); err != nil {
		return 0, err
	}
	t.changed++
	if old != nil {
		if err := t.countAlert(old, -1); err != nil {
			return 0, err
		}
	}
	return core.AlertID(r.ID), t.countAlert(&r, +1)
}

// admitAlert looks for what the alert names, gives it the zone and stream of its alarm, and gives
// the row that is changed, nil for a new one.
func (t *tx) admitAlert(r *alertRow) (old *alertRow, err error) {
	if err := t.writing(); err != nil {
		return nil, err
	}
	if r.ID != 0 {
		if err := t.need("alert", "alerts", r.ID); err != nil {
			return nil, err
		}
		old = &alertRow{}
		if err := t.failed(t.db.NewSelect().Model(old).Where("id = ?", r.ID).Scan(t.ctx)); err != nil {
			return nil, err
		}
	}
	alarm, err := one[core.Alarm, alarmRow](t, "alarm", r.AlarmID)
	if err != nil {
		return nil, err
	}
	if r.ZoneID == 0 {
		r.ZoneID = int64(alarm.Zone)
	}
	if r.StreamID == 0 {
		r.StreamID = int64(alarm.Stream)
	}
	if err := t.need("zone", "zones", r.ZoneID); err != nil {
		return nil, err
	}
	if err := t.need("stream", "streams", r.StreamID); err != nil {
		return nil, err
	}
	return old, t.needIf("blob", "blobs", r.FrameID)
}

// countAlert adds to the count of alerts of this one's kind.
func (t *tx) countAlert(r *alertRow, by int) error {
	_, err := t.exec(`INSERT INTO alert_counts (alarm_id, zone_id, stream_id, verified, ongoing, n) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (alarm_id, zone_id, stream_id, verified, ongoing) DO UPDATE SET n = alert_counts.n + EXCLUDED.n`,
		r.AlarmID, r.ZoneID, r.StreamID, string(r.verification()), r.EndAt == nil, by)
	return err
}

// deleteFrames deletes the frames of alerts that are about to be deleted, unless another alert
// shows them too, or they are used for something else. which is a condition on the columns of alerts, with one ID.
func (t *tx) deleteFrames(which string, id int64) error {
	if err := t.writing(); err != nil {
		return err
	}
	t.changed += t.store.foldAt // many, perhaps
	_, err := t.exec(fmt.Sprintf(`DELETE FROM blobs WHERE
		id IN (SELECT frame_id FROM alerts WHERE frame_id IS NOT NULL AND %s)
		AND NOT EXISTS (SELECT 1 FROM alerts WHERE frame_id = blobs.id AND NOT (%s))
		AND NOT EXISTS (SELECT 1 FROM vectors WHERE blob_id = blobs.id)
		AND NOT EXISTS (SELECT 1 FROM streams WHERE blob_id = blobs.id)`, which, which), id, id)
	return err
}
