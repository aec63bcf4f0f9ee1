package brainframe

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

// crlf ends a packet of the status stream, and is an empty one by itself.
const crlf = "\r\n"

// packets encodes snapshots, each once for all who read it. It is safe for use by several
// goroutines.
type packets struct {
	mu    sync.Mutex
	last  []*packet // the newest last, at most keep
	parts map[core.StreamNumber]part
	made  int // packets encoded, for tests
}

// keep is how many packets are kept: readers are at the newest snapshot, or at one just before it.
const keep = 4

// packet is an encoded snapshot.
type packet struct {
	of   *service.Snapshot
	body []byte // JSON and crlf
}

// part is a stream's share of the last packet. Most streams have nothing new in the next one:
// their statuses are then the same slice.
type part struct {
	of   []service.ZoneStatus
	body []byte
}

// of gives a snapshot as a packet.
func (p *packets) of(s *service.Snapshot) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.last, func(k *packet) bool { return k.of == s }); i >= 0 {
		return p.last[i].body, nil
	}
	body, err := p.encode(s)
	if err != nil {
		return nil, err
	}
	if len(p.last) == keep {
		p.last = slices.Delete(p.last, 0, 1)
	}
	p.last = append(p.last, &packet{s, body})
	p.made++
	return body, nil
}

func (p *packets) encode(s *service.Snapshot) ([]byte, error) {
	numbers := make([]core.StreamNumber, 0, len(s.Streams))
	for n := range s.Streams {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var b bytes.Buffer
	parts := make(map[core.StreamNumber]part, len(numbers))
	b.WriteByte('{')
	for i, n := range numbers {
		list := s.Streams[n]
		k, ok := p.parts[n]
		if !ok || len(list) != len(k.of) || unsafe.SliceData(list) != unsafe.SliceData(k.of) {
			body, err := httpx.Marshal(toStatuses(list))
			if err != nil {
				return nil, fmt.Errorf("statuses of stream %d: %w", n, err)
			}
			k = part{list, body}
		}
		parts[n] = k
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(strconv.FormatInt(int64(n), 10))
		b.WriteString(`":`)
		b.Write(k.body)
	}
	b.WriteString("}" + crlf)
	p.parts = parts
	return b.Bytes(), nil
}

func (a *api) statusNow(r *request) (any, error) {
	s, err := a.svc.Statuses(r.Request.Context(), r.who)
	if err != nil {
		return nil, err
	}
	body, err := a.packets.of(s)
	if err != nil {
		return nil, err
	}
	httpx.WriteBytes(r.Context, http.StatusOK, "application/json", body[:len(body)-len(crlf)])
	return raw{}, nil
}

// statusStream never ends well: the client's thread dies of a stream that does. It is broken off
// when the reader or the server goes.
func (a *api) statusStream(r *request) (any, error) {
	ctx := r.Request.Context()
	later, err := a.svc.Subscribe(ctx, r.who)
	if err != nil {
		return nil, err
	}
	now, err := a.svc.Statuses(ctx, r.who)
	if err != nil {
		return nil, err
	}
	h := r.Writer.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy passes packets on at once
	r.Status(http.StatusOK)
	s := subscriber{api: a, w: r.Writer, limit: http.NewResponseController(r.Writer)}
	_ = s.limit.SetReadDeadline(time.Time{}) // that of the server would end the stream
	s.run(now, later)
	panic(http.ErrAbortHandler)
}

// subscriber is one reader of the status stream.
type subscriber struct {
	*api
	w     http.ResponseWriter
	limit *http.ResponseController
	quiet *time.Timer // since the last packet
	sent  *service.Snapshot
	clear bool // the last packet told that there are no streams
}

// run writes until the reader is gone or later is closed.
func (s *subscriber) run(now *service.Snapshot, later <-chan *service.Snapshot) {
	s.quiet = time.NewTimer(s.opt.KeepAlive)
	defer s.quiet.Stop()
	if !s.tell(now) {
		return
	}
	for {
		select {
		case snapshot, ok := <-later:
			if !ok || !s.tell(snapshot) {
				return
			}
		case <-s.quiet.C:
			if !s.write([]byte(crlf)) {
				return
			}
		}
	}
}

// tell writes a snapshot. That there are no streams is told once.
func (s *subscriber) tell(snapshot *service.Snapshot) bool {
	if snapshot == nil || snapshot == s.sent || (s.clear && len(snapshot.Streams) == 0) {
		return true
	}
	body, err := s.packets.of(snapshot)
	if err != nil {
		panic(err)
	}
	s.sent, s.clear = snapshot, len(snapshot.Streams) == 0
	return s.write(body)
}

// write writes a packet and sees that it leaves; false: the reader is gone, or takes nothing.
func (s *subscriber) write(b []byte) bool {
	_ = s.limit.SetWriteDeadline(time.Now().Add(s.opt.WriteLimit)) // recorders of tests have none
	if _, err := s.w.Write(b); err != nil {
		return false
	}
	s.quiet.Reset(s.opt.KeepAlive)
	return s.limit.Flush() == nil
}
