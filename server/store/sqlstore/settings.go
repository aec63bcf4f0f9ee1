package sqlstore

import (
	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
)

type settingRow struct {
	bun.BaseModel `bun:"table:settings"`

	ID       int64 `bun:",pk,autoincrement"`
	Capsule  string
	StreamID int64 `bun:",nullzero"`
	Active   *bool
	Options  string
}

func (r *settingRow) value() (core.CapsuleSetting, error) {
	options, err := fromObject(r.Options)
	return core.CapsuleSetting{Capsule: r.Capsule, Stream: core.StreamNumber(r.StreamID), Active: r.Active, Options: options}, err
}

// Settings implements store.Tx: by capsule, what holds for all streams first.
func (t *tx) Settings(capsule string) ([]core.CapsuleSetting, error) {
	if !storable(capsule) {
		return []core.CapsuleSetting{}, nil
	}
	return list[core.CapsuleSetting, settingRow](t, func(q *bun.SelectQuery) *bun.SelectQuery {
		if capsule != "" {
			q = q.Where("capsule = ?", capsule)
		}
		return q.OrderExpr("capsule, COALESCE(stream_id, 0)")
	})
}

func (t *tx) SaveSetting(s core.CapsuleSetting) error {
	if err := t.writing(); err != nil {
		return err
	}
	c := check{noun: "setting"}
	c.name("the capsule's name", s.Capsule)
	r := settingRow{Capsule: s.Capsule, StreamID: int64(s.Stream), Active: s.Active, Options: c.object("the options", s.Options)}
	if c.err != nil {
		return c.err
	}
	if err := t.needIf("stream", "streams", r.StreamID); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM settings WHERE capsule = ? AND COALESCE(stream_id, 0) = ?", r.Capsule, r.StreamID); err != nil {
		return err
	}
	if s.Active == nil && len(s.Options) == 0 {
		return nil
	}
	return t.save("setting", 0, &r)
}

func (t *tx) DeleteSettings(capsule string) error {
	if err := t.writing(); err != nil || !storable(capsule) {
		return err
	}
	_, err := t.exec("DELETE FROM settings WHERE capsule = ?", capsule)
	return err
}
