package pipeline

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
)

// sessionTurn is a session's part in a change: its next stations and plan.
type sessionTurn struct {
	session  *Session
	from     *route // what it was prepared from
	route    *route
	stations map[string]*station
	options  map[string]map[string]any // of the job
	active   []string                  // of the job

	fresh   []*station // in the plan, and its capsule does not know the stream
	changed []*station // its capsule knows the stream, with other values
	names   []string   // capsules with other values, whether they know the stream or not
	joined  []string   // capsules that take part and did not
	parted  []string   // capsules that take part no more
	parting []Capsule  // know the stream, go on running, and take part in it no more

	calm   <-chan struct{} // nil: the session is not held
	before uint64          // frames begun before the change
	gone   <-chan struct{} // closed when those are done
	late   bool
	diff   []string
}

// sessionList gives the sessions whose capsules are told of their stream.
func (e *Engine) sessionList() []*Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := slices.Collect(maps.Keys(e.sessions))
	slices.SortFunc(list, func(a, b *Session) int { return cmp.Compare(a.job.Source.Stream, b.job.Source.Stream) })
	return list
}

// prepare works out what the session will be after a change.
func (s *Session) prepare(ch *changing) (*sessionTurn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prepareLocked(ch)
}

func (s *Session) prepareLocked(ch *changing) (*sessionTurn, error) {
	t := &sessionTurn{session: s, from: s.route, stations: map[string]*station{}, options: maps.Clone(s.job.Options), active: s.job.Active}
	if own := ch.Streams[s.job.Source.Stream]; len(own) > 0 {
		if t.options == nil {
			t.options = map[string]map[string]any{}
		}
		maps.Copy(t.options, own)
	}
	if names, ok := ch.Active[s.job.Source.Stream]; ok {
		t.active = slices.Clone(names)
	}
	job := s.job
	job.Options, job.Active = t.options, t.active
	for _, name := range slices.Sorted(maps.Keys(ch.after)) {
		c := ch.after[name]
		if !job.uses(name) || c.Stats().State == CapsuleBroken {
			continue
		}
		own, ok := ch.values[name]
		if !ok {
			own = c.Values()
		}
		st, err := newStation(c, own, job)
		if err != nil {
			return nil, err
		}
		t.stations[name] = s.successorLocked(st)
		if now := s.stations[name]; now != nil && now.capsule == c && now != t.stations[name] {
			t.names = append(t.names, name)
		}
		if last := s.seen[name]; slices.Contains(s.known, c) && last != nil && !reflect.DeepEqual(last.values, st.values) {
			t.changed = append(t.changed, st)
		}
	}
	var err error
	if t.route, err = s.makeRoute(t.stations); err != nil {
		return nil, err
	}
	for _, stage := range t.route.stages {
		for _, st := range stage {
			if !slices.Contains(s.known, st.capsule) {
				t.fresh = append(t.fresh, st)
			}
		}
	}
	for _, c := range s.known {
		if name := c.Declaration().Name; ch.after[name] == c && !job.uses(name) {
			t.parting = append(t.parting, c)
		}
	}
	t.joined, t.parted = beyond(t.stations, s.stations), beyond(s.stations, t.stations)
	t.diff = plan.Diff(s.route.plan, t.route.plan)
	return t, nil
}

// beyond gives the names of all that others have not.
func beyond(all, others map[string]*station) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if others[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// successorLocked gives the station that is there where st is the same, else st, which goes on
// with the counts, the queue and the gate of the one before it.
func (s *Session) successorLocked(st *station) *station {
	if now := s.stations[st.name]; now != nil && now.capsule == st.capsule && reflect.DeepEqual(now.values, st.values) {
		return now
	}
	last := s.stations[st.name]
	if last == nil {
		last = s.seen[st.name]
	}
	if last == nil {
		return st
	}
	st.tally = last.tally
	if st.turns != nil && last.turns != nil {
		st.turns = last.turns
	}
	if st.door != nil && last.door != nil && st.door.gate == last.door.gate {
		st.door = last.door
	}
	if st.capsule == last.capsule {
		st.retry = last.retry
	}
	return st
}

// commit puts the turn in force. A session that closes meanwhile is left as it is.
func (t *sessionTurn) commit(ch *changing) {
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.route != t.from { // a broken capsule was left out meanwhile
		again, err := s.prepareLocked(ch)
		if err != nil {
			s.log.Error("cannot plan with the change", "err", err)
			again = &sessionTurn{route: s.route, stations: s.stations, options: s.job.Options, active: s.job.Active}
		}
		t.route, t.stations, t.options, t.active, t.diff = again.route, again.stations, again.options, again.active, again.diff
		t.joined, t.parted, t.parting = again.joined, again.parted, again.parting
	}
	s.stations, s.route, s.job.Options, s.job.Active = t.stations, t.route, t.options, t.active
	for name, st := range s.stations {
		if !slices.Contains(s.known, st.capsule) {
			continue
		}
		if old := s.seen[name]; old != nil && old.capsule != st.capsule {
			st.tally.follow(old.capsule.Stats())
		}
		s.seen[name] = st
	}
	t.before, t.gone = s.ticket, s.under.gone(s.ticket)
}

// hold has frames wait before they begin, and gives a channel that is closed when none is
// under way.
func (s *Session) hold() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = make(chan struct{})
	return s.under.gone(s.ticket)
}

func (s *Session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		close(s.held)
		s.held = nil
	}
}

// tell opens the stream in a capsule, or changes its values there.
func (s *Session) tell(ctx context.Context, c Capsule, values core.Values) error {
	if err := c.OpenStream(ctx, s.job.Source.Stream, values); err != nil {
		return err
	}
	s.mu.Lock()
	over := s.over
	if !over && !slices.Contains(s.known, c) {
		s.known = append(s.known, c)
	}
	s.mu.Unlock()
	if over { // it closed meanwhile
		s.closeStream(ctx, c)
	}
	return nil
}

// untell ends the stream in a capsule that knows it.
func (s *Session) untell(ctx context.Context, c Capsule) {
	s.mu.Lock()
	i := slices.Index(s.known, c)
	if i >= 0 {
		s.known = slices.Delete(s.known, i, i+1)
	}
	s.mu.Unlock()
	if i >= 0 {
		s.closeStream(ctx, c)
	}
}

// lastValues gives the values with which a capsule knows the stream.
func (s *Session) lastValues(name string) core.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[name].values
}
