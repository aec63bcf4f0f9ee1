package service

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

// Destination is where events are told. Its JSON form is that of the native API.
type Destination struct {
	ID        int64               `json:"id"`         // 0: a new one
	Name      string              `json:"name"`       // unique
	Kind      string              `json:"kind"`       // webhook, mqtt or nats
	URL       string              `json:"url"`        // https://…, mqtt(s)://HOST:PORT, nats://HOST:PORT or tls://HOST:PORT
	Topic     string              `json:"topic"`      // of MQTT and NATS, with {stream}, {kind} and {server}; empty: capstan/{stream}/{kind}
	User      string              `json:"user"`       // of MQTT and NATS
	Secret    string              `json:"secret"`     // a webhook's key, a password or a token; comes back once, when it was generated
	HasSecret bool                `json:"has_secret"` // read only
	CA        string              `json:"ca"`         // certificates in PEM that stand in for those of the system
	Events    []string            `json:"events"`     // kinds (alert.began) or groups (alert); empty: all
	Streams   []core.StreamNumber `json:"streams"`    // empty: all, as of zones and alarms
	Zones     []core.ZoneID       `json:"zones"`
	Alarms    []core.AlarmID      `json:"alarms"`
	Enabled   bool                `json:"enabled"`

	Configured bool             `json:"configured"`      // read only: it is in the configuration, and changed there
	Problem    string           `json:"problem"`         // read only: why it was disabled by itself
	Stats      *DestinationStat `json:"stats,omitempty"` // read only
}

// DestinationStat is how deliveries to a destination go. Numbers of times are since the start of
// the server.
type DestinationStat struct {
	Delivered   uint64     `json:"delivered"`    // events that were taken
	Failed      uint64     `json:"failed"`       // attempts that failed
	Died        uint64     `json:"died"`         // events that were given up
	Dropped     uint64     `json:"dropped"`      // dead letters that were deleted for their age or number
	Waiting     int        `json:"waiting"`      // events that are to be delivered
	DeadLetters int        `json:"dead_letters"` // that are kept
	LastError   string     `json:"last_error"`   // empty when the last attempt went well
	LastSuccess *time.Time `json:"last_success"` // null: none since the start
}

// DeadLetter is an event that a destination did not take.
type DeadLetter struct {
	ID          int64           `json:"id"`
	Destination int64           `json:"destination"`
	Event       json.RawMessage `json:"event"`    // as it would have been told
	Attempts    int             `json:"attempts"` // before it was given up
	Ended       time.Time       `json:"ended"`    // when it was
	Error       string          `json:"error"`    // of the last attempt
}

// Bounds of a page of dead letters.
const (
	deadLettersPage = 100
	mostDeadLetters = 1000
)

// Destinations lists where events are told, for administrators; secrets do not come back.
func (s *Service) Destinations(ctx context.Context, c Caller) ([]Destination, error) {
	if err := may(c, core.Admin); err != nil {
		return nil, err
	}
	stats, err := s.destinationStats(ctx)
	if err != nil {
		return nil, err
	}
	out := []Destination{}
	err = s.view(ctx, c, func(tx store.Tx) error {
		list, err := tx.Destinations()
		for _, d := range list {
			out = append(out, shownDestination(d, stats))
		}
		return err
	})
	return out, err
}

// Destination gives one destination, for administrators.
func (s *Service) Destination(ctx context.Context, c Caller, id int64) (Destination, error) {
	if err := may(c, core.Admin); err != nil {
		return Destination{}, err
	}
	stats, err := s.destinationStats(ctx)
	if err != nil {
		return Destination{}, err
	}
	var d store.Destination
	err = s.view(ctx, c, func(tx store.Tx) (err error) { d, err = tx.Destination(id); return on("destination", err) })
	return shownDestination(d, stats), err
}

func (s *Service) destinationStats(ctx context.Context) (map[int64]events.Stats, error) {
	list, err := s.cfg.Events.Stats(ctx)
	out := map[int64]events.Stats{}
	for _, each := range list {
		out[each.ID] = each
	}
	return out, err
}

// shownDestination gives a destination without its secret.
func shownDestination(d store.Destination, stats map[int64]events.Stats) Destination {
	out := Destination{
		ID: d.ID, Name: d.Name, Kind: d.Kind, URL: d.URL, Topic: d.Topic, User: d.User, HasSecret: d.Secret != "", CA: d.CA,
		Events: append([]string{}, d.Events...), Streams: append([]core.StreamNumber{}, d.Streams...),
		Zones: append([]core.ZoneID{}, d.Zones...), Alarms: append([]core.AlarmID{}, d.Alarms...),
		Enabled: d.Enabled, Configured: d.Configured, Problem: d.Problem,
	}
	if st, ok := stats[d.ID]; ok {
		out.Stats = &DestinationStat{Delivered: st.Delivered, Failed: st.Failed, Died: st.Died, Dropped: st.Dropped,
			Waiting: st.Waiting, DeadLetters: st.DeadLetters, LastError: st.LastError}
		if !st.LastSuccess.IsZero() {
			at := st.LastSuccess.UTC()
			out.Stats.LastSuccess = &at
		}
	}
	return out
}

// SaveDestination makes or changes a destination, for administrators. An empty secret keeps the old
// one, unless kind, URL or user change: a secret is only ever sent where it was meant for. A new webhook without one
// gets one, which the answer shows, once. Denied on "destination" for one of the configuration,
// Denied on "address" for a URL that is not to be called, Unsupported when events are not told.
func (s *Service) SaveDestination(ctx context.Context, c Caller, d Destination) (Destination, error) {
	if err := may(c, core.Admin); err != nil {
		return Destination{}, err
	}
	if s.cfg.Events == nil {
		return Destination{}, unsupported("destination", "this server does not tell events")
	}
	row := store.Destination{
		ID: d.ID, Name: d.Name, Kind: d.Kind, URL: d.URL, Topic: d.Topic, User: d.User, CA: d.CA,
		Events: d.Events, Streams: d.Streams, Zones: d.Zones, Alarms: d.Alarms, Enabled: d.Enabled,
	}
	generated := ""
	if d.ID == 0 && d.Kind == events.Webhook && d.Secret == "" {
		generated = events.NewSecret()
	}
	err := s.update(ctx, c, "save destination", func(tx store.Tx) (string, error) {
		row.Secret = strings.TrimSpace(d.Secret) + generated
		if err := admitDestination(tx, &row); err != nil {
			return "", err
		}
		if err := events.Check(row, s.cfg.Events.Guard()); err != nil {
			return "", err
		}
		id, err := tx.SaveDestination(row)
		if err != nil {
			return "", on("destination", err)
		}
		row.ID = id
		return row.Name, nil
	})
	if err != nil {
		return Destination{}, err
	}
	out := shownDestination(row, nil)
	out.Secret = generated
	return out, s.cfg.Events.Reload(context.WithoutCancel(ctx))
}

// admitDestination refuses what may not be changed, and keeps the secret of a destination that
// stays where it was.
func admitDestination(tx store.Tx, row *store.Destination) error {
	if row.ID == 0 {
		list, err := tx.Destinations()
		if err == nil && len(list) >= events.MaxDestinations {
			err = invalid("destination", "there are %d already, which is the most", len(list))
		}
		return err
	}
	old, err := tx.Destination(row.ID)
	if err != nil {
		return on("destination", err)
	}
	if err := ofRunTime(old); err != nil {
		return err
	}
	if row.Secret != "" || old.Secret == "" {
		return nil
	}
	if old.Kind != row.Kind || old.URL != row.URL || old.User != row.User {
		return invalid("destination", "its kind, URL or user change: give the secret again")
	}
	row.Secret = old.Secret
	return nil
}

// ofRunTime refuses to change what the configuration says.
func ofRunTime(d store.Destination) error {
	if !d.Configured {
		return nil
	}
	f := core.Faultf(core.Denied, "", "destination", "%q comes from the configuration", d.Name)
	f.Hint = "change it there"
	return f
}

// DeleteDestination deletes a destination with what waits for it, for administrators.
func (s *Service) DeleteDestination(ctx context.Context, c Caller, id int64) error {
	if err := may(c, core.Admin); err != nil {
		return err
	}
	err := s.update(ctx, c, "delete destination", func(tx store.Tx) (string, error) {
		d, err := tx.Destination(id)
		if err != nil {
			return "", on("destination", err)
		}
		if err := ofRunTime(d); err != nil {
			return "", err
		}
		return d.Name, on("destination", tx.DeleteDestination(id))
	})
	if err != nil {
		return err
	}
	return s.cfg.Events.Reload(context.WithoutCancel(ctx))
}

// TestDestination sends an event of kind "test" to a destination at once, enabled or not, for
// administrators. It fails with what the destination said.
func (s *Service) TestDestination(ctx context.Context, c Caller, id int64) error {
	if err := may(c, core.Admin); err != nil {
		return err
	}
	if s.cfg.Events == nil {
		return unsupported("destination", "this server does not tell events")
	}
	var d store.Destination
	err := s.update(ctx, c, "test destination", func(tx store.Tx) (_ string, err error) {
		d, err = tx.Destination(id)
		return d.Name, on("destination", err)
	})
	if err != nil {
		return err
	}
	return s.cfg.Events.Try(ctx, d, c.Name)
}

// DeadLetters gives a page of what was given up, the newest event first, and how many there are;
// destination 0 is any, a limit of 0 is 100, and 1000 is the most. For administrators.
func (s *Service) DeadLetters(ctx context.Context, c Caller, destination int64, p store.Page) ([]DeadLetter, int, error) {
	if err := may(c, core.Admin); err != nil {
		return nil, 0, err
	}
	if p.Limit < 0 || p.Limit > mostDeadLetters || p.Offset < 0 {
		return nil, 0, invalid("delivery", "limit %d and offset %d; want 0 to %d, and 0 or more", p.Limit, p.Offset, mostDeadLetters)
	}
	if p.Limit == 0 {
		p.Limit = deadLettersPage
	}
	out, total := []DeadLetter{}, 0
	err := s.view(ctx, c, func(tx store.Tx) error {
		if destination != 0 {
			if _, err := tx.Destination(destination); err != nil {
				return on("destination", err)
			}
		}
		list, n, err := tx.DeadLetters(destination, p)
		total = n
		for _, d := range list {
			out = append(out, DeadLetter{ID: d.ID, Destination: d.Destination, Event: d.Event.Payload, Attempts: d.Attempts, Ended: d.Ended, Error: d.Error})
		}
		return err
	})
	return out, total, err
}

// Replay has a dead letter tried again, for administrators: it goes before what waits on its
// stream. NotFound on "delivery" when there is none.
func (s *Service) Replay(ctx context.Context, c Caller, id int64) error {
	return s.onDeadLetter(ctx, c, "replay dead letter", id, func(tx store.Tx, d store.Delivery) error {
		d.Dead, d.Ended, d.Attempts, d.Next = false, time.Time{}, 0, s.cfg.Now()
		return tx.SaveDelivery(d)
	})
}

// DiscardDeadLetter deletes a dead letter, for administrators.
func (s *Service) DiscardDeadLetter(ctx context.Context, c Caller, id int64) error {
	return s.onDeadLetter(ctx, c, "discard dead letter", id, func(tx store.Tx, d store.Delivery) error {
		_, err := tx.DeleteDeliveries(d.ID)
		return err
	})
}

func (s *Service) onDeadLetter(ctx context.Context, c Caller, action string, id int64, f func(store.Tx, store.Delivery) error) error {
	if err := may(c, core.Admin); err != nil {
		return err
	}
	err := s.update(ctx, c, action, func(tx store.Tx) (string, error) {
		d, err := tx.Delivery(id)
		if err == nil && !d.Dead {
			err = core.Faultf(core.NotFound, "", "delivery", "%d is not a dead letter", id)
		}
		if err == nil {
			err = f(tx, d)
		}
		return fmt.Sprint(id), on("delivery", err)
	})
	if err == nil {
		s.cfg.Events.Wake()
	}
	return err
}

// ReplayAll has all dead letters of a destination (0: of all) tried again, and gives how many those
// are. For administrators.
func (s *Service) ReplayAll(ctx context.Context, c Caller, destination int64) (n int, err error) {
	if err := may(c, core.Admin); err != nil {
		return 0, err
	}
	err = s.update(ctx, c, "replay dead letters", func(tx store.Tx) (string, error) {
		if destination != 0 {
			if _, err := tx.Destination(destination); err != nil {
				return "", on("destination", err)
			}
		}
		n, err = tx.Replay(destination, s.cfg.Now())
		return fmt.Sprint(destination), err
	})
	if err == nil {
		s.cfg.Events.Wake()
	}
	return n, err
}

// The writing of events. Each stands in the transaction of what it tells.

// why says more of an alert's event.
type why struct{ by, reason string }

// tellAlert keeps an event of an alert.
func (s *Service) tellAlert(tx store.Tx, kind string, at time.Time, a core.Alert, w why) error {
	if s.cfg.Events == nil {
		return nil
	}
	alarm, err := tx.Alarm(a.Alarm)
	if err != nil {
		return err
	}
	zone, err := tx.Zone(alarm.Zone)
	if err != nil {
		return err
	}
	stream, err := tx.Stream(alarm.Stream)
	if err != nil {
		return err
	}
	return s.cfg.Events.Write(tx, events.Event{
		Kind: kind, At: at, Stream: stream.Number, Zone: zone.ID, Alarm: alarm.ID,
		Subject: fmt.Sprintf("streams/%d/alerts/%d", stream.Number, a.ID),
		Data: events.AlertData{
			Stream: events.Named{ID: int64(stream.Number), Name: stream.Name}, Zone: events.Named{ID: int64(zone.ID), Name: zone.Name},
			Alarm: events.Named{ID: int64(alarm.ID), Name: alarm.Name}, Alert: events.AlertOf(a), By: w.by, Reason: w.reason,
		},
	})
}

// tellDeleted tells the end of alerts that are on and about to be deleted.
func (s *Service) tellDeleted(tx store.Tx, f store.AlertFilter) error {
	if s.cfg.Events == nil {
		return nil
	}
	f.Open = true
	list, _, err := tx.Alerts(f)
	if err != nil {
		return err
	}
	now := s.cfg.Now().UTC()
	for _, a := range list {
		a.End = now
		if err := s.tellAlert(tx, events.AlertEnded, now, a, why{reason: "deleted"}); err != nil {
			return err
		}
	}
	return nil
}

// tell keeps an event that a stream runs, or that it failed, when it was the other way before. It
// is the runner's goroutine that calls it.
func (r *runner) tell(kind string, cause error) {
	now := r.svc.cfg.Now()
	if r.svc.cfg.Events == nil || r.told == kind || now.Sub(r.toldTried).Abs() < time.Second {
		return
	}
	r.toldTried = now
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	data := events.StreamData{State: strings.TrimPrefix(kind, "stream.")}
	if cause != nil {
		data.Error = r.svc.cfg.Blobs.Shown(cause.Error())
	}
	err := r.svc.cfg.Store.Update(ctx, func(tx store.Tx) error {
		stream, err := tx.Stream(r.number)
		if err != nil {
			return err
		}
		data.Stream = events.Named{ID: int64(stream.Number), Name: stream.Name}
		return r.svc.cfg.Events.Write(tx, events.Event{Kind: kind, At: now, Stream: stream.Number, Subject: fmt.Sprintf("streams/%d", stream.Number), Data: data})
	})
	if err != nil && core.KindOf(err) != core.NotFound {
		r.svc.log.Error("a stream's state could not be told", "stream", r.number, "state", data.State, "err", err)
		return
	}
	r.told, r.toldTried = kind, time.Time{}
	r.svc.cfg.Events.Wake()
}

// silent is why a session gives nothing.
func silent(session *pipeline.Session, patience time.Duration) error {
	if last := session.Source().LastError; last != "" {
		return core.Faultf(core.SourceStalled, "", "", "nothing came for %s: %s", patience, last)
	}
	return core.Faultf(core.SourceStalled, "", "", "nothing came for %s", patience)
}
