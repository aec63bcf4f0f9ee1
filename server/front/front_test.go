package front

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func refusal(name string) Refuse {
	return func(w http.ResponseWriter, _ *http.Request, status int, text string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "%s: %s", name, text)
	}
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text+" "+r.URL.Path) })
}

func get(h http.Handler, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://host"+path, nil)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestDoors wants each path at its dialect, unchanged, and a refusal in its words before that.
func TestDoors(t *testing.T) {
	t.Parallel()
	var seen []string
	f := New(Options{Seen: func(route, method string, status int, _ time.Duration) {
		seen = append(seen, fmt.Sprint(route, method, status))
	}}, refusal("main"))
	f.Door("/capstan/v1", refusal("native"))
	for path, want := range map[string]string{"/api/version": "502 main: the server is starting", "/capstan/v1/streams": "502 native: the server is starting", "/capstan/v10": "502 main"} {
		w := get(f, path)
		if got := fmt.Sprint(w.Code, " ", w.Body); !strings.HasPrefix(got, want) || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %s", path, got)
		}
	}
	f.Open("", says("main"))
	f.Open("/capstan/v1", says("native"))
	for path, want := range map[string]string{
		"/api//streams": "main /api//streams", "//api/x": "main //api/x", "/capstan/v1": "native /capstan/v1", "/capstan/v1/": "native /capstan/v1/",
		"/capstan/v1/a/../b": "native /capstan/v1/a/../b", "/capstan/v1x": "main /capstan/v1x", "/": "main /",
	} {
		if got := get(f, path).Body.String(); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	f.Open("", nil)
	if w := get(f, "/api"); w.Code != http.StatusBadGateway {
		t.Errorf("after closing: %d", w.Code)
	}
	if len(seen) != 11 {
		t.Errorf("%d requests were seen: %v", len(seen), seen)
	}
}

// TestSeenWhenBrokenOff counts an answer that is aborted too, and lets the abort through.
func TestSeenWhenBrokenOff(t *testing.T) {
	t.Parallel()
	status := 0
	f := New(Options{Seen: func(_, _ string, s int, _ time.Duration) { status = s }}, refusal(""))
	f.Open("", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		panic(http.ErrAbortHandler)
	}))
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("the abort did not come through")
			}
		}()
		get(f, "/")
	}()
	if status != http.StatusAccepted {
		t.Errorf("status %d", status)
	}
}

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// TestRate counts addresses and credentials apart, with a clock of its own.
func TestRate(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	f := New(Options{Rate: 2, Burst: 3}, refusal("main"))
	f.limits.now = func() time.Time { return now }
	f.Open("", says(""))
	steps := []struct {
		name   string
		change []func(*http.Request)
		want   []int
	}{
		{"a burst", []func(*http.Request){from("1.1.1.1:1")}, []int{200, 200, 200, 429, 429}},
		{"another address", []func(*http.Request){from("1.1.1.2:1")}, []int{200}},
		{"the same network of IPv6", []func(*http.Request){from("[2001:db8::1]:1")}, []int{200, 200}},
		{"another address of it", []func(*http.Request){from("[2001:db8::ffff]:1")}, []int{200, 429}},
		{"a user from here", []func(*http.Request){from("2.2.2.2:1"), header("Authorization", "Basic x")}, []int{200, 200}},
		{"and from there", []func(*http.Request){from("3.3.3.3:1"), header("Authorization", "Basic x")}, []int{200, 429}},
		{"another user from there", []func(*http.Request){from("3.3.3.4:1"), header("Cookie", "session_id=1.y")}, []int{200}},
	}
	for _, s := range steps {
		for i, want := range s.want {
			if w := get(f, "/", s.change...); w.Code != want || (want == 429) != (w.Header().Get("Retry-After") == "1") {
				t.Errorf("%s, request %d: %d %q, want %d", s.name, i, w.Code, w.Header().Get("Retry-After"), want)
			}
		}
	}
	now = now.Add(500 * time.Millisecond)
	if w := get(f, "/", from("1.1.1.1:1")); w.Code != 200 {
		t.Errorf("half a second later: %d", w.Code)
	}
	if w := get(f, "/", from("1.1.1.1:1")); w.Code != 429 {
		t.Errorf("and once more: %d", w.Code)
	}
}

// TestRateIsBounded lets more addresses come than are remembered.
func TestRateIsBounded(t *testing.T) {
	t.Parallel()
	l := newLimiter(1, 1, time.Now)
	for i := range maxClients + 100 {
		l.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), httptest.NewRequest("GET", "/", nil))
	}
	if len(l.clients) != maxClients || l.recent.Len() != maxClients {
		t.Errorf("%d and %d are remembered", len(l.clients), l.recent.Len())
	}
	if (*limiter)(nil).take(netip.Addr{}, nil) != 0 {
		t.Error("without a limit there is one")
	}
}

func TestProxies(t *testing.T) {
	t.Parallel()
	known := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for name, c := range map[string]struct{ remote, forwarded, want string }{
		"nobody between":        {"1.2.3.4:5", "", "1.2.3.4"},
		"a liar":                {"1.2.3.4:5", "9.9.9.9", "1.2.3.4"},
		"one proxy":             {"10.0.0.1:5", "9.9.9.9", "9.9.9.9"},
		"a liar behind one":     {"10.0.0.1:5", "8.8.8.8, 9.9.9.9", "9.9.9.9"},
		"two proxies":           {"10.0.0.1:5", "8.8.8.8, 9.9.9.9, 10.2.2.2", "9.9.9.9"},
		"only proxies":          {"10.0.0.1:5", "10.3.3.3, 10.2.2.2", "10.3.3.3"},
		"nonsense":              {"10.0.0.1:5", "9.9.9.9, x", "10.0.0.1"},
		"a proxy without it":    {"10.0.0.1:5", "", "10.0.0.1"},
		"IPv6":                  {"[::1]:5", "2001:db8::7", "2001:db8::7"},
		"IPv4 within IPv6":      {"[::ffff:10.0.0.1]:5", "9.9.9.9", "9.9.9.9"},
		"an address like none":  {"pipe", "9.9.9.9", "invalid IP"},
		"several header fields": {"10.0.0.1:5", "9.9.9.9,10.9.9.9", "9.9.9.9"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			for _, part := range strings.Split(c.forwarded, ", ") {
				r.Header.Add("X-Forwarded-For", part)
			}
		}
		if got := clientOf(r, known).String(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add("10.0.0.1:1", "1.2.3.4, ::1%eth0, x")
	known := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, remote, forwarded string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {forwarded}}}
		if a := clientOf(r, known); a.Zone() != "" && !strings.Contains(remote, a.Zone()) {
			t.Errorf("%q %q: %s", remote, forwarded, a)
		}
	})
}

// certificate writes a certificate for localhost with a serial number, and gives the files.
func certificate(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestFilesTLS serves over TLS and takes a new certificate without a restart.
func TestFilesTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := FilesTLS(filepath.Join(dir, "none"), filepath.Join(dir, "none"), nil); err == nil || !strings.Contains(err.Error(), "PEM files that belong together") {
		t.Errorf("missing files: %v", err)
	}
	cert, key := certificate(t, dir, 1)
	now := time.Now()
	var mu sync.Mutex
	f := &files{cert: cert, key: key, log: hclog.NewNullLogger(), now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fr := New(Options{}, refusal(""))
	fr.Open("", says("hello"))
	fr.Serve(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get})
	serial := func() int64 {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		answer, err := client.Get("https://" + l.Addr().String() + "/x")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if body, _ := io.ReadAll(answer.Body); string(body) != "hello /x" {
			t.Errorf("%q", body)
		}
		return answer.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	later := func() { mu.Lock(); now = now.Add(2 * lookAgain); mu.Unlock() }
	if got := serial(); got != 1 {
		t.Errorf("certificate %d", got)
	}
	certificate(t, dir, 22)
	later()
	if got := serial(); got != 22 {
		t.Errorf("after a change: certificate %d", got)
	}
	if err := os.WriteFile(cert, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	later()
	if got := serial(); got != 22 {
		t.Errorf("after garbage: certificate %d", got)
	}
	if err := errors.Join(fr.Stop(t.Context()), fr.Stop(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(t.Context(), l.Addr().String()); err == nil || !strings.Contains(err.Error(), "choose another address with --listen") {
		t.Errorf("%v", err)
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, url, port, want string
	}{
		"as usual":     {"GET", "http://cam.example/a?b=c", "443", "302 https://cam.example/a?b=c"},
		"another port": {"HEAD", "http://cam.example:8080/", "8443", "302 https://cam.example:8443/"},
		"a secret":     {"POST", "http://cam.example/api/users", "443", "403 "},
	} {
		w := httptest.NewRecorder()
		Redirect(c.port).ServeHTTP(w, httptest.NewRequest(c.method, c.url, nil))
		if got := strconv.Itoa(w.Code) + " " + w.Header().Get("Location"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestStopBreaksOff ends with an endless answer under way.
func TestStopBreaksOff(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fr := New(Options{}, refusal(""))
	fr.Open("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	fr.Serve(l, nil)
	answer, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fr.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

// BenchmarkFront is what the front adds to a request.
func BenchmarkFront(b *testing.B) {
	f := New(Options{Rate: 1e9, Burst: 1e9, Seen: func(string, string, int, time.Duration) {}}, refusal(""))
	f.Open("", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/api/version", nil)
	r.Header.Set("Cookie", "session_id=1.abc")
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		f.ServeHTTP(w, r)
	}
}
