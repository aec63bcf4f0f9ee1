package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/hashicorp/go-hclog"
)

// task is what a child process of the benchmark does: it plays a clip through capsules and
// prints an outcome. A process of its own makes the CPU time of decoder, engine and capsules
// one number that the system counts.
type task struct {
	Clip     string
	Capsules []string
	Streams  int
	Realtime bool
	Copy     bool
	Sums     bool // keep the checksums
}

// outcome is what a task gave.
type outcome struct {
	Frames   uint64
	Seconds  float64 // from the first frame to the last result
	InArena  uint64
	Copied   uint64
	Answered map[string]uint64 // calls by capsule
	HandUS   map[string]float64
	Hand99US map[string]float64
	Drops    uint64
	Sums     []uint32

	CPU float64 `json:"-"` // seconds of all processes, from outside
}

// profileEnv names a file for the CPU profile of a task.
const profileEnv = "CAPSTAN_BENCH_PROFILE"

// runTask is the child's whole life.
func runTask(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	if path := os.Getenv(profileEnv); path != "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	o, err := t.run()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}

func (t task) run() (*outcome, error) {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr})
	media, err := gstreamer.New(log)
	if err != nil {
		return nil, err
	}
	h := host.New(host.Config{Log: log, Copy: t.Copy})
	defer h.Close()
	engine := pipeline.New(media, log)
	defer engine.Close()
	if err := t.launch(h, engine); err != nil {
		return nil, err
	}
	sum := &outcome{Answered: map[string]uint64{}, HandUS: map[string]float64{}, Hand99US: map[string]float64{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make([]error, t.Streams)
	began := time.Now()
	for i := range t.Streams {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = t.stream(engine, i, func(o *outcome) {
				mu.Lock()
				defer mu.Unlock()
				sum.add(o)
			})
		}()
	}
	wg.Wait()
	if t.Streams > 1 {
		sum.Seconds = time.Since(began).Seconds()
	}
	return sum, errors.Join(errs...)
}

func (o *outcome) add(p *outcome) {
	o.Frames += p.Frames
	o.Seconds = max(o.Seconds, p.Seconds)
	o.InArena += p.InArena
	o.Copied += p.Copied
	o.Drops += p.Drops
	o.Sums = append(o.Sums, p.Sums...)
	for k, v := range p.Answered {
		o.Answered[k] += v
		o.HandUS[k] = max(o.HandUS[k], p.HandUS[k])
		o.Hand99US[k] = max(o.Hand99US[k], p.Hand99US[k])
	}
}

func (t task) launch(h *host.Host, e *pipeline.Engine) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range t.Capsules {
		spec := host.Spec{Declaration: capsules[name].Declaration(), Path: self, Env: []string{capsuleEnv + "=" + name}}
		if name == "noop_python" { // of the checkout, as everything here
			spec = host.Spec{Path: "pipeline/bench/noop.py", Env: []string{"PYTHONPATH=sdk/python"}}
		}
		c, err := h.Launch(context.Background(), spec)
		if err != nil {
			return err
		}
		if err := e.Add(c); err != nil {
			return err
		}
	}
	return nil
}

// stream plays the clip once.
func (t task) stream(e *pipeline.Engine, i int, done func(*outcome)) error {
	s, err := e.Open(context.Background(), pipeline.Job{Source: pipeline.Source{
		Stream: core.StreamID(fmt.Sprintf("bench%d", i)), URL: t.Clip, Realtime: t.Realtime,
	}})
	if err != nil {
		return err
	}
	defer s.Close()
	o := &outcome{Answered: map[string]uint64{}, HandUS: map[string]float64{}, Hand99US: map[string]float64{}}
	for {
		r, err := s.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if t.Sums {
			o.Sums = append(o.Sums, sumOf(r))
		}
		r.Release()
	}
	st := s.Stats()
	o.Frames, o.Seconds, o.InArena, o.Copied = st.Frames, st.Elapsed.Seconds(), st.Media.InArena, st.Media.Copied
	for _, n := range st.Drops {
		o.Drops += n
	}
	for _, c := range st.Capsules {
		o.Answered[c.Name] = c.Calls
		o.HandUS[c.Name] = float64(c.HandoffP50.Nanoseconds()) / 1000
		o.Hand99US[c.Name] = float64(c.HandoffP99.Nanoseconds()) / 1000
	}
	done(o)
	return nil
}

// sumOf gives the checksum that the capsule found, 0 when there is none.
func sumOf(r *pipeline.Result) uint32 {
	if len(r.Nodes) == 0 {
		return 0
	}
	v, _ := r.Nodes[0].ExtraData.Float("sum")
	return uint32(v)
}
