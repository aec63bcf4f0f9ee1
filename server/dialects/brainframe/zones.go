package brainframe

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

func (r routes) zones() {
	r.get("/zones", r.listZones)
	r.post("/zones", r.saveZone)
	r.get("/zones/:id", r.zone)
	r.delete("/zones/:id", r.deleteZone)
	r.handle(http.MethodOptions, "/zones/:id", r.zoneMethods)
	r.get("/zone_alarms", r.listAlarms)
	r.post("/zone_alarms", r.saveAlarm)
	r.get("/zone_alarms/:id", r.alarm)
	r.delete("/zone_alarms/:id", r.deleteAlarm)
	r.get("/alerts", r.listAlerts)
	r.get("/alerts/:id", r.alert)
	r.put("/alerts/:id", r.verifyAlert)
	r.get("/alerts/:id/frame", r.alertFrame)
}

// exists fails when a stream or zone that a list was asked for is not there. It is looked for only
// when the list is empty.
func (a *api) exists(ctx context.Context, r *request, found int, n core.StreamNumber, z core.ZoneID) error {
	if found == 0 && n != 0 {
		if _, err := a.svc.Stream(ctx, r.who, n); err != nil {
			return err
		}
	}
	if found == 0 && z != 0 {
		if _, err := a.svc.Zone(ctx, r.who, z); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) listZones(r *request) (any, error) {
	q, err := r.query()
	if err != nil {
		return nil, err
	}
	n := number[core.StreamNumber](q, "stream_id", &err)
	if err != nil {
		return nil, err
	}
	ctx := r.Request.Context()
	list, err := a.svc.Zones(ctx, r.who, n)
	if err != nil {
		return nil, err
	}
	if err := a.exists(ctx, r, len(list), n, 0); err != nil {
		return nil, err
	}
	alarms, err := a.svc.Alarms(ctx, r.who, n, 0)
	if err != nil {
		return nil, err
	}
	of := map[core.ZoneID][]core.Alarm{}
	for _, alarm := range alarms {
		of[alarm.Zone] = append(of[alarm.Zone], alarm)
	}
	return mapped(list, func(z core.Zone) zone { return toZone(z, of[z.ID]) }), nil
}

func (a *api) saveZone(r *request) (any, error) {
	v, err := r.json()
	if err != nil {
		return nil, err
	}
	z, alarms, err := parseZone(v)
	if err != nil {
		return nil, err
	}
	ctx := r.Request.Context()
	if z.ID != 0 {
		old, err := a.svc.Zone(ctx, r.who, z.ID)
		if err != nil {
			return nil, err
		}
		if z.Stream == 0 {
			z.Stream = old.Stream
		}
		if z.IsScreen() && !old.IsScreen() {
			return nil, &httpx.FormatError{Field: "coords", Reason: "is null, which only the zone Screen is"}
		}
	}
	z, alarms, err = a.svc.SaveZone(ctx, r.who, z, alarms)
	return toZone(z, alarms), err
}

func (a *api) zone(r *request) (any, error) {
	z, err := a.zoneOf(r)
	if err != nil {
		return nil, err
	}
	alarms, err := a.svc.Alarms(r.Request.Context(), r.who, 0, z.ID)
	return toZone(z, alarms), err
}

func (a *api) zoneOf(r *request) (core.Zone, error) {
	id, err := pathID[core.ZoneID](r, "zone")
	if err != nil {
		return core.Zone{}, err
	}
	return a.svc.Zone(r.Request.Context(), r.who, id)
}

func (a *api) deleteZone(r *request) (any, error) {
	id, err := pathID[core.ZoneID](r, "zone")
	if err != nil {
		return nil, err
	}
	err = a.svc.DeleteZone(r.Request.Context(), r.who, id)
	if isOn(err, core.Denied, "zone") {
		err = refuse("ZoneNotDeletableError", err.Error())
	}
	return nothing{}, err
}

// zoneMethods tells by the header Allow whether a zone may be changed: by POST, though that goes
// to /api/zones.
func (a *api) zoneMethods(r *request) (any, error) {
	z, err := a.zoneOf(r)
	if err != nil {
		return nil, err
	}
	if z.IsScreen() {
		r.Header("Allow", "GET, OPTIONS")
	} else {
		r.Header("Allow", "GET, DELETE, POST, OPTIONS")
	}
	return nothing{}, nil
}

func (a *api) listAlarms(r *request) (any, error) {
	q, err := r.query()
	if err != nil {
		return nil, err
	}
	n, z := number[core.StreamNumber](q, "stream_id", &err), number[core.ZoneID](q, "zone_id", &err)
	if err != nil {
		return nil, err
	}
	ctx := r.Request.Context()
	list, err := a.svc.Alarms(ctx, r.who, n, z)
	if err != nil {
		return nil, err
	}
	return mapped(list, toAlarm), a.exists(ctx, r, len(list), n, z)
}

func (a *api) saveAlarm(r *request) (any, error) {
	v, err := r.json()
	if err != nil {
		return nil, err
	}
	alarm, err := parseAlarm(v)
	if err != nil {
		return nil, err
	}
	if alarm.Zone == 0 {
		return nil, &httpx.FormatError{Field: "zone_id", Reason: "is missing: an alarm belongs to a zone"}
	}
	alarm, err = a.svc.SaveAlarm(r.Request.Context(), r.who, alarm)
	return toAlarm(alarm), err
}

func (a *api) alarm(r *request) (any, error) {
	id, err := pathID[core.AlarmID](r, "alarm")
	if err != nil {
		return nil, err
	}
	alarm, err := a.svc.Alarm(r.Request.Context(), r.who, id)
	return toAlarm(alarm), err
}

func (a *api) deleteAlarm(r *request) (any, error) {
	id, err := pathID[core.AlarmID](r, "alarm")
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.DeleteAlarm(r.Request.Context(), r.who, id)
}

// total tells how many there are without the page.
func total(c *gin.Context, n int) { c.Header("Total-Count", strconv.Itoa(n)) }

// none says whether the page is one of no rows: limit=0. The store takes 0 for everything.
func none(q httpx.Query) bool {
	n, sent, err := q.Int("limit")
	return sent && err == nil && n == 0
}

func (a *api) listAlerts(r *request) (any, error) {
	q, err := r.query()
	if err != nil {
		return nil, err
	}
	f, err := parseAlertFilter(q)
	if err != nil {
		return nil, err
	}
	if none(q) {
		f.Page.Limit = 1
	}
	ctx := r.Request.Context()
	list, n, err := a.svc.Alerts(ctx, r.who, f)
	if err != nil {
		return nil, err
	}
	if err := a.exists(ctx, r, n, f.Stream, 0); err != nil {
		return nil, err
	}
	if none(q) {
		list = nil
	}
	total(r.Context, n)
	return mapped(list, toAlert), nil
}

func (a *api) alert(r *request) (any, error) {
	id, err := pathID[core.AlertID](r, "alert")
	if err != nil {
		return nil, err
	}
	alert, err := a.svc.Alert(r.Request.Context(), r.who, id)
	return toAlert(alert), err
}

func (a *api) verifyAlert(r *request) (any, error) {
	as, err := body(r, parseTristate)
	if err != nil {
		return nil, err
	}
	id, err := pathID[core.AlertID](r, "alert")
	if err != nil {
		return nil, err
	}
	return nothing{}, a.svc.VerifyAlert(r.Request.Context(), r.who, id, as)
}

func (a *api) alertFrame(r *request) (any, error) {
	id, err := pathID[core.AlertID](r, "alert")
	if err != nil {
		return nil, err
	}
	frame, err := a.svc.AlertFrame(r.Request.Context(), r.who, id)
	if err != nil {
		return nil, err
	}
	return raw{}, errors.Join(send(r, "image/jpeg", -1, frame), frame.Close())
}

// send answers with what it reads; size is -1 when it is not known. Once the answer has begun, an
// error breaks the connection off.
func send(r *request, mime string, size int64, from io.Reader) error {
	h := r.Writer.Header()
	h.Set("Content-Type", mime)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox") // what was uploaded runs nothing in a browser
	if size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	r.Status(http.StatusOK)
	r.Writer.WriteHeaderNow()
	if r.Request.Method == http.MethodHead {
		return nil
	}
	_, err := io.Copy(r.Writer, from)
	return err
}
