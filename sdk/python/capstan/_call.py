"""Calls and answers: from messages to frames and back."""

from __future__ import annotations

import math
from typing import Any, List, Optional

from ._wire import capsule_pb2 as pb
from .declare import API, Capsule, Description
from .faults import CAPSULE_FAILED, INVALID, CapsuleError, one_line
from .frame import PLANES, Frame, Layout, Node, Plane
from .options import Option

FORMATS = {"GRAY8": 1, "I420": 2, "NV12": 3, "RGB": 4, "BGR": 5}
_FORMAT_NAMES = {v: k for k, v in FORMATS.items()}
_SIZES = {"none": 1, "single": 2, "all": 3}

_MOST = 1 << 16  # nodes, points, values: far above anything that makes sense
_DEPTH = 8


def layout_of(picture: Any) -> Optional[Layout]:
    """The layout of a call's picture, None without pixels; CapsuleError for one that cannot be."""
    p = picture
    limit = 1 << 15
    if max(p.width, p.height, p.native_width, p.native_height) > limit or max(p.rate_n, p.rate_d) >= 1 << 31:
        raise CapsuleError(f"picture of {p.width}x{p.height} in a stream of {p.native_width}x{p.native_height}")
    if p.handle == pb.HANDLE_NONE:
        return None
    if p.handle not in (pb.HANDLE_ARENA, pb.HANDLE_INLINE):
        raise CapsuleError(f"memory of kind {p.handle}")
    name = _FORMAT_NAMES.get(p.format)
    if name is None:
        raise CapsuleError(f"pixel format {p.format} is not known")
    offsets, strides = p.offsets, p.strides
    if len(offsets) != len(strides) or len(offsets) != PLANES[name]:
        raise CapsuleError(f"{name} with {len(offsets)} offsets and {len(strides)} strides")
    planes = tuple([Plane(o, s) for o, s in zip(offsets, strides)])
    return Layout(name, p.width, p.height, planes, p.full_range, p.bt709)


def check_nodes(nodes: Any, depth: int = 0) -> None:
    """CapsuleError for nodes of a call that cannot be."""
    if len(nodes) > _MOST or depth > _DEPTH:
        raise CapsuleError(f"{len(nodes)} nodes, children are {depth} deep")
    for n in nodes:
        c = n.coords
        if len(c) % 2 or len(c) > 2 * _MOST:
            raise CapsuleError(f"{len(c)} coordinates")
        if c and not math.isfinite(sum(c)) and not all(map(math.isfinite, c)):
            raise CapsuleError("a coordinate is no number")
        if n.children:
            check_nodes(n.children, depth + 1)


def failed(m: Any, kind: int, message: str) -> None:
    """Put a fault into an answer or a return."""
    m.fault.kind = kind
    m.fault.message = message


def fill_return(r: Any, c: Capsule, frame: Frame, nodes: List[Node], back: List[Node]) -> None:
    """Write what one run added into a Return, in the form that the declaration asks for."""
    for n in nodes:
        if n._changed():
            n._write_patch(r.patches.add())
    scale = frame._scale
    for n in frame._added:
        n._write_new(r.added.add(), scale)
    added = len(frame._added)
    if c.output.size == "all":
        r.kind = pb.Return.LIST
    elif not added and c.input.size == "single":
        r.kind = pb.Return.NULL
        return
    elif added == 1:
        r.kind = pb.Return.ONE
        return
    else:
        r.kind = pb.Return.LIST  # the engine says what is wrong with it
    returned = [p.node for p in r.patches]
    returned += [n.id for n in back if n.id not in returned]
    r.returned.extend(returned)


def fault_of(c: Capsule, stream: str, error: BaseException) -> str:
    """The one line that an engine is told of a failed run."""
    return f"capsule {c.name}: stream {stream}: {one_line(error)}".encode("utf-8", "replace").decode()


def encode_declaration(c: Capsule) -> Any:
    d = pb.Declaration(
        name=c.name, version=c.version, api=API, description=c.description, input=_description(c.input), output=_description(c.output),
        options=[_option(o) for o in c.options], formats=[FORMATS[f] for f in c.formats],
        picture=pb.PictureSize(**vars(c.picture)),
        stateful=c.stateful, every_n=c.every_n, deadline_ns=c.deadline_ns, metric=c.metric, entry=c.entry,
    )  # fmt: skip
    if c.gate_class or c.gate_hold_ns or c.gate_at_least_ns:
        d.gate.CopyFrom(pb.Gate(hold_ns=c.gate_hold_ns, at_least_ns=c.gate_at_least_ns, **{"class": c.gate_class}))
    return d


def _description(d: Description) -> Any:
    return pb.Description(
        size=_SIZES[d.size], detections=list(d.detections), encoded=d.encoded, tracked=d.tracked, extra_data=list(d.extra_data),
        attributes=[pb.Attribute(name=n, values=list(v)) for n, v in d.attributes.items()],
    )  # fmt: skip


def _option(o: Option) -> Any:
    import json

    m = pb.Option(name=o.name, type=o.type, default_json=json.dumps(o.wire(o.default)), choices=o.choices, description=o.description)
    if o.min is not None:
        m.min = o.min
    if o.max is not None:
        m.max = o.max
    return m


__all__ = ["CAPSULE_FAILED", "INVALID", "check_nodes", "encode_declaration", "failed", "fault_of", "fill_return", "layout_of"]
