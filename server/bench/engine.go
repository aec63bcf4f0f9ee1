package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// watched are the capsules whose objects the zones watch.
var watched = []string{"detector_motion_background", "tracker_bytetrack"}

// besideTheEngine plays the clip as fast as it goes: by the engine alone, and by the service with 20
// zones, 5 alarms and 10 readers of statuses.
func besideTheEngine(s settings) ([]row, error) {
	var shares []float64
	var alone, served float64
	alerts := 0
	for r := range s.rounds {
		a, objects, err := engineAlone(s)
		if err == nil && objects == 0 {
			err = errors.New("the engine has found nothing")
		}
		if err != nil {
			return nil, err
		}
		b, n, err := throughService(s, r)
		if err != nil {
			return nil, err
		}
		alone, served = max(alone, a), max(served, b)
		shares, alerts = append(shares, b/a), alerts+n
	}
	low, median, high := spread(shares)
	return []row{{"fps with 20 zones, 5 alarms and 10 readers of statuses, over the engine's own", "≥ 0.95",
		fmt.Sprintf("%.3f (%.3f..%.3f); at best %.0f of %.0f fps; %d alerts a round", median, low, high, served, alone, alerts/s.rounds), met(median >= 0.95)}}, nil
}

// unpaced plays files as fast as they go, whatever the service asks for.
type unpaced struct{ pipeline.Media }

func (u unpaced) Open(ctx context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	s.Realtime = false
	return u.Media.Open(ctx, s)
}

// newEngine gives an engine with the watched capsules; close ends all of it.
func newEngine(s settings) (e *pipeline.Engine, close func() error, err error) {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr})
	media, err := gstreamer.New(log)
	if err != nil {
		return nil, nil, err
	}
	h := host.New(host.Config{Log: log})
	e = pipeline.New(unpaced{media}, log)
	close = func() error { return errors.Join(e.Close(), h.Close()) }
	entries, err := catalog.Load(filepath.Join(filepath.Dir(s.capstan), "capsules"))
	if err != nil {
		return nil, nil, errors.Join(err, close())
	}
	for _, name := range watched {
		entry, ok := catalog.Find(entries, name)
		if !ok {
			return nil, nil, errors.Join(fmt.Errorf("there is no %s beside %s: make build", name, s.capstan), close())
		}
		c, err := h.Launch(context.Background(), host.Spec{Declaration: entry.Declaration, Path: entry.Program(), Dir: entry.Dir})
		if err == nil {
			err = e.Add(c)
		}
		if err != nil {
			return nil, nil, errors.Join(err, close())
		}
	}
	return e, close, nil
}

// engineAlone gives the engine's fps, from the first frame on, and how many objects it has found.
func engineAlone(s settings) (fps float64, objects int, err error) {
	e, close, err := newEngine(s)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, close()) }()
	clip, err := filepath.Abs(s.clip)
	if err != nil {
		return 0, 0, err
	}
	session, err := e.Open(context.Background(), pipeline.Job{Source: pipeline.Source{Stream: "alone", URL: clip, Realtime: true}})
	if err != nil {
		return 0, 0, err
	}
	defer session.Close()
	frames, began := 0, time.Time{}
	for {
		r, err := session.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, err
		}
		if frames++; frames == warmUp {
			began = time.Now()
		}
		objects += len(r.Nodes)
		r.Release()
	}
	if frames <= warmUp {
		return 0, 0, fmt.Errorf("%d frames of %s", frames, clip)
	}
	return float64(frames-warmUp) / time.Since(began).Seconds(), objects, nil
}

// warmUp is how many frames pass before time is taken.
const warmUp = 50

// admin is whoever asks in the benchmark.
var admin = service.Caller{Name: "bench", Role: core.Admin}

// throughService gives the fps of the clip as a stream of a service, and how many alerts have begun.
func throughService(s settings, round int) (fps float64, alerts int, err error) {
	e, close, err := newEngine(s)
	if err != nil {
		return 0, 0, err
	}
	dir := filepath.Join(s.work, fmt.Sprintf("service-%d-%d", os.Getpid(), round))
	defer os.RemoveAll(dir)
	svc, closeAll, err := newService(dir, e, close)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n, err := addClip(ctx, svc, s.clip)
	if err != nil {
		return 0, 0, err
	}
	if err := watchClip(ctx, svc, n); err != nil {
		return 0, 0, err
	}
	for range 10 {
		c, err := svc.Subscribe(ctx, admin)
		if err != nil {
			return 0, 0, err
		}
		go func() {
			for range c { // ends with the service
			}
		}()
	}
	if err := svc.Analyze(ctx, admin, n, true); err != nil {
		return 0, 0, err
	}
	fps, err = speedOf(ctx, svc, n)
	if err != nil {
		return 0, 0, err
	}
	_, alerts, err = svc.Alerts(ctx, admin, store.AlertFilter{})
	if err == nil && alerts == 0 {
		err = errors.New("no alert has begun")
	}
	return fps, alerts, err
}

func newService(dir string, e *pipeline.Engine, closeEngine func() error) (*service.Service, func() error, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, errors.Join(err, closeEngine())
	}
	db, err := sqlstore.Open(context.Background(), "sqlite:"+filepath.Join(dir, "capstan.db"))
	if err != nil {
		return nil, nil, errors.Join(err, closeEngine())
	}
	blobs, err := blob.Open(filepath.Join(dir, "blobs"), blob.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close(), closeEngine())
	}
	svc, _, err := service.New(context.Background(), service.Config{Store: db, Blobs: blobs, Engine: e, JPEG: gstreamer.EncodeJPEG, NoAuth: true})
	if err != nil {
		return nil, nil, errors.Join(err, blobs.Close(), db.Close(), closeEngine())
	}
	return svc, func() error { return errors.Join(svc.Close(), closeEngine(), blobs.Close(), db.Close()) }, nil
}

// addClip uploads a clip and makes a stream of it.
func addClip(ctx context.Context, svc *service.Service, clip string) (core.StreamNumber, error) {
	file, err := os.Open(clip)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	b, err := svc.SaveBlob(ctx, admin, "video/mp4", file)
	if err != nil {
		return 0, err
	}
	cfg, err := svc.SaveStream(ctx, admin, core.StreamConfig{Name: "clip", Connection: core.Connection{Kind: core.FileClip, Blob: b.ID}})
	return cfg.Number, err
}

// watchClip draws 20 zones, every fifth of them a line, and gives every fourth an alarm.
func watchClip(ctx context.Context, svc *service.Service, n core.StreamNumber) error {
	for i := range 20 {
		x, y := float64(i%5)*380, float64(i/5)*260
		z := core.Zone{Stream: n, Name: fmt.Sprint("zone ", i), Coords: core.Rect(x, y, x+360, y+250)}
		if i%5 == 0 {
			z.Coords = core.Polygon{{X: x, Y: y}, {X: x + 360, Y: y + 250}}
		}
		var alarms []core.Alarm
		alarm := core.Alarm{Name: "somebody", Counts: []core.CountCondition{{
			Objects: core.Objects{Class: "motion", Anchor: core.AnchorBottom}, Test: core.Greater, Value: 0, Window: time.Second, Threshold: 0.5}}}
		if i%4 == 1 {
			alarms = append(alarms, alarm)
		}
		if _, _, err := svc.SaveZone(ctx, admin, z, alarms); err != nil {
			return err
		}
	}
	return nil
}

// speedOf gives the frames a second of a stream until 700 have passed.
func speedOf(ctx context.Context, svc *service.Service, n core.StreamNumber) (float64, error) {
	var first time.Time
	var from uint64
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		list, err := svc.States(ctx, admin)
		if err != nil {
			return 0, err
		}
		st := list[n-1]
		switch {
		case st.Err != "":
			return 0, errors.New(st.Err)
		case first.IsZero() && st.Frames >= warmUp:
			first, from = time.Now(), st.Frames
		case st.Frames >= 700:
			if st.Dropped > 0 {
				return 0, fmt.Errorf("%d frames were dropped", st.Dropped)
			}
			return float64(st.Frames-from) / time.Since(first).Seconds(), nil
		}
	}
	return 0, errors.New("700 frames did not pass within a minute")
}
