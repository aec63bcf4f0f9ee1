package main

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/config"
	"github.com/capstan-video/capstan/server/rtsp"
)

// startRTSP serves files and webcams as video. Until the service is there it has none.
func (s *server) startRTSP(context.Context) (func(context.Context) error, error) {
	address, elsewhere := s.cfg.RTSP.Address(s.listeners[0].Addr().String())
	if address == "" {
		return nil, nil
	}
	c := rtsp.Config{Listen: address, Elsewhere: elsewhere, Advertise: s.cfg.RTSP.Advertise, Open: s.openVideo, Round: s.roundOf, Log: s.log.Named("rtsp")}
	if s.cfg.NoAuth == config.Closed {
		c.Key = s.box.Derive("rtsp")
	}
	viewing, err := rtsp.Listen(c)
	if err != nil {
		return nil, err
	}
	s.log.Info("files and webcams are served as video", "address", viewing.Address())
	s.viewing = viewing
	return closing(viewing.Close), nil
}

func (s *server) roundOf(n core.StreamNumber) (rtsp.Round, bool) {
	r, ok := s.clocks.Round(n)
	return rtsp.Round(r), ok
}

func (s *server) openVideo(ctx context.Context, n core.StreamNumber, from time.Duration) (pipeline.EncodedStream, error) {
	svc := s.known.Load()
	if svc == nil {
		return nil, core.Faultf(core.Closed, "rtsp", "", "the server is starting")
	}
	src, seen, err := svc.Video(ctx, n)
	if err != nil {
		return nil, err
	}
	if seen != nil {
		return s.media.EncodePictures(ctx, seen)
	}
	src.Start = from
	return s.media.OpenEncoded(ctx, src)
}
