// Package front is where requests come in: listeners, encryption, limits for each client, and the
// choice of the dialect that answers.
package front

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

const (
	// idleTimeout is for a client's next request, bodyTimeout for a whole one: what sends or takes
	// longer, as uploads do, sets its own.
	bodyTimeout = time.Minute
	idleTimeout = 2 * time.Minute
)

// Options are the settings of a Front; zero ones mean no limit, and Go's own for headers.
type Options struct {
	Log        hclog.Logger
	Header     int           // bytes of headers
	HeaderTime time.Duration // for them to arrive
	Rate       float64       // requests a second of one address, and of one user's credentials
	Burst      int
	Proxies    []netip.Prefix // whose X-Forwarded-For is believed
	// Seen is told of every request that ended: the route as the dialect calls it, empty when it
	// names none.
	Seen func(route, method string, status int, took time.Duration)
}

// Refuse answers a request that no handler gets to see, in the words of a dialect.
type Refuse func(w http.ResponseWriter, r *http.Request, status int, text string)

// door is a part of the paths.
type door struct {
	prefix  string
	refuse  Refuse
	handler atomic.Pointer[http.Handler]
}

// Front hands requests to dialects by the beginning of their paths. Paths are not changed:
// http.ServeMux would redirect double slashes, which the BrainFrame client does not survive.
type Front struct {
	o       Options
	limits  *limiter
	doors   []*door // the last one takes what no other does
	mu      sync.Mutex
	servers []*http.Server
	working sync.WaitGroup
	failed  chan error
}

// New gives a Front whose every path is refused by otherwise, with 502, until it has handlers.
func New(o Options, otherwise Refuse) *Front {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return &Front{o: o, limits: newLimiter(o.Rate, o.Burst, time.Now), doors: []*door{{refuse: otherwise}}, failed: make(chan error, 1)}
}

// Door gives the paths that begin with a prefix (without a slash at its end) to a dialect, which
// refuses what comes before Open. Call it before the first Serve.
func (f *Front) Door(prefix string, refuse Refuse) {
	f.doors = append([]*door{{prefix: prefix, refuse: refuse}}, f.doors...)
}

// Open has a handler answer what begins with a prefix; empty: what nobody else does. Nil closes it.
func (f *Front) Open(prefix string, h http.Handler) {
	for _, d := range f.doors {
		if d.prefix != prefix {
			continue
		}
		if h == nil {
			d.handler.Store(nil)
			return
		}
		d.handler.Store(&h)
		return
	}
	panic("front: no door " + prefix) // a mistake of the program
}

func (f *Front) door(path string) *door {
	for _, d := range f.doors {
		rest, ok := strings.CutPrefix(path, d.prefix)
		if ok && (d.prefix == "" || rest == "" || rest[0] == '/') {
			return d
		}
	}
	return f.doors[len(f.doors)-1]
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	route := ""
	r = httpx.WithRoute(r, &route)
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	if f.o.Seen != nil {
		defer func() { f.o.Seen(route, r.Method, rec.status, time.Since(began)) }() // also of what is broken off
	}
	from := clientOf(r, f.o.Proxies)
	if from.IsValid() {
		r.RemoteAddr = netip.AddrPortFrom(from, portOf(r.RemoteAddr)).String()
	}
	d := f.door(r.URL.Path)
	if wait := f.limits.take(from, r); wait > 0 {
		rec.Header().Set("Retry-After", seconds(wait))
		d.refuse(rec, r, http.StatusTooManyRequests, "too many requests; try again in "+seconds(wait)+" s")
		return
	}
	h := d.handler.Load()
	if h == nil {
		rec.Header().Set("Retry-After", "1")
		d.refuse(rec, r, http.StatusBadGateway, "the server is starting or stopping; ask again in a moment")
		return
	}
	(*h).ServeHTTP(rec, r)
}

// Listen opens a TCP address. The fault says what to do.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		fault := core.Faultf(core.Invalid, "serve", address, "it cannot be listened on: %w", err)
		fault.Hint = "is another server running? choose another address with --listen"
		return nil, fault
	}
	return l, nil
}

// Serve answers on a listener in the background, encrypted when there is a TLS configuration.
func (f *Front) Serve(l net.Listener, secure *tls.Config) { f.serve(l, secure, f) }

// ServePlain has a handler of its own answer on a listener: redirects and challenges.
func (f *Front) ServePlain(l net.Listener, h http.Handler) { f.serve(l, nil, h) }

func (f *Front) serve(l net.Listener, secure *tls.Config, h http.Handler) {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: f.o.HeaderTime, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: f.o.Header, TLSConfig: secure,
		ErrorLog: f.o.Log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	f.mu.Lock()
	f.servers = append(f.servers, s)
	f.mu.Unlock()
	f.working.Go(func() {
		var err error
		if secure != nil {
			err = s.ServeTLS(l, "", "")
		} else {
			err = s.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			select {
			case f.failed <- core.Faultf(core.Internal, "serve", l.Addr().String(), "%w", err):
			default:
			}
		}
	})
}

// Failed gets the fault of a listener that ended by itself.
func (f *Front) Failed() <-chan error { return f.failed }

// Stop takes no more connections and waits for the requests that are answered; when ctx ends, those
// are broken off. It is safe to call twice.
func (f *Front) Stop(ctx context.Context) error {
	f.mu.Lock()
	servers := f.servers
	f.servers = nil
	f.mu.Unlock()
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			if s.Shutdown(ctx) != nil {
				errs[i] = s.Close()
			}
		})
	}
	wg.Wait()
	f.working.Wait()
	return errors.Join(errs...)
}
