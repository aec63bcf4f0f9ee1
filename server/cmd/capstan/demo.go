package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/server/config"
	showcase "github.com/capstan-video/capstan/server/demo"
)

// demoLength is short: a newcomer waits while it is made.
const demoLength = 6 * time.Second

// startDemo adds the demo, or takes it away, beside the server that answers already.
func (s *server) startDemo(context.Context) (func(context.Context) error, error) {
	if s.cfg.Demo == "" || s.cfg.Demo == "off" {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.demonstrate(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("the demo could not be set up; the server goes on without it", "err", err)
		}
	}()
	return func(context.Context) error { cancel(); <-done; return nil }, nil
}

func (s *server) demonstrate(ctx context.Context) error {
	if s.cfg.Demo == "remove" {
		err := showcase.Remove(ctx, s.svc)
		if err == nil {
			fmt.Fprintln(s.out, "the demo was removed")
		}
		return err
	}
	shown, err := showcase.Add(ctx, s.svc, renderDemo, s.cfg.Data)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "the demo is stream %d, %q: faces move through the zone %q, where the alarm %q is on while one is there\n", shown.Stream, showcase.StreamName, showcase.ZoneName, showcase.AlarmName)
	if !shown.Named {
		s.log.Debug("the demo's person is not recognised", "err", shown.Why)
		fmt.Fprintln(s.out, "faces are found and not recognised: capstan models pull and make onnxruntime fetch what names the person of the demo")
	}
	_, err = fmt.Fprintf(s.out, "look at what is seen now:\n  %s\nand take it away with: capstan serve --demo=remove%s\n", s.look("/api/streams/status"), s.sameData())
	return err
}

// sameData gives the flag that names the data folder again, where a flag has named it.
func (s *server) sameData() string {
	if s.cfg.Origins["data"].Source != "--data" {
		return ""
	}
	return " --data " + s.cfg.Data
}

// look gives the curl line for a path, as somebody on this machine can run it.
func (s *server) look(path string) string {
	line := "curl -s "
	switch {
	case s.cfg.NoAuth != config.Closed:
	case s.password != "":
		line += "-u admin:" + s.password + " "
	case s.cfg.Origins["admin_password"].Source == "$CAPSTAN_ADMIN_PASSWORD":
		line += `-u "admin:$CAPSTAN_ADMIN_PASSWORD" `
	default:
		line += "-u admin " // curl asks for the password
	}
	scheme := "http"
	if s.cfg.TLS.On() {
		line, scheme = line+"-k ", "https"
	}
	host, port, _ := net.SplitHostPort(s.listeners[0].Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return line + scheme + "://" + net.JoinHostPort(host, port) + path
}

// renderDemo makes the demo's clip. The first picture comes twice, once mirrored.
func renderDemo(ctx context.Context, out string, pictures []string) error {
	if len(pictures) == 0 {
		return errors.New("demo: no pictures")
	}
	sprites := spread(pictures)
	for i := range sprites {
		sprites[i].Width = sprites[i].Width * showcase.Width / 1280
	}
	return gstreamer.RenderScene(ctx, out, sprites, gstreamer.SceneOptions{Width: showcase.Width, Height: showcase.Height, FPS: 15, Duration: demoLength})
}
