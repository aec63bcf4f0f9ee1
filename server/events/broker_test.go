package events_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

// certificate gives a certificate for 127.0.0.1, and itself in PEM.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// taken puts what the broker took in an inbox, before it is acknowledged.
type taken struct {
	mqtt.HookBase
	in *inbox

	mu      sync.Mutex
	topics  map[string]int
	clients map[string]int
}

func (*taken) ID() string            { return "taken" }
func (*taken) Provides(by byte) bool { return by == mqtt.OnPublish }

func (h *taken) OnPublish(client *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	h.mu.Lock()
	h.topics[p.TopicName]++
	h.clients[client.ID]++
	h.mu.Unlock()
	if p.FixedHeader.Qos != 1 {
		return p, packets.ErrQosNotSupported
	}
	return p, h.in.add(p.Payload)
}

// broker runs an MQTT broker at an address until stop is called.
func broker(t *testing.T, address string, h *taken, conf *tls.Config, ledger *auth.Ledger) (at string, stop func()) {
	t.Helper()
	s := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	err := s.AddHook(h, nil)
	if ledger == nil && err == nil {
		err = s.AddHook(new(auth.AllowHook), nil)
	} else if err == nil {
		err = s.AddHook(new(auth.Hook), &auth.Options{Ledger: ledger})
	}
	if err != nil {
		t.Fatal(err)
	}
	tcp := listeners.NewTCP(listeners.Config{ID: "tcp", Address: address, TLSConfig: conf})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the port of the one before is not free at once
		if err = s.AddListener(tcp); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { _ = s.Close() })
	t.Cleanup(stop)
	return tcp.Address(), stop
}

func newTaken(in *inbox) *taken {
	return &taken{in: in, topics: map[string]int{}, clients: map[string]int{}}
}

// TestMQTTComesAndGoes: the broker is killed again and again while events are told; it has taken
// each of them in the end, in order.
func TestMQTTComesAndGoes(t *testing.T) {
	t.Parallel()
	const streams, each, restarts = 4, 80, 4
	var in inbox
	hook := newTaken(&in)
	address, stop := broker(t, "127.0.0.1:0", hook, nil, nil)
	w := newWorld(t, quick(), store.Destination{Name: "broker", Kind: events.MQTT, URL: "mqtt://" + address, Topic: "site/{server}/{stream}/{kind}", Enabled: true})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; n <= each; n++ {
			for s := 1; s <= streams; s++ {
				w.write(alert(s, n))
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	for range restarts {
		before := len(in.all())
		until(t, "messages are taken", func() bool { return len(in.all()) > before+streams || w.stat("broker").Delivered == streams*each })
		stop()
		_, stop = broker(t, address, hook, nil, nil)
	}
	<-done
	w.empty("broker")
	in.inOrder(t, streams, each)
	hook.mu.Lock()
	defer hook.mu.Unlock()
	if len(hook.topics) != 2*streams || len(hook.clients) != 1 {
		t.Errorf("topics %v, clients %v", hook.topics, hook.clients)
	}
	for topic := range hook.topics {
		if parts := strings.Split(topic, "/"); len(parts) != 4 || len(parts[1]) != 36 || !strings.HasPrefix(parts[3], "alert.") {
			t.Errorf("topic %q", topic)
		}
	}
}

// TestMQTTSecured: with TLS, a user and a password.
func TestMQTTSecured(t *testing.T) {
	t.Parallel()
	var in inbox
	cert, pem := certificate(t)
	address, _ := broker(t, "127.0.0.1:0", newTaken(&in), &tls.Config{Certificates: []tls.Certificate{cert}}, &auth.Ledger{
		Auth: auth.AuthRules{{Username: "cap", Password: "stan", Allow: true}}, ACL: auth.ACLRules{{Filters: auth.Filters{"#": auth.ReadWrite}}},
	})
	d := store.Destination{Name: "broker", Kind: events.MQTT, URL: "mqtts://" + address, User: "cap", Secret: "stan", CA: pem, Enabled: true}
	w := newWorld(t, quick(), d)
	w.write(alert(7, 1))
	w.empty("broker")
	if list := in.all(); len(list) != 1 || list[0].stream != 7 {
		t.Errorf("%v", list)
	}
	for name, change := range map[string]func(*store.Destination){
		"unknown certificate": func(d *store.Destination) { d.CA = "" }, "wrong password": func(d *store.Destination) { d.Secret = "stam" },
		"no TLS": func(d *store.Destination) { d.URL = "mqtt://" + address }, "nobody there": func(d *store.Destination) { d.URL = "mqtts://127.0.0.1:1" },
	} {
		bad := d
		change(&bad)
		if err := w.Try(t.Context(), bad, "eve"); err == nil {
			t.Errorf("%s: it was taken", name)
		} else if strings.Contains(err.Error(), "stam") {
			t.Errorf("%s: the password is shown: %v", name, err)
		}
	}
	if len(in.all()) != 1 {
		t.Errorf("%v", in.all())
	}
}

// natsServer runs a NATS server until stop is called.
func natsServer(t *testing.T, change func(*server.Options)) (at string, stop func()) {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true}
	change(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	stop = sync.OnceFunc(func() { s.Shutdown(); s.WaitForShutdown() })
	t.Cleanup(stop)
	return s.Addr().String(), stop
}

// TestNATSComesAndGoes: the server, whose JetStream keeps what is told, is killed again and again.
// It has kept each event once, in order.
func TestNATSComesAndGoes(t *testing.T) {
	t.Parallel()
	const streams, each, restarts = 4, 60, 3
	dir := t.TempDir()
	keep := func(port int) func(o *server.Options) {
		return func(o *server.Options) { o.JetStream, o.StoreDir, o.Port = true, dir, port }
	}
	address, stop := natsServer(t, keep(server.RANDOM_PORT))
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	js := func() jetstream.JetStream {
		conn, err := nats.Connect("nats://" + address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		return js
	}
	if _, err := js().CreateStream(t.Context(), jetstream.StreamConfig{Name: "CAPSTAN", Subjects: []string{"capstan.>"}, Duplicates: time.Hour}); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, quick(), store.Destination{Name: "nats", Kind: events.NATS, URL: "nats://" + address, Enabled: true})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; n <= each; n++ {
			for s := 1; s <= streams; s++ {
				w.write(alert(s, n))
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	for range restarts {
		before := w.stat("nats").Delivered
		until(t, "messages are taken", func() bool { now := w.stat("nats").Delivered; return now > before+streams || now == streams*each })
		stop()
		_, stop = natsServer(t, keep(number))
	}
	<-done
	w.empty("nats")
	var in inbox
	c, err := js().OrderedConsumer(t.Context(), "CAPSTAN", jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := c.Fetch(streams*each+10, jetstream.FetchMaxWait(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		if err := in.add(m.Data()); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(m.Subject(), "capstan.") || !bytes.Contains(m.Data(), []byte(m.Headers().Get(nats.MsgIdHdr))) {
			t.Errorf("subject %q, headers %v", m.Subject(), m.Headers())
		}
	}
	in.inOrder(t, streams, each)
	if _, repeated := in.once(t); repeated > 0 {
		t.Errorf("%d were kept twice", repeated)
	}
}

// TestNATSCore: without JetStream subscribers hear of events; what the server does not let us
// publish is no success.
func TestNATSCore(t *testing.T) {
	t.Parallel()
	cert, pem := certificate(t)
	address, _ := natsServer(t, func(o *server.Options) {
		o.TLS, o.TLSConfig = true, &tls.Config{Certificates: []tls.Certificate{cert}}
		o.Users = []*server.User{{Username: "cap", Password: "stan", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"cams.>", "$JS.API.>"}}}}}
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(pem))
	conn, err := nats.Connect("tls://"+address, nats.Secure(&tls.Config{RootCAs: roots}), nats.UserInfo("cap", "stan"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var in inbox
	if _, err := conn.Subscribe("cams.>", func(m *nats.Msg) {
		if m.Subject != "cams.7.alert.began" && m.Subject != "cams.7.alert.ended" && m.Subject != "cams.0.test" {
			t.Errorf("subject %q", m.Subject)
		}
		if err := in.add(m.Data); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	d := store.Destination{Name: "nats", Kind: events.NATS, URL: "tls://" + address, User: "cap", Secret: "stan", CA: pem, Topic: "cams.{stream}.{kind}", Enabled: true}
	w := newWorld(t, quick(), d)
	for n := range 20 {
		w.write(alert(7, n+1))
	}
	w.empty("nats")
	until(t, "all were heard", func() bool { return len(in.all()) >= 20 })
	list, _ := in.once(t)
	for i, m := range list {
		if m.n != i+1 || m.stream != 7 {
			t.Errorf("message %d is %+v", i, m)
		}
	}
	for name, change := range map[string]func(*store.Destination){
		"a subject that is not allowed": func(d *store.Destination) { d.Topic = "other.{stream}" }, "wrong password": func(d *store.Destination) { d.Secret = "x" },
		"unknown certificate": func(d *store.Destination) { d.CA = "" }, "nobody there": func(d *store.Destination) { d.URL = "nats://127.0.0.1:1" },
	} {
		bad := d
		change(&bad)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := w.Try(ctx, bad, "eve"); err == nil {
			t.Errorf("%s: it was taken", name)
		}
		cancel()
	}
}
