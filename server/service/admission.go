package service

import (
	"context"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/admission"
	"github.com/capstan-video/capstan/server/store"
)

// Admission says what happens when more streams are to be analysed than the machine carries. The
// zero value refuses them.
type Admission struct {
	Mode  string  // AdmitRefuse, AdmitWarn or AdmitAll; empty: AdmitRefuse
	Share float64 // of the CPUs that streams may take; 0: 0.9
	Most  int     // streams that are analysed at once; 0: as many as the machine carries
	// Floor is how many frames a second, of those that come, every stream is to have at least when
	// frames have to be left out; 0: 5. What is above every rate has no stream carried for which
	// frames would be left out.
	Floor float64

	Every time.Duration  // between two measurements; 0: 2 s
	CPUs  func() float64 // nil: those of this process
	Used  func() Usage   // nil: measured
}

// Usage is the CPU time that was used up to a time, and that nobody used; that is negative where it
// is not known.
type Usage struct {
	At               time.Time
	Engine, Capsules time.Duration
	Idle             time.Duration
}

// The modes of admission.
const (
	AdmitRefuse = "refuse"
	AdmitWarn   = "warn" // it is said in the log
	AdmitAll    = "off"
)

const (
	defaultShare = 0.9
	defaultFloor = 5
	// meterSamples is how many measurements a figure spans: with the default of Every 10 s.
	meterSamples = 6
	// meterSpan is how long a stream must have had frames for its cost to be known.
	meterSpan = 3 * time.Second
	// shedTold is from how many frames a second on it is said that frames are left out, and
	// shedAgain after what time again.
	shedTold  = 1.0
	shedAgain = 30 * time.Second
	// idleLeft is the share of the CPUs that has to be left for them not to be busy.
	idleLeft = 0.05
)

func (a Admission) complete() (Admission, error) {
	switch a.Mode {
	case "":
		a.Mode = AdmitRefuse
	case AdmitRefuse, AdmitWarn, AdmitAll:
	default:
		return a, core.Faultf(core.Invalid, "service", "", "admission %q is not one of refuse, warn, off", a.Mode)
	}
	if a.Share <= 0 {
		a.Share = defaultShare
	}
	if a.Floor <= 0 {
		a.Floor = defaultFloor
	}
	if a.Every <= 0 {
		a.Every = 2 * time.Second
	}
	if a.CPUs == nil {
		a.CPUs = admission.CPUs
	}
	return a, nil
}

// meter measures what the streams that are analysed cost.
type meter struct {
	svc     *Service
	samples []sample // the newest last

	pids     map[int]time.Duration // CPU time of capsules' processes, when last looked at
	capsules time.Duration         // of all that there were
}

// sample is how far the streams were at one time.
type sample struct {
	Usage
	streams map[*runner]progress
	cost    map[*runner]cost // since the sample before
}

// cost is in CPU seconds.
type cost struct{ engine, capsules float64 }

// progress counts since the runner began; work since its session did.
type progress struct {
	frames, shed uint64
	pixels       float64 // of a frame
	work         map[string]pipeline.CapsuleWork
}

// effort is what a stream costs now.
type effort struct {
	admission.Stream
	why  string // frames are left out
	said time.Time
}

// run measures until the service ends.
func (m *meter) run() {
	tick := time.NewTicker(m.svc.cfg.Admission.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.measure()
		case <-m.svc.life.Done():
			return
		}
	}
}

// usedSoFar adds up what this process and those of the capsules use, also of capsules that end.
func (m *meter) usedSoFar() Usage {
	if f := m.svc.cfg.Admission.Used; f != nil {
		return f()
	}
	pids := map[int]time.Duration{}
	for _, c := range m.svc.cfg.Engine.Capsules() {
		if pid := c.Stats().PID; pid > 0 {
			pids[pid] = admission.TimeOf(pid)
			m.capsules += max(0, pids[pid]-m.pids[pid])
		}
	}
	m.pids = pids
	return Usage{At: time.Now(), Engine: admission.TimeOf(os.Getpid()), Capsules: m.capsules, Idle: admission.Idle()}
}

// measure takes a sample, and tells every stream what it cost since the oldest one.
func (m *meter) measure() {
	running := m.svc.running(0)
	if len(running) == 0 {
		m.samples = nil
		m.svc.busy.Store(false)
		return
	}
	now := sample{Usage: m.usedSoFar(), streams: map[*runner]progress{}, cost: map[*runner]cost{}}
	for _, r := range running {
		now.streams[r] = r.progress()
	}
	if n := len(m.samples); n > 0 {
		m.divide(m.samples[n-1], now, running)
	}
	if m.samples = append(m.samples, now); len(m.samples) > meterSamples {
		m.samples = m.samples[1:]
	}
	for _, r := range running {
		m.tell(r)
	}
	m.svc.busy.Store(m.busy())
}

// busy says whether hardly any CPU time was left since the oldest sample.
func (m *meter) busy() bool {
	first, now := m.samples[0], m.samples[len(m.samples)-1]
	span, cpus := now.At.Sub(first.At), m.svc.cfg.Admission.CPUs()
	if span <= 0 {
		return false
	}
	used := now.Engine + now.Capsules - first.Engine - first.Capsules
	if used.Seconds() >= (1-idleLeft)*cpus*span.Seconds() {
		return true
	}
	return first.Idle >= 0 && now.Idle >= 0 && (now.Idle-first.Idle).Seconds() < idleLeft*cpus*span.Seconds()
}

// divide gives every stream its part of what was used between two samples. Where one ended between
// them its part is not known, and the others are taken to go on as before.
func (m *meter) divide(before, now sample, running []*runner) {
	for r := range before.streams {
		if _, on := now.streams[r]; !on {
			maps.Copy(now.cost, before.cost)
			return
		}
	}
	parts := make([]admission.Part, len(running))
	for i, r := range running {
		parts[i] = now.streams[r].since(before.streams[r])
	}
	engine, capsules := admission.Split((now.Engine - before.Engine).Seconds(), (now.Capsules - before.Capsules).Seconds(), parts)
	for i, r := range running {
		now.cost[r] = cost{engine[i], capsules[i]}
	}
}

// tell gives a stream its figures, since the first sample in which it had frames.
func (m *meter) tell(r *runner) {
	from := 0
	for from < len(m.samples) && m.samples[from].streams[r].frames == 0 {
		from++
	}
	var e effort
	if from >= len(m.samples)-1 {
		r.setEffort(e)
		return
	}
	first, now := m.samples[from], m.samples[len(m.samples)-1]
	was, is := first.streams[r], now.streams[r]
	span := now.At.Sub(first.At)
	if span <= 0 {
		return
	}
	for _, s := range m.samples[from+1:] {
		e.Engine += s.cost[r].engine / span.Seconds()
		e.Capsules += s.cost[r].capsules / span.Seconds()
	}
	e.Measured = span >= meterSpan
	e.FPS, e.Shed = float64(is.frames-was.frames)/span.Seconds(), float64(is.shed-was.shed)/span.Seconds()
	if e.Shed > 0 {
		e.why = m.why(was, is, (now.Engine+now.Capsules-first.Engine-first.Capsules).Seconds()/span.Seconds())
	}
	m.say(r, r.setEffort(e), e)
}

// why says why frames are left out.
func (m *meter) why(was, is progress, all float64) string {
	cpus := m.svc.cfg.Admission.CPUs()
	if all >= defaultShare*cpus {
		return fmt.Sprintf("the streams use %.2f of %.4g CPUs", all, cpus)
	}
	slowest, longest := "", time.Duration(0)
	for name, w := range is.work {
		calls, took := w.Calls-was.work[name].Calls, w.Compute-was.work[name].Compute
		if took < 0 { // another session
			calls, took = w.Calls, w.Compute
		}
		if calls > 0 && took/time.Duration(calls) > longest {
			slowest, longest = name, took/time.Duration(calls)
		}
	}
	if slowest == "" {
		return "results take longer than frames are apart"
	}
	return fmt.Sprintf("results take longer than frames are apart; the slowest capsule is %s, with %s a frame", slowest, longest.Round(100*time.Microsecond))
}

// say logs that frames are left out, now and then, and that they are no more.
func (m *meter) say(r *runner, before, e effort) {
	switch {
	case e.Shed >= shedTold && time.Since(before.said) >= shedAgain:
		m.svc.log.Warn("frames of a stream are left out", "stream", r.number, "a_second", fmt.Sprintf("%.1f", e.Shed),
			"analysed_a_second", fmt.Sprintf("%.1f", e.FPS), "why", e.why)
		r.said(time.Now())
	case e.Shed == 0 && !before.said.IsZero():
		m.svc.log.Info("no frames of a stream are left out any more", "stream", r.number)
		r.said(time.Time{})
	}
}

// since is the part that a stream had between two samples.
func (p progress) since(before progress) admission.Part {
	part := admission.Part{Pixels: p.pixels * float64(p.frames+p.shed-before.frames-before.shed)}
	for name, w := range p.work {
		took := w.Compute - before.work[name].Compute
		if took < 0 { // another session
			took = w.Compute
		}
		part.Compute += took.Seconds()
	}
	return part
}

// progress says how far the stream is.
func (r *runner) progress() progress {
	r.mu.Lock()
	p, session := progress{frames: r.st.Frames, shed: r.shed, work: map[string]pipeline.CapsuleWork{}}, r.session
	r.mu.Unlock()
	if session == nil {
		return p
	}
	caps := session.Info().Caps
	p.pixels = float64(caps.Width) * float64(caps.Height)
	for _, w := range session.Work() {
		p.work[w.Name] = w
	}
	return p
}

// setEffort tells the stream what it costs, and gives what it was told before.
func (r *runner) setEffort(e effort) (before effort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.effort
	e.said = before.said
	r.effort = e
	return before
}

func (r *runner) said(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.effort.said = at
}

// load is what the streams do that are analysed.
func (s *Service) load() admission.Load {
	var l admission.Load
	for _, r := range s.running(0) {
		r.mu.Lock()
		one := r.effort.Stream
		one.Keyframes = r.keyframes
		r.mu.Unlock()
		l.Streams = append(l.Streams, one)
	}
	return l
}

// Room says whether the machine carries the analysis of one more stream, and with what figures.
func (s *Service) Room(keyframesOnly bool) admission.Verdict {
	a := s.cfg.Admission
	return admission.Decide(admission.Machine{CPUs: a.CPUs(), Share: a.Share, Most: a.Most, Floor: a.Floor, Busy: s.busy.Load()}, s.load(), keyframesOnly)
}

// awaitRoom waits, where the machine seems not to carry a stream because those that began just now
// are not measured yet, until they are. It is over after a while: some may be cameras that are
// dead.
func (s *Service) awaitRoom(ctx context.Context, n core.StreamNumber) error {
	if s.cfg.Admission.Mode != AdmitRefuse || s.runner(n) != nil {
		return nil
	}
	var cfg core.StreamConfig
	err := s.cfg.Store.View(ctx, func(tx store.Tx) (err error) { cfg, err = tx.Stream(n); return on("stream", err) })
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, meterSpan+2*s.cfg.Admission.Every)
	defer cancel()
	tick := time.NewTicker(s.cfg.Admission.Every / 4)
	defer tick.Stop()
	for {
		if v := s.Room(cfg.KeyframesOnly); v.OK || v.Full || v.Pending == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		case <-s.life.Done():
			return nil
		}
	}
}

// admit refuses a stream that the machine does not carry beside those that are analysed, as
// Exhausted on "stream".
func (s *Service) admit(cfg core.StreamConfig) error {
	if s.cfg.Admission.Mode == AdmitAll || s.runner(cfg.Number) != nil {
		return nil
	}
	v := s.Room(cfg.KeyframesOnly)
	if v.Sheds {
		s.log.Warn("more streams are analysed than all frames of are carried: some will be left out", "stream", cfg.Number, "figures", v.String())
	}
	if v.OK {
		return nil
	}
	if s.cfg.Admission.Mode == AdmitWarn {
		s.log.Warn("a stream is analysed although the machine does not carry it", "stream", cfg.Number, "why", v.String())
		return nil
	}
	f := core.Faultf(core.Exhausted, "", "stream", "%s", v)
	f.Hint = "stop one, decode key frames alone (keyframes_only), or switch the check off (admission.mode: off)"
	return f
}

// meters begins to measure. The caller is New.
func (s *Service) meters(work *sync.WaitGroup) {
	m := &meter{svc: s}
	work.Go(m.run)
}
