package front

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority is as much of an ACME server (RFC 8555) as one order takes. It does not look at
// signatures, and asks for the answer to its challenge over HTTP, at the handler that the test gives.
type authority struct {
	*httptest.Server
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate

	mu        sync.Mutex
	challenge http.Handler // plain HTTP of the server
	asked     []string     // names of orders
	valid     bool
	issued    []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(a.answer))
	t.Cleanup(a.Close)
	return a
}

// payload reads what a signed request says.
func payload(r *http.Request, into any) {
	var jws struct{ Payload string }
	if json.NewDecoder(r.Body).Decode(&jws) == nil {
		text, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
		_ = json.Unmarshal(text, into)
	}
}

func (a *authority) answer(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", fmt.Sprint(time.Now().UnixNano()))
	status := map[bool]string{false: "pending", true: "valid"}[a.valid]
	challenge := map[string]any{"type": "http-01", "url": a.URL + "/challenge", "token": "a-token", "status": status}
	say := func(code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	order := map[string]any{"status": map[bool]string{false: "pending", true: "ready"}[a.valid], "finalize": a.URL + "/finalize", "authorizations": []string{a.URL + "/authz"}}
	switch r.URL.Path {
	case "/directory":
		say(200, map[string]string{"newNonce": a.URL + "/nonce", "newAccount": a.URL + "/account", "newOrder": a.URL + "/order"})
	case "/nonce":
	case "/account":
		w.Header().Set("Location", a.URL+"/account/1")
		say(201, map[string]string{"status": "valid"})
	case "/order":
		var wish struct{ Identifiers []struct{ Value string } }
		payload(r, &wish)
		for _, i := range wish.Identifiers {
			a.asked = append(a.asked, i.Value)
		}
		w.Header().Set("Location", a.URL+"/order/1")
		say(201, order)
	case "/order/1":
		if a.issued != nil {
			order["status"], order["certificate"] = "valid", a.URL+"/certificate"
		}
		w.Header().Set("Location", a.URL+"/order/1")
		say(200, order)
	case "/authz":
		say(200, map[string]any{"status": status, "identifier": map[string]string{"type": "dns", "value": a.asked[0]}, "challenges": []any{challenge}})
	case "/challenge":
		a.validate()
		say(200, challenge)
	case "/finalize":
		var wish struct{ CSR string }
		payload(r, &wish)
		a.issue(wish.CSR)
		order["status"], order["certificate"] = "valid", a.URL+"/certificate"
		w.Header().Set("Location", a.URL+"/order/1")
		say(200, order)
	case "/certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: a.issued})
		_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	default:
		a.t.Errorf("the authority was asked for %s", r.URL.Path)
		http.NotFound(w, r)
	}
}

// validate fetches the token as an authority does from port 80.
func (a *authority) validate() {
	w := httptest.NewRecorder()
	a.challenge.ServeHTTP(w, httptest.NewRequest("GET", "http://"+a.asked[0]+"/.well-known/acme-challenge/a-token", nil))
	a.valid = w.Code == 200 && strings.HasPrefix(w.Body.String(), "a-token.")
	if !a.valid {
		a.t.Errorf("the challenge: %d %s", w.Code, w.Body)
	}
}

func (a *authority) issue(csr string) {
	der, _ := base64.RawURLEncoding.DecodeString(csr)
	wish, err := x509.ParseCertificateRequest(der)
	if err != nil {
		a.t.Error(err)
		return
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(77), DNSNames: wish.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	if a.issued, err = x509.CreateCertificate(rand.Reader, template, a.cert, wish.PublicKey, a.key); err != nil {
		a.t.Error(err)
	}
}

// TestACME has a certificate issued at the first connection, kept, and no others asked for.
func TestACME(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := ACME{Hosts: []string{"cam.example.com"}, Email: "me@example.com", Directory: a.URL + "/directory", CA: ca, Cache: filepath.Join(dir, "acme")}
	hello := func() string {
		t.Helper()
		secure, wrap, err := settings.TLS()
		if err != nil {
			t.Fatal(err)
		}
		a.mu.Lock()
		a.challenge = wrap(Redirect("443"))
		a.mu.Unlock()
		l, err := Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f := New(Options{}, refusal(""))
		f.Open("", says("hello"))
		f.Serve(l, secure)
		defer func() { _ = f.Stop(t.Context()) }()
		pool := x509.NewCertPool()
		pool.AddCert(a.cert)
		if _, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "other.example.com"}); err == nil {
			t.Error("another name got a certificate")
		}
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "cam.example.com"}}}
		defer c.CloseIdleConnections()
		answer, err := c.Get("https://" + l.Addr().String() + "/x")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return fmt.Sprint(answer.TLS.PeerCertificates[0].SerialNumber, " ", string(body))
	}
	for range 2 { // the second time from the cache
		if got := hello(); got != "77 hello /x" {
			t.Errorf("%s", got)
		}
	}
	if fmt.Sprint(a.asked) != "[cam.example.com]" {
		t.Errorf("asked for %v", a.asked)
	}
	if st, err := os.Stat(settings.Cache); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the cache: %v %v", st, err)
	}
	settings.CA = filepath.Join(dir, "none.pem")
	if _, _, err := settings.TLS(); err == nil || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("no CA: %v", err)
	}
	w := get(a.challenge, "/api/streams?x=y")
	if w.Code != http.StatusFound || w.Header().Get("Location") != "https://host/api/streams?x=y" {
		t.Errorf("plain HTTP: %d %s", w.Code, w.Header().Get("Location"))
	}
}
