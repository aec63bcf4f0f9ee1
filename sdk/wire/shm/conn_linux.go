package shm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"golang.org/x/sys/unix"
)

// Conn is one end of a doorbell: packets with a beginning and an end, in order, each with a few
// open files if need be. Send may be called from several goroutines at once; Recv from one.
//
// It waits in Go's poller. A thread that blocks in the system call answers a few microseconds
// sooner by itself, and far later where the packet goes to another goroutine, as it does in a
// capsule: 71 µs against 16 µs a round trip (BenchmarkRoundTrip).
type Conn struct {
	conn *net.UnixConn
	max  int
	oob  []byte // Recv's

	sending sync.Mutex // one deadline at a time
}

// sendBuffer is asked of the system for each direction; it grants what net.core.wmem_max allows
// (416 KiB where nobody changed it).
const sendBuffer = 4 * PacketLimit

// Pair gives one end of a new doorbell, and the other as a file to be handed to a child
// process. The caller closes both; once the child has its own copy, the file at once.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, core.Faultf(core.Exhausted, "make doorbell", "", "%w", err)
	}
	for _, fd := range fds {
		// A smaller buffer only makes MaxPacket smaller.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	far := os.NewFile(uintptr(fds[1]), "capstan-frames")
	conn, err := newConn(os.NewFile(uintptr(fds[0]), "capstan-frames"))
	if err != nil {
		far.Close()
		return nil, nil, err
	}
	return conn, far, nil
}

// Open takes over the end of a doorbell that this process was started with; fd is closed, also
// after an error.
func Open(fd int) (*Conn, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_SEQPACKET {
		return nil, core.Faultf(core.Invalid, "open doorbell", "", "descriptor %d is no socket of the kind SOCK_SEQPACKET", fd)
	}
	return newConn(os.NewFile(uintptr(fd), "capstan-frames"))
}

// newConn takes over f.
func newConn(f *os.File) (*Conn, error) {
	defer f.Close()
	size := PacketLimit
	if n, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF); err == nil {
		size = min(size, n/2) // the system counts its own bookkeeping against the buffer
	}
	conn, err := net.FileConn(f) // a copy that is closed on exec
	if err != nil {
		return nil, core.Faultf(core.Exhausted, "open doorbell", "", "%w", err)
	}
	c, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, core.Faultf(core.Invalid, "open doorbell", "", "the descriptor is no Unix socket")
	}
	return &Conn{conn: c, max: size, oob: make([]byte, unix.CmsgSpace(4*filesLimit))}, nil
}

// MaxPacket gives the largest packet that Send takes, in bytes.
func (c *Conn) MaxPacket() int { return c.max }

// Send sends one packet, with files if there are any, and waits while the other side's queue is
// full, at most until deadline (the zero time: for ever). The files stay the caller's. It
// returns a fault of kind Invalid for an empty packet or one above MaxPacket,
// os.ErrDeadlineExceeded when it is late, io.ErrClosedPipe when the other side is gone.
func (c *Conn) Send(deadline time.Time, packet []byte, files ...*os.File) error {
	if len(packet) == 0 || len(packet) > c.max || len(files) > filesLimit {
		return core.Faultf(core.Invalid, "send packet", "", "%d bytes and %d files; 1..%d bytes and %d files can be sent", len(packet), len(files), c.max, filesLimit)
	}
	oob, err := rights(files)
	if err != nil {
		return err
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	if err := c.conn.SetWriteDeadline(deadline); err != nil {
		return os.ErrClosed
	}
	_, _, err = c.conn.WriteMsgUnix(packet, oob, nil)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, net.ErrClosed):
		return os.ErrClosed
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.ENOTCONN):
		return io.ErrClosedPipe
	default:
		return fmt.Errorf("send packet of %d bytes: %w", len(packet), err)
	}
}

func rights(files []*os.File) ([]byte, error) {
	if len(files) == 0 {
		return nil, nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
		if fds[i] < 0 {
			return nil, core.Faultf(core.Invalid, "send packet", f.Name(), "the file is closed")
		}
	}
	return unix.UnixRights(fds...), nil
}

// Recv waits for one packet, at most until deadline (the zero time: for ever). files are the
// caller's to close. It returns io.EOF when the other side is gone, os.ErrClosed after Close,
// and a fault of kind Invalid for a packet that does not fit into buf or has too many files;
// that packet is lost.
func (c *Conn) Recv(deadline time.Time, buf []byte) (n int, files []*os.File, err error) {
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return 0, nil, os.ErrClosed
	}
	n, oobn, flags, _, err := c.conn.ReadMsgUnix(buf, c.oob)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, nil, os.ErrDeadlineExceeded
	case errors.Is(err, net.ErrClosed):
		return 0, nil, os.ErrClosed
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET): // reset: it went with packets of ours unread
		return 0, nil, io.EOF
	default:
		return 0, nil, fmt.Errorf("receive packet: %w", err)
	}
	files, err = received(c.oob[:oobn])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = core.Faultf(core.Invalid, "receive packet", "", "it does not fit into %d bytes and %d files", len(buf), filesLimit)
	}
	if err != nil {
		closeAll(files)
		return 0, nil, err
	}
	return n, files, nil
}

func received(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, core.Faultf(core.Invalid, "receive packet", "", "control data: %w", err)
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // something else than files
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Close ends every Send and Recv. It is safe to call twice.
func (c *Conn) Close() error {
	if err := c.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
