package service

import (
	"bytes"
	"context"
	"math"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/alarms"
	"github.com/capstan-video/capstan/core/zones"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

const (
	// saveTimeout bounds what a hanging database can do to a stream.
	saveTimeout = 10 * time.Second
	// maxUnsaved bounds the alerts of a stream that wait for a database that takes nothing: an hour
	// of one a second. The oldest one that nobody was told of is then forgotten.
	maxUnsaved = 3600
	// tryAgain is how long after a failure saving is tried again.
	tryAgain = time.Second
	// A database that hangs is tried for a tenth of the time, so that the stream goes on.
	hangShare   = 10
	longestHold = time.Minute
)

// watcher follows a stream's zones and alarms from result to result, keeps alerts and totals, and
// publishes statuses. It outlives the sessions of the stream.
type watcher struct {
	svc    *Service
	stream core.StreamNumber

	mu     sync.Mutex
	zones  []core.Zone
	alarms []core.Alarm
	watch  *zones.Watch
	on     map[core.AlarmID]*alarming
	last   []zones.Status // of the last result; nil: published already as silent, or none
	kept   time.Time      // when totals were last saved

	saves   []SaveTrace   // of the result that is seen; for the tracer
	unsaved []core.Alert  // that ended, and stand in the store as if they had not, or not at all: those without an ID
	tried   time.Time     // when saving was last tried in vain
	hold    time.Duration // from then until it is tried again; 0: tryAgain

	tracks tracks
}

// alarming is an alarm that is watched, with its alert while that is on.
type alarming struct {
	watch *alarms.Watch
	alert *core.Alert // without an ID: it could not be saved yet
	tried time.Time   // when saving was last tried
	ended *core.Alert // to be told with the next status
}

// newWatcher goes on from what the store has: totals, and alerts that are on.
func (s *Service) newWatcher(ctx context.Context, n core.StreamNumber) (*watcher, error) {
	w := &watcher{svc: s, stream: n, on: map[core.AlarmID]*alarming{}, kept: s.cfg.Now()}
	var totals map[core.ZoneID]zones.Totals
	var open []core.Alert
	err := s.cfg.Store.View(ctx, func(tx store.Tx) (err error) {
		if w.zones, w.alarms, err = watched(tx, n); err != nil {
			return err
		}
		if totals, err = tx.Totals(n); err != nil {
			return err
		}
		open, _, err = tx.Alerts(store.AlertFilter{Stream: n, Open: true})
		return err
	})
	if err != nil {
		return nil, err
	}
	w.watch = zones.New(w.zones, w.alarms, totals)
	byAlarm := map[core.AlarmID]*core.Alert{}
	for _, a := range open {
		byAlarm[a.Alarm] = &a
	}
	for _, a := range w.alarms {
		w.on[a.ID] = &alarming{watch: alarms.New(a, byAlarm[a.ID] != nil), alert: byAlarm[a.ID]}
	}
	return w, nil
}

func watched(tx store.Tx, n core.StreamNumber) (z []core.Zone, a []core.Alarm, err error) {
	if z, err = tx.Zones(n); err == nil {
		a, err = tx.Alarms(n, 0)
	}
	return z, a, err
}

// reload has a running stream follow its zones and alarms of now. The change lock is held.
func (s *Service) reload(ctx context.Context, n core.StreamNumber) error {
	r := s.runner(n)
	if r == nil {
		return nil
	}
	return s.cfg.Store.View(ctx, func(tx store.Tx) error {
		z, a, err := watched(tx, n)
		if err == nil {
			r.watch.set(z, a)
		}
		return err
	})
}

// set changes the zones and alarms. An alarm that is as it was goes on; the alert of another one
// ends, if need be, with the next result.
func (w *watcher) set(z []core.Zone, a []core.Alarm) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.zones, w.alarms = z, a
	w.watch.Set(z, a)
	old := w.on
	w.on = map[core.AlarmID]*alarming{}
	for _, alarm := range a {
		was := old[alarm.ID]
		switch {
		case was == nil:
			was = &alarming{watch: alarms.New(alarm, false)}
		case !reflect.DeepEqual(was.watch.Alarm(), alarm):
			was.watch = alarms.New(alarm, was.watch.On())
		}
		w.on[alarm.ID] = was
	}
}

// see takes a result.
func (w *watcher) see(result *pipeline.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.svc.cfg.Now()
	w.last = w.watch.Update(result.Frame.PTS, result.Nodes)
	w.notice(now, result.Nodes)
	for i := range w.last {
		for _, alarm := range w.alarms {
			if alarm.Zone != w.last[i].Zone.ID {
				continue
			}
			a := w.on[alarm.ID]
			switch a.watch.Update(now, &w.last[i]) {
			case alarms.Began:
				a.alert = &core.Alert{Alarm: alarm.ID, Zone: alarm.Zone, Stream: w.stream, Start: now.UTC()}
			case alarms.Ended:
				w.finish(a, now)
			}
			if a.alert != nil && a.alert.ID == 0 && since(now, a.tried) >= tryAgain && w.due(now) {
				w.begin(a, now, result)
			}
		}
	}
	w.mend(now, false)
	w.publish(now)
	if since(now, w.kept) >= w.svc.cfg.Keep && (w.hold <= tryAgain || w.due(now)) {
		w.keepLocked(now)
	}
}

// due says whether saving may be tried, after it was tried in vain.
func (w *watcher) due(now time.Time) bool { return since(now, w.tried) >= max(tryAgain, w.hold) }

// held notes how saving went that began at a time.
func (w *watcher) held(began time.Time, err error) {
	if w.hold = 0; err != nil {
		w.tried, w.hold = w.svc.cfg.Now(), min(hangShare*time.Since(began), longestHold)
	}
}

// since is how long ago something was. After a clock was set back it was long ago, so that nothing
// waits until the old time comes again.
func since(now, then time.Time) time.Duration {
	if d := now.Sub(then); d >= 0 {
		return d
	}
	return math.MaxInt64
}

// begin saves a new alert with its picture. What cannot be saved is not told, and tried again. Those
// that ended before it come first, so that what is told outside is in order.
func (w *watcher) begin(a *alarming, now time.Time, result *pipeline.Result) {
	a.tried = now
	if w.mend(now, false); len(w.unsaved) > 0 {
		return
	}
	saving := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	frame, err := w.frameOf(ctx, result)
	if err == nil {
		defer frame.Close()
	} else {
		w.svc.log.Warn("the frame of an alert could not be saved", "stream", w.stream, "alarm", a.alert.Alarm, "err", err)
	}
	alert := *a.alert
	err = w.svc.cfg.Store.Update(ctx, func(tx store.Tx) (err error) {
		alert = *a.alert
		if frame != nil {
			b := core.Blob{Type: "image/jpeg", Size: frame.Size, SHA256: frame.SHA256, Created: now.UTC()}
			if alert.Frame, err = tx.SaveBlob(b); err == nil {
				err = frame.Keep(alert.Frame)
			}
			if err != nil {
				return err
			}
		}
		if alert.ID, err = tx.SaveAlert(alert); err != nil {
			return err
		}
		return w.svc.tellAlert(tx, events.AlertBegan, alert.Start, alert, why{})
	})
	w.noteSave(saving, "began", alert, err)
	if err != nil {
		w.svc.log.Error("an alert could not be saved; it will be tried again", "stream", w.stream, "alarm", a.alert.Alarm, "err", err)
		return
	}
	w.svc.cfg.Events.Wake()
	a.alert = &alert
}

// frameOf writes the result's picture as a JPEG.
func (w *watcher) frameOf(ctx context.Context, result *pipeline.Result) (*blob.Pending, error) {
	jpeg, err := w.svc.pictureOf(ctx, result)
	if err != nil {
		return nil, err
	}
	return w.svc.cfg.Blobs.Write(ctx, bytes.NewReader(jpeg))
}

// finish ends an alert, in the store too. It is not told of one that could not be saved yet, which has
// no ID. No alert ends before it began, whatever was done to the clock.
func (w *watcher) finish(a *alarming, now time.Time) {
	if a.alert == nil {
		return
	}
	alert := *a.alert
	a.alert = nil
	alert.End = now.UTC().Round(0) // by the wall clock alone
	if start := alert.Start.Round(0); alert.End.Before(start) {
		alert.End = start
	}
	if alert.ID == 0 {
		w.remember(alert)
		return
	}
	if len(w.unsaved) > 0 || !w.saveEnd(&alert) {
		w.remember(alert)
	}
	a.ended = &alert
}

// remember keeps an alert until the store takes it.
func (w *watcher) remember(alert core.Alert) {
	if w.unsaved = append(w.unsaved, alert); len(w.unsaved) <= maxUnsaved {
		return
	}
	i := max(0, slices.IndexFunc(w.unsaved, func(a core.Alert) bool { return a.ID == 0 }))
	w.svc.log.Error("an alert is lost: too many wait to be saved", "stream", w.stream, "alarm", w.unsaved[i].Alarm, "began", w.unsaved[i].Start)
	w.unsaved = slices.Delete(w.unsaved, i, i+1)
}

// mend tries again to save alerts that ended, once a second, or now when it is the last chance.
func (w *watcher) mend(now time.Time, last bool) {
	if len(w.unsaved) == 0 || !last && !w.due(now) {
		return
	}
	for len(w.unsaved) > 0 {
		save := w.saveEnd
		if w.unsaved[0].ID == 0 {
			save = w.saveWhole
		}
		if !save(&w.unsaved[0]) {
			return
		}
		w.unsaved = w.unsaved[1:]
	}
}

// saveWhole saves an alert that began and ended while the store took nothing, and says whether that
// is done. That of an alarm that was deleted meanwhile is nobody's.
func (w *watcher) saveWhole(alert *core.Alert) bool {
	saving := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	saved := *alert
	err := w.svc.cfg.Store.Update(ctx, func(tx store.Tx) (err error) {
		saved = *alert
		if saved.ID, err = tx.SaveAlert(saved); err != nil {
			return err
		}
		began := saved
		began.End = time.Time{}
		if err := w.svc.tellAlert(tx, events.AlertBegan, began.Start, began, why{}); err != nil {
			return err
		}
		return w.svc.tellAlert(tx, events.AlertEnded, saved.End, saved, why{})
	})
	if core.KindOf(err) == core.NotFound {
		return true
	}
	w.noteSave(saving, "whole", saved, err)
	if err != nil {
		w.svc.log.Error("an alert could not be saved; it will be tried again", "stream", w.stream, "alarm", alert.Alarm, "err", err)
		return false
	}
	w.svc.cfg.Events.Wake()
	return true
}

// saveEnd ends an alert in the store, and says whether that is done. One that was deleted meanwhile
// needs no end.
func (w *watcher) saveEnd(alert *core.Alert) bool {
	saving := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	err := w.svc.cfg.Store.Update(ctx, func(tx store.Tx) error {
		is, err := tx.Alert(alert.ID) // somebody may have verified it
		if err != nil {
			return err
		}
		alert.Verified = is.Verified
		if !is.End.IsZero() { // it was kept when saving seemed to have failed, and told
			return nil
		}
		is.End = alert.End
		if _, err = tx.SaveAlert(is); err != nil {
			return err
		}
		return w.svc.tellAlert(tx, events.AlertEnded, is.End, is, why{})
	})
	if err == nil {
		w.svc.cfg.Events.Wake()
	}
	if core.KindOf(err) != core.NotFound {
		w.noteSave(saving, "ended", *alert, err)
	}
	if err != nil && core.KindOf(err) != core.NotFound {
		w.svc.log.Error("the end of an alert could not be saved; it will be tried again", "stream", w.stream, "alert", alert.ID, "err", err)
		return false
	}
	return true
}

// publish tells the statuses of the last result.
func (w *watcher) publish(now time.Time) {
	byZone := map[core.ZoneID]*ZoneStatus{}
	list := make([]ZoneStatus, len(w.last))
	for i := range w.last {
		list[i] = ZoneStatus{Status: w.last[i], At: now, Alarms: []core.Alarm{}, Alerts: []core.Alert{}}
		byZone[w.last[i].Zone.ID] = &list[i]
	}
	for _, alarm := range w.alarms {
		z, a := byZone[alarm.Zone], w.on[alarm.ID]
		if z == nil {
			continue
		}
		z.Alarms = append(z.Alarms, alarm)
		if a.alert != nil && a.alert.ID != 0 {
			z.Alerts = append(z.Alerts, *a.alert)
		}
		if a.ended != nil {
			z.Alerts = append(z.Alerts, *a.ended)
			a.ended = nil
		}
	}
	w.svc.hub.publish(w.stream, list, false)
}

// silence is for a stream that gives nothing any more: alerts end, and nobody is within a zone.
func (w *watcher) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.svc.cfg.Now()
	changed := w.last != nil
	for _, alarm := range w.alarms {
		a := w.on[alarm.ID]
		if a.watch.Silence() == alarms.Ended {
			w.finish(a, now)
			changed = true
		}
	}
	w.mend(now, true)
	if !changed {
		return
	}
	totals := w.watch.Totals()
	w.last = make([]zones.Status, 0, len(w.zones))
	for _, z := range w.zones {
		w.last = append(w.last, zones.Status{Zone: z, Totals: totals[z.ID]})
	}
	w.publish(now)
	w.last = nil
}

// keep saves the totals, and what could not be saved before.
func (w *watcher) keep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.svc.cfg.Now()
	w.mend(now, true)
	w.keepLocked(now)
}

func (w *watcher) keepLocked(now time.Time) {
	w.kept = now
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	totals, saving := w.watch.Totals(), time.Now()
	err := w.svc.cfg.Store.Update(ctx, func(tx store.Tx) error { return tx.SaveTotals(totals) })
	if w.held(saving, err); err != nil {
		w.svc.log.Error("the totals of zones could not be saved", "stream", w.stream, "err", err)
	}
}
