package brainframe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
	"github.com/capstan-video/capstan/server/service"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// rawReader is a client of the status stream on a bare connection.
type rawReader struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	rest []byte // of chunks, not yet read
}

// dial asks for the status stream and reads the head of the answer.
func dial(t testing.TB, address string) *rawReader {
	t.Helper()
	return dialAs(t, address, "", "")
}

// dialAs does so by name and password.
func dialAs(t testing.TB, address, name, password string) *rawReader {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	head := "GET /api/streams/statuses HTTP/1.1\r\nHost: server\r\nAccept-Encoding: identity\r\n"
	if name != "" {
		head += "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password)) + "\r\n"
	}
	_, err = io.WriteString(conn, head+"\r\n")
	if err != nil {
		t.Fatal(err)
	}
	c := &rawReader{t: t, conn: conn, r: bufio.NewReader(conn)}
	status, err := c.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		t.Fatalf("status line %q: %v", status, err)
	}
	h, err := textproto.NewReader(c.r).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	if h.Get("Transfer-Encoding") != "chunked" || h.Get("Content-Length") != "" || h.Get("Content-Encoding") != "" {
		t.Fatalf("header %v", h)
	}
	return c
}

// chunk reads one chunk. io.EOF: the connection ended before the next; errEnded: it was ended well.
func (c *rawReader) chunk() ([]byte, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, io.EOF
	}
	n, err := strconv.ParseInt(strings.TrimRight(line, "\r\n"), 16, 32)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errEnded
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(c.r, b); err != nil {
		return nil, err
	}
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		return nil, errors.New("a chunk does not end in CR LF")
	}
	return b[:n], nil
}

var errEnded = errors.New("the stream ended as if it were complete")

// packet reads up to the next CR LF and gives what stands before it; empty: a keep-alive.
func (c *rawReader) packet() (string, error) {
	for {
		if p, rest, ok := bytes.Cut(c.rest, []byte("\r\n")); ok {
			c.rest = rest
			return string(p), nil
		}
		b, err := c.chunk()
		if err != nil {
			return "", err
		}
		c.rest = append(c.rest, b...)
	}
}

// next reads the next packet that is no keep-alive.
func (c *rawReader) next() string {
	c.t.Helper()
	for {
		p, err := c.packet()
		if err != nil {
			c.t.Fatal(err)
		}
		if p != "" {
			return p
		}
	}
}

func listen(t testing.TB, w *world, opt Options) string {
	t.Helper()
	s := httptest.NewServer(handler(w, opt))
	t.Cleanup(func() {
		w.stop()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// TestStatusStreamFraming reads packets, keep-alives, the last stream's end, and the stream's own.
func TestStatusStreamFraming(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	c := dial(t, listen(t, w, Options{KeepAlive: 20 * time.Millisecond}))
	if got := c.next(); got != status1 {
		t.Errorf("first packet\n got %s\nwant %s", got, status1)
	}
	if p, err := c.packet(); p != "" || err != nil {
		t.Errorf("no keep-alive but %q, %v", p, err)
	}
	ctx, none := context.Background(), service.Caller{}
	if err := w.deleteStream(ctx, none, 1); err != nil {
		t.Fatal(err)
	}
	if got := c.next(); got != `{"2":{}}` {
		t.Errorf("after a stream is gone: %s", got)
	}
	if err := w.deleteStream(ctx, none, 2); err != nil {
		t.Fatal(err)
	}
	if got := c.next(); got != `{}` {
		t.Errorf("after all are gone: %s", got)
	}
	w.mu.Lock()
	w.publish(7, nil) // nothing again
	w.mu.Unlock()
	for range 3 {
		if p, err := c.packet(); p != "" || err != nil {
			t.Errorf("no keep-alive but %q, %v", p, err)
		}
	}
	w.stop()
	for {
		p, err := c.packet()
		if err == nil && p == "" {
			continue
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %q, %v; want a connection that breaks off within chunks", p, err)
		}
		return
	}
}

// TestStatusStreamLeaves gives the subscription back when its reader hangs up.
func TestStatusStreamLeaves(t *testing.T) {
	t.Parallel()
	w := furnished(t)
	c := dial(t, listen(t, w, Options{KeepAlive: 5 * time.Millisecond}))
	c.next()
	_ = c.conn.Close()
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		n := len(w.subs)
		w.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatal("the subscription is still there")
		}
	}
}

// numbered gives statuses whose total is a number, of about 50 KB.
func numbered(n uint64) []service.ZoneStatus {
	s := service.ZoneStatus{At: time.UnixMilli(int64(n))}
	s.Zone = core.Zone{ID: 1, Stream: 1, Name: core.ScreenZone}
	s.Totals = zones.Totals{Entered: map[string]uint64{"face": n}}
	for range 330 {
		s.Within = append(s.Within, &core.Node{Class: "face", Coords: core.Rect(1, 2, 3, 4)})
	}
	return []service.ZoneStatus{s}
}

// numberOf reads the total of a whole packet.
func numberOf(packet string) (uint64, error) {
	_, after, ok := strings.Cut(packet, `"total_entered":{"face":`)
	digits, _, closed := strings.Cut(after, "}")
	if !ok || !closed || !strings.HasPrefix(packet, "{") || !strings.HasSuffix(packet, "}}}") {
		return 0, fmt.Errorf("no packet: %.80q", packet)
	}
	return strconv.ParseUint(digits, 10, 64)
}

// TestManySubscribers lets 50 read while one of them takes nothing: every other one sees numbers
// that grow, up to the last, and a snapshot is encoded once for all of them.
func TestManySubscribers(t *testing.T) {
	t.Parallel()
	const last = 250 // together more than the buffers of a connection
	w := newWorld()
	w.publish(1, numbered(1))
	h := handler(w, Options{})
	server := httptest.NewServer(h)
	defer server.Close()
	defer w.stop()
	slow := dial(t, server.Listener.Addr().String())
	readers := make([]*rawReader, 49)
	for i := range readers {
		readers[i] = dial(t, server.Listener.Addr().String())
		readers[i].next()
	}
	var all sync.WaitGroup
	for _, r := range readers {
		all.Go(func() { readTo(t, r, last) })
	}
	for n := uint64(2); n <= last; n++ {
		w.mu.Lock()
		w.publish(1, numbered(n))
		w.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	all.Wait()
	got, err := numberOf(slow.next())
	if err != nil || got != 1 {
		t.Errorf("the slow reader begins with %d, %v", got, err)
	}
	read := 1
	for n := got; n < last; read++ {
		m, err := numberOf(slow.next())
		if err != nil || m <= n {
			t.Fatalf("the slow reader: %d after %d, %v", m, n, err)
		}
		n = m
	}
	if read == last {
		t.Error("the slow reader has read every packet: they were queued for it")
	}
}

func readTo(t *testing.T, r *rawReader, last uint64) {
	for n := uint64(1); n < last; {
		p, err := r.packet()
		if err != nil {
			t.Error(err)
			return
		}
		if p == "" {
			continue
		}
		m, err := numberOf(p)
		if err != nil || m <= n {
			t.Errorf("%d after %d, %v", m, n, err)
			return
		}
		n = m
	}
}

// TestPackets encodes a snapshot once, and a stream without news not again.
func TestPackets(t *testing.T) {
	t.Parallel()
	var p packets
	a, b := numbered(1), numbered(2)
	first := &service.Snapshot{Streams: map[core.StreamNumber][]service.ZoneStatus{1: a, 10: nil, 2: b}}
	x, err := p.of(first)
	if err != nil {
		t.Fatal(err)
	}
	y, err := p.of(first)
	if err != nil || &x[0] != &y[0] || p.made != 1 {
		t.Errorf("the second reader makes it anew: %d made, %v", p.made, err)
	}
	a[0].Totals.Entered["face"] = 99 // nobody may; it shows what is encoded again
	second, err := p.of(&service.Snapshot{Streams: map[core.StreamNumber][]service.ZoneStatus{1: a, 2: numbered(3)}})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(second, []byte(`"face":99`)) || !bytes.Contains(second, []byte(`"face":3`)) {
		t.Errorf("a stream without news is encoded again, or one with news is not: %s", second)
	}
	for range 10 {
		if _, err := p.of(&service.Snapshot{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.last) != keep {
		t.Errorf("%d packets are kept", len(p.last))
	}
}

// TestStatusesWithoutScreen are none: the client indexes Screen in what is not empty.
func TestStatusesWithoutScreen(t *testing.T) {
	t.Parallel()
	s := numbered(1)
	s[0].Zone.Name = "Hall"
	if m := toStatuses(s); m == nil || len(m) != 0 {
		t.Errorf("%v", m)
	}
}
