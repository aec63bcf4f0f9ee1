package service

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/alarms"
	"github.com/capstan-video/capstan/core/zones"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

// Bounds of what one stream may have, so that a frame's work is bounded.
const (
	maxZones      = 256
	maxAlarms     = 1024
	maxConditions = 64
)

// Zones lists the zones of a stream, or all.
func (s *Service) Zones(ctx context.Context, c Caller, n core.StreamNumber) (list []core.Zone, err error) {
	if err := may(c, core.Viewer); err != nil {
		return nil, err
	}
	list, err = recall(s.memory, fmt.Sprint("zones ", n), func() (list []core.Zone, err error) {
		err = s.view(ctx, c, func(tx store.Tx) error {
			if err := known(tx, n, 0); err != nil {
				return err
			}
			list, err = tx.Zones(n)
			return err
		})
		return list, err
	})
	return slices.Clone(list), err
}

// known refuses a stream or zone that is named and not there.
func known(tx store.Tx, n core.StreamNumber, zone core.ZoneID) error {
	if n != 0 {
		if _, err := tx.Stream(n); err != nil {
			return on("stream", err)
		}
	}
	if zone != 0 {
		if _, err := tx.Zone(zone); err != nil {
			return on("zone", err)
		}
	}
	return nil
}

// Zone gives one zone.
func (s *Service) Zone(ctx context.Context, c Caller, id core.ZoneID) (z core.Zone, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { z, err = tx.Zone(id); return on("zone", err) })
	return z, err
}

// SaveZone makes or changes a zone; when list is not empty its alarms become the zone's. Screen
// is neither changed nor made a second time: Denied on "zone".
func (s *Service) SaveZone(ctx context.Context, c Caller, z core.Zone, list []core.Alarm) (core.Zone, []core.Alarm, error) {
	if err := may(c, core.Editor); err != nil {
		return z, nil, err
	}
	if err := checkZone(z); err != nil {
		return z, nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	given, saved := z, []core.Alarm{}
	err := s.update(ctx, c, "save zone", func(tx store.Tx) (string, error) {
		z, saved = given, []core.Alarm{}
		if err := placeZone(tx, &z); err != nil {
			return "", err
		}
		id, err := tx.SaveZone(z)
		if err != nil {
			return "", on("zone", err)
		}
		z.ID = id
		if len(list) > 0 {
			err = replaceAlarms(tx, z, list)
		}
		if err == nil {
			saved, err = tx.Alarms(0, z.ID)
		}
		return z.Name, err
	})
	if err != nil {
		return z, nil, err
	}
	return z, saved, s.reload(ctx, z.Stream)
}

func checkZone(z core.Zone) error {
	switch {
	case z.Name == "" || len(z.Name) > maxName:
		return invalid("zone", "its name has %d bytes; want 1 to %d", len(z.Name), maxName)
	case z.Name == core.ScreenZone || z.IsScreen():
		return core.Faultf(core.Denied, "", "zone", "%s is the whole frame and comes with the stream; it cannot be edited", core.ScreenZone)
	}
	return on("zone", zones.Check(z.Coords))
}

// placeZone finds out whose zone it is, and whether it may be changed.
func placeZone(tx store.Tx, z *core.Zone) error {
	if z.ID != 0 {
		old, err := tx.Zone(z.ID)
		if err != nil {
			return on("zone", err)
		}
		if old.IsScreen() {
			return core.Faultf(core.Denied, "", "zone", "%s cannot be edited", core.ScreenZone)
		}
		z.Stream = old.Stream
		return nil
	}
	if _, err := tx.Stream(z.Stream); err != nil {
		return on("stream", err)
	}
	there, err := tx.Zones(z.Stream)
	if err == nil && len(there) >= maxZones {
		err = invalid("zone", "the stream has %d zones already, which is the most", len(there))
	}
	return err
}

// replaceAlarms makes list the alarms of a zone: those not in it are deleted.
func replaceAlarms(tx store.Tx, z core.Zone, list []core.Alarm) error {
	old, err := tx.Alarms(0, z.ID)
	if err != nil {
		return err
	}
	keep := map[core.AlarmID]bool{}
	for _, a := range list {
		a.Zone, a.Stream = z.ID, z.Stream
		saved, err := saveAlarm(tx, a)
		if err != nil {
			return err
		}
		keep[saved.ID] = true
	}
	for _, a := range old {
		if keep[a.ID] {
			continue
		}
		if err := tx.DeleteAlarm(a.ID); err != nil {
			return on("alarm", err)
		}
	}
	return nil
}

// DeleteZone deletes a zone with its alarms; Denied on "zone" for Screen.
func (s *Service) DeleteZone(ctx context.Context, c Caller, id core.ZoneID) error {
	if err := may(c, core.Editor); err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	var z core.Zone
	var frames []core.BlobID
	err := s.update(ctx, c, "delete zone", func(tx store.Tx) (string, error) {
		var err error
		if z, err = tx.Zone(id); err != nil {
			return "", on("zone", err)
		}
		if z.IsScreen() {
			return "", core.Faultf(core.Denied, "", "zone", "%s goes with its stream only", core.ScreenZone)
		}
		if frames, err = s.letGo(tx, store.AlertFilter{Zone: id}); err != nil {
			return "", err
		}
		return z.Name, on("zone", tx.DeleteZone(id))
	})
	if err != nil {
		return err
	}
	err = s.reload(ctx, z.Stream)
	s.forgetFrames(ctx, frames)
	return err
}

// Alarms lists the alarms of a stream, of a zone, or all.
func (s *Service) Alarms(ctx context.Context, c Caller, n core.StreamNumber, zone core.ZoneID) (list []core.Alarm, err error) {
	if err := may(c, core.Viewer); err != nil {
		return nil, err
	}
	list, err = recall(s.memory, fmt.Sprint("alarms ", n, zone), func() (list []core.Alarm, err error) {
		err = s.view(ctx, c, func(tx store.Tx) error {
			if err := known(tx, n, zone); err != nil {
				return err
			}
			list, err = tx.Alarms(n, zone)
			return err
		})
		return list, err
	})
	return slices.Clone(list), err
}

// Alarm gives one alarm.
func (s *Service) Alarm(ctx context.Context, c Caller, id core.AlarmID) (a core.Alarm, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { a, err = tx.Alarm(id); return on("alarm", err) })
	return a, err
}

// SaveAlarm makes or changes an alarm.
func (s *Service) SaveAlarm(ctx context.Context, c Caller, a core.Alarm) (core.Alarm, error) {
	if err := may(c, core.Editor); err != nil {
		return a, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	var saved core.Alarm
	err := s.update(ctx, c, "save alarm", func(tx store.Tx) (string, error) {
		var err error
		saved, err = saveAlarm(tx, a)
		return a.Name, err
	})
	if err != nil {
		return a, err
	}
	return saved, s.reload(ctx, saved.Stream)
}

// saveAlarm checks an alarm, gives it the stream of its zone, and saves it.
func saveAlarm(tx store.Tx, a core.Alarm) (core.Alarm, error) {
	if a.ID != 0 {
		old, err := tx.Alarm(a.ID)
		if err != nil {
			return a, on("alarm", err)
		}
		if a.Zone == 0 {
			a.Zone = old.Zone
		}
		if a.Zone != old.Zone {
			return a, invalid("alarm", "it belongs to zone %d and cannot go to zone %d", old.Zone, a.Zone)
		}
	}
	z, err := tx.Zone(a.Zone)
	if err != nil {
		return a, on("zone", err)
	}
	a.Stream = z.Stream
	if err := alarms.Check(a); err != nil {
		return a, on("alarm", err)
	}
	there, err := tx.Alarms(a.Stream, 0)
	switch n := len(a.Counts) + len(a.Rates); {
	case err != nil:
		return a, err
	case a.ID == 0 && len(there) >= maxAlarms:
		return a, invalid("alarm", "the stream has %d alarms already, which is the most", len(there))
	case n > maxConditions:
		return a, invalid("alarm", "it has %d conditions; want at most %d", n, maxConditions)
	case len(a.Name) > maxName:
		return a, invalid("alarm", "its name has %d bytes; want at most %d", len(a.Name), maxName)
	}
	a, err = tx.SaveAlarm(a)
	return a, on("alarm", err)
}

// DeleteAlarm deletes an alarm with its alerts.
func (s *Service) DeleteAlarm(ctx context.Context, c Caller, id core.AlarmID) error {
	if err := may(c, core.Editor); err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	var a core.Alarm
	var frames []core.BlobID
	err := s.update(ctx, c, "delete alarm", func(tx store.Tx) (string, error) {
		var err error
		if a, err = tx.Alarm(id); err != nil {
			return "", on("alarm", err)
		}
		if frames, err = s.letGo(tx, store.AlertFilter{Alarm: id}); err != nil {
			return "", err
		}
		return a.Name, on("alarm", tx.DeleteAlarm(id))
	})
	if err != nil {
		return err
	}
	err = s.reload(ctx, a.Stream)
	s.forgetFrames(ctx, frames)
	return err
}

// Alerts gives a page of alerts, the newest first, and how many there are in all.
func (s *Service) Alerts(ctx context.Context, c Caller, f store.AlertFilter) (list []core.Alert, n int, err error) {
	if f.Page.Limit < 0 || f.Page.Offset < 0 {
		return nil, 0, invalid("alert", "limit %d and offset %d; want 0 or more", f.Page.Limit, f.Page.Offset)
	}
	err = s.view(ctx, c, func(tx store.Tx) error {
		if err := known(tx, f.Stream, f.Zone); err != nil {
			return err
		}
		if f.Alarm != 0 {
			if _, err := tx.Alarm(f.Alarm); err != nil {
				return on("alarm", err)
			}
		}
		list, n, err = tx.Alerts(f)
		return err
	})
	return list, n, err
}

// Alert gives one alert.
func (s *Service) Alert(ctx context.Context, c Caller, id core.AlertID) (a core.Alert, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { a, err = tx.Alert(id); return on("alert", err) })
	return a, err
}

// VerifyAlert keeps what somebody has found an alert to be; nil: nobody has looked.
func (s *Service) VerifyAlert(ctx context.Context, c Caller, id core.AlertID, as *bool) error {
	err := s.update(ctx, c, "verify alert", func(tx store.Tx) (string, error) {
		a, err := tx.Alert(id)
		if err == nil {
			a.Verified = as
			_, err = tx.SaveAlert(a)
		}
		if err == nil {
			err = s.tellAlert(tx, events.AlertVerified, s.cfg.Now(), a, why{by: c.Name})
		}
		return fmt.Sprint(id), on("alert", err)
	})
	if err == nil {
		s.cfg.Events.Wake()
	}
	return err
}

// AlertFrame gives the JPEG that was saved when the alert began.
func (s *Service) AlertFrame(ctx context.Context, c Caller, id core.AlertID) (io.ReadCloser, error) {
	a, err := s.Alert(ctx, c, id)
	if err != nil {
		return nil, err
	}
	if a.Frame == 0 {
		return nil, core.Faultf(core.NotFound, "", "frame", "alert %d has no saved frame", id)
	}
	_, content, err := s.Blob(ctx, c, a.Frame)
	if core.KindOf(err) == core.NotFound {
		return nil, on("frame", err)
	}
	return content, err
}

// letGo tells the end of alerts that are about to be deleted, where they are on, and lists their
// pictures.
func (s *Service) letGo(tx store.Tx, f store.AlertFilter) ([]core.BlobID, error) {
	if err := s.tellDeleted(tx, f); err != nil {
		return nil, err
	}
	list, _, err := tx.Alerts(f)
	var out []core.BlobID
	for _, a := range list {
		if a.Frame != 0 {
			out = append(out, a.Frame)
		}
	}
	return out, err
}
