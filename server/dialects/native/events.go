package native

import (
	"encoding/json"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

type destinationPath struct {
	Destination int64 `path:"destination" minimum:"1" description:"The ID of a destination."`
}

type destinationInput struct {
	_       struct{} `additionalProperties:"false"`
	Name    string   `json:"name" required:"true" minLength:"1" maxLength:"1024" description:"Unique."`
	Kind    string   `json:"kind" required:"true" enum:"webhook,mqtt,nats"`
	URL     string   `json:"url" required:"true" minLength:"1" maxLength:"65536" description:"https://…, mqtt(s)://HOST:PORT, nats://HOST:PORT or tls://HOST:PORT."`
	Topic   string   `json:"topic,omitempty" maxLength:"1024" description:"Of MQTT and NATS, with {stream}, {kind} and {server}; empty: capstan/{stream}/{kind}."`
	User    string   `json:"user,omitempty" maxLength:"1024" description:"Of MQTT and NATS."`
	Secret  string   `json:"secret,omitempty" maxLength:"1024" description:"A webhook's key, a password or a token. A webhook without one gets one, which the answer shows, once. Left out of a change: it stays."`
	CA      string   `json:"ca,omitempty" maxLength:"65536" description:"Certificates in PEM that stand in for those of the system."`
	Events  []string `json:"events,omitempty" maxItems:"100" description:"Kinds (alert.began) or groups (alert); empty: all."`
	Streams []int64  `json:"streams,omitempty" maxItems:"1000" description:"Empty: all."`
	Zones   []int64  `json:"zones,omitempty" maxItems:"1000" description:"Empty: all."`
	Alarms  []int64  `json:"alarms,omitempty" maxItems:"1000" description:"Empty: all."`
	Enabled *bool    `json:"enabled,omitempty" description:"True by itself."`
}

type destination struct {
	ID         int64            `json:"id"`
	Name       string           `json:"name"`
	Kind       string           `json:"kind" enum:"webhook,mqtt,nats"`
	URL        string           `json:"url"`
	Topic      string           `json:"topic"`
	User       string           `json:"user"`
	HasSecret  bool             `json:"has_secret"`
	Secret     string           `json:"secret,omitempty" description:"Only where it was made by this request: it is shown this once."`
	CA         string           `json:"ca"`
	Events     []string         `json:"events"`
	Streams    []int64          `json:"streams"`
	Zones      []int64          `json:"zones"`
	Alarms     []int64          `json:"alarms"`
	Enabled    bool             `json:"enabled"`
	Configured bool             `json:"configured" description:"It is in the configuration, and changed there."`
	Problem    string           `json:"problem" description:"Why it was disabled by itself; empty: it was not."`
	Stats      *destinationStat `json:"stats" description:"How deliveries go; null: not known yet."`
}

type destinationStat struct {
	Delivered   uint64     `json:"delivered" description:"Events that were taken, since the start of the server."`
	Failed      uint64     `json:"failed" description:"Attempts that failed."`
	Died        uint64     `json:"died" description:"Events that were given up."`
	Dropped     uint64     `json:"dropped" description:"Dead letters that were deleted for their age or number."`
	Waiting     int64      `json:"waiting" description:"Events that are to be delivered."`
	DeadLetters int64      `json:"dead_letters" description:"That are kept."`
	LastError   string     `json:"last_error" description:"Empty when the last attempt went well."`
	LastSuccess *time.Time `json:"last_success"`
}

func numbers[A, B ~int64](list []A) []B { return mapped(list, func(n A) B { return B(n) }) }

func toDestination(d service.Destination) destination {
	w := destination{
		ID: d.ID, Name: d.Name, Kind: d.Kind, URL: d.URL, Topic: d.Topic, User: d.User, HasSecret: d.HasSecret, Secret: d.Secret, CA: d.CA,
		Events: mapped(d.Events, same), Streams: numbers[core.StreamNumber, int64](d.Streams), Zones: numbers[core.ZoneID, int64](d.Zones),
		Alarms: numbers[core.AlarmID, int64](d.Alarms), Enabled: d.Enabled, Configured: d.Configured, Problem: d.Problem,
	}
	if s := d.Stats; s != nil {
		w.Stats = &destinationStat{
			Delivered: s.Delivered, Failed: s.Failed, Died: s.Died, Dropped: s.Dropped, Waiting: int64(s.Waiting), DeadLetters: int64(s.DeadLetters),
			LastError: s.LastError, LastSuccess: s.LastSuccess,
		}
	}
	return w
}

func fromDestination(id int64, w destinationInput) service.Destination {
	return service.Destination{
		ID: id, Name: w.Name, Kind: w.Kind, URL: w.URL, Topic: w.Topic, User: w.User, Secret: w.Secret, CA: w.CA, Events: w.Events,
		Streams: numbers[int64, core.StreamNumber](w.Streams), Zones: numbers[int64, core.ZoneID](w.Zones), Alarms: numbers[int64, core.AlarmID](w.Alarms),
		Enabled: w.Enabled == nil || *w.Enabled,
	}
}

func (a *api) listDestinations(r *request, p pages) (page[destination], error) {
	list, err := a.svc.Destinations(r.ctx(), r.who)
	if err != nil {
		return page[destination]{}, err
	}
	return cut(list, p, func(d service.Destination) int64 { return d.ID }, toDestination)
}

func (a *api) createDestination(r *request, _ none, in destinationInput) (destination, error) {
	d, err := a.svc.SaveDestination(r.ctx(), r.who, fromDestination(0, in))
	return toDestination(d), err
}

func (a *api) destination(r *request, p destinationPath) (destination, error) {
	d, err := a.svc.Destination(r.ctx(), r.who, p.Destination)
	return toDestination(d), err
}

func (a *api) changeDestination(r *request, p destinationPath, in patch[destinationInput]) (destination, error) {
	a.change.Lock()
	defer a.change.Unlock()
	old, err := a.svc.Destination(r.ctx(), r.who, p.Destination)
	if err != nil {
		return destination{}, err
	}
	w := toDestination(old)
	next, err := in.of(destinationInput{
		Name: w.Name, Kind: w.Kind, URL: w.URL, Topic: w.Topic, User: w.User, CA: w.CA, Events: w.Events, Streams: w.Streams, Zones: w.Zones, Alarms: w.Alarms, Enabled: &w.Enabled,
	})
	if err != nil {
		return destination{}, err
	}
	d, err := a.svc.SaveDestination(r.ctx(), r.who, fromDestination(old.ID, next))
	return toDestination(d), err
}

func (a *api) deleteDestination(r *request, p destinationPath) (none, error) {
	return none{}, a.svc.DeleteDestination(r.ctx(), r.who, p.Destination)
}

// testDestination sends an event at once, and fails as that fails.
func (a *api) testDestination(r *request, p destinationPath) (none, error) {
	return none{}, a.svc.TestDestination(r.ctx(), r.who, p.Destination)
}

type deadLetterList struct {
	pages
	Destination int64 `query:"destination" minimum:"1" description:"Only those of this destination."`
}

type deadLetterPath struct {
	DeadLetter int64 `path:"delivery" minimum:"1" description:"The ID of a dead letter."`
}

type deadLetter struct {
	ID          int64           `json:"id"`
	Destination int64           `json:"destination"`
	Event       json.RawMessage `json:"event" description:"As it would have been told."`
	Attempts    int64           `json:"attempts" description:"Before it was given up."`
	Ended       time.Time       `json:"ended" description:"When it was."`
	Error       string          `json:"error" description:"Of the last attempt."`
}

func toDeadLetter(d service.DeadLetter) deadLetter {
	w := deadLetter{ID: d.ID, Destination: d.Destination, Event: d.Event, Attempts: int64(d.Attempts), Ended: d.Ended.UTC(), Error: d.Error}
	if !json.Valid(w.Event) {
		w.Event = json.RawMessage("null")
	}
	return w
}

func (a *api) listDeadLetters(r *request, p deadLetterList) (page[deadLetter], error) {
	at, err := p.offset()
	if err != nil {
		return page[deadLetter]{}, err
	}
	list, total, err := a.svc.DeadLetters(r.ctx(), r.who, p.Destination, at)
	if err != nil {
		return page[deadLetter]{}, err
	}
	return page[deadLetter]{Items: mapped(list, toDeadLetter), Next: nextOffset(at, len(list), total), Total: &total}, nil
}

func (a *api) replay(r *request, p deadLetterPath) (none, error) {
	return none{}, a.svc.Replay(r.ctx(), r.who, p.DeadLetter)
}

func (a *api) discard(r *request, p deadLetterPath) (none, error) {
	return none{}, a.svc.DiscardDeadLetter(r.ctx(), r.who, p.DeadLetter)
}

type replayed struct {
	Replayed int64 `json:"replayed" description:"How many are tried again."`
}

func (a *api) replayAll(r *request, p destinationPath) (replayed, error) {
	n, err := a.svc.ReplayAll(r.ctx(), r.who, p.Destination)
	return replayed{int64(n)}, err
}
