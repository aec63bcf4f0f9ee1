package front

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/capstan-video/capstan/core"
)

// lookAgain is how often the files of a certificate are looked at, at most.
const lookAgain = time.Second

// files is a certificate in files that is read again when they change. It looks when somebody
// connects, so there is nothing to stop.
type files struct {
	cert, key string
	log       hclog.Logger
	now       func() time.Time

	mu     sync.Mutex
	have   *tls.Certificate
	stamp  [2]fileStamp
	looked time.Time
}

type fileStamp struct {
	at   time.Time
	size int64
}

// FilesTLS gives a configuration with the certificate of two PEM files. When new ones cannot be
// read, the log says so and the old ones stay.
func FilesTLS(cert, key string, log hclog.Logger) (*tls.Config, error) {
	f := &files{cert: cert, key: key, log: log, now: time.Now}
	if err := f.load(); err != nil {
		return nil, err
	}
	f.looked = f.now()
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get}, nil
}

func (f *files) load() error {
	stamp := f.stamps()
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		fault := core.Faultf(core.Invalid, "serve", f.cert, "the certificate cannot be used: %w", err)
		fault.Hint = "tls.cert and tls.key want PEM files that belong together and that this user may read"
		return fault
	}
	f.have, f.stamp = &c, stamp
	return nil
}

func (f *files) stamps() (out [2]fileStamp) {
	for i, name := range []string{f.cert, f.key} {
		if st, err := os.Stat(name); err == nil {
			out[i] = fileStamp{st.ModTime(), st.Size()}
		}
	}
	return out
}

func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= lookAgain {
		f.looked = now
		if f.stamps() != f.stamp {
			if err := f.load(); err != nil {
				f.log.Error("the certificate has changed and the new one cannot be used; the old one stays", "err", err)
			} else {
				f.log.Info("the certificate was read again", "file", f.cert)
			}
		}
	}
	return f.have, nil
}

// ACME asks an authority for certificates.
type ACME struct {
	Hosts     []string // names to have certificates for, no others
	Email     string
	Directory string // URL of the authority; empty: Let's Encrypt
	CA        string // PEM file of certificates to trust for the authority; empty: those of the system
	Cache     string // folder for the account and certificates
}

// TLS gives the configuration, and what wraps a handler of plain HTTP so that it answers the
// authority's challenges.
func (a ACME) TLS() (*tls.Config, func(http.Handler) http.Handler, error) {
	client := &acme.Client{DirectoryURL: a.Directory}
	if a.CA != "" {
		pem, err := os.ReadFile(a.CA)
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			return nil, nil, core.Faultf(core.Invalid, "serve", "tls.acme.ca "+a.CA, "it is no PEM file of certificates: %v", err)
		}
		client.HTTPClient = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	}
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(a.Cache), HostPolicy: autocert.HostWhitelist(a.Hosts...), Email: a.Email, Client: client}
	c := m.TLSConfig()
	c.MinVersion = tls.VersionTLS12
	return c, m.HTTPHandler, nil
}

// Redirect sends plain HTTP to HTTPS at a port. Only safe requests are redirected: others have sent
// their secrets in the open by then, and should fail rather than go on to do so.
func Redirect(port string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "use HTTPS", http.StatusForbidden)
			return
		}
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if port != "443" {
			host = net.JoinHostPort(host, port)
		}
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusFound)
	})
}
