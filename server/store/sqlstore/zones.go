package sqlstore

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
)

type zoneRow struct {
	bun.BaseModel `bun:"table:zones"`

	ID       int64 `bun:",pk,autoincrement"`
	StreamID int64
	Name     string
	Coords   string
}

func (r *zoneRow) value() (core.Zone, error) {
	z := core.Zone{ID: core.ZoneID(r.ID), Stream: core.StreamNumber(r.StreamID), Name: r.Name}
	err := json.Unmarshal([]byte(r.Coords), &z.Coords)
	return z, err
}

func (t *tx) Zones(n core.StreamNumber) ([]core.Zone, error) {
	return list[core.Zone, zoneRow](t, byID("stream_id", int64(n)))
}

func (t *tx) Zone(id core.ZoneID) (core.Zone, error) {
	return one[core.Zone, zoneRow](t, "zone", int64(id))
}

func (t *tx) SaveZone(z core.Zone) (core.ZoneID, error) {
	c := check{noun: "zone"}
	c.name("the name", z.Name)
	if len(z.Coords) == 0 {
		z.Coords = nil
	}
	r := zoneRow{ID: int64(z.ID), StreamID: int64(z.Stream), Name: z.Name, Coords: c.json("the outline", z.Coords)}
	if c.err != nil {
		return 0, c.err
	}
	if err := t.admitZone(&r); err != nil {
		return 0, err
	}
	err := t.save("zone", r.ID, &r)
	return core.ZoneID(r.ID), err
}

// admitZone looks for the zone's stream, which stays the same, and for another zone of its name.
func (t *tx) admitZone(r *zoneRow) error {
	if r.ID != 0 {
		old, err := t.Zone(core.ZoneID(r.ID))
		if err != nil {
			return err
		}
		if int64(old.Stream) != r.StreamID {
			return core.Faultf(core.Invalid, "store", "zone", "zone %d is of stream %d, and cannot be moved to stream %d", r.ID, old.Stream, r.StreamID)
		}
	}
	if err := t.need("stream", "streams", r.StreamID); err != nil {
		return err
	}
	same, err := t.any("SELECT 1 FROM zones WHERE stream_id = ? AND name = ? AND id <> ?", r.StreamID, r.Name, r.ID)
	if err == nil && same {
		err = taken("zone", "stream %d has another one named %s", r.StreamID, quoted(r.Name))
	}
	return err
}

func (t *tx) DeleteZone(id core.ZoneID) error {
	if err := t.deleteFrames("zone_id = ?", int64(id)); err != nil {
		return err
	}
	return t.remove("zone", "zones", int64(id))
}

type totalsRow struct {
	bun.BaseModel `bun:"table:zone_totals"`

	ZoneID  int64 `bun:",pk"`
	Entered string
	Exited  string
}

// totalsAtOnce bounds the rows of one statement.
const totalsAtOnce = 500

func (t *tx) Totals(n core.StreamNumber) (map[core.ZoneID]zones.Totals, error) {
	var rows []totalsRow
	q := t.db.NewSelect().Model(&rows)
	if n != 0 {
		q = q.Where("zone_id IN (SELECT id FROM zones WHERE stream_id = ?)", int64(n))
	}
	if err := t.failed(q.Scan(t.ctx)); err != nil {
		return nil, err
	}
	all := make(map[core.ZoneID]zones.Totals, len(rows))
	for _, r := range rows {
		one := zones.Totals{Entered: map[string]uint64{}, Exited: map[string]uint64{}}
		err := json.Unmarshal([]byte(r.Entered), &one.Entered)
		err = first(err, json.Unmarshal([]byte(r.Exited), &one.Exited))
		if err != nil {
			return nil, t.failed(err)
		}
		all[core.ZoneID(r.ZoneID)] = one
	}
	return all, nil
}

func (t *tx) SaveTotals(all map[core.ZoneID]zones.Totals) error {
	if err := t.writing(); err != nil || len(all) == 0 {
		return err
	}
	var known []int64
	if err := t.failed(t.db.NewRaw("SELECT id FROM zones ORDER BY id").Scan(t.ctx, &known)); err != nil {
		return err
	}
	c := check{noun: "zone"}
	rows := make([]totalsRow, 0, len(all))
	for _, id := range known { // in the order of IDs, so that two never wait for each other
		if one, ok := all[core.ZoneID(id)]; ok {
			rows = append(rows, totalsRow{ZoneID: id, Entered: c.totals(one.Entered), Exited: c.totals(one.Exited)})
		}
	}
	if c.err != nil {
		return c.err
	}
	for part := range slices.Chunk(rows, totalsAtOnce) {
		_, err := t.db.NewInsert().Model(&part).On("CONFLICT (zone_id) DO UPDATE").
			Set("entered = EXCLUDED.entered").Set("exited = EXCLUDED.exited").Exec(t.ctx)
		if err != nil {
			return t.failed(err)
		}
	}
	return nil
}

// totals gives counts by class as JSON text.
func (c *check) totals(counts map[string]uint64) string {
	for class := range maps.Keys(counts) {
		c.name("the class", class)
	}
	if counts == nil {
		return "{}"
	}
	return c.json("the totals", counts)
}

type alarmRow struct {
	bun.BaseModel `bun:"table:alarms"`

	ID         int64 `bun:",pk,autoincrement"`
	ZoneID     int64
	StreamID   int64
	Name       string
	HoursStart *int64
	HoursEnd   *int64
	HoursOff   bool
}

func (r *alarmRow) value() (core.Alarm, error) {
	a := core.Alarm{ID: core.AlarmID(r.ID), Zone: core.ZoneID(r.ZoneID), Stream: core.StreamNumber(r.StreamID), Name: r.Name}
	if r.HoursStart != nil && r.HoursEnd != nil {
		a.Hours = &core.ActiveHours{Start: time.Duration(*r.HoursStart), End: time.Duration(*r.HoursEnd), Off: r.HoursOff}
	}
	return a, nil
}

// The kinds of condition.
const (
	countKind = "count"
	rateKind  = "rate"
)

// conditionRow is a condition of either kind; Value is a rate's change.
type conditionRow struct {
	bun.BaseModel `bun:"table:conditions"`

	ID             int64 `bun:",pk,autoincrement"`
	AlarmID        int64
	Kind           string
	Position       int // within its kind
	Class          string
	AttributeName  *string
	AttributeValue *string
	Anchor         string
	Test           string
	Value          float64
	Span           int64
	Given          float64
	Threshold      float64
	Movement       string
}

func (r *conditionRow) objects() core.Objects {
	o := core.Objects{Class: r.Class, Anchor: core.Anchor(r.Anchor)}
	if r.AttributeName != nil {
		o.Attribute = &core.AttributeValue{Name: *r.AttributeName, Value: orZero(r.AttributeValue)}
	}
	return o
}

// addTo puts the condition into its alarm.
func (r *conditionRow) addTo(a *core.Alarm) {
	test, span := core.Comparison(r.Test), time.Duration(r.Span)
	if r.Kind == countKind {
		a.Counts = append(a.Counts, core.CountCondition{ID: r.ID, Objects: r.objects(), Test: test, Value: r.Value, Window: span, Given: r.Given, Threshold: r.Threshold})
		return
	}
	a.Rates = append(a.Rates, core.RateCondition{ID: r.ID, Objects: r.objects(), Test: test, Change: r.Value, Window: span, Given: r.Given, Movement: core.Movement(r.Movement)})
}

// conditionRows gives the conditions of an alarm, counts first.
func conditionRows(a core.Alarm) []*conditionRow {
	var rows []*conditionRow
	add := func(kind string, at int, id int64, o core.Objects, test core.Comparison, value float64, span time.Duration, given float64) *conditionRow {
		r := &conditionRow{ID: id, AlarmID: int64(a.ID), Kind: kind, Position: at, Class: o.Class, Anchor: string(o.Anchor), Test: string(test), Value: value, Span: int64(span), Given: given}
		if o.Attribute != nil {
			r.AttributeName, r.AttributeValue = &o.Attribute.Name, &o.Attribute.Value
		}
		rows = append(rows, r)
		return r
	}
	for i, c := range a.Counts {
		add(countKind, i, c.ID, c.Objects, c.Test, c.Value, c.Window, c.Given).Threshold = c.Threshold
	}
	for i, c := range a.Rates {
		add(rateKind, i, c.ID, c.Objects, c.Test, c.Change, c.Window, c.Given).Movement = string(c.Movement)
	}
	return rows
}

func (c *check) condition(r *conditionRow) {
	for field, s := range map[string]string{
		"a condition's class": r.Class, "a condition's anchor": r.Anchor, "a condition's comparison": r.Test, "a condition's movement": r.Movement,
		"a condition's attribute": orZero(r.AttributeName), "a condition's attribute value": orZero(r.AttributeValue),
	} {
		c.name(field, s)
	}
	c.finite("a condition's value", r.Value)
	c.finite("a condition's window", r.Given)
	c.finite("a condition's threshold", r.Threshold)
}

func (t *tx) Alarms(n core.StreamNumber, zone core.ZoneID) ([]core.Alarm, error) {
	alarms, err := list[core.Alarm, alarmRow](t, func(q *bun.SelectQuery) *bun.SelectQuery {
		if zone != 0 {
			q = q.Where("zone_id = ?", int64(zone))
		}
		return byID("stream_id", int64(n))(q)
	})
	if err != nil || len(alarms) == 0 {
		return alarms, err
	}
	return alarms, t.addConditions(alarms, func(q *bun.SelectQuery) *bun.SelectQuery {
		if zone == 0 && n == 0 {
			return q
		}
		of := t.db.NewSelect().Table("alarms").Column("id")
		if zone != 0 {
			of = of.Where("zone_id = ?", int64(zone))
		}
		if n != 0 {
			of = of.Where("stream_id = ?", int64(n))
		}
		return q.Where("alarm_id IN (?)", of)
	})
}

func (t *tx) Alarm(id core.AlarmID) (core.Alarm, error) {
	a, err := one[core.Alarm, alarmRow](t, "alarm", int64(id))
	if err != nil {
		return a, err
	}
	alarms := []core.Alarm{a}
	err = t.addConditions(alarms, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("alarm_id = ?", int64(id)) })
	return alarms[0], err
}

// addConditions puts the conditions that which chooses into their alarms.
func (t *tx) addConditions(alarms []core.Alarm, which func(*bun.SelectQuery) *bun.SelectQuery) error {
	var rows []conditionRow
	if err := t.failed(which(t.db.NewSelect().Model(&rows)).OrderExpr("alarm_id, kind, position").Scan(t.ctx)); err != nil {
		return err
	}
	at := make(map[int64]*core.Alarm, len(alarms))
	for i := range alarms {
		at[int64(alarms[i].ID)] = &alarms[i]
	}
	for i := range rows {
		if a := at[rows[i].AlarmID]; a != nil {
			rows[i].addTo(a)
		}
	}
	return nil
}

func (t *tx) SaveAlarm(a core.Alarm) (core.Alarm, error) {
	c := check{noun: "alarm"}
	c.name("the name", a.Name)
	conditions := conditionRows(a)
	for _, r := range conditions {
		c.condition(r)
	}
	if c.err != nil {
		return core.Alarm{}, c.err
	}
	if err := t.admitAlarm(&a, conditions); err != nil {
		return core.Alarm{}, err
	}
	r := alarmRow{ID: int64(a.ID), ZoneID: int64(a.Zone), StreamID: int64(a.Stream), Name: a.Name}
	if a.Hours != nil {
		start, end := int64(a.Hours.Start), int64(a.Hours.End)
		r.HoursStart, r.HoursEnd, r.HoursOff = &start, &end, a.Hours.Off
	}
	if err := t.save("alarm", r.ID, &r); err != nil {
		return core.Alarm{}, err
	}
	if err := t.saveConditions(r.ID, conditions); err != nil {
		return core.Alarm{}, err
	}
	return t.Alarm(core.AlarmID(r.ID))
}

// admitAlarm looks for what the alarm names, and gives it the stream of its zone.
func (t *tx) admitAlarm(a *core.Alarm, conditions []*conditionRow) error {
	if err := t.writing(); err != nil {
		return err
	}
	if err := t.needIf("alarm", "alarms", int64(a.ID)); err != nil {
		return err
	}
	z, err := t.Zone(a.Zone)
	if err != nil {
		return err
	}
	if a.Stream != 0 && a.Stream != z.Stream {
		return core.Faultf(core.Invalid, "store", "alarm", "zone %d is of stream %d, not of stream %d", z.ID, z.Stream, a.Stream)
	}
	a.Stream = z.Stream
	var old []conditionRow
	if err := t.failed(t.db.NewSelect().Model(&old).Where("alarm_id = ?", int64(a.ID)).Scan(t.ctx)); err != nil {
		return err
	}
	kinds := make(map[int64]string, len(old))
	for _, r := range old {
		kinds[r.ID] = r.Kind
	}
	for _, r := range conditions {
		if r.ID != 0 && kinds[r.ID] != r.Kind {
			return core.Faultf(core.NotFound, "store", "condition", "alarm %d has no %s condition with ID %d, or it is given twice", a.ID, r.Kind, r.ID)
		}
		delete(kinds, r.ID)
	}
	return nil
}

// saveConditions makes these the alarm's conditions, and sets the IDs of new ones.
func (t *tx) saveConditions(alarm int64, conditions []*conditionRow) error {
	kept := []int64{0} // not empty, for the sake of SQL
	for _, r := range conditions {
		r.AlarmID = alarm
		kept = append(kept, r.ID)
	}
	if _, err := t.exec("DELETE FROM conditions WHERE alarm_id = ? AND id NOT IN (?)", alarm, bun.List(kept)); err != nil {
		return err
	}
	for _, r := range conditions {
		if err := t.save("condition", r.ID, r); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) DeleteAlarm(id core.AlarmID) error {
	if err := t.deleteFrames("alarm_id = ?", int64(id)); err != nil {
		return err
	}
	return t.remove("alarm", "alarms", int64(id))
}
