package shm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"golang.org/x/sys/unix"
)

// Conn is one end of a doorbell: packets with a beginning and an end, in order, each with a few
// open files if need be. Send may be called from several goroutines at once; Recv from one.
//
// It waits in Go's poller. A thread that blocks in the system call answers sooner when packets
// come back to back (7 µs against 14 a round trip, BenchmarkRoundTrip), but later when it sleeps
// in between or its packet goes to another goroutine: Go has then given its processor away. The
// system calls themselves never block, so they are made without telling Go's scheduler, which
// would wake its monitor for each.
type Conn struct {
	conn  *net.UnixConn
	raw   syscall.RawConn
	max   int
	oob   []byte // Recv's
	timed bool   // Recv's: the last one had a deadline

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
	raw, err := c.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, core.Faultf(core.Exhausted, "open doorbell", "", "%w", err)
	}
	return &Conn{conn: c, raw: raw, max: size, oob: make([]byte, unix.CmsgSpace(4*filesLimit))}, nil
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
	err = c.send(packet, oob, true)
	if errors.Is(err, unix.EAGAIN) {
		err = c.sendInTime(deadline, packet, oob)
	}
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

// sendInTime waits while the queue is full. The deadline is taken back, because send fails
// after it has passed.
func (c *Conn) sendInTime(deadline time.Time, packet, oob []byte) error {
	if err := c.conn.SetWriteDeadline(deadline); err != nil {
		return net.ErrClosed
	}
	err := c.send(packet, oob, false)
	if !deadline.IsZero() {
		_ = c.conn.SetWriteDeadline(time.Time{}) // fails only after Close
	}
	return err
}

// send is one sendmsg. While the other side's queue is full it waits in the poller, or (once)
// returns unix.EAGAIN.
func (c *Conn) send(packet, oob []byte, once bool) error {
	msg := message(packet, oob)
	var errno syscall.Errno
	err := c.raw.Write(func(fd uintptr) bool {
		_, errno = raw(unix.SYS_SENDMSG, fd, msg, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return once || errno != unix.EAGAIN
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// message describes memory for the system, which must stay while the message is used.
func message(packet, oob []byte) *unix.Msghdr {
	iov := &unix.Iovec{Base: &packet[0]}
	iov.SetLen(len(packet))
	msg := &unix.Msghdr{Iov: iov}
	msg.SetIovlen(1)
	if len(oob) > 0 {
		msg.Control = &oob[0]
		msg.SetControllen(len(oob))
	}
	return msg
}

// raw makes a system call that does not block.
func raw(call, fd uintptr, msg *unix.Msghdr, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := unix.RawSyscall(call, fd, uintptr(unsafe.Pointer(msg)), flags)
		if errno != unix.EINTR {
			return int(n), errno
		}
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
	if c.timed || !deadline.IsZero() {
		if err := c.conn.SetReadDeadline(deadline); err != nil {
			return 0, nil, os.ErrClosed
		}
		c.timed = !deadline.IsZero()
	}
	if len(buf) == 0 {
		return 0, nil, core.Faultf(core.Invalid, "receive packet", "", "there is no memory for it")
	}
	msg := message(buf, c.oob)
	var errno syscall.Errno
	err = c.raw.Read(func(fd uintptr) bool {
		msg.SetControllen(len(c.oob))
		n, errno = raw(unix.SYS_RECVMSG, fd, msg, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		return errno != unix.EAGAIN
	})
	if err == nil && errno != 0 {
		err = errno
	}
	switch {
	case err == nil && n == 0: // no packet is empty
		return 0, nil, io.EOF
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, nil, os.ErrDeadlineExceeded
	case errors.Is(err, net.ErrClosed):
		return 0, nil, os.ErrClosed
	case errors.Is(err, unix.ECONNRESET): // it went with packets of ours unread
		return 0, nil, io.EOF
	default:
		return 0, nil, fmt.Errorf("receive packet: %w", err)
	}
	files, err = received(c.oob[:msg.Controllen])
	if err == nil && msg.Flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
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
