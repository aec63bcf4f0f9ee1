"""The loop over a real socket, with the test as the engine."""

import array
import fcntl
import json
import logging
import os
import random
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

import capstan
from capstan import CapsuleError, finds, option
from capstan import _serve
from capstan._doorbell import Doorbell, check_arena, map_arena
from capstan._log import Handler, Log, null_log, open_log
from capstan._runtime import Runtime
from capstan._serve import Large, Local, Loop, Service, status_details
from capstan._wire import capsule_pb2 as pb

SEALS = 0x1 | 0x2 | 0x4 | 0x10


def memfd(data, seals=SEALS):
    fd = os.memfd_create("capstan-arena", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    if seals:
        fcntl.fcntl(fd, 1033, seals)
    return fd


@capstan.capsule(name="c", version=1, output=finds("byte", "node"), formats=["GRAY8"], options={"word": option("w")})
class Reads:
    def process(self, frame):
        if frame.format:
            frame.add("byte").extra["value"] = int(frame.gray()[0, 0])
        if frame.seq == 99:
            frame.add("node").extra["blob"] = "x" * (1 << 20)


class Engine:
    """The other end of a capsule's doorbell."""

    def __init__(self, code, **more):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock = ours
        self.sock.settimeout(10)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.backend = Local(Runtime(code.__capsule__, null_log()))
        self.loop = Loop(self.backend, Doorbell(theirs.detach()), null_log(), "c")
        self.service = Service(code.__capsule__, self.loop)
        self.thread = threading.Thread(target=self.loop.run, daemon=True)
        self.thread.start()
        self.service.open_stream(pb.OpenStreamRequest(stream=1, id="s"), None)

    def send(self, m, fds=()):
        data = m if isinstance(m, bytes) else m.SerializeToString()
        self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])

    def recv(self):
        return pb.FromCapsule.FromString(self.sock.recv(1 << 20))

    def close(self):
        self.sock.close()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def engine():
    e = Engine(Reads)
    yield e
    e.close()


def frame(call, arena=None, offset=0, **fields):
    m = pb.ToCapsule()
    f = m.frame
    f.call, f.stream, f.seq = call, 1, fields.pop("seq", 1)
    if arena is not None:
        p = f.picture
        p.handle, p.arena, p.format, p.width, p.height = 1, arena, 1, 8, 8
        p.offsets.append(offset)
        p.strides.append(8)
    for k, v in fields.items():
        setattr(f, k, v)
    return m


def offer(arena, size):
    m = pb.ToCapsule()
    m.offer.arena, m.offer.size = arena, size
    return m


def fault(answer):
    a = answer.answer
    return a.fault.kind or (a.returns[0].fault.kind if a.returns else 0)


def test_the_life_of_arenas(engine):
    good, loose, other = memfd(bytes([5] * 4096 + [9] * 4096)), memfd(bytes(8192), 0), os.open("/dev/zero", os.O_RDONLY)
    engine.send(frame(1, 3))
    assert fault(engine.recv()) == 101
    engine.send(offer(3, 1 << 20), [good])  # a lie
    engine.send(offer(3, 8192))  # without the file
    engine.send(offer(3, 8192), [loose])  # whose size could change
    engine.send(offer(3, 8192), [other])  # no memfd
    engine.send(offer(3, 0), [good])
    engine.send(offer(3, 1 << 60), [good])
    engine.send(frame(2, 3))
    assert fault(engine.recv()) == 101
    engine.send(offer(3, 8192), [good])
    engine.send(offer(3, 8192), [good])
    engine.send(frame(9, 3))
    engine.recv()
    before = len(os.listdir("/proc/self/fd"))
    for call, offset, value in ((3, 0, 5), (4, 4096, 9)):
        engine.send(frame(call, 3, offset))
        assert json.loads(engine.recv().answer.returns[0].added[0].extra_data[0].json) == value
    engine.send(frame(5, 3, 8192 - 63))
    assert fault(engine.recv()) == 100
    gone = pb.ToCapsule()
    gone.gone.arena = 3
    engine.send(gone)
    engine.send(gone)
    engine.send(frame(6, 3))
    assert fault(engine.recv()) == 101
    assert len(engine.backend.arenas) == 0 and len(os.listdir("/proc/self/fd")) < before
    for fd in (good, loose, other):
        os.close(fd)


def picture(**fields):
    m = frame(1, 3)
    for k, v in fields.items():
        if isinstance(v, list):
            del getattr(m.frame.picture, k)[:]
            getattr(m.frame.picture, k).extend(v)
        else:
            setattr(m.frame.picture, k, v)
    return m


def nodes(*coords, **fields):
    m = frame(1)
    m.frame.nodes.add(coords=coords, **fields)
    return m


def deep(n):
    m = frame(1)
    at = m.frame.nodes.add()
    for _ in range(n):
        at = at.children.add()
    return m


@pytest.mark.parametrize(
    "m, kind",
    [
        (frame(0), 100),
        (frame(1, stream=9), 101),
        (picture(handle=9), 100),
        (picture(handle=2), 100),
        (picture(format=77), 100),
        (picture(width=0), 100),
        (picture(width=1 << 16), 100),
        (picture(native_height=1 << 20), 100),
        (picture(offsets=[]), 100),
        (picture(offsets=[-1]), 100),
        (picture(offsets=[(1 << 63) - 1]), 100),
        (picture(strides=[7]), 100),
        (picture(strides=[(1 << 63) - 1]), 100),
        (picture(strides=[-8]), 100),
        (picture(format=2), 100),
        (nodes(1.0), 100),
        (nodes(1.0, float("nan")), 100),
        (nodes(1.0, float("inf")), 100),
        (deep(20), 100),
    ],
)
def test_calls_that_cannot_be(engine, m, kind):
    fd = memfd(bytes(8192))
    engine.send(offer(3, 8192), [fd])
    engine.send(m)
    a = engine.recv()
    assert fault(a) == kind and a.answer.call == m.frame.call
    engine.send(frame(77, 3))
    assert engine.recv().answer.call == 77
    os.close(fd)


def test_large_numbers_are_fine(engine):
    engine.send(nodes(1e308, 1e308, 1e308, 1e308))
    assert fault(engine.recv()) == 0


@pytest.mark.filterwarnings("ignore:Unexpected end-group tag")
def test_noise_ends_nothing(engine):
    """Whatever comes, the next good frame is answered."""
    random.seed(4)
    fd = memfd(bytes(8192))
    engine.send(offer(3, 8192), [fd])
    good = [frame(1, 3).SerializeToString(), offer(4, 4096).SerializeToString(), deep(4).SerializeToString(), nodes(1.0, 2.0, id=1, class_name="x").SerializeToString()]
    for i in range(1500):
        data = bytearray(random.choice(good)) if i % 3 else bytearray(random.randbytes(random.randrange(1, 200)))
        for _ in range(random.randrange(0, 6)):
            at = random.randrange(len(data))
            if random.random() < 0.3:
                del data[at:]
                data = data or bytearray(b"\0")
            else:
                data[at] = random.randrange(256)
        engine.send(bytes(data), [fd] if random.random() < 0.1 else ())
        if i % 50 == 49:
            engine.send(frame(100000 + i, 3))
            while engine.recv().answer.call != 100000 + i:
                pass
    os.close(fd)


def test_too_many_files_lose_a_packet(engine):
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        engine.send(frame(1), fds)
    engine.send(frame(2))
    assert engine.recv().answer.call == 2
    assert len(os.listdir("/proc/self/fd")) == before
    for fd in fds:
        os.close(fd)


def test_large_answers_wait_to_be_fetched(engine):
    engine.send(frame(8, seq=99))
    assert engine.recv().ready.call == 8
    a = engine.service.fetch(pb.FetchRequest(call=8), None)
    assert a.call == 8 and len(a.returns[0].added[0].extra_data[0].json) == (1 << 20) + 2
    with pytest.raises(CapsuleError, match="no answer to call 8"):
        engine.service.fetch(pb.FetchRequest(call=8), None)


def test_answers_that_wait_have_a_bound():
    large = Large()
    for call in range(70):
        large.put(call, b"x" * 100)
    assert large.dropped == 6 and large.take(5) is None and large.take(6) == b"x" * 100 and large.take(6) is None


def test_frames_by_grpc(engine):
    m = frame(5, 3).frame
    m.picture.handle, m.pixels = 2, bytes([7] * 64)
    a = engine.service.process(m, None)
    assert a.call == 5 and json.loads(a.returns[0].added[0].extra_data[0].json) == 7
    m.pixels = b"short"
    assert engine.service.process(m, None).fault.kind == 100
    # The arena was sent before, and is still in the doorbell.
    fd = memfd(bytes([3] * 8192))
    engine.send(offer(3, 8192), [fd])
    a = engine.service.process(frame(6, 3).frame, None)
    assert json.loads(a.returns[0].added[0].extra_data[0].json) == 3
    os.close(fd)


def test_streams_and_options(engine):
    s = engine.service
    for wrong in ("[", "[]", "NaN", '{"word": NaN}', '{"nope": 1}', '{"word": 1}', "[" * 100000):
        with pytest.raises(CapsuleError):
            s.configure(pb.ConfigureRequest(options_json=wrong), None)
    s.configure(pb.ConfigureRequest(options_json='{"word": "x"}'), None)
    s.open_stream(pb.OpenStreamRequest(stream=2, id="t"), None)
    assert engine.backend.runtime.streams["t"].options.word == "x"
    s.open_stream(pb.OpenStreamRequest(stream=3, id="t", options_json='{"word": "y"}'), None)  # taken over
    assert engine.backend.streams == {1: "s", 3: "t"} and engine.backend.runtime.streams["t"].options.word == "y"
    s.close_stream(pb.CloseStreamRequest(stream=2), None)
    s.close_stream(pb.CloseStreamRequest(stream=3), None)
    assert list(engine.backend.runtime.streams) == ["s"]


def test_options_reach_an_open_stream():
    seen = []

    @capstan.capsule(name="c", version=1, output=finds("x"))
    class Code:
        word = option("w")

        def open(self, options, log, stream):
            seen.append(("open", options.word, stream))

        def configure(self, options):
            if self.word == "bad":
                raise ValueError("no")
            seen.append(("configure", self.word))

        def process(self, frame):
            pass

        def close(self):
            seen.append("close")
            raise RuntimeError("closing is not important")

    r = Runtime(Code.__capsule__, null_log())
    for word in ("a", "a", "b", "bad"):
        r.open_stream("s", {"word": word})
    r.close()
    assert seen == [("open", "a", "s"), ("configure", "b"), "close", ("open", "bad", "s"), "close"]
    with pytest.raises(CapsuleError, match="it is closed"):
        r.open_stream("s", None)


def test_what_load_began_is_ended():
    seen = []

    @capstan.capsule(name="c", version=1, output=finds("x"))
    class Code:
        @classmethod
        def load(cls, log):
            seen.append("load")

        @classmethod
        def unload(cls):
            seen.append("unload")
            raise RuntimeError("unloading is not important")

        def process(self, frame):
            pass

    Runtime(Code.__capsule__, null_log()).close()
    r = Runtime(Code.__capsule__, null_log())
    r.open_stream("a", None)
    r.open_stream("b", None)
    r.close()
    assert seen == ["load", "unload"]


def test_batches_run_together(engine):
    sizes = []

    @capstan.capsule(name="c", version=1, output=finds("x"), batch=4)
    class Batching:
        def process_batch(self, frames):
            sizes.append(len(frames))
            if frames[0].seq == 50:
                raise ValueError("all of them")
            return [[capstan.Node("x", extra={"n": f.seq})] for f in frames]

    e = Engine(Batching)
    started, go = threading.Event(), threading.Event()

    def hold():
        started.set()
        go.wait(10)

    e.loop.ask(hold)
    started.wait(10)
    for call in range(1, 11):
        e.send(frame(call, seq=call))
    go.set()
    got = [e.recv().answer for _ in range(10)]
    assert [a.call for a in got] == list(range(1, 11)) and sizes == [4, 4, 2]
    assert [int(a.returns[0].added[0].extra_data[0].json) for a in got] == list(range(1, 11))
    e.send(frame(11, seq=50))
    assert "ValueError: all of them" in e.recv().answer.returns[0].fault.message
    e.close()


def test_check_arena():
    fd = memfd(bytes(8192))
    assert check_arena(fd, 8192) >= 0
    m = map_arena(fd, 4096)
    os.close(fd)
    view = np.frombuffer(m, np.uint8)
    assert not view.flags.writeable and view.sum() == 0


def test_faults_in_a_status():
    """google.rpc.Status, taken apart by hand."""
    data = status_details(306, "häh?")
    assert data[:2] == b"\x08\x02" and "häh?".encode() in data and b"capstan.wire.v1.Fault" in data
    fault = pb.Fault(kind=306, message="häh?").SerializeToString()
    assert data.endswith(bytes([0x12, len(fault)]) + fault)


def test_log_lines(monkeypatch):
    lines = []
    monkeypatch.setattr(os, "write", lambda fd, data: lines.append((fd, json.loads(data))))
    logger = logging.Logger("capstan")
    logger.addHandler(Handler())
    log = Log(logger, {"stream": "s"})
    log.warning("dark %s", "picture", luma=7, name="n")
    log.trace("deep")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("failed")
    (fd, m), (_, deep), (_, error) = lines
    assert fd == 2 and m["@level"] == "warn" and m["@message"] == "dark picture" and (m["luma"], m["stream"], m["name_"]) == (7, "s", "n")
    assert deep["@level"] == "trace" and error["error"] == "ValueError: two lines" and "Traceback" in error["stack"]
    assert "@module" not in m and m["@timestamp"].endswith("Z")


@pytest.mark.parametrize("level, number", [("trace", 5), ("debug", 10), ("info", 20), ("warn", 30), ("error", 40), ("loud", 20)])
def test_levels(level, number, monkeypatch):
    root = logging.getLogger()
    handlers, before, hooks = list(root.handlers), root.level, (sys.excepthook, threading.excepthook)
    try:
        open_log(level)
        assert root.level == number
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        sys.excepthook, threading.excepthook = hooks
        logging.captureWarnings(False)


def run(tmp_path, text, *args, env=None):
    path = tmp_path / "main.py"
    path.write_text(text)
    folder = os.path.dirname(os.path.dirname(capstan.__file__))
    return subprocess.run(
        [sys.executable, str(path), *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": folder, **(env or {})}
    )


PROGRAM = """
import capstan
print("printed early")
@capstan.capsule(name="c", version=1, output=capstan.finds("x"))
def nothing(frame): pass
capstan.main()
"""


def test_by_hand(tmp_path):
    p = run(tmp_path, PROGRAM, "describe")
    assert p.returncode == 0 and "c 1 (capsule contract" in p.stdout
    p = run(tmp_path, PROGRAM, "serve")
    assert p.returncode == 2 and "is a Capstan capsule: a part that an engine starts" in p.stderr
    two = PROGRAM.replace("capstan.main()", "") + "@capstan.capsule(name='d', version=1, output=capstan.finds('x'))\ndef other(frame): pass\ncapstan.main()\n"
    p = run(tmp_path, two)
    assert p.returncode == 1 and "2 capsules (c, d)" in p.stderr
    assert "Traceback" not in p.stderr


def test_handshake(tmp_path):
    """An engine that is gone at once: the handshake is the first line, and the process ends."""
    p = run(tmp_path, PROGRAM, env={"CAPSTAN_CAPSULE": _serve.COOKIE, "CAPSTAN_STDIN_IS_LIFE": "1", "PLUGIN_UNIX_SOCKET_DIR": str(tmp_path)})
    line = p.stdout.splitlines()[0].split("|")
    assert line[:3] == ["1", "1", "unix"] and line[4] == "grpc" and line[3].startswith(str(tmp_path))
    assert p.returncode == 0 and "printed early" in p.stderr and not os.path.exists(line[3])


@pytest.mark.parametrize("fd", ["x", "99", "0"])
def test_a_descriptor_that_is_no_doorbell(tmp_path, fd):
    p = run(tmp_path, PROGRAM, env={"CAPSTAN_CAPSULE": _serve.COOKIE, "CAPSTAN_FRAMES_FD": fd})
    assert p.returncode == 1 and p.stdout == "" and "@level" in p.stderr


def test_generated_code_is_of_the_proto():
    """The messages are those of capsule.proto: every field with its number."""
    import re

    path = os.path.join(os.path.dirname(__file__), "../../wire/capsule.proto")
    text = re.sub(r"//[^\n]*", "", open(path).read()).replace("{}", "{\n}")
    fields = 0
    for name, body in re.findall(r"message (\w+) \{(.*?)\n\}", text, re.S):
        known = {f.name: f.number for f in getattr(pb, name).DESCRIPTOR.fields}
        body = re.sub(r"enum \w+ \{.*?\}", "", body, flags=re.S)
        found = {n: int(i) for n, i in re.findall(r"(\w+) = (\d+);", body)}
        assert found == known, name
        fields += len(found)
    assert fields > 100
