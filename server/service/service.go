package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/push"
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

// Config is what a service works with. Store, Blobs and Engine are needed; the caller closes them
// after the service.
type Config struct {
	Store  store.Store
	Blobs  *blob.Folder
	Engine *pipeline.Engine
	// Pictures are the feeds of the engine's media, for pictures that are sent in; nil: they are
	// refused as Unsupported.
	Pictures *push.Media
	JPEG     JPEG         // encodes the frames of alerts; nil: Go's own encoder, which takes 70 ms for 1080p
	Log      hclog.Logger // nil: none
	// Events keeps what is told outside; nil: nothing is. The caller closes it after the service.
	Events  *events.Outbox
	Uploads Uploads // how capsules come over HTTP; the zero value: they do not
	// Admission says what happens when more streams are to be analysed than the machine carries.
	Admission Admission
	Now       func() time.Time // nil: time.Now
	Tracer    Tracer           // nil: none
	Viewing   Viewing          // nil: files and webcams are not served again

	NoAuth   bool   // everybody is an administrator
	Password string // of the administrator that the first start makes; empty: one is generated
	Cost     int    // of bcrypt; 0: 10

	Silence    time.Duration // a stream without a result for so long has its alarms off; 0: 10 s
	Keep       time.Duration // between two times that totals are saved; 0: 10 s
	FirstPause time.Duration // before a stream that failed is opened again, doubling; 0: 1 s
	MostPause  time.Duration // 0: 30 s
}

func (c Config) complete() (Config, error) {
	if c.Store == nil || c.Blobs == nil || c.Engine == nil {
		return c, core.Faultf(core.Invalid, "service", "", "it needs a store, blobs and an engine")
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Cost == 0 {
		c.Cost = 10
	}
	for value, or := range map[*time.Duration]time.Duration{
		&c.Silence: 10 * time.Second, &c.Keep: 10 * time.Second, &c.FirstPause: time.Second, &c.MostPause: 30 * time.Second,
	} {
		if *value <= 0 {
			*value = or
		}
	}
	if c.Viewing == nil {
		c.Viewing = unseen{}
	}
	var err error
	c.Admission, err = c.Admission.complete()
	return c, err
}

// Service is the API on a store and an engine. Its methods may be called from several goroutines.
type Service struct {
	cfg  Config
	log  hclog.Logger
	hub  *hub
	door *guard

	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup // what goes on beside the streams

	// change orders what changes streams, zones, alarms and settings, so that running streams see
	// the changes in the order of the store. It is taken before everything else.
	change sync.Mutex
	// chain is held while the capsules that there are change, and for reading while a stream's job
	// is made of them: a stream then has all of a change, or finds that it has to open anew.
	chain  sync.RWMutex
	loaded loaded
	later  later

	memory *remembering // of cfg.Store, which it is

	mu      sync.Mutex
	runners map[core.StreamNumber]*runner
	closed  bool

	desk       desk
	notices    notices
	generation atomic.Uint64 // of capsules' settings in the store
	pictures   atomic.Uint64 // that were sent in, to name their feeds
	gallery    gallery
	tally      tally
	busy       atomic.Bool // hardly any CPU time is left
	taps       taps

	begun, ended, unsaved atomic.Uint64 // alerts
}

var _ API = (*Service)(nil)

// New opens the service and resumes the streams that are to be analysed. At the first start it
// makes the user "admin" and gives the password that it generated for it, else "".
func New(ctx context.Context, c Config) (*Service, string, error) {
	c, err := c.complete()
	if err != nil {
		return nil, "", err
	}
	memory := newRemembering(c.Store)
	c.Store = memory
	s := &Service{cfg: c, memory: memory, log: c.Log.Named("service"), hub: newHub(c.Now), runners: map[core.StreamNumber]*runner{}, door: newGuard(c.Now, c.Cost), desk: newDesk()}
	s.life, s.end = context.WithCancel(context.Background())
	s.gallery.init()
	password, err := s.firstUser(ctx)
	if err != nil {
		return nil, "", err
	}
	if err := errors.Join(s.resumeLoaded(ctx), s.resumeCapsules(ctx), s.reloadGallery(ctx), s.resume(ctx)); err != nil {
		return nil, "", errors.Join(err, s.Close())
	}
	s.work.Go(s.sweep)
	if c.Events.Detections() {
		s.work.Go(s.writeNotices)
	}
	s.meters(&s.work)
	return s, password, nil
}

// Ready says whether the service answers.
func (s *Service) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed
}

// Close stops every stream, saves what is counted and ends all subscriptions. Streams that are
// analysed are so again at the next start. It is safe to call twice.
func (s *Service) Close() error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	s.closed = true
	running := s.runners
	s.runners = map[core.StreamNumber]*runner{}
	s.mu.Unlock()
	s.end()
	for _, r := range running {
		r.halt()
	}
	for _, r := range running {
		r.wait()
	}
	s.work.Wait()
	for s.flushNotices() { // those of the end
	}
	s.hub.close()
	return s.loaded.close()
}

// view reads the store for a caller who may look.
func (s *Service) view(ctx context.Context, c Caller, f func(store.Tx) error) error {
	if err := may(c, core.Viewer); err != nil {
		return err
	}
	return s.cfg.Store.View(ctx, f)
}

// update changes the store for a caller, and writes down what was changed. object is asked for
// when f is done.
func (s *Service) update(ctx context.Context, c Caller, action string, f func(store.Tx) (object string, err error)) error {
	if err := may(c, core.Editor); err != nil {
		return err
	}
	return s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		object, err := f(tx)
		if err != nil {
			return err
		}
		return tx.SaveAudit(core.AuditEntry{At: s.cfg.Now().UTC(), User: c.Name, Action: action, Object: object})
	})
}

// may refuses callers whose role is too low, as Denied on "role".
func may(c Caller, need core.Role) error {
	if c.Role.May(need) {
		return nil
	}
	f := core.Faultf(core.Denied, "", "role", "this takes the role %s; %q has %q", need, c.Name, c.Role)
	f.Hint = "ask an administrator"
	return f
}

// on gives a fault the noun that it is about, so that dialects can tell it from others.
func on(noun string, err error) error {
	if err == nil {
		return nil
	}
	var f *core.Fault
	if !errors.As(err, &f) || f.On == noun {
		return err
	}
	cause := err
	if plain, ok := err.(*core.Fault); ok && plain.Err != nil { // what it says is said once
		if cause = plain.Err; plain.On != "" {
			cause = fmt.Errorf("%s: %w", plain.On, plain.Err)
		}
	}
	return &core.Fault{Kind: f.Kind, On: noun, Err: cause, Hint: f.Hint}
}

// invalid is a fault of kind Invalid on a noun.
func invalid(noun, format string, args ...any) *core.Fault {
	return core.Faultf(core.Invalid, "", noun, format, args...)
}

// unsupported says that this build has no such thing.
func unsupported(noun, format string, args ...any) *core.Fault {
	return core.Faultf(core.Unsupported, "", noun, format, args...)
}
