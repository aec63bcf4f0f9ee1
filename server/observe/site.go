package observe

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	profiles "runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

// checkTimeout bounds how long one look at the server's health takes.
const checkTimeout = 3 * time.Second

// Checks say what keeps the server from answering, by name, and what it goes on without; nothing of
// the first is a server that is ready.
type Checks func(context.Context) (reasons, degraded map[string]string)

// Site answers at /healthz, /readyz, /metrics and below /debug/pprof. Health needs no password: it
// tells no more than what a request would find out.
type Site struct {
	metrics *Metrics
	open    string // who may read metrics: off, users or anybody
	pprof   bool

	mu     sync.Mutex
	phase  string // why the server is not ready yet; empty: ask checks
	checks Checks
	door   *door
}

// NewSite gives a site of a server that is starting. open is one of off, users, anybody.
func NewSite(m *Metrics, open string, pprof bool) *Site {
	return &Site{metrics: m, open: open, pprof: pprof, phase: "starting"}
}

// Starting says what the server is doing before it is ready.
func (s *Site) Starting(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phase
}

// Open has the site ask checks, and let those in whom svc knows.
func (s *Site) Open(checks Checks, svc Guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.checks, s.door = "", checks, newDoor(svc)
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.HasPrefix(r.URL.Path, "/debug/pprof/symbol") {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "want GET or HEAD")
		return
	}
	switch path := r.URL.Path; {
	case path == "/healthz":
		httpx.SetRoute(r, path)
		write(w, http.StatusOK, map[string]any{"status": "alive"})
	case path == "/readyz":
		httpx.SetRoute(r, path)
		s.ready(w, r)
	case path == "/metrics" && s.open != "off":
		httpx.SetRoute(r, path)
		if s.open == "anybody" || s.let(w, r, core.Viewer) {
			promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * scrapeTimeout}).ServeHTTP(w, r)
		}
	case strings.HasPrefix(path, "/debug/pprof/") && s.pprof:
		httpx.SetRoute(r, "/debug/pprof/")
		if s.let(w, r, core.Admin) {
			profile(w, r)
		}
	default:
		refuse(w, http.StatusNotFound, "there is nothing here")
	}
}

func (s *Site) ready(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	phase, checks := s.phase, s.checks
	s.mu.Unlock()
	if phase != "" {
		write(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "reasons": map[string]string{"server": phase}})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	reasons, degraded := checks(ctx)
	answer, status := map[string]any{"ready": len(reasons) == 0}, http.StatusOK
	if len(reasons) > 0 {
		answer["reasons"], status = reasons, http.StatusServiceUnavailable
	}
	if len(degraded) > 0 {
		answer["degraded"] = degraded
	}
	write(w, status, answer)
}

// let says whether the caller has the role, and answers otherwise.
func (s *Site) let(w http.ResponseWriter, r *http.Request, need core.Role) bool {
	s.mu.Lock()
	d := s.door
	s.mu.Unlock()
	if d == nil {
		refuse(w, http.StatusServiceUnavailable, "the server is starting")
		return false
	}
	who, err := d.who(r)
	switch {
	case core.KindOf(err) == core.Denied:
		w.Header().Set("WWW-Authenticate", `Basic realm="Capstan"`)
		refuse(w, http.StatusUnauthorized, err.Error())
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, "it cannot be found out who you are")
	case !who.Role.May(need):
		refuse(w, http.StatusForbidden, "this takes the role "+string(need))
	default:
		return true
	}
	return false
}

// profile answers as net/http/pprof does. Profiles over time are longer than the server's limits.
func profile(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Time{}) // recorders of tests have none
	_ = c.SetReadDeadline(time.Time{})
	switch name := strings.TrimPrefix(r.URL.Path, "/debug/pprof/"); name {
	case "cmdline":
		refuse(w, http.StatusNotFound, "the command line may hold secrets") // of flags
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		if name != "" && profiles.Lookup(name) == nil {
			refuse(w, http.StatusNotFound, "there is no such profile")
			return
		}
		pprof.Index(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, text string) {
	write(w, status, map[string]any{"error": text})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone is none of ours
}

// Health is what readiness is judged by.
type Health struct {
	// Database asks the database something.
	Database func(context.Context) error
	// Broken names the capsules that do not run, with their states.
	Broken func() map[string]string
	// Ready says whether the service answers.
	Ready func() bool
}

// Check is a Checks. It names what is wrong, not why: that may hold what is nobody's business. A
// server goes on without a capsule, so that one that does not run takes no server out of service.
func (h Health) Check(ctx context.Context) (reasons, degraded map[string]string) {
	if !h.Ready() {
		return map[string]string{"server": "stopping"}, nil
	}
	if h.Database(ctx) != nil {
		reasons = map[string]string{"database": "does not answer"}
	}
	degraded = map[string]string{}
	for name, state := range h.Broken() {
		degraded["capsule "+name] = state
	}
	return reasons, degraded
}

var _ Guard = (*service.Service)(nil)
