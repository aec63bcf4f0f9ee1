"""Golden tests: a capsule held against what was recorded of it; see docs/reference/bundle.md."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zipfile
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from . import manifest
from ._call import FORMATS
from ._command import find
from ._log import null_log
from ._runtime import Runtime
from ._wire import capsule_pb2 as pb
from .faults import CapsuleError
from .frame import PLANES, Layout, Plane

GOLDEN_ENV = "CAPSTAN_GOLDEN"

_KINDS = {pb.Return.NULL: "null", pb.Return.ONE: "one", pb.Return.LIST: "list"}
# As core.Kind names them.
_FAULTS = {100: "invalid", 101: "not found", 102: "exists", 104: "cancelled", 305: "capsule contract", 306: "capsule failed", 401: "unsupported", 402: "exhausted", 403: "closed"}

_SHOWN = 20  # differences that are told


class Bundle:
    """A recording, read."""

    def __init__(self, path: str):
        self.path = os.fspath(path)
        try:
            self.zip = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as e:
            raise CapsuleError(f"bundle {self.path}: {e}") from None
        self.header = self._json("bundle.json")
        if self.header.get("format") != "capstan-bundle" or self.header.get("version") != 1:
            raise CapsuleError(f"bundle {self.path}: {self.header.get('format')!r}, version {self.header.get('version')!r}; this package reads capstan-bundle 1")
        self.members = self._json("index.json").get("members", {})

    def close(self) -> None:
        self.zip.close()

    def _json(self, name: str) -> Dict[str, Any]:
        try:
            m = json.loads(self.zip.read(name))
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as e:
            raise CapsuleError(f"bundle {self.path}: {name}: {e}") from None
        if not isinstance(m, dict):
            raise CapsuleError(f"bundle {self.path}: {name} is no object")
        return m

    def read(self, name: str) -> bytes:
        """A member, held against the index."""
        try:
            data = self.zip.read(name)
            said = self.members[name]
        except (KeyError, OSError, zipfile.BadZipFile) as e:
            raise CapsuleError(f"bundle {self.path}: {name}: {e}") from None
        if len(data) != said.get("size") or hashlib.sha256(data).hexdigest() != said.get("sha256"):
            raise CapsuleError(f"bundle {self.path}: {name} is not what the index says")
        return data

    def capsule(self, name: str) -> Dict[str, Any]:
        for c in self.header.get("capsules", []):
            if c.get("name") == name:
                return c
        raise CapsuleError(f"capsule {name}: it is not in {self.path} (capstan record VIDEO -o {self.path} --for {name})")

    def frames(self) -> Iterator[Dict[str, Any]]:
        for name in sorted(n for n in self.zip.namelist() if n.startswith("records/")):
            for line in self.read(name).splitlines():
                yield json.loads(line)


def golden(code: Any, bundle: str, *, px: float = 0, value: float = 0, encoding: float = 0, **options: Any) -> None:
    """Give a capsule the pictures, nodes and times of a bundle; AssertionError lists everything that it
    answers otherwise than in the recording. A golden test is one line::

        golden(FaceCascade, "testdata/faces.bundle")

    ``px``, ``value`` and ``encoding`` say what counts as equal: pixels, numbers in extra data, the cosine
    distance of encodings. Other keywords are options over those of the recording. Such a bundle is made by
    ``capstan record VIDEO -o testdata/faces.bundle --for NAME --every 10``; with CAPSTAN_GOLDEN=write in the
    environment the present answers are written into it instead.
    """
    capsule = find(code)
    b = Bundle(bundle)
    try:
        known = {o.name for o in capsule.options}
        given = {k: v for k, v in (b.capsule(capsule.name).get("options") or {}).items() if k in known}
        given.update({o.name: o.wire(o.check(options.pop(o.name))) for o in capsule.options if o.name in options})
        given.update(options)  # refused below, by name
        runtime = Runtime(capsule, null_log(), check=True)
        try:
            runtime.open_stream(b.header["stream"], given)
            if os.environ.get(GOLDEN_ENV) == "write":
                _write(b, runtime, given)
            else:
                _compare(b, runtime, _Differ(px, value, encoding))
        finally:
            runtime.close()
    finally:
        b.close()


def _calls(b: Bundle, runtime: Runtime) -> Iterator[Tuple[Dict[str, Any], Dict[str, Any], bytes, Any]]:
    """Every recorded call: its frame, itself, its pixels, and the answer that the capsule gives now."""
    name, found = runtime.capsule.name, False
    for frame in b.frames():
        for call in frame.get("calls", []):
            if call["capsule"] != name:
                continue
            found = True
            m, pixels = _request(b, runtime, frame, call)
            r = runtime.request(m, b.header["stream"], m.pixels if m.picture.handle else None, 0)
            runtime.run([r])
            yield frame, call, pixels, r.out.answer
    if not found:
        raise CapsuleError(f"bundle {b.path}: it has no call of {name}")


def _request(b: Bundle, runtime: Runtime, frame: Mapping[str, Any], call: Mapping[str, Any]) -> Tuple[Any, bytes]:
    m = pb.FrameRequest(call=frame["seq"], stream=1, seq=frame["seq"], pts_ns=frame["pts_ns"])
    caps, p = frame["caps"], m.picture
    p.native_width, p.native_height = caps["width"], caps["height"]
    p.rate_n, p.rate_d = caps.get("rate_n", 0), caps.get("rate_d", 0)
    m.captured_ns = _unix_ns(frame.get("captured", ""))
    pixels = b""
    if runtime.capsule.formats:
        said = call.get("picture")
        if not said:
            raise CapsuleError(f"bundle {b.path}: frame {frame['seq']} has no picture for {runtime.capsule.name} (record with --for {runtime.capsule.name})")
        pixels = b.read(said["file"])
        layout = _packed(said["format"], said["width"], said["height"])
        p.handle, p.format, p.width, p.height = pb.HANDLE_INLINE, FORMATS[layout.format], layout.width, layout.height
        p.full_range, p.bt709 = said["full_range"], said["matrix"] == "bt709"
        p.offsets.extend(pl.offset for pl in layout.planes)
        p.strides.extend(pl.stride for pl in layout.planes)
        m.pixels = pixels
    for n in call.get("nodes") or []:
        _node(m.nodes.add(), n)
    return m, pixels


def _packed(format: str, width: int, height: int) -> Layout:
    if format not in PLANES:
        raise CapsuleError(f"pixel format {format!r} is not known")
    layout, planes, at = Layout(format, width, height, ()), [], 0
    for i in range(PLANES[format]):
        row, rows = layout.plane_size(i)
        planes.append(Plane(at, row))
        at += row * rows
    return layout._replace(planes=tuple(planes))


def _unix_ns(text: str) -> int:
    import datetime

    head, _, fraction = text.rstrip("Z").partition(".")
    if not head:
        return 0
    at = datetime.datetime.strptime(head, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return int(at.timestamp()) * 10**9 + int((fraction or "0").ljust(9, "0")[:9])


def _node(m: Any, n: Mapping[str, Any]) -> None:
    m.id, m.class_name, m.track_id, m.origin = n.get("id", 0), n["class_name"], n.get("track_id") or "", n.get("origin", "")
    m.coords.extend(float(v) for xy in n.get("coords") or [] for v in xy)
    for name, v in sorted((n.get("attributes") or {}).items()):
        m.attributes.add(name=name, value=v)
    for key, v in sorted((n.get("extra_data") or {}).items()):
        m.extra_data.add(key=key, json=json.dumps(v).encode())
    if n.get("encoding") is not None:
        m.encoding.SetInParent()
        m.encoding.values.extend(n["encoding"])
    for c in n.get("children") or []:
        _node(m.children.add(), c)


# Answers in the form of a bundle.


def _plain_node(m: Any) -> Dict[str, Any]:
    n: Dict[str, Any] = {
        "id": m.id,
        "class_name": m.class_name,
        "coords": [list(xy) for xy in zip(m.coords[0::2], m.coords[1::2])],
        "attributes": {a.name: a.value for a in m.attributes},
        "extra_data": {e.key: json.loads(e.json) for e in m.extra_data},
        "children": [_plain_node(c) for c in m.children],
    }
    return _optional(n, m)


def _optional(n: Dict[str, Any], m: Any) -> Dict[str, Any]:
    if m.track_id:
        n["track_id"] = m.track_id
    if m.HasField("encoding"):
        n["encoding"] = [float(str(np.float32(v))) for v in m.encoding.values]
    return n


def _error(fault: Any) -> Dict[str, Any]:
    return {"kind": _FAULTS.get(fault.kind, "capsule failed"), "text": fault.message}


def _plain_return(r: Any) -> Dict[str, Any]:
    out: Dict[str, Any] = {"kind": _KINDS[r.kind]}
    if r.node:
        out["node"] = r.node
    if r.HasField("fault"):
        out["error"] = _error(r.fault)
        return out
    out["returned"] = list(r.returned)
    out["patches"] = []
    for p in r.patches:
        patch: Dict[str, Any] = {"node": p.node}
        if p.attributes:
            patch["attributes"] = [[a.name, a.value] for a in p.attributes]
        if p.extra_data:
            patch["extra_data"] = {e.key: json.loads(e.json) for e in p.extra_data}
        out["patches"].append(_optional(patch, p))
    out["added"] = [_plain_node(n) for n in r.added]
    return out


def _compare(b: Bundle, runtime: Runtime, d: "_Differ") -> None:
    for frame, call, _, answer in _calls(b, runtime):
        d.at = f"frame {frame['seq']}: "
        if answer.HasField("fault"):
            d.note(f"it failed: {answer.fault.message}")
        elif call.get("error"):
            d.note(f"it failed in the recording: {call['error'].get('text')}")
        else:
            d.returns(call.get("returns") or [], [_plain_return(r) for r in answer.returns])
    if d.notes:
        more = f"\nand {len(d.notes) - _SHOWN} more" if len(d.notes) > _SHOWN else ""
        raise AssertionError(
            f"{runtime.capsule.name} answers otherwise than in {b.path}:\n" + "\n".join(d.notes[:_SHOWN]) + more + f"\nif this is as it should be: {GOLDEN_ENV}=write"
        )


class _Differ:
    """Gathers what differs between recorded answers and present ones."""

    def __init__(self, px: float, value: float, encoding: float):
        self.px, self.value, self.distance = px, value, encoding
        self.at = ""
        self.notes: List[str] = []
        self.tracks: Dict[str, str] = {}  # of the recording, and what they are called now
        self.named: Dict[str, str] = {}

    def note(self, text: str) -> None:
        self.notes.append(self.at + text)

    def returns(self, was: List[Any], now: List[Any]) -> None:
        if len(was) != len(now):
            self.note(f"{len(now)} returns, {len(was)} were recorded")
            return
        for a, b in zip(was, now):
            if ("error" in a) != ("error" in b):
                self.note(f"it failed: {b['error']['text']}" if "error" in b else "it failed in the recording, and no more")
                continue
            if "error" in a:
                continue
            if a["kind"] != b["kind"] or a.get("node", 0) != b.get("node", 0) or sorted(a.get("returned") or []) != sorted(b["returned"]):
                self.note(f"it returned {b['kind']} {b['returned']}, recorded: {a['kind']} {a.get('returned') or []}")
            self.patches({p["node"]: p for p in a.get("patches") or []}, {p["node"]: p for p in b["patches"]})
            self.nodes(a.get("added") or [], b["added"])

    def patches(self, was: Dict[int, Any], now: Dict[int, Any]) -> None:
        for node in sorted({*was, *now}):
            a, b = was.get(node, {}), now.get(node, {})
            flat = {"attributes": dict(a.get("attributes") or [])}, {"attributes": dict(b.get("attributes") or [])}
            self.fields(f"node {node}", {**a, **flat[0]}, {**b, **flat[1]})

    def nodes(self, was: List[Any], now: List[Any]) -> None:
        left = list(now)
        pairs: List[Tuple[Any, Optional[Any]]] = []
        for a in was:  # those at the same place first, then those that overlap most
            same = next((b for b in left if b["class_name"] == a["class_name"] and _moved(a, b) <= self.px), None)
            if same is not None:
                left.remove(same)
            pairs.append((a, same))
        for a, b in pairs:
            if b is None:
                near = [c for c in left if c["class_name"] == a["class_name"] and _overlap(a, c) > 0]
                b = max(near, key=lambda c: _overlap(a, c)) if near else None
                if b is None:
                    self.note(f"{_name(a)} vanished")
                    continue
                left.remove(b)
                self.note(f"{_name(a)} moved to {_name(b)}")
            self.fields(_name(a), a, b)
            self.nodes(a.get("children") or [], b.get("children") or [])
        for b in left:
            self.note(f"{_name(b)} appeared")

    def fields(self, what: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
        for field in ("attributes", "extra_data"):
            x, y = a.get(field) or {}, b.get(field) or {}
            for key in sorted({*x, *y}):
                if key not in x or key not in y or not self.equal(x[key], y[key]):
                    self.note(f"{what}: {key} is {json.dumps(y.get(key))}, recorded: {json.dumps(x.get(key))}")
        u, v = a.get("encoding"), b.get("encoding")
        if (u is None) != (v is None) or (u is not None and v is not None and not self.near(u, v)):
            self.note(f"{what}: the encoding is another one")
        s, t = a.get("track_id") or "", b.get("track_id") or ""
        if bool(s) != bool(t) or (s and (self.tracks.setdefault(s, t) != t or self.named.setdefault(t, s) != s)):
            self.note(f"{what}: the track is another one")

    def equal(self, x: Any, y: Any) -> bool:
        number = lambda v: isinstance(v, (int, float)) and not isinstance(v, bool)  # noqa: E731
        if number(x) and number(y):
            return abs(x - y) <= self.value
        if isinstance(x, list) and isinstance(y, list):
            return len(x) == len(y) and all(map(self.equal, x, y))
        if isinstance(x, dict) and isinstance(y, dict):
            return x.keys() == y.keys() and all(self.equal(x[k], y[k]) for k in x)
        return type(x) is type(y) and x == y

    def near(self, u: List[float], v: List[float]) -> bool:
        a, b = np.array(u, np.float32), np.array(v, np.float32)
        if a.shape != b.shape:
            return False
        if (a == b).all():
            return True
        length = float(np.linalg.norm(a) * np.linalg.norm(b))
        return length > 0 and 1 - float(a @ b) / length <= self.distance


def _name(n: Mapping[str, Any]) -> str:
    xs, ys = [p[0] for p in n.get("coords") or [[0, 0]]], [p[1] for p in n.get("coords") or [[0, 0]]]
    return f"{n['class_name']} ({min(xs):g}, {min(ys):g}, {max(xs):g}, {max(ys):g})"


def _moved(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    p, q = a.get("coords") or [], b.get("coords") or []
    if len(p) != len(q):
        return math.inf
    return max((max(abs(s[0] - t[0]), abs(s[1] - t[1])) for s, t in zip(p, q)), default=0.0)


def _overlap(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    boxes = []
    for n in (a, b):
        c = n.get("coords") or []
        if not c:
            return 0.0
        xs, ys = [p[0] for p in c], [p[1] for p in c]
        boxes.append((min(xs), min(ys), max(xs), max(ys)))
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = boxes
    both = max(0.0, min(ax2, bx2) - max(ax1, bx1)) * max(0.0, min(ay2, by2) - max(ay1, by1))
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both
    return both / union if union > 0 else 0.0


def _write(b: Bundle, runtime: Runtime, given: Mapping[str, Any]) -> None:
    """Make the bundle anew with the present answers; the old one stays until the new one is whole."""
    capsule = runtime.capsule
    header = dict(b.header)
    was = b.capsule(capsule.name)
    values = capsule.complete(given)
    shown = {o.name: o.wire(values[o.name]) for o in capsule.options if o.type != "secret"}
    header["capsules"] = [{**was, "version": capsule.version, "manifest": manifest.encode(capsule), "options": shown}]
    header["media"] = "none"
    header.pop("clip", None)
    part = b.path + ".part"
    members: Dict[str, Dict[str, Any]] = {}
    frames = 0
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as z:

            def add(name: str, data: bytes) -> None:
                z.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
                members[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

            add("bundle.json", json.dumps(header, ensure_ascii=False).encode())
            records: List[bytes] = []

            def flush() -> None:
                if records:
                    at = sum(n.startswith("records/") for n in members) + 1
                    add(f"records/{at:06d}.jsonl", b"".join(records))
                    records.clear()

            for frame, call, pixels, answer in _calls(b, runtime):
                frames += 1
                new = {k: v for k, v in call.items() if k not in ("returns", "error")}
                if answer.HasField("fault"):
                    new["error"] = _error(answer.fault)
                else:
                    new["returns"] = [_plain_return(r) for r in answer.returns]
                if call.get("picture"):
                    add(call["picture"]["file"], pixels)
                record = {k: v for k, v in frame.items() if k not in ("picture", "drops")}
                record.update(calls=[new], detections=[])
                records.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
                if len(records) >= 64 or sum(map(len, records)) > 1 << 20:
                    flush()
            flush()
            index = {"status": "done", "frames": frames, "members": members}
            z.writestr(zipfile.ZipInfo("index.json"), json.dumps(index).encode(), zipfile.ZIP_DEFLATED)
        os.replace(part, b.path)
    finally:
        if os.path.exists(part):
            os.unlink(part)
