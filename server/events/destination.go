package events

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/egress"
	"github.com/capstan-video/capstan/server/store"
)

// The kinds of destination.
const (
	Webhook = "webhook"
	MQTT    = "mqtt"
	NATS    = "nats"
)

// Topics where none is given.
const (
	DefaultTopic   = "capstan/{stream}/{kind}" // MQTT
	DefaultSubject = "capstan.{stream}.{kind}" // NATS
)

// Bounds of destinations.
const (
	MaxDestinations = 64
	maxName         = 200
	maxURL          = 2048
	maxSecret       = 4096
	maxChosen       = 1024 // streams, zones or alarms
	minSecret       = 16   // bytes of a webhook's key
)

// schemes are those of each kind's URL; where nothing but a host follows, bare is set.
var schemes = map[string]struct {
	list []string
	bare bool
}{
	Webhook: {[]string{"https", "http"}, false},
	MQTT:    {[]string{"mqtt", "mqtts", "tcp", "ssl", "tls"}, true}, // tcp is mqtt, ssl and tls are mqtts
	NATS:    {[]string{"nats", "tls"}, true},
}

func invalid(format string, args ...any) *core.Fault {
	return core.Faultf(core.Invalid, "", "destination", format, args...)
}

// Check says what is wrong with a destination: Invalid on "destination", or Denied on "address"
// when its URL names an address that is not to be called.
func Check(d store.Destination, g egress.Guard) error {
	if d.Name == "" || len(d.Name) > maxName {
		return invalid("its name has %d bytes; want 1 to %d", len(d.Name), maxName)
	}
	if err := checkURL(d, g); err != nil {
		return err
	}
	if d.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(d.CA)) {
		return invalid("ca has no certificate; want one or more in PEM")
	}
	if len(d.User) > maxName || len(d.Secret) > maxSecret {
		return invalid("user has %d bytes and secret %d; want at most %d and %d", len(d.User), len(d.Secret), maxName, maxSecret)
	}
	for _, kind := range d.Events {
		if !slices.ContainsFunc(Kinds, func(k string) bool { return k == kind || group(k) == kind }) {
			f := invalid("event %.40q is none", kind)
			f.Hint = "want alert, stream, detection, or one of " + strings.Join(Kinds, ", ")
			return f
		}
	}
	if len(d.Events) > len(Kinds) || len(d.Streams) > maxChosen || len(d.Zones) > maxChosen || len(d.Alarms) > maxChosen {
		return invalid("it names too many; want at most %d events, and %d streams, zones and alarms each", len(Kinds), maxChosen)
	}
	if d.Kind == Webhook {
		_, err := keys(d.Secret)
		if d.Secret == "" { // what it is told is not signed
			err = nil
		}
		return err
	}
	_, err := parseTopic(d.Kind, d.Topic)
	return err
}

// checkURL looks at the URL. What it says does not show the URL, which may have a secret in it.
func checkURL(d store.Destination, g egress.Guard) error {
	want, ok := schemes[d.Kind]
	if !ok {
		return invalid("kind %.40q is not one of webhook, mqtt, nats", d.Kind)
	}
	u, err := url.Parse(d.URL)
	switch {
	case len(d.URL) > maxURL || err != nil || !slices.Contains(want.list, u.Scheme) || u.Hostname() == "" || u.Opaque != "":
		return invalid("its URL cannot be called; want %s://HOST…, at most %d bytes", strings.Join(want.list, ":// or "), maxURL)
	case u.User != nil:
		return invalid("its URL has a user in it; give user and secret by themselves")
	case u.Fragment != "" || want.bare && (strings.Trim(u.Path, "/") != "" || u.RawQuery != ""):
		return invalid("its URL has more than a host and a port; want %s://HOST:PORT", want.list[0])
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return invalid("port %.10q of its URL; want 1 to 65535", p)
		}
	}
	return g.CheckHost(u.Hostname())
}

// wants says whether a destination is to be told of an event.
func wants(d *store.Destination, e *Event) bool {
	return d.Enabled &&
		(len(d.Events) == 0 || slices.Contains(d.Events, e.Kind) || slices.Contains(d.Events, group(e.Kind))) &&
		(len(d.Streams) == 0 || slices.Contains(d.Streams, e.Stream)) &&
		(len(d.Zones) == 0 || slices.Contains(d.Zones, e.Zone)) &&
		(len(d.Alarms) == 0 || slices.Contains(d.Alarms, e.Alarm))
}

// same says whether two are delivered to in the same way.
func same(a, b store.Destination) bool {
	return a.Kind == b.Kind && a.URL == b.URL && a.Topic == b.Topic && a.User == b.User && a.Secret == b.Secret && a.CA == b.CA && a.Enabled == b.Enabled && a.Name == b.Name
}

// secretPrefix marks a key in base64.
const secretPrefix = "whsec_"

// NewSecret gives a key for a webhook.
func NewSecret() string {
	key := make([]byte, 24)
	_, _ = rand.Read(key) // it never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// keys gives the keys of a webhook's secret: several, apart by spaces, sign each message several
// times, so that they can be changed one after the other.
func keys(secret string) (out [][]byte, err error) {
	for _, each := range strings.Fields(secret) {
		key := []byte(each)
		if text, ok := strings.CutPrefix(each, secretPrefix); ok {
			if key, err = base64.StdEncoding.DecodeString(text); err != nil {
				return nil, invalid("the secret's part after %s is not base64", secretPrefix)
			}
		}
		if len(key) < minSecret {
			return nil, invalid("the secret is a key of %d bytes; want at least %d", len(key), minSecret)
		}
		out = append(out, key)
	}
	if len(out) == 0 || len(out) > 4 {
		f := invalid("the secret has %d keys; want 1 to 4, apart by spaces", len(out))
		f.Hint = `make one: echo "whsec_$(openssl rand -base64 24)"`
		return nil, f
	}
	return out, nil
}
