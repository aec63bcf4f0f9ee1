package events

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const (
	mqttKeepAlive = 30 * time.Second
	// mqttLinger is how long, in milliseconds, a connection that is closed may send what it has yet.
	mqttLinger = 100
)

// mqttSink publishes messages with quality of service 1: each is acknowledged by the broker.
//
// The client never connects anew by itself: it would send again what it had not yet seen
// acknowledged, beside our own next attempt and out of order. A connection that fails is given up,
// and the next attempt opens another one. The client ID stays the same, so that the broker closes
// the old connection before it takes anything from the new one.
type mqttSink struct {
	target
	topic topic
	tls   *tls.Config

	mu     sync.Mutex
	client mqtt.Client // nil: not connected
}

func newMQTT(t target, roots *x509.CertPool) (sink, error) {
	topic, err := parseTopic(MQTT, t.Topic)
	if err != nil {
		return nil, err
	}
	_, _, name, err := t.host(nil)
	return &mqttSink{target: t, topic: topic, tls: clientTLS(roots, name)}, err
}

func (s *mqttSink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Disconnect(mqttLinger)
		s.client = nil
	}
}

func (s *mqttSink) send(ctx context.Context, m *message) error {
	client, err := s.connected(ctx)
	if err != nil {
		return err
	}
	if err := settle(ctx, client.Publish(s.topic.of(s.server, m), 1, false, m.body)); err != nil {
		s.giveUp(client)
		return err
	}
	return nil
}

// settle waits until the broker has answered.
func settle(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return errors.New("the broker did not answer in time")
	}
}

// connected gives the client, connected. Others wait meanwhile: they need it too.
func (s *mqttSink) connected(ctx context.Context) (mqtt.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		if s.client.IsConnectionOpen() {
			return s.client, nil
		}
		s.client.Disconnect(0)
		s.client = nil
	}
	kept := func() bool { return true }
	open := func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
		conn, err := s.open(ctx)
		if err == nil { // the library would wait for an answer whatever ctx says
			kept = context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	o := mqtt.NewClientOptions().AddBroker("tcp://broker"). // not dialled: see below
								SetClientID("capstan-" + s.server[:8] + "-" + strconv.FormatInt(s.ID, 10)).
								SetUsername(s.User).SetPassword(s.Secret).SetCleanSession(true).SetOrderMatters(false).
								SetAutoReconnect(false).SetConnectRetry(false).SetProtocolVersion(4).
								SetKeepAlive(mqttKeepAlive).SetPingTimeout(s.limit).SetConnectTimeout(s.limit).SetWriteTimeout(s.limit).
								SetCustomOpenConnectionFn(open)
	client := mqtt.NewClient(o)
	if err := settle(ctx, client.Connect()); err != nil {
		client.Disconnect(0)
		return nil, err
	}
	if !kept() { // ctx ended in between: it is closed
		client.Disconnect(0)
		return nil, context.Cause(ctx)
	}
	s.client = client
	return client, nil
}

// open connects without the library's dialling, which would use a proxy of the environment: that
// could call what the guard refuses.
func (s *mqttSink) open(ctx context.Context) (net.Conn, error) {
	scheme, address, _, err := s.host(map[string]string{"mqtt": "1883", "tcp": "1883", "mqtts": "8883", "ssl": "8883", "tls": "8883"})
	if err != nil {
		return nil, err
	}
	dialer := s.guard.Dialer()
	if scheme != "mqtt" && scheme != "tcp" {
		return (&tls.Dialer{NetDialer: dialer, Config: s.tls}).DialContext(ctx, "tcp", address)
	}
	return dialer.DialContext(ctx, "tcp", address)
}

// giveUp closes a connection that failed.
func (s *mqttSink) giveUp(client mqtt.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == client {
		s.client = nil
	}
	client.Disconnect(0)
}
