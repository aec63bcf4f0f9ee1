// Package shm is the memory that frames lie in while several processes look at them: arenas (a
// sealed memfd each) and the doorbell (a SOCK_SEQPACKET pair that carries arenas and packets).
package shm

import "os"

// Arena is one block of shared memory, as its creator sees it: writable. Others can map it for
// reading only, and nobody can change its size.
type Arena struct {
	id    uint64
	bytes []byte
	file  *os.File
}

// ID is unique within this process and never used again.
func (a *Arena) ID() uint64 { return a.id }

// Bytes gives the whole block.
func (a *Arena) Bytes() []byte { return a.bytes }

// File gives the memfd to be sent to others.
func (a *Arena) File() *os.File { return a.file }
