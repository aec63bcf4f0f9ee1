"""The socket that frames and arenas come by, and the arenas."""

from __future__ import annotations

import array
import errno
import fcntl
import mmap
import os
import socket
import struct
import time
from typing import Dict, List, NamedTuple, Optional, Sequence

from .faults import CapsuleError

PACKET_LIMIT = 192 << 10
MAX_ARENA = 1 << 40
FILES_LIMIT = 4

_SO_TIMESTAMPNS = 35  # of the machines that Linux runs on but MIPS, PA-RISC and SPARC
_TIMESPEC = struct.Struct("@ll")

# As plain numbers: operations on the enums of socket cost a microsecond each.
_SOL_SOCKET, _SCM_RIGHTS = int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS)
_DONTWAIT, _NOSIGNAL = int(socket.MSG_DONTWAIT), int(socket.MSG_NOSIGNAL)
_CUT = int(socket.MSG_TRUNC) | int(socket.MSG_CTRUNC)

# fcntl has them since Python 3.8, on Linux.
_F_GET_SEALS = getattr(fcntl, "F_GET_SEALS", 1034)
_FIXED = 0x1 | 0x2 | 0x4  # SEAL, SHRINK, GROW


class Packet(NamedTuple):
    data: memoryview  # valid until the next recv
    fds: List[int]  # the receiver's to close
    arrived: int  # time.time_ns; 0: not known


class Doorbell:
    """One end of a SOCK_SEQPACKET pair: packets in order, some with open files."""

    def __init__(self, fd: int):
        self._sock = socket.socket(fileno=fd)
        if self._sock.family != socket.AF_UNIX or self._sock.type != socket.SOCK_SEQPACKET:
            self._sock.detach()
            raise CapsuleError(f"descriptor {fd} is no socket of the kind SOCK_SEQPACKET")
        self._sock.set_inheritable(False)
        self._sock.setblocking(True)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        except OSError:
            pass  # times of waiting are then 0
        granted = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        # The system counts its own bookkeeping against the buffer.
        self.max_packet = min(PACKET_LIMIT, granted // 2)
        self._buffer = bytearray(PACKET_LIMIT)
        self._view = memoryview(self._buffer)
        self._ancillary = socket.CMSG_SPACE(FILES_LIMIT * 4) + socket.CMSG_SPACE(_TIMESPEC.size)

    def fileno(self) -> int:
        return self._sock.fileno()

    def recv(self, block: bool = True) -> Optional[Packet]:
        """The next packet. EOFError when the other side is gone; None when block is False and
        there is none; CapsuleError for a packet that was lost."""
        try:
            n, ancillary, flags, _ = self._sock.recvmsg_into([self._buffer], self._ancillary, 0 if block else _DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as e:
            if e.errno in (errno.ECONNRESET, errno.EBADF, errno.ENOTCONN):
                raise EOFError from None
            raise
        fds: List[int] = []
        arrived = 0
        for level, kind, data in ancillary:
            if level != _SOL_SOCKET:
                continue
            if kind == _SCM_RIGHTS:
                a = array.array("i")
                a.frombytes(data[: len(data) - len(data) % a.itemsize])
                fds.extend(a)
            elif kind == _SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
                seconds, nanos = _TIMESPEC.unpack(data)
                arrived = seconds * 10**9 + nanos
        if flags & _CUT:
            close_all(fds)
            raise CapsuleError(f"a packet does not fit into {PACKET_LIMIT} bytes and {FILES_LIMIT} files")
        if n == 0:
            close_all(fds)
            raise EOFError
        for fd in fds:
            os.set_inheritable(fd, False)
        return Packet(self._view[:n], fds, arrived)

    def send(self, data: bytes, fds: Sequence[int] = (), block: bool = True) -> None:
        """Send one packet; EOFError when the other side is gone, BlockingIOError when it does not
        read and block is False."""
        ancillary = [(_SOL_SOCKET, _SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([data], ancillary, _NOSIGNAL if block else _NOSIGNAL | _DONTWAIT)
        except OSError as e:
            if e.errno in (errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN):
                raise EOFError from None
            raise

    def close(self) -> None:
        self._sock.close()


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass


def check_arena(fd: int, size: int) -> int:
    """CapsuleError for a file that is no sealed memfd of size bytes; gives the bytes that have memory."""
    if not 0 < size <= MAX_ARENA:
        raise CapsuleError(f"{size} bytes are not within 1..{MAX_ARENA}")
    try:
        seals = fcntl.fcntl(fd, _F_GET_SEALS)
    except OSError:
        raise CapsuleError("it is no memfd") from None
    if seals & _FIXED != _FIXED:
        raise CapsuleError("it is not sealed: its size could change")
    st = os.fstat(fd)
    if st.st_size < size:
        raise CapsuleError(f"it has {st.st_size} bytes, {size} were announced")
    return st.st_blocks * 512


def map_arena(fd: int, size: int) -> mmap.mmap:
    """Map an arena for reading; fd stays the caller's."""
    resident = check_arena(fd, size)
    flags = mmap.MAP_SHARED
    if resident >= size // 4 * 3:
        # Looking the pages up now saves 1 ms at the first touch of each picture.
        flags |= getattr(mmap, "MAP_POPULATE", 0x8000)
    try:
        return mmap.mmap(fd, size, flags, mmap.PROT_READ)
    except (OSError, ValueError, OverflowError) as e:
        raise CapsuleError(f"map {size} bytes: {e}") from None


class Arenas:
    """The engine's arenas that are mapped here."""

    def __init__(self) -> None:
        self._known: Dict[int, mmap.mmap] = {}

    def add(self, number: int, fd: int, size: int) -> None:
        if number not in self._known:
            self._known[number] = map_arena(fd, size)

    def get(self, number: int) -> Optional[mmap.mmap]:
        return self._known.get(number)

    def gone(self, number: int) -> None:
        m = self._known.pop(number, None)
        if m is None:
            return
        try:
            m.close()
        except BufferError:
            pass  # a view is still held; the last one takes the mapping along

    def close(self) -> None:
        for number in list(self._known):
            self.gone(number)

    def __len__(self) -> int:
        return len(self._known)


def waited(arrived: int, free: int) -> int:
    """Nanoseconds for which a packet waited behind other work that was done at free; both are
    time.time_ns, 0: not known. The way of the packet itself, wake-up included, is no waiting."""
    return max(0, min(free, time.time_ns()) - arrived) if arrived else 0
