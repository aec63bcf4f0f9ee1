package events

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/egress"
	"github.com/capstan-video/capstan/server/store"
)

const testSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

func TestCheck(t *testing.T) {
	t.Parallel()
	good := []store.Destination{
		{Name: "a", Kind: Webhook, URL: "https://example.com/hook?x=1", Secret: testSecret},
		{Name: "a", Kind: Webhook, URL: "http://10.0.0.1:8080", Secret: "sixteen-bytes-or-more another-key-of-some-length"},
		{Name: "a", Kind: Webhook, URL: "https://[2001:db8::1]:8443/"},
		{Name: "a", Kind: MQTT, URL: "mqtt://broker", Events: []string{"alert", StreamFailed}},
		{Name: "a", Kind: MQTT, URL: "ssl://broker:8883/", Topic: "a/{stream}"},
		{Name: "a", Kind: NATS, URL: "tls://nats:4222", Topic: "a.{kind}.{server}"},
	}
	for _, d := range good {
		if err := Check(d, egress.Guard{}); err != nil {
			t.Errorf("%+v: %v", d, err)
		}
	}
	base := store.Destination{Name: "a", Kind: Webhook, URL: "https://example.com/"}
	for name, c := range map[string]struct {
		change func(*store.Destination)
		kind   core.Kind
		says   string
	}{
		"no name":          {func(d *store.Destination) { d.Name = "" }, core.Invalid, "name"},
		"long name":        {func(d *store.Destination) { d.Name = strings.Repeat("n", 201) }, core.Invalid, "201"},
		"kind":             {func(d *store.Destination) { d.Kind = "email" }, core.Invalid, "email"},
		"scheme":           {func(d *store.Destination) { d.URL = "gopher://example.com" }, core.Invalid, "https://"},
		"no host":          {func(d *store.Destination) { d.URL = "https:///x" }, core.Invalid, "https://"},
		"opaque":           {func(d *store.Destination) { d.URL = "https:example.com" }, core.Invalid, "https://"},
		"user":             {func(d *store.Destination) { d.URL = "https://u:hunter2@example.com" }, core.Invalid, "user"},
		"fragment":         {func(d *store.Destination) { d.URL = "https://example.com/#x" }, core.Invalid, "more than"},
		"port":             {func(d *store.Destination) { d.URL = "https://example.com:99999/" }, core.Invalid, "99999"},
		"long URL":         {func(d *store.Destination) { d.URL = "https://example.com/" + strings.Repeat("x", 2048) }, core.Invalid, "2048"},
		"this machine":     {func(d *store.Destination) { d.URL = "https://localhost/x" }, core.Denied, "allow_local"},
		"its address":      {func(d *store.Destination) { d.URL = "https://[::ffff:127.0.0.1]/x" }, core.Denied, "127.0.0.1"},
		"metadata":         {func(d *store.Destination) { d.URL = "http://169.254.169.254/" }, core.Denied, "never"},
		"path of a broker": {func(d *store.Destination) { d.Kind, d.URL = MQTT, "mqtt://h/x" }, core.Invalid, "more than"},
		"wildcard":         {func(d *store.Destination) { d.Kind, d.URL, d.Topic = NATS, "nats://h", "a.>" }, core.Invalid, "wildcard"},
		"short key":        {func(d *store.Destination) { d.Secret = "hunter2" }, core.Invalid, "16"},
		"no base64":        {func(d *store.Destination) { d.Secret = "whsec_!" }, core.Invalid, "base64"},
		"many keys":        {func(d *store.Destination) { d.Secret = strings.Repeat(testSecret+" ", 5) }, core.Invalid, "5 keys"},
		"only spaces":      {func(d *store.Destination) { d.Secret = "  " }, core.Invalid, "0 keys"},
		"certificate":      {func(d *store.Destination) { d.CA = "hunter2" }, core.Invalid, "PEM"},
		"event":            {func(d *store.Destination) { d.Events = []string{"alert.gone"} }, core.Invalid, "alert.gone"},
		"many streams":     {func(d *store.Destination) { d.Streams = make([]core.StreamNumber, 1025) }, core.Invalid, "1024"},
	} {
		d := base
		c.change(&d)
		err := Check(d, egress.Guard{})
		if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	m := &message{kind: "alert.began", stream: 7}
	for _, c := range []struct{ kind, text, want string }{
		{MQTT, "", "capstan/7/alert.began"}, {NATS, "", "capstan.7.alert.began"}, {MQTT, "a", "a"}, {MQTT, "a/{server}/{stream}{stream}x", "a/s/77x"},
		{NATS, "{kind}", "alert.began"}, {MQTT, "ü/{kind}", "ü/alert.began"},
	} {
		topic, err := parseTopic(c.kind, c.text)
		if err != nil || topic.of("s", m) != c.want {
			t.Errorf("%s %q is %q (%v), want %q", c.kind, c.text, topic.of("s", m), err, c.want)
		}
	}
	for _, c := range []struct{ kind, text string }{
		{MQTT, "a/+"}, {MQTT, "#"}, {MQTT, "$SYS/x"}, {MQTT, "a//b"}, {MQTT, "/a"}, {MQTT, "a b"}, {MQTT, "a\x00"}, {MQTT, "{zone}"}, {MQTT, "{stream"}, {MQTT, "}"}, {MQTT, "{}"},
		{MQTT, "\xff"}, {MQTT, strings.Repeat("a", 513)}, {NATS, "a.*"}, {NATS, "a..b"}, {NATS, "a."}, {NATS, "a\tb"}, {NATS, "a.{stream}}"},
	} {
		if _, err := parseTopic(c.kind, c.text); core.KindOf(err) != core.Invalid {
			t.Errorf("%s %q: %v", c.kind, c.text, err)
		}
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	now, body := time.Unix(1_700_000_000, 0), []byte(`{"a":1}`)
	signed := func(secret string) http.Header {
		s, err := Sign(secret, "id", now, body)
		if err != nil {
			t.Fatal(err)
		}
		return http.Header{HeaderID: {"id"}, HeaderTimestamp: {"1700000000"}, HeaderSignature: {s}}
	}
	both := testSecret + " another-key-of-some-length"
	for name, c := range map[string]struct {
		secret string
		header http.Header
		body   string
		now    time.Time
		ok     bool
	}{
		"it":            {testSecret, signed(testSecret), `{"a":1}`, now, true},
		"old key":       {testSecret, signed(both), `{"a":1}`, now, true},
		"new key":       {"another-key-of-some-length", signed(both), `{"a":1}`, now.Add(-4 * time.Minute), true},
		"either":        {both, signed(testSecret), `{"a":1}`, now, true},
		"another key":   {"another-key-of-some-length", signed(testSecret), `{"a":1}`, now, false},
		"other body":    {testSecret, signed(testSecret), `{"a":2}`, now, false},
		"too old":       {testSecret, signed(testSecret), `{"a":1}`, now.Add(6 * time.Minute), false},
		"of the future": {testSecret, signed(testSecret), `{"a":1}`, now.Add(-6 * time.Minute), false},
		"nothing":       {testSecret, http.Header{}, `{"a":1}`, now, false},
	} {
		if err := Verify(c.secret, c.header, []byte(c.body), c.now, 5*time.Minute); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := signed(testSecret)
	other.Set(HeaderID, "other")
	if Verify(testSecret, other, body, now, time.Minute) == nil {
		t.Error("the signature is good for another ID")
	}
	// A key, ID, time and body of a Standard Webhooks library's own tests.
	got, err := Sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if err != nil || got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signature %s, %v", got, err)
	}
	if s := NewSecret(); len(s) < 30 || s == NewSecret() {
		t.Errorf("%q is no new secret", s)
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "99999999": time.Hour, "-1": 0, "x": 0, "1e3": 0, "Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0, "99999999999999999999": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

func FuzzTopic(f *testing.F) {
	for _, s := range []string{"", "a/{stream}", "a.{kind}", "{", "}", "{}", "{stream}}", "$", "+", "a//b", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []string{MQTT, NATS} {
			topic, err := parseTopic(kind, text)
			if err != nil {
				if core.KindOf(err) != core.Invalid {
					t.Errorf("%q: %v", text, err)
				}
				continue
			}
			got := topic.of("server", &message{kind: "alert.began", stream: 9})
			if got == "" || strings.ContainsAny(got, map[string]string{MQTT: "+# \x00", NATS: "*> \x00"}[kind]) {
				t.Errorf("%q is filled in as %q", text, got)
			}
		}
	})
}

func FuzzDestination(f *testing.F) {
	f.Add([]byte(`{"Name":"a","Kind":"webhook","URL":"https://example.com","Secret":"whsec_","Events":["alert"]}`))
	f.Add([]byte(`{"Name":"a","Kind":"mqtt","URL":"mqtt://[::1]:0","Topic":"{stream}"}`))
	f.Add([]byte(`{"Kind":"nats","URL":"nats://%00","CA":"-----BEGIN CERTIFICATE-----"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d store.Destination
		if json.Unmarshal(text, &d) != nil {
			return
		}
		_ = wants(&d, &Event{Kind: AlertBegan, Stream: 1})
		if err := Check(d, egress.Guard{}); err != nil {
			if k := core.KindOf(err); k != core.Invalid && k != core.Denied {
				t.Errorf("%s: %v", text, err)
			}
			return
		}
		to, err := target{Destination: d, server: "0123456789", limit: time.Second, atOnce: 1}.dial()
		if err != nil {
			t.Fatalf("%s is good, and is not: %v", text, err)
		}
		to.close()
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("id", "1700000000", "v1,AAAA", []byte("{}"))
	f.Add("", "-1", "v1, v2,x v1a", []byte(nil))
	f.Fuzz(func(t *testing.T, id, at, signature string, body []byte) {
		h := http.Header{HeaderID: {id}, HeaderTimestamp: {at}, HeaderSignature: {signature}}
		if Verify(testSecret, h, body, time.Unix(1_700_000_000, 0), time.Minute) == nil {
			t.Errorf("%q signs %q", signature, body)
		}
	})
}
