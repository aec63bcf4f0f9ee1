"""A capsule as a process of an engine: handshake, service, frames."""

from __future__ import annotations

import concurrent.futures
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
from collections import OrderedDict, deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Tuple

from ._call import encode_declaration, failed
from ._doorbell import Arenas, Doorbell, Packet, close_all
from ._log import Log, open_log
from ._runtime import Request, Runtime
from ._wire import capsule_pb2 as pb
from .declare import Capsule
from .faults import CAPSULE_FAILED, INVALID, NOT_FOUND, CapsuleError, one_line

COOKIE_ENV, COOKIE = "CAPSTAN_CAPSULE", "5b0d9f1e-capstan-capsule"
FRAMES_ENV = "CAPSTAN_FRAMES_FD"
LIFE_ENV = "CAPSTAN_STDIN_IS_LIFE"
LOG_ENV = "CAPSTAN_LOG_LEVEL"
CHECK_ENV = "CAPSTAN_CHECK"
SOCKETS_ENV = "PLUGIN_UNIX_SOCKET_DIR"

PROTOCOL = 1
MESSAGE_LIMIT = 256 << 20
ARENA_WAIT = 2.0
CLOSE_TIME = 2.0

# Bounds of the answers that wait to be fetched.
_MAX_ANSWERS = 64
_MAX_ANSWER_BYTES = 2 * MESSAGE_LIMIT


class Large:
    """Answers that did not fit into a packet, until they are fetched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: "OrderedDict[int, bytes]" = OrderedDict()
        self._bytes = 0
        self.dropped = 0

    def put(self, call: int, answer: bytes) -> None:
        with self._lock:
            while self._waiting and (len(self._waiting) >= _MAX_ANSWERS or self._bytes + len(answer) > _MAX_ANSWER_BYTES):
                _, old = self._waiting.popitem(last=False)
                self._bytes -= len(old)
                self.dropped += 1
            self._waiting[call] = answer
            self._bytes += len(answer)

    def take(self, call: int) -> Optional[bytes]:
        with self._lock:
            answer = self._waiting.pop(call, None)
            if answer is not None:
                self._bytes -= len(answer)
            return answer


class Local:
    """The backend that runs the author's code in this process."""

    def __init__(self, runtime: Runtime):
        self.runtime = runtime
        self.arenas = Arenas()
        self.streams: Dict[int, str] = {}
        self.batch = runtime.capsule.batch if runtime.capsule.input.size != "single" else 0

    def configure(self, given: Mapping[str, Any]) -> None:
        self.runtime.configure(given)

    def open_stream(self, number: int, name: str, given: Optional[Mapping[str, Any]]) -> None:
        for n, other in list(self.streams.items()):
            if other == name and n != number:  # the engine forgot to close it
                del self.streams[n]
                self.runtime.close_stream(name)
        self.runtime.open_stream(name, given)
        self.streams[number] = name

    def close_stream(self, number: int) -> None:
        name = self.streams.pop(number, None)
        if name is not None:
            self.runtime.close_stream(name)

    def offer(self, number: int, size: int, fds: List[int]) -> None:
        if len(fds) != 1:
            raise CapsuleError(f"{len(fds)} files for {size} bytes")
        self.arenas.add(number, fds[0], size)

    def gone(self, number: int) -> None:
        self.arenas.gone(number)

    def knows(self, number: int) -> bool:
        return self.arenas.get(number) is not None

    def request(self, m: Any, arrived: int) -> Request:
        if m.call == 0:
            raise CapsuleError("call without a number")
        name = self.streams.get(m.stream)
        if name is None:
            raise CapsuleError(f"stream {m.stream} is not open", NOT_FOUND)
        mem: Any = None
        if m.picture.handle == pb.HANDLE_ARENA:
            mem = self.arenas.get(m.picture.arena)
            if mem is None:
                raise CapsuleError(f"arena {m.picture.arena} is not known here", NOT_FOUND)
        elif m.picture.handle == pb.HANDLE_INLINE:
            mem = m.pixels
        return self.runtime.request(m, name, mem, arrived)

    def run(self, calls: List[Tuple[Any, int]], done: Callable[[Any], None]) -> None:
        """Run calls (message, time of arrival) and give each answer, a FromCapsule, to done."""
        ready: List[Request] = []
        for m, arrived in calls:
            try:
                ready.append(self.request(m, arrived))
            except CapsuleError as e:
                done(fault_answer(m.call, e.kind, str(e)))
        if ready:
            self.runtime.run(ready)
        for r in ready:
            done(r.out)

    def close(self) -> None:
        self.runtime.close()
        self.arenas.close()


def fault_answer(call: int, kind: int, message: str) -> Any:
    out = pb.FromCapsule()
    out.answer.call = call
    failed(out.answer, kind, message)
    return out


class Loop:
    """The one thread that reads the doorbell and runs the author's code.

    Other threads give it jobs by :meth:`ask`.
    """

    def __init__(self, backend: Any, bell: Optional[Doorbell], log: Log, name: str):
        self.backend, self.bell, self.log, self.name = backend, bell, log, name
        self.large = Large()
        self._jobs: Deque[Tuple[Callable[[], Any], "concurrent.futures.Future[Any]"]] = deque()
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        os.set_blocking(self._wake_w, False)
        self._ending = False
        self._poll = select.poll()
        self._poll.register(self._wake_r, select.POLLIN)
        if bell is not None:
            self._poll.register(bell.fileno(), select.POLLIN)

    # From other threads.

    def ask(self, job: Callable[[], Any]) -> "concurrent.futures.Future[Any]":
        """Have the loop run a job between two frames."""
        future: "concurrent.futures.Future[Any]" = concurrent.futures.Future()
        self._jobs.append((job, future))
        self.wake()
        return future

    def end(self) -> None:
        """Have the loop return."""
        self._ending = True
        self.wake()

    def wake(self) -> None:
        try:
            os.write(self._wake_w, b"\0")
        except OSError:
            pass  # full: it wakes anyway

    # In its own thread.

    def run(self) -> None:
        bell_fd = self.bell.fileno() if self.bell is not None else -1
        try:
            while not self._ending:
                for fd, _ in self._poll.poll():
                    if fd == bell_fd:
                        self.read(block=False)
                    elif fd == self._wake_r:
                        self._woken()
                    else:
                        self.backend.readable(fd)
        except EOFError:
            pass

    def watch(self, fd: int) -> None:
        """Have the backend's readable called when fd can be read."""
        self._poll.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        self._poll.unregister(fd)

    def _woken(self) -> None:
        try:
            os.read(self._wake_r, 4096)
        except BlockingIOError:
            pass
        while self._jobs:
            job, future = self._jobs.popleft()
            try:
                future.set_result(job())
            except EOFError:
                future.cancel()
                raise
            except BaseException as e:
                future.set_exception(e)
                if not isinstance(e, Exception):
                    raise

    def read(self, block: bool) -> bool:
        """Read one packet and do what it says; with batches, all that wait."""
        calls: List[Tuple[Any, int]] = []
        most = max(1, self.backend.batch)
        more = True
        while more and len(calls) < most:
            try:
                packet = self.bell.recv(block)  # type: ignore[union-attr]
            except CapsuleError as e:
                self.log.error("a packet was lost", error=str(e))
                return True
            if packet is None:
                break
            try:
                call = self.packet(packet)
            finally:
                close_all(packet.fds)
            if call is not None:
                calls.append((call, packet.arrived))
            more, block = most > 1, False
        if calls:
            self.backend.run(calls, self.answer)
        return bool(calls)

    def packet(self, p: Packet) -> Any:
        """Do what a packet says; gives the message of a frame."""
        m = pb.ToCapsule()
        try:
            m.ParseFromString(bytes(p.data))
        except Exception as e:  # the error's type is that of the protobuf implementation
            self.log.error("a packet is no message", error=one_line(e), bytes=len(p.data))
            return None
        kind = m.WhichOneof("kind")
        if kind == "frame":
            return m.frame
        if kind == "offer":
            try:
                self.backend.offer(m.offer.arena, m.offer.size, p.fds)
            except CapsuleError as e:
                self.log.error("an arena cannot be used", arena=m.offer.arena, error=str(e))
        elif kind == "gone":
            self.backend.gone(m.gone.arena)
        return None

    def answer(self, out: Any) -> None:
        """Send an answer by the doorbell, or say there that it waits to be fetched."""
        assert self.bell is not None
        data = out.SerializeToString()
        if len(data) > MESSAGE_LIMIT:
            out = fault_answer(out.answer.call, CAPSULE_FAILED, f"capsule {self.name}: the answer has {len(data)} bytes, at most {MESSAGE_LIMIT} can be sent")
            data = out.SerializeToString()
        if len(data) > self.bell.max_packet:
            before = self.large.dropped
            self.large.put(out.answer.call, out.answer.SerializeToString())
            if self.large.dropped > before:
                self.log.warning("answers that were not fetched are dropped", dropped=self.large.dropped)
            ready = pb.FromCapsule()
            ready.ready.call = out.answer.call
            data = ready.SerializeToString()
        self.bell.send(data)

    def process(self, m: Any, done: Callable[[Any], None]) -> None:
        """A frame that came by gRPC; its arena, sent before, may still wait in the doorbell."""
        arrived = time.time_ns()
        late = time.monotonic() + ARENA_WAIT
        while m.picture.handle == pb.HANDLE_ARENA and self.bell is not None and not self.backend.knows(m.picture.arena):
            left = late - time.monotonic()
            if left <= 0:
                break
            p = select.poll()
            p.register(self.bell.fileno(), select.POLLIN)
            if p.poll(left * 1000):
                self.read(block=False)
        self.backend.run([(m, arrived)], done)


class Service:
    """The gRPC side: every method gives a job to the loop and waits for it."""

    def __init__(self, capsule: Capsule, loop: Loop):
        self.capsule, self.loop = capsule, loop

    def describe(self, m: Any, context: Any) -> Any:
        return pb.DescribeReply(declaration=encode_declaration(self.capsule))

    def configure(self, m: Any, context: Any) -> Any:
        given = _values(m.options_json)
        self._wait(lambda: self.loop.backend.configure(given))
        return pb.ConfigureReply()

    def open_stream(self, m: Any, context: Any) -> Any:
        given = _values(m.options_json) if m.options_json else None
        self._wait(lambda: self.loop.backend.open_stream(m.stream, m.id, given))
        return pb.OpenStreamReply()

    def close_stream(self, m: Any, context: Any) -> Any:
        self._wait(lambda: self.loop.backend.close_stream(m.stream))
        return pb.CloseStreamReply()

    def process(self, m: Any, context: Any) -> Any:
        answer: "concurrent.futures.Future[Any]" = concurrent.futures.Future()
        job = self.loop.ask(lambda: self.loop.process(m, answer.set_result))
        job.result()
        return answer.result().answer

    def fetch(self, m: Any, context: Any) -> Any:
        answer = self.loop.large.take(m.call)
        if answer is None:
            raise CapsuleError(f"fetch: there is no answer to call {m.call}", NOT_FOUND)
        return pb.FrameAnswer.FromString(answer)

    def _wait(self, job: Callable[[], Any]) -> None:
        """Run a job in the loop; one that gives a future is waited for further."""
        result = self.loop.ask(job).result()
        if isinstance(result, concurrent.futures.Future):
            result.result()


def _values(text: str) -> Mapping[str, Any]:
    if not text:
        return {}

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        v = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as e:
        raise CapsuleError(f"options: {e}") from None
    if not isinstance(v, dict):
        raise CapsuleError(f"options: {text[:80]!r} is not an object")
    return v


def _varint(n: int) -> bytes:
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _block(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def status_details(kind: int, message: str) -> bytes:
    """A google.rpc.Status with our Fault in its details, as gRPC carries it in the trailer."""
    fault = pb.Fault(kind=kind, message=message)
    packed = _block(1, b"type.googleapis.com/capstan.wire.v1.Fault") + _block(2, fault.SerializeToString())
    return b"\x08\x02" + _block(2, message.encode()) + _block(3, packed)


def grpc_server(service: Service, on_shutdown: Callable[[], None]) -> Any:
    """The gRPC server with our service, health, and go-plugin's controller."""
    import grpc

    def guarded(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def call(m: Any, context: Any) -> Any:
            try:
                return method(m, context)
            except CapsuleError as e:
                kind, words = e.kind, str(e)
            except concurrent.futures.CancelledError:
                kind, words = 403, f"capsule {service.capsule.name}: it is closed"
            except Exception as e:
                kind, words = CAPSULE_FAILED, f"capsule {service.capsule.name}: {one_line(e)}"
                service.loop.log.error("a call of the service failed", exc_info=e)
            words = words.encode("utf-8", "replace").decode()
            context.set_trailing_metadata((("grpc-status-details-bin", status_details(kind, words)),))
            context.abort(grpc.StatusCode.UNKNOWN, words)

        return call

    def unary(method: Callable[[Any, Any], Any], request: Any, reply: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(guarded(method), request.FromString, reply.SerializeToString)

    def raw(method: Callable[[Any, Any], bytes]) -> Any:
        return grpc.unary_unary_rpc_method_handler(method)

    def shutdown(_m: Any, _c: Any) -> bytes:
        on_shutdown()
        return b""

    options = [("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16, "grpc"), options=options)
    handlers = {
        "Describe": unary(service.describe, pb.DescribeRequest, pb.DescribeReply),
        "Configure": unary(service.configure, pb.ConfigureRequest, pb.ConfigureReply),
        "OpenStream": unary(service.open_stream, pb.OpenStreamRequest, pb.OpenStreamReply),
        "CloseStream": unary(service.close_stream, pb.CloseStreamRequest, pb.CloseStreamReply),
        "Process": unary(service.process, pb.FrameRequest, pb.FrameAnswer),
        "Fetch": unary(service.fetch, pb.FetchRequest, pb.FrameAnswer),
    }
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("capstan.wire.v1.Capsule", handlers),
            # HealthCheckResponse{status: SERVING}
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": raw(lambda m, c: b"\x08\x01")}),
            grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": raw(shutdown)}),
        )
    )
    return server


# Standard output carries the handshake, and nothing may come before it: not even what an import
# prints. So it leads to standard error until then.
_stdout: Optional[int] = None


def guard_stdout() -> None:
    """Called by the import of the package, in a process that an engine started."""
    global _stdout
    if _stdout is None and os.environ.get(COOKIE_ENV) == COOKIE:
        try:
            sys.stdout.flush()
            _stdout = os.dup(1)
            os.dup2(2, 1)
        except (OSError, ValueError, AttributeError):
            _stdout = None


def shake_hands(line: str) -> None:
    """Print the handshake, and give standard output back."""
    if sys.stdout is not None:
        sys.stdout.flush()
    os.write(1 if _stdout is None else _stdout, line.encode() + b"\n")
    free_stdout()


def free_stdout() -> None:
    """What is printed goes to standard output again, line by line."""
    global _stdout
    if _stdout is not None:
        os.dup2(_stdout, 1)
        os.close(_stdout)
        _stdout = None
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)


def _descriptor(name: str) -> Optional[int]:
    """A descriptor that the environment names; it is not for children of ours."""
    text = os.environ.pop(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise CapsuleError(f"{name}={text!r} is no descriptor") from None


def exit_after(seconds: float) -> None:
    """End the process then, whatever the author's code does."""
    t = threading.Timer(seconds, os._exit, (0,))
    t.daemon = True
    t.start()


def serve(capsule: Capsule) -> None:
    """Serve an engine until it goes away, and end the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which drains first
    log = open_log(os.environ.get(LOG_ENV, "info"))
    status = 0
    try:
        _serve(capsule, log)
    except CapsuleError as e:
        log.error("the capsule cannot be served", error=str(e))
        status = 1
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 1 if e.code else 0
        log.error("the capsule's code ended the process", status=status)
    except BaseException as e:
        log.error("the capsule's code failed", exc_info=e)
        status = 1
    try:
        sys.stdout.flush()
    except Exception:
        pass
    os._exit(status)  # no thread of a library keeps it alive


def _serve(capsule: Capsule, log: Log) -> None:
    capsule.validate()
    fd = _descriptor(FRAMES_ENV)
    bell = Doorbell(fd) if fd is not None else None
    if capsule.workers > 0:
        from ._pool import Pool

        backend: Any = Pool(capsule, log)
    else:
        backend = Local(Runtime(capsule, log, check=bool(os.environ.get(CHECK_ENV))))
    loop = Loop(backend, bell, log, capsule.name)
    if capsule.workers > 0:
        backend.attach(loop)

    def end() -> None:
        exit_after(CLOSE_TIME)
        loop.end()

    server = grpc_server(Service(capsule, loop), end)
    folder = os.environ.get(SOCKETS_ENV) or tempfile.gettempdir()
    path = tempfile.mktemp(prefix="plugin", dir=folder)
    if server.add_insecure_port("unix:" + path) == 0:
        raise CapsuleError(f"there is no socket at {path}")
    server.start()
    if os.environ.get(LIFE_ENV):
        threading.Thread(target=_until_end, args=(end,), daemon=True, name="life").start()
    shake_hands(f"1|{PROTOCOL}|unix|{path}|grpc|")
    try:
        loop.run()
    finally:
        exit_after(CLOSE_TIME)
        backend.close()
        try:
            os.unlink(path)
        except OSError:
            pass


def _until_end(end: Callable[[], None]) -> None:
    """Read standard input until the engine's end of it closes."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    end()


__all__ = ["INVALID", "Loop", "Local", "Service", "serve"]
