package lifecycle

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"
)

// Notifier tells systemd how the server does. Where there is no systemd it does nothing. The
// protocol is one datagram of text (sd_notify(3)).
type Notifier struct {
	socket   string
	watchdog time.Duration
	stop     context.CancelFunc
	done     chan struct{}
}

// NewNotifier reads $NOTIFY_SOCKET and $WATCHDOG_USEC by getenv.
func NewNotifier(getenv func(string) string) *Notifier {
	n := &Notifier{socket: getenv("NOTIFY_SOCKET")}
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n
	}
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		n.watchdog = time.Duration(us) * time.Microsecond
	}
	return n
}

// Tell sends states as "READY=1" or "STATUS=text", one a line.
func (n *Notifier) Tell(state string) error {
	if n.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = c.Write([]byte(state))
	return err
}

// Watch keeps the watchdog calm while alive says true, until Close. Without a watchdog it does
// nothing.
func (n *Notifier) Watch(alive func(context.Context) bool) {
	if n.socket == "" || n.watchdog <= 0 || n.done != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.done = cancel, make(chan struct{})
	go func() {
		defer close(n.done)
		t := time.NewTicker(max(n.watchdog/3, time.Millisecond))
		defer t.Stop()
		for {
			limited, cancel := context.WithTimeout(ctx, n.watchdog/3)
			if alive(limited) {
				_ = n.Tell("WATCHDOG=1")
			}
			cancel()
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// Close ends Watch. It is safe to call twice.
func (n *Notifier) Close() {
	if n.done != nil {
		n.stop()
		<-n.done
	}
}
