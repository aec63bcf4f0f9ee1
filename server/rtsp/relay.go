package rtsp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

const (
	// shortest is how often a file is begun at most, so that one of a picture or two does not spin.
	shortest = time.Second
	// behind is how late pictures may get, when the machine was busy or asleep, before the others are
	// no longer hurried.
	behind = 2 * time.Second
	// payloadType is that of the only track.
	payloadType = 96
)

// relay reads one stream for all who watch it.
type relay struct {
	s    *Server
	n    core.StreamNumber
	life context.Context
	halt context.CancelFunc
	done chan struct{}

	ready  chan struct{} // closed when stream or err is there
	stream *gortsplib.ServerStream
	err    error

	once    sync.Once
	playing chan struct{} // closed when the first viewer plays

	users map[any]bool // connections and sessions; the server's lock is held

	// run alone uses these.
	track  *description.Media
	encode func([][]byte) ([]*rtp.Packet, error)
	src    pipeline.EncodedStream
	clock  timeline
	step   step
}

// acquire gives the relay of a stream to a connection or session, and opens it for the first.
func (s *Server) acquire(n core.StreamNumber, who any) (*relay, error) {
	for {
		s.mu.Lock()
		r := s.relays[n]
		if r == nil {
			if s.life.Err() != nil {
				s.mu.Unlock()
				return nil, core.Faultf(core.Closed, "rtsp", "", "the server is stopping")
			}
			r = &relay{s: s, n: n, done: make(chan struct{}), ready: make(chan struct{}), playing: make(chan struct{}), users: map[any]bool{}}
			r.life, r.halt = context.WithCancel(s.life)
			s.relays[n] = r
			s.work.Go(r.run)
		}
		over := r.life.Err() != nil
		if !over {
			r.users[who] = true
		}
		s.mu.Unlock()
		if over { // the device must be free before it is opened again
			<-r.done
			continue
		}
		<-r.ready // bounded by OpenLimit
		if r.err != nil {
			return nil, r.err
		}
		return r, nil
	}
}

// release takes who out of all relays, and stops those that nobody is left of.
func (s *Server) release(who any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.relays {
		if !r.users[who] {
			continue
		}
		delete(r.users, who)
		if len(r.users) == 0 {
			r.halt()
		}
	}
}

// begin lets the first picture go.
func (r *relay) begin() { r.once.Do(func() { close(r.playing) }) }

// run is the relay from its beginning to its end.
func (r *relay) run() {
	defer close(r.done)
	defer func() {
		r.s.mu.Lock()
		delete(r.s.relays, r.n)
		r.s.mu.Unlock()
	}()
	defer r.halt()
	src, first, err := r.open(0)
	if err == nil {
		err = r.announce(src.Codec(), first)
		if err != nil {
			_ = src.Close()
		}
	}
	if r.err = err; err != nil {
		close(r.ready)
		return
	}
	close(r.ready)
	defer r.stream.Close()
	select {
	case <-r.playing:
	case <-r.life.Done():
		_ = src.Close()
		return
	}
	r.src = src
	if err := r.relay(first); err != nil && r.life.Err() == nil {
		r.s.log.Warn("a stream is no longer served", "stream", r.n, "err", err)
	}
}

// open opens the stream, a file from a place on, until its first picture is there. At the end of a
// file there is none, but io.EOF.
func (r *relay) open(from time.Duration) (pipeline.EncodedStream, pipeline.AccessUnit, error) {
	ctx, cancel := r.opening()
	defer cancel()
	src, err := r.s.cfg.Open(ctx, r.n, from)
	if err != nil {
		return nil, pipeline.AccessUnit{}, err
	}
	first, err := src.Next(ctx)
	if errors.Is(err, io.EOF) && from == 0 {
		err = core.Faultf(core.SourceFormat, "rtsp", "stream", "it has no picture")
	}
	if err != nil {
		return nil, first, errors.Join(err, src.Close())
	}
	return src, first, nil
}

// announce makes what is described to players.
func (r *relay) announce(codec pipeline.Codec, first pipeline.AccessUnit) error {
	f, encode, err := formatOf(codec, first)
	if err != nil {
		return core.Faultf(core.Internal, "rtsp", "stream", "%w", err)
	}
	r.encode, r.track = encode, &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{f}}
	stream := &gortsplib.ServerStream{Server: r.s.server, Desc: &description.Session{Title: "Capstan", Medias: []*description.Media{r.track}}}
	if err := stream.Initialize(); err != nil {
		return core.Faultf(core.Internal, "rtsp", "stream", "%w", err)
	}
	r.stream = stream
	var random [4]byte
	_, _ = rand.Read(random[:])
	r.clock.offset = binary.BigEndian.Uint32(random[:])
	return nil
}

// formatOf gives the format of a track and what makes packets of it.
func formatOf(codec pipeline.Codec, first pipeline.AccessUnit) (format.Format, func([][]byte) ([]*rtp.Packet, error), error) {
	if codec == pipeline.H265 {
		f := &format.H265{PayloadTyp: payloadType}
		for _, nal := range first.NALs {
			switch nal[0] >> 1 & 63 {
			case 32:
				f.VPS = nal
			case 33:
				f.SPS = nal
			case 34:
				f.PPS = nal
			}
		}
		e, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, err
		}
		return f, e.Encode, nil
	}
	f := &format.H264{PayloadTyp: payloadType, PacketizationMode: 1}
	for _, nal := range first.NALs {
		switch nal[0] & 31 {
		case 7:
			f.SPS = nal
		case 8:
			f.PPS = nal
		}
	}
	e, err := f.CreateEncoder()
	if err != nil {
		return nil, nil, err
	}
	return f, e.Encode, nil
}

// relay sends pictures until the source breaks or nobody watches; a file is begun again at its end.
func (r *relay) relay(u pipeline.AccessUnit) (err error) {
	defer func() { _ = r.src.Close() }()
	r.clock.first(time.Now(), u)
	for {
		live := r.src.Live()
		if !live {
			if u, err = r.steer(u); err != nil {
				return err
			}
		}
		if err = r.send(u, live); err != nil {
			return err
		}
		if u, err = r.next(); err != nil {
			return err
		}
	}
}

// send sends a picture when it is due.
func (r *relay) send(u pipeline.AccessUnit, live bool) error {
	due, stamp := r.clock.at(u)
	wait := time.Until(due)
	switch {
	case live:
	case wait > 0:
		if err := r.sleep(wait); err != nil {
			return err
		}
	case wait < -behind && r.step.round == 0:
		r.clock.slip(-wait)
	}
	packets, err := r.encode(u.NALs)
	if err != nil {
		return core.Faultf(core.SourceFormat, "rtsp", "stream", "a picture cannot be sent: %w", err)
	}
	now := time.Now()
	for _, p := range packets {
		p.Timestamp = stamp
		if err := r.stream.WritePacketRTPWithNTP(r.track, p, now); err != nil {
			return core.Faultf(core.Closed, "rtsp", "stream", "%w", err)
		}
	}
	return nil
}
