"""Runs the author's code: streams, settings, frames. One thread only."""

from __future__ import annotations

import gc
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from . import _inject
from ._call import check_nodes, failed, fault_of, fill_return, layout_of
from ._doorbell import waited
from ._log import Log
from ._wire import capsule_pb2 as pb
from .declare import Capsule
from .faults import CAPSULE_FAILED, CLOSED, NOT_FOUND, CapsuleError, one_line
from .frame import Frame, Layout
from .options import Options


_LAYOUTS = 512  # that are remembered


class Request:
    """A call that is ready to run: its message, where its pixels are, and the answer to fill."""

    __slots__ = ("message", "stream", "layout", "mem", "arrived", "out")

    def __init__(self, message: Any, stream: str, layout: Optional[Layout], mem: Any, arrived: int):
        self.message, self.stream, self.layout, self.mem, self.arrived = message, stream, layout, mem, arrived
        self.out = pb.FromCapsule()
        self.out.answer.call = message.call


class Stream:
    """The author's object for one stream."""

    def __init__(self, runtime: "Runtime", name: str, values: Dict[str, Any]):
        self.runtime, self.name = runtime, name
        self.log = runtime.log.named(stream=name)
        self.state: Dict[str, Any] = {}
        self.obj: Any = None
        self.run: Optional[Callable[..., Any]] = None
        self.set(values)

    def set(self, values: Dict[str, Any]) -> None:
        self.values = values
        self.options = Options(values)

    def _give(self, names: Sequence[str]) -> Dict[str, Any]:
        all_ = {"options": self.options, "log": self.log, "stream": self.name}
        return {n: all_[n] for n in names}

    def open(self) -> None:
        """Make the author's object; CapsuleError when that fails."""
        c = self.runtime.capsule
        if c.kind == "function":
            self.run = c.code
            self.state = {}
            return
        try:
            obj = c.code()
            self._attributes(obj)
            if callable(getattr(obj, "open", None)):
                obj.open(**self._give(_inject.wanted(obj.open, _inject.OPEN, "method open")))
        except Exception as e:
            self.log.error("the stream cannot be opened", exc_info=e)
            raise CapsuleError(f"capsule {c.name}: open stream {self.name}: {one_line(e)}", CAPSULE_FAILED) from None
        self.obj = obj
        self.run = obj.process_batch if c.batch else obj.process

    def _attributes(self, obj: Any) -> None:
        for o in self.runtime.capsule.options:
            if hasattr(o, "attribute"):
                setattr(obj, o.attribute, self.values[o.name])

    def configure(self, values: Dict[str, Any]) -> None:
        """Take new settings; an object that cannot is made anew."""
        if values == self.values and self.run is not None:
            return
        self.set(values)
        if self.runtime.capsule.kind == "function" and self.run is not None:
            return
        if self.obj is not None and callable(getattr(self.obj, "configure", None)):
            try:
                self._attributes(self.obj)
                self.obj.configure(**self._give(_inject.wanted(self.obj.configure, _inject.CONFIGURE, "method configure")))
                return
            except Exception as e:
                self.log.warning("new options need a new processor", exc_info=e)
        self.close()
        self.open()

    def close(self) -> None:
        obj, self.obj, self.run = self.obj, None, None
        if obj is not None and callable(getattr(obj, "close", None)):
            try:
                obj.close()
            except Exception as e:
                self.log.warning("closing a stream", exc_info=e)


class Runtime:
    """A capsule inside this process. All methods are called from one thread."""

    def __init__(self, capsule: Capsule, log: Log, check: bool = False):
        capsule.validate()
        self.capsule, self.log, self.check = capsule, log, check
        self.streams: Dict[str, Stream] = {}
        self.defaults: Mapping[str, Any] = {}
        self._loaded = False
        self._load_error: Optional[CapsuleError] = None
        self.closed = False
        self._single = capsule.input.size == "single"
        self._none = capsule.input.size == "none"
        self._names = self._parameters()
        self._layouts: Dict[Tuple[bytes, int], Optional[Layout]] = {}
        self._free = 0  # when the last run ended, by time.time_ns

    def _parameters(self) -> Tuple[str, ...]:
        c = self.capsule
        if c.kind == "function":
            return _inject.wanted(c.code, _inject.FUNCTION, "function")
        # From an instance's point of view, so that self is left out.
        import inspect

        name = "process_batch" if c.batch else "process"
        static = isinstance(inspect.getattr_static(c.code, name), staticmethod)
        return _inject.wanted(getattr(c.code, name), _inject.BATCH if c.batch else _inject.PROCESS, f"method {name}", not static)

    def load(self) -> None:
        """Run the author's load once; its error stays."""
        if not self._loaded:
            self._loaded = True
            load = getattr(self.capsule.code, "load", None) if self.capsule.kind == "class" else None
            if callable(load):
                try:
                    load(**{"log": self.log} if _inject.wanted(load, _inject.LOAD, "load") else {})
                except Exception as e:
                    self.log.error("the capsule cannot be loaded", exc_info=e)
                    self._load_error = CapsuleError(f"capsule {self.capsule.name}: load: {one_line(e)}", CAPSULE_FAILED)
        if self._load_error is not None:
            raise self._load_error

    def configure(self, given: Mapping[str, Any]) -> None:
        """Set the options of streams that are opened without their own, and load."""
        self.capsule.complete(given)
        self.defaults = given
        self.load()

    def open_stream(self, name: str, given: Optional[Mapping[str, Any]]) -> None:
        """Open a stream, or change the options of one that is open."""
        if self.closed:
            raise CapsuleError(f"capsule {self.capsule.name}: it is closed", CLOSED)
        self.load()
        values = self.capsule.complete(self.defaults if given is None else given)
        s = self.streams.get(name)
        if s is not None:
            s.configure(values)
            return
        s = Stream(self, name, values)
        s.open()
        self.streams[name] = s

    def close_stream(self, name: str) -> None:
        s = self.streams.pop(name, None)
        if s is not None:
            s.close()

    def close(self) -> None:
        self.closed = True
        for name in list(self.streams):
            self.close_stream(name)
        unload = getattr(self.capsule.code, "unload", None) if self._loaded and self.capsule.kind == "class" else None
        if callable(unload):  # the end of what load began; capstan.vcap has one
            try:
                unload()
            except Exception as e:
                self.log.warning("the capsule cannot be unloaded", exc_info=e)

    # Frames.

    def request(self, m: Any, stream: str, mem: Any, arrived: int) -> Request:
        """Check a call; mem is the block its layout speaks of. CapsuleError says what is wrong."""
        # Pictures lie in few places, again and again: what was found good stays so.
        size = len(mem) if mem is not None else 0
        key = (m.picture.SerializeToString(), size)
        if key in self._layouts:
            layout = self._layouts[key]
        else:
            layout = layout_of(m.picture)
            if layout is not None:
                layout.check(size)
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            self._layouts[key] = layout
        if m.nodes:
            check_nodes(m.nodes)
        if stream not in self.streams:
            raise CapsuleError(f"capsule {self.capsule.name}: {stream}: the stream is not open", NOT_FOUND)
        return Request(m, stream, layout, mem, arrived)

    def run(self, requests: Sequence[Request]) -> None:
        """Run requests and fill their answers; more than one only for a capsule with batches."""
        for r in requests:
            r.out.answer.queued_ns = waited(r.arrived, self._free)
        started = time.perf_counter_ns()
        if self.capsule.batch:
            self._run_batches(requests)
        else:
            for r in requests:
                self._run(r)
        compute = time.perf_counter_ns() - started
        for r in requests:
            r.out.answer.compute_ns = compute
        self._free = time.time_ns()

    def _stream(self, r: Request) -> Stream:
        s = self.streams.get(r.stream)
        if s is None:
            raise CapsuleError(f"{r.stream}: the stream is not open", NOT_FOUND)
        if s.run is None:
            s.open()
        return s

    def _frames(self, r: Request) -> List[Tuple[Frame, Any]]:
        """The frames of a request, one for each run, and the Return of each."""
        out = []
        m = r.message
        if self._single:
            for n in m.nodes:
                ret = r.out.answer.returns.add(node=n.id)
                out.append((Frame(r.stream, m, r.layout, r.mem, (n,), self._watch()), ret))
        else:
            nodes = () if self._none else None
            out.append((Frame(r.stream, m, r.layout, r.mem, nodes, self._watch()), r.out.answer.returns.add()))
        return out

    def _watch(self) -> Optional[list]:  # type: ignore[type-arg]
        return [] if self.check else None

    def _run(self, r: Request) -> None:
        for frame, ret in self._frames(r):
            watch = frame._watch
            try:
                s = self._stream(r)
                self._one(s, frame, ret)
                frame._close()
                del frame
                self._kept(watch)
            except Exception as e:
                self._fail(r, ret, e)

    def _one(self, s: Stream, frame: Frame, ret: Any) -> None:
        args: Dict[str, Any] = {}
        for name in self._names:
            if name == "frame":
                args[name] = frame
            elif name == "nodes":
                args[name] = frame.nodes
            elif name == "node":
                args[name] = frame.node
            elif name == "options":
                args[name] = s.options
            elif name == "log":
                args[name] = s.log
            else:
                args[name] = s.state
        assert s.run is not None
        result = s.run(**args)
        back = frame._take(result) if result is not None else []
        fill_return(ret, self.capsule, frame, frame._nodes or [], back)

    def _fail(self, r: Request, ret: Any, e: BaseException) -> None:
        node = ret.node
        ret.Clear()
        ret.node = node
        failed(ret, CAPSULE_FAILED, fault_of(self.capsule, r.stream, e))
        self.log.debug("a frame failed", stream=r.stream, seq=r.message.seq, exc_info=e)

    @staticmethod
    def _kept(watch: Optional[list]) -> None:  # type: ignore[type-arg]
        """In check mode: an error for views of the pixels that outlive the call."""
        if not watch:
            return
        if any(ref() is not None for _, ref in watch):
            gc.collect()
        kept = [key for key, ref in watch if ref() is not None]
        if kept:
            raise CapsuleError(f"process kept a view of the picture ({', '.join(kept)}), whose memory is used again; copy what you keep", CAPSULE_FAILED)

    def _run_batches(self, requests: Sequence[Request]) -> None:
        """Gather the frames of all requests by settings, at most batch at once."""
        groups: List[Tuple[Stream, List[Tuple[Request, Frame, Any]]]] = []
        for r in requests:
            frames = self._frames(r)
            try:
                s = self._stream(r)
            except Exception as e:
                for _, ret in frames:
                    self._fail(r, ret, e)
                continue
            for frame, ret in frames:
                for owner, items in groups:
                    same = owner is s or (not self.capsule.stateful and owner.values == s.values)
                    if same and len(items) < self.capsule.batch:
                        items.append((r, frame, ret))
                        break
                else:
                    groups.append((s, [(r, frame, ret)]))
        for s, items in groups:
            self._batch(s, items)

    def _batch(self, s: Stream, items: List[Tuple[Request, Frame, Any]]) -> None:
        frames = [f for _, f, _ in items]
        args: Dict[str, Any] = {n: {"frames": frames, "options": s.options, "log": s.log}[n] for n in self._names}
        try:
            assert s.run is not None
            results = s.run(**args)
            results = [None] * len(frames) if results is None else list(results)
            if len(results) != len(frames):
                raise CapsuleError(f"process_batch returned {len(results)} results for {len(frames)} frames", CAPSULE_FAILED)
        except Exception as e:
            for r, frame, ret in items:
                self._fail(r, ret, e)
                frame._close()
            return
        for (r, frame, ret), result in zip(items, results):
            try:
                fill_return(ret, self.capsule, frame, frame.nodes, frame._take(result))
            except Exception as e:
                self._fail(r, ret, e)
        watches = [(r, ret, frame._watch) for r, frame, ret in items]
        for frame in frames:
            frame._close()
        args.clear()
        frames.clear()
        items.clear()
        for r, ret, watch in watches:
            try:
                self._kept(watch)
            except CapsuleError as e:
                self._fail(r, ret, e)
