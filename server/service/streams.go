package service

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/launchline"
	"github.com/capstan-video/capstan/server/store"
)

// schemes are those of an IP camera's URL. test:// is a picture that GStreamer makes.
var schemes = []string{"rtsp", "rtsps", "http", "https", "test"}

const (
	maxName        = 1024    // bytes of any name
	hiddenPassword = "xxxxx" // what url.URL.Redacted shows in place of one
)

// Streams lists the streams of premises, or all. Who may not change them sees no passwords.
func (s *Service) Streams(ctx context.Context, c Caller, premises core.PremisesID) (list []core.StreamConfig, err error) {
	if err := may(c, core.Viewer); err != nil {
		return nil, err
	}
	list, err = recall(s.memory, fmt.Sprint("streams ", premises), func() (list []core.StreamConfig, err error) {
		err = s.view(ctx, c, func(tx store.Tx) error { list, err = tx.Streams(premises); return err })
		return list, err
	})
	if err != nil {
		return nil, err
	}
	out := make([]core.StreamConfig, len(list))
	for i := range list {
		out[i] = shown(c, list[i])
	}
	return out, nil
}

// Stream gives one stream.
func (s *Service) Stream(ctx context.Context, c Caller, n core.StreamNumber) (out core.StreamConfig, err error) {
	if err := may(c, core.Viewer); err != nil {
		return out, err
	}
	out, err = recall(s.memory, fmt.Sprint("stream ", n), func() (out core.StreamConfig, err error) {
		err = s.view(ctx, c, func(tx store.Tx) error {
			out, err = tx.Stream(n)
			return on("stream", err)
		})
		return out, err
	})
	return shown(c, out), err
}

// shown hides the password of a camera from those who may not change it.
func shown(c Caller, cfg core.StreamConfig) core.StreamConfig {
	if c.Role.May(core.Editor) {
		return cfg
	}
	if u, err := url.Parse(cfg.Connection.URL); err == nil && u.User != nil {
		cfg.Connection.URL = u.Redacted()
	}
	cfg.Said.Other = nil // whatever that is, it may have a password in it
	return cfg
}

// keepPassword puts the password that was into a URL that comes back as it was shown: with the
// password hidden. It must be of the same user at the same host.
func keepPassword(given, old string) (string, error) {
	u, err := url.Parse(given)
	if err != nil || u.User == nil {
		return given, nil
	}
	if p, _ := u.User.Password(); p != hiddenPassword {
		return given, nil
	}
	was, err := url.Parse(old)
	if err != nil || was.User == nil || was.User.Username() != u.User.Username() || was.Host != u.Host {
		return "", invalid("stream", "the URL comes with %q in place of its password; give the password of %s at %s", hiddenPassword, u.User.Username(), u.Host)
	}
	u.User = was.User
	return u.String(), nil
}

// checkStream says what is wrong with a stream's configuration.
func checkStream(cfg core.StreamConfig) error {
	con := cfg.Connection
	switch {
	case len(cfg.Name) > maxName:
		return invalid("stream", "its name has %d bytes; want at most %d", len(cfg.Name), maxName)
	}
	switch con.Kind {
	case core.IPCamera:
		u, err := url.Parse(con.URL)
		if err != nil || !slices.Contains(schemes, strings.ToLower(u.Scheme)) {
			f := invalid("stream", "its URL cannot be opened")
			f.Hint = "want one of " + strings.Join(schemes, "://, ") + "://"
			return f
		}
	case core.Webcam:
		if con.Device < 0 || con.Device > 255 {
			return invalid("stream", "webcam %d; want the number N of /dev/videoN, 0 to 255", con.Device)
		}
	case core.FileClip:
		if con.Blob <= 0 {
			return invalid("stream", "a file stream needs the file that it plays")
		}
	default:
		return invalid("stream", "connection %q is not one of ip_camera, webcam, file", con.Kind)
	}
	return checkPipeline(con)
}

// checkPipeline says what is wrong with a pipeline of one's own.
func checkPipeline(con core.Connection) error {
	if con.Pipeline == "" {
		return nil
	}
	line, err := launchline.Parse(con.Pipeline)
	if err != nil {
		return on("stream", err)
	}
	scheme := map[core.ConnectionKind]string{core.Webcam: "v4l2", core.FileClip: "file"}[con.Kind]
	if con.Kind == core.IPCamera {
		u, err := url.Parse(con.URL)
		if err != nil { // checkStream has read it
			return invalid("stream", "its URL cannot be opened")
		}
		scheme = strings.ToLower(u.Scheme)
	}
	return on("stream", line.Takes(scheme))
}

// mayPipe refuses a change of the pipeline by anybody but an administrator.
func mayPipe(c Caller, given, old string) error {
	if given == old || c.Role.May(core.Admin) {
		return nil
	}
	f := core.Faultf(core.Denied, "", "role", "a stream's pipeline is for administrators; %q has the role %q", c.Name, c.Role)
	f.Hint = "leave the pipeline as it is"
	return f
}

// SaveStream makes or changes a stream. A new one gets its Screen zone and is not analysed; of
// one that is running, other media is opened at once.
func (s *Service) SaveStream(ctx context.Context, c Caller, cfg core.StreamConfig) (core.StreamConfig, error) {
	if err := may(c, core.Editor); err != nil {
		return cfg, err
	}
	if err := checkStream(cfg); err != nil {
		return cfg, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	action := "change stream"
	if cfg.Number == 0 {
		action = "create stream"
	}
	if cfg.Metadata == nil {
		cfg.Metadata = map[string]any{}
	}
	given := cfg
	var old core.StreamConfig
	err := s.update(ctx, c, action, func(tx store.Tx) (_ string, err error) {
		cfg = given
		old, err = saveStream(tx, c, &cfg)
		return cfg.Name, err
	})
	if err != nil {
		return cfg, err
	}
	if action == "create stream" {
		s.hub.publish(cfg.Number, nil, false)
		return cfg, nil
	}
	if old.Connection != cfg.Connection {
		s.cfg.Viewing.Forget(cfg.Number)
	}
	if r := s.runner(cfg.Number); r != nil && (old.Connection != cfg.Connection || old.KeyframesOnly != cfg.KeyframesOnly) {
		r.replay()
	}
	return cfg, nil
}

// saveStream saves a stream, and gives what it was before.
func saveStream(tx store.Tx, c Caller, cfg *core.StreamConfig) (old core.StreamConfig, err error) {
	if cfg.Premises != 0 {
		if _, err := tx.OnePremises(cfg.Premises); err != nil {
			return old, on("premises", err)
		}
	}
	if cfg.Connection.Kind == core.FileClip {
		if _, err := tx.Blob(cfg.Connection.Blob); err != nil {
			return old, on("blob", err)
		}
	}
	fresh := cfg.Number == 0
	if !fresh {
		if old, err = tx.Stream(cfg.Number); err != nil {
			return old, on("stream", err)
		}
	}
	if err := mayPipe(c, cfg.Connection.Pipeline, old.Connection.Pipeline); err != nil {
		return old, err
	}
	cfg.Analyze = old.Analyze
	if cfg.Connection.URL, err = keepPassword(cfg.Connection.URL, old.Connection.URL); err != nil {
		return old, err
	}
	n, err := tx.SaveStream(*cfg)
	if err != nil {
		return old, on("stream", err)
	}
	cfg.Number = n
	if fresh {
		_, err = tx.SaveZone(core.Zone{Stream: n, Name: core.ScreenZone})
	}
	return old, on("zone", err)
}

// DeleteStream stops a stream and deletes it with its zones, alarms and alerts.
func (s *Service) DeleteStream(ctx context.Context, c Caller, n core.StreamNumber) error {
	if err := may(c, core.Editor); err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	cfg, err := s.Stream(ctx, c, n)
	if err != nil {
		return err
	}
	var frames []core.BlobID
	s.stop(n, true)
	err = s.update(ctx, c, "delete stream", func(tx store.Tx) (string, error) {
		var err error
		if frames, err = s.letGo(tx, store.AlertFilter{Stream: n}); err != nil {
			return "", err
		}
		return fmt.Sprint(n), on("stream", tx.DeleteStream(n))
	})
	if err != nil {
		if cfg.Analyze { // it is still there
			err = errors.Join(err, s.start(context.WithoutCancel(ctx), cfg))
		}
		return err
	}
	s.hub.publish(n, nil, true)
	s.cfg.Viewing.Forget(n)
	s.forgetFrames(ctx, frames)
	return nil
}

// StreamURL gives where a viewer finds the stream's video: a camera itself, and files and webcams
// where they are served again, under the host that the caller has reached this server by.
func (s *Service) StreamURL(ctx context.Context, c Caller, n core.StreamNumber, host string) (string, error) {
	cfg, err := s.Stream(ctx, c, n)
	if err != nil {
		return "", err
	}
	if cfg.Connection.Kind != core.IPCamera {
		return s.cfg.Viewing.URL(host, n)
	}
	return cfg.Connection.URL, nil
}

// Video says what is served again as the video of a stream: the pictures of its analysis, where it is
// a webcam that is analysed, else a source. A camera is not: NotFound on "stream".
func (s *Service) Video(ctx context.Context, n core.StreamNumber) (out pipeline.Source, seen pipeline.Pictures, err error) {
	var cfg core.StreamConfig
	err = s.cfg.Store.View(ctx, func(tx store.Tx) error {
		cfg, err = tx.Stream(n)
		return on("stream", err)
	})
	if err != nil {
		return out, nil, err
	}
	switch {
	case cfg.Connection.Kind == core.IPCamera:
		return out, nil, core.Faultf(core.NotFound, "", "stream", "the video of a camera is to be had from the camera")
	case cfg.Connection.Kind == core.Webcam && s.runner(n) != nil:
		return out, s.taps.open(n), nil
	}
	out, err = s.source(cfg)
	return out, nil, err
}

// Analyze switches the analysis of a stream on or off, for later starts too. One that the machine
// does not carry is refused, as Admission says; those that were analysed are so after a restart.
func (s *Service) Analyze(ctx context.Context, c Caller, n core.StreamNumber, yes bool) error {
	if err := may(c, core.Editor); err != nil {
		return err
	}
	if yes {
		if err := s.awaitRoom(ctx, n); err != nil {
			return err
		}
	}
	s.change.Lock()
	defer s.change.Unlock()
	action := "stop analysis"
	if yes {
		action = "start analysis"
	}
	var cfg core.StreamConfig
	err := s.update(ctx, c, action, func(tx store.Tx) (_ string, err error) {
		if cfg, err = tx.Stream(n); err != nil {
			return "", on("stream", err)
		}
		if yes {
			if err := s.admit(cfg); err != nil {
				return "", err
			}
		}
		cfg.Analyze = yes
		_, err = tx.SaveStream(cfg)
		return fmt.Sprint(n), on("stream", err)
	})
	if err != nil {
		return err
	}
	if yes {
		return s.start(ctx, cfg)
	}
	s.stop(n, true)
	s.hub.publish(n, nil, false)
	return nil
}

// States tells how the streams do, in the order of their numbers.
func (s *Service) States(ctx context.Context, c Caller) ([]StreamState, error) {
	list, err := s.Streams(ctx, c, 0)
	if err != nil {
		return nil, err
	}
	var v settings
	away := s.away()
	if len(away) > 0 {
		if v, err = recall(s.memory, "settings", func() (settings, error) { return s.settings(ctx, "") }); err != nil {
			return nil, err
		}
	}
	out := make([]StreamState, 0, len(list))
	for _, cfg := range list {
		st := StreamState{Number: cfg.Number, Analyzing: cfg.Analyze}
		if r := s.runner(cfg.Number); r != nil {
			st = r.state()
			st.Analyzing = true
			if st.Err == "" {
				st.Err = s.cfg.Blobs.Shown(without(v, cfg.Number, away))
			}
		}
		out = append(out, st)
	}
	return out, nil
}

// Premises lists the premises.
func (s *Service) Premises(ctx context.Context, c Caller) (list []core.Premises, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { list, err = tx.Premises(); return err })
	return list, err
}

// OnePremises gives one of the premises.
func (s *Service) OnePremises(ctx context.Context, c Caller, id core.PremisesID) (p core.Premises, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { p, err = tx.OnePremises(id); return on("premises", err) })
	return p, err
}

// SavePremises makes or changes premises.
func (s *Service) SavePremises(ctx context.Context, c Caller, p core.Premises) (core.Premises, error) {
	if len(p.Name) > maxName {
		return p, invalid("premises", "the name has %d bytes; want at most %d", len(p.Name), maxName)
	}
	err := s.update(ctx, c, "save premises", func(tx store.Tx) (string, error) {
		id, err := tx.SavePremises(p)
		if err == nil {
			p.ID = id
		}
		return p.Name, on("premises", err)
	})
	return p, err
}

// DeletePremises deletes premises with their streams.
func (s *Service) DeletePremises(ctx context.Context, c Caller, id core.PremisesID) error {
	if _, err := s.OnePremises(ctx, c, id); err != nil {
		return err
	}
	streams, err := s.Streams(ctx, c, id)
	if err != nil {
		return err
	}
	for _, cfg := range streams {
		if err := s.DeleteStream(ctx, c, cfg.Number); err != nil && core.KindOf(err) != core.NotFound {
			return err
		}
	}
	return s.update(ctx, c, "delete premises", func(tx store.Tx) (string, error) {
		return fmt.Sprint(id), on("premises", tx.DeletePremises(id))
	})
}

// streamID names a stream for the engine.
func streamID(n core.StreamNumber) core.StreamID { return core.StreamID(fmt.Sprintf("stream-%d", n)) }

// source says what media opens for a stream.
func (s *Service) source(cfg core.StreamConfig) (pipeline.Source, error) {
	out := pipeline.Source{Stream: streamID(cfg.Number), Realtime: true, KeyframesOnly: cfg.KeyframesOnly, Pipeline: cfg.Connection.Pipeline}
	switch cfg.Connection.Kind {
	case core.IPCamera:
		out.URL = cfg.Connection.URL
	case core.Webcam:
		out.URL = fmt.Sprintf("v4l2:///dev/video%d", cfg.Connection.Device)
	default:
		if cfg.Connection.Blob == 0 {
			f := core.Faultf(core.NotFound, "", "blob", "the stream's file was deleted")
			f.Hint = "upload it again, and give the stream the new file"
			return out, f
		}
		file, _, err := s.cfg.Blobs.Read(cfg.Connection.Blob)
		if err != nil {
			return out, err
		}
		defer file.Close()
		named, ok := file.(interface{ Name() string })
		if !ok {
			return out, unsupported("stream", "the file is not on this machine's disk")
		}
		out.URL, out.Name = named.Name(), fmt.Sprintf("file %d", cfg.Connection.Blob)
	}
	return out, nil
}
