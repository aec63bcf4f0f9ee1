// Package rtsp serves streams again as video: one reader of a stream for all who watch it, only
// while somebody does.
package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// Config is what a server works with.
type Config struct {
	Listen string // HOST:PORT
	// Elsewhere takes any free port when that of Listen is taken.
	Elsewhere bool
	Advertise string // HOST or HOST:PORT that stands in URLs; empty: the host that the asker has used
	// Key is what URLs are signed with; nil: everybody may watch.
	Key []byte
	// Open opens the video of a stream, again whenever a file has ended; of a file from the last key
	// frame before a place in it, or from its beginning where that cannot be found.
	Open func(ctx context.Context, n core.StreamNumber, from time.Duration) (pipeline.EncodedStream, error)
	// Round tells how a file is played elsewhere that is to be shown in step with that; false: it is
	// not. nil: none is.
	Round func(n core.StreamNumber) (Round, bool)
	Log   hclog.Logger     // nil: none
	Now   func() time.Time // nil: time.Now; of tokens

	Viewers   int           // sessions at one time; 0: 100
	OpenLimit time.Duration // until the first picture is there; 0: 15 s
	Queue     int           // packets that wait for one viewer, a power of two; 0: 2048
}

// Round is one time that a file is played elsewhere.
type Round struct {
	Number uint64    // no two rounds of a stream have the same; not 0
	Zero   time.Time // when the beginning of the file was due
	Over   bool      // the file is at its end; another round is about to begin
}

// Server serves streams at rtsp://HOST:PORT/streams/N.
type Server struct {
	cfg    Config
	log    hclog.Logger
	server *gortsplib.Server
	port   string // of the TCP listener
	udp    bool

	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup // relays
	once sync.Once

	mu     sync.Mutex
	relays map[core.StreamNumber]*relay
	conns  int

	refused, slow atomic.Uint64
	viewers       atomic.Int64
}

// Stats are the numbers of a server.
type Stats struct {
	Streams int    // that are being read
	Viewers int    // sessions
	Refused uint64 // viewers that were one too many
	Slow    uint64 // viewers that were sent away because they did not keep up
}

// Listen starts a server. It fails with a *core.Fault.
func Listen(c Config) (*Server, error) {
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Round == nil {
		c.Round = func(core.StreamNumber) (Round, bool) { return Round{}, false }
	}
	c.Viewers, c.Queue, c.OpenLimit = orElse(c.Viewers, 100), orElse(c.Queue, 2048), orElse(c.OpenLimit, 15*time.Second)
	s := &Server{cfg: c, log: c.Log, relays: map[core.StreamNumber]*relay{}}
	s.life, s.end = context.WithCancel(context.Background())
	l, err := s.listen()
	if err != nil {
		s.end()
		return nil, err
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	s.server = &gortsplib.Server{
		Handler: handler{s}, RTSPAddress: l.Addr().String(), WriteQueueSize: c.Queue, WriteTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
		Listen: func(string, string) (net.Listener, error) { return l, nil },
	}
	if pair, err := listenPair(l.Addr()); err == nil {
		s.udp = true
		s.server.UDPRTPAddress, s.server.UDPRTCPAddress = pair[0].LocalAddr().String(), pair[1].LocalAddr().String()
		s.server.ListenPacket = func(_, address string) (net.PacketConn, error) {
			if address == s.server.UDPRTPAddress {
				return pair[0], nil
			}
			return pair[1], nil
		}
	} else {
		s.log.Warn("streams are served over TCP only: no two UDP ports beside each other are free", "err", err)
	}
	if err := s.server.Start(); err != nil {
		s.end()
		_ = l.Close()
		return nil, core.Faultf(core.Internal, "rtsp", c.Listen, "%w", err)
	}
	return s, nil
}

func orElse[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

func (s *Server) listen() (net.Listener, error) {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) && s.cfg.Elsewhere {
		host, _, _ := net.SplitHostPort(s.cfg.Listen)
		l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		f := core.Faultf(core.Invalid, "rtsp", s.cfg.Listen, "%w", err)
		f.Hint = "set rtsp.listen to an address that is free, or to off"
		return nil, f
	}
	return l, nil
}

// listenPair gives two UDP ports beside each other, the first of them even, as RTP wants them.
func listenPair(beside net.Addr) (pair [2]*net.UDPConn, err error) {
	ip := beside.(*net.TCPAddr).IP
	for range 20 {
		var first, second *net.UDPConn
		if first, err = net.ListenUDP("udp", &net.UDPAddr{IP: ip}); err != nil {
			return pair, err
		}
		port := first.LocalAddr().(*net.UDPAddr).Port
		if second, err = net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: port ^ 1}); err != nil {
			_ = first.Close()
			continue
		}
		if port%2 == 1 {
			first, second = second, first
		}
		return [2]*net.UDPConn{first, second}, nil
	}
	return pair, err
}

// Address is where the server listens.
func (s *Server) Address() string { return s.server.RTSPAddress }

// URL gives where a player finds a stream, for TokenLife. host is the HOST or HOST:PORT that the
// asker has reached this machine by; its port says nothing.
func (s *Server) URL(host string, n core.StreamNumber) (string, error) {
	port := s.port
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if a := s.cfg.Advertise; a != "" {
		host = a
		if h, p, err := net.SplitHostPort(a); err == nil {
			host, port = h, p
		}
	}
	if host == "" {
		host, _, _ = net.SplitHostPort(s.Address())
	}
	if len(host) > 1 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	who := ""
	if s.cfg.Key != nil {
		user, password := s.token(n, s.cfg.Now().Add(TokenLife))
		who = user + ":" + password + "@"
	}
	return fmt.Sprintf("rtsp://%s%s/streams/%d", who, net.JoinHostPort(host, port), n), nil
}

// Forget ends the serving of a stream that is gone or another; players may ask for it again. It does
// not wait.
func (s *Server) Forget(n core.StreamNumber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.relays[n]; r != nil {
		r.halt()
	}
}

// Stats counts since Listen.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Streams: len(s.relays), Viewers: int(s.viewers.Load()), Refused: s.refused.Load(), Slow: s.slow.Load()}
}

// Close sends everybody away and waits until all is stopped. It is safe to call twice.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.end()
		s.server.Close()
		s.work.Wait()
	})
	return nil
}

// number reads the stream out of a path: /streams/N, with what a player may put behind it.
func number(path string) (core.StreamNumber, bool) {
	const prefix = "/streams/"
	if len(path) <= len(prefix) || path[:len(prefix)] != prefix {
		return 0, false
	}
	text := path[len(prefix):]
	if text[len(text)-1] == '/' {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return core.StreamNumber(n), err == nil && n > 0 && strconv.FormatInt(n, 10) == text
}
