package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/capstan-video/capstan/core"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
)

// version is set by the linker: -X main.version=v1.2.3.
var version = "devel"

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "capstan",
		Short: "Video analytics from capsules that chain themselves",
		Long: `Capstan decodes video with GStreamer and hands the frames to capsules: plugins, each a
process of its own. A capsule declares what it needs on a frame and what it adds; from that
alone Capstan chains detectors, classifiers, trackers and encoders.`,
		Example: `  capstan run video.mp4
  capstan run rtsp://camera.local/stream --json - | jq .detections
  capstan plan --format mermaid
  capstan doctor`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(runCommand(), serveCommand(), configCommand(), backupCommand(), restoreCommand(), benchCommand(), planCommand(), modelsCommand(), capsuleCommand(), recordCommand(), replayCommand(), doctorCommand(), versionCommand(), sceneCommand())
	return root
}

// noArguments refuses anything that is neither a flag nor a command.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usageError{fmt.Errorf("there is no command %q; see %s --help", args[0], cmd.CommandPath())}
	}
	return usageError{fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0])}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of the program and of the capsule contract",
		Example: "  capstan version",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "capstan %s\ncapsule contract %s\n%s %s/%s\n",
				buildVersion(), core.APIVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// buildVersion gives what the linker was told, else what Go knows of the module.
func buildVersion() string {
	if version != "devel" {
		return version
	}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" && b.Main.Version != "(devel)" {
		return b.Main.Version
	}
	return version
}

// capsuleFolders gives the folders to look for capsules in when none are named: those of
// $CAPSTAN_CAPSULES, else capsules beside the program.
func capsuleFolders() []string {
	if list := os.Getenv("CAPSTAN_CAPSULES"); list != "" {
		return filepath.SplitList(list)
	}
	exe, err := os.Executable()
	if err != nil {
		return []string{"capsules"}
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	return []string{filepath.Join(filepath.Dir(exe), "capsules")}
}

// newLog gives the program's log on standard error.
func newLog(level string) (hclog.Logger, error) {
	l := hclog.LevelFromString(level)
	if l == hclog.NoLevel {
		return nil, usageError{fmt.Errorf("--log-level %q is not one of trace, debug, info, warn, error, off", level)}
	}
	return hclog.New(&hclog.LoggerOptions{Name: "capstan", Level: l, Output: os.Stderr}), nil
}
