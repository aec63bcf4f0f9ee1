package sqlstore

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// childEnv names the database in which the test program, started once more, writes.
const childEnv = "CAPSTAN_TEST_WRITE"

// kills is how often the writer is killed.
const kills = 30

// writeUntilKilled saves alerts with an event each, two alerts and two events a transaction, and
// prints the number of the last alert as soon as the transaction is kept.
func writeUntilKilled(path string) {
	s, err := Open(context.Background(), "sqlite:"+path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	for {
		var last core.AlertID
		err := s.Update(context.Background(), func(tx store.Tx) error {
			for range 2 {
				var err error
				if last, err = tx.SaveAlert(core.Alert{Alarm: 1, Start: time.Now()}); err != nil {
					return err
				}
				if _, err := tx.SaveEvent(store.Event{Stream: 1, Kind: "alert.began", Payload: fmt.Append(nil, last)}, 1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(4)
		}
		fmt.Println(last)
	}
}

// TestKilled kills a writer again and again, and looks after each time that the database opens,
// that everything that was acknowledged is there, and that nothing is there by half.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "capstan.db")
	s := open(t, "sqlite:"+path)
	err := s.Update(context.Background(), func(tx store.Tx) error {
		n, err := tx.SaveStream(core.StreamConfig{Name: "gate"})
		if err != nil {
			return err
		}
		z, err := tx.SaveZone(core.Zone{Stream: n, Name: core.ScreenZone})
		if err != nil {
			return err
		}
		if _, err = tx.SaveAlarm(core.Alarm{Zone: z}); err != nil {
			return err
		}
		_, err = tx.SaveDestination(store.Destination{Name: "nobody"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	acknowledged := 0
	for round := range kills {
		last := killedWriter(t, path)
		if last <= acknowledged {
			t.Fatalf("round %d: acknowledged %d after %d", round, last, acknowledged)
		}
		acknowledged = last
		look(t, path, acknowledged)
	}
	t.Logf("killed %d times, %d alerts acknowledged, none missing", kills, acknowledged)
}

// killedWriter runs a writer for a moment, kills it and gives the last number that it printed.
func killedWriter(t *testing.T, path string) (last int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+path)
	var said strings.Builder
	child.Stderr = &said
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan() // it writes
	timer := time.AfterFunc(rand.N(60*time.Millisecond), func() { _ = child.Process.Kill() })
	defer timer.Stop()
	for more := true; more; more = lines.Scan() {
		// A line that the kill has cut is none.
		if n := 0; lines.Text() != "" {
			if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
				t.Fatalf("the writer printed %q", lines.Text())
			}
			last = max(last, n)
		}
	}
	_ = child.Wait()
	if said.Len() > 0 {
		t.Fatalf("the writer failed: %s", said.String())
	}
	return last
}

// look opens the database after a kill.
func look(t *testing.T, path string, acknowledged int) {
	t.Helper()
	s := open(t, "sqlite:"+path)
	defer s.Close()
	err := s.View(context.Background(), func(tx store.Tx) error {
		alerts, n, err := tx.Alerts(store.AlertFilter{})
		if err != nil {
			return err
		}
		if len(alerts) != n || n < acknowledged || n%2 != 0 {
			t.Errorf("%d alerts, counted %d, acknowledged %d", len(alerts), n, acknowledged)
		}
		events, err := tx.Waiting(1, 1, 0)
		if err != nil {
			return err
		}
		if len(events) != n {
			t.Errorf("%d alerts and %d events", n, len(events))
		}
		for i, e := range events {
			if string(e.Event.Payload) != fmt.Sprint(i+1) {
				t.Errorf("event %d is of alert %s", i+1, e.Event.Payload)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	partsRight(t, s.(*Store))
	var check string
	if err := s.(*Store).read.NewRaw("PRAGMA integrity_check").Scan(context.Background(), &check); err != nil || check != "ok" {
		t.Errorf("integrity: %q, %v", check, err)
	}
}
