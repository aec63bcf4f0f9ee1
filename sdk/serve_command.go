package sdk

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
)

// commandLine is what a capsule does when a person starts it; it gives the exit status.
func commandLine(c Capsule, args []string, out, errs io.Writer) int {
	d := c.Declaration()
	var err error
	switch {
	case len(args) == 1 && args[0] == "manifest":
		err = printManifest(d, out)
	case len(args) == 2 && args[0] == "manifest":
		err = writeManifest(d, args[1])
	case len(args) == 1 && args[0] == "describe":
		err = describe(d, out)
	default:
		fmt.Fprintf(errs, "%s is a Capstan capsule: a part that an engine starts to look at video frames. "+
			"%s\nTo see it work: capstan run VIDEO --only %s. "+
			"By itself it can say what it is: %[1]s describe, or print its manifest: %[1]s manifest (to a file: %[1]s manifest capsule.yaml).\n", d.Name, d.Description, d.Name)
		return 2
	}
	if err != nil {
		fmt.Fprintf(errs, "%s: %v\n", d.Name, err)
		return 1
	}
	return 0
}

func printManifest(d core.Declaration, out io.Writer) error {
	if err := d.Validate(); err != nil {
		return err
	}
	text, err := manifest.Encode(d)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

// writeManifest leaves the file as it is when there is no manifest to write.
func writeManifest(d core.Declaration, path string) error {
	var text bytes.Buffer
	if err := printManifest(d, &text); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// describe prints the declaration for a person.
func describe(d core.Declaration, out io.Writer) error {
	if err := d.Validate(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s (capsule contract %s)\n%s\n\n", d.Name, d.Version, d.API, d.Description)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "needs\t%s\ngives\t%s\npixels\t%s\n", d.Input, d.Output, pixels(d))
	state := "none: frames may be worked on side by side"
	if d.Stateful {
		state = "kept for each stream: frames come one at a time and in order"
	}
	fmt.Fprintf(w, "state\t%s\n", state)
	if d.EveryN > 1 {
		fmt.Fprintf(w, "frames\tevery %d.\n", d.EveryN)
	}
	if !d.Gate.IsZero() {
		fmt.Fprintf(w, "gate\t%s\n", d.Gate)
	}
	if d.Deadline > 0 {
		fmt.Fprintf(w, "deadline\t%s\n", d.Deadline)
	}
	if d.Metric != "" {
		fmt.Fprintf(w, "metric\t%s\n", d.Metric)
	}
	if len(d.Options) > 0 {
		fmt.Fprintf(w, "\noptions\n")
	}
	for _, o := range d.Options {
		limits := o.Limits()
		if len(o.Choices) > 0 {
			limits = strings.Join(o.Choices, ", ")
		}
		fmt.Fprintf(w, "  %s\t%s\t%v\t%s\t%s\n", o.Name, o.Type, o.Default, limits, o.Description)
	}
	return w.Flush()
}

func pixels(d core.Declaration) string {
	if len(d.Formats) == 0 {
		return "none"
	}
	names := make([]string, len(d.Formats))
	for i, f := range d.Formats {
		names[i] = string(f)
	}
	s := strings.Join(names, ", ")
	switch p := d.Picture; {
	case p.MaxSide > 0:
		s += fmt.Sprintf(", longer side at most %d", p.MaxSide)
	case p.Width > 0:
		s += fmt.Sprintf(", %dx%d", p.Width, p.Height)
	}
	if d.Picture.Filter != core.Mean {
		s += ", filter " + string(d.Picture.Filter)
	}
	return s
}
