package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/push"
	"github.com/capstan-video/capstan/sdk/onnx/files"
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/config"
	"github.com/capstan-video/capstan/server/dialects/brainframe"
	"github.com/capstan-video/capstan/server/dialects/native"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/front"
	"github.com/capstan-video/capstan/server/lifecycle"
	"github.com/capstan-video/capstan/server/observe"
	"github.com/capstan-video/capstan/server/secrets"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// reserve stays free on the disk, so that the database can be written to.
const reserve = 256 << 20

// server is what the parts of capstan serve share. A part writes its field and later ones read it.
type server struct {
	cfg    *config.Loaded
	log    hclog.Logger
	out    io.Writer
	notify *lifecycle.Notifier

	listeners []net.Listener
	plain     net.Listener // redirects and challenges; nil: none
	media     *gstreamer.Media
	db        *sqlstore.Store
	box       *secrets.Box
	blobs     *blob.Folder
	events    *events.Outbox
	host      *host.Host
	engine    *pipeline.Engine
	pictures  *push.Media
	front     *front.Front
	tracer    service.Tracer  // nil: none
	viewing   service.Viewing // nil: none
	clocks    service.Clocks  // of files that are analysed
	native    *native.Handler
	metrics   *observe.Metrics
	site      *observe.Site
	svc       *service.Service
	known     atomic.Pointer[service.Service] // svc, for metrics
	missing   missing
	relaunch  time.Duration // before a capsule that could not be launched is tried again
	password  string        // that was generated at this start; empty: none was
}

func newServer(c *config.Loaded, log hclog.Logger, w io.Writer) *server {
	proxies := make([]netip.Prefix, 0, len(c.Proxies))
	for _, p := range c.Proxies {
		if prefix, err := config.ParsePrefix(p); err == nil { // it was checked
			proxies = append(proxies, prefix)
		}
	}
	s := &server{cfg: c, log: log, out: w, notify: lifecycle.NewNotifier(os.Getenv), relaunch: firstRelaunch}
	s.metrics = observe.NewMetrics(buildVersion(), c.Data, s.observed, log.Named("metrics"))
	s.site = observe.NewSite(s.metrics, c.Metrics, c.Pprof)
	s.front = front.New(front.Options{
		Log: log.Named("http"), Header: int(c.Limits.Header), HeaderTime: c.Limits.HeaderTime, Rate: c.Limits.Rate, Burst: c.Limits.Burst, Proxies: proxies,
		Seen: s.metrics.Request,
	}, brainframe.Refuse)
	s.front.Door(native.Base, front.Problem)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof"} {
		s.front.Door(path, brainframe.Refuse)
		s.front.Open(path, s.site)
	}
	return s
}

// observed gives what metrics are read from, nil while the server starts.
func (s *server) observed() observe.Source {
	if svc := s.known.Load(); svc != nil {
		return svc
	}
	return nil
}

// closing makes a part's stop of a Close.
func closing(close func() error) func(context.Context) error {
	return func(context.Context) error { return close() }
}

func (s *server) startFolder(context.Context) (func(context.Context) error, error) {
	folder, err := lifecycle.OpenFolder(s.cfg.Data)
	if err != nil {
		return nil, err
	}
	return closing(folder.Close), nil
}

// startMedia refuses a machine without what GStreamer cannot do without.
func (s *server) startMedia(context.Context) (func(context.Context) error, error) {
	if err := lacking(gstreamer.Check()); err != nil {
		return nil, err
	}
	var err error
	s.media, err = gstreamer.New(s.log.Named("gstreamer"))
	return nil, err
}

// lacking gives the fault of findings that are required and not well.
func lacking(findings []gstreamer.Finding) error {
	var missing, packages []string
	for _, f := range findings {
		if f.OK || !f.Required {
			continue
		}
		missing = append(missing, f.Name)
		if f.Package != "" && !slices.Contains(packages, f.Package) {
			packages = append(packages, f.Package)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fault := core.Faultf(core.Unsupported, "serve", "GStreamer", "this machine lacks: %s", strings.Join(missing, ", "))
	fault.Hint = "capstan doctor tells more"
	if len(packages) > 0 {
		fault.Hint = "apt-get install " + strings.Join(packages, " ")
	}
	return fault
}

// startAddresses takes the addresses before anything is changed; nobody is answered yet.
func (s *server) startAddresses(ctx context.Context) (func(context.Context) error, error) {
	for _, address := range s.cfg.Listen {
		l, err := front.Listen(ctx, address)
		if err != nil {
			return nil, errors.Join(err, s.closeAddresses(ctx))
		}
		s.listeners = append(s.listeners, l)
	}
	if address := s.cfg.TLS.Redirect; address != "" {
		l, err := front.Listen(ctx, address)
		if err != nil {
			return nil, errors.Join(err, s.closeAddresses(ctx))
		}
		s.plain = l
	}
	if s.cfg.NoAuth == config.Everywhere {
		s.log.Error("AUTHORIZATION IS OFF: everybody who reaches this machine is an administrator", "listen", s.cfg.Listen)
	} else if s.cfg.NoAuth != config.Closed {
		s.log.Warn("authorization is off: everybody on this machine is an administrator")
	}
	return s.closeAddresses, nil
}

func (s *server) closeAddresses(context.Context) error {
	all := s.listeners
	if s.plain != nil {
		all = append(all, s.plain)
	}
	var errs []error
	for _, l := range all {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) { // the front may have done so
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *server) startDatabase(ctx context.Context) (_ func(context.Context) error, err error) {
	if s.box, err = secrets.Open(filepath.Join(s.cfg.Data, "keys", "secrets.key")); err != nil {
		return nil, err
	}
	s.db, err = sqlstore.Open(ctx, databaseURL(s.cfg.Config), sqlstore.Sealed(s.box))
	if err != nil {
		return nil, err
	}
	return closing(s.db.Close), nil
}

// databaseURL is the URL of the store.
func databaseURL(c config.Config) string {
	if c.Database != "" {
		return string(c.Database)
	}
	return "sqlite:" + filepath.Join(c.Data, "capstan.db")
}

func (s *server) startBlobs(context.Context) (_ func(context.Context) error, err error) {
	s.blobs, err = blob.Open(filepath.Join(s.cfg.Data, "blobs"), blob.Options{Reserve: reserve})
	if err != nil {
		return nil, err
	}
	return closing(s.blobs.Close), nil
}

// startEvents delivers what waits from the last time.
func (s *server) startEvents(ctx context.Context) (_ func(context.Context) error, err error) {
	e := s.cfg.Events
	list, err := destinations(e)
	if err != nil {
		return nil, err
	}
	s.events, err = events.Open(ctx, events.Config{
		Store: s.metrics.Store(s.db), Log: s.log, Destinations: list, Detections: e.Detections, AllowLocal: e.AllowLocal, Retain: e.Retain,
	})
	if err != nil {
		return nil, err
	}
	s.metrics.Deliveries(s.events.Stats)
	return closing(s.events.Close), nil
}

// startTraces sends traces where there is somewhere to send them. It is stopped after the service,
// whose last frames it sends.
func (s *server) startTraces(ctx context.Context) (func(context.Context) error, error) {
	endpoint := string(s.cfg.Tracing.Endpoint)
	if endpoint == "" {
		return nil, nil
	}
	t, err := observe.NewTracer(ctx, endpoint, s.cfg.Tracing.Sample, buildVersion(), s.log.Named("traces"))
	if err != nil {
		return nil, err
	}
	s.tracer = t
	return func(ctx context.Context) error {
		if err := t.Close(ctx); err != nil {
			s.log.Warn("the last traces are lost", "err", err)
		}
		return nil
	}, nil
}

// startEngine makes an engine without capsules.
func (s *server) startEngine(context.Context) (func(context.Context) error, error) {
	s.host = host.New(host.Config{Log: s.log, Unsafe: s.cfg.Capsules.Unsafe})
	s.pictures = push.New(service.Looping(s.media, &s.clocks))
	s.engine = pipeline.New(s.pictures, s.log)
	return func(context.Context) error { return errors.Join(s.engine.Close(), s.host.Close()) }, nil
}

// startFront answers from here on: that the server is starting.
func (s *server) startFront(context.Context) (func(context.Context) error, error) {
	secure, wrap, err := s.encryption()
	if err != nil {
		return nil, err
	}
	for _, l := range s.listeners {
		s.front.Serve(l, secure)
	}
	if s.plain != nil {
		_, port, _ := net.SplitHostPort(s.listeners[0].Addr().String())
		s.front.ServePlain(s.plain, wrap(front.Redirect(port)))
	}
	return s.front.Stop, nil
}

// encryption gives the TLS configuration, nil for none, and what wraps plain HTTP.
func (s *server) encryption() (*tls.Config, func(http.Handler) http.Handler, error) {
	t := s.cfg.TLS
	switch {
	case t.Cert != "":
		c, err := front.FilesTLS(t.Cert, t.Key, s.log.Named("tls"))
		return c, asItIs, err
	case len(t.ACME.Hosts) > 0:
		a := front.ACME{Hosts: t.ACME.Hosts, Email: t.ACME.Email, Directory: t.ACME.Directory, CA: t.ACME.CA, Cache: filepath.Join(s.cfg.Data, "acme")}
		return a.TLS()
	}
	return nil, asItIs, nil
}

// startSockets has nothing to start. It is stopped between the service, which ends what goes through
// WebSockets, and the front, which does not wait for them.
func (s *server) startSockets(context.Context) (func(context.Context) error, error) {
	return func(ctx context.Context) error {
		if s.native != nil {
			s.native.Wait(ctx)
		}
		return nil
	}, nil
}

func asItIs(h http.Handler) http.Handler { return h }

// chooseServed takes the chain that encodes faces too, so that persons can be enrolled, where its
// models are there.
func chooseServed(ctx context.Context, c config.Capsules, broken func(string, error), log hclog.Logger) ([]chosen, error) {
	rf := runFlags{capsules: c.Dirs, only: c.Only, without: c.Without, signed: c.RequireSigned, gallery: recognisable, broken: broken}
	list, err := chooseCapsules(ctx, rf)
	if err != nil {
		return nil, err
	}
	for _, chosen := range list {
		name := chosen.entry.Declaration.Name
		switch missing, hint := missingModel(chosen.entry); {
		case missing == "":
		case len(c.Only) > 0:
			log.Warn("a capsule that was named cannot work, and streams that have it fail", "capsule", name, "missing", missing, "hint", hint)
		default:
			log.Warn("faces are found and not recognised", "capsule", name, "missing", missing, "hint", hint)
			rf.gallery, rf.broken = "", func(string, error) {} // they were told
			return chooseCapsules(ctx, rf)
		}
	}
	return list, nil
}

// missingModel names what a capsule needs beside itself and would not find, and how it is had.
func missingModel(e catalog.Entry) (missing, hint string) {
	if len(e.Declaration.Models) == 0 {
		return "", ""
	}
	if _, err := files.Runtime(""); err != nil {
		return "ONNX Runtime", "make onnxruntime; or name the library in " + files.LibraryEnv
	}
	for _, m := range e.Declaration.Models {
		if files.Search(m.File, files.Folders(e.Dir)) == "" {
			return m.File, "capstan models pull; or name its folder in " + files.ModelsEnv
		}
	}
	return "", ""
}

// startService resumes what was analysed. Stopping it ends the endless answers, for which the front
// would wait.
func (s *server) startService(ctx context.Context) (func(context.Context) error, error) {
	up, err := uploads(s.host, s.cfg.Data, s.cfg.Capsules.RequireSigned)
	if err != nil {
		return nil, err
	}
	s.svc, s.password, err = service.New(ctx, service.Config{
		Store: s.metrics.Store(s.db), Blobs: s.blobs, Engine: s.engine, Pictures: s.pictures, JPEG: gstreamer.EncodeJPEG, Log: s.log, Uploads: up, Tracer: s.tracer, Events: s.events, Viewing: s.viewing,
		Admission: service.Admission{Mode: s.cfg.Admission.Mode, Share: s.cfg.Admission.CPU, Most: s.cfg.Admission.Streams, Floor: s.cfg.Admission.FPS},
		NoAuth:    s.cfg.NoAuth != config.Closed, Password: string(s.cfg.AdminPassword),
	})
	if err != nil {
		return nil, err
	}
	s.known.Store(s.svc)
	return closing(s.svc.Close), nil
}

// startDialects lets people in, and says so.
func (s *server) startDialects(context.Context) (func(context.Context) error, error) {
	s.front.Open("", welcoming(brainframe.New(s.svc, s.log.Named("http"), brainframe.Options{MaxJSON: int64(s.cfg.Limits.Body), MaxUpload: int64(s.cfg.Limits.Upload)})))
	s.native = native.New(s.svc, s.log.Named("http"), native.Options{
		Version: buildVersion(), MaxJSON: int64(s.cfg.Limits.Body), MaxUpload: int64(s.cfg.Limits.Upload),
		Others: map[string]func() ([]byte, error){"brainframe": brainframe.Document},
	})
	s.front.Open(native.Base, s.native)
	s.site.Open(observe.Health{Database: s.asks, Broken: s.brokenCapsules, Ready: s.svc.Ready}.Check, s.svc)
	if s.password != "" {
		fmt.Fprintf(s.out, "user admin, password %s (it is not shown again)\n", s.password)
	}
	for _, url := range s.urls() {
		fmt.Fprintf(s.out, "capstan answers at %s\n", url)
	}
	if all := s.urls(); len(all) > 0 {
		fmt.Fprintf(s.out, "a page to read and try its API: %s%s/docs\n", all[0], native.Base)
	}
	if err := s.notify.Tell("READY=1"); err != nil {
		s.log.Warn("systemd could not be told that the server is ready", "err", err)
	}
	s.notify.Watch(func(context.Context) bool { return s.svc.Ready() })
	return func(context.Context) error { s.notify.Close(); return nil }, nil
}

// welcoming sends who opens the address itself, or the root of the API, to the page of the API.
func welcoming(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/", "/capstan", "/capstan/":
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				http.Redirect(w, r, native.Base+"/docs", http.StatusFound)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// asks asks the database something.
func (s *server) asks(ctx context.Context) error {
	return s.db.View(ctx, func(tx store.Tx) error { _, err := tx.Value("health"); return err })
}

// urls gives where the server answers.
func (s *server) urls() []string {
	scheme := "http"
	if s.cfg.TLS.On() {
		scheme = "https"
	}
	var out []string
	for _, l := range s.listeners {
		out = append(out, scheme+"://"+l.Addr().String())
	}
	return out
}
