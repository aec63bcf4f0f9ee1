"""Test a capsule without an engine.

::

    import numpy as np
    from capstan.testing import Bench
    from main import BrightSpot

    def test_it_finds_the_bright_square():
        image = np.zeros((64, 96), np.uint8)
        image[32:64, 32:64] = 255
        [spot] = Bench(BrightSpot, side=32).process(image).added
        assert spot.box == (32, 32, 64, 64)

The frame goes through the same messages as an engine's, and what comes back is held against the
declaration. A view of the pixels that outlives its call is an error.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ._call import FORMATS
from ._command import find
from ._golden import golden
from ._log import null_log
from ._runtime import Runtime
from ._wire import capsule_pb2 as pb
from .declare import Description
from .faults import CapsuleError
from .frame import Layout, Node, Plane

__all__ = ["Bench", "ContractError", "Result", "golden", "load", "pack"]


class ContractError(AssertionError):
    """What came back breaks the capsule's own declaration."""


class Result(NamedTuple):
    """What a capsule made of a frame."""

    added: List[Node]  # new nodes, in the pixels of the stream
    nodes: List[Node]  # the nodes that were given, with what was set on them


def pack(image: np.ndarray, format: str = "GRAY8", padding: int = 0, full_range: bool = False) -> Tuple[bytes, Layout]:
    """A picture as an engine has it: the block of memory and the layout in it.

    ``image`` is (height, width) gray or (height, width, 3) RGB, uint8. ``padding`` bytes stand at
    the end of every row. Colours become YUV by BT.601.
    """
    image = np.asarray(image, np.uint8)
    h, w = image.shape[:2]
    gray = image if image.ndim == 2 else None
    rgb = np.repeat(image[..., None], 3, 2) if image.ndim == 2 else image
    if format == "GRAY8" and gray is not None:
        planes = [gray]
    elif format == "RGB":
        planes = [rgb.reshape(h, 3 * w)]
    elif format == "BGR":
        planes = [rgb[..., ::-1].reshape(h, 3 * w)]
    else:
        planes = _yuv(rgb, gray, format, full_range)
    block, places = b"", []
    for p in planes:
        places.append(Plane(len(block), p.shape[1] + padding))
        block += np.pad(p, ((0, 0), (0, padding)), constant_values=0xA5).tobytes()
    return block, Layout(format, w, h, tuple(places), full_range)


def _yuv(rgb: np.ndarray, gray: Optional[np.ndarray], format: str, full: bool) -> List[np.ndarray]:
    r, g, b = (rgb[..., i].astype(np.float32) for i in range(3))
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    u, v = 0.564 * (b - luma), 0.713 * (r - luma)
    if not full:
        luma, u, v = 16 + luma * 219 / 255, u * 224 / 255, v * 224 / 255
    y = gray if gray is not None else np.clip(luma + 0.5, 0, 255).astype(np.uint8)
    small = [np.clip(c[::2, ::2] + 128.5, 0, 255).astype(np.uint8) for c in (u, v)]
    if format == "GRAY8":
        return [y]
    if format == "I420":
        return [y, *small]
    if format == "NV12":
        return [y, np.stack(small, 2).reshape(small[0].shape[0], -1)]
    raise CapsuleError(f'pack: format "{format}" is not one of {list(FORMATS)}')


class Bench:
    """A capsule with one stream open, or more. Keywords are options."""

    def __init__(self, code: Any, **options: Any):
        self.capsule = find(code)
        wire = {o.name: o.wire(o.check(options[o.name])) if o.name in options else o.wire(o.default) for o in self.capsule.options}
        wire.update({k: v for k, v in options.items() if k not in wire})  # refused below, by name
        self.options: Mapping[str, Any] = wire
        self.runtime = Runtime(self.capsule, null_log(), check=True)
        self.runtime.configure(wire)
        self._seq: Dict[str, int] = {}
        self._ids = 0

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close every stream."""
        self.runtime.close()

    def process(
        self,
        image: Optional[np.ndarray] = None,
        nodes: Sequence[Node] = (),
        *,
        format: str = "",
        stream: str = "test",
        pts: Optional[float] = None,
        fps: int = 25,
        native: Optional[Tuple[int, int]] = None,
        padding: int = 7,
    ) -> Result:
        """Give the capsule one frame. ``nodes`` are measured in the pixels of the stream, whose size
        is ``native`` where it is not the image's. An exception of the capsule is raised again as
        CapsuleError."""
        m = self._message(image, format, native, padding)
        if stream not in self.runtime.streams:
            self.runtime.open_stream(stream, self.options)
        seq = self._seq[stream] = self._seq.get(stream, 0) + 1
        m.call, m.stream, m.seq = seq, 1, seq
        m.pts_ns = int((seq - 1) / fps * 1e9 if pts is None else pts * 1e9)
        m.picture.rate_n, m.picture.rate_d = fps, 1
        for n in nodes:
            self._ids += 1
            n._write_new(m.nodes.add(id=self._ids), None)
        m = pb.FrameRequest.FromString(m.SerializeToString())
        request = self.runtime.request(m, stream, m.pixels or None, 0)
        self.runtime.run([request])
        return self._result(request.out.answer, m)

    def _message(self, image: Optional[np.ndarray], format: str, native: Optional[Tuple[int, int]], padding: int) -> Any:
        m = pb.FrameRequest()
        p = m.picture
        if image is not None and self.capsule.formats:
            m.pixels, layout = pack(image, format or self.capsule.formats[0], padding)
            p.handle, p.format, p.width, p.height = pb.HANDLE_INLINE, FORMATS[layout.format], layout.width, layout.height
            p.offsets.extend(pl.offset for pl in layout.planes)
            p.strides.extend(pl.stride for pl in layout.planes)
        if native is None:
            native = (image.shape[1], image.shape[0]) if image is not None else (640, 360)
        p.native_width, p.native_height = native
        return m

    def _result(self, answer: Any, m: Any) -> Result:
        if answer.HasField("fault"):
            raise CapsuleError(answer.fault.message, answer.fault.kind)
        known = {n.id: n for n in m.nodes}
        added: List[Node] = []
        for r in answer.returns:
            if r.HasField("fault"):
                raise CapsuleError(r.fault.message, r.fault.kind)
            self._form(r)
            for p in r.patches:
                n = known[p.node]
                for a in p.attributes:
                    for old in [o for o in n.attributes if o.name == a.name]:
                        n.attributes.remove(old)
                n.attributes.extend(p.attributes)
                for e in p.extra_data:
                    for old in [o for o in n.extra_data if o.key == e.key]:
                        n.extra_data.remove(old)
                n.extra_data.extend(p.extra_data)
                if p.HasField("encoding"):
                    n.encoding.CopyFrom(p.encoding)
                n.track_id = p.track_id or n.track_id
                self._satisfies(Node._known(n, None))
            for a in r.added:
                added.append(Node._known(a, None))
                self._satisfies(added[-1])
        return Result(added, [Node._known(n, None) for n in m.nodes])

    def _form(self, r: Any) -> None:
        """The return contract of core.CheckReturn."""
        n = len(r.returned) + len(r.added)
        needs, gives = self.capsule.input.size, self.capsule.output.size
        good = {
            pb.Return.NULL: n == 0 and needs == gives != "none",
            pb.Return.ONE: n == 1 and gives == "single",
            pb.Return.LIST: gives == "all",
        }[r.kind]
        if not good:
            raise ContractError(f"{n} nodes came back from a capsule that takes {needs} and gives {gives}")

    def _satisfies(self, n: Node) -> None:
        why = lacks(self.output, n)
        if why:
            raise ContractError(f"{n!r} breaks the declared output ({self.output}): {why}")

    @property
    def output(self) -> Description:
        """The declared output with this bench's options put in."""
        return self.capsule.output.resolved(self.capsule.complete(self.options))


def lacks(d: Description, n: Node) -> str:
    """What keeps a node from satisfying a description; empty when nothing does."""
    if d.detections and n.class_name not in d.detections:
        return f"class {n.class_name!r} is not declared"
    if d.encoded and n.encoding is None:
        return "it has no encoding"
    if d.tracked and n.track is None:
        return "it has no track"
    for key in d.extra_data:
        if key not in n.extra:
            return f"extra data {key!r} is missing"
    for name, values in d.attributes.items():
        if name not in n.attributes:
            return f"attribute {name!r} is missing"
        if n.attributes[name] not in values:
            return f"attribute {name}={n.attributes[name]!r} is not one of {list(values)}"
    return ""


def load(program: Any) -> Any:
    """The module of a capsule's program, by its path: for tests beside it, whatever its name."""
    import importlib.util
    import os

    path = os.path.abspath(program)
    name = "capsule_" + "".join(c if c.isalnum() else "_" for c in os.path.splitext(path)[0].lstrip("/"))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
