package conform

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"image"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Suite says how a conformance run is done. The zero value is good.
type Suite struct {
	Options  map[string]any // what the capsule cannot do without, a path for example
	Pictures []image.Image  // more to look at than the suite's own
	Only     []string       // cases; nil: all
	Random   bool           // the capsule may give different results for the same frames

	Limit  time.Duration // for one frame; 0: 60 s
	Budget time.Duration // a case begins no further frame after so long; 0: 5 s

	Begin func(name, about string) // called before each case; may be nil
	End   func(Result)             // called after it; may be nil
}

// testCase is one case. A rule is judged on the frames of all the other cases and comes last.
type testCase struct {
	name, about string
	run         func(t *trial)
	rule        bool
}

func cases() []testCase {
	return []testCase{
		{name: "manifest", about: "the manifest says what the program says of itself", run: (*trial).manifest},
		{name: "start", about: "it opens with its options' defaults and answers a frame", run: (*trial).start},
		{name: "options", about: "every option at its limits and each of its choices", run: (*trial).limits},
		{name: "refusals", about: "values beyond the limits and of wrong types are refused, and change nothing", run: (*trial).refusals},
		{name: "changes", about: "options change on an open stream, between two frames", run: (*trial).changes},
		{name: "formats", about: "every accepted format: black, white, noise, pictures; full and limited range", run: (*trial).formats},
		{name: "sizes", about: "1x1, odd sizes, padded rows, 4K", run: (*trial).sizes},
		{name: "empty", about: "frames without nodes", run: (*trial).empty},
		{name: "nodes", about: "from one node to hundreds, with some that it does not ask for", run: (*trial).nodes},
		{name: "borders", about: "nodes at and beyond the borders, without area, of one point", run: (*trial).borders},
		{name: "time", about: "gaps in sequence and time, the same time twice", run: (*trial).time},
		{name: "repeat", about: "the same frames give the same, in a capsule that was started anew", run: (*trial).repeat},
		{name: "streams", about: "streams side by side give what each gives alone", run: (*trial).streams},
		{name: "flight", about: "many frames under way: each answer belongs to its frame", run: (*trial).flight},
		{name: "pixels", about: "the pixels of a frame are only read", run: (*trial).pixels},
		{name: "cancel", about: "a caller that does not wait any longer", run: (*trial).cancel},
		{name: "deadline", about: "a deadline that passes: it is started again and goes on", run: (*trial).deadline},
		{name: "kill", about: "killed in the middle: it is started again and goes on", run: (*trial).kill},
		{name: "reopen", about: "streams opened and closed many times: memory, descriptors, threads", run: (*trial).reopen},
		{name: "close", about: "closed with a stream open: it ends by itself and leaves nothing", run: (*trial).close},
		{name: "returns", about: "the form of what it returns, and for which nodes", rule: true},
		{name: "classes", about: "nodes are of the declared classes", rule: true},
		{name: "attributes", about: "declared attributes are there, with declared values", rule: true},
		{name: "extra_data", about: "declared keys of extra data are there, all of it is JSON", rule: true},
		{name: "encodings", about: "encodings are there if declared, finite and of one length", rule: true},
		{name: "tracks", about: "tracks are there if declared, and UUIDs", rule: true},
		{name: "coords", about: "outlines have points that are numbers, within reach of the frame", rule: true},
	}
}

// NotStarted is the reason of the cases that are not run because the case start has failed.
const NotStarted = "the capsule cannot be started"

// Run gives the capsule every case that the suite asks for. An error says that the run itself
// could not be done, for example because the capsule cannot be started; a capsule that fails is
// in the report.
func (s Suite) Run(ctx context.Context, home Home) (*Report, error) {
	if err := CheckNames(s.Only); err != nil {
		return nil, err
	}
	if err := home.Declaration.Validate(); err != nil {
		return nil, err
	}
	r, err := s.begin(home)
	if err != nil {
		return nil, err
	}
	defer r.drop()
	report := &Report{Capsule: r.plain.Name, Version: r.plain.Version, Home: home.Name}
	for _, c := range r.chosen() {
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		if s.Begin != nil && r.reported(c) {
			s.Begin(c.name, c.about)
		}
		result := r.one(ctx, c)
		if !r.reported(c) {
			continue
		}
		switch result.Verdict {
		case Failed:
			report.Failed++
		case Noted:
			report.Noted++
		}
		report.Cases = append(report.Cases, result)
		if s.End != nil {
			s.End(result)
		}
	}
	return report, nil
}

func (s Suite) begin(home Home) (*run, error) {
	if s.Limit <= 0 {
		s.Limit = time.Minute
	}
	if s.Budget <= 0 {
		s.Budget = 5 * time.Second
	}
	values, err := home.Declaration.Complete(s.Options)
	if err != nil {
		return nil, err
	}
	decl, err := home.Declaration.Resolve(values)
	if err != nil {
		return nil, err
	}
	h := fnv.New64a()
	h.Write([]byte(decl.Name))
	return &run{Suite: s, home: home, plain: home.Declaration, decl: decl, seed: h.Sum64(), rules: newRules(decl)}, nil
}

// run is one conformance run.
type run struct {
	Suite
	home  Home
	plain core.Declaration // options not put in
	decl  core.Declaration // with those of the suite
	seed  uint64
	rules *rules

	subject  Subject      // of the last case, if it is still good
	opened   atomic.Int64 // streams so far, for their names
	unsteady bool         // the case repeat has seen different results
	dead     bool         // the case start has seen that it cannot be started
}

// feeding are the cases whose frames the rules are judged on when nothing else runs.
var feeding = []string{"formats", "nodes", "borders"}

// chosen gives the cases to run. Where a rule is asked for, so are cases that feed it.
func (r *run) chosen() []testCase {
	if len(r.Only) == 0 {
		return cases()
	}
	rule := slices.ContainsFunc(cases(), func(c testCase) bool { return c.rule && slices.Contains(r.Only, c.name) })
	return slices.DeleteFunc(cases(), func(c testCase) bool {
		return !slices.Contains(r.Only, c.name) && !(rule && slices.Contains(feeding, c.name)) && !(c.name == "repeat" && slices.Contains(r.Only, "streams"))
	})
}

func (r *run) reported(c testCase) bool { return len(r.Only) == 0 || slices.Contains(r.Only, c.name) }

func (r *run) one(ctx context.Context, c testCase) Result {
	began := time.Now()
	t := &trial{run: r, ctx: ctx, name: c.name, began: began}
	res := Result{Name: c.name, About: c.about, Verdict: Passed}
	if r.dead && c.name != "manifest" {
		res.Reason = NotStarted
	} else if c.rule {
		res.Findings, res.Notes, res.Reason = r.rules.verdict(c.name)
		res.Frames = r.rules.frames
	} else {
		c.run(t)
		res.Findings, res.Notes, res.Reason = t.wrong.all(), t.notes.all(), t.reason
		res.Frames = t.frames
	}
	switch {
	case len(res.Findings) > 0:
		res.Verdict, res.Reason = Failed, ""
		r.drop() // the next case gets a fresh one
	case res.Reason != "":
		res.Verdict = NotApplicable
	case len(res.Notes) > 0:
		res.Verdict = Noted
	}
	res.Took = time.Since(began)
	res.Millis = float64(res.Took.Microseconds()) / 1000
	return res
}

func (r *run) drop() {
	if r.subject != nil {
		_ = r.subject.Close()
		r.subject = nil
	}
}

// trial is one case at work; only its own goroutine uses it, but for process.
type trial struct {
	*run
	ctx   context.Context
	name  string
	began time.Time

	mu     sync.Mutex
	gone   bool // its process does not come back
	frames int
	wrong  findings
	notes  findings
	reason string
}

func (t *trial) fail(mend, where, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong.add(fmt.Sprintf(format, args...), mend, where)
}

func (t *trial) note(mend, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes.add(fmt.Sprintf(format, args...), mend, "")
}

// skip says why the case is not applicable.
func (t *trial) skip(format string, args ...any) { t.reason = fmt.Sprintf(format, args...) }

func (t *trial) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.wrong.list) > 0
}

// over says whether the case has used its time up. The first frames of a case run in any case.
func (t *trial) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone || t.ctx.Err() != nil || time.Since(t.began) > t.Budget
}

// started gives the capsule running, the one of the case before if it is still good.
func (t *trial) started() Subject {
	if t.subject == nil {
		t.subject = t.fresh(Settings{})
	}
	return t.subject
}

// fresh starts the capsule with the suite's options under its own; nil, and the case has failed,
// when it does not start.
func (t *trial) fresh(settings Settings) Subject {
	settings.Options = t.with(settings.Options)
	s, err := t.home.Start(t.ctx, settings)
	if err != nil {
		what, mend := explain(err)
		t.fail(mend, "", "it cannot be started: %s", what)
		return nil
	}
	return s
}

func (t *trial) with(options map[string]any) map[string]any {
	all := maps.Clone(t.Options)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, options)
	return all
}

// stream is an open stream of a subject.
type stream struct {
	*trial
	subject Subject
	id      core.StreamID
	decl    core.Declaration
	seq     uint64
}

// open opens a stream of its own with options over the suite's own; nil, and the case has
// failed, when that goes wrong.
func (t *trial) open(s Subject, options map[string]any) *stream {
	st, err := t.tryOpen(s, options)
	if err != nil {
		what, mend := explain(err)
		t.fail(mend, "", "a stream cannot be opened: %s", what)
		return nil
	}
	return st
}

func (t *trial) tryOpen(s Subject, options map[string]any) (*stream, error) {
	id := core.StreamID(fmt.Sprintf("%s-%d", t.name, t.opened.Add(1)))
	given := t.with(options)
	decl := t.decl
	if len(options) > 0 {
		if v, err := t.plain.Complete(given); err == nil {
			if d, err := t.plain.Resolve(v); err == nil {
				decl = d
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.Limit)
	defer cancel()
	if err := s.OpenStream(ctx, id, given); err != nil {
		return nil, err
	}
	return &stream{trial: t, subject: s, id: id, decl: decl}, nil
}

// close ends the stream; the next frame of its ID would be refused.
func (s *stream) close() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.Limit)
	defer cancel()
	if err := s.subject.CloseStream(ctx, s.id); err != nil {
		what, mend := explain(err)
		s.fail(mend, "", "a stream cannot be closed: %s", what)
	}
}

// try gives a frame to the capsule and holds the returns against the rules.
func (s *stream) try(f *Frame) ([]core.Return, error) {
	f.Info.Stream = s.id
	if f.Info.Seq = s.seq + 1; f.Info.PTS == 0 {
		f.Info.PTS = core.PTS(s.seq) * core.PTS(40*time.Millisecond)
	}
	s.seq++
	return s.send(s.ctx, f)
}

// send is try for a frame that has its place already; it may be called from several goroutines.
func (s *stream) send(ctx context.Context, f *Frame) ([]core.Return, error) {
	if f.Info.Captured.IsZero() {
		f.Info.Captured = time.Unix(1700000000, int64(f.Info.PTS)).UTC()
	}
	input := needed(s.decl.Input, f.Nodes)
	given := *f
	given.Nodes = needed(s.decl.Input, f.Nodes)
	s.mu.Lock()
	s.frames++
	s.mu.Unlock()
	before := crc32.ChecksumIEEE(f.Memory)
	returns, err := s.answer(ctx, &given)
	if s.home.Shared && crc32.ChecksumIEEE(f.Memory) != before {
		s.rules.wrote(s.where(f))
	}
	if err == nil {
		s.rules.judge(s.decl, input, returns, f, s.where(f))
	}
	return returns, err
}

// answer waits for the subject, at most for Limit: code inside this process cannot be ended.
func (s *stream) answer(ctx context.Context, f *Frame) ([]core.Return, error) {
	type answered struct {
		returns []core.Return
		err     error
	}
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	out := make(chan answered, 1)
	go func() {
		returns, err := s.subject.Process(ctx, f)
		out <- answered{returns, err}
	}()
	late := time.NewTimer(s.Limit + time.Second)
	defer late.Stop()
	select {
	case a := <-out:
		return a.returns, a.err
	case <-late.C:
		return nil, core.Faultf(core.CapsuleDeadline, "capsule "+s.decl.Name, "", "it did not answer within %s", s.Limit)
	}
}

// where names a frame for a person.
func (s *stream) where(f *Frame) string {
	text := fmt.Sprintf("%s, frame %d of %s", s.name, f.Info.Seq, s.id)
	if l := f.Layout; l.Format != "" {
		text = fmt.Sprintf("%s, %s %dx%d", s.name, l.Format, l.Width, l.Height)
	}
	if len(f.Nodes) > 0 {
		text += fmt.Sprintf(", %d nodes", len(f.Nodes))
	}
	return text
}

// give is try of which nothing may go wrong; false when something did.
func (s *stream) give(f *Frame) bool {
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	if gone {
		return false
	}
	returns, err := s.try(f)
	return s.good(f, returns, err)
}

// good fails the case for a frame that gave an error.
func (s *stream) good(f *Frame, returns []core.Return, err error) bool {
	for i := range returns {
		err = errors.Join(err, returns[i].Err)
	}
	if err == nil {
		return true
	}
	what, mend := explain(err)
	s.fail(mend, s.where(f), "%s", what)
	s.recovers(err)
	return false
}

// recovers waits until a process that died is back, so that the next frame is not lost to the
// same fault. One that does not come back has no further frames in this case.
func (s *stream) recovers(err error) {
	p, ok := s.subject.(Process)
	switch core.KindOf(err) {
	case core.CapsuleExited, core.CapsuleDeadline, core.CapsuleGarbage, core.CapsuleLimit:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.Limit)
	defer cancel()
	if ok && p.Ready(ctx) != nil {
		s.mu.Lock()
		s.gone = true
		s.mu.Unlock()
	}
}

// formats gives the accepted formats; one empty one for a capsule that gets no pixels.
func (r *run) accepted() []core.PixelFormat {
	if len(r.decl.Formats) == 0 {
		return []core.PixelFormat{""}
	}
	return r.decl.Formats
}

// filled makes a frame of a stream of w by h pixels, the picture in the size that the capsule wants.
func (r *run) filled(pattern string, format core.PixelFormat, w, h, pad int, full bool, seed uint64) *Frame {
	if format == "" {
		return Blank(w, h)
	}
	pw, ph := r.decl.Picture.Fit(w, h)
	f := Filled(pattern, format, pw, ph, pad, full, seed)
	f.Info.Caps.Width, f.Info.Caps.Height = w, h
	return f
}

// pictured makes a frame of picture n of those that are there.
func (r *run) pictured(n int, format core.PixelFormat) *Frame {
	list := append(slices.Clone(r.Pictures), ownPictures()...)
	img := list[n%len(list)]
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	if format == "" {
		return Blank(w, h)
	}
	pw, ph := r.decl.Picture.Fit(w, h)
	return FrameOf(resized{img, pw, ph}, format, Native(w, h), Padded(n%3))
}

func (r *run) random(of uint64) *rand.Rand {
	return rand.New(rand.NewPCG(r.seed, of)) // #nosec G404 -- pictures of tests
}
