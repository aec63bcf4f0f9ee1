package events_test

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

	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// childEnv names the database and the webhook that the test program, started once more, works with.
const childEnv = "CAPSTAN_TEST_TELL"

// kills is how often the teller is killed.
const kills = 15

// killedStreams are the streams of the killed teller.
const killedStreams = 3

func TestMain(m *testing.M) {
	if at := os.Getenv(childEnv); at != "" {
		path, url, _ := strings.Cut(at, "|")
		tellUntilKilled(path, url)
	}
	os.Exit(m.Run())
}

// tellUntilKilled keeps events and delivers them, and prints the number of each event as soon as
// its transaction is kept. The numbers go on where they ended.
func tellUntilKilled(path, url string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
	}
	s, err := sqlstore.Open(context.Background(), "sqlite:"+path)
	fail(err)
	cfg := quick()
	cfg.Store, cfg.Destinations = s, []store.Destination{hook("site", url)}
	o, err := events.Open(context.Background(), cfg)
	fail(err)
	for {
		n := 0
		fail(s.Update(context.Background(), func(tx store.Tx) error {
			text, err := tx.Value("n")
			if err != nil {
				return err
			}
			n = 0
			if text != nil {
				_, err = fmt.Sscan(string(text), &n)
			}
			n++
			for stream := 1; stream <= killedStreams && err == nil; stream++ {
				err = o.Write(tx, alert(stream, n))
			}
			if err != nil {
				return err
			}
			return tx.SaveValue("n", fmt.Append(nil, n))
		}))
		fmt.Println(n)
		o.Wake()
	}
}

// TestKilled kills a teller again and again. Every event whose transaction was kept arrives, in
// the order of its stream; what is repeated has the same key and body.
func TestKilled(t *testing.T) {
	t.Parallel()
	var in inbox
	server := receive(t, &in, nil)
	path := filepath.Join(t.TempDir(), "capstan.db")
	kept := 0
	for round := range kills {
		last := killedTeller(t, path, server.URL)
		if last <= kept {
			t.Fatalf("round %d: kept %d after %d", round, last, kept)
		}
		kept = last
	}
	w := &world{t: t, store: openStore(t, path), cfg: quick()}
	w.cfg.Store, w.cfg.Destinations = w.store, []store.Destination{hook("site", server.URL)}
	w.open()
	defer func() { _, _ = w.Close(), w.store.Close() }()
	w.empty("site")
	// The transaction of the last number may have been kept without having been printed.
	var text []byte
	if err := w.store.View(t.Context(), func(tx store.Tx) (err error) { text, err = tx.Value("n"); return err }); err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := fmt.Sscan(string(text), &n); err != nil || n < kept {
		t.Fatalf("%d were kept and %q is in the store (%v)", kept, text, err)
	}
	in.inOrder(t, killedStreams, n)
	t.Logf("killed %d times, %d transactions kept, none missing", kills, n)
}

// killedTeller runs a teller for a moment, kills it, and gives the last number that it printed.
func killedTeller(t *testing.T, path, url string) (last int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+path+"|"+url)
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
	lines.Scan() // it tells
	timer := time.AfterFunc(rand.N(150*time.Millisecond), func() { _ = child.Process.Kill() })
	defer timer.Stop()
	for more := true; more; more = lines.Scan() {
		if n := 0; lines.Text() != "" {
			if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
				t.Fatalf("the teller printed %q", lines.Text())
			}
			last = max(last, n)
		}
	}
	_ = child.Wait()
	if said.Len() > 0 {
		t.Fatalf("the teller failed: %s", said.String())
	}
	return last
}
