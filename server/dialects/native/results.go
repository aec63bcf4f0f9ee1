package native

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

// listStatuses gives the statuses of now.
func (a *api) listStatuses(r *request, p pages) (page[status], error) {
	snapshot, err := a.svc.Statuses(r.ctx(), r.who)
	if err != nil {
		return page[status]{}, err
	}
	numbers := slices.Sorted(maps.Keys(snapshot.Streams))
	return cut(numbers, p, func(n core.StreamNumber) int64 { return int64(n) }, func(n core.StreamNumber) status {
		return status{Stream: int64(n), Zones: mapped(snapshot.Streams[n], toZoneStatus)}
	})
}

func (a *api) status(r *request, p streamPath) (status, error) {
	if _, err := a.svc.Stream(r.ctx(), r.who, core.StreamNumber(p.Stream)); err != nil {
		return status{}, err
	}
	snapshot, err := a.svc.Statuses(r.ctx(), r.who)
	if err != nil {
		return status{}, err
	}
	return status{Stream: p.Stream, Zones: mapped(snapshot.Streams[core.StreamNumber(p.Stream)], toZoneStatus)}, nil
}

type allResults struct {
	Detections bool `query:"detections" description:"With all that was found on the frame, as in the JSON lines of \"capstan run\"."`
}

type streamResults struct {
	streamPath
	allResults
}

func (a *api) results(r *request, p allResults) (raw, error) {
	return a.follow(r, 0, p.Detections)
}

func (a *api) streamResults(r *request, p streamResults) (raw, error) {
	return a.follow(r, core.StreamNumber(p.Stream), p.Detections)
}

// follow answers with results as they come: to a WebSocket, or as server-sent events.
func (a *api) follow(r *request, n core.StreamNumber, detections bool) (raw, error) {
	ctx, cancel := context.WithCancel(r.ctx())
	defer cancel()
	watch, err := a.svc.Watch(ctx, r.who, n, a.since(r.GetHeader("Last-Event-ID")))
	if err != nil {
		return raw{}, err
	}
	defer watch.Close()
	follower := &follower{request: r, watch: watch, detections: detections, checked: time.Now()}
	if strings.EqualFold(r.GetHeader("Upgrade"), "websocket") {
		return raw{}, follower.socket(ctx)
	}
	return raw{}, follower.events(ctx)
}

// since reads the ID of the last event that a reader had: the number of an update of this run of
// the server. Others say nothing.
func (a *api) since(id string) uint64 {
	run, seq, _ := strings.Cut(id, ".")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || run != a.run() {
		return 0
	}
	return n
}

func (a *api) run() string { return strconv.FormatInt(a.begun.UnixMilli(), 36) }

// follower is one reader of live results.
type follower struct {
	*request
	watch      *service.Watch
	detections bool
	checked    time.Time // when the reader was last let in
}

// let says whether the reader may read on: not when the session or token is over meanwhile.
func (f *follower) let() bool {
	if time.Since(f.checked) < f.opt.Recheck {
		return true
	}
	f.checked = time.Now()
	who, _, err := f.authenticate(f.Context)
	return core.KindOf(err) != core.Denied && (err != nil || who.Role.May(core.Viewer))
}

// next waits for updates; none without an error when it is time for a sign of life. ended says
// that the server stops, or that the reader may not read on.
func (f *follower) next(ctx context.Context) (list []*service.Update, missed service.Missed, ended bool, err error) {
	limited, cancel := context.WithTimeout(ctx, f.opt.KeepAlive)
	defer cancel()
	list, missed, err = f.watch.Next(limited)
	switch {
	case !f.let():
		return nil, missed, true, nil
	case core.KindOf(err) == core.Closed:
		return nil, missed, true, nil
	case err != nil && ctx.Err() == nil:
		return nil, missed, false, nil
	}
	return list, missed, false, err
}

// events writes server-sent events. A reader that takes nothing for a while is let go.
func (f *follower) events(ctx context.Context) error {
	h := f.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy passes events on at once
	f.Status(http.StatusOK)
	limit := http.NewResponseController(f.Writer)
	_ = limit.SetReadDeadline(time.Time{}) // that of the server would end the stream
	write := func(b []byte) bool {
		_ = limit.SetWriteDeadline(time.Now().Add(f.opt.WriteLimit)) // recorders of tests have none
		_, err := f.Writer.Write(b)
		return err == nil && limit.Flush() == nil
	}
	if !write([]byte("retry: 2000\n\n")) {
		return nil
	}
	for {
		list, missed, ended, err := f.next(ctx)
		if err != nil {
			return nil // the reader has gone
		}
		var b bytes.Buffer
		for _, u := range list {
			fmt.Fprintf(&b, "event: result\nid: %s.%d\ndata: %s\n\n", f.run(), u.Seq, f.encoded.of(u, f.detections, missed))
			missed = service.Missed{} // told once
		}
		switch {
		case ended:
			b.WriteString("event: end\ndata: {}\n\n")
		case len(list) == 0:
			b.WriteString(": still here\n\n")
		}
		if !write(b.Bytes()) || ended {
			return nil
		}
	}
}

// socket writes messages to a WebSocket, whose own messages are not read.
func (f *follower) socket(ctx context.Context) error {
	if err := handshake(f.Request); err != nil {
		return err
	}
	f.sockets.Add(1)
	defer f.sockets.Done()
	c, err := websocket.Accept(f.Writer, f.Request, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		f.log.Debug("a WebSocket was refused", "err", err)
		return nil // it has been answered
	}
	defer func() { _ = c.CloseNow() }()
	ctx = c.CloseRead(ctx)
	for {
		list, missed, ended, err := f.next(ctx)
		switch {
		case err != nil:
			return nil // the reader has gone
		case ended:
			_ = c.Close(websocket.StatusGoingAway, "the server is stopping, or the session is over")
			return nil
		}
		if err := f.send(ctx, c, list, missed); err != nil {
			return nil
		}
	}
}

// handshake refuses what is no WebSocket, and pages of other origins: browsers open WebSockets for
// whoever's page asks, with the cookies and passwords that they have.
func handshake(r *http.Request) error {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	if err != nil || len(key) != 16 || r.Header.Get("Sec-WebSocket-Version") != "13" || !strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade") {
		return core.Faultf(core.Invalid, "", "websocket", "it is no handshake of a WebSocket of version 13")
	}
	origin := r.Header.Get("Origin")
	if u, err := url.Parse(origin); origin != "" && (err != nil || !strings.EqualFold(u.Host, r.Host)) {
		return core.Faultf(core.Denied, "", "origin", "a page of another origin may not do this")
	}
	return nil
}

// send writes each update as a message, or a ping when there is none.
func (f *follower) send(ctx context.Context, c *websocket.Conn, list []*service.Update, missed service.Missed) error {
	limited, cancel := context.WithTimeout(ctx, f.opt.WriteLimit)
	defer cancel()
	if len(list) == 0 {
		return c.Ping(limited)
	}
	for _, u := range list {
		if err := c.Write(limited, websocket.MessageText, f.encoded.of(u, f.detections, missed)); err != nil {
			return err
		}
		missed = service.Missed{}
	}
	return nil
}

// encoder writes updates as JSON, each once for all who read it. It is safe for use by several
// goroutines.
type encoder struct {
	mu   sync.Mutex
	last map[core.StreamNumber]*encoded
}

// encoded is the newest update of a stream. The first members of the bodies are left out: each
// reader has missed others.
type encoded struct {
	of                 *service.Update
	plain, withDetails []byte
}

func (e *encoder) of(u *service.Update, detections bool, m service.Missed) []byte {
	head, err := httpx.Marshal(missed{m.Skipped, mapped(m.Ended, toAlert)})
	if err != nil {
		panic(err) // all of it has a JSON form
	}
	head[len(head)-1] = ','
	return append(head, e.body(u, detections)...)
}

func (e *encoder) body(u *service.Update, detections bool) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last == nil {
		e.last = map[core.StreamNumber]*encoded{}
	}
	k := e.last[u.Stream]
	if k == nil || k.of.Seq < u.Seq {
		k = &encoded{of: u}
		if e.last[u.Stream] = k; u.Gone {
			delete(e.last, u.Stream)
		}
	} else if k.of != u {
		k = &encoded{of: u} // a slow reader's
	}
	body := &k.plain
	if detections {
		body = &k.withDetails
	}
	if *body == nil {
		*body = encode(u, detections)
	}
	return *body
}

// firstMembers are those of missed.
const firstMembers = `{"skipped":0,"ended":[],`

func encode(u *service.Update, detections bool) []byte {
	w := result{missed: missed{Ended: []alert{}}, Stream: int64(u.Stream), Gone: u.Gone, Zones: mapped(u.Statuses, toZoneStatus)}
	if detections {
		w.Frame = toFrame(u.Found)
	}
	b, err := httpx.Marshal(w)
	if err != nil {
		panic(err) // all of it has a JSON form
	}
	return b[len(firstMembers):]
}
