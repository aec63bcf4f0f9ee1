package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Change is what is to be different from one frame of each stream on. All of it happens, or
// nothing.
type Change struct {
	// Put are running capsules: each takes the place of the one of its name, or is new. They
	// stay the caller's, who closes them when the change is refused.
	Put    []Capsule
	Remove []string

	// Options are settings by capsule and option, in place of all that the capsule was given
	// before; what is missing has its default. A capsule that is put is not named here.
	Options map[string]map[string]any
	// Streams are settings by stream, capsule and option, in place of Job.Options of that
	// capsule. An empty map takes the stream's own settings back.
	Streams map[core.StreamID]map[string]map[string]any
	// Active are the capsules that take part, by stream, in place of Job.Active; nil for a stream:
	// all of the engine's.
	Active map[core.StreamID][]string
	// IfOpen passes over what Streams and Active say of streams that are not open; else they are
	// refused. Streams come and go by themselves.
	IfOpen bool

	// Drain is how long the frames under way may take; 0: 10 s. Those that are not done then
	// are taken from the capsules that leave. Where options change nothing is cut off; the
	// change is refused.
	Drain time.Duration
}

// Changed says what a change came to. Lists are sorted.
type Changed struct {
	Added, Replaced, Removed []string // capsules
	Configured               []string // capsules with other settings, of their own or for a stream
	Streams                  []StreamChanged

	// Left are the capsules that no stream uses any more, for the caller to close.
	Left []Capsule
}

// StreamChanged is what a change came to in one session.
type StreamChanged struct {
	Stream core.StreamID
	Before uint64   // how many frames of the session were begun before the change
	Plan   []string // what is different in the plan, in words; see plan.Diff
	Late   bool     // frames were still under way when Drain was over

	// Joined are the capsules that take part and did not before, Parted the reverse. Sorted.
	Joined, Parted []string
}

// Empty says whether nothing changed.
func (c *Changed) Empty() bool {
	return !c.capsules() && !slices.ContainsFunc(c.Streams, func(s StreamChanged) bool { return len(s.Joined)+len(s.Parted) > 0 })
}

// capsules says whether the change was one of capsules or options, which every stream may see.
func (c *Changed) capsules() bool {
	return len(c.Added)+len(c.Replaced)+len(c.Removed)+len(c.Configured) > 0
}

const defaultDrain = 10 * time.Second

// ErrBusy is in the error of a change that was refused because frames under way, or the telling of
// capsules, took longer than Drain. It says nothing against the change.
var ErrBusy = errors.New("its frames under way are not done yet")

// Change adds, replaces and removes capsules, changes options, and has capsules take part in
// streams or not, while they run. New
// capsules, and running ones with new options, are probed (see Probe); new ones are told of the
// streams; then every stream goes over to them
// between two frames: frames that have begun end with the old plan and the old capsules, all
// later ones see the new. Change returns when the old capsules are done with their frames.
//
// Where a running capsule gets other options, its streams wait for the frames under way first,
// so that no frame sees both. A capsule that takes part in a stream no more is told of the
// stream's end when the frames before are done; the others do not notice, and keep their state.
//
// Nothing has changed when an error comes back: a name that is not there or comes twice,
// options that are not allowed, a capsule that fails its probe or refuses a stream or options, a
// closed engine. Changes wait for each other; ctx bounds the waiting and the preparations.
func (e *Engine) Change(ctx context.Context, c Change) (*Changed, error) {
	if err := e.take(ctx); err != nil {
		return nil, err
	}
	defer e.give()
	c.Drain = orElse(c.Drain, defaultDrain)
	ch := &changing{engine: e, Change: c, report: &Changed{}}
	err := ch.draft()
	if err == nil {
		err = ch.prepare()
	}
	if err == nil {
		err = ch.probe(ctx)
	}
	if err == nil {
		err = ch.enact(ctx)
	}
	if err == nil {
		err = ch.commit()
	}
	if err != nil {
		ch.takeBack()
		e.log.Warn("a change of capsules was refused; everything is as it was", "err", err)
		return nil, err
	}
	ch.drain()
	ch.say()
	return ch.report, nil
}

// changing is a change on its way.
type changing struct {
	Change
	engine *Engine
	before map[string]Capsule
	after  map[string]Capsule
	values map[string]core.Values // by capsule: its new settings, where they differ
	turns  []*sessionTurn
	undo   []func(context.Context) error // in the order of what was done
	report *Changed
}

// draft finds out what capsules and settings there will be.
func (ch *changing) draft() error {
	e := ch.engine
	e.mu.Lock()
	closed := e.closed
	ch.before, ch.after = maps.Clone(e.capsules), maps.Clone(e.capsules)
	e.mu.Unlock()
	if closed {
		return closedFault()
	}
	if err := ch.draftCapsules(); err != nil {
		return err
	}
	return errors.Join(ch.draftOptions(), ch.draftActive())
}

func (ch *changing) draftActive() error {
	for _, names := range ch.Active {
		for _, name := range names {
			if ch.after[name] == nil {
				return noSuchCapsule(name, ch.after)
			}
		}
	}
	return nil
}

func (ch *changing) draftCapsules() error {
	named := map[string]bool{}
	once := func(name string) error {
		if named[name] {
			return core.Faultf(core.Exists, "change capsules", name, "it is named twice")
		}
		named[name] = true
		return nil
	}
	for _, c := range ch.Put {
		d := c.Declaration()
		if err := errors.Join(d.Validate(), once(d.Name)); err != nil {
			return err
		}
		if ch.before[d.Name] == c {
			return core.Faultf(core.Invalid, "change capsules", d.Name, "it cannot take its own place")
		}
		ch.after[d.Name] = c
		if ch.before[d.Name] == nil {
			ch.report.Added = append(ch.report.Added, d.Name)
		} else {
			ch.report.Replaced = append(ch.report.Replaced, d.Name)
		}
	}
	for _, name := range ch.Remove {
		if ch.before[name] == nil {
			return noSuchCapsule(name, ch.before)
		}
		if err := once(name); err != nil {
			return err
		}
		delete(ch.after, name)
		ch.report.Removed = append(ch.report.Removed, name)
	}
	return nil
}

func (ch *changing) draftOptions() error {
	ch.values = map[string]core.Values{}
	for name, given := range ch.Options {
		c := ch.after[name]
		switch {
		case c == nil:
			return noSuchCapsule(name, ch.after)
		case c != ch.before[name]:
			return core.Faultf(core.Invalid, "change options", name, "it is being put in; launch it with its options")
		}
		v, err := c.Declaration().Complete(given)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(v, c.Values()) {
			ch.values[name] = v
		}
	}
	for _, byCapsule := range ch.Streams {
		for name := range byCapsule {
			if ch.after[name] == nil {
				return noSuchCapsule(name, ch.after)
			}
		}
	}
	return nil
}

// probe tries new capsules, and running ones with their new values, on pictures of the size
// that the streams have.
func (ch *changing) probe(ctx context.Context) error {
	caps := core.Caps{Width: 640, Height: 360, RateN: 25, RateD: 1}
	for _, t := range ch.turns {
		if c := t.session.Info().Caps; c.Width > 0 && c.Height > 0 {
			caps = c
		}
	}
	for _, c := range ch.Put {
		if err := Probe(ctx, c, c.Values(), caps); err != nil {
			return err
		}
	}
	tried := map[string][]core.Values{}
	try := func(name string, v core.Values) error {
		if slices.ContainsFunc(tried[name], func(t core.Values) bool { return reflect.DeepEqual(t, v) }) {
			return nil
		}
		tried[name] = append(tried[name], v)
		return Probe(ctx, ch.after[name], v, caps)
	}
	for _, name := range slices.Sorted(maps.Keys(ch.values)) {
		if err := try(name, ch.values[name]); err != nil {
			return err
		}
	}
	for _, t := range ch.turns {
		for _, st := range t.changed {
			if err := try(st.name, st.values); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare plans every session anew, in which nothing shows yet.
func (ch *changing) prepare() error {
	sessions := ch.engine.sessionList()
	named := slices.Concat(slices.Collect(maps.Keys(ch.Streams)), slices.Collect(maps.Keys(ch.Active)))
	for _, id := range named {
		if !ch.IfOpen && !slices.ContainsFunc(sessions, func(s *Session) bool { return s.job.Source.Stream == id }) {
			return core.Faultf(core.NotFound, "change", "stream "+string(id), "there is no such stream")
		}
	}
	for _, s := range sessions {
		t, err := s.prepare(ch)
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.job.Source.Stream, err)
		}
		ch.turns = append(ch.turns, t)
	}
	return nil
}

// enact tells the capsules: of streams that are new to them while frames go on, of other
// options while the sessions that use them are held.
func (ch *changing) enact(ctx context.Context) error {
	for _, t := range ch.turns {
		for _, st := range t.fresh {
			if err := t.session.tell(ctx, st.capsule, st.values); err != nil {
				return err
			}
			ch.undo = append(ch.undo, func(ctx context.Context) error { t.session.untell(ctx, st.capsule); return nil })
		}
	}
	limited, cancel := context.WithTimeout(ctx, ch.Drain)
	defer cancel()
	err := ch.reconfigure(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil && core.KindOf(err) == core.Cancelled {
		err = core.Faultf(core.CapsuleDeadline, "change options", "", "%w: not within %s: %w", ErrBusy, ch.Drain, err) // nobody has given up
	}
	return err
}

// reconfigure gives running capsules other options.
func (ch *changing) reconfigure(ctx context.Context) error {
	if err := ch.hold(ctx); err != nil {
		return err
	}
	for name, v := range ch.values {
		c, old := ch.after[name], ch.after[name].Values()
		if err := c.Configure(ctx, v); err != nil {
			return err
		}
		ch.undo = append(ch.undo, func(ctx context.Context) error { return c.Configure(ctx, old) })
	}
	for _, t := range ch.turns {
		for _, st := range t.changed {
			old := t.session.lastValues(st.name)
			ch.undo = append(ch.undo, func(ctx context.Context) error { return t.session.tell(ctx, st.capsule, old) })
			if err := t.session.tell(ctx, st.capsule, st.values); err != nil {
				return err
			}
		}
	}
	return nil
}

// hold has the sessions wait whose running capsules get other options, all of them together.
func (ch *changing) hold(ctx context.Context) error {
	for _, t := range ch.turns {
		if len(t.changed) > 0 {
			t.calm = t.session.hold()
		}
	}
	for _, t := range ch.turns {
		if t.calm == nil {
			continue
		}
		select {
		case <-t.calm:
		case <-ctx.Done():
			return core.Faultf(core.CapsuleDeadline, "change options", "stream "+string(t.session.job.Source.Stream),
				"%w: %w", ErrBusy, context.Cause(ctx))
		}
	}
	return nil
}

// takeBack undoes what enact did, last things first.
func (ch *changing) takeBack() {
	ctx, cancel := context.WithTimeout(context.Background(), closeStationTimeout)
	defer cancel()
	for _, undo := range slices.Backward(ch.undo) {
		if err := undo(ctx); err != nil {
			ch.engine.log.Warn("a change could not be taken back", "err", err)
		}
	}
	ch.release()
}

func (ch *changing) release() {
	for _, t := range ch.turns {
		if t.calm != nil {
			t.session.release()
		}
	}
}

// commit makes the change: from here on it cannot fail.
func (ch *changing) commit() error {
	e := ch.engine
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return closedFault()
	}
	e.capsules = ch.after
	e.mu.Unlock()
	for _, t := range ch.turns {
		t.commit(ch)
	}
	ch.release()
	return nil
}

// drain waits for the frames that have begun before and takes leave of the old capsules.
func (ch *changing) drain() {
	var leaving []Capsule
	for name, c := range ch.before {
		if ch.after[name] != c {
			leaving = append(leaving, c)
		}
	}
	slices.SortFunc(leaving, byName)
	ch.report.Left = leaving
	timer := time.NewTimer(ch.Drain)
	defer timer.Stop()
	late := false
	for _, t := range ch.turns {
		select {
		case <-t.gone:
			continue
		default:
		}
		if !late {
			select {
			case <-t.gone:
				continue
			case <-timer.C:
				late = true
			}
		}
		t.late = true
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeStationTimeout)
	defer cancel()
	for _, t := range ch.turns {
		for _, c := range slices.Concat(leaving, t.parting) {
			t.session.untell(ctx, c)
		}
	}
}

// say reports and logs what happened.
func (ch *changing) say() {
	r := ch.report
	for name := range ch.values {
		r.Configured = append(r.Configured, name)
	}
	for _, t := range ch.turns {
		r.Configured = append(r.Configured, t.names...)
		r.Streams = append(r.Streams, StreamChanged{Stream: t.session.job.Source.Stream, Before: t.before, Plan: t.diff, Late: t.late,
			Joined: t.joined, Parted: t.parted})
	}
	for _, list := range []*[]string{&r.Added, &r.Replaced, &r.Removed, &r.Configured} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.SortFunc(r.Streams, func(a, b StreamChanged) int { return cmp.Compare(a.Stream, b.Stream) })
	if r.Empty() {
		return
	}
	if r.capsules() {
		ch.engine.log.Info("capsules changed", "added", r.Added, "replaced", r.Replaced, "removed", r.Removed, "other_options", r.Configured)
	}
	for _, s := range r.Streams {
		if !r.capsules() && len(s.Joined)+len(s.Parted) == 0 {
			continue
		}
		ch.engine.log.Info("stream goes on with the change", "stream", s.Stream, "frames_before", s.Before,
			"joined", s.Joined, "parted", s.Parted, "plan", s.Plan)
		if s.Late {
			ch.engine.log.Warn("frames were taken from capsules that left", "stream", s.Stream, "after", ch.Drain)
		}
	}
	for _, name := range r.Replaced {
		if ch.before[name].Declaration().Stateful {
			ch.engine.log.Info("the new capsule begins without the state of the old one", "capsule", name)
		}
	}
}

func byName(a, b Capsule) int { return cmp.Compare(a.Declaration().Name, b.Declaration().Name) }
