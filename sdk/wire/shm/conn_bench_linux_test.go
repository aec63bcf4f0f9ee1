package shm

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// echoEnv makes the test binary an echo on descriptor 3: "blocking" or "poller", then "inline"
// or "worker" (packets are handed to another goroutine, as a capsule does).
const echoEnv = "CAPSTAN_TEST_ECHO"

func TestMain(m *testing.M) {
	if mode := os.Getenv(echoEnv); mode != "" {
		echo(mode)
		return
	}
	os.Exit(m.Run())
}

// bell is what both kinds of doorbell can do.
type bell interface {
	send(p []byte) error
	recv(p []byte) (int, error)
}

type poller struct{ *Conn }

func (b poller) send(p []byte) error { return b.Send(time.Time{}, p) }

func (b poller) recv(p []byte) (int, error) { n, _, err := b.Recv(time.Time{}, p); return n, err }

// blocking is the other way to do it: the thread waits in the system call.
type blocking int

func (b blocking) send(p []byte) error { return unix.Sendmsg(int(b), p, nil, nil, unix.MSG_NOSIGNAL) }

func (b blocking) recv(p []byte) (int, error) {
	n, err := unix.Read(int(b), p)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

func bellOf(mode string, fd int) bell {
	if strings.HasPrefix(mode, "blocking") {
		return blocking(fd)
	}
	c, err := Open(fd)
	if err != nil {
		panic(err)
	}
	return poller{c}
}

func echo(mode string) {
	b := bellOf(mode, 3)
	work := make(chan []byte)
	answer := func(p []byte) {
		if b.send(p) != nil {
			os.Exit(1)
		}
	}
	go func() {
		for p := range work {
			answer(p)
		}
	}()
	buf := make([]byte, PacketLimit)
	for {
		n, err := b.recv(buf)
		if err != nil {
			return
		}
		p := slices.Clone(buf[:n])
		if strings.HasSuffix(mode, "inline") {
			answer(p)
		} else {
			work <- p
		}
	}
}

// BenchmarkRoundTrip sends 300 bytes to another process and back. At this end each answer is
// read by one goroutine and handed to the one that waits for it, or (direct) read by the one
// that waits, as the host does; paced leaves a 30th of a second between packets, in which the
// processors fall asleep.
func BenchmarkRoundTrip(b *testing.B) {
	for _, mode := range []string{"blocking-inline", "blocking-worker", "poller-inline", "poller-worker"} {
		b.Run(mode, func(b *testing.B) { roundTrip(b, mode, false, 0) })
		b.Run(mode+"-direct", func(b *testing.B) { roundTrip(b, mode, true, 0) })
		b.Run(mode+"-paced", func(b *testing.B) { roundTrip(b, mode, true, time.Second/30) })
	}
}

func startEcho(b *testing.B, mode string) (bell, func()) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	far := os.NewFile(uintptr(fds[1]), "far")
	defer far.Close()
	self, _ := os.Executable()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), echoEnv+"="+mode)
	cmd.ExtraFiles = []*os.File{far}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return bellOf(mode, fds[0]), func() { cmd.Process.Kill(); cmd.Wait() }
}

func roundTrip(b *testing.B, mode string, direct bool, pause time.Duration) {
	bell, stop := startEcho(b, mode)
	defer stop()
	answers := make(chan int, 1)
	buf := make([]byte, PacketLimit)
	await := func() int { n, _ := bell.recv(buf); return n }
	if !direct {
		await = func() int { return <-answers }
		go func() {
			defer close(answers)
			for {
				n, err := bell.recv(buf)
				if err != nil {
					return
				}
				answers <- n
			}
		}()
	}
	packet := make([]byte, 300)
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		time.Sleep(pause)
		start := time.Now()
		if err := bell.send(packet); err != nil {
			b.Fatal(err)
		}
		if n := await(); n != len(packet) {
			b.Fatal(fmt.Errorf("answer of %d bytes, want %d", n, len(packet)))
		}
		took = append(took, time.Since(start))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}
