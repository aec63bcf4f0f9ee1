"""Feeds an old capsule: one object of it in this process, a state and settings for each stream."""

from __future__ import annotations

import logging
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..faults import CAPSULE_FAILED, CapsuleError
from ..frame import Frame, Node
from . import _user
from ._declare import BATCH, of, same
from ._nodes import Given, Tracks, results

Call = Tuple[Frame, List[Given], "Future[Any]"]


class Stream:
    """What an old capsule has of a stream."""

    def __init__(self, number: int, name: str, state: Any):
        self.number, self.state = number, state
        self.tracks = Tracks(f"capstan:track:{name}")
        # One dict for all frames: there are capsules that keep things in it.
        self.options: Dict[str, Any] = {}


def _references(arrays: List[np.ndarray], i: int) -> int:
    return sys.getrefcount(arrays[i])


# What the function above gives for an array that nobody has but the list: it depends on the
# version of Python.
_ALONE = _references([np.empty(1)], 0)


class Buffers:
    """Copies of pictures, in memory that is used again once nobody has a copy, or a part of it,
    any more: new memory for each costs more than the copying."""

    MOST = 2 * BATCH  # of one size
    SIZES = 4

    def __init__(self) -> None:
        self._all: Dict[Tuple[int, ...], List[np.ndarray]] = {}

    def copy(self, picture: np.ndarray) -> np.ndarray:
        same = self._all.get(picture.shape)
        if same is None:
            if len(self._all) >= self.SIZES:
                self._all.clear()
            same = self._all[picture.shape] = []
        for i in range(len(same)):
            if _references(same, i) == _ALONE:
                np.copyto(same[i], picture)
                return same[i]
        b = np.array(picture)
        if len(same) < self.MOST:
            same.append(b)
        return b


class Host:
    """An old capsule, loaded once a process. Its code is called from the threads of a pool where
    several frames or nodes are there at once, else from the caller's."""

    def __init__(self, declaration: Mapping[str, Any], folder: str):
        self.declaration, self.folder = declaration, folder
        self.needs: str = declaration["input"]["size"]
        self.gives: str = declaration["output"]["size"]
        self.keys = [(o["name"], o["key"]) for o in declaration["options"]]
        self.vcap: Any = None
        self.capsule: Any = None
        self.streams: Dict[str, Stream] = {}
        self.log: Any = logging.getLogger("capstan")
        self._numbers = 0
        self._buffers = Buffers()
        self._pool: Optional[ThreadPoolExecutor] = None
        self._said: set = set()  # type: ignore[type-arg]
        self._lock = threading.Lock()

    def load(self, log: Any) -> None:
        """Import the user's vcap, and make the capsule with its backends."""
        self.log = log
        self.vcap = _user.package()
        c = _user.load(self.vcap, self.folder, work=True)
        try:
            now = of(c, self.vcap, self.declaration["metric"], self.declaration["needs"], lambda level, words: None)
            other = same(self.declaration, now)
            if other:
                raise CapsuleError(f"the capsule declares something else than when it was imported: {other}; import it again", CAPSULE_FAILED)
        except BaseException:
            c.close()
            raise
        self.capsule = c
        log.info("capsule for OpenVisionCapsules is loaded", vcap=_user.version_of(self.vcap), backends=len(getattr(c, "backends", None) or ()))

    def unload(self) -> None:
        """End the backends."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        if self.capsule is not None:
            self.capsule.close()

    def open(self, name: str, options: Mapping[str, Any]) -> None:
        self._numbers += 1
        # Looked up once: every lookup constructs a state, and throws it away where there is one.
        s = Stream(self._numbers, name, self.capsule.get_state(self._numbers))
        self.streams[name] = s
        self.configure(name, options)

    def configure(self, name: str, options: Mapping[str, Any]) -> None:
        self.streams[name].options = {key: options[n] for n, key in self.keys}

    def close(self, name: str) -> None:
        s = self.streams.pop(name, None)
        if s is not None:
            self.capsule.clean_up(s.number)

    def odd(self, what: str) -> None:
        """Say once what the capsule does that cannot be passed on."""
        with self._lock:
            if what.split(",")[0] in self._said:
                return
            self._said.add(what.split(",")[0])
        self.log.warning("the capsule " + what)

    # Frames.

    def frames(self, frames: Sequence[Frame]) -> List[Iterator[Node]]:
        """Run frames, or the nodes of some, and give the nodes of each. An error of one is raised
        when its nodes are asked for."""
        pictures: Dict[Tuple[str, int], np.ndarray] = {}
        calls: List[Call] = []
        for f in frames:
            picture = pictures.get((f.stream, f.seq))
            if picture is None:
                # A copy of its own, shared by the nodes of a frame: old capsules draw on frames,
                # and keep them, and ours are read-only and used again.
                picture = pictures[f.stream, f.seq] = self._buffers.copy(f.bgr())
            given = [Given(self.vcap, n) for n in f.nodes]
            calls.append((f, given, self._begin(f, picture, given, len(frames) > 1)))
        return [self._results(*c) for c in calls]

    def _begin(self, f: Frame, picture: np.ndarray, given: List[Given], several: bool) -> "Future[Any]":
        s = self.streams[f.stream]
        nodes: Any = None
        if self.needs == "single":
            nodes = given[0].theirs
        elif self.needs == "all":
            nodes = [g.theirs for g in given]
        if several and not self.declaration["stateful"]:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(BATCH, "vcap")
            return self._pool.submit(self.capsule.process_frame, picture, nodes, s.options, s.state)
        done: "Future[Any]" = Future()
        try:
            done.set_result(self.capsule.process_frame(picture, nodes, s.options, s.state))
        except Exception as e:
            done.set_exception(e)
        return done

    def _results(self, f: Frame, given: List[Given], call: "Future[Any]") -> Iterator[Node]:
        s = self.streams[f.stream]
        yield from results(self.vcap, self.needs, self.gives, given, call.result(), s.tracks, self.odd)


def shell(host: Host) -> type:
    """The class of a capsule whose work host does, which is its attribute of that name."""
    work = host

    class Shell:
        host = work

        @classmethod
        def load(cls, log: Any) -> None:
            work.load(log)

        @classmethod
        def unload(cls) -> None:
            work.unload()

        def open(self, options: Any, stream: str) -> None:
            work.open(stream, options)
            self.stream = stream

        def configure(self, options: Any) -> None:
            work.configure(self.stream, options)

        def process(self, frame: Frame) -> Iterator[Node]:
            return work.frames([frame])[0]

        def process_batch(self, frames: List[Frame]) -> List[Iterator[Node]]:
            return work.frames(frames)

        def close(self) -> None:
            if hasattr(self, "stream"):
                work.close(self.stream)

    return Shell
