package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/host/confine"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func doctorCommand() *cobra.Command {
	var folders []string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine has, what is missing and how to mend it",
		Long: `Look at what Capstan needs of this machine: GStreamer and every element that is used,
decoders, capsules, shared memory, limits.

Exit status: 0 when everything that is required is there, else 1.`,
		Example: "  capstan doctor",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(folders) == 0 {
				folders = capsuleFolders()
			}
			return examine(cmd.OutOrStdout(), folders)
		},
	}
	cmd.Flags().StringArrayVar(&folders, "capsules", nil, "`DIR` with capsules, repeatable (default: those beside the program, or $CAPSTAN_CAPSULES)")
	return cmd
}

// examine prints every finding and fails when one that is required is not well.
func examine(w io.Writer, folders []string) error {
	findings := append(gstreamer.Check(), checkCapsules(folders)...)
	findings = append(findings, checkLimits()...)
	findings = append(findings, checkIsolation()...)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	bad := 0
	var packages []string
	for _, f := range findings {
		mark := "ok"
		if !f.OK {
			mark = "missing"
			if f.Required {
				mark, bad = "MISSING", bad+1
			}
			if f.Package != "" && !slices.Contains(packages, f.Package) {
				packages = append(packages, f.Package)
			}
		}
		detail := f.Detail
		if f.Use != "" && !f.OK {
			detail = strings.TrimSpace(detail + " (for " + f.Use + ")")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", mark, f.Name, detail)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(packages) > 0 {
		fmt.Fprintf(w, "\nTo mend it: apt-get install %s\n", strings.Join(packages, " "))
	}
	if bad > 0 {
		return fmt.Errorf("doctor: %d things that Capstan cannot do without are missing", bad)
	}
	return nil
}

// checkCapsules reads the manifests and looks for the programs.
func checkCapsules(folders []string) []gstreamer.Finding {
	entries, err := catalog.Load(folders...)
	if err != nil {
		return []gstreamer.Finding{{Name: "capsules", Detail: err.Error()}}
	}
	list := []gstreamer.Finding{{Name: "capsules", OK: len(entries) > 0, Detail: fmt.Sprintf("%d in %s", len(entries), strings.Join(folders, ", "))}}
	asked := false
	for _, e := range entries {
		f := gstreamer.Finding{Name: "capsule " + e.Declaration.Name, OK: true, Detail: "version " + e.Declaration.Version}
		script := filepath.Ext(e.Program()) == ".py"
		if script && !asked {
			asked = true
			list = append(list, checkPython())
		}
		st, err := os.Stat(e.Program())
		switch {
		case err != nil:
			f.OK, f.Detail = false, err.Error()
		case st.IsDir() || !script && st.Mode()&0o111 == 0:
			f.OK, f.Detail = false, e.Program()+" is not a program that can be run; chmod +x it"
		}
		list = append(list, f)
	}
	return list
}

// checkPython looks for an interpreter for capsules in Python.
func checkPython() gstreamer.Finding {
	path, err := host.Python(context.Background(), os.Environ())
	if err != nil {
		return gstreamer.Finding{Name: "python", Detail: err.Error()}
	}
	return gstreamer.Finding{Name: "python", OK: true, Detail: path}
}

// checkIsolation says which parts of a capsule's cage hold here.
func checkIsolation() []gstreamer.Finding {
	var list []gstreamer.Finding
	for _, p := range confine.Check() {
		list = append(list, gstreamer.Finding{Name: "isolation: " + p.Name, OK: p.OK, Detail: p.How})
	}
	return list
}

// minFiles is what a handful of streams and capsules take: each has about thirty descriptors.
const minFiles = 1024

func checkLimits() []gstreamer.Finding {
	var files unix.Rlimit
	list := []gstreamer.Finding{{Name: "CPUs", OK: true, Detail: fmt.Sprint(runtime.NumCPU())}}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		f := gstreamer.Finding{Name: "open files", OK: files.Cur >= minFiles, Detail: fmt.Sprintf("limit %d", files.Cur)}
		if !f.OK {
			f.Detail += fmt.Sprintf("; raise it with ulimit -n %d", minFiles)
		}
		list = append(list, f)
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		free := (uint64(info.Freeram) + uint64(info.Bufferram)) * uint64(info.Unit) >> 20
		const arena = 128 // MiB for one 1080p stream
		list = append(list, gstreamer.Finding{Name: "memory", OK: free > arena, Detail: fmt.Sprintf("%d MiB free; a 1080p stream takes about %d", free, arena)})
	}
	return list
}
