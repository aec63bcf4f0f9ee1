package rtsp

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// clip is a scripted source: so many pictures, each of one unit with its number in it.
type clip struct {
	codec  pipeline.Codec
	frames int
	period time.Duration
	size   int // bytes of a picture
	live   bool
	keys   int   // so many pictures from key frame to key frame; 0: the first alone is one
	fail   error // at the end, in place of io.EOF
	at     int
	closed *atomic.Int64
	once   sync.Once
}

func (c *clip) Codec() pipeline.Codec { return c.codec }
func (c *clip) Live() bool            { return c.live }

func (c *clip) Next(ctx context.Context) (pipeline.AccessUnit, error) {
	if ctx.Err() != nil {
		return pipeline.AccessUnit{}, context.Cause(ctx)
	}
	if c.at == c.frames {
		if c.fail != nil {
			return pipeline.AccessUnit{}, c.fail
		}
		return pipeline.AccessUnit{}, io.EOF
	}
	u := pipeline.AccessUnit{DTS: time.Second + time.Duration(c.at)*c.period, Key: c.at == 0 || c.keys > 0 && c.at%c.keys == 0}
	u.PTS = u.DTS + 2*c.period
	u.At = u.PTS - time.Second
	body := make([]byte, max(c.size, 8))
	for i := range body {
		body[i] = byte(1 + (c.at+i)%250)
	}
	if body[0] = 0x41; u.Key {
		body[0] = 0x65
		u.NALs = [][]byte{{0x67, 0x64, 0, 0x0c, 0xac, 0x3b, 0x50, 0xb0, 0x4b, 0x42, 0, 0, 3, 0, 2, 0, 0, 3, 0, 0x3d, 8}, {0x68, 0xee, 0x3c, 0x80}}
	}
	body[1] = byte(c.at)
	u.NALs = append(u.NALs, body)
	c.at++
	return u, nil
}

func (c *clip) Close() error {
	c.once.Do(func() { c.closed.Add(1) })
	return nil
}

// theatre counts what is opened and closed.
type theatre struct {
	opened, closed atomic.Int64
	make           func(n core.StreamNumber) (*clip, error)
}

func (o *theatre) open(_ context.Context, n core.StreamNumber, from time.Duration) (pipeline.EncodedStream, error) {
	c, err := o.make(n)
	if err != nil {
		return nil, err
	}
	o.opened.Add(1)
	c.closed = &o.closed
	if c.keys > 0 {
		c.at = min(int(from/c.period)/c.keys*c.keys, c.frames)
	}
	return c, nil
}

func listen(t testing.TB, c Config) *Server {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	s, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// picture is what a viewer has received.
type picture struct {
	nals  [][]byte
	stamp uint32
}

// viewer is a player.
type viewer struct {
	client *gortsplib.Client
	got    chan picture
	once   sync.Once
}

func (v *viewer) close() { v.once.Do(v.client.Close) }

// watch plays a URL by a transport.
func watch(t testing.TB, url string, transport gortsplib.Transport) (*viewer, error) {
	t.Helper()
	u, err := base.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{client: &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Transport: &transport, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}, got: make(chan picture, 10_000)}
	if err := v.client.Start2(); err != nil {
		return nil, err
	}
	t.Cleanup(v.close)
	desc, _, err := v.client.Describe(u)
	if err != nil {
		return v, err
	}
	var h264 *format.H264
	var h265 *format.H265
	var decode func(*rtp.Packet) ([][]byte, error)
	media := desc.FindFormat(&h264)
	if media != nil {
		d, err := h264.CreateDecoder()
		if err != nil {
			return v, err
		}
		decode = d.Decode
		if len(h264.SPS) == 0 || len(h264.PPS) == 0 {
			t.Errorf("%s is described without its parameters", url)
		}
	} else if media = desc.FindFormat(&h265); media != nil {
		d, err := h265.CreateDecoder()
		if err != nil {
			return v, err
		}
		decode = d.Decode
	} else {
		t.Fatal("no video is described")
	}
	if _, err := v.client.Setup(desc.BaseURL, media, 0, 0); err != nil {
		return v, err
	}
	v.client.OnPacketRTP(media, media.Formats[0], func(p *rtp.Packet) {
		if nals, err := decode(p); err == nil {
			v.got <- picture{slices.Clone(nals), p.Timestamp}
		}
	})
	_, err = v.client.Play(nil)
	return v, err
}

func (v *viewer) next(t testing.TB) picture {
	t.Helper()
	select {
	case p := <-v.got:
		return p
	case <-time.After(10 * time.Second):
		t.Fatal("no picture came within 10 s")
		return picture{}
	}
}

func mustURL(t testing.TB, s *Server, n core.StreamNumber) string {
	t.Helper()
	u, err := s.URL("", n)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("it takes too long: %s", what)
}

// slices of H.264 and the like, without parameter sets.
func pixels(p picture) [][]byte {
	return slices.DeleteFunc(slices.Clone(p.nals), func(nal []byte) bool { k := nal[0] & 31; return k < 1 || k > 5 })
}

// TestLoop plays a short clip over and over: every picture comes whole and in order, from the first on,
// and time goes on where it begins again.
func TestLoop(t *testing.T) {
	t.Parallel()
	for name, transport := range map[string]gortsplib.Transport{"tcp": gortsplib.TransportTCP, "udp": gortsplib.TransportUDP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &theatre{make: func(core.StreamNumber) (*clip, error) {
				return &clip{codec: pipeline.H264, frames: 60, period: 20 * time.Millisecond, size: 3000}, nil
			}}
			s := listen(t, Config{Open: o.open, Key: []byte("key")})
			v, err := watch(t, mustURL(t, s, 7), transport)
			if err != nil {
				t.Fatal(err)
			}
			var first uint32
			for i := range 150 {
				p := v.next(t)
				body := pixels(p)
				if len(body) != 1 || len(body[0]) != 3000 || int(body[0][1]) != i%60 {
					t.Fatalf("picture %d is %d units, %d", i, len(p.nals), body[0][1])
				}
				if (i%60 == 0) != (len(p.nals) == 3) {
					t.Errorf("picture %d comes with %d units", i, len(p.nals))
				}
				if i == 0 {
					first = p.stamp
				}
				if got := p.stamp - first; got != uint32(i*1800) {
					t.Fatalf("picture %d has time stamp %d after the first, want %d", i, got, i*1800)
				}
			}
			v.close()
			until(t, "the stream is stopped", func() bool { return o.opened.Load() == o.closed.Load() && s.Stats() == Stats{} })
		})
	}
}

// TestSharedReader has two viewers of one stream, and one of another.
func TestSharedReader(t *testing.T) {
	t.Parallel()
	o := &theatre{make: func(core.StreamNumber) (*clip, error) {
		return &clip{codec: pipeline.H264, frames: 1 << 30, period: 10 * time.Millisecond}, nil
	}}
	s := listen(t, Config{Open: o.open})
	var list []*viewer
	for _, n := range []core.StreamNumber{1, 1, 2} {
		v, err := watch(t, mustURL(t, s, n), gortsplib.TransportTCP)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
		v.next(t)
	}
	if st := s.Stats(); st.Streams != 2 || st.Viewers != 3 || o.opened.Load() != 2 {
		t.Errorf("%+v with %d opened", st, o.opened.Load())
	}
	list[0].close()
	for range 20 {
		list[1].next(t)
	}
	if o.closed.Load() != 0 {
		t.Error("a stream that is watched was closed")
	}
	list[1].close()
	until(t, "the first stream is stopped", func() bool { return o.closed.Load() == 1 && s.Stats().Streams == 1 })
	s.Forget(2)
	until(t, "the second stream is stopped", func() bool { return o.closed.Load() == 2 && s.Stats() == Stats{} })
	if err := list[2].client.Wait(); err == nil {
		t.Error("the viewer of a stream that was forgotten goes on")
	}
	s.Forget(99)
}

// TestSlowViewer has one viewer that does not read; the other gets everything.
func TestSlowViewer(t *testing.T) {
	t.Parallel()
	o := &theatre{make: func(core.StreamNumber) (*clip, error) {
		return &clip{codec: pipeline.H264, frames: 1 << 30, period: 20 * time.Millisecond, size: 100_000}, nil
	}}
	s := listen(t, Config{Open: o.open, Queue: 1024})
	u := mustURL(t, s, 1)
	c, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buffer := make([]byte, 4096)
	session := ""
	for i, request := range []string{
		"DESCRIBE " + u + " RTSP/1.0\r\nCSeq: 1\r\n\r\n",
		"SETUP " + u + "/trackID=0 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
		"PLAY " + u + " RTSP/1.0\r\nCSeq: 3\r\nSession: %s\r\n\r\n",
	} {
		if i == 2 {
			request = fmt.Sprintf(request, session)
		}
		_, _ = c.Write([]byte(request))
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(buffer)
		if err != nil || !strings.HasPrefix(string(buffer[:n]), "RTSP/1.0 200") {
			t.Fatalf("%q: %q, %v", request, buffer[:n], err)
		}
		if _, rest, ok := strings.Cut(string(buffer[:n]), "Session: "); ok {
			session, _, _ = strings.Cut(rest, "\r\n")
			session, _, _ = strings.Cut(session, ";")
		}
	}
	quick, err := watch(t, u, gortsplib.TransportTCP)
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for i := 0; i < 100 || s.Stats().Slow == 0; i++ {
		body := pixels(quick.next(t))
		if n := int(body[0][1]); last >= 0 && n != (last+1)%256 {
			t.Fatalf("picture %d after %d", n, last)
		} else {
			last = n
		}
	}
	until(t, "the slow one is sent away", func() bool { return s.Stats().Viewers == 1 })
}

// TestLetIn tries URLs that are not right.
func TestLetIn(t *testing.T) {
	t.Parallel()
	var skew atomic.Int64
	o := &theatre{make: func(n core.StreamNumber) (*clip, error) {
		if n == 404 {
			return nil, core.Faultf(core.NotFound, "", "stream", "there is no stream %d", n)
		}
		if n == 503 {
			return nil, core.Faultf(core.SourceOpen, "", "", "broken")
		}
		return &clip{codec: pipeline.H264, frames: 1 << 30, period: 10 * time.Millisecond}, nil
	}}
	s := listen(t, Config{Open: o.open, Key: []byte("key"), Now: func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }})
	good := mustURL(t, s, 1)
	_, at, _ := strings.Cut(good, "@")
	who := strings.TrimSuffix(good, at)
	bad := []byte(good)
	if last := &bad[strings.IndexByte(good, '@')-1]; *last == '0' {
		*last = '1'
	} else {
		*last = '0'
	}
	for name, c := range map[string]struct{ url, says string }{
		"nobody":           {"rtsp://" + at, "401"},
		"a wrong password": {string(bad), ""},
		"somebody else":    {"rtsp://admin:admin@" + at, ""},
		"another stream":   {strings.TrimSuffix(good, "1") + "2", ""},
		"later":            {strings.Replace(good, userPrefix+"1", userPrefix+"2", 1), ""},
		"no such stream":   {mustURL(t, s, 404), "404"},
		"broken":           {mustURL(t, s, 503), "503"},
		"no number":        {who + s.Address() + "/streams/x", ""},
	} {
		if _, err := watch(t, c.url, gortsplib.TransportTCP); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	v, err := watch(t, good, gortsplib.TransportTCP)
	if err != nil {
		t.Fatal(err)
	}
	v.next(t)
	skew.Store(int64(TokenLife + time.Minute))
	if _, err := watch(t, good, gortsplib.TransportTCP); err == nil {
		t.Error("a URL is good for ever")
	}
	v.next(t) // who watches goes on
}

// TestBounds refuses viewers that are one too many.
func TestBounds(t *testing.T) {
	t.Parallel()
	o := &theatre{make: func(core.StreamNumber) (*clip, error) {
		return &clip{codec: pipeline.H264, frames: 1 << 30, period: 10 * time.Millisecond}, nil
	}}
	s := listen(t, Config{Open: o.open, Viewers: 2})
	u := mustURL(t, s, 1)
	var list []*viewer
	for range 2 {
		v, err := watch(t, u, gortsplib.TransportTCP)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	if v, err := watch(t, u, gortsplib.TransportTCP); err == nil {
		t.Error("a third viewer is let in")
	} else if v != nil {
		v.close()
	}
	if s.Stats().Refused == 0 {
		t.Error("it is not counted")
	}
	list[0].close()
	until(t, "a place is free", func() bool { return s.Stats().Viewers == 1 })
	if _, err := watch(t, u, gortsplib.TransportTCP); err != nil {
		t.Errorf("a place is free: %v", err)
	}
}

// TestBroken has the source break while it is watched; a new try opens it again.
func TestBroken(t *testing.T) {
	t.Parallel()
	o := &theatre{make: func(core.StreamNumber) (*clip, error) {
		return &clip{codec: pipeline.H264, frames: 20, period: 10 * time.Millisecond, fail: core.Faultf(core.SourceBroken, "", "", "gone")}, nil
	}}
	s := listen(t, Config{Open: o.open})
	for range 3 {
		v, err := watch(t, mustURL(t, s, 1), gortsplib.TransportTCP)
		if err != nil {
			t.Fatal(err)
		}
		v.next(t) // the last ones may be lost with the connection
		if err := v.client.Wait(); err == nil {
			t.Error("it goes on")
		}
		v.close()
		until(t, "all is stopped", func() bool { return s.Stats() == Stats{} && o.opened.Load() == o.closed.Load() })
	}
}

// TestNoLeak opens and closes often, by every way to go, and stops while somebody watches.
func TestNoLeak(t *testing.T) {
	count := func() (int, int) {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(files), runtime.NumGoroutine()
	}
	o := &theatre{make: func(core.StreamNumber) (*clip, error) {
		return &clip{codec: pipeline.H264, frames: 30, period: time.Millisecond}, nil
	}}
	files, goroutines := count()
	for range 3 {
		s := listen(t, Config{Open: o.open, Key: []byte("key")})
		for i := range 10 {
			v, err := watch(t, mustURL(t, s, core.StreamNumber(1+i%3)), []gortsplib.Transport{gortsplib.TransportTCP, gortsplib.TransportUDP}[i%2])
			if err != nil {
				t.Fatal(err)
			}
			v.next(t)
			if i%3 > 0 {
				v.close()
			}
			t.Cleanup(v.close)
		}
		if c, err := net.Dial("tcp", s.Address()); err == nil {
			_, _ = c.Write([]byte("DESCRIBE rtsp"))
			defer c.Close()
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if o.opened.Load() != o.closed.Load() {
			t.Errorf("%d opened, %d closed", o.opened.Load(), o.closed.Load())
		}
	}
	until(t, "all is gone", func() bool {
		f, g := count()
		return f <= files+5 && g <= goroutines+8 // of clients that were cut off
	})
}

func TestURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ advertise, host, want string }{
		{"", "cam.example.com:8080", "rtsp://cam.example.com:8554/streams/3"},
		{"", "cam.example.com", "rtsp://cam.example.com:8554/streams/3"},
		{"", "[::1]:80", "rtsp://[::1]:8554/streams/3"},
		{"", "[::1]", "rtsp://[::1]:8554/streams/3"},
		{"", "10.0.0.7", "rtsp://10.0.0.7:8554/streams/3"},
		{"video.example.com", "10.0.0.7", "rtsp://video.example.com:8554/streams/3"},
		{"video.example.com:554", "10.0.0.7", "rtsp://video.example.com:554/streams/3"},
	} {
		s := &Server{cfg: Config{Advertise: c.advertise}, port: "8554"}
		if got, err := s.URL(c.host, 3); got != c.want || err != nil {
			t.Errorf("%q, %q: %s, %v; want %s", c.advertise, c.host, got, err, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]core.StreamNumber{"/streams/1": 1, "/streams/12/": 12, "/streams/": 0, "/streams/0": 0, "/streams/01": 0, "/streams/-1": 0, "/streams/1/2": 0,
		"/streams/99999999999": 0, "/x/1": 0, "": 0, "/streams/+1": 0, "/streams//": 0} {
		if n, ok := number(path); ok != (want > 0) || ok && n != want {
			t.Errorf("%q: %d, %t", path, n, ok)
		}
	}
}

// TestTaken listens elsewhere when it may.
func TestTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(Config{Listen: l.Addr().String()}); core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
	s, err := Listen(Config{Listen: l.Addr().String(), Elsewhere: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Address() == l.Addr().String() {
		t.Error("both have one address")
	}
}
