//go:build !linux

package shm

import (
	"os"
	"time"
)

// Mapping is somebody else's arena, mapped for reading. There are none on this system.
type Mapping struct{}

// Map fails as Create does.
func Map(*os.File, int64) (*Mapping, error) { return nil, unsupported("map arena") }

// Bytes gives nil.
func (m *Mapping) Bytes() []byte { return nil }

// Close does nothing.
func (m *Mapping) Close() error { return nil }

// Conn is one end of a doorbell. There are none on this system.
type Conn struct{}

// Pair fails as Create does.
func Pair() (*Conn, *os.File, error) { return nil, nil, unsupported("make doorbell") }

// Open fails as Create does.
func Open(int) (*Conn, error) { return nil, unsupported("open doorbell") }

// MaxPacket gives 0.
func (c *Conn) MaxPacket() int { return 0 }

// Send fails as Create does.
func (c *Conn) Send(time.Time, []byte, ...*os.File) error { return unsupported("send packet") }

// Recv fails as Create does.
func (c *Conn) Recv(time.Time, []byte) (int, []*os.File, error) {
	return 0, nil, unsupported("receive packet")
}

// Close does nothing.
func (c *Conn) Close() error { return nil }
