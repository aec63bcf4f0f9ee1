package sqlstore

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

// TestOutbox: several write events while these are delivered, on either database. Each arrives, in
// the order of its stream, and nothing is left.
func TestOutbox(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{
		"SQLite":     func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "capstan.db") },
		"PostgreSQL": postgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, fresh(t))
			defer s.Close()
			outbox(t, s)
		})
	}
}

func outbox(t *testing.T, s store.Store) {
	const streams, each = 6, 60
	var mu sync.Mutex
	got := map[int64][]int64{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var e struct {
			Data struct{ Stream, Zone struct{ ID int64 } }
		}
		mu.Lock()
		defer mu.Unlock()
		if err := json.Unmarshal(body, &e); err != nil {
			t.Error(err)
		}
		got[e.Data.Stream.ID] = append(got[e.Data.Stream.ID], e.Data.Zone.ID)
	}))
	defer server.Close()
	o, err := events.Open(t.Context(), events.Config{Store: s, AllowLocal: true, FirstPause: time.Millisecond, MostPause: 5 * time.Millisecond,
		Destinations: []store.Destination{{Name: "a", Kind: events.Webhook, URL: server.URL, Enabled: true}, {Name: "off", Kind: events.Webhook, URL: server.URL}}})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var writers sync.WaitGroup
	for stream := int64(1); stream <= streams; stream++ {
		writers.Go(func() {
			for n := int64(1); n <= each; n++ {
				err := s.Update(context.Background(), func(tx store.Tx) error {
					return o.Write(tx, events.Event{Kind: events.AlertBegan, At: time.Now(), Stream: core.StreamNumber(stream),
						Data: events.AlertData{Stream: events.Named{ID: stream}, Zone: events.Named{ID: n}}})
				})
				if err != nil {
					t.Errorf("stream %d, event %d: %v", stream, n, err)
				}
				o.Wake()
			}
		})
	}
	writers.Wait()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		stats, err := o.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats[0].Waiting == 0 {
			if stats[0].Delivered != streams*each || stats[0].Failed > 0 || stats[1].Waiting > 0 {
				t.Errorf("%+v", stats)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v after 30 s", stats)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for stream := int64(1); stream <= streams; stream++ {
		if len(got[stream]) != each {
			t.Errorf("stream %d: %d events, want %d", stream, len(got[stream]), each)
		}
		for i, n := range got[stream] {
			if n != int64(i+1) {
				t.Errorf("stream %d: event %d is number %d", stream, i+1, n)
			}
		}
	}
	left := 0
	if err := s.(*Store).read.NewRaw("SELECT COUNT(*) FROM events").Scan(t.Context(), &left); err != nil || left != 0 {
		t.Errorf("%d events are left (%v)", left, err)
	}
}
