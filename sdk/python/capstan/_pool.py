"""Several processes behind one capsule, for work that holds Python's lock.

The first process serves the engine and hands every frame, as the message it is, to a worker by a
socket of its own; arenas go along as descriptors, so that pixels are not copied here either. One
thread does it all. A packet is a byte that says what it is, then the message: F ToCapsule, A
FromCapsule, C a control call and R its reply, both JSON. In lower case the message lies in a memfd
that comes along, because it is too large for a packet.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ._doorbell import PACKET_LIMIT, Doorbell, Packet, check_arena, close_all
from ._log import Log, open_log
from ._wire import capsule_pb2 as pb
from .declare import Capsule
from .faults import CAPSULE_FAILED, CLOSED, EXHAUSTED, NOT_FOUND, CapsuleError, one_line

WORKER_ENV = "CAPSTAN_WORKER_FD"
PARENT_ENV = "CAPSTAN_WORKER_PARENT"

# Requests of one stream that may wait; engines keep one or two in flight.
_QUEUE_BOUND = 64

# Deaths without one good answer between them after which the capsule gives up.
_BREAKER = 5

_PR_SET_PDEATHSIG = 1

Future = concurrent.futures.Future


class Job(NamedTuple):
    """A frame on its way through the pool."""

    message: Any
    arrived: int
    done: Callable[[Any], None]


def send(bell: Doorbell, tag: bytes, data: bytes, fds: Tuple[int, ...] = ()) -> None:
    """Send one message of the pool, in a memfd where it is too large; never waits."""
    if len(data) < bell.max_packet:
        bell.send(tag + data, fds, block=False)
        return
    fd = os.memfd_create("capstan-pool", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        bell.send(tag.lower(), (fd,), block=False)
    finally:
        os.close(fd)


def receive(p: Packet) -> Tuple[bytes, bytes]:
    """Tag (upper case) and message of a packet."""
    tag = bytes(p.data[:1])
    if tag.isupper():
        return tag, bytes(p.data[1:])
    fd = p.fds[0]
    size = os.fstat(fd).st_size
    data = bytearray()
    while len(data) < size:
        data += os.pread(fd, min(1 << 24, size - len(data)), len(data))
    return tag.upper(), bytes(data)


class Worker:
    """One worker process, as the first process sees it."""

    def __init__(self, pool: "Pool", number: int):
        self.pool, self.number = pool, number
        self.log = pool.log.named(worker=number)
        self.answers = 0
        self.calls: "Dict[int, Tuple[Job, int]]" = {}  # in flight, with the time that they waited here
        self.queue: Deque[Job] = deque()  # of streams that stay with this worker
        self.replies: Dict[int, Callable[[Optional[CapsuleError]], None]] = {}
        self.last = 0
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for s in (ours, theirs):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * PACKET_LIMIT)
        self.bell = Doorbell(ours.detach())
        env = dict(os.environ)
        env[WORKER_ENV], env[PARENT_ENV] = str(theirs.fileno()), str(os.getpid())
        script = os.path.abspath(sys.modules["__main__"].__file__ or "")
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        try:
            self.process = subprocess.Popen(
                [sys.executable, *flags, script, *sys.argv[1:]], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=env
            )
        finally:
            theirs.close()

    def tell(self, op: str, reply: Callable[[Optional[CapsuleError]], None], **args: Any) -> None:
        """Have the worker do something; reply is called with None or why it failed."""
        self.last += 1
        self.replies[self.last] = reply
        self.send(b"C", json.dumps({"id": self.last, "op": op, "args": args}).encode())

    def send(self, tag: bytes, data: bytes, fds: Tuple[int, ...] = ()) -> None:
        try:
            send(self.bell, tag, data, fds)
        except EOFError:
            pass  # it is gone, as readable will see
        except BlockingIOError:
            self.log.error("a worker does not read and is ended")
            self.process.kill()

    def ending(self) -> str:
        """How it ended; waits a little for it to do so."""
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        return f"was ended by signal {-status}" if status < 0 else f"exited with status {status}"


class Pool:
    """The backend that has workers run the author's code."""

    batch = 0

    def __init__(self, capsule: Capsule, log: Log):
        self.capsule, self.log = capsule, log
        self.workers: List[Worker] = []
        self.loop: Any = None
        self.given: Optional[Mapping[str, Any]] = None
        self.streams: Dict[int, Tuple[str, Optional[Mapping[str, Any]]]] = {}
        self.pinned: Dict[int, Worker] = {}
        self.waiting: Dict[int, int] = {}
        self.queue: Deque[Job] = deque()
        self.offers: Dict[int, Tuple[int, int]] = {}  # size and descriptor
        self.deaths = 0
        self.at_once = max(1, capsule.batch if capsule.input.size != "single" else 1)
        self.closed = False

    def attach(self, loop: Any) -> None:
        """The loop that watches the workers' sockets."""
        self.loop = loop

    def _start(self) -> None:
        while len(self.workers) < self.capsule.workers:
            w = Worker(self, len(self.workers) + 1)
            self.workers.append(w)
            self.loop.watch(w.bell.fileno())
            for number, (size, fd) in self.offers.items():
                w.send(b"F", _offer(number, size), (fd,))

    def _all(self, workers: List[Worker], op: str, then: Callable[[Optional[CapsuleError]], None], **args: Any) -> "Future[Any]":
        """Tell several workers; the future has the first error, or None when all have done it."""
        future: "Future[Any]" = Future()
        left = [len(workers)]
        errors: List[CapsuleError] = []

        def reply(error: Optional[CapsuleError]) -> None:
            left[0] -= 1
            if error is not None:
                errors.append(error)
            if left[0] > 0:
                return
            then(errors[0] if errors else None)
            if errors:
                future.set_exception(errors[0])
            else:
                future.set_result(None)

        for w in workers:
            w.tell(op, reply, **args)
        if not workers:
            left[0] = 1
            reply(None)
        return future

    # What the engine asks.

    def configure(self, given: Mapping[str, Any]) -> "Future[Any]":
        self.capsule.complete(given)
        self._start()
        self.given = given
        return self._all(self.workers, "configure", lambda e: None, given=given)

    def open_stream(self, number: int, name: str, given: Optional[Mapping[str, Any]]) -> "Future[Any]":
        self.capsule.complete(given)
        self._start()
        for n in [n for n, (other, _) in self.streams.items() if other == name and n != number]:
            self.close_stream(n)
        workers = self.workers
        if self.capsule.stateful:
            w = self.pinned.get(number)
            if w is None:
                loads = {id(w): 0 for w in self.workers}
                for p in self.pinned.values():
                    loads[id(p)] += 1
                w = min(self.workers, key=lambda w: loads[id(w)])
                self.pinned[number] = w
            workers = [w]
        known = number in self.streams

        def then(error: Optional[CapsuleError]) -> None:
            if error is None:
                self.streams[number] = (name, given)
            elif not known:
                self.pinned.pop(number, None)
                for w in workers:
                    w.tell("close", lambda e: None, number=number)

        return self._all(workers, "open", then, number=number, name=name, given=given)

    def close_stream(self, number: int) -> "Future[Any]":
        known = self.streams.pop(number, None)
        pinned = self.pinned.pop(number, None)
        for q in [self.queue] + [w.queue for w in self.workers]:
            for job in [j for j in q if j.message.stream == number]:
                q.remove(job)
                self._finish(job, _fault(job, CLOSED, f"capsule {self.capsule.name}: it is closed"))
        workers = [pinned] if pinned is not None else self.workers
        return self._all(workers if known else [], "close", lambda e: None, number=number)

    def offer(self, number: int, size: int, fds: List[int]) -> None:
        if len(fds) != 1:
            raise CapsuleError(f"{len(fds)} files for {size} bytes")
        check_arena(fds[0], size)
        if number in self.offers:
            return
        fd = os.dup(fds[0])
        self.offers[number] = (size, fd)
        for w in self.workers:
            w.send(b"F", _offer(number, size), (fd,))

    def gone(self, number: int) -> None:
        known = self.offers.pop(number, None)
        if known is None:
            return
        os.close(known[1])
        message = pb.ToCapsule()
        message.gone.arena = number
        for w in self.workers:
            w.send(b"F", message.SerializeToString())

    def knows(self, number: int) -> bool:
        return number in self.offers

    def run(self, calls: List[Tuple[Any, int]], done: Callable[[Any], None]) -> None:
        for m, arrived in calls:
            job = Job(m, arrived, done)
            if m.call == 0:
                done(_fault(job, 100, "call without a number"))
            elif m.stream not in self.streams:
                done(_fault(job, NOT_FOUND, f"stream {m.stream} is not open"))
            elif m.picture.handle == pb.HANDLE_ARENA and m.picture.arena not in self.offers:
                done(_fault(job, NOT_FOUND, f"arena {m.picture.arena} is not known here"))
            elif self.waiting.get(m.stream, 0) >= _QUEUE_BOUND:
                done(_fault(job, EXHAUSTED, f"capsule {self.capsule.name}: {self.streams[m.stream][0]}: {_QUEUE_BOUND} frames are waiting"))
            else:
                self.waiting[m.stream] = self.waiting.get(m.stream, 0) + 1
                pinned = self.pinned.get(m.stream)
                (self.queue if pinned is None else pinned.queue).append(job)
        self._pump(waited=False)

    def _pump(self, waited: bool = True) -> None:
        """Give what waits to workers that are free; waited says that they were not when it came."""
        for w in sorted(self.workers, key=lambda w: len(w.calls)):
            while len(w.calls) < self.at_once and (w.queue or self.queue):
                job = (w.queue or self.queue).popleft()
                w.calls[job.message.call] = (job, max(0, time.time_ns() - job.arrived) if waited and job.arrived else 0)
                message = pb.ToCapsule()
                message.frame.CopyFrom(job.message)
                w.send(b"F", message.SerializeToString())

    def _finish(self, job: Job, out: Any) -> None:
        left = self.waiting.get(job.message.stream, 0) - 1
        if left > 0:
            self.waiting[job.message.stream] = left
        else:
            self.waiting.pop(job.message.stream, None)
        job.done(out)

    # What the workers say.

    def readable(self, fd: int) -> None:
        for w in self.workers:
            if w.bell.fileno() == fd:
                self._read(w)
                break
        self._pump()

    def _read(self, w: Worker) -> None:
        try:
            p = w.bell.recv(block=False)
        except EOFError:
            self._died(w)
            return
        if p is None:
            return
        try:
            tag, data = receive(p)
        finally:
            close_all(p.fds)
        if tag == b"R":
            said = json.loads(data)
            reply = w.replies.pop(said["id"], None)
            if reply is not None:
                reply(CapsuleError(said["message"], said["kind"]) if "message" in said else None)
            return
        out = pb.FromCapsule.FromString(data)
        known = w.calls.pop(out.answer.call, None)
        if known is None:
            return
        job, waited = known
        out.answer.queued_ns += waited
        w.answers += 1
        self.deaths = 0
        self._finish(job, out)

    def _died(self, w: Worker) -> None:
        """Answer for a worker that is gone, and start another in its place."""
        self.loop.unwatch(w.bell.fileno())
        w.bell.close()
        how = f"capsule {self.capsule.name}: worker {w.number} {w.ending()}"
        self.log.error("a worker is gone and is replaced", error=how)
        if not w.answers:
            self.deaths += 1
        replies, w.replies = w.replies, {}
        calls, w.calls = w.calls, {}
        at = self.workers.index(w)
        if self.deaths >= _BREAKER:
            raise CapsuleError(f"{how}; {self.deaths} workers died without one good answer between them", CAPSULE_FAILED)
        new = Worker(self, w.number)
        self.workers[at] = new
        self.loop.watch(new.bell.fileno())
        self._introduce(new, w)
        for job, _ in calls.values():
            self._finish(job, _fault(job, CAPSULE_FAILED, f"{how} while it had the frame"))
        for reply in replies.values():
            reply(CapsuleError(how, CAPSULE_FAILED))
        new.queue = w.queue

    def _introduce(self, new: Worker, old: Worker) -> None:
        """Tell a new worker all that the old one knew."""

        def note(error: Optional[CapsuleError]) -> None:
            if error is not None:
                self.log.error("a new worker cannot take over", error=str(error))

        for number, (size, fd) in self.offers.items():
            new.send(b"F", _offer(number, size), (fd,))
        if self.given is not None:
            new.tell("configure", note, given=self.given)
        for number, w in list(self.pinned.items()):
            if w is old:
                self.pinned[number] = new
        for number, (name, given) in self.streams.items():
            if self.pinned.get(number, new) is new:
                new.tell("open", note, number=number, name=name, given=given)

    def close(self) -> None:
        """End the workers; those that do not end in time are killed."""
        if self.closed:
            return
        self.closed = True
        for w in self.workers:
            w.bell.close()
        late = time.monotonic() + 1.5
        for w in self.workers:
            try:
                w.process.wait(max(0.01, late - time.monotonic()))
            except subprocess.TimeoutExpired:
                w.process.kill()
                w.process.wait()
        for _, fd in self.offers.values():
            os.close(fd)
        self.offers.clear()


def _offer(number: int, size: int) -> bytes:
    m = pb.ToCapsule()
    m.offer.arena, m.offer.size = number, size
    return m.SerializeToString()


def _fault(job: Job, kind: int, message: str) -> Any:
    out = pb.FromCapsule()
    out.answer.call = job.message.call
    out.answer.fault.kind, out.answer.fault.message = kind, message
    return out


def _die_with_parent() -> None:
    parent = int(os.environ.pop(PARENT_ENV, "0"))
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        pass  # the end of the socket ends it too, after the frame that it works on
    if parent and os.getppid() != parent:
        os._exit(0)


def work(capsule: Capsule) -> None:
    """The main of a worker; it ends the process."""
    from . import _serve

    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    bell = Doorbell(int(os.environ.pop(WORKER_ENV)))
    log = open_log(os.environ.get(_serve.LOG_ENV, "info"))
    _serve.free_stdout()
    local = _serve.Local(_serve.Runtime(capsule, log, check=bool(os.environ.get(_serve.CHECK_ENV))))
    status = 0
    try:
        while True:
            _work_once(bell, local, log)
    except EOFError:
        pass
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 1 if e.code else 0
    except BaseException as e:
        log.error("a worker failed", exc_info=e)
        status = 1
    if status == 0:
        timer = threading.Timer(_serve.CLOSE_TIME, os._exit, (0,))
        timer.daemon = True
        timer.start()
        local.close()
    try:
        sys.stdout.flush()
    except Exception:
        pass
    os._exit(status)


def _work_once(bell: Doorbell, local: Any, log: Log) -> None:
    """Take what waits, at most a batch of frames, and answer it."""
    calls: List[Tuple[Any, int]] = []
    most = max(1, local.batch)
    while len(calls) < most:
        p = bell.recv(block=not calls)
        if p is None:
            break
        try:
            tag, data = receive(p)
            if tag == b"C":
                if calls:  # they came before
                    local.run(calls, lambda out: _answer(bell, local, out))
                    calls = []
                _control(bell, local, json.loads(data))
                continue
            m = pb.ToCapsule.FromString(data)
            kind = m.WhichOneof("kind")
            if kind == "frame":
                calls.append((m.frame, p.arrived))
            elif kind == "offer":
                local.offer(m.offer.arena, m.offer.size, p.fds)
            elif kind == "gone":
                local.gone(m.gone.arena)
        except CapsuleError as e:
            log.error("an arena cannot be used", error=str(e))
        finally:
            close_all(p.fds)
    if calls:
        local.run(calls, lambda out: _answer(bell, local, out))


def _answer(bell: Doorbell, local: Any, out: Any) -> None:
    from . import _serve

    data = out.SerializeToString()
    if len(data) > _serve.MESSAGE_LIMIT:
        words = f"capsule {local.runtime.capsule.name}: the answer has {len(data)} bytes, at most {_serve.MESSAGE_LIMIT} can be sent"
        data = _serve.fault_answer(out.answer.call, CAPSULE_FAILED, words).SerializeToString()
    send(bell, b"A", data)


def _control(bell: Doorbell, local: Any, m: Mapping[str, Any]) -> None:
    args = m["args"]
    reply: Dict[str, Any] = {"id": m["id"]}
    try:
        if m["op"] == "configure":
            local.configure(args["given"])
        elif m["op"] == "open":
            local.open_stream(args["number"], args["name"], args["given"])
        elif m["op"] == "close":
            local.close_stream(args["number"])
    except CapsuleError as e:
        reply.update(kind=e.kind, message=str(e))
    except Exception as e:
        reply.update(kind=CAPSULE_FAILED, message=one_line(e))
    send(bell, b"R", json.dumps(reply).encode())
