package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
)

// benchFlags are the settings of capstan bench, as they stand on the command line.
type benchFlags struct {
	run           runFlags
	rounds        int
	window        int
	json          string
	svg           string
	againstFull   bool
	againstPython bool
	python        string
}

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench SOURCE",
		Short: "Measure capsules on a video: rate, latency, and where the time goes",
		Long: `Play SOURCE, a video with an end, through the capsules as fast as they can, and report frames a second,
the latency of each capsule in its parts, and the CPU time of a frame.

  queue     waiting for its turn, here and in the capsule's process
  convert   making the picture that it asked for
  hand-off  to the capsule's process and back
  compute   inside the capsule's code

--against-full measures the same without --every, --every-n, --gate and --keyframes as well, whole pictures in place
of those of --picture, and compares what was found. --against-python measures detector_objects_yolox against a Python
program with OpenCV (python3-opencv) on the same clip and network, and compares the boxes; ours are of pictures as
OpenCV makes them (416,opencv), unless --picture asks for others.

Exit status: 0 done, 1 failed or nothing was processed, 2 wrong usage, 130 interrupted.`,
		Example: `  capstan bench video.mp4
  capstan bench video.mp4 --only detector_face_pigo --rounds 5 --json report.json --svg report.svg
  capstan bench video.mp4 --gate detector_objects_yolox=motion,hold=2s --only detector_objects_yolox,detector_motion_background --against-full
  capstan bench video.mp4 --only detector_objects_yolox --against-python`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("bench takes one SOURCE, got %d; see capstan bench --help", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return benchSource(cmd.Context(), args[0], f) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	f.run.addWork(fl)
	fl.IntVar(&f.rounds, "rounds", 3, "play the video `N` times")
	fl.IntVar(&f.window, "window", 0, "`N` frames are under way at once; 1 measures latency without queues (default 8)")
	fl.StringVar(&f.json, "json", "", "write the report to `FILE`, - for standard output")
	fl.StringVar(&f.svg, "svg", "", "draw the report as `FILE.svg`")
	fl.BoolVar(&f.againstFull, "against-full", false, "compare with every capsule on every frame")
	fl.BoolVar(&f.againstPython, "against-python", false, "compare with cv2.VideoCapture and cv2.dnn")
	fl.StringVar(&f.python, "python", "", "the `PROGRAM` that runs Python with cv2 (default: python3, then /usr/bin/python3)")
	fl.StringVar(&f.run.logLevel, "log-level", "warn", "trace, debug, info, warn, error or off, to standard error")
	fl.BoolVar(&f.run.copying, "copy", false, "send pixels to capsules by message, not by shared memory (slow)")
	return cmd
}

func (f *benchFlags) check() error {
	switch {
	case f.rounds < 1 || f.rounds > 1000:
		return usageError{fmt.Errorf("--rounds %d: want 1..1000", f.rounds)}
	case f.window < 0 || f.window > 64:
		return usageError{fmt.Errorf("--window %d: want 1..64", f.window)}
	case f.againstFull && !f.run.effort.saves():
		return usageError{errors.New("--against-full compares with a run without --every, --every-n, --gate, --picture and --keyframes: give one of them")}
	case f.againstPython && f.run.effort.skips():
		return usageError{errors.New("--against-python looks at every frame: leave out --every, --every-n, --gate and --keyframes")}
	case f.againstPython && (f.run.start > 0 || f.run.duration > 0):
		return usageError{errors.New("--against-python plays the whole clip: leave out --start and --duration")}
	}
	return f.run.check()
}

// benchSource is capstan bench.
func benchSource(ctx context.Context, source string, f benchFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	log, err := newLog(f.run.logLevel)
	if err != nil {
		return err
	}
	chosen, err := chooseCapsules(ctx, f.run)
	if err != nil {
		return err
	}
	b := &bench{flags: f, source: source, job: pipeline.Job{Window: f.window, Source: pipeline.Source{
		Stream: "bench", URL: source, Start: f.run.start, Duration: f.run.duration,
	}}}
	if err := f.run.effort.apply(&b.job, namesOf(chosen)); err != nil {
		return err
	}
	if f.againstPython {
		if b.python, err = newPython(ctx, f.python, source, chosen); err != nil {
			return interruptedOr(ctx, err)
		}
		if _, asked := b.job.Pictures[comparable]; !asked {
			b.job.Pictures[comparable] = likePython
		}
		b.python.pictures = b.job.Pictures[comparable]
	}
	return interruptedOr(ctx, b.with(ctx, chosen, log))
}

// bench is one capstan bench.
type bench struct {
	flags  benchFlags
	source string
	job    pipeline.Job
	engine *pipeline.Engine
	python *python // nil: not asked for
}

// with launches the capsules, measures and reports.
func (b *bench) with(ctx context.Context, list []chosen, log hclog.Logger) error {
	media, err := gstreamer.New(log.Named("gstreamer"))
	if err != nil {
		return err
	}
	h := host.New(host.Config{Log: log, Copy: b.flags.run.copying})
	defer h.Close()
	b.engine = pipeline.New(media, log)
	defer b.engine.Close()
	if err := launch(ctx, h, b.engine, list); err != nil {
		return err
	}
	report, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return b.write(report)
}

// measure plays the rounds. What is compared takes turns, so that whatever else the machine does
// falls on all alike.
func (b *bench) measure(ctx context.Context) (*benchReport, error) {
	ours, full, others := &measured{}, &measured{}, &measured{}
	for i := range b.flags.rounds {
		b.say("round %d of %d", i+1, b.flags.rounds)
		if err := b.play(ctx, b.job, ours); err != nil {
			return nil, err
		}
		if b.flags.againstFull {
			whole := b.job
			whole.Every, whole.EveryN, whole.Gates, whole.Source.KeyframesOnly = 1, nil, nil, false
			whole.Pictures = map[string]core.PictureSize{}
			for name, p := range b.job.Pictures {
				whole.Pictures[name] = core.PictureSize{Filter: p.Filter}
			}
			if err := b.play(ctx, whole, full); err != nil {
				return nil, err
			}
		}
		if b.python != nil {
			if err := b.python.play(ctx, others); err != nil {
				return nil, err
			}
		}
	}
	r := newBenchReport(redact(b.source), ours)
	if b.flags.againstFull {
		r.Full = compareFull(ours, full)
	}
	if b.python != nil {
		r.Python = b.python.compare(ours, others)
	}
	return r, nil
}

func (b *bench) say(format string, args ...any) {
	if isTerminal(os.Stderr) {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// play runs one session to its end and adds what it measured to m.
func (b *bench) play(ctx context.Context, job pipeline.Job, m *measured) error {
	s, err := b.engine.Open(ctx, job)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Info().Live {
		f := core.Faultf(core.Unsupported, "bench", redact(b.source), "it is live: its own pace would be measured")
		f.Hint = "give it a file"
		return f
	}
	stopping := context.AfterFunc(ctx, s.Stop)
	defer stopping()
	before, pids := cpuTimes(s.Stats())
	var frames []seenFrame
	for {
		r, err := s.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		frames = append(frames, seenIn(r))
		r.Release()
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return m.add(s, before, pids, frames)
}

// measured is what the rounds of one kind gave together.
type measured struct {
	rounds []float64 // frames a second of each
	stats  pipeline.SessionStats
	stages map[string]int // of each capsule, from 1
	cpu    map[string]time.Duration
	frames []seenFrame // of the first round: all rounds are alike
}

// add takes the counts of one session.
func (m *measured) add(s *pipeline.Session, before map[string]time.Duration, pids map[string]int, frames []seenFrame) error {
	st := s.Stats()
	calls := uint64(0)
	for _, c := range st.Capsules {
		calls += c.Calls
	}
	if st.Frames == 0 || calls == 0 {
		f := core.Faultf(core.SourceBroken, "bench", "", "nothing was processed: %d frames and %d calls of capsules", st.Frames, calls)
		f.Hint = "capstan run says what goes wrong"
		return f
	}
	after, still := cpuTimes(st)
	if m.cpu == nil {
		m.cpu, m.stages, m.frames = map[string]time.Duration{}, map[string]int{}, frames
	}
	for name, t := range after {
		if still[name] == pids[name] { // a process that died took its time with it
			t -= before[name]
		}
		m.cpu[name] += t
	}
	for _, c := range st.Capsules {
		m.stages[c.Name] = s.Plan().Stage(c.Name) + 1
	}
	m.rounds = append(m.rounds, float64(st.Frames)/st.Elapsed.Seconds())
	m.merge(st)
	return nil
}

func (m *measured) merge(st pipeline.SessionStats) {
	t := &m.stats
	t.Frames += st.Frames
	t.Nodes += st.Nodes
	t.Elapsed += st.Elapsed
	t.SourceWait += st.SourceWait
	t.WindowWait += st.WindowWait
	t.Latency.Merge(&st.Latency)
	t.Media.Frames += st.Media.Frames
	t.Media.Skipped += st.Media.Skipped
	t.Media.Converts += st.Media.Converts
	t.Media.ConvertTime += st.Media.ConvertTime
	if t.Capsules == nil {
		t.Capsules = st.Capsules
		return
	}
	for i := range t.Capsules { // by name, and all sessions have the same ones
		a, b := &t.Capsules[i], &st.Capsules[i]
		a.Calls += b.Calls
		a.Nodes += b.Nodes
		a.Times.Merge(&b.Times)
		for k, n := range b.Skipped {
			a.Skipped[k] += n
		}
		for k, n := range b.Failures {
			a.Failures[k] += n
		}
	}
}
