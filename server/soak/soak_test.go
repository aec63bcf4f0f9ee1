package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	beCapsule(filepath.Base(os.Args[0]))
	os.Exit(m.Run())
}

// progress shows progress in the log of a test.
type progress struct{ t *testing.T }

func (p progress) Write(b []byte) (int, error) {
	p.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// program builds capstan, or takes the one that $CAPSTAN_PROGRAM names.
func program(t *testing.T) string {
	t.Helper()
	if named := os.Getenv("CAPSTAN_PROGRAM"); named != "" {
		return named
	}
	to := filepath.Join(t.TempDir(), "capstan")
	if out, err := exec.Command("go", "build", "-o", to, "../cmd/capstan").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return to
}

// TestHolds does every check in small: make soak does them at length.
func TestHolds(t *testing.T) {
	built := program(t)
	var all sync.WaitGroup // all at once: they wait more than they work
	defer all.Wait()
	for _, c := range checks {
		all.Go(func() { t.Run(c.name, func(t *testing.T) { hold(t, built, c) }) })
	}
}

func hold(t *testing.T, built string, c check) {
	r, err := newRig(t.Context(), built, 0.02, 1, progress{t})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	r.enough = 0.2 // the other checks use the machine too
	r.do(t.Context(), c)
	for _, err := range r.wrong {
		t.Error(err)
	}
	for _, row := range r.rows {
		t.Logf("%s: %s", row.what, row.value)
		if reason, ok := strings.CutPrefix(row.value, "SKIPPED: "); ok {
			t.Skipf("SKIPPED, so that it was not tried whether a server holds: %s", reason)
		}
	}
}

// TestReport: what does not hold is in the report, and is an error.
func TestReport(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := &rig{out: &out}
	r.do(t.Context(), check{"good", "", func(r *rig, _ context.Context) error { r.note("good", "n", "%d", 3); return nil }})
	r.do(t.Context(), check{"bad", "", func(r *rig, _ context.Context) error { r.fail("bad", "of %s", "course"); return nil }})
	r.do(t.Context(), check{"none", "", func(*rig, context.Context) error { return errNotHere }})
	r.report()
	for _, want := range []string{"DOES NOT HOLD: bad: of course\n", "good   n       3\n", "good   result  holds, after 0s\n", "bad    result  DOES NOT HOLD, after 0s\n", "none   result  SKIPPED: this machine cannot do this"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if len(r.wrong) != 1 {
		t.Errorf("wrong: %v", r.wrong)
	}
	if err := soak(t.Context(), "", "kill,nothing", 1, 1, &out); err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("a check that there is not: %v", err)
	}
}

// TestHoles: alerts that are missing are found.
func TestHoles(t *testing.T) {
	t.Parallel()
	end := 99.0
	at := func(starts ...float64) (list []alert) {
		for _, s := range starts {
			list = append(list, alert{Start: s, End: &end})
		}
		return list
	}
	for name, c := range map[string]struct {
		list []alert
		want string
	}{
		"all":           {at(3, 1, 2, 4, 5, 6), ""},
		"none":          {nil, "the last alert began"},
		"one":           {at(5.5), "no alert began in the 5.5 s"},
		"a hole":        {at(1, 2, 6), "no alert began in the 4.0 s before 6.0"},
		"too soon over": {at(1, 2), "the last alert began 3.0 s before the end"},
		"two are open":  {append(at(1, 3, 5), alert{Start: 5}, alert{Start: 6}), "2 alerts have no end"},
	} {
		if got := holes(c.list, 0, 5); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestSlope: what grows is seen, and what only jumps at the beginning is not.
func TestSlope(t *testing.T) {
	t.Parallel()
	grows, jumps := growth{name: "grows"}, growth{name: "jumps"}
	for i := range 11 {
		at := float64(i) / 10
		grows.add(at, size{descriptors: 10 + 5*i})
		jumps.add(at, size{descriptors: 10 + 50*min(i, 2)})
	}
	r := &rig{out: io.Discard}
	jumps.flat(r, "work")
	if len(r.wrong) != 0 {
		t.Errorf("%v", r.wrong)
	}
	grows.flat(r, "work")
	if len(r.wrong) != 1 || !strings.Contains(r.wrong[0].Error(), "+50.0 descriptors") {
		t.Errorf("%v", r.wrong)
	}
}
