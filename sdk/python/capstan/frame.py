"""Frames and nodes, as a capsule sees them."""

from __future__ import annotations

import datetime
import json
import math
import uuid
import weakref
from collections.abc import MutableMapping
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from .faults import CAPSULE_FAILED, CapsuleError, ExpiredError, FormatError

__all__ = ["Box", "Frame", "Layout", "Node", "Plane", "rect"]

Point = Tuple[float, float]


class Box(NamedTuple):
    """An upright rectangle; x2 and y2 are the far edges, so the width is x2-x1."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def center(self) -> Point:
        return self.x1 + self.width / 2, self.y1 + self.height / 2

    def grown(self, share: float) -> "Box":
        """The box with ``share`` of its width and height more on every side."""
        dx, dy = self.width * share, self.height * share
        return Box(self.x1 - dx, self.y1 - dy, self.x2 + dx, self.y2 + dy)


def rect(x1: float, y1: float, x2: float, y2: float) -> List[Point]:
    """The outline of an upright rectangle, clockwise from the top left."""
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def _outline(coords: Any) -> List[Point]:
    """A Box, four numbers x1, y1, x2, y2, a list of points or an (n, 2) array as a list of points."""
    if isinstance(coords, Box):
        return rect(*coords)
    if isinstance(coords, np.ndarray):
        coords = coords.tolist()
    items = list(coords)
    if len(items) == 4 and all(isinstance(v, (int, float, np.number)) for v in items):
        return rect(*(float(v) for v in items))
    points = []
    for item in items:
        x, y = item
        points.append((float(x), float(y)))
    return points


class Extra(MutableMapping):  # type: ignore[type-arg]
    """Extra data of a node: JSON values by key. What is set here goes to clients untouched."""

    __slots__ = ("_json", "_set")

    def __init__(self, pairs: Iterable[Any] = ()):
        self._json: Dict[str, bytes] = {p.key: p.json for p in pairs}
        self._set: Dict[str, bytes] = {}

    def __getitem__(self, key: str) -> Any:
        return json.loads(self._json[key])

    def __setitem__(self, key: str, value: Any) -> None:
        text = _to_json(key, value)
        self._json[key] = text
        self._set[key] = text

    def __delitem__(self, key: str) -> None:
        raise TypeError("extra data can be added to, not taken away")

    def __iter__(self) -> Iterator[str]:
        return iter(self._json)

    def __len__(self) -> int:
        return len(self._json)

    def __contains__(self, key: object) -> bool:
        return key in self._json

    def __repr__(self) -> str:
        return repr(dict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _to_json(key: str, value: Any) -> bytes:
    if not isinstance(key, str):
        raise CapsuleError(f"extra data: {key!r} is no text", CAPSULE_FAILED)
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as e:
        raise CapsuleError(f"extra data: {key}: {e}", CAPSULE_FAILED) from None


class Attributes(Mapping[str, str]):
    """Attributes of a node, to be read; :meth:`Node.set` sets them."""

    __slots__ = ("_values",)

    def __init__(self, values: Dict[str, str]):
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


class Node:
    """One object of a frame, in the pixels of the picture that the capsule was given.

    A node that was there before can be added to (attributes, extra data, encoding, track) but
    not moved, renamed or removed; reading it shows what was set on it. New ones are made by
    :meth:`Frame.add`, or by this constructor and returned from ``process``::

        Node("face", (x1, y1, x2, y2), confidence=0.9)
    """

    __slots__ = ("_m", "_scale", "_coords", "_box", "_attributes", "_sets", "_extra", "_encoding", "_encoded", "_track", "_tracked", "_children", "class_name")

    def __init__(
        self,
        class_name: str,
        coords: Any = (),
        *,
        confidence: Optional[float] = None,
        attributes: Optional[Mapping[str, str]] = None,
        extra: Optional[Mapping[str, Any]] = None,
        encoding: Any = None,
        track: Union[str, uuid.UUID, None] = None,
        children: Iterable["Node"] = (),
    ):
        if not isinstance(class_name, str):
            raise CapsuleError(f"node: the class {class_name!r} is no text", CAPSULE_FAILED)
        self.class_name = class_name
        self._m = None
        self._scale = None
        try:
            self._coords: Optional[List[Point]] = _outline(coords)
        except (TypeError, ValueError):
            raise CapsuleError(f"node: {coords!r} is no outline; want (x1, y1, x2, y2) or points (x, y)", CAPSULE_FAILED) from None
        self._reset()
        self._children = list(children)
        for name, value in (attributes or {}).items():
            self.set(name, value)
        for key, v in (extra or {}).items():
            self.extra[key] = v
        if confidence is not None:
            self.confidence = confidence
        if encoding is not None:
            self.encoding = encoding
        if track is not None:
            self.track = track

    def _reset(self) -> None:
        self._box: Optional[Box] = None
        self._attributes: Optional[Dict[str, str]] = None
        self._sets: List[Tuple[str, str]] = []
        self._extra: Optional[Extra] = None
        self._encoding: Optional[np.ndarray] = None
        self._encoded = False
        self._track: Optional[str] = None
        self._tracked = False
        self._children: Optional[List[Node]] = None

    @classmethod
    def _known(cls, message: Any, scale: Optional[Tuple[int, int, int, int]]) -> "Node":
        """A node that came with a call; scale is picture and stream sizes, None: they are the same."""
        n = cls.__new__(cls)
        n._m = message
        n._scale = scale
        n.class_name = message.class_name
        n._coords = None
        n._reset()
        return n

    @property
    def id(self) -> int:
        """The engine's ID, 0 for a node that this capsule adds."""
        return self._m.id if self._m is not None else 0

    @property
    def origin(self) -> str:
        """The capsule that found it; empty for one that this capsule adds."""
        return self._m.origin if self._m is not None else ""

    @property
    def coords(self) -> List[Point]:
        """The outline; do not change it."""
        if self._coords is None:
            xy = self._m.coords
            xs, ys = xy[0::2], xy[1::2]
            if self._scale is not None:
                pw, ph, sw, sh = self._scale
                xs, ys = [x * pw / sw for x in xs], [y * ph / sh for y in ys]
            self._coords = list(zip(xs, ys))
        return self._coords

    @property
    def box(self) -> Box:
        """The upright rectangle around the outline; zeros where there is none."""
        if self._box is None:
            c = self.coords
            if not c:
                return Box(0.0, 0.0, 0.0, 0.0)
            xs, ys = [p[0] for p in c], [p[1] for p in c]
            self._box = Box(min(xs), min(ys), max(xs), max(ys))
        return self._box

    def _values(self) -> Dict[str, str]:
        if self._attributes is None:
            self._attributes = {a.name: a.value for a in self._m.attributes} if self._m is not None else {}
        return self._attributes

    @property
    def attributes(self) -> Attributes:
        """Values by category."""
        return Attributes(self._values())

    def set(self, name: str, value: str) -> "Node":
        """Set a category to a value that the capsule declares; gives the node again."""
        if not isinstance(name, str) or not isinstance(value, str):
            raise CapsuleError(f"node: attribute {name!r}={value!r} is no text", CAPSULE_FAILED)
        self._values()[name] = value
        self._sets.append((name, value))
        return self

    @property
    def extra(self) -> Extra:
        """JSON values by key: ``node.extra["speed"] = 3.5``."""
        if self._extra is None:
            self._extra = Extra(self._m.extra_data if self._m is not None else ())
        return self._extra

    @property
    def confidence(self) -> Optional[float]:
        """extra["confidence"], or None when whoever found the node did not say."""
        for key in ("confidence", "detection_confidence"):
            v = self.extra.get(key)
            if isinstance(v, (int, float)) and not isinstance(v, bool):
                return v
        return None

    @confidence.setter
    def confidence(self, value: float) -> None:
        self.extra["confidence"] = float(value)

    @property
    def encoding(self) -> Optional[np.ndarray]:
        """The vector of its appearance, float32; None when it has none."""
        if not self._encoded and self._encoding is None and self._m is not None and self._m.HasField("encoding"):
            v = np.array(self._m.encoding.values, np.float32)
            v.flags.writeable = False
            self._encoding = v
        return self._encoding

    @encoding.setter
    def encoding(self, values: Any) -> None:
        try:
            v = np.array(values, np.float32).reshape(-1)
        except (TypeError, ValueError):
            raise CapsuleError("node: the encoding is no vector of numbers", CAPSULE_FAILED) from None
        self._encoding, self._encoded = v, True

    @property
    def track(self) -> Optional[str]:
        """The ID of its track, a UUID in text form; None when it has none."""
        if self._tracked:
            return self._track
        return (self._m.track_id or None) if self._m is not None else None

    @track.setter
    def track(self, value: Union[str, uuid.UUID]) -> None:
        try:
            self._track = str(value if isinstance(value, uuid.UUID) else uuid.UUID(value))
        except (TypeError, ValueError, AttributeError):
            raise CapsuleError(f"node: the track {value!r} is no UUID", CAPSULE_FAILED) from None
        self._tracked = True

    @property
    def children(self) -> Sequence["Node"]:
        """Its parts; those of a node that was there before are to be read only."""
        if self._children is None:
            self._children = [Node._known(c, self._scale) for c in self._m.children] if self._m is not None else []
        return tuple(self._children)

    def add_child(self, class_name: str, coords: Any = (), **more: Any) -> "Node":
        """Add a part to a node that this capsule adds, and give the part."""
        if self._m is not None:
            raise CapsuleError("node: a node that was there before cannot get children", CAPSULE_FAILED)
        child = Node(class_name, coords, **more)
        assert self._children is not None
        self._children.append(child)
        return child

    def __repr__(self) -> str:
        b = self.box
        return f"<node {self.id or 'new'} {self.class_name} ({b.x1:g}, {b.y1:g}, {b.x2:g}, {b.y2:g})>"

    # What goes back.

    def _changed(self) -> bool:
        return bool(self._sets or self._encoded or self._tracked or (self._extra is not None and self._extra._set))

    def _write_patch(self, p: Any) -> None:
        p.node = self._m.id
        for name, value in self._sets:
            p.attributes.add(name=name, value=value)
        if self._extra is not None:
            for key, text in self._extra._set.items():
                p.extra_data.add(key=key, json=text)
        self._write_common(p)

    def _write_common(self, m: Any) -> None:
        if self._encoded:
            assert self._encoding is not None
            if not np.isfinite(self._encoding).all():
                raise CapsuleError(f"node: encoding of a {self.class_name!r} has a value that is no number", CAPSULE_FAILED)
            m.encoding.SetInParent()
            m.encoding.values.extend(self._encoding.tolist())
        if self._tracked:
            m.track_id = self._track

    def _write_new(self, m: Any, scale: Optional[Tuple[int, int, int, int]], depth: int = 0) -> None:
        if self._m is not None:
            raise CapsuleError(f"node: {self!r} was there before and cannot be a child", CAPSULE_FAILED)
        if depth > 8:
            raise CapsuleError("node: children are more than 8 deep", CAPSULE_FAILED)
        m.class_name = self.class_name
        flat: List[float] = []
        for x, y in self._coords or ():
            if not (math.isfinite(x) and math.isfinite(y)):
                raise CapsuleError(f"a node of class {self.class_name!r} was added at ({x}, {y})", CAPSULE_FAILED)
            if scale is not None:
                pw, ph, sw, sh = scale
                x, y = x * sw / pw, y * sh / ph
            flat.append(x)
            flat.append(y)
        m.coords.extend(flat)
        for name, value in self._values().items():
            m.attributes.add(name=name, value=value)
        for key, text in self.extra._json.items():
            m.extra_data.add(key=key, json=text)
        self._write_common(m)
        for c in self._children or ():
            c._write_new(m.children.add(), scale, depth + 1)


class Plane(NamedTuple):
    """One plane of a picture inside a block of memory."""

    offset: int
    stride: int  # bytes from one row to the next


class Layout(NamedTuple):
    """Where the pixels of a picture lie inside a block of memory."""

    format: str
    width: int
    height: int
    planes: Tuple[Plane, ...]
    full_range: bool = False
    bt709: bool = False

    def plane_size(self, i: int) -> Tuple[int, int]:
        """The bytes that a row of plane i uses, and its rows. Odd sizes round the chroma up."""
        w, h = self.width, self.height
        if self.format in ("RGB", "BGR"):
            return 3 * w, h
        if i == 0:
            return w, h
        if self.format == "NV12":
            return (w + 1) // 2 * 2, (h + 1) // 2
        return (w + 1) // 2, (h + 1) // 2

    def check(self, size: int) -> None:
        """CapsuleError for a layout that does not fit into size bytes."""
        if not (0 < self.width <= 1 << 15 and 0 < self.height <= 1 << 15):
            raise CapsuleError(f"layout: size {self.width}x{self.height} is not within 1..32768")
        if len(self.planes) != PLANES.get(self.format):
            raise CapsuleError(f'layout: format "{self.format}" with {len(self.planes)} planes')
        for i, p in enumerate(self.planes):
            row, rows = self.plane_size(i)
            if p.offset < 0 or p.stride < row:
                raise CapsuleError(f"layout: plane {i}: offset {p.offset}, stride {p.stride} for rows of {row} bytes")
            end = p.offset + p.stride * (rows - 1) + row
            if end > size:
                raise CapsuleError(f"layout: plane {i} ends at byte {end} of {size}")


PLANES = {"GRAY8": 1, "I420": 3, "NV12": 2, "RGB": 1, "BGR": 1}


class Frame:
    """One picture of a stream with the nodes that the capsule asked for.

    It, its pixels and its nodes are valid until ``process`` returns: the memory belongs to the
    engine and is used for another picture after that. Copy what you keep (``frame.gray().copy()``).
    The arrays are read-only.
    """

    __slots__ = ("stream", "seq", "pts_ns", "_captured", "_layout", "_mem", "_picture", "_nodes", "_raw", "_added", "_open", "_watch", "_cache", "_scale", "__weakref__")

    def __init__(self, stream: str, message: Any, layout: Optional[Layout], mem: Any, nodes: Optional[Sequence[Any]] = None, watch: Optional[list] = None):
        self.stream: str = stream
        self.seq: int = message.seq
        self.pts_ns: int = message.pts_ns
        self._captured: int = message.captured_ns
        p = message.picture
        self._picture = p
        self._layout = layout
        self._mem = mem
        self._scale = None
        if layout is not None:
            w, h = p.native_width, p.native_height
            if w and h and (w != layout.width or h != layout.height):
                self._scale = (layout.width, layout.height, w, h)
        self._raw = message.nodes if nodes is None else nodes
        self._nodes: Optional[List[Node]] = None
        self._added: List[Node] = []
        self._open = True
        self._watch = watch
        self._cache: Dict[str, np.ndarray] = {}

    # What it is.

    @property
    def pts(self) -> float:
        """Seconds since the session's first frame: measure time with it, never by counting."""
        return self.pts_ns / 1e9

    @property
    def captured(self) -> Optional[datetime.datetime]:
        """The UTC time that the picture is said to be from; None when it is not known."""
        if not self._captured:
            return None
        return datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=self._captured // 1000)

    @property
    def captured_ns(self) -> int:
        """captured in Unix nanoseconds; 0 when it is not known."""
        return self._captured

    @property
    def format(self) -> str:
        """GRAY8, I420, NV12, RGB or BGR; empty for a frame without pixels."""
        return self._layout.format if self._layout is not None else ""

    @property
    def width(self) -> int:
        """Of this picture in pixels; it may be smaller than the stream's."""
        return self._layout.width if self._layout is not None else self._picture.native_width

    @property
    def height(self) -> int:
        """As width."""
        return self._layout.height if self._layout is not None else self._picture.native_height

    @property
    def native_size(self) -> Tuple[int, int]:
        """Width and height of the stream, whatever the size of this picture."""
        return self._picture.native_width, self._picture.native_height

    @property
    def fps(self) -> float:
        """The rate of the stream; 0 when it is not known."""
        p = self._picture
        return p.rate_n / p.rate_d if p.rate_n and p.rate_d else 0.0

    @property
    def full_range(self) -> bool:
        """Whether luma spans 0..255; False means 16..235, as most video has it."""
        return self._picture.full_range

    @property
    def matrix(self) -> str:
        """bt601 or bt709."""
        return "bt709" if self._picture.bt709 else "bt601"

    @property
    def layout(self) -> Optional[Layout]:
        """Where the pixels lie; None without pixels."""
        return self._layout

    # Its pixels.

    def _array(self, key: str, plane: int, shape: Tuple[int, ...], strides: Tuple[int, ...], skip: int = 0) -> np.ndarray:
        if not self._open:
            raise ExpiredError("the frame is used after its call has ended; copy what you keep", CAPSULE_FAILED)
        a = self._cache.get(key)
        if a is None:
            assert self._layout is not None
            a = np.ndarray(shape, np.uint8, self._mem, self._layout.planes[plane].offset + skip, strides)
            if self._watch is not None:
                self._watch.append((key, weakref.ref(a)))
            self._cache[key] = a
        return a

    def _need(self, what: str, *formats: str) -> Layout:
        layout = self._layout
        if layout is None:
            raise FormatError(f"frame.{what}: this frame has no pixels; ask for them by formats=[…]", CAPSULE_FAILED)
        if layout.format not in formats:
            raise FormatError(f"frame.{what}: the picture is {layout.format}; put {formats[0]} first in formats=[…]", CAPSULE_FAILED)
        return layout

    def plane(self, i: int) -> np.ndarray:
        """Plane i as rows of bytes, without a copy."""
        layout = self._need("plane", *PLANES)
        if not 0 <= i < len(layout.planes):
            raise FormatError(f"frame.plane: {layout.format} has no plane {i}", CAPSULE_FAILED)
        row, rows = layout.plane_size(i)
        return self._array(f"plane {i}", i, (rows, row), (layout.planes[i].stride, 1))

    def gray(self) -> np.ndarray:
        """Luma, (height, width). For GRAY8, I420 and NV12 the frame's own memory, without a copy;
        computed for RGB and BGR."""
        layout = self._need("gray", *PLANES)
        if layout.format in ("GRAY8", "I420", "NV12"):
            return self._array("y", 0, (layout.height, layout.width), (layout.planes[0].stride, 1))
        a = self._packed()
        r, b = (0, 2) if layout.format == "RGB" else (2, 0)
        wide = a.astype(np.uint32)
        return ((299 * wide[..., r] + 587 * wide[..., 1] + 114 * wide[..., b] + 500) // 1000).astype(np.uint8)

    @property
    def y(self) -> np.ndarray:
        """The luma plane of GRAY8, I420 and NV12."""
        self._need("y", "I420", "NV12", "GRAY8")
        return self.gray()

    def _chroma(self, which: int) -> np.ndarray:
        name = "uv"[which]
        layout = self._need(name, "I420", "NV12")
        shape = (layout.height + 1) // 2, (layout.width + 1) // 2
        if layout.format == "NV12":
            return self._array(name, 1, shape, (layout.planes[1].stride, 2), which)
        return self._array(name, 1 + which, shape, (layout.planes[1 + which].stride, 1))

    @property
    def u(self) -> np.ndarray:
        """Blue difference of I420 and NV12, half the size, rounded up; no copy."""
        return self._chroma(0)

    @property
    def v(self) -> np.ndarray:
        """Red difference, as u."""
        return self._chroma(1)

    @property
    def uv(self) -> np.ndarray:
        """Both differences of NV12, (height/2, width/2, 2); no copy."""
        layout = self._need("uv", "NV12")
        return self._array("uv", 1, ((layout.height + 1) // 2, (layout.width + 1) // 2, 2), (layout.planes[1].stride, 2, 1))

    def _packed(self) -> np.ndarray:
        layout = self._need("rgb", "RGB", "BGR")
        return self._array("packed", 0, (layout.height, layout.width, 3), (layout.planes[0].stride, 3, 1))

    def rgb(self) -> np.ndarray:
        """(height, width, 3), red first: no copy for RGB, a copy for BGR."""
        layout = self._need("rgb", "RGB", "BGR")
        return self._packed() if layout.format == "RGB" else np.ascontiguousarray(self._packed()[..., ::-1])

    def bgr(self) -> np.ndarray:
        """(height, width, 3), blue first as OpenCV has it: no copy for BGR, a copy for RGB."""
        layout = self._need("bgr", "BGR", "RGB")
        return self._packed() if layout.format == "BGR" else np.ascontiguousarray(self._packed()[..., ::-1])

    def crop(self, of: Union[Node, Box], margin: float = 0.0) -> np.ndarray:
        """The part of the picture under a node or box, cut at the edges, without a copy: of the
        luma for GRAY8, I420 and NV12, of all channels for RGB and BGR. ``margin`` is a share of
        its size added on every side. The array may be empty."""
        b = of.box if isinstance(of, Node) else of
        if margin:
            b = b.grown(margin)
        x1, y1 = max(0, min(self.width, round(b.x1))), max(0, min(self.height, round(b.y1)))
        x2, y2 = max(x1, min(self.width, round(b.x2))), max(y1, min(self.height, round(b.y2)))
        a = self._packed() if self.format in ("RGB", "BGR") else self.gray()
        return a[y1:y2, x1:x2]

    # Its nodes.

    @property
    def nodes(self) -> List[Node]:
        """What the capsule needs: none, one, or all that match, in the order they were found."""
        if self._nodes is None:
            scale = self._scale
            self._nodes = [Node._known(m, scale) for m in self._raw] if self._raw else []
        return self._nodes

    @property
    def node(self) -> Optional[Node]:
        """The one node of a capsule that needs single nodes, else None."""
        return self.nodes[0] if len(self.nodes) == 1 else None

    def add(self, class_name: str, coords: Any = (), **more: Any) -> Node:
        """Add a node; arguments are those of :class:`Node`. Gives it for more to be set on it."""
        n = Node(class_name, coords, **more)
        self._added.append(n)
        return n

    @property
    def added(self) -> List[Node]:
        """What was added so far."""
        return self._added

    def _take(self, result: Any) -> List[Node]:
        """Note what process returned; gives the nodes of the input that are among it."""
        if result is None:
            return []
        if isinstance(result, Node):
            result = (result,)
        if isinstance(result, (str, bytes, Mapping)) or not isinstance(result, Iterable):
            raise CapsuleError(f"process returned a {type(result).__name__}; want None, a Node or nodes", CAPSULE_FAILED)
        back = []
        for n in result:
            if not isinstance(n, Node):
                raise CapsuleError(f"process returned a {type(n).__name__} among its nodes; want Node", CAPSULE_FAILED)
            if n._m is not None:
                back.append(n)
            elif not any(n is a for a in self._added):
                self._added.append(n)
        return back

    def _close(self) -> None:
        self._open = False
        self._cache.clear()
        self._mem = None

    def __repr__(self) -> str:
        return f"<frame {self.seq} of {self.stream}: {self.format or 'no pixels'} {self.width}x{self.height} at {self.pts:.3f}s>"
