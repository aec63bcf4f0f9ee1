package gallery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/plan"
)

// Options are how photos are judged. The zero value has the defaults.
type Options struct {
	Class   string        // of the nodes that are enrolled; "": face
	MinSide float64       // pixels that the shorter side of a face needs; 0: 40
	Timeout time.Duration // for one photo; 0: 1 minute
}

// runner is the little that enrolment needs of an engine.
type runner interface {
	Capsules() []pipeline.Capsule
	Open(ctx context.Context, job pipeline.Job) (*pipeline.Session, error)
}

// Enrol makes a gallery of a folder that has a folder with photos for every person, named as
// the person is. Every photo goes through the engine's capsules: those that encode faces and
// those that feed them. The report says for every photo whether it was taken or why not; it is
// there too when the gallery cannot be made, because the folder is missing, has no persons or
// has no photo that can be taken, or because no capsule encodes faces.
func Enrol(ctx context.Context, r runner, dir string, o Options) (*Gallery, *Report, error) {
	if o.Class == "" {
		o.Class = "face"
	}
	if o.MinSide == 0 {
		o.MinSide = 40
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	report := &Report{Dir: dir}
	files, err := report.list(dir)
	if err != nil {
		return nil, report, err
	}
	chain, err := findChain(r, o.Class)
	if err != nil {
		return nil, report, err
	}
	e := &enrolment{runner: r, options: o, chain: chain}
	samples, err := e.photos(ctx, files)
	if err != nil {
		return nil, report, err
	}
	for _, enc := range chain.encoders {
		judge(enc, ofEncoder(samples, enc.id), report)
		report.Encoders = append(report.Encoders, Encoder{ID: enc.id, Metric: enc.metric, Threshold: enc.threshold})
	}
	for _, s := range samples {
		report.Photos = append(report.Photos, s.Photo)
	}
	taken := slices.DeleteFunc(samples, func(s *sample) bool { return s.Refused != "" })
	if len(taken) == 0 {
		return nil, report, &core.Fault{
			Op: "gallery", Kind: core.Invalid, On: dir, Err: fmt.Errorf("none of its photos shows a %s that can be enrolled: %s", o.Class, report.why()),
			Hint: "give each person a folder with photos of that person alone",
		}
	}
	g, err := build(chain.encoders, taken)
	return g, report, err
}

// encoder is a capsule whose encodings are enrolled.
type encoder struct {
	id        core.EncoderID
	name      string
	metric    core.Metric
	threshold float64
}

// chain is the encoders with all the capsules that they need.
type chain struct {
	encoders []encoder
	active   []string
	everyN   map[string]int
	gates    map[string]core.Gate
}

// findChain plans the engine's capsules and keeps what encodes nodes of the class.
func findChain(r runner, class string) (chain, error) {
	var c chain
	var planned []plan.Capsule
	for _, capsule := range r.Capsules() {
		d, values := capsule.Declaration(), capsule.Values()
		d, err := d.Resolve(values)
		if err != nil {
			return c, err
		}
		planned = append(planned, plan.Of(d))
		if !d.Capability().Encoded || len(d.Output.Detections) > 0 && !slices.Contains(d.Output.Detections, class) {
			continue
		}
		c.encoders = append(c.encoders, encoder{d.EncoderID(), d.Name, d.Metric, values.Float("recognition_threshold")})
	}
	p, err := plan.Make(planned)
	if err != nil {
		return c, err
	}
	var blocked []string
	c.encoders = slices.DeleteFunc(c.encoders, func(e encoder) bool {
		if p.Stage(e.name) >= 0 {
			return false
		}
		i := slices.IndexFunc(p.Blocked, func(b plan.Blocked) bool { return b.Capsule == e.name })
		blocked = append(blocked, fmt.Sprintf("%s cannot run: %s", e.name, p.Blocked[i].Reason))
		return true
	})
	if len(c.encoders) == 0 {
		f := core.Faultf(core.NotFound, "gallery", "", "no capsule that runs encodes a %s, so nobody can be recognised", class)
		f.Hint = "it takes a detector and an encoder, such as detector_face_yunet and encoder_face_mobilefacenet"
		if blocked != nil {
			f.Hint = strings.Join(blocked, "; ")
		}
		return c, f
	}
	c.feed(p)
	return c, nil
}

// feed adds everything that the encoders wait for, and has it run on every frame and without
// a gate: on a photo nothing moves.
func (c *chain) feed(p *plan.Plan) {
	c.everyN, c.gates = map[string]int{}, map[string]core.Gate{}
	var open []string
	for _, e := range c.encoders {
		open = append(open, e.name)
	}
	for len(open) > 0 {
		name := open[0]
		open = open[1:]
		if _, ok := c.everyN[name]; ok {
			continue
		}
		c.everyN[name], c.gates[name] = 1, core.Gate{}
		c.active = append(c.active, name)
		for _, e := range p.Edges {
			if e.To == name {
				open = append(open, e.From)
			}
		}
	}
}

// enrolment runs photos.
type enrolment struct {
	runner  runner
	options Options
	chain   chain
}

// atOnce is how many photos are under way, so that reading one and encoding another overlap.
const atOnce = 4

// photos gives a sample for every photo and encoder, in the order of files and encoders. It
// fails only when ctx ends.
func (e *enrolment) photos(ctx context.Context, files []file) ([]*sample, error) {
	results := make([][]*sample, len(files))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(atOnce, len(files)) {
		workers.Go(func() {
			for i := range next {
				results[i] = e.photo(ctx, i, files[i])
			}
		})
	}
	for i := range files {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return slices.Concat(results...), nil
}

// photo runs photo i and judges what was found on it.
func (e *enrolment) photo(ctx context.Context, i int, f file) []*sample {
	nodes, failed, err := e.run(ctx, core.StreamID(fmt.Sprintf("gallery-%d", i+1)), f.path)
	var list []*sample
	for _, enc := range e.chain.encoders {
		s := &sample{Photo: Photo{Person: f.person, File: f.name, Encoder: enc.id}}
		if err != nil {
			s.refuse(Unreadable, "%v", err)
		} else {
			s.look(enc, faces(nodes, e.options.Class, enc.id), failed, e.options)
		}
		list = append(list, s)
	}
	return list
}

// run plays a photo through the chain and gives all nodes and what failed.
func (e *enrolment) run(ctx context.Context, id core.StreamID, path string) ([]*core.Node, []string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.options.Timeout, errors.New("it took more than "+e.options.Timeout.String()))
	defer cancel()
	session, err := e.runner.Open(ctx, pipeline.Job{
		Source: pipeline.Source{Stream: id, URL: path},
		Active: e.chain.active, EveryN: e.chain.everyN, Gates: e.chain.gates, Window: 1,
	})
	if err != nil {
		return nil, nil, err
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { _ = session.Close() }) // Next waits for capsules whatever ctx says
	defer stop()
	if info := session.Info(); info.Live || info.Frames > 1 {
		return nil, nil, errors.New("it is a video, not a photo")
	}
	result, err := session.Next(ctx)
	if errors.Is(err, io.EOF) {
		err = errors.New("there is no picture in it")
	}
	if result != nil {
		result.Release()
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	var failed []string
	for reason := range result.Drops {
		failed = append(failed, reason)
	}
	slices.Sort(failed)
	return result.Nodes, failed, nil
}

// faces gives the nodes of the class, with children. Two on the same place are one, as when
// two detectors run; the one that the encoder encoded stays.
func faces(nodes []*core.Node, class string, id core.EncoderID) []*core.Node {
	var all []*core.Node
	var walk func([]*core.Node)
	walk = func(list []*core.Node) {
		for _, n := range list {
			walk(n.Children)
			if n.Class == class {
				all = append(all, n)
			}
		}
	}
	walk(nodes)
	slices.SortStableFunc(all, func(a, b *core.Node) int { return encoded(b, id) - encoded(a, id) })
	var kept []*core.Node
	for _, n := range all {
		if !slices.ContainsFunc(kept, func(k *core.Node) bool { return overlap(k.Coords.Box(), n.Coords.Box()) >= 0.5 }) {
			kept = append(kept, n)
		}
	}
	return kept
}

func encoded(n *core.Node, id core.EncoderID) int {
	if n.Encoding != nil && n.Encoder == id {
		return 1
	}
	return 0
}

// overlap is the common area over the area of both.
func overlap(a, b core.Box) float64 {
	w := min(a.X2, b.X2) - max(a.X1, b.X1)
	h := min(a.Y2, b.Y2) - max(a.Y1, b.Y1)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.Area() + b.Area() - w*h)
}

// look takes the one face of a photo, or says why not.
func (s *sample) look(enc encoder, faces []*core.Node, failed []string, o Options) {
	switch {
	case len(faces) == 0 && len(failed) > 0:
		s.refuse(Failed, "%s", strings.Join(failed, ", "))
		return
	case len(faces) == 0:
		s.refuse(NoFace, "no %s was found", o.Class)
		return
	case len(faces) > 1:
		s.refuse(SeveralFaces, "%d were found", len(faces))
		return
	}
	n := faces[0]
	s.Face = n.Coords.Box()
	side := math.Min(s.Face.Width(), s.Face.Height())
	switch {
	case side < o.MinSide:
		s.refuse(TooSmall, "its shorter side is %.0f pixels, want %.0f or more", side, o.MinSide)
	case encoded(n, enc.id) == 0 && len(failed) > 0:
		s.refuse(Failed, "%s", strings.Join(failed, ", "))
	case encoded(n, enc.id) == 0:
		s.refuse(Failed, "%s did not encode the %s", enc.name, o.Class)
	default:
		s.encoding = n.Encoding
	}
}
