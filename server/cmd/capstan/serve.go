package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/push"
	"github.com/capstan-video/capstan/sdk/onnx/files"
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/dialects/brainframe"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

const (
	// passwordEnv is the administrator's password that the first start sets.
	passwordEnv = "CAPSTAN_ADMIN_PASSWORD"
	// stopTimeout bounds a graceful stop.
	stopTimeout = 10 * time.Second
	// headerTimeout bounds how long a client may take for its headers, idleTimeout for its next request,
	// bodyTimeout for a whole request: what sends or takes longer, as uploads do, sets its own.
	headerTimeout = 10 * time.Second
	bodyTimeout   = time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	// reserve stays free on the disk, so that the database can be written to.
	reserve = 256 << 20
)

// serveFlags are the settings of capstan serve.
type serveFlags struct {
	data     string
	listen   string
	noAuth   bool
	capsules []string
	only     []string
	without  []string
	logLevel string
	unsafe   bool
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Keep streams analysed and answer over HTTP",
		Long: `Keep streams analysed around the clock and answer the HTTP API that BrainFrame clients use.

Everything is kept in one folder: the database, uploaded files and the frames of alerts. The
first start makes the user admin and prints its password, once; $` + passwordEnv + ` sets it
instead. The first SIGINT or SIGTERM stops gracefully, a second one at once.`,
		Example: `  capstan serve
  capstan serve --data /var/lib/capstan --listen 0.0.0.0:8080`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), f, cmd.OutOrStdout()) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.data, "data", "capstan-data", "`DIR` for the database and files; made if it is not there")
	fl.StringVar(&f.listen, "listen", "127.0.0.1:8080", "`ADDRESS` to answer at")
	fl.BoolVar(&f.noAuth, "no-auth", false, "everybody is an administrator; on a loopback address only")
	fl.StringArrayVar(&f.capsules, "capsules", nil, "`DIR` with capsules, or a package NAME.cap, repeatable (default: those beside the program, or $CAPSTAN_CAPSULES)")
	fl.StringSliceVar(&f.only, "only", nil, "use these capsules only: `a,b`")
	fl.StringSliceVar(&f.without, "without", nil, "use all capsules but these: `a,b`")
	fl.BoolVar(&f.unsafe, "unsafe", false, "do not confine capsules to what their manifests say they need (for development)")
	fl.StringVar(&f.logLevel, "log-level", "warn", "trace, debug, info, warn, error or off, to standard error")
	return cmd
}

func (f *serveFlags) check() error {
	if len(f.only) > 0 && len(f.without) > 0 {
		return usageError{errors.New("--only and --without exclude each other")}
	}
	name, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return usageError{fmt.Errorf("--listen %q: want HOST:PORT", f.listen)}
	}
	if ip := net.ParseIP(name); f.noAuth && name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usageError{fmt.Errorf("--no-auth with --listen %s lets everybody in who reaches this machine; listen on 127.0.0.1", f.listen)}
	}
	return nil
}

// serve is capstan serve. It says where it answers on w.
func serve(ctx context.Context, f serveFlags, w io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	log, err := newLog(f.logLevel)
	if err != nil {
		return err
	}
	blobs, err := blob.Open(filepath.Join(f.data, "blobs"), blob.Options{Reserve: reserve})
	if err != nil {
		return err
	}
	defer blobs.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		fault := core.Faultf(core.Invalid, "serve", f.listen, "it cannot be listened on: %w", err)
		fault.Hint = "is another server running? choose another address with --listen"
		return fault
	}
	defer listener.Close()
	h := host.New(host.Config{Log: log, Unsafe: f.unsafe})
	defer h.Close()
	engine, pictures, err := f.engine(ctx, h, log)
	if err != nil {
		return interruptedOr(ctx, err)
	}
	defer engine.Close()
	db, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(f.data, "capstan.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	svc, password, err := service.New(ctx, service.Config{
		Store: db, Blobs: blobs, Engine: engine, Pictures: pictures, Log: log, NoAuth: f.noAuth, Password: os.Getenv(passwordEnv),
	})
	if err != nil {
		return err
	}
	defer svc.Close()
	if password != "" {
		fmt.Fprintf(w, "user admin, password %s (it is not shown again)\n", password)
	}
	fmt.Fprintf(w, "capstan answers at http://%s\n", listener.Addr())
	return answer(ctx, listener, svc, log)
}

// engine launches the capsules and gives the engine that has them.
func (f *serveFlags) engine(ctx context.Context, h *host.Host, log hclog.Logger) (*pipeline.Engine, *push.Media, error) {
	list, err := f.choose(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	media, err := gstreamer.New(log.Named("gstreamer"))
	if err != nil {
		return nil, nil, err
	}
	pictures := push.New(service.Looping(media))
	engine := pipeline.New(pictures, log)
	if err := launch(ctx, h, engine, list); err != nil {
		return nil, nil, errors.Join(err, engine.Close())
	}
	return engine, pictures, nil
}

// choose takes the chain that encodes faces too, so that persons can be enrolled, where its models
// are there.
func (f *serveFlags) choose(ctx context.Context, log hclog.Logger) ([]chosen, error) {
	rf := runFlags{capsules: f.capsules, only: f.only, without: f.without, gallery: recognisable}
	list, err := chooseCapsules(ctx, rf)
	if err != nil || len(f.only) > 0 {
		return list, err
	}
	for _, c := range list {
		missing := missingModel(c.entry)
		if missing == "" {
			continue
		}
		log.Warn("faces are found and not recognised", "capsule", c.entry.Declaration.Name, "missing", missing, "hint", "capstan models pull")
		rf.gallery = ""
		return chooseCapsules(ctx, rf)
	}
	return list, nil
}

// missingModel names what a capsule needs beside itself and would not find.
func missingModel(e catalog.Entry) string {
	if len(e.Declaration.Models) == 0 {
		return ""
	}
	if _, err := files.Runtime(""); err != nil {
		return "ONNX Runtime"
	}
	for _, m := range e.Declaration.Models {
		if files.Search(m.File, files.Folders(e.Dir)) == "" {
			return m.File
		}
	}
	return ""
}

// answer serves until ctx ends, and then stops: first the service, which ends the endless
// answers, then the rest.
func answer(ctx context.Context, listener net.Listener, svc *service.Service, log hclog.Logger) error {
	server := &http.Server{
		Handler:           brainframe.New(svc, log.Named("http"), brainframe.Options{}),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: log.Named("http").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return core.Faultf(core.Internal, "serve", listener.Addr().String(), "%w", err)
	case <-ctx.Done():
	}
	log.Info("stopping")
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = svc.Close()
	}()
	select {
	case <-closed:
	case <-limited.Done():
		log.Warn("streams did not stop in time", "limit", stopTimeout)
	}
	err := server.Shutdown(limited)
	if err != nil {
		err = server.Close()
	}
	<-failed
	return err
}
