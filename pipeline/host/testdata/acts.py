"""Capsules for the host's tests; CAPSTAN_TEST_ACT says which. Those of the test binary are their twins."""

import ctypes
import datetime
import os
import re
import socket
import sys
import time
import zlib

import capstan

ACT = os.environ.get("CAPSTAN_TEST_ACT", "nothing")
WORKERS = int(os.environ.get("CAPSTAN_TEST_WORKERS", "0"))
LIBC = ctypes.CDLL(None)

print("this line comes before the handshake")  # and must not spoil it

if ACT == "words":
    sys.exit("no such model: faces.bin")
if ACT == "hang":
    time.sleep(600)

NEEDS = {"single": capstan.each("person"), "echo": capstan.every()}
GIVES = {"single": capstan.each("person"), "echo": capstan.every()}


def sum_up(frame, stream):
    crc = 0
    for i in range(len(frame.layout.planes)):
        for row in frame.plane(i):
            crc = zlib.crc32(row, crc)
    full = "true" if frame.full_range else "false"
    n = frame.add("picture", (0, 0, frame.width, frame.height))
    n.extra["sum"] = f"{frame.format} {frame.width}x{frame.height} {frame.matrix} {full} {crc:08x}"
    w, h = frame.native_size
    when = frame.captured.strftime("%Y-%m-%dT%H:%M:%S") + f".{frame.captured_ns % 10**9:09d}".rstrip("0") + "Z"
    n.extra["frame"] = f"{frame.stream} {frame.seq} {frame.pts_ns} {when} {w}x{h} @ {frame.fps:g} fps"


EXIT, CRASH, PANIC, HANG, BIG, UTF8, NAN, FAIL, SLOW, CHILD, SILENCE, KILL = range(1000, 1012)


def misbehave(frame):
    seq = frame.seq
    if seq == EXIT:
        print("cannot go on", file=sys.stderr)
        sys.exit(3)
    if seq == CRASH:
        LIBC.abort()
    if seq == PANIC:
        raise SystemError("boom in process")
    if seq == HANG:
        time.sleep(600)
    if seq == BIG:
        frame.add("big").extra["blob"] = "x" * (2 << 20)
    if seq == UTF8:
        frame.add("\udcff")
    if seq == NAN:
        frame.add("nowhere", (float("nan"), 0, 1, 1))
    if seq == FAIL:
        frame.add("lost")
        raise ValueError("this frame is not to my taste,\nnor is this line")
    if seq == SLOW:
        time.sleep(0.3)
    if seq == SILENCE:
        for fd in range(3, 64):
            try:
                with socket.socket(fileno=os.dup(fd)) as s:
                    if s.type == socket.SOCK_SEQPACKET:
                        s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        time.sleep(600)
    if seq == KILL:
        os.kill(os.getpid(), 9)
    frame.add("ok").extra["pid"] = os.getpid()


def mark_one(frame, node):
    if node.class_name != "person":
        raise ValueError(f"a {node.class_name}")
    if node.extra.get("bad") == 1:
        raise RuntimeError("a bad one")
    node.extra["mark"] = node.id
    node.set("b", "2").set("a", "1")
    node.encoding = []


def inspect(frame):
    with open("/proc/self/maps") as f:
        arenas = f.read().count("memfd:capstan-arena")
    n = frame.add("process")
    n.extra["fds"] = len(os.listdir("/proc/self/fd"))
    n.extra["arenas"] = arenas
    if frame.format:
        n.extra["mean"] = float(frame.gray().mean())


def tamper(frame):
    n = frame.add("attempts")
    done = []
    gray = frame.gray()
    for name, attempt in {
        "assign": lambda: gray.__setitem__((0, 0), 1),
        "flag": lambda: gray.setflags(write=True),
    }.items():
        try:
            attempt()
            done.append(name)
        except (ValueError, TypeError):
            pass
    page = gray.ctypes.data & ~4095
    if LIBC.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(4096), 3) == 0:
        done.append("mprotect")
    with open("/proc/self/maps") as f:
        modes = re.findall(r"^\S+ (\S+) .*memfd:capstan-arena", f.read(), re.M)
    n.extra["found"] = bool(modes)
    done += [f"mapped {m}" for m in modes if m != "r--s"]
    n.extra["done"] = ",".join(done)


def talk(frame, log):
    log.warning("dark picture", luma=7)
    log.debug("nobody asked for this")
    print("printed to standard output")
    print("[ERROR] printed to standard error", file=sys.stderr)


class Base:
    word = capstan.option("default", "")
    span = capstan.option(datetime.timedelta(seconds=1), "")


class Acting(Base):
    def open(self, stream):
        if ACT == "unopenable":
            raise ValueError("not that stream")
        if ACT == "slow_open":
            time.sleep(600)
        self.stream = stream

    @classmethod
    def load(cls):
        if ACT == "unloadable":
            raise FileNotFoundError("no such model: faces.bin")

    def process(self, frame, nodes, node, log):
        if ACT == "sum":
            sum_up(frame, self.stream)
        elif ACT == "naughty":
            misbehave(frame)
        elif ACT == "single":
            mark_one(frame, node)
        elif ACT == "echo":
            for n in nodes:
                n.extra["seen"] = n.class_name
        elif ACT == "inspect":
            inspect(frame)
        elif ACT == "tamper":
            tamper(frame)
        elif ACT == "talkative":
            talk(frame, log)

    def close(self):
        if ACT == "stubborn":
            time.sleep(600)


class Recorder(Base):
    def open(self):
        self.seen = []

    def configure(self, options):
        if options.word == "refuse":
            raise ValueError("not that word")

    def process(self, frame):
        if frame.seq % 3 == 0:
            time.sleep(0.001)
        self.seen.append(frame.seq)
        n = frame.add("seen")
        n.extra["frames"] = self.seen
        n.extra["word"] = self.word
        n.extra["span"] = f"{self.span.total_seconds():g}s"
        n.extra["pid"] = os.getpid()


class Batching(Base):
    def process_batch(self, frames):
        for f in frames:
            n = f.add("batched") if f.node is None else f.node
            n.extra["batch"] = len(frames)


CODE = {"order": Recorder, "batch": Batching, "batch_single": Batching}.get(ACT, Acting)
program = capstan.capsule(
    name="test_" + ACT,
    version=1,
    description="",
    input=capstan.each("person") if ACT == "batch_single" else NEEDS.get(ACT, capstan.Description("none")),
    output=capstan.each("person") if ACT == "batch_single" else GIVES.get(ACT, capstan.finds()),
    formats=["GRAY8", "I420", "NV12", "RGB", "BGR"],
    stateful=ACT == "order",
    workers=WORKERS,
    batch=8 if ACT.startswith("batch") else 0,
)(CODE)

if __name__ == "__main__":
    capstan.main(program)
