package brainframe

import (
	"bytes"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// scene gives what four streams with 20 objects each in three zones are.
func scene() *service.Snapshot {
	s := &service.Snapshot{Streams: map[core.StreamNumber][]service.ZoneStatus{}}
	for n := core.StreamNumber(1); n <= 4; n++ {
		list := numbered(1)
		list[0].Within = list[0].Within[:20]
		for _, name := range []string{"Hall", "Door"} {
			z := list[0]
			z.Zone = core.Zone{ID: 2, Stream: n, Name: name, Coords: core.Rect(1, 2, 3, 4)}
			list = append(list, z)
		}
		s.Streams[n] = list
	}
	return s
}

// BenchmarkPacket encodes the scene with news of one stream, and with news of all.
func BenchmarkPacket(b *testing.B) {
	for name, fresh := range map[string]core.StreamNumber{"one": 1, "all": 4} {
		b.Run(name, func(b *testing.B) {
			var p packets
			base := scene()
			for b.Loop() {
				next := &service.Snapshot{Streams: map[core.StreamNumber][]service.ZoneStatus{}}
				for n, list := range base.Streams {
					if n <= fresh {
						list = append([]service.ZoneStatus{}, list...)
					}
					next.Streams[n] = list
				}
				body, err := p.of(next)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(body)))
			}
		})
	}
}

// BenchmarkSubscribers publishes to 500 readers, one of which takes nothing: an operation is one
// snapshot that has reached all others.
func BenchmarkSubscribers(b *testing.B) {
	w := newWorld()
	server := httptest.NewServer(handler(w, Options{}))
	defer server.Close()
	defer w.stop()
	var arrived sync.WaitGroup
	for i := range 500 {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET /api/streams/statuses HTTP/1.1\r\nHost: server\r\n\r\n"); err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			continue // takes nothing
		}
		arrived.Add(1)
		go count(c, &arrived)
	}
	arrived.Wait()
	list := scene().Streams[1]
	for b.Loop() {
		arrived.Add(499)
		w.mu.Lock()
		w.publish(1, append([]service.ZoneStatus{}, list...))
		w.mu.Unlock()
		arrived.Wait()
	}
}

// count tells that there is nothing yet, and then each packet.
func count(from io.Reader, arrived *sync.WaitGroup) {
	buffer, seen := make([]byte, 64<<10), []byte{}
	for mark := []byte("{}\r\n"); ; {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		seen = append(seen, buffer[:n]...)
		for {
			_, rest, ok := bytes.Cut(seen, mark)
			if !ok {
				break
			}
			arrived.Done()
			mark = []byte("}}}\r\n")
			seen = append([]byte{}, rest...)
		}
	}
}
