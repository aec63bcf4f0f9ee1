package events

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	natsConnect = 5 * time.Second
	// streamKnown is for how long it is known whether a JetStream stream takes a subject.
	streamKnown = 30 * time.Second
	maxSubjects = 4096                            // known at once
	credentials = "-----BEGIN NATS USER JWT-----" // #nosec G101 -- how a file begins
)

// natsSink publishes messages. Where a JetStream stream takes the subject it waits until that has
// kept the message, and the message's ID keeps a second attempt from being kept twice. Otherwise the
// server is asked whether it has read what was sent, and subscribers that are not there miss it.
//
// The client never connects anew by itself: it would send what it has buffered, out of order.
type natsSink struct {
	target
	topic topic
	tls   *tls.Config

	mu    sync.Mutex
	conn  *nats.Conn // nil: not connected
	kept  map[string]bool
	until time.Time // when what is in kept is asked anew
}

func newNATS(t target, roots *x509.CertPool) (sink, error) {
	topic, err := parseTopic(NATS, t.Topic)
	if err != nil {
		return nil, err
	}
	_, _, name, err := t.host(nil)
	return &natsSink{target: t, topic: topic, tls: clientTLS(roots, name)}, err
}

func (s *natsSink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func (s *natsSink) send(ctx context.Context, m *message) error {
	conn, err := s.connected(ctx)
	if err != nil {
		return err
	}
	subject := s.topic.of(s.server, m)
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	keep, err := s.keeps(ctx, js, subject)
	if err != nil {
		return err
	}
	out := nats.NewMsg(subject)
	out.Data = m.body
	out.Header.Set(nats.MsgIdHdr, m.key)
	out.Header.Set("Content-Type", contentType)
	if keep {
		_, err = js.PublishMsg(ctx, out)
		if errors.Is(err, jetstream.ErrNoStreamResponse) { // it is gone
			s.forget()
		}
		return err
	}
	if err := conn.PublishMsg(out); err != nil {
		return err
	}
	if err := conn.FlushWithContext(ctx); err != nil {
		return err
	}
	if err := conn.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		s.close() // it stays the last error of this connection
		return err
	}
	return nil
}

// keeps says whether a JetStream stream takes the subject.
func (s *natsSink) keeps(ctx context.Context, js jetstream.JetStream, subject string) (bool, error) {
	s.mu.Lock()
	now := time.Now()
	if now.After(s.until) || len(s.kept) >= maxSubjects {
		s.kept, s.until = map[string]bool{}, now.Add(streamKnown)
	}
	kept, known := s.kept[subject]
	s.mu.Unlock()
	if known {
		return kept, nil
	}
	_, err := js.StreamNameBySubject(ctx, subject)
	switch {
	case err == nil:
		kept = true
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrJetStreamNotEnabled),
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
	default:
		return false, err
	}
	s.mu.Lock()
	s.kept[subject] = kept
	s.mu.Unlock()
	return kept, nil
}

func (s *natsSink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
}

// guarded dials for the library, which has no context for it: until kept is called, the end of ctx
// closes the connection.
type guarded struct {
	ctx  context.Context
	sink *natsSink
	kept func() bool
}

// Dial is called by the goroutine that connects.
func (g *guarded) Dial(network, address string) (net.Conn, error) {
	conn, err := g.sink.guard.Dialer().DialContext(g.ctx, network, address)
	if err == nil {
		g.kept = context.AfterFunc(g.ctx, func() { _ = conn.Close() })
	}
	return conn, err
}

// connected gives the connection. Others wait meanwhile: they need it too.
func (s *natsSink) connected(ctx context.Context) (*nats.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		if s.conn.IsConnected() {
			return s.conn, nil
		}
		s.conn.Close()
		s.conn = nil
	}
	scheme, address, _, err := s.host(map[string]string{"nats": "4222", "tls": "4222"})
	if err != nil {
		return nil, err
	}
	dialer := &guarded{ctx: ctx, sink: s}
	o := []nats.Option{
		nats.Name("capstan"), nats.NoReconnect(), nats.Timeout(min(natsConnect, s.limit)), nats.SetCustomDialer(dialer),
		nats.IgnoreDiscoveredServers(), nats.DrainTimeout(time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the attempt says it
	}
	if scheme == "tls" || s.CA != "" {
		o = append(o, nats.Secure(s.tls))
	}
	switch {
	case strings.HasPrefix(s.Secret, credentials):
		o = append(o, nats.UserCredentialBytes([]byte(s.Secret)))
	case s.User != "":
		o = append(o, nats.UserInfo(s.User, s.Secret))
	case s.Secret != "":
		o = append(o, nats.Token(s.Secret))
	}
	conn, err := nats.Connect(scheme+"://"+address, o...)
	if err != nil {
		return nil, err
	}
	if !dialer.kept() { // ctx ended in between: it is closed
		conn.Close()
		return nil, context.Cause(ctx)
	}
	s.conn = conn
	return conn, nil
}
