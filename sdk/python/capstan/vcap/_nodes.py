"""Nodes there and back: ours become the user's DetectionNodes, and what was done to those becomes
changes of ours, by identity."""

from __future__ import annotations

import enum
import json
import math
import uuid
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import numpy as np

from ..faults import CAPSULE_CONTRACT, CAPSULE_FAILED, CapsuleError
from ..frame import Node
from ._declare import text

Odd = Callable[[str], None]
"""Is told of what cannot be passed on; says each thing once."""

_DEPTH = 8


def theirs(vcap: Any, n: Node) -> Any:
    """A DetectionNode of ours, with containers of its own. Coordinates are whole pixels, rounded
    half to even, as the detectors of vcap give them: capsules slice arrays with them. A node
    without an outline gets one of no size, for which vcap has a bounding box."""
    encoding = n.encoding
    track = n.track
    return vcap.DetectionNode(
        name=n.class_name,
        coords=[[round(x), round(y)] for x, y in n.coords] or [[0, 0], [0, 0], [0, 0], [0, 0]],
        attributes=dict(n.attributes),
        children=[theirs(vcap, c) for c in n.children],
        encoding=None if encoding is None else encoding.copy(),
        track_id=None if track is None else _uuid(track),
        extra_data=dict(n.extra),
    )


def _uuid(track: str) -> Any:
    try:
        return uuid.UUID(track)
    except ValueError:
        return track


def _family(node: Any, depth: int = 0) -> Iterator[Any]:
    if depth > _DEPTH:
        raise CapsuleError(f"children are more than {_DEPTH} deep", CAPSULE_FAILED)
    yield node.class_name
    yield [list(p) for p in node.coords]
    for c in node.children or ():
        yield id(c)
        yield from _family(c, depth + 1)


def _deep(node: Any) -> List[Any]:
    """What cannot be changed of a node that was given, for comparison."""
    return [*_family(node), [dict(c.attributes) for c in node.children or ()]]


class Given:
    """A node of ours, what the capsule got for it, and how that was."""

    def __init__(self, vcap: Any, node: Node):
        self.ours = node
        self.theirs = t = theirs(vcap, node)
        self.attributes = dict(t.attributes)
        self.extra = {k: _json(v) for k, v in t.extra_data.items()}
        self.encoding = None if t.encoding is None else t.encoding.copy()
        self.track = t.track_id
        self.fixed = _deep(t)

    def changes(self, tracks: "Tracks", odd: Odd) -> None:
        """Put what was changed into our node."""
        t, n = self.theirs, self.ours
        if _deep(t) != self.fixed:
            odd("changed the class, outline or children of a node that it was given; such changes are not passed on")
        if any(k not in t.attributes for k in self.attributes) or any(k not in t.extra_data for k in self.extra):
            odd("took attributes or extra data away from a node that it was given; they stay")
        for name, value in t.attributes.items():
            if name not in self.attributes or self.attributes[name] != value:
                n.set(text(name), _value(value, odd))
        for key, value in t.extra_data.items():
            value = plain(value, odd)
            if key not in self.extra or self.extra[key] != _json(value):
                n.extra[text(key)] = value
        self._vectors(n, t, tracks, odd)

    def _vectors(self, n: Node, t: Any, tracks: "Tracks", odd: Odd) -> None:
        if t.encoding is None:
            if self.encoding is not None:
                odd("took the encoding away from a node that it was given; it stays")
        else:
            vector = np.asarray(t.encoding, np.float32).reshape(-1)
            if self.encoding is None or not np.array_equal(vector, self.encoding):
                n.encoding = vector
        if t.track_id is None:
            if self.track is not None:
                odd("took the track away from a node that it was given; it stays")
        elif t.track_id != self.track:
            n.track = tracks.id(t.track_id, odd)


class Tracks:
    """IDs of tracks of one stream. Those that are no UUIDs get one each: the same for the same."""

    def __init__(self, space: str):
        self.space = uuid.uuid5(uuid.NAMESPACE_URL, space)

    def id(self, value: Any, odd: Odd) -> str:
        if isinstance(value, uuid.UUID):
            return str(value)
        try:
            return str(uuid.UUID(value))
        except (TypeError, ValueError, AttributeError):
            odd(f"gives tracks names that are no UUIDs, such as {value!r}; each stands for a UUID of its own")
            return str(uuid.uuid5(self.space, str(value)))


def _value(value: Any, odd: Odd) -> str:
    if not isinstance(value, str):
        odd(f"sets attributes to values that are no text, such as {value!r}; their text is taken")
    return text(value)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return f"no JSON: {id(value)}"


def plain(value: Any, odd: Odd) -> Any:
    """Extra data as JSON has it. NaN and infinity, which it has not, become null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, np.generic):
        return plain(value.item(), odd)
    if isinstance(value, float):
        if not math.isfinite(value):
            odd("gives extra data that is not finite; it becomes null")
            return None
        return value
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), odd)
    if isinstance(value, dict):
        return {text(k): plain(v, odd) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v, odd) for v in value]
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, enum.Enum):
        return plain(value.value, odd)
    raise CapsuleError(f"extra data: a {type(value).__name__} has no JSON form", CAPSULE_FAILED)


def ours(t: Any, tracks: Tracks, odd: Odd, depth: int = 0) -> Node:
    """A new node for one that the capsule made."""
    if depth > _DEPTH:
        raise CapsuleError(f"children are more than {_DEPTH} deep", CAPSULE_FAILED)
    n = Node(text(t.class_name), [(float(x), float(y)) for x, y in t.coords])
    for name, value in (t.attributes or {}).items():
        n.set(text(name), _value(value, odd))
    for key, value in (t.extra_data or {}).items():
        n.extra[text(key)] = plain(value, odd)
    if t.encoding is not None:
        n.encoding = np.asarray(t.encoding, np.float32)
    if t.track_id is not None:
        n.track = tracks.id(t.track_id, odd)
    n._children = [ours(c, tracks, odd, depth + 1) for c in t.children or ()]
    return n


def effective(vcap: Any, needs: str, gives: str, given: Sequence[Given], returned: Any) -> List[Any]:
    """The nodes that a call gave, by the return contract of the old interface; CapsuleError where
    it was broken."""
    node = isinstance(returned, vcap.DetectionNode)
    if returned is None:
        if needs == gives and needs != "none":
            return [g.theirs for g in given]
        was = "nothing"
    elif node and gives == "single":
        return [returned]
    elif isinstance(returned, (list, tuple)) and gives == "all":
        for i, t in enumerate(returned):
            if not isinstance(t, vcap.DetectionNode):
                raise CapsuleError(f"process_frame returned a list whose entry {i + 1} is a {type(t).__name__}; want DetectionNode", CAPSULE_CONTRACT)
        return list(returned)
    else:
        was = "one node" if node else f"a {type(returned).__name__}"
    want = {"single": "one node", "all": "a list of nodes"}[gives]
    raise CapsuleError(f"process_frame returned {was}, and a capsule that takes {needs.upper()} and gives {gives.upper()} returns {want}", CAPSULE_CONTRACT)


def results(vcap: Any, needs: str, gives: str, given: Sequence[Given], returned: Any, tracks: Tracks, odd: Odd) -> Iterator[Node]:
    """Changes the given nodes of ours, then gives every node that the call gave: given ones and
    new ones. A node that stands in the list twice counts once."""
    nodes = effective(vcap, needs, gives, given, returned)
    for g in given:
        g.changes(tracks, odd)
    known: Dict[int, Optional[Node]] = {id(g.theirs): g.ours for g in given}
    for t in nodes:
        if id(t) in known:
            mine = known[id(t)]
            if mine is not None:
                known[id(t)] = None
                yield mine
            continue
        known[id(t)] = None
        yield ours(t, tracks, odd)
