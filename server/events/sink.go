package events

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/egress"
	"github.com/capstan-video/capstan/server/store"
)

// message is an event on its way.
type message struct {
	key    string
	kind   string
	stream core.StreamNumber
	body   []byte
}

// sink is where messages of one destination go. send returns nil when the other side has taken the
// message; it ends soon after ctx does. It may be called by several goroutines, close by one, after
// them.
type sink interface {
	send(ctx context.Context, m *message) error
	close()
}

// refusal is an error that says what is to follow.
type refusal struct {
	err   error
	after time.Duration // how long the destination asks to be left alone
	gone  bool          // it is never to be called again
	never bool          // it will hardly ever take this very message
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// target is what sinks are made of.
type target struct {
	store.Destination
	server string
	guard  egress.Guard
	limit  time.Duration // of one attempt
	atOnce int           // attempts at once
}

// dial opens the sink of a destination; it calls nobody yet.
func (t target) dial() (sink, error) {
	var roots *x509.CertPool
	if t.CA != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, invalid("ca has no certificate")
		}
	}
	switch t.Kind {
	case Webhook:
		return newWebhook(t, roots)
	case MQTT:
		return newMQTT(t, roots)
	case NATS:
		return newNATS(t, roots)
	}
	return nil, invalid("kind %.40q is not one of webhook, mqtt, nats", t.Kind)
}

// host gives the host and port of the URL.
func (t target) host(ports map[string]string) (scheme, address, name string, err error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return "", "", "", invalid("its URL cannot be called")
	}
	port := u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	return u.Scheme, net.JoinHostPort(u.Hostname(), port), u.Hostname(), nil
}

// tls gives the settings of encrypted connections to that name.
func clientTLS(roots *x509.CertPool, name string) *tls.Config {
	return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
}

// plain takes the URL out of an error, which may have a secret in it.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
