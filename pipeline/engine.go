package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/hashicorp/go-hclog"
)

// Job says what a session does.
type Job struct {
	Source  Source
	Active  []string                  // the capsules to use; nil: all of the engine's
	Options map[string]map[string]any // by capsule and option, over the capsule's own values
	Every   int                       // n > 1: every n-th frame of the source only
	EveryN  map[string]int            // by capsule, in place of what it declares
	Gates   map[string]core.Gate      // by capsule, in place of what it declares; the zero value: none

	// Pictures are sizes by capsule, in place of what it declares; the zero value: as they come.
	Pictures map[string]core.PictureSize

	// Window is how many frames are under way at once; 0: 8 for files, 2 for live sources
	// (one being worked on, the newest one waiting).
	Window int

	Times bool // results have the times of their calls

	StallAfter time.Duration // live: no frame for so long is a stall; 0: 10 s
	Reconnect  Reconnect
}

// Engine keeps the running capsules and opens sessions that use them.
type Engine struct {
	media Media
	log   hclog.Logger

	// turn has a place for whoever changes the capsules or opens a session. It is taken before mu.
	turn chan struct{}

	mu       sync.Mutex
	capsules map[string]Capsule
	sessions map[*Session]bool // false: its capsules are told of the stream, its source is not open yet
	closed   bool
}

// New gives an engine without capsules.
func New(media Media, log hclog.Logger) *Engine {
	return &Engine{media: media, log: log, capsules: map[string]Capsule{}, sessions: map[*Session]bool{}, turn: make(chan struct{}, 1)}
}

// Add makes a running capsule known to sessions that open later; Change is for those that are
// open. It waits for a change that is under way. The engine does not close the capsule.
func (e *Engine) Add(c Capsule) error {
	name := c.Declaration().Name
	if err := e.take(context.Background()); err != nil {
		return err
	}
	defer e.give()
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.capsules[name]; ok {
		return core.Faultf(core.Exists, "engine", "capsule "+name, "there is one of this name")
	}
	e.capsules[name] = c
	return nil
}

// Capsules gives the running capsules, by name.
func (e *Engine) Capsules() []Capsule {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []Capsule
	for _, name := range slices.Sorted(maps.Keys(e.capsules)) {
		list = append(list, e.capsules[name])
	}
	return list
}

// Open starts a session; ctx bounds the opening only. It fails before the first frame where
// that can be known: unknown capsules or options, a source that cannot be opened.
func (e *Engine) Open(ctx context.Context, job Job) (*Session, error) {
	s, err := e.begin(ctx, job)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	closed := e.closed
	if !closed {
		e.sessions[s] = true
	}
	e.mu.Unlock()
	if closed {
		_ = s.Close()
		return nil, closedFault()
	}
	return s, nil
}

// begin makes a session and tells the capsules of its stream. No change comes between.
func (e *Engine) begin(ctx context.Context, job Job) (*Session, error) {
	if err := e.take(ctx); err != nil {
		return nil, err
	}
	defer e.give()
	stations, err := e.stations(job)
	if err != nil {
		return nil, err
	}
	s, err := newSession(e, job, stations)
	if err != nil {
		return nil, err
	}
	if err := s.openStations(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	e.mu.Lock()
	e.sessions[s] = false
	e.mu.Unlock()
	return s, nil
}

// take waits for the engine's turn.
func (e *Engine) take(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return core.Faultf(core.Cancelled, "engine", "", "another change is under way: %w", context.Cause(ctx))
	}
}

func (e *Engine) give() { <-e.turn }

func closedFault() error { return core.Faultf(core.Closed, "engine", "", "it is closed") }

// stations prepares the active capsules with the job's options, by name. Broken ones are left out.
func (e *Engine) stations(job Job) ([]*station, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.knownLocked(job); err != nil {
		return nil, err
	}
	var list []*station
	for name, c := range e.capsules {
		if !job.uses(name) {
			continue
		}
		if st := c.Stats(); st.State == CapsuleBroken { // as it is left out of sessions that are open
			e.log.Warn("a stream goes on without a capsule that does not run", "stream", job.Source.Stream, "capsule", name, "err", st.LastErr)
			continue
		}
		st, err := newStation(c, c.Values(), job)
		if err != nil {
			return nil, err
		}
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b *station) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// uses says whether a capsule of this name has a part in the session.
func (j Job) uses(name string) bool { return j.Active == nil || slices.Contains(j.Active, name) }

// knownLocked refuses names that no capsule of the engine has.
func (e *Engine) knownLocked(job Job) error {
	names := slices.Clone(job.Active)
	for name := range job.Options {
		names = append(names, name)
	}
	for name := range job.EveryN {
		names = append(names, name)
	}
	for name := range job.Gates {
		names = append(names, name)
	}
	for name := range job.Pictures {
		names = append(names, name)
	}
	for _, name := range names {
		if _, ok := e.capsules[name]; !ok {
			return noSuchCapsule(name, e.capsules)
		}
	}
	return nil
}

func noSuchCapsule(name string, there map[string]Capsule) error {
	names := "none"
	if len(there) > 0 {
		names = strings.Join(slices.Sorted(maps.Keys(there)), ", ")
	}
	return core.Faultf(core.NotFound, "engine", "capsule "+name, "there is no such capsule; there are: %s", names)
}

func (e *Engine) forget(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, s)
}

// Close closes every session and waits for them. Capsules are left to whoever launched them.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	open := make([]*Session, 0, len(e.sessions))
	for s, ready := range e.sessions {
		if ready { // the others find the engine closed
			open = append(open, s)
		}
	}
	e.mu.Unlock()
	var first error
	for _, s := range open {
		if err := s.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// station is one capsule in one session.
type station struct {
	name    string
	capsule Capsule
	decl    core.Declaration // with this session's options put in
	values  core.Values
	everyN  int
	turns   *turnstile    // stateful and gated capsules only
	door    *door         // gated capsules only
	retry   chan struct{} // held by the one frame that is tried a second time
	tally   *capsuleTally
}

// newStation puts the job's settings over own, those of the capsule itself.
func newStation(c Capsule, own core.Values, job Job) (*station, error) {
	decl := c.Declaration()
	given := map[string]any{}
	for k, v := range own {
		given[k] = v
	}
	for k, v := range job.Options[decl.Name] {
		given[k] = v
	}
	values, err := decl.Complete(given)
	if err != nil {
		return nil, err
	}
	resolved, err := decl.Resolve(values)
	if err != nil {
		return nil, fmt.Errorf("options of the stream: %w", err)
	}
	st := &station{name: decl.Name, capsule: c, decl: resolved, values: values, everyN: max(1, resolved.EveryN),
		tally: newTally(), retry: make(chan struct{}, 1)}
	if n, ok := job.EveryN[decl.Name]; ok {
		if n < 1 {
			return nil, core.Faultf(core.Invalid, "engine", "capsule "+decl.Name, "every %d frames: want 1 or more", n)
		}
		st.everyN = n
	}
	if p, ok := job.Pictures[decl.Name]; ok {
		if err := p.Validate(); err != nil {
			return nil, core.Faultf(core.Invalid, "engine", "capsule "+decl.Name, "picture: %w", err)
		}
		st.decl.Picture = p
	}
	if err := st.setGate(job); err != nil {
		return nil, err
	}
	if resolved.Stateful || st.door != nil {
		st.turns = newTurnstile()
	}
	return st, nil
}

func (st *station) setGate(job Job) error {
	if g, ok := job.Gates[st.name]; ok {
		if err := g.Validate(); err != nil {
			return core.Faultf(core.Invalid, "engine", "capsule "+st.name, "gate: %w", err)
		}
		st.decl.Gate = g
	}
	if !st.decl.Gate.IsZero() {
		st.door = &door{gate: st.decl.Gate}
	}
	return nil
}
