"""Writes capsule.yaml, byte for byte as the engine's own tools write it."""

from __future__ import annotations

import json
import re
from typing import Any, List

from .declare import API, Capsule, Description, Needs
from .faults import CapsuleError
from .options import Option, duration_text, number_text, to_ns

__all__ = ["encode"]

_COUNTER = re.compile(r"(0|[1-9][0-9]{0,17})\Z")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+()-]+)*\Z")
_NOT_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
_SIZE_NOTES = {"none": "the frame alone", "single": "one node at a time", "all": "all nodes of a frame together"}


def encode(c: Capsule) -> str:
    """The text of the manifest of a declaration; CapsuleError for one that is not valid."""
    c.validate()
    why = _bad_entry(c.entry)
    if why:
        raise CapsuleError(f'capsule {c.name}: entry: "{c.entry}" {why}')
    lines: List[str] = []
    add = lines.append
    add(f"name: {_quote(c.name)}")
    add(f"version: {c.version if _COUNTER.match(c.version) else _quote(c.version)}")
    add(f'api: "{API}" # of the capsule contract')
    if c.description:
        add(f"description: {_quote(c.description)}")
    _description(add, "input", c.input)
    _description(add, "output", c.output)
    if c.options:
        add("options:")
    for o in c.options:
        _option(add, o)
    if c.formats:
        add(f"formats: {_flow(c.formats)} # accepted pixels, best first")
    p = c.picture
    picture = [f"{key}: {getattr(p, key)}" for key in ("max_side", "width", "height", "filter") if getattr(p, key)]
    if picture:
        add(f"picture: {{{', '.join(picture)}}}")
    if c.stateful:
        add("stateful: true # frames of a stream come one at a time, in order")
    if c.on_demand:
        add("on_demand: true # not used unless it is named")
    if c.every_n:
        add(f"every_n: {c.every_n}")
    gate = []
    if c.gate_class:
        gate.append(f"class: {_quote(c.gate_class)}")
    if c.gate_hold_ns:
        gate.append(f"hold: {duration_text(c.gate_hold_ns)}")
    if c.gate_at_least_ns:
        gate.append(f"at_least: {duration_text(c.gate_at_least_ns)}")
    if gate:
        add(f"gate: {{{', '.join(gate)}}} # runs only while others report the class")
    if c.deadline_ns:
        add(f"deadline: {duration_text(c.deadline_ns)} # for one frame")
    if c.metric:
        add(f"metric: {_quote(c.metric)}")
    if c.models:
        add("models: # needed beside the capsule: capstan models pull")
    for m in c.models:
        add(f"  - file: {_quote(m.file)}")
        for key in ("url", "sha256", "licence", "source"):
            if getattr(m, key):
                add(f"    {key}: {_quote(getattr(m, key))}")
    _needs(add, c.needs)
    add(f"entry: {_quote(c.entry)}")
    return "\n".join(lines) + "\n"


def _needs(add: Any, n: Needs) -> None:
    if n == Needs():
        return
    add("needs: # of the machine; all else is refused where the system can")
    if n.network:
        add(f"  network: {_flow(n.network)}")
    files = [_quote(f) for f in n.files if f not in n.writes]
    files += [f"{{path: {_quote(f)}, mode: rw}}" for f in n.writes]
    if files:
        add(f"  files: [{', '.join(files)}]")
    if n.devices:
        add(f"  devices: {_flow(n.devices)}")
    memory = n.memory_bytes()
    if memory:
        add(f"  memory: {_bytes(memory)}")
    if n.cpu:
        add(f"  cpu: {number_text(n.cpu)}")
    if n.processes:
        add(f"  processes: {n.processes}")


def _bytes(n: int) -> str:
    for bits, name in (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"):
        if n % (1 << bits) == 0:
            return f"{n >> bits}{name}"
    return f"{n}B"


def _description(add: Any, key: str, d: Description) -> None:
    add(f"{key}:")
    add(f"  size: {d.size} # {_SIZE_NOTES[d.size]}")
    if d.detections:
        add(f"  detections: {_flow(d.detections)}")
    if d.attributes:
        add("  attributes:")
        for name, values in d.attributes.items():
            add(f"    {_quote(name)}: {_flow(values)}")
    if d.encoded:
        add("  encoded: true")
    if d.tracked:
        add("  tracked: true")
    if d.extra_data:
        add(f"  extra_data: {_flow(d.extra_data)}")


def _option(add: Any, o: Option) -> None:
    add(f"  {_quote(o.name)}:")
    add(f"    type: {o.type}")
    add(f"    default: {_default(o)}")
    if o.min is not None:
        add(f"    min: {_limit(o, o.min)}")
    if o.max is not None:
        add(f"    max: {_limit(o, o.max)}")
    if o.choices:
        add(f"    choices: {_flow(o.choices)}")
    if o.description:
        add(f"    description: {_quote(o.description)}")


def _default(o: Option) -> str:
    v = o.default
    if o.type == "float":
        return number_text(v)
    if o.type == "int":
        return str(v)
    if o.type == "bool":
        return "true" if v else "false"
    if o.type == "list":
        return _flow(v)
    if o.type == "duration":
        return duration_text(to_ns(v))
    return _quote(o.wire(v))


def _limit(o: Option, x: float) -> str:
    if o.type == "duration":
        ns = int(x * 1e9)
        if ns / 1e9 == x:
            return duration_text(ns)
    return number_text(x)


def _quote(s: str) -> str:
    if _PLAIN.match(s) and s.lower() not in _NOT_TEXT:
        return s
    try:
        s.encode()
    except UnicodeEncodeError:
        raise CapsuleError(f"{s!r} is not UTF-8 without bytes 0x7f") from None
    if "\x7f" in s:
        raise CapsuleError(f"{s!r} is not UTF-8 without bytes 0x7f")
    text = json.dumps(s, ensure_ascii=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _flow(items: Any) -> str:
    return "[" + ", ".join(_quote(s) for s in items) + "]"


def _bad_entry(s: str) -> str:
    if not s or s.endswith("/") or not [p for p in s.split("/") if p not in ("", ".")]:
        return "names no file"
    if any(c in s for c in "\\\0\n\r") or s[1:2] == ":":
        return "is not a plain path"
    if s.startswith("/"):
        return "is not relative"
    if ".." in s.split("/"):
        return "may leave the folder"
    return ""
