package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/pipeline/record"
	"github.com/capstan-video/capstan/pipeline/replay"
	"github.com/capstan-video/capstan/sdk/bundle"
	"github.com/capstan-video/capstan/sdk/bundle/diff"
	"github.com/hashicorp/go-hclog"
)

const frames = 70 // more than are written at once

// finder is a detector of one person that walks to the right by its option step.
func finder() *pipelinetest.Capsule {
	c := &pipelinetest.Capsule{Decl: core.Declaration{
		Name: "finder", Version: "1", API: core.APIVersion, Entry: "finder", Input: core.Description{Size: core.SizeNone},
		Output: core.Description{Size: core.SizeAll, Detections: []string{"person"}}, Formats: []core.PixelFormat{core.GRAY8},
		Options: []core.Option{{Name: "step", Type: core.FloatOption, Default: 2.0}, {Name: "key", Type: core.SecretOption, Default: ""}},
	}}
	var step atomic.Value
	step.Store(2.0)
	c.OpenFunc = func(_ context.Context, _ core.StreamID, v core.Values) error { step.Store(v.Float("step")); return nil }
	c.ProcessFunc = func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
		if call.View.Arena == nil || call.View.Layout.Format != core.GRAY8 {
			return pipeline.Answer{}, errors.New("no picture")
		}
		x := float64(call.Frame.Seq) * step.Load().(float64)
		n := &core.Node{Class: "person", Coords: core.Rect(x, 10, x+20, 40), ExtraData: core.ExtraData{"confidence": json.RawMessage("0.5")}}
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: []*core.Node{n}}}}, nil
	}
	return c
}

// clock is a tracker that names tracks by lot and writes down the time between frames.
func clock() *pipelinetest.Capsule {
	d := core.Declaration{
		Name: "clock", Version: "1", API: core.APIVersion, Entry: "clock", Input: core.Description{Size: core.SizeAll, Detections: []string{"person"}},
		Output: core.Description{Size: core.SizeAll, Tracked: true}, Stateful: true,
	}
	var last core.PTS
	var track core.TrackID
	c := &pipelinetest.Capsule{Decl: d}
	c.OpenFunc = func(context.Context, core.StreamID, core.Values) error {
		last, track = 0, core.TrackID(fmt.Sprint(rand.Uint64()))
		return nil
	}
	c.ProcessFunc = func(ctx context.Context, call pipeline.Call) (pipeline.Answer, error) {
		step := call.Frame.PTS - last
		last = call.Frame.PTS
		return pipelinetest.Patching(d, func(*core.Node) core.Patch {
			return core.Patch{TrackID: track, ExtraData: core.ExtraData{"ms": json.RawMessage(fmt.Sprint(time.Duration(step).Milliseconds()))}}
		})(ctx, call)
	}
	return c
}

func engineOf(t *testing.T, media pipeline.Media, capsules ...pipeline.Capsule) *pipeline.Engine {
	t.Helper()
	e := pipeline.New(media, hclog.NewNullLogger())
	t.Cleanup(func() { _ = e.Close() })
	for _, c := range capsules {
		if err := e.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// recorded records a scripted stream with both capsules; closed as status, "" leaves it as a kill would.
func recorded(t *testing.T, opt record.Options, status string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.bundle")
	media := pipelinetest.Playing(pipelinetest.Script{Frames: frames, Every: 70 * time.Millisecond})
	r := record.New(opt)
	capsules := []pipeline.Capsule{finder(), clock()}
	e := engineOf(t, media, r.Tap(capsules[0]), r.Tap(capsules[1]))
	s, err := e.Open(t.Context(), pipeline.Job{Source: pipeline.Source{Stream: "run"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := bundle.Header{Source: "script", Stream: "run", Caps: bundle.Caps(s.Info().Caps)}
	for _, c := range capsules {
		b, err := bundle.CapsuleOf(c.Declaration(), c.Values())
		if err != nil {
			t.Fatal(err)
		}
		h.Capsules = append(h.Capsules, b)
	}
	if err := r.Begin(t.Context(), path, h); err != nil {
		t.Fatal(err)
	}
	for {
		res, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.Frame(res)
		}
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
	}
	if status == "" {
		t.Cleanup(r.Abort)
		return path + bundle.PartExtension
	}
	if err := r.Close(status, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *bundle.Reader {
	t.Helper()
	b, err := bundle.Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// plan replays the whole plan with these capsules.
func plan(t *testing.T, path string, s replay.Settings, options map[string]map[string]any, capsules ...pipeline.Capsule) *replay.Report {
	t.Helper()
	b := open(t, path)
	s.Media = &record.Media{Path: path}
	var names []string
	for _, c := range capsules {
		names = append(names, c.Declaration().Name)
	}
	job, notes, err := replay.Job(&b.Header, names, options)
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay.Plan(t.Context(), engineOf(t, s.Media, capsules...), job, b, s)
	if err != nil {
		t.Fatal(err)
	}
	r.Notes = append(r.Notes, notes...)
	return r
}

func TestWholePlan(t *testing.T) {
	t.Parallel()
	path := recorded(t, record.Options{Frames: true}, bundle.Done)
	began := time.Now()
	r := plan(t, path, replay.Settings{Repeat: 2}, nil, finder(), clock())
	if !r.Equal || r.Frames != frames || r.Repeats != 2 || r.Unstable != 0 || len(r.Changes) != 0 {
		t.Errorf("%+v", r)
	}
	if took := time.Since(began); took > 2*frames*70*time.Millisecond {
		t.Errorf("it waits for the clock: %s", took)
	}
}

func TestChangedOption(t *testing.T) {
	t.Parallel()
	path := recorded(t, record.Options{Frames: true}, bundle.Done)
	r := plan(t, path, replay.Settings{}, map[string]map[string]any{"finder": {"step": 3.0}}, finder(), clock())
	if r.Equal || r.Changed != frames || r.Kinds[diff.Moved]+r.Kinds[diff.Appeared] != frames || r.Kinds[diff.Appeared] != r.Kinds[diff.Vanished] {
		t.Fatalf("%d of %d frames, %v", r.Changed, r.Frames, r.Kinds)
	}
	// frame n is n pixels to the right: up to 19 it overlaps with the recording
	if r.Kinds[diff.Moved] != 19 || r.Changes[2].Seq != 3 || r.Changes[2].Pixels != 3 {
		t.Errorf("%v, frame 3: %+v", r.Kinds, r.Changes[2])
	}
	if r := plan(t, path, replay.Settings{Tolerance: diff.Tolerance{Pixels: 10}}, map[string]map[string]any{"finder": {"step": 3.0}}, finder(), clock()); r.Kinds[diff.Moved] != 9 {
		t.Errorf("with a tolerance of 10 px: %v", r.Kinds)
	}
}

func TestMissingCapsule(t *testing.T) {
	t.Parallel()
	path := recorded(t, record.Options{Frames: true}, bundle.Done)
	r := plan(t, path, replay.Settings{}, nil, finder())
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "clock") || r.Kinds[diff.Track] != frames || r.Kinds[diff.Extra] != frames {
		t.Errorf("%v, %v", r.Notes, r.Kinds)
	}
}

// single replays capsules by themselves.
func single(t *testing.T, path string, s replay.Settings, capsules ...pipeline.Capsule) (*replay.Report, error) {
	t.Helper()
	s.Media = &record.Media{Path: path}
	return replay.Capsules(t.Context(), capsules, open(t, path), s)
}

// TestByItself feeds the tracker with what it was given, and the times that were recorded.
func TestByItself(t *testing.T) {
	t.Parallel()
	path := recorded(t, record.Options{Frames: true}, bundle.Done)
	for _, c := range []pipeline.Capsule{finder(), clock()} {
		r, err := single(t, path, replay.Settings{Repeat: 2}, c)
		if err != nil || !r.Equal || r.Frames != frames || r.Unstable != 0 {
			t.Errorf("%s: %+v, %v", c.Declaration().Name, r, err)
		}
	}
	r, err := single(t, path, replay.Settings{Options: map[string]map[string]any{"finder": {"step": 2.5}}}, finder())
	// frame n is half of n pixels to the right
	if err != nil || r.Kinds[diff.Moved] != 39 || r.Changes[9].Pixels != 5 || r.Changes[9].Capsule != "finder" {
		t.Errorf("%+v, %v", r, err)
	}
	fast := clock()
	fast.Decl.Name = "clock_2"
	if _, err := single(t, path, replay.Settings{}, fast); core.KindOf(err) != core.NotFound || !strings.Contains(err.Error(), "finder clock") {
		t.Errorf("of a capsule that is not in it: %v", err)
	}
}

// TestNondeterministic tells what is the capsule's own doing from what a change did.
func TestNondeterministic(t *testing.T) {
	t.Parallel()
	path := recorded(t, record.Options{Frames: true}, bundle.Done)
	dice := finder()
	dice.ProcessFunc = func(_ context.Context, c pipeline.Call) (pipeline.Answer, error) {
		x := float64(c.Frame.Seq) * 2
		if c.Frame.Seq == 7 {
			x += rand.Float64()
		}
		n := &core.Node{Class: "person", Coords: core.Rect(x, 10, x+20, 40), ExtraData: core.ExtraData{"confidence": json.RawMessage("0.5")}}
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: []*core.Node{n}}}}, nil
	}
	r, err := single(t, path, replay.Settings{Repeat: 3}, dice)
	if err != nil || r.Equal || r.Unstable != 1 || r.Changed != 1 || !r.Changes[0].Unstable || r.Changes[0].Seq != 7 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestFails shows an answer that became an error.
func TestFails(t *testing.T) {
	t.Parallel()
	path := recorded(t, record.Options{Frames: true}, bundle.Done)
	ill := finder()
	good := ill.ProcessFunc
	ill.ProcessFunc = func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		if c.Frame.Seq == 3 {
			return pipeline.Answer{}, core.Faultf(core.CapsuleFailed, "capsule", "", "out of luck")
		}
		return good(ctx, c)
	}
	r, err := single(t, path, replay.Settings{}, ill)
	if err != nil || len(r.Changes) != 1 || r.Changes[0].Kind != diff.Failure || !strings.Contains(r.Changes[0].String(), "out of luck") {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestOneCapsuleAlone records one capsule with its pictures and nothing else.
func TestOneCapsuleAlone(t *testing.T) {
	t.Parallel()
	path := recorded(t, record.Options{Only: "finder"}, bundle.Done)
	b := open(t, path)
	f, err := b.Next()
	if err != nil || len(b.Header.Capsules) != 1 || len(f.Calls) != 1 || len(f.Nodes) != 0 || f.Picture != nil || b.Header.Media != bundle.MediaNone {
		t.Fatalf("%+v, %+v, %v", b.Header, f, err)
	}
	l, mem, err := b.Pixels(f.Calls[0].Picture)
	if err != nil || l.Format != core.GRAY8 || !bytes.Equal(mem, make([]byte, 64*48)) {
		t.Errorf("%+v, %d bytes, %v", l, len(mem), err)
	}
	if r, err := single(t, path, replay.Settings{}, finder()); err != nil || !r.Equal || r.Frames != frames {
		t.Errorf("%+v, %v", r, err)
	}
	media := &record.Media{Path: path}
	if _, err := media.Open(t.Context(), pipeline.Source{}); core.KindOf(err) != core.Unsupported {
		t.Errorf("as media it opens with %v", err)
	}
	if text := string(b.Header.Capsules[0].Options); strings.Contains(text, "key") {
		t.Errorf("the secret is in %s", text)
	}
}

// TestKilledRecording replays what is there of a recording that was never completed.
func TestKilledRecording(t *testing.T) {
	t.Parallel()
	path := recorded(t, record.Options{Frames: true}, "")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	r := plan(t, path, replay.Settings{}, nil, finder(), clock())
	if r.Status != bundle.Incomplete || r.Frames != 64 || len(r.Changes) != 0 || info.Size() == 0 {
		t.Errorf("%+v of %d bytes", r, info.Size())
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	media := pipelinetest.Playing(pipelinetest.Script{Frames: 1000})
	rec := record.New(record.Options{Only: "finder", Limit: 30_000})
	e := engineOf(t, media, rec.Tap(finder()))
	s, err := e.Open(t.Context(), pipeline.Job{Source: pipeline.Source{Stream: "run"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := filepath.Join(t.TempDir(), "x.bundle")
	if err := rec.Begin(t.Context(), path, bundle.Header{}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for err == nil {
		var res *pipeline.Result
		if res, err = s.Next(t.Context()); err == nil {
			err = rec.Frame(res)
			res.Release()
			n++
		}
	}
	if !errors.Is(err, bundle.ErrLimit) || n < 10 || n > 500 {
		t.Fatalf("after %d frames: %v", n, err)
	}
	if err := rec.Close(bundle.Limited, nil); err != nil {
		t.Fatal(err)
	}
	if b := open(t, path); b.Index.Status != bundle.Limited || b.Index.Frames != n-1 {
		t.Errorf("%+v after %d frames", b.Index, n)
	}
}

// clips plays a clip of frames whose numbers are told by their first pixel.
type clips struct{ frames int }

func (c clips) Open(_ context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	text, err := os.ReadFile(s.URL)
	if err != nil || string(text) != "film" || s.Start != time.Second || filepath.Ext(s.URL) != ".mkv" {
		return nil, fmt.Errorf("%+v: %q, %w", s, text, err)
	}
	return pipelinetest.Script{Frames: c.frames, Every: time.Millisecond}.Open()
}

// TestClip gives the frames of a clip the numbers and times of the recording, and skips those
// that were dropped then.
func TestClip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	film := filepath.Join(dir, "a.mkv")
	if err := os.WriteFile(film, []byte("film"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.bundle")
	w, err := bundle.Create(t.Context(), path, bundle.Header{Media: bundle.MediaClip, Clip: &bundle.Clip{File: "clip/clip.mkv", Start: 1e9}}, film, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{2, 3, 9} {
		if err := w.Frame(bundle.FrameOf(core.Frame{Seq: seq, PTS: core.PTS(seq * 1e9), Captured: time.Unix(int64(seq), 0)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(bundle.Done, nil); err != nil {
		t.Fatal(err)
	}
	play := func(n int) (seqs []uint64, err error) {
		m := &record.Media{Path: path, Clips: clips{n}, Folder: dir}
		s, err := m.Open(t.Context(), pipeline.Source{})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		for {
			f, p, err := s.Next(t.Context())
			if err != nil {
				return seqs, err
			}
			if f.PTS != core.PTS(f.Seq*1e9) || f.Captured.Unix() != int64(f.Seq) {
				t.Errorf("frame %d is of %v, %v", f.Seq, f.PTS, f.Captured)
			}
			p.Release()
			seqs = append(seqs, f.Seq)
		}
	}
	if seqs, err := play(12); !slices.Equal(seqs, []uint64{2, 3, 9}) || err != io.EOF {
		t.Errorf("%v, %v", seqs, err)
	}
	if seqs, err := play(5); len(seqs) != 2 || core.KindOf(err) != core.SourceBroken {
		t.Errorf("of a clip that is too short: %v, %v", seqs, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "capstan-replay-*")); len(left) != 0 {
		t.Errorf("it leaves %v", left)
	}
}

// TestPicture makes views of a recorded picture, once each.
func TestPicture(t *testing.T) {
	t.Parallel()
	l, size := core.Packed(core.I420, 8, 6)
	mem := make([]byte, size)
	for i := range mem {
		mem[i] = byte(i)
	}
	made := 0
	p, err := record.NewPicture(l, mem, func(from core.Layout, _ []byte, f core.PixelFormat, w, h int) (core.Layout, []byte, error) {
		made++
		to, n := core.Packed(f, w, h)
		return to, bytes.Repeat([]byte{7}, int(n)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	gray, err := p.View([]core.PixelFormat{core.RGB, core.GRAY8}, core.PictureSize{})
	if err != nil || gray.Layout.Format != core.GRAY8 || gray.Arena.Bytes()[9] != 9 {
		t.Errorf("%+v, %v", gray.Layout, err)
	}
	for range 2 {
		rgb, err := p.View([]core.PixelFormat{core.RGB}, core.PictureSize{MaxSide: 4})
		if err != nil || rgb.Layout.Width != 4 || rgb.Layout.Height != 3 || rgb.Arena.Bytes()[0] != 7 {
			t.Errorf("%+v, %v", rgb.Layout, err)
		}
	}
	if made != 1 {
		t.Errorf("the picture was made %d times", made)
	}
	p.Release()
	if _, err := p.View([]core.PixelFormat{core.GRAY8}, core.PictureSize{}); core.KindOf(err) != core.Closed {
		t.Errorf("after its release: %v", err)
	}
}
