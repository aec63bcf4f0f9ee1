package service

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

const (
	// openTimeout bounds the opening of a stream's media and its capsules.
	openTimeout = 30 * time.Second
	// giveUp is how long a session tries to have its camera back; then a new session is opened.
	giveUp = time.Minute
	// shortest is how often a file is begun at most, so that one of a frame or two does not spin.
	shortest = time.Second
	// lastFrames is how long the frames under way may take when a session is stopped.
	lastFrames = 500 * time.Millisecond
	// keyframesApart is how many times rarer results may be where only key frames are decoded.
	keyframesApart = 6
	// speedOver is over how many results the frames a second are measured.
	speedOver = 64
)

// runner keeps one stream analysed: it opens a session, hands results to the watcher, and opens
// another one when that is over.
type runner struct {
	svc    *Service
	number core.StreamNumber
	watch  *watcher
	life   context.Context
	halt   context.CancelFunc // ends the runner; it does not wait
	done   chan struct{}
	again  chan struct{} // has one when the session is to be opened anew at once

	mu       sync.Mutex
	st       StreamState
	session  *pipeline.Session
	stopPlay context.CancelFunc
	times    []time.Time                // of the last results
	encoders map[core.EncoderID]encoder // as this stream has them set

	// What was told of its state, and when telling was tried in vain; of run's goroutine.
	told      string
	toldTried time.Time
	shed      uint64 // frames left out
	effort    effort

	keyframes bool // as it was opened last; mu guards it
}

// runner gives the runner of a stream, nil when it is not analysed.
func (s *Service) runner(n core.StreamNumber) *runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runners[n]
}

// resume starts the streams that were analysed when the server stopped. The caller is New.
func (s *Service) resume(ctx context.Context) error {
	var list []core.StreamConfig
	err := s.cfg.Store.View(ctx, func(tx store.Tx) (err error) { list, err = tx.Streams(0); return err })
	if err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	for _, cfg := range list {
		s.hub.publish(cfg.Number, nil, false)
		if !cfg.Analyze {
			continue
		}
		if err := s.start(ctx, cfg); err != nil {
			return err
		}
	}
	return nil
}

// start begins the analysis of a stream, whose media is opened later. The change lock is held.
func (s *Service) start(ctx context.Context, cfg core.StreamConfig) error {
	n := cfg.Number
	if s.runner(n) != nil {
		return nil
	}
	w, err := s.newWatcher(ctx, n)
	if err != nil {
		return err
	}
	r := &runner{svc: s, number: n, watch: w, done: make(chan struct{}), again: make(chan struct{}, 1), keyframes: cfg.KeyframesOnly,
		st: StreamState{Number: n, State: string(pipeline.SourceConnecting), Since: s.cfg.Now()}}
	r.life, r.halt = context.WithCancel(s.life)
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.runners[n] = r
	}
	s.mu.Unlock()
	if closed {
		r.halt()
		return core.Faultf(core.Closed, "", "stream", "the server is stopping")
	}
	if cfg.Connection.Kind == core.Webcam {
		s.cfg.Viewing.Forget(n) // who watches has the device
	}
	go r.run()
	return nil
}

// stop ends the analysis of a stream and waits; over says that its alerts end too. The change
// lock is held.
func (s *Service) stop(n core.StreamNumber, over bool) {
	s.mu.Lock()
	r := s.runners[n]
	delete(s.runners, n)
	s.mu.Unlock()
	if r == nil {
		return
	}
	r.halt()
	r.wait()
	if over {
		r.watch.silence()
	}
}

func (r *runner) wait() { <-r.done }

// replay has the stream opened anew, with its configuration of now.
func (r *runner) replay() {
	select {
	case r.again <- struct{}{}:
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopPlay != nil {
		r.stopPlay()
	}
}

// state tells how the stream does.
func (r *runner) state() StreamState {
	r.mu.Lock()
	st, session := r.st, r.session
	st.CPU, st.Shed, st.ShedWhy = r.effort.Engine+r.effort.Capsules, r.effort.Shed, r.effort.why
	if n := len(r.times); n > 1 && since(r.svc.cfg.Now(), r.times[n-1]) < 3*time.Second {
		st.FPS = float64(n-1) / max(1e-3, r.times[n-1].Sub(r.times[0]).Seconds())
	}
	r.mu.Unlock()
	if session != nil {
		src := session.Source()
		if st.State, st.Since, st.Err = string(src.State), src.Since, src.LastError; src.State == pipeline.SourceRunning {
			st.Err = "" // it is over
		}
	}
	st.Err = r.svc.cfg.Blobs.Shown(st.Err)
	return st
}

// connect says that the stream is being opened. What went wrong the last time is still told.
func (r *runner) connect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if connecting := string(pipeline.SourceConnecting); r.st.State != connecting {
		r.st.State, r.st.Since = connecting, r.svc.cfg.Now()
	}
}

func (r *runner) enter(state pipeline.SourceState, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.st.State != string(state) {
		r.st.State, r.st.Since = string(state), r.svc.cfg.Now()
	}
	if r.st.Err = ""; err != nil {
		r.st.Err = err.Error()
	}
}

// run plays the stream until the runner is halted.
func (r *runner) run() {
	defer close(r.done)
	defer r.watch.keep()
	defer r.watch.endTracks()
	pause := r.svc.cfg.FirstPause
	for r.life.Err() == nil {
		began := time.Now()
		frames, err := r.play()
		took := time.Since(began)
		switch {
		case r.life.Err() != nil:
			return
		case errors.Is(err, context.Canceled): // it is to be opened anew
			r.rest(0)
		case err == nil && frames > 0: // a file at its end
			pause = r.svc.cfg.FirstPause
			r.rest(shortest - took)
		default:
			if err == nil {
				err = core.Faultf(core.SourceBroken, "stream", string(streamID(r.number)), "not one frame came out of it")
			}
			r.svc.log.Warn("a stream failed and will be opened again", "stream", r.number, "in", pause, "err", err)
			r.enter(pipeline.SourceFailed, err)
			r.watch.silence()
			r.watch.endTracks()
			r.tell(events.StreamFailed, err)
			if took > r.svc.cfg.MostPause {
				pause = r.svc.cfg.FirstPause
			}
			r.rest(pause)
			pause = min(2*pause, r.svc.cfg.MostPause)
		}
	}
}

// rest waits, but not when the stream is to be opened anew.
func (r *runner) rest(d time.Duration) {
	t := time.NewTimer(max(0, d))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.again:
	case <-r.life.Done():
	}
}

// play runs one session to its end, and gives how many results it had. An error of
// context.Canceled says that it was stopped.
func (r *runner) play() (frames int, err error) {
	ctx, cancel := context.WithCancel(r.life)
	defer cancel()
	select {
	case <-r.again: // what it asked for is what is being done
	default:
	}
	r.mu.Lock()
	r.stopPlay = cancel
	r.st.Attempts++
	r.mu.Unlock()
	session, patience, err := r.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Canceled
		}
		return 0, err
	}
	defer session.Close()
	defer r.stopWith(ctx, session)()
	r.svc.tally.begin(r, session)
	defer r.svc.tally.end(r)
	defer r.svc.taps.end(r.number)
	for {
		result, err := r.next(ctx, session, patience)
		switch {
		case ctx.Err() != nil:
			if result != nil {
				result.Release()
			}
			drain(session)
			return frames, context.Canceled
		case errors.Is(err, io.EOF):
			return frames, nil
		case err != nil:
			return frames, err
		case result == nil:
			r.watch.silence()
			r.tell(events.StreamFailed, silent(session, patience))
			continue
		}
		frames++
		r.take(result)
	}
}

// stopWith stops the session when ctx ends, and closes it when its last frames take long: Next waits
// for capsules whatever ctx says. The function that it gives is for when the session has been played.
func (r *runner) stopWith(ctx context.Context, session *pipeline.Session) (played func()) {
	over, stopped := make(chan struct{}), make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(stopped)
		session.Stop()
		select {
		case <-time.After(lastFrames):
			_ = session.Close()
		case <-over:
		}
	})
	return func() {
		close(over)
		if !unhook() {
			<-stopped
		}
	}
}

// drain lets the frames under way of a stopped session end.
func drain(session *pipeline.Session) {
	for {
		result, err := session.Next(context.Background())
		if err != nil {
			return
		}
		result.Release()
	}
}

// next waits for a result; nil without an error when none came in time.
func (r *runner) next(ctx context.Context, session *pipeline.Session, patience time.Duration) (*pipeline.Result, error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	result, err := session.Next(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		return nil, nil
	}
	return result, err
}

// open opens a session with the settings of now. patience is how long it may be silent.
func (r *runner) open(ctx context.Context) (_ *pipeline.Session, patience time.Duration, err error) {
	r.connect()
	var cfg core.StreamConfig
	err = r.svc.cfg.Store.View(ctx, func(tx store.Tx) (err error) { cfg, err = tx.Stream(r.number); return err })
	if err != nil {
		return nil, 0, err
	}
	r.mu.Lock()
	r.keyframes = cfg.KeyframesOnly
	r.mu.Unlock()
	src, err := r.svc.source(cfg)
	if err != nil {
		return nil, 0, err
	}
	r.svc.chain.RLock()
	generation := r.svc.generation.Load()
	job, err := r.svc.jobOf(ctx, r.number)
	r.svc.chain.RUnlock()
	if err != nil {
		return nil, 0, err
	}
	r.recognise(r.svc.encodersWith(job.Options))
	job.Source, job.Reconnect.GiveUp, job.Times = src, giveUp, r.svc.cfg.Tracer != nil
	limited, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	session, err := r.svc.cfg.Engine.Open(limited, job)
	changed := r.svc.generation.Load() != generation
	switch {
	case err != nil && changed && core.KindOf(err) == core.NotFound: // a capsule of the job is gone
		return nil, 0, context.Canceled
	case err != nil:
		return nil, 0, err
	case changed: // settings changed while it opened
		r.svc.log.Debug("settings changed while a stream opened; it is opened anew", "stream", r.number)
		r.replay()
	}
	patience = r.svc.cfg.Silence
	if cfg.KeyframesOnly {
		patience *= keyframesApart
	}
	return session, patience, nil
}

// take hands a result on and gives its picture back.
func (r *runner) take(result *pipeline.Result) {
	defer result.Release()
	r.mu.Lock()
	r.st.Frames++
	for _, n := range result.Drops {
		r.st.Dropped += n
	}
	r.shed += result.Drops[pipeline.DropLate] + result.Drops[pipeline.DropNoSlot]
	r.st.Attempts, r.st.Err = 0, ""
	now := r.svc.cfg.Now()
	if n := len(r.times); n > 0 && now.Before(r.times[n-1]) { // the clock was set back
		r.times = r.times[:0]
	}
	if r.times = append(r.times, now); len(r.times) > speedOver {
		r.times = r.times[len(r.times)-speedOver:]
	}
	encoders := r.encoders
	r.mu.Unlock()
	if r.svc.cfg.Tracer != nil {
		r.traced(result, encoders)
	} else {
		r.name(result, encoders)
		r.watch.see(result)
	}
	r.tell(events.StreamRunning, nil)
}

// name puts the names of known identities in, and shows the result to who looks on.
func (r *runner) name(result *pipeline.Result, encoders map[core.EncoderID]encoder) {
	r.svc.gallery.name(encoders, result.Nodes)
	r.svc.hub.live.see(r.number, result, func(res *pipeline.Result) ([]byte, error) { return r.svc.pictureOf(r.life, res) })
	r.svc.taps.see(r.number, result)
}

// recognise sets how encodings are compared on this stream.
func (r *runner) recognise(encoders map[core.EncoderID]encoder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.encoders = encoders
}
