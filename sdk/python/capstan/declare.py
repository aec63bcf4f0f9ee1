"""The declaration of a capsule: what it needs, what it gives, what can be set."""

from __future__ import annotations

import datetime
import enum
import inspect
import posixpath
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from .faults import CapsuleError
from .options import Option, duration_text, to_ns, parse_duration, valid_name

__all__ = ["Capsule", "Description", "Gate", "Model", "Needs", "Picture", "capsule", "each", "every", "finds"]

API = "1.0"
"""The version of the capsule contract that this package speaks."""

FORMATS = ("GRAY8", "I420", "NV12", "RGB", "BGR")
METRICS = ("cosine", "euclidean")
SIZES = ("none", "single", "all")


@dataclass(frozen=True)
class Description:
    """Which nodes a capsule needs, or what its nodes have when it is done.

    ``size`` is "none" (the frame alone), "single" (one node at a time) or "all" (all matching
    nodes of a frame). Empty fields do not filter. An entry ``${name}`` stands for the value of
    the option of that name.
    """

    size: str
    detections: Sequence[str] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    encoded: bool = False
    tracked: bool = False
    extra_data: Sequence[str] = ()

    def validate(self) -> None:
        if self.size not in SIZES:
            raise CapsuleError(f"size: {self.size!r} is not one of none, single, all")
        _well_formed("detections", self.detections)
        _well_formed("extra_data", self.extra_data)
        _well_formed("attributes", list(self.attributes))
        for name, values in self.attributes.items():
            if isinstance(values, str) or not list(values):
                raise CapsuleError(f"attributes: {name} has no values")
            _well_formed(f"attributes: {name}", values)

    def resolved(self, values: Mapping[str, Any]) -> "Description":
        """The description with every ``${option}`` replaced by the option's value."""

        def items(texts: Sequence[str]) -> List[str]:
            out: List[str] = []
            for s in texts:
                if not (s.startswith("${") and s.endswith("}")):
                    out.append(s)
                    continue
                v = values.get(s[2:-1])
                if isinstance(v, enum.Enum):
                    v = v.value
                if isinstance(v, str):
                    out.append(v)
                elif isinstance(v, list):
                    out.extend(v)
                else:
                    raise CapsuleError(f"{s} is not an option of type str, enum or list")
            return out

        attributes = {n: items(v) for n, v in self.attributes.items()}
        return Description(self.size, items(self.detections), attributes, self.encoded, self.tracked, items(self.extra_data))

    def __str__(self) -> str:
        parts = [self.size]
        if self.detections:
            parts.append("[" + ", ".join(self.detections) + "]")
        parts += ["{" + n + ": " + "|".join(v) + "}" for n, v in self.attributes.items()]
        if self.encoded:
            parts.append("+encoding")
        if self.tracked:
            parts.append("+track")
        if self.extra_data:
            parts.append("keys " + ", ".join(self.extra_data))
        return " ".join(parts)


def finds(*classes: str, **more: Any) -> Description:
    """The output of a detector: a list of nodes of these classes. ``more`` are fields of Description."""
    return Description("all", classes, **more)


def each(*classes: str, **more: Any) -> Description:
    """The input (and output) of a capsule that works on one node at a time."""
    return Description("single", classes, **more)


def every(*classes: str, **more: Any) -> Description:
    """The input (and output) of a capsule that works on all nodes of a frame together."""
    return Description("all", classes, **more)


NONE = Description("none")


@dataclass(frozen=True)
class Picture:
    """The picture that a capsule wants: ``max_side``, or ``width`` and ``height``, as they come where
    neither is given. ``filter`` says how it is scaled: "" by means, "linear" as most networks are
    trained, "opencv" with the very values of cv2."""

    max_side: int = 0
    width: int = 0
    height: int = 0
    filter: str = ""


@dataclass(frozen=True)
class Gate:
    """Runs the capsule only while others report ``class_name``, and ``hold`` longer; ``at_least`` this often."""

    class_name: str = ""
    hold: Union[datetime.timedelta, str] = datetime.timedelta()
    at_least: Union[datetime.timedelta, str] = datetime.timedelta()


@dataclass(frozen=True)
class Model:
    """A file that the capsule needs beside itself; ``capstan models pull`` fetches it."""

    file: str
    sha256: str
    url: str = ""
    licence: str = ""
    source: str = ""


@dataclass(frozen=True)
class Needs:
    """What a capsule takes of the machine beside its own folder and models; all else is refused
    where the system can.

    ``network``: host:port entries, ``*`` for any host. ``files``: absolute paths, or ``${option}``,
    that are read; ``writes``: those that are written too. ``devices``: paths below /dev.
    ``memory``: bytes, or a text such as "512MiB", over all its processes. ``cpu``: CPUs' worth of
    time. ``processes``: child processes at one time, workers among them.
    """

    network: Sequence[str] = ()
    files: Sequence[str] = ()
    writes: Sequence[str] = ()
    devices: Sequence[str] = ()
    memory: Union[int, str] = 0
    cpu: float = 0
    processes: int = 0

    def memory_bytes(self) -> int:
        if isinstance(self.memory, int) and not isinstance(self.memory, bool):
            return self.memory
        m = _SIZE.match(self.memory) if isinstance(self.memory, str) else None
        if not m:
            raise CapsuleError(f"memory: {self.memory!r} is no size; want a number with its unit: 512MiB, 1.5GiB")
        return round(float(m.group(1)) * _UNITS[m.group(2)])

    def validate(self, options: Sequence[Option]) -> None:
        for s in self.network:
            host, _, port = s.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
                raise CapsuleError(f'network: "{s}" is not host:port, such as api.example.com:443 or *:443')
        for f in [*self.files, *self.writes]:
            if f.startswith("${") and f.endswith("}"):
                if not any(o.name == f[2:-1] and o.type in ("str", "list") for o in options):
                    raise CapsuleError(f'files: {f}: there is no option "{f[2:-1]}" of type str or list')
            elif not f.startswith("/") or posixpath.normpath(f) != f or "\0" in f:
                raise CapsuleError(f'files: "{f}" is neither a plain absolute path nor ${{option}}')
        for d in self.devices:
            if not d.startswith("/dev/") or posixpath.normpath(d) != d:
                raise CapsuleError(f'devices: "{d}" is not the path of a device below /dev')
        n = self.memory_bytes()
        if n and not 16 << 20 <= n <= 1 << 50:
            raise CapsuleError(f"memory: {n} bytes are not within 16 MiB..1 PiB")
        if self.cpu and not 0.01 <= self.cpu <= 1 << 10:
            raise CapsuleError(f"cpu: {self.cpu} is not within 0.01..1024")
        if not 0 <= self.processes <= 1 << 12:
            raise CapsuleError(f"processes: {self.processes} is not within 0..4096")


_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)\Z")
_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def _well_formed(name: str, items: Sequence[str]) -> None:
    if isinstance(items, str):
        raise CapsuleError(f'{name}: "{items}" is a text; want a list of texts')
    seen = set()
    for i, s in enumerate(items):
        if not isinstance(s, str) or not s.strip():
            raise CapsuleError(f"{name}: entry {i + 1} is empty")
        if s in seen:
            raise CapsuleError(f'{name}: "{s}" stands there twice')
        seen.add(s)


def _ns(name: str, value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, datetime.timedelta):
        return to_ns(value)
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError as e:
            raise CapsuleError(f"{name}: {e}") from None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return round(value * 1e9)
    raise CapsuleError(f"{name}: {value!r} is not a duration such as 250ms or 5s")


@dataclass
class Capsule:
    """A declared capsule; :func:`capsule` makes it."""

    name: str
    version: str
    description: str = ""
    input: Description = NONE
    output: Description = NONE
    options: List[Option] = field(default_factory=list)
    formats: Tuple[str, ...] = ()
    picture: Picture = Picture()
    stateful: bool = False
    every_n: int = 0
    gate_class: str = ""
    gate_hold_ns: int = 0
    gate_at_least_ns: int = 0
    deadline_ns: int = 0
    metric: str = ""
    on_demand: bool = False
    models: Tuple[Model, ...] = ()
    needs: Needs = Needs()
    entry: str = "main.py"
    batch: int = 0
    workers: int = 0
    code: Any = None  # the author's class or function
    kind: str = "class"

    def validate(self) -> None:
        """CapsuleError, naming the field as capsule.yaml spells it, for what no engine could honour."""
        try:
            self._validate()
        except CapsuleError as e:
            raise CapsuleError(f"capsule {self.name}: {e}", e.kind) from None

    def _validate(self) -> None:
        if not valid_name(self.name):
            raise CapsuleError(f'name: "{self.name}" has characters other than letters, digits and _')
        if not self.version.strip():
            raise CapsuleError("version: is empty")
        for name, value in ("every_n", self.every_n), ("batch", self.batch), ("workers", self.workers):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise CapsuleError(f"{name}: {value} is not a whole number from 0")
        if self.workers > 256:
            raise CapsuleError(f"workers: {self.workers} is above 256")
        if self.deadline_ns < 0:
            raise CapsuleError("deadline: is below 0")
        if self.gate_hold_ns < 0 or self.gate_at_least_ns < 0:
            raise CapsuleError("gate: times are not below 0")
        if self.gate_class != self.gate_class.strip():
            raise CapsuleError("gate: class: begins or ends with a space")
        if not self.gate_class and self.gate_hold_ns:
            raise CapsuleError("gate: class: is empty, so there is nothing to hold for")
        self._descriptions()
        names = set()
        for o in self.options:
            try:
                o.validate()
            except CapsuleError as e:
                raise CapsuleError(f"options: {e}") from None
            if o.name in names:
                raise CapsuleError(f'options: "{o.name}" stands there twice')
            names.add(o.name)
        values = self.complete(None)
        for name, d in ("input", self.input), ("output", self.output):
            try:
                d.resolved(values).validate()
            except CapsuleError as e:
                raise CapsuleError(f"{name}: {e}") from None
        self._pictures()
        self._code()

    def _descriptions(self) -> None:
        for name, d in ("input", self.input), ("output", self.output):
            if not isinstance(d, Description):
                raise CapsuleError(f"{name}: {d!r} is no Description")
            try:
                d.validate()
            except CapsuleError as e:
                raise CapsuleError(f"{name}: {e}") from None
        if self.output.size == "none":
            raise CapsuleError("output: size: none says that the capsule gives nothing; use single or all")
        if self.input.size == "none" and self.input != NONE:
            raise CapsuleError("input: size: none takes no nodes, so nothing can be asked of them; use single or all")
        if self.output.encoded and not self.input.encoded:
            if not any(o.name == "recognition_threshold" and o.type == "float" for o in self.options):
                raise CapsuleError("options: an encoder needs the float option recognition_threshold")
            if self.metric not in METRICS:
                raise CapsuleError(f'metric: "{self.metric}" is not one of cosine, euclidean, and an encoder needs one')
        if self.metric and self.metric not in METRICS:
            raise CapsuleError(f'metric: "{self.metric}" is not one of cosine, euclidean')

    def _pictures(self) -> None:
        if isinstance(self.formats, str):
            raise CapsuleError("formats: want a list")
        for i, f in enumerate(self.formats):
            if f not in FORMATS:
                raise CapsuleError(f'formats: "{f}" is not one of [{" ".join(FORMATS)}]')
            if f in self.formats[:i]:
                raise CapsuleError(f'formats: "{f}" stands there twice')
        p = self.picture
        if min(p.max_side, p.width, p.height) < 0 or max(p.max_side, p.width, p.height) > 1 << 14:
            raise CapsuleError("picture: sides are within 1..16384")
        if (p.width > 0) != (p.height > 0) or (p.max_side > 0 and p.width > 0):
            raise CapsuleError("picture: either max_side, or width and height")
        if p.filter not in ("", "linear", "opencv"):
            raise CapsuleError(f'picture: filter "{p.filter}" is not one of [linear opencv]')
        try:
            self.needs.validate(self.options)
        except CapsuleError as e:
            raise CapsuleError(f"needs: {e}") from None
        seen = set()
        for m in self.models:
            if not m.file or any(c in m.file for c in "/\\\0") or m.file in (".", ".."):
                raise CapsuleError(f'models: "{m.file}" is not a file name without folders')
            if not re.match(r"[0-9a-f]{64}\Z", m.sha256):
                raise CapsuleError(f'models: {m.file}: sha256 "{m.sha256}" is not 64 hexadecimal digits in lower case')
            if m.file in seen:
                raise CapsuleError(f'models: "{m.file}" stands there twice')
            seen.add(m.file)

    def _code(self) -> None:
        if self.code is None:
            return
        from . import _inject

        if self.kind == "function":
            _inject.wanted(self.code, _inject.FUNCTION, f"function {self.code.__name__}")
        method = "process_batch" if self.batch else "process"
        if self.kind == "class" and not callable(getattr(self.code, method, None)):
            raise CapsuleError(f"class {self.code.__name__} has no method {method}")
        if self.kind == "class":
            asked = {method: _inject.BATCH if self.batch else _inject.PROCESS, "open": _inject.OPEN, "configure": _inject.CONFIGURE}
            for name, known in asked.items():
                if callable(getattr(self.code, name, None)):
                    static = isinstance(inspect.getattr_static(self.code, name), staticmethod)
                    _inject.wanted(getattr(self.code, name), known, f"method {name}", not static)
            load = inspect.getattr_static(self.code, "load", None)
            if load is not None:
                if not isinstance(load, (classmethod, staticmethod)):
                    raise CapsuleError("method load is for the whole process; put @classmethod above it")
                _inject.wanted(self.code.load, _inject.LOAD, "method load")
        if self.batch and self.kind != "class":
            raise CapsuleError("batch: is for a class with the method process_batch")
        if self.batch and self.stateful and self.input.size != "single":
            raise CapsuleError("batch: a stateful capsule gets its frames one at a time, so there are no batches of them")

    def complete(self, given: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
        """Checked settings, with defaults for what is missing."""
        values = {o.name: o.check(o.given_default) for o in self.options}
        by_name = {o.name: o for o in self.options}
        for name in sorted(given or {}):
            if name not in by_name:
                known = ", ".join(by_name) or "none"
                raise CapsuleError(f'capsule {self.name}: there is no option "{name}"; it has: {known}')
            try:
                values[name] = by_name[name].check((given or {})[name])
            except CapsuleError as e:
                raise CapsuleError(f"capsule {self.name}: {e}") from None
        return values


def capsule(
    *,
    name: str,
    version: Union[str, int],
    output: Description,
    description: str = "",
    input: Description = NONE,
    options: Optional[Mapping[str, Option]] = None,
    formats: Sequence[str] = (),
    picture: Union[Picture, Mapping[str, Any], None] = None,
    stateful: bool = False,
    every_n: int = 0,
    gate: Optional[Gate] = None,
    deadline: Union[datetime.timedelta, str, float, None] = None,
    metric: str = "",
    on_demand: bool = False,
    models: Sequence[Model] = (),
    needs: Optional[Needs] = None,
    entry: str = "",
    batch: int = 0,
    workers: int = 0,
) -> Callable[[Any], Any]:
    """Declare the class or function below as a capsule.

    A **class** has one instance for each stream. Methods, of which only ``process`` is needed,
    name what they want to be given::

        def open(self, options, log, stream): ...     # once a stream
        def process(self, frame, nodes): ...          # each frame; node for an input of single nodes
        def process_batch(self, frames): ...          # in place of process, with batch=N
        def configure(self, options): ...             # new settings; without it the stream is opened again
        def close(self): ...
        @classmethod
        def load(cls, log): ...                       # once a process, before the first open
        @classmethod
        def unload(cls): ...                          # the end of what load began

    A **function** is ``process`` alone; it may ask for ``frame``, ``nodes``, ``node``, ``options``,
    ``log`` and ``state``, a dict that is kept for the stream.

    ``input`` left out is the frame alone. ``formats`` are the accepted pixels, best first; none
    means no pixels. ``stateful`` says that frames of a stream come one at a time and in order.
    ``workers=N`` runs the code in N processes, for work that holds Python's lock; with
    ``stateful`` every stream stays with one of them. ``batch=N`` gives up to N frames to one call
    of ``process_batch``: those that wait, of any stream; for an input of single nodes one for
    each node, in ``frame.node``.

    The declaration is checked at once. The class or function is returned as it is, with the
    declaration in ``__capsule__``.
    """

    def declare(code: Any) -> Any:
        kind = "class" if inspect.isclass(code) else "function"
        found: Dict[str, Option] = {}
        if kind == "class":
            for base in reversed(code.__mro__):
                for key, value in vars(base).items():
                    if isinstance(value, Option):
                        found[value.name] = value
                    elif key in found:
                        del found[key]
        for key, o in (options or {}).items():
            if not isinstance(o, Option):
                raise CapsuleError(f"capsule {name}: options: {key} is no option(…)")
            o.name = o.name or key
            found[o.name] = o
        g = gate or Gate()
        if picture is None:
            size = Picture()
        elif isinstance(picture, Picture):
            size = picture
        else:
            size = Picture(**picture)
        c = Capsule(
            name=name, version=str(version), description=description or _first_line(code), input=input, output=output,
            options=list(found.values()), formats=tuple(formats), picture=size, stateful=stateful, every_n=every_n,
            gate_class=g.class_name, gate_hold_ns=_ns("gate: hold", g.hold), gate_at_least_ns=_ns("gate: at_least", g.at_least),
            deadline_ns=_ns("deadline", deadline), metric=metric, on_demand=on_demand, models=tuple(models), needs=needs or Needs(),
            entry=entry or _file_of(code), batch=batch, workers=workers, code=code, kind=kind,
        )  # fmt: skip
        c.validate()
        code.__capsule__ = c
        return code

    return declare


def _first_line(code: Any) -> str:
    doc = inspect.getdoc(code) if code.__doc__ else ""
    return (doc or "").split("\n", 1)[0].strip()


def _file_of(code: Any) -> str:
    import os
    import sys

    module = sys.modules.get(code.__module__)
    path = getattr(module, "__file__", None)
    return os.path.basename(path) if path else "main.py"


def text_of(ns: int) -> str:
    """A duration for people."""
    return duration_text(ns)
