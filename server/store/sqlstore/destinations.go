package sqlstore

import (
	"encoding/json"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type destinationRow struct {
	bun.BaseModel `bun:"table:destinations"`

	ID         int64 `bun:",pk,autoincrement"`
	Name       string
	Kind       string
	Enabled    bool
	Configured bool
	Problem    string
	Secret     string
	Settings   string
}

// destinationSettings is what of a destination nothing is looked up by.
type destinationSettings struct {
	URL     string              `json:"url,omitempty"`
	Topic   string              `json:"topic,omitempty"`
	User    string              `json:"user,omitempty"`
	CA      string              `json:"ca,omitempty"`
	Events  []string            `json:"events,omitempty"`
	Streams []core.StreamNumber `json:"streams,omitempty"`
	Zones   []core.ZoneID       `json:"zones,omitempty"`
	Alarms  []core.AlarmID      `json:"alarms,omitempty"`
}

func (r *destinationRow) value() (store.Destination, error) {
	var s destinationSettings
	err := json.Unmarshal([]byte(r.Settings), &s)
	return store.Destination{
		ID: r.ID, Name: r.Name, Kind: r.Kind, Enabled: r.Enabled, Configured: r.Configured, Problem: r.Problem, Secret: r.Secret,
		URL: s.URL, Topic: s.Topic, User: s.User, CA: s.CA, Events: s.Events, Streams: s.Streams, Zones: s.Zones, Alarms: s.Alarms,
	}, err
}

func (t *tx) Destinations() ([]store.Destination, error) {
	return list[store.Destination, destinationRow](t, func(q *bun.SelectQuery) *bun.SelectQuery { return q.OrderExpr("id") })
}

func (t *tx) Destination(id int64) (store.Destination, error) {
	return one[store.Destination, destinationRow](t, "destination", id)
}

func (t *tx) SaveDestination(d store.Destination) (int64, error) {
	if err := t.writing(); err != nil {
		return 0, err
	}
	c := check{noun: "destination"}
	c.name("the name", d.Name)
	c.name("the kind", d.Kind)
	for field, text := range map[string]string{"the URL": d.URL, "the topic": d.Topic, "the user": d.User, "the secret": d.Secret, "the certificate": d.CA} {
		c.text(field, text)
	}
	for _, kind := range d.Events {
		c.name("the kind of an event", kind)
	}
	settings := c.json("the settings", destinationSettings{d.URL, d.Topic, d.User, d.CA, d.Events, d.Streams, d.Zones, d.Alarms})
	if c.err != nil {
		return 0, c.err
	}
	if d.ID != 0 {
		if err := t.need("destination", "destinations", d.ID); err != nil {
			return 0, err
		}
	}
	if is, err := t.any("SELECT 1 FROM destinations WHERE name = ? AND id <> ?", d.Name, d.ID); err != nil || is {
		return 0, first(err, taken("destination", "there is another one named %s", quoted(d.Name)))
	}
	r := destinationRow{ID: d.ID, Name: d.Name, Kind: d.Kind, Enabled: d.Enabled, Configured: d.Configured,
		Problem: tidy(d.Problem, store.MaxText), Secret: d.Secret, Settings: settings}
	err := t.save("destination", r.ID, &r)
	return r.ID, err
}

func (t *tx) DeleteDestination(id int64) error {
	if err := t.need("destination", "destinations", id); err != nil {
		return err
	}
	if _, err := t.drop("destination_id = ?", id); err != nil {
		return err
	}
	return t.remove("destination", "destinations", id)
}
