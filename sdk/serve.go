package sdk

import (
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/capstan-video/capstan/sdk/wire"
	"github.com/capstan-video/capstan/sdk/wire/shm"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// closeTime is how long a capsule whose engine is gone may take to close its processors.
const closeTime = 2 * time.Second

// Serve is the main of a capsule: it never returns. An engine that starts the process is
// served until it goes away. Started by hand, the process has two commands, manifest (which
// prints its capsule.yaml) and describe.
//
// What the author's code prints arrives in the engine's log, as does Stream.Log.
func Serve(c Capsule) {
	if os.Getenv(wire.Handshake.MagicCookieKey) != wire.Handshake.MagicCookieValue {
		os.Exit(commandLine(c, os.Args[1:], os.Stdout, os.Stderr))
	}
	// A terminal sends Ctrl-C to capsules too; the engine drains its frames first and ends them.
	signal.Ignore(syscall.SIGINT)
	level := hclog.LevelFromString(os.Getenv(wire.LogEnv))
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	log := hclog.New(&hclog.LoggerOptions{Level: level, Output: os.Stderr, JSONFormat: true})
	rt, err := NewRuntime(c, log)
	if err != nil {
		log.Error("the capsule's declaration is not valid", "error", err)
		os.Exit(1)
	}
	s := newServer(rt, log)
	if err := s.openFrames(os.Getenv(wire.FramesEnv)); err != nil {
		log.Error("no frames", "error", err)
		os.Exit(1)
	}
	if os.Getenv(wire.LifeEnv) != "" {
		go endWith(os.Stdin, s)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         plugin.PluginSet{wire.PluginName: &wire.Plugin{Impl: s}},
		Logger:          log.Named("serve").With("pid", os.Getpid()),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, wire.ServerOptions()...)...)
		},
	})
	s.exit()
}

// openFrames starts to read packets from the descriptor that the environment names, if any.
func (s *server) openFrames(descriptor string) error {
	if descriptor == "" {
		return nil
	}
	os.Unsetenv(wire.FramesEnv) // it is not for children of ours
	fd, err := strconv.Atoi(descriptor)
	if err != nil {
		return err
	}
	if s.conn, err = shm.Open(fd); err != nil {
		return err
	}
	go func() {
		s.readFrames()
		s.exit()
	}()
	return nil
}

// endWith ends the process at the end of r.
func endWith(r io.Reader, s *server) {
	_, _ = io.Copy(io.Discard, r)
	s.exit()
}

// exit closes what the author's code has open, within closeTime, and ends the process: a
// capsule does not outlive its engine.
func (s *server) exit() {
	closed := make(chan struct{})
	go func() {
		s.rt.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTime):
	}
	os.Exit(0)
}
