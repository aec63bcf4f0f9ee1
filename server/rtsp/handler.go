package rtsp

import (
	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"

	"github.com/capstan-video/capstan/core"
)

// handler is what gortsplib calls, from goroutines of connections and sessions.
type handler struct{ s *Server }

// connsPerViewer bounds connections: a player may have one open for the next try.
const connsPerViewer = 2

// OnConnOpen closes a connection that is one too many.
func (h handler) OnConnOpen(ctx *gortsplib.ServerHandlerOnConnOpenCtx) {
	h.s.mu.Lock()
	h.s.conns++
	full := h.s.conns > connsPerViewer*h.s.cfg.Viewers
	h.s.mu.Unlock()
	if full {
		h.s.refused.Add(1)
		ctx.Conn.Close()
	}
}

// OnConnClose lets what the connection has asked for go.
func (h handler) OnConnClose(ctx *gortsplib.ServerHandlerOnConnCloseCtx) {
	h.s.mu.Lock()
	h.s.conns--
	h.s.mu.Unlock()
	h.s.release(ctx.Conn)
}

// OnSessionClose lets what the session has watched go.
func (h handler) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	h.s.release(ctx.Session)
	if ctx.Session.UserData() != nil {
		h.s.viewers.Add(-1)
	}
}

// OnDescribe opens the stream.
func (h handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	r, res, err := h.admit(ctx.Conn, ctx.Request, ctx.Path, ctx.Conn)
	if r == nil {
		return res, nil, err
	}
	return res, r.stream, nil
}

// OnSetup makes the session a viewer of the stream.
func (h handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStateInitial && !h.s.seat() {
		return &base.Response{StatusCode: base.StatusNotEnoughBandwidth}, nil, nil
	}
	r, res, err := h.admit(ctx.Conn, ctx.Request, ctx.Path, ctx.Session)
	if r == nil {
		if ctx.Session.State() == gortsplib.ServerSessionStateInitial {
			h.s.viewers.Add(-1)
		}
		return res, nil, err
	}
	ctx.Session.SetUserData(r)
	return res, r.stream, nil
}

// seat takes a viewer's place.
func (s *Server) seat() bool {
	if s.viewers.Add(1) <= int64(s.cfg.Viewers) {
		return true
	}
	s.viewers.Add(-1)
	s.refused.Add(1)
	return false
}

// admit gives the relay of a path to who may have it. Without one the response says why.
func (h handler) admit(c *gortsplib.ServerConn, req *base.Request, path string, who any) (*relay, *base.Response, error) {
	n, ok := number(path)
	if !h.s.lets(c, req, n) {
		return nil, &base.Response{StatusCode: base.StatusUnauthorized}, liberrors.ErrServerAuth{}
	}
	if !ok {
		return nil, &base.Response{StatusCode: base.StatusNotFound}, nil
	}
	r, err := h.s.acquire(n, who)
	switch {
	case err == nil:
		return r, &base.Response{StatusCode: base.StatusOK}, nil
	case core.KindOf(err) == core.NotFound:
		return nil, &base.Response{StatusCode: base.StatusNotFound}, nil
	default:
		h.s.log.Warn("a stream cannot be served", "stream", n, "err", err)
		return nil, &base.Response{StatusCode: base.StatusServiceUnavailable}, nil
	}
}

// OnPlay notes that the stream begins when the answer is on its way.
func (h handler) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	ctx.Conn.SetUserData(ctx.Session.UserData())
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnResponse begins the stream: its first viewer is there now, and gets its first picture.
func (h handler) OnResponse(c *gortsplib.ServerConn, _ *base.Response) {
	if r, ok := c.UserData().(*relay); ok {
		c.SetUserData(nil)
		r.begin()
	}
}

// OnStreamWriteError sends a viewer away who does not keep up: what is lost in the middle of
// compressed video is not made good by what comes after.
func (h handler) OnStreamWriteError(ctx *gortsplib.ServerHandlerOnStreamWriteErrorCtx) {
	h.s.slow.Add(1)
	h.s.log.Debug("a viewer does not keep up", "err", ctx.Error)
	ctx.Session.Close()
}

// OnPacketsLost and OnDecodeError are what a viewer has sent and lost: nothing that is used.
func (h handler) OnPacketsLost(*gortsplib.ServerHandlerOnPacketsLostCtx) {}

// OnDecodeError is as OnPacketsLost.
func (h handler) OnDecodeError(*gortsplib.ServerHandlerOnDecodeErrorCtx) {}
