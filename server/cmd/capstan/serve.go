package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/capstan-video/capstan/server/config"
	"github.com/capstan-video/capstan/server/lifecycle"
)

// stopTimeout bounds a graceful stop.
const stopTimeout = 10 * time.Second

func serveCommand() *cobra.Command {
	var file *string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Keep streams analysed and answer over HTTP",
		Long: `Keep streams analysed around the clock and answer the HTTP API that BrainFrame clients use.

Everything is kept in one folder: the database, uploaded files and the frames of alerts. The
first start makes the user admin and prints its password, once; $CAPSTAN_ADMIN_PASSWORD sets it
instead. The first SIGINT or SIGTERM stops gracefully, a second one at once.

Every flag but --config is also a key of the file and an environment variable; see
docs/reference/config.md and capstan config --help.`,
		Example: `  capstan serve
  capstan serve --demo
  capstan serve --data /var/lib/capstan --listen 0.0.0.0:8080
  capstan serve --config /etc/capstan/capstan.yaml`,
		Args: noArguments,
	}
	cmd.Flags().SortFlags = false
	file = config.AddFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := config.Load(config.Sources{File: *file, Env: os.Environ(), Flags: cmd.Flags()})
		if err != nil {
			return usageError{err}
		}
		return serve(cmd.Context(), loaded, cmd.OutOrStdout())
	}
	return cmd
}

// serve is capstan serve: it starts the parts, waits for the end, and stops them. What people should
// know is written to w.
func serve(ctx context.Context, c *config.Loaded, w io.Writer) error {
	log, err := serverLog(c.Log)
	if err != nil {
		return err
	}
	for _, warning := range c.Warnings {
		log.Warn(warning)
	}
	s := newServer(c, log, w)
	running, err := lifecycle.Start(ctx, log, stopTimeout, s.parts())
	if err != nil {
		return interruptedOr(ctx, err)
	}
	select {
	case err = <-s.front.Failed():
	case <-ctx.Done():
	}
	log.Info("stopping")
	_ = s.notify.Tell("STOPPING=1")
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, running.Stop(limited))
}

// parts lists what a server consists of, in the order of starting; it is stopped in the reverse
// order. What comes before "front" is there at once; from then on clients are told to wait, and the
// last part lets them in.
func (s *server) parts() []lifecycle.Part {
	return []lifecycle.Part{
		{Name: "data folder", Start: s.startFolder},
		{Name: "gstreamer", Start: s.startMedia},
		{Name: "addresses", Start: s.startAddresses},
		{Name: "database", Start: s.startDatabase},
		{Name: "blobs", Start: s.startBlobs},
		{Name: "events", Start: s.startEvents},
		{Name: "traces", Start: s.startTraces},
		{Name: "engine", Start: s.startEngine},
		{Name: "rtsp", Start: s.startRTSP},
		{Name: "front", Start: s.startFront},
		{Name: "sockets", Start: s.startSockets},
		{Name: "capsules", Start: s.startCapsules},
		{Name: "service", Start: s.startService},
		{Name: "dialects", Start: s.startDialects},
		{Name: "relaunching", Start: s.startRelaunching},
		{Name: "demo", Start: s.startDemo},
	}
}

// serverLog gives the log on standard error.
func serverLog(c config.Log) (hclog.Logger, error) {
	level := hclog.LevelFromString(c.Level)
	if level == hclog.NoLevel {
		return nil, usageError{fmt.Errorf("log.level %q is not one of trace, debug, info, warn, error, off", c.Level)}
	}
	return hclog.New(&hclog.LoggerOptions{Name: "capstan", Level: level, Output: os.Stderr, JSONFormat: c.Format == "json"}), nil
}
