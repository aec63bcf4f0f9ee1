package host

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// TestGoodAnswersMakePausesShort has a capsule die twenty times. Pauses that double each time
// would take 12 days; Good answers between the deaths make each the first one again.
func TestGoodAnswersMakePausesShort(t *testing.T) {
	t.Parallel()
	const good = 3
	restart := Restart{First: time.Millisecond, Most: time.Hour * 1000, Stable: time.Hour, Good: good, Breaker: 1 << 20}
	_, c := launchAct(t, Config{Restart: restart}, "naughty")
	openTest(t, c)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i := range 20 {
		if err := c.Ready(ctx); err != nil {
			t.Fatalf("after %d deaths: %v", i, err)
		}
		for range good {
			if _, err := send(t, c, 1); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := send(t, c, seqExit); core.KindOf(err) != core.CapsuleExited {
			t.Fatalf("it lives: %v", err)
		}
	}
	if err := c.Ready(ctx); err != nil || c.Stats().Restarts != 20 {
		t.Errorf("%v, %d restarts", err, c.Stats().Restarts)
	}
}

// TestTooFewGoodAnswersDoNot has each process answer once less than Good: the pauses double.
// They are at least three quarters of what they should be.
func TestTooFewGoodAnswersDoNot(t *testing.T) {
	t.Parallel()
	restart := Restart{First: 4 * time.Millisecond, Most: time.Hour, Stable: time.Hour, Good: 3, Breaker: 1 << 20}
	_, c := launchAct(t, Config{Restart: restart}, "naughty")
	openTest(t, c)
	var least time.Duration
	began := time.Now()
	for i := range 7 {
		for range 2 {
			if _, err := send(t, c, 1); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = send(t, c, seqExit)
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		least += (4 * time.Millisecond << i) * 3 / 4
	}
	if took := time.Since(began); took < least {
		t.Errorf("seven restarts took %s, at least %s were to be waited", took, least)
	}
}

// TestConfigure gives a running capsule other settings: open streams keep theirs, new ones and
// processes that are started again have the new.
func TestConfigure(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{Restart: fast}, "order")
	openTest(t, c)
	values := func(word string) core.Values {
		t.Helper()
		v, err := c.Declaration().Complete(map[string]any{"word": word})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if err := c.Configure(t.Context(), values("second")); err != nil {
		t.Fatal(err)
	}
	if c.Values().Text("word") != "second" {
		t.Errorf("the settings are %v", c.Values())
	}
	word := func(stream core.StreamID) string {
		t.Helper()
		f := frame(1)
		f.Stream = stream
		a, err := c.Process(t.Context(), pipeline.Call{Frame: f})
		if err != nil || len(a.Returns) != 1 || len(a.Returns[0].Added) != 1 {
			t.Fatalf("%v, returns %+v", err, a.Returns)
		}
		return text(t, a.Returns[0].Added[0], "word")
	}
	if got := word("s"); got != "default" {
		t.Errorf("the open stream has %q", got)
	}
	for _, refused := range []core.Values{{"word": 7}, {"nope": "x"}} {
		if err := c.Configure(t.Context(), refused); err == nil {
			t.Errorf("%v was taken", refused)
		}
		if c.Values().Text("word") != "second" {
			t.Errorf("the settings are %v", c.Values())
		}
	}
	pid := c.Stats().PID
	if err := killProcess(pid); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "another process", func() bool { s := c.Stats(); return s.PID != 0 && s.PID != pid })
	if c.Values().Text("word") != "second" || word("s") != "default" {
		t.Errorf("after a restart the settings are %v, the stream has %q", c.Values(), word("s"))
	}
	c.Close()
	if err := c.Configure(t.Context(), values("third")); core.KindOf(err) != core.Closed {
		t.Errorf("a closed capsule: %v", err)
	}
}

func killProcess(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}
