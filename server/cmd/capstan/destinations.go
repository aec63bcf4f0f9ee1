package main

import (
	"fmt"
	"os"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/config"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

// destinations gives where the configuration wants events to go.
func destinations(c config.Events) ([]store.Destination, error) {
	var list []store.Destination
	for i, w := range c.Webhooks {
		name := w.Name
		if name == "" {
			name = fmt.Sprint("webhook ", i+1)
		}
		list = append(list, store.Destination{Name: name, Kind: events.Webhook, URL: string(w.URL), Secret: string(w.Secret), CA: w.CA, Events: w.Events, Enabled: true})
	}
	if m := c.MQTT; m.URL != "" {
		list = append(list, store.Destination{Name: "mqtt", Kind: events.MQTT, URL: string(m.URL), Topic: m.Topic, User: m.User, Secret: string(m.Password), CA: m.CA, Events: m.Events, Enabled: true})
	}
	if n := c.NATS; n.URL != "" {
		list = append(list, store.Destination{Name: "nats", Kind: events.NATS, URL: string(n.URL), Topic: n.Subject, User: n.User, Secret: string(n.Password), CA: n.CA, Events: n.Events, Enabled: true})
	}
	for i := range list {
		if list[i].CA == "" {
			continue
		}
		pem, err := os.ReadFile(list[i].CA)
		if err != nil {
			return nil, core.Faultf(core.Invalid, "serve", "events: "+list[i].Name, "its certificates cannot be read: %w", err)
		}
		list[i].CA = string(pem)
	}
	return list, nil
}
