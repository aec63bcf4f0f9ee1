package events_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

// TestBlackHole: a server that accepts connections and never says anything is given up again and
// again, holds up no stop, and is left no connection.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	for _, patience := range []time.Duration{150 * time.Millisecond, time.Hour} {
		for kind, scheme := range map[string]string{events.Webhook: "http", events.MQTT: "mqtt", events.NATS: "nats", events.Webhook + " TLS": "https", events.MQTT + " TLS": "mqtts", events.NATS + " TLS": "tls"} {
			t.Run(fmt.Sprint(kind, " ", patience), func(t *testing.T) {
				t.Parallel()
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				var mu sync.Mutex
				var open sync.WaitGroup
				accepted := 0
				closed := make(chan struct{})
				go func() {
					defer close(closed)
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						mu.Lock()
						accepted++
						open.Add(1)
						mu.Unlock()
						go func() {
							defer open.Done()
							_, _ = io.Copy(io.Discard, c) // until the other side closes
							_ = c.Close()
						}()
					}
				}()
				cfg := quick()
				cfg.Timeout = patience
				d := hook("hole", scheme+"://"+l.Addr().String())
				d.Kind = map[string]string{"http": events.Webhook, "https": events.Webhook, "mqtt": events.MQTT, "mqtts": events.MQTT, "nats": events.NATS, "tls": events.NATS}[scheme]
				w := newWorld(t, cfg, d)
				w.write(alert(1, 1), alert(2, 1), alert(3, 1))
				until(t, "attempts", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return accepted > 0 && (patience > time.Minute || w.stat("hole").Failed >= 8)
				})
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				n := accepted
				mu.Unlock()
				if n == 0 {
					t.Error("nothing called")
				}
				_ = l.Close()
				<-closed // nothing is added any more
				gone := make(chan struct{})
				go func() { defer close(gone); open.Wait() }()
				select {
				case <-gone:
				case <-time.After(20 * time.Second):
					t.Error("connections are left")
				}
				// Nothing is lost: it waits.
				var waiting []store.Queue
				if err := w.store.View(t.Context(), func(tx store.Tx) (err error) { waiting, err = tx.Queues(1); return err }); err != nil || len(waiting) != 3 {
					t.Errorf("%v wait (%v)", waiting, err)
				}
			})
		}
	}
}
