package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/spf13/cobra"
)

// planFlags are the settings of capstan plan, as they stand on the command line.
type planFlags struct {
	catalog []string
	active  []string
	chosen  bool // --active was given, if only with nothing
	options []string
	gates   []string
	format  string
}

func planCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show how capsules chain, without running anything",
		Long: `Plan from manifests alone: which capsules run, in which stages, why each waits for others,
and why a capsule is left out and what would bring it in. Nothing is run.

A catalogue is a folder that is searched for capsule.yaml, or one YAML file with a list of
manifests. Without --active every capsule is used, but for those that are on demand.

Exit status: 0 done, 1 failed (a manifest is broken), 2 wrong usage.`,
		Example: `  capstan plan
  capstan plan --active detector_face_pigo,tracker_bytetrack
  capstan plan --catalog ./capsules --catalog more.yaml --format json
  capstan plan --option detector_replay.class=car
  capstan plan --format mermaid
  capstan plan --format dot | dot -Tsvg > plan.svg`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("catalog") {
				return nil // --catalog a b c
			}
			return noArguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.catalog = append(f.catalog, args...)
			f.chosen = cmd.Flags().Changed("active")
			for i, name := range f.active {
				f.active[i] = strings.TrimSpace(name)
			}
			return showPlan(cmd.Context(), cmd.OutOrStdout(), f)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVar(&f.catalog, "catalog", nil, "`DIR_OR_FILE` with manifests, repeatable; more may follow as arguments (default: capsules beside the program, or $CAPSTAN_CAPSULES)")
	fl.StringSliceVar(&f.active, "active", nil, "use these capsules only: `a,b`")
	fl.StringArrayVar(&f.options, "option", nil, "set an option that descriptions follow from, repeatable: `capsule.name=value`")
	fl.StringArrayVar(&f.gates, "gate", nil, gateUsage)
	fl.StringVar(&f.format, "format", "text", "text, json, mermaid or dot")
	return cmd
}

// planFormats writes a plan in each format. Text has a note for a person at its end.
var planFormats = map[string]func(w io.Writer, p *plan.Plan, note string) error{
	"text":    func(w io.Writer, p *plan.Plan, note string) error { return writeText(w, p.Text()+note) },
	"json":    writePlanJSON,
	"mermaid": func(w io.Writer, p *plan.Plan, _ string) error { return writeText(w, p.Mermaid()) },
	"dot":     func(w io.Writer, p *plan.Plan, _ string) error { return writeText(w, p.DOT()) },
}

func writeText(w io.Writer, s string) error {
	_, err := io.WriteString(w, s)
	return err
}

func writePlanJSON(w io.Writer, p *plan.Plan, _ string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(p)
}

// showPlan is capstan plan.
func showPlan(ctx context.Context, w io.Writer, f planFlags) error {
	write, ok := planFormats[f.format]
	if !ok {
		return usageError{fmt.Errorf("--format %q is not one of text, json, mermaid, dot", f.format)}
	}
	paths := f.catalog
	if len(paths) == 0 {
		paths = capsuleFolders()
	}
	entries, err := loadCapsules(ctx, paths)
	if err != nil {
		return err
	}
	if err := checkNames("--active", entries, f.active, paths); err != nil {
		return err
	}
	options, err := parseOptions(entries, f.options)
	if err != nil {
		return err
	}
	gates, err := parseGates(f.gates)
	if err != nil {
		return err
	}
	if err := checkNames("--gate", entries, slices.Sorted(maps.Keys(gates)), paths); err != nil {
		return err
	}
	active, idle, onDemand, err := divide(entries, f, options)
	if err != nil {
		return err
	}
	p, err := plan.Make(gated(active, gates), idle...)
	if err != nil {
		return err
	}
	note := ""
	if len(onDemand) > 0 {
		note = "\nUsed only when named, by --active or an --option: " + strings.Join(onDemand, ", ") + "\n"
	}
	return write(w, p, note)
}

// checkNames refuses names of a flag that are not in the catalogue, with those that may be meant.
func checkNames(flag string, entries []catalog.Entry, names, paths []string) error {
	known := catalog.Names(entries)
	for _, name := range names {
		if slices.Contains(known, name) {
			continue
		}
		hint := "there are: " + strings.Join(known, ", ")
		if near := core.Nearest(name, known); len(near) > 0 {
			hint = "did you mean " + strings.Join(near[:min(len(near), 5)], ", ") + "?"
		} else if len(known) == 0 {
			hint = "there are none"
		}
		return usageError{fmt.Errorf("%s: there is no capsule %q in %s (%s)", flag, name, strings.Join(paths, ", "), hint)}
	}
	return nil
}

// divide parts the catalogue into the capsules to plan and the others; onDemand are those of
// the others that are only used when named.
func divide(entries []catalog.Entry, f planFlags, options map[string]map[string]any) (active, idle []plan.Capsule, onDemand []string, err error) {
	for _, e := range entries {
		name := e.Declaration.Name
		c, err := catalog.Planned(e, options[name])
		if err != nil && options[name] != nil {
			err = usageError{fmt.Errorf("--option for %s: %w", name, err)}
		}
		switch {
		case err != nil:
			return nil, nil, nil, err
		case f.chosen && !slices.Contains(f.active, name):
			idle = append(idle, c)
		case !f.chosen && e.Declaration.OnDemand && options[name] == nil:
			idle = append(idle, c)
			onDemand = append(onDemand, name)
		default:
			active = append(active, c)
		}
	}
	return active, idle, onDemand, nil
}
