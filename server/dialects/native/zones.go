package native

import (
	"io"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type zoneList struct {
	pages
	Stream int64 `query:"stream" minimum:"1" description:"Only those of this stream."`
}

func (a *api) listZones(r *request, p zoneList) (page[zone], error) {
	list, err := a.svc.Zones(r.ctx(), r.who, core.StreamNumber(p.Stream))
	if err != nil {
		return page[zone]{}, err
	}
	return cut(list, p.pages, func(z core.Zone) int64 { return int64(z.ID) }, toZone)
}

func (a *api) createZone(r *request, _ none, in zoneInput) (zone, error) {
	return a.saveZone(r, 0, in)
}

func (a *api) saveZone(r *request, id core.ZoneID, in zoneInput) (zone, error) {
	z, _, err := a.svc.SaveZone(r.ctx(), r.who, core.Zone{ID: id, Stream: core.StreamNumber(in.Stream), Name: in.Name, Coords: fromPoints(in.Coords)}, nil)
	return toZone(z), err
}

func (a *api) zone(r *request, p zonePath) (zone, error) {
	z, err := a.svc.Zone(r.ctx(), r.who, core.ZoneID(p.Zone))
	return toZone(z), err
}

func (a *api) changeZone(r *request, p zonePath, in patch[zoneInput]) (zone, error) {
	a.change.Lock()
	defer a.change.Unlock()
	old, err := a.svc.Zone(r.ctx(), r.who, core.ZoneID(p.Zone))
	if err != nil {
		return zone{}, err
	}
	if err := r.unchanged(toZone(old)); err != nil {
		return zone{}, err
	}
	if old.IsScreen() {
		return zone{}, core.Faultf(core.Denied, "", "zone", "%s stays as it is", core.ScreenZone)
	}
	next, err := in.of(zoneInput{Stream: int64(old.Stream), Name: old.Name, Coords: toPoints(old.Coords)})
	if err != nil {
		return zone{}, err
	}
	return a.saveZone(r, old.ID, next)
}

func (a *api) deleteZone(r *request, p zonePath) (none, error) {
	id := core.ZoneID(p.Zone)
	return none{}, a.remove(r, func() (tagged, error) {
		z, err := a.svc.Zone(r.ctx(), r.who, id)
		return toZone(z), err
	}, func() error { return a.svc.DeleteZone(r.ctx(), r.who, id) })
}

type alarmList struct {
	pages
	Stream int64 `query:"stream" minimum:"1" description:"Only those of this stream."`
	Zone   int64 `query:"zone" minimum:"1" description:"Only those of this zone."`
}

func (a *api) listAlarms(r *request, p alarmList) (page[alarm], error) {
	list, err := a.svc.Alarms(r.ctx(), r.who, core.StreamNumber(p.Stream), core.ZoneID(p.Zone))
	if err != nil {
		return page[alarm]{}, err
	}
	return cut(list, p.pages, func(a core.Alarm) int64 { return int64(a.ID) }, toAlarm)
}

func (a *api) createAlarm(r *request, _ none, in alarmInput) (alarm, error) {
	saved, err := a.svc.SaveAlarm(r.ctx(), r.who, fromAlarm(0, in))
	return toAlarm(saved), err
}

func (a *api) alarm(r *request, p alarmPath) (alarm, error) {
	one, err := a.svc.Alarm(r.ctx(), r.who, core.AlarmID(p.Alarm))
	return toAlarm(one), err
}

func (a *api) changeAlarm(r *request, p alarmPath, in patch[alarmInput]) (alarm, error) {
	a.change.Lock()
	defer a.change.Unlock()
	old, err := a.svc.Alarm(r.ctx(), r.who, core.AlarmID(p.Alarm))
	if err != nil {
		return alarm{}, err
	}
	if err := r.unchanged(toAlarm(old)); err != nil {
		return alarm{}, err
	}
	next, err := in.of(toAlarmInput(old))
	if err != nil {
		return alarm{}, err
	}
	saved, err := a.svc.SaveAlarm(r.ctx(), r.who, fromAlarm(old.ID, next))
	return toAlarm(saved), err
}

func (a *api) deleteAlarm(r *request, p alarmPath) (none, error) {
	id := core.AlarmID(p.Alarm)
	return none{}, a.remove(r, func() (tagged, error) {
		one, err := a.svc.Alarm(r.ctx(), r.who, id)
		return toAlarm(one), err
	}, func() error { return a.svc.DeleteAlarm(r.ctx(), r.who, id) })
}

type alertList struct {
	pages
	Stream       int64    `query:"stream" minimum:"1" description:"Only those of this stream."`
	Zone         int64    `query:"zone" minimum:"1" description:"Only those of this zone."`
	Alarm        int64    `query:"alarm" minimum:"1" description:"Only those of this alarm."`
	Verification []string `query:"verification" items.enum:"unverified,true,false" description:"Only those that were found to be one of these, with commas between them."`
	Open         bool     `query:"open" description:"Only those that are on."`
}

// listAlerts gives the newest first.
func (a *api) listAlerts(r *request, p alertList) (page[alert], error) {
	place, err := p.place()
	if err != nil {
		return page[alert]{}, err
	}
	f := store.AlertFilter{
		Stream: core.StreamNumber(p.Stream), Zone: core.ZoneID(p.Zone), Alarm: core.AlarmID(p.Alarm), Open: p.Open,
		Verification: mapped(p.Verification, func(s string) store.Verification { return store.Verification(s) }),
		After:        place, Page: store.Page{Limit: int(p.Limit) + 1},
	}
	list, total, err := a.svc.Alerts(r.ctx(), r.who, f)
	if err != nil {
		return page[alert]{}, err
	}
	out := page[alert]{Total: &total}
	if int64(len(list)) > p.Limit {
		list = list[:p.Limit]
		out.Next = placeOf(list[len(list)-1])
	}
	out.Items = mapped(list, toAlert)
	return out, nil
}

func (a *api) alert(r *request, p alertPath) (alert, error) {
	one, err := a.svc.Alert(r.ctx(), r.who, core.AlertID(p.Alert))
	return toAlert(one), err
}

func (a *api) verifyAlert(r *request, p alertPath, in verification) (alert, error) {
	if err := a.svc.VerifyAlert(r.ctx(), r.who, core.AlertID(p.Alert), in.Verified); err != nil {
		return alert{}, err
	}
	return a.alert(r, p)
}

type frameOf struct {
	alertPath
	boxes
}

// maxFrame bounds the saved frame of an alert, in bytes.
const maxFrame = 64 << 20

func (a *api) alertFrame(r *request, p frameOf) (raw, error) {
	content, err := a.svc.AlertFrame(r.ctx(), r.who, core.AlertID(p.Alert))
	if err != nil {
		return raw{}, err
	}
	defer content.Close()
	jpeg, err := io.ReadAll(io.LimitReader(content, maxFrame))
	if err != nil {
		return raw{}, core.Faultf(core.Internal, "", "frame", "%w", err)
	}
	return raw{}, r.jpeg(jpeg, p.Boxes)
}
