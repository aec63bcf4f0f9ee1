package pipeline

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/hashicorp/go-hclog"
)

// Session is one run of a stream. A reader goroutine takes frames from the source, as many as
// the window has room for; each frame walks the plan in a goroutine of its own; Next gives the
// results in frame order.
type Session struct {
	job      Job
	engine   *Engine
	log      hclog.Logger
	source   *source
	stations map[string]*station

	stop    context.CancelCauseFunc // ends reading; frames under way are finished
	abort   context.CancelCauseFunc // ends everything
	reading context.Context
	walking context.Context

	window  chan struct{}     // a token for every frame under way or waiting for Next
	pending chan chan *Result // in frame order; as long as the window, so never full
	readers sync.WaitGroup
	walkers sync.WaitGroup
	closing sync.Once
	closed  chan struct{}

	mu      sync.Mutex
	route   *route
	ticket  uint64 // of the next frame
	under   underway
	held    chan struct{}       // not nil: no frame begins until it is closed
	known   []Capsule           // that know the stream
	seen    map[string]*station // the last one of each name, for the report
	over    bool                // closing; capsules are not told of the stream any more
	err     error               // why reading ended; io.EOF at the end
	drops   map[string]uint64
	frames  uint64
	nodes   uint64
	lastPTS core.PTS
	latency Histogram
	began   time.Time

	starved time.Duration // the reader waited for the source
	crowded time.Duration // the reader waited for room in the window
}

// route is the plan of a session with its stations; it is never changed, only replaced.
type route struct {
	plan   *plan.Plan
	stages [][]*station
}

// errStopped is the cause when a session ends because it was asked to.
var errStopped = errors.New("the session was stopped")

func newSession(e *Engine, job Job, stations []*station) (*Session, error) {
	if job.Source.Stream == "" {
		job.Source.Stream = "stream"
	}
	log := e.log.Named("session")
	s := &Session{
		job: job, engine: e, log: log, stations: map[string]*station{}, drops: map[string]uint64{}, closed: make(chan struct{}),
		under: newUnderway(), seen: map[string]*station{},
		source: &source{
			media: e.media, spec: job.Source, policy: job.Reconnect, stallAfter: orElse(job.StallAfter, stallAfter(job.Source)),
			log: log, now: time.Now,
		},
	}
	s.reading, s.stop = context.WithCancelCause(context.Background())
	s.walking, s.abort = context.WithCancelCause(context.Background())
	for _, st := range stations {
		s.stations[st.name] = st
	}
	var err error
	s.route, err = s.makeRoute(s.stations)
	return s, err
}

// stallAfter gives key frames more time: cameras send one every ten seconds or so.
func stallAfter(s Source) time.Duration {
	if s.KeyframesOnly {
		return 6 * defaultStallAfter
	}
	return defaultStallAfter
}

// makeRoute plans the given stations.
func (s *Session) makeRoute(stations map[string]*station) (*route, error) {
	var list []plan.Capsule
	for _, st := range stations {
		list = append(list, plan.Of(st.decl))
	}
	p, err := plan.Make(list)
	if err != nil {
		return nil, err
	}
	s.sayUngated(p)
	r := &route{plan: p}
	for _, names := range p.Stages {
		stage := make([]*station, 0, len(names))
		for _, n := range names {
			stage = append(stage, stations[n])
		}
		r.stages = append(r.stages, stage)
	}
	return r, nil
}

// sayUngated warns of gates that are off, unless they were before.
func (s *Session) sayUngated(p *plan.Plan) {
	for _, u := range p.Ungated {
		if s.route == nil || !slices.Contains(s.route.plan.Ungated, u) {
			s.log.Warn("the gate of a capsule is off; it runs on every frame", "capsule", u.Capsule, "nobody_gives", u.Class, "hint", u.Hint)
		}
	}
}

// open opens the source and begins to read. The capsules know the stream already.
func (s *Session) open(ctx context.Context) error {
	if err := s.source.open(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	n := s.job.Window
	if n <= 0 {
		n = 8
		if s.source.info().Live {
			n = 2
		}
	}
	s.window, s.pending, s.began = make(chan struct{}, n), make(chan chan *Result, n), time.Now()
	s.readers.Add(1)
	go s.read()
	return nil
}

// openStations tells the capsules of the plan of the stream.
func (s *Session) openStations(ctx context.Context) error {
	for _, stage := range s.route.stages {
		for _, st := range stage {
			if err := s.tell(ctx, st.capsule, st.values); err != nil {
				return err
			}
			s.seen[st.name] = st
		}
	}
	return nil
}

// Info gives what is known of the source.
func (s *Session) Info() MediaInfo { return s.source.info() }

// Plan gives the plan that new frames walk.
func (s *Session) Plan() *plan.Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.route.plan
}

// Next waits for the next result. At the end it returns io.EOF; when the source broke, its
// fault, after the results before it. Call it from one goroutine, and Release each result.
func (s *Session) Next(ctx context.Context) (*Result, error) {
	select {
	case turn, ok := <-s.pending:
		if !ok {
			s.mu.Lock()
			defer s.mu.Unlock()
			return nil, s.err
		}
		r := <-turn // the walk always ends: every call in it has a deadline
		<-s.window
		s.note(r)
		return r, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// note counts a result that leaves.
func (s *Session) note(r *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames++
	s.nodes += uint64(len(r.Nodes))
	s.lastPTS = r.Frame.PTS
	s.latency.Add(r.Latency)
	for reason, n := range r.Drops {
		s.drops[reason] += n
	}
}

// read admits frames until the source ends or the session is stopped.
func (s *Session) read() {
	defer s.readers.Done()
	defer close(s.pending)
	err := s.admitAll()
	if errors.Is(err, errStopped) {
		err = io.EOF
	}
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

func (s *Session) admitAll() error {
	every := uint64(max(1, s.job.Every))
	var seen uint64
	drops := map[string]uint64{}
	for {
		began := time.Now()
		select {
		case s.window <- struct{}{}:
		case <-s.reading.Done():
			return context.Cause(s.reading)
		}
		room := time.Now()
		s.waited(0, room.Sub(began))
		for {
			f, p, lost, err := s.source.next(s.reading)
			s.waited(time.Since(room), 0)
			room = time.Now()
			if err != nil {
				<-s.window
				s.keepDrops(drops)
				s.sayShort(seen, err)
				return err
			}
			for reason, n := range lost {
				drops[reason] += n
			}
			if seen++; (seen-1)%every == 0 {
				s.admit(f, p, drops)
				break
			}
			p.Release()
			drops[DropEvery]++
		}
		drops = map[string]uint64{}
	}
}

func (s *Session) waited(source, window time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starved += source
	s.crowded += window
}

// sayShort says that a file held fewer frames than it promised: it may be cut off. Containers
// are off by a few, so a tenth may be missing.
func (s *Session) sayShort(seen uint64, err error) {
	info := s.source.info()
	if errors.Is(err, io.EOF) && !info.Live && info.Frames > 0 && seen*10 < uint64(info.Frames)*9 {
		s.log.Warn("the source ended early; it may be cut off", "stream", s.job.Source.Stream, "frames", seen, "promised", info.Frames)
	}
}

// keepDrops counts drops that no result follows.
func (s *Session) keepDrops(drops map[string]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for reason, n := range drops {
		s.drops[reason] += n
	}
}

func (s *Session) admit(f core.Frame, p Picture, drops map[string]uint64) {
	f.Stream = s.job.Source.Stream
	turn := make(chan *Result, 1)
	s.pending <- turn
	began := time.Now()
	r, ticket := s.begin()
	w := &walk{session: s, route: r, ticket: ticket, frame: f, picture: p, drops: drops, began: began}
	s.walkers.Add(1)
	go func() {
		defer s.walkers.Done()
		w.through(s.walking)
		s.end(ticket)
		turn <- &Result{Frame: f, Nodes: w.nodes, Drops: w.drops, Latency: time.Since(w.began), Times: w.times, picture: p}
	}()
}

// begin gives a frame its ticket and the route of this moment. While the session is held the
// frame waits.
func (s *Session) begin() (*route, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.held != nil && s.walking.Err() == nil {
		held := s.held
		s.mu.Unlock()
		select {
		case <-held:
		case <-s.walking.Done():
		}
		s.mu.Lock()
	}
	r, ticket := s.route, s.ticket
	s.ticket++
	s.under.begin(ticket)
	for _, stage := range r.stages {
		for _, st := range stage {
			if st.turns != nil {
				st.turns.join(ticket)
			}
		}
	}
	return r, ticket
}

// end notes that no capsule has anything to do with the frame any more.
func (s *Session) end(ticket uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under.end(ticket)
}

// leaveOut plans again without a capsule that will not come back.
func (s *Session) leaveOut(st *station, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, ok := s.stations[st.name]; !ok || now.capsule != st.capsule {
		return // it was left out, or replaced, before
	}
	delete(s.stations, st.name)
	r, err := s.makeRoute(s.stations)
	if err != nil {
		s.log.Error("cannot plan without a broken capsule", "capsule", st.name, "err", err)
		return
	}
	s.log.Error("capsule is left out from now on", "capsule", st.name, "err", why,
		"plan", strings.Join(plan.Diff(s.route.plan, r.plan), "; "))
	s.route = r
}

// Stats gives what the session did so far.
func (s *Session) Stats() SessionStats {
	s.mu.Lock()
	st := SessionStats{Frames: s.frames, Nodes: s.nodes, Drops: maps.Clone(s.drops), PTS: s.lastPTS, Latency: s.latency,
		SourceWait: s.starved, WindowWait: s.crowded}
	if !s.began.IsZero() {
		st.Elapsed = time.Since(s.began)
	}
	seen := maps.Clone(s.seen)
	s.mu.Unlock()
	st.Media, st.Source = s.source.stats(), s.source.Status()
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		st.Capsules = append(st.Capsules, seen[name].tally.report(name, seen[name].capsule.Stats()))
	}
	return st
}

// Stop ends the reading of frames. Those under way are finished; Next gives them and then
// io.EOF. It does not wait.
func (s *Session) Stop() { s.stop(errStopped) }

// Close ends the session and waits until nothing of it is left. Results that Next has not
// given are lost. It is safe to call twice and while Next waits.
func (s *Session) Close() error {
	var err error
	s.closing.Do(func() {
		s.stop(errStopped)
		s.abort(core.Faultf(core.Closed, "session", string(s.job.Source.Stream), "it was closed"))
		s.readers.Wait()
		s.walkers.Wait()
		s.discard()
		err = s.source.close()
		s.closeStations()
		s.engine.forget(s)
		close(s.closed)
	})
	<-s.closed
	return err
}

// discard releases results that nobody took. Next may take some of them meanwhile.
func (s *Session) discard() {
	if s.pending == nil {
		return
	}
	for turn := range s.pending {
		(<-turn).Release()
	}
}

// closeStationTimeout bounds what a hanging capsule can do to the end of a session.
const closeStationTimeout = 5 * time.Second

// closeStations ends the stream in every capsule that knows it.
func (s *Session) closeStations() {
	s.mu.Lock()
	s.over = true
	known := s.known
	s.known = nil
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeStationTimeout)
	defer cancel()
	for _, c := range known {
		s.closeStream(ctx, c)
	}
}

func (s *Session) closeStream(ctx context.Context, c Capsule) {
	if err := c.CloseStream(ctx, s.job.Source.Stream); err != nil {
		s.log.Warn("a capsule did not close the stream", "capsule", c.Declaration().Name, "err", err)
	}
}
