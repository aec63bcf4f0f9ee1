// Command soak tries whether a server holds under fault: it starts capstan serve, kills it, fills its
// disk, takes its database away, gives it broken cameras, and calls it a million times.
//
//	make soak SOAK=10m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// whole is the length at which the amounts are those of the issue: 50 kills, 10,000 streams,
// 1,000,000 calls.
const whole = 10 * time.Minute

// check is one thing that has to hold.
type check struct {
	name, what string
	run        func(*rig, context.Context) error
}

// errNotHere is a check that this machine cannot do.
var errNotHere = errors.New("this machine cannot do this")

var checks = []check{
	{"kill", "kill -9 at random moments under load", (*rig).kills},
	{"disk", "a disk that fills, and has room again", (*rig).fullDisk},
	{"database", "PostgreSQL that crashes, and comes back", (*rig).lostDatabase},
	{"cameras", "cameras that stall, send garbage, change size, come and go", (*rig).badCameras},
	{"nonsense", "nonsense to every route", (*rig).nonsense},
	{"streams", "streams that are added and removed", (*rig).manyStreams},
	{"calls", "calls of the API", (*rig).manyCalls},
}

func main() {
	beCapsule(filepath.Base(os.Args[0]))
	program := flag.String("capstan", "bin/capstan", "the program")
	length := flag.Duration("length", whole, "how long, about; amounts are in proportion")
	only := flag.String("only", "", "checks to do, with commas; empty: all")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := soak(ctx, *program, *only, float64(*length)/float64(whole), *seed, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		stop()
		os.Exit(1)
	}
}

// soak does the checks and writes the report; it fails when something does not hold.
func soak(ctx context.Context, program, only string, scale float64, seed uint64, out io.Writer) (err error) {
	names := strings.FieldsFunc(only, func(r rune) bool { return r == ',' })
	for _, n := range names {
		if !slices.ContainsFunc(checks, func(c check) bool { return c.name == n }) {
			return fmt.Errorf("there is no check %q", n)
		}
	}
	fmt.Fprintf(out, "seed %d\n", seed)
	r, err := newRig(ctx, program, scale, seed, out)
	if err != nil {
		return err
	}
	r.enough = enough
	defer func() { err = errors.Join(err, r.close()) }()
	for _, c := range checks {
		if len(names) > 0 && !slices.Contains(names, c.name) {
			continue
		}
		fmt.Fprintf(out, "%s: %s\n", c.name, c.what)
		r.do(ctx, c)
		if ctx.Err() != nil {
			break
		}
	}
	r.report()
	if len(r.wrong) > 0 {
		return errors.Join(r.wrong...)
	}
	return ctx.Err()
}

// do does a check, and notes how it went.
func (r *rig) do(ctx context.Context, c check) {
	began, before := time.Now(), len(r.wrong)
	err := c.run(r, ctx)
	result := "holds"
	switch {
	case errors.Is(err, errNotHere):
		result = "SKIPPED: " + err.Error()
		fmt.Fprintf(r.out, "  %s\n", result)
	case err != nil:
		r.fail(c.name, "%w", err)
	}
	if len(r.wrong) > before {
		result = "DOES NOT HOLD"
	}
	r.note(c.name, "result", "%s, after %v", result, time.Since(began).Round(time.Second))
}

func (r *rig) report() {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\ncheck\twhat\tvalue")
	for _, row := range r.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", row.check, row.what, row.value)
	}
	_ = w.Flush()
}
